//! `render`

use std::path::Path;

use agent::{Agent, Config, discovery::Catalog};
use anyhow::anyhow;

use crate::{failure::Failure, load, services::print};

/// Prints HAProxy's configuration, for the endpoints of a file or for those that are discovered now.
pub(crate) async fn render(config: Config, endpoints: Option<&Path>) -> Result<(), Failure> {
    let catalog = match endpoints {
        Some(path) => {
            let name = path.display();
            let text = load::read(path)
                .map_err(|error| Failure::Usage(format!("synapse-rs: reading {name}: {error}")))?;
            Catalog::parse(&text).map_err(|error| Failure::Usage(format!("{name}:{error}")))?
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
