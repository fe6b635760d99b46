//! The agent inside another program, which gives it another configuration while it runs.
//!
//!     cargo run -p agent --example reconfigure -- first.yaml second.yaml
//!
//! It serves what the first says, takes over the second, and ends when that is served.

use std::error::Error;

use agent::{Agent, Config, Registry};

/// Serves the one configuration and then the other, and tells what was different.
pub(crate) async fn program(first: &str, second: &str, tell: impl Fn(String)) -> Result<(), Box<dyn Error>> {
    let registry = Registry::builtin();
    let agent = Agent::new(Config::parse(first, Some("first"), &registry)?);
    let config = Config::parse(second, Some("second"), &registry)?;
    let (handle, mut status) = (agent.handle(), agent.status());
    let stop = async move {
        // The first is applied.
        status.changed().await;
        match handle.reconfigure(config).await {
            Ok(different) => {
                tell(format!("{different:?}"));
                // And so is the second.
                status.changed().await;
            }
            // Then all goes on as it was.
            Err(error) => tell(error.to_string()),
        }
    };
    agent.run(stop).await;
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
#[allow(clippy::print_stdout, reason = "a program for a terminal")]
async fn main() -> Result<(), Box<dyn Error>> {
    let usage = "usage: reconfigure FIRST SECOND";
    let mut files = std::env::args().skip(1).map(std::fs::read_to_string);
    let (first, second) = (files.next().ok_or(usage)??, files.next().ok_or(usage)??);
    Box::pin(program(&first, &second, |different| println!("{different}"))).await
}
