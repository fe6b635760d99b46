//! `check`

use agent::Config;

use crate::{failure::Failure, services::print};

/// Says that the configuration has no mistakes: whoever got this far has read it.
pub(crate) fn check(config: &Config) -> Result<(), Failure> {
    let services = config.services().count();
    let plural = if services == 1 { "" } else { "s" };
    print(&format!("configuration is fine: {services} service{plural}\n"))
}
