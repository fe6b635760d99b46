//! Where the state is kept, and for how long.

use std::{path::Path, time::Duration};

use super::{Problem, Section, raw, seconds};
use crate::{output::chain, state::StateFile};

/// How old what the state file has may be, unless said otherwise: Synapse's day.
const TTL: Duration = Duration::from_hours(24);

/// Reads the keys about the state file. `None`: none is kept, or there were problems.
pub(super) fn read(
    section: &Section,
    raw: &raw::Haproxy,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Problem>,
) -> Option<StateFile> {
    let ttl = raw.state_file_ttl.map_or(Some(TTL), seconds);
    if ttl.is_none() {
        problems.push(section.problem_at("state_file_ttl", "expected seconds, 0 to a year"));
    }
    let Some(path) = raw.state_file_path.as_deref().map(Path::new) else {
        if raw.state_file_ttl.is_some() {
            let note = "has no effect without `state_file_path`";
            warnings.push(section.problem_at("state_file_ttl", note));
        }
        return None;
    };
    for (key, other) in [
        ("config_file_path", &raw.config_file_path),
        ("candidate_config_file_path", &raw.candidate_config_file_path),
    ] {
        if other.as_deref().map(Path::new) == Some(path) {
            problems.push(section.problem_at("state_file_path", format!("it is the file of `{key}`")));
            return None;
        }
    }
    let file = StateFile::new(path, ttl?);
    file.map_err(|error| problems.push(section.problem_at("state_file_path", chain(&error)))).ok()
}
