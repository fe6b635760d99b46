//! `render`

use std::path::Path;

use agent::{Agent, Config, discovery::Catalog};
use anyhow::anyhow;
use tracing::warn;

use crate::{failure::Failure, load, services::print};

/// Prints HAProxy's configuration, for the endpoints of a file or for those that are discovered now.
pub(crate) async fn render(config: Config, endpoints: Option<&Path>) -> Result<(), Failure> {
    let catalog = match endpoints {
        Some(path) => {
            let (name, text) = load::read(path)?;
            let catalog =
                Catalog::parse(&text).map_err(|error| Failure::Usage(format!("{name}: {error}")))?;
            warn_of_gaps(&config, &catalog, &name);
            catalog
        }
        None => {
            let agent = Agent::new(config.clone());
            let status = agent.status();
            let catalog = agent.discover().await;
            let silent = crate::services::unanswered(&status.services());
            // Half a configuration must not be taken for a whole one.
            silent.map_or(Ok(()), |silent| Err(anyhow!(silent)))?;
            catalog
        }
    };
    print(&config.render(&catalog))
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
            warn!(service, file, entry = rejection.entry, error = rejection.reason, "skipping an entry");
        }
    }
}
