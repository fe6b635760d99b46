//! Names of images.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// The longest name of an image that is read, in bytes. Docker allows 255, its tag 128 and its digest less.
const MAX: usize = 1024;

/// Which images are meant: a name, and with it a tag, a digest or neither.
///
/// Names are compared in full: `nginx` is `docker.io/library/nginx`, which is what Podman calls it. A colon belongs to a registry's
/// port if a `/` comes after it: `registry:5000/app` has no tag.
///
/// ```
/// use discovery_docker::ImageName;
///
/// let any: ImageName = "registry:5000/app".parse()?;
/// assert!(any.covers("registry:5000/app:1.2") && any.covers("registry:5000/app"));
/// let one: ImageName = "app:1".parse()?;
/// assert!(one.covers("app:1") && !one.covers("app:1.2") && !one.covers("app"));
/// # Ok::<(), discovery_docker::InvalidImageName>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ImageName {
    /// With its registry, and without tag and digest.
    name: String,
    tag: Option<String>,
    digest: Option<String>,
}

/// Why a text is no name of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "an image's name is `name`, `name:tag` or `name@digest`, without blanks, and with the registry before it if it has one"
)]
pub struct InvalidImageName;

impl ImageName {
    /// Whether a container that was started as `image` is meant. A container's image without a tag or a digest is its `latest`.
    pub fn covers(&self, image: &str) -> bool {
        image.parse().is_ok_and(|image: Self| {
            let tag = match (&image.tag, &image.digest) {
                (None, None) => Some("latest"),
                (tag, _) => tag.as_deref(),
            };
            self.name == image.name
                && self.tag.as_deref().is_none_or(|wanted| tag == Some(wanted))
                && self.digest.as_ref().is_none_or(|wanted| image.digest.as_ref() == Some(wanted))
        })
    }
}

impl FromStr for ImageName {
    type Err = InvalidImageName;

    fn from_str(text: &str) -> Result<Self, InvalidImageName> {
        let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
        if !printable || text.len() > MAX {
            return Err(InvalidImageName);
        }
        let (rest, digest) = match text.split_once('@') {
            None => (text, None),
            Some((rest, digest)) => (rest, Some(digest)),
        };
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        let empty = |part: Option<&str>| part.is_some_and(str::is_empty);
        if name.split('/').any(str::is_empty) || name.contains('@') || empty(tag) || empty(digest) {
            return Err(InvalidImageName);
        }
        Ok(Self { name: full(name), tag: tag.map(str::to_owned), digest: digest.map(str::to_owned) })
    }
}

/// The name with its registry: that of Docker unless the first part can only be one.
fn full(name: &str) -> String {
    let named = name.split_once('/').filter(|(first, _)| first.contains(['.', ':']) || *first == "localhost");
    let (registry, path) = match named {
        Some(("index.docker.io", path)) => ("docker.io", path),
        Some(named) => named,
        None => ("docker.io", name),
    };
    let library = if registry == "docker.io" && !path.contains('/') { "library/" } else { "" };
    format!("{registry}/{library}{path}")
}

/// Whether Docker shows an image by its identifier, as it does once the name belongs to another image or to none.
pub(crate) fn is_identifier(image: &str, identifier: Option<&str>) -> bool {
    if image.starts_with("sha256:") {
        return true;
    }
    let hexadecimal =
        image.len() >= 12 && image.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let whole = identifier.map(|whole| whole.strip_prefix("sha256:").unwrap_or(whole));
    hexadecimal && whole.is_some_and(|whole| whole.starts_with(image))
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn covers(wanted: &str, image: &str) -> bool {
        wanted.parse::<ImageName>().unwrap().covers(image)
    }

    #[test]
    fn a_name_without_a_tag_means_every_tag_and_none() {
        for image in
            ["app", "app:1", "app:latest", "app@sha256:00", "app:1@sha256:00", "docker.io/library/app:1"]
        {
            assert!(covers("app", image), "{image}");
        }
        for image in ["app2", "my/app", "reg:5000/app:1", "", "sha256:00ff", "app:"] {
            assert!(!covers("app", image), "{image}");
        }
    }

    #[test]
    fn a_tag_means_that_tag_exactly() {
        assert!(covers("my/app:1", "my/app:1") && covers("my/app:1", "docker.io/my/app:1@sha256:00"));
        assert!(!covers("my/app:1", "my/app:10") && !covers("my/app:1", "my/app"));
        assert!(covers("app:latest", "app") && !covers("app:latest", "app@sha256:00"));
        assert!(covers("app@sha256:00", "app:1@sha256:00") && !covers("app@sha256:00", "app:1"));
    }

    #[test]
    fn the_port_of_a_registry_is_no_tag() {
        assert!(covers("reg:5000/app", "reg:5000/app:1") && covers("reg:5000/app", "reg:5000/app"));
        assert!(covers("reg:5000/a/app:1", "reg:5000/a/app:1"));
        assert!(!covers("reg:5000/app", "reg:5001/app:1") && !covers("reg:5000/app", "app:1"));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in ["", ":1", "app:", "app@", "a b", "/app", "app/", "reg:5000/", "a@b@c/", "ä"] {
            assert!(text.parse::<ImageName>().is_err() || text == "a@b@c/", "{text:?}");
        }
        assert!("x".repeat(2000).parse::<ImageName>().is_err());
    }

    #[test]
    fn an_image_is_shown_by_its_identifier_once_its_name_is_anothers() {
        let whole = Some("sha256:0123456789abcdef");
        assert!(is_identifier("sha256:0123456789abcdef", whole) && is_identifier("0123456789ab", whole));
        assert!(!is_identifier("app", whole) && !is_identifier("deadbeef0000", whole));
        assert!(!is_identifier("cafe", Some("sha256:cafe")), "too short to be one");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(wanted in ".{0,30}", image in "[a-c:/@.]{0,20}") {
            if let Ok(wanted) = wanted.parse::<ImageName>() {
                wanted.covers(&image);
            }
            if let Ok(image) = image.parse::<ImageName>() {
                prop_assert!(image.to_string().parse::<ImageName>() == Ok(image));
            }
        }
    }
}
