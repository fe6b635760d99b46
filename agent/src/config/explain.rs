//! What Synapse did with a configuration, and what happens here.

mod beside;
mod line;
mod rule;
mod site;

use std::{borrow::Cow, fmt};

use super::{Node, Problem, draft::Draft};
use site::Site;

/// Something that a configuration says and that Synapse took otherwise.
///
/// `Display` is a paragraph: the places, what Synapse did, what happens here, and what to do for those who want it otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// Where it is said, in the order of the file: never empty. The messages are.
    pub places: Vec<Problem>,
    /// What Synapse did.
    pub synapse: Cow<'static, str>,
    /// What happens here.
    pub here: Cow<'static, str>,
    /// What to write for the old way, or for both programs to agree, if there is such a thing.
    pub instead: Option<Cow<'static, str>>,
}

/// All that differs from Synapse for one configuration.
///
/// `Display` is for people, and ends with a line feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    file: Option<String>,
    differences: Vec<Difference>,
}

/// Says what differs from Synapse 0.18 for the configuration that [`parse`](fn@super::parse) has read, and nothing about what is not
/// in it.
///
/// `file` is what messages call it. Mistakes are no difference: [`Config::parse`](crate::Config::parse) tells them, and what is said
/// here holds in spite of them. Pure.
///
/// ```
/// use agent::config::{explain, parse};
///
/// let tree = parse("haproxy: {global: [], defaults: [], extra_sections: {'listen stats :1937': [stats enable]}}")?;
/// let explained = explain(&tree, Some("synapse.yaml"));
/// assert!(explained.to_string().contains("which HAProxy refuses since 1.7"));
/// # Ok::<(), agent::config::SyntaxError>(())
/// ```
pub fn explain(root: &Node, file: Option<&str>) -> Explanation {
    let site = Site::new(root);
    let rules = rule::RULES.iter().chain(beside::RULES);
    let mut differences: Vec<Difference> = rules.filter_map(|rule| rule.apply(&site)).collect();
    differences.extend(line::differences(&site));
    // Those that are about the whole first, and then in the order of the file.
    differences.sort_by(|a, b| a.places.cmp(&b.places));
    Explanation { file: file.map(str::to_owned), differences }
}

impl Explanation {
    /// The same with every place in its file, and without what came from the environment.
    pub(super) fn placed(mut self, draft: &Draft) -> Self {
        for Difference { places, synapse, here, instead } in &mut self.differences {
            *places = std::mem::take(places).into_iter().map(|place| draft.place(place)).collect();
            for text in [synapse, here].into_iter().chain(instead) {
                *text = draft.masked(text).into();
            }
        }
        self
    }

    /// The differences, in the order of the first place of each.
    pub fn differences(&self) -> &[Difference] {
        &self.differences
    }
}

/// How many places of one difference are shown.
const SHOWN: usize = 3;

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, place) in self.places.iter().take(SHOWN).enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            let file = place.file.as_deref().map(|file| format!("{file}:")).unwrap_or_default();
            let path = if place.path.is_empty() { "the whole" } else { &place.path };
            write!(f, "{comma}{path} ({file}{}:{})", place.line, place.column)?;
        }
        if self.places.len() > SHOWN {
            write!(f, ", and {} more", self.places.len() - SHOWN)?;
        }
        write!(f, "\n  Synapse: {}\n  here:    {}", self.synapse, self.here)?;
        match &self.instead {
            Some(instead) => write!(f, "\n  instead: {instead}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}: ")?;
        }
        match self.differences.len() {
            0 => f.write_str("nothing differs from Synapse")?,
            1 => f.write_str("1 difference from Synapse")?,
            count => write!(f, "{count} differences from Synapse")?,
        }
        for difference in &self.differences {
            write!(f, "\n\n{difference}")?;
        }
        f.write_str("\n")
    }
}
