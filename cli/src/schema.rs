//! `schema`

use agent::{Config, Registry};

use crate::{failure::Failure, screen::print};

/// Prints the JSON Schema of the configuration, for the discovery methods of this build.
pub(crate) fn schema() -> Result<(), Failure> {
    print(&format!("{:#}\n", Config::schema(&Registry::builtin())))
}
