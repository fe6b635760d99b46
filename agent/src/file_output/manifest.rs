//! Which files in a directory are ours.

use std::collections::BTreeSet;

use haproxy_render::Name;
use serde::{Deserialize, Serialize};

/// The services that have a file, as it is remembered beyond the life of this program.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Manifest(pub(super) BTreeSet<String>);

/// What the manifest is called. Staged files end in `.json`, so it is none of them; and it is hidden.
pub(super) const NAME: &str = ".synapse-files";
/// The longest manifest that is read, in bytes: that of a hundred thousand services.
pub(super) const MAX_BYTES: u64 = 64 << 20;
/// What says that a manifest is one.
const FORMAT: &str = "synapse-rs file_output";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    format: String,
    version: u32,
    services: BTreeSet<String>,
}

impl Manifest {
    /// Reads a manifest. What can't be the name of a service is not of ours, and left out: nothing outside of the directory is ever
    /// named.
    ///
    /// # Errors
    /// Why this is none, in words.
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        let Written { format, version, services } =
            serde_json::from_slice(text).map_err(|error| error.to_string())?;
        if format != FORMAT || version != 1 {
            return Err("it is in another format, or of a later version".to_owned());
        }
        Ok(Self(services.into_iter().filter(|service| Name::parse(service).is_ok()).collect()))
    }

    pub(super) fn text(&self) -> Vec<u8> {
        let written = Written { format: FORMAT.to_owned(), version: 1, services: self.0.clone() };
        let mut text = serde_json::to_vec_pretty(&written).expect("text, numbers and lists of text are JSON");
        text.push(b'\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_read_as_it_was_written() {
        let manifest = Manifest(["web", "db:1", ".."].map(str::to_owned).into());
        assert_eq!(Manifest::parse(&manifest.text()), Ok(manifest));
    }

    #[test]
    fn nothing_outside_of_the_directory_is_in_a_manifest() {
        let text = r#"{"format":"synapse-rs file_output","version":1,"services":["../x","/etc/x","a\u0000","","web"]}"#;
        assert_eq!(Manifest::parse(text.as_bytes()), Ok(Manifest(["web".to_owned()].into())));
    }

    #[test]
    fn what_is_no_manifest_says_why() {
        for text in ["", "[]", "\0\0", r#"{"format":"x","version":1,"services":[]}"#] {
            assert!(Manifest::parse(text.as_bytes()).is_err(), "{text}");
        }
        let later = r#"{"format":"synapse-rs file_output","version":2,"services":[]}"#;
        assert!(Manifest::parse(later.as_bytes()).unwrap_err().contains("later version"));
    }
}
