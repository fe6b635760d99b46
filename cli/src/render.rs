//! `render`

use std::path::Path;

use agent::{Agent, Config, discovery::Catalog};
use tracing::warn;

use crate::{failure::Failure, load, progress, screen::print, services::unanswered};

/// Prints HAProxy's configuration, for the endpoints of a file or for those that are discovered now.
pub(crate) async fn render(config: Config, endpoints: Option<&Path>) -> Result<(), Failure> {
    let catalog = match endpoints {
        Some(path) => read(&config, path)?,
        None => discovered(&config).await?,
    };
    print(&config.render(&catalog))
}

/// The endpoints of a file.
fn read(config: &Config, path: &Path) -> Result<Catalog, Failure> {
    let (name, text) = load::read(path)?;
    let catalog = Catalog::parse(&text).map_err(|error| Failure::Usage(format!("{name}: {error}")))?;
    warn_of_gaps(config, &catalog, &name);
    Ok(catalog)
}

/// The endpoints that all sources tell of now.
async fn discovered(config: &Config) -> Result<Catalog, Failure> {
    let agent = Agent::new(config.clone());
    let status = agent.status();
    let catalog = progress::shown(&status, agent.discover()).await;
    // Half a configuration must not be taken for a whole one.
    match unanswered(&status.services()) {
        Some(silent) => Err(anyhow::Error::new(silent).into()),
        None => Ok(catalog),
    }
}

/// Logs which entries of the file are left out, and which services it does not speak of.
fn warn_of_gaps(config: &Config, catalog: &Catalog, file: &str) {
    for service in config.services() {
        let Some(snapshot) = catalog.service(service) else {
            warn!(
                service,
                file, "the file does not name this service: rendered as if its source had not answered"
            );
            continue;
        };
        for rejection in snapshot.rejected().named() {
            warn!(service, file, entry = rejection.entry(), error = rejection.reason(), "skipping an entry");
        }
    }
}
