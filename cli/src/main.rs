//! Service discovery for HAProxy, on the command line.
//!
//! The program is a thin shell around the [`agent`] crate: it parses arguments, starts logging, turns signals into a future, and
//! picks the exit code: 0 for success, 1 for a failure, 2 for a wrong command line or configuration, 3 for a plan that has
//! something to do, and for the status of an agent that is not ready.

mod advice;
mod args;
mod check;
mod completions;
mod doctor;
mod failure;
mod headline;
mod load;
mod log;
mod manual;
mod plan;
mod progress;
mod render;
mod run;
mod schema;
mod screen;
mod services;
mod signals;
#[cfg(feature = "status")]
mod status;
mod systemd;

use std::{process::ExitCode, time::Duration};

use clap::Parser;

use crate::{
    args::{Args, Command, Run},
    failure::Failure,
};

/// How long what goes on in the background may take to end.
const SHUTDOWN_WITHIN: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let args = Args::parse();
    log::start(&args.log);
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::from(anyhow::Error::new(error).context("starting the runtime")))
        .and_then(|runtime| {
            let outcome = runtime.block_on(carry_out(args));
            // A disk that hangs holds its thread, which must not keep the program.
            runtime.shutdown_timeout(SHUTDOWN_WITHIN);
            outcome
        });
    match outcome {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

async fn carry_out(args: Args) -> Result<ExitCode, Failure> {
    let config = || load::config(args.config.as_deref());
    match args.command.unwrap_or(Command::Run(Run::default())) {
        Command::Plan { json } => return Box::pin(plan::plan(config()?, json)).await,
        Command::Run(Run { once: true }) => run::once(config()?).await,
        Command::Run(Run { once: false }) => run::run(load::source(args.config.as_deref())?).await,
        Command::Check { explain, file } => {
            let path = file.as_deref().or(args.config.as_deref());
            if explain { check::explained(path) } else { check::check(&load::config(path)?) }
        }
        Command::Doctor { json } => return doctor::doctor(config()?, json).await,
        Command::Schema => schema::schema(),
        Command::Render { endpoints } => render::render(config()?, endpoints.as_deref()).await,
        Command::Services { json } => services::services(config()?, json).await,
        #[cfg(feature = "status")]
        Command::Status { json, watch, url } => {
            let address = match url {
                Some(url) => status::address(&url)?,
                None => status::configured(&config()?)?,
            };
            return status::status(&address, json, watch).await;
        }
        Command::Completions { shell } => completions::completions(shell),
        Command::Man { directory } => manual::man(directory.as_deref()),
    }
    .map(|()| ExitCode::SUCCESS)
}
