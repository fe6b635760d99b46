//! `completions`

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::{args::Args, failure::Failure, screen::print};

/// Prints what a shell completes the command line with.
pub(crate) fn completions(shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "synapse-rs", &mut script);
    print(&String::from_utf8_lossy(&script))
}
