//! What changed, in a few words for a log line.

use std::fmt;

use crate::model::Changed;

/// How many services a log line names.
pub(super) const NAMED: usize = 5;

/// `web +1 -2 ~0, db +1 -0 ~0 and 3 more`.
pub(super) struct Summary<'a>(pub(super) &'a [Changed]);

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, changed) in self.0.iter().take(NAMED).enumerate() {
            let Changed { service, added, removed, altered } = changed;
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{service} +{added} -{removed} ~{altered}")?;
        }
        match self.0.len() {
            0 => f.write_str("no servers"),
            all if all > NAMED => write!(f, " and {} more", all - NAMED),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_names_a_few_services_and_counts_the_rest() {
        let changed = |service: &str| Changed { service: service.into(), added: 1, removed: 2, altered: 0 };
        assert_eq!(Summary(&[changed("a"), changed("b")]).to_string(), "a +1 -2 ~0, b +1 -2 ~0");
        let many: Vec<_> = "abcdefgh".chars().map(|name| changed(&name.to_string())).collect();
        assert!(Summary(&many).to_string().ends_with("e +1 -2 ~0 and 3 more"));
        assert_eq!(Summary(&[]).to_string(), "no servers");
    }
}
