//! `check`

use std::path::Path;

use agent::Config;

use crate::{failure::Failure, load, screen::print};

/// Says that the configuration has no mistakes: whoever got this far has read it.
pub(crate) fn check(config: &Config) -> Result<(), Failure> {
    let services = config.services().count();
    let plural = if services == 1 { "" } else { "s" };
    print(&format!("configuration is fine: {services} service{plural}\n"))
}

/// Prints what differs from Synapse for the configuration. Mistakes are told after that, as by [`check`].
pub(crate) fn explained(path: Option<&Path>) -> Result<(), Failure> {
    let (explained, wrong) = load::explained(path)?;
    if let Some(explained) = explained {
        print(&explained.to_string())?;
    }
    wrong.map_or(Ok(()), Err)
}
