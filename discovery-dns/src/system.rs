//! `resolv.conf`.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use hickory_resolver::{proto::rr::Name, system_conf::parse_resolv_conf};
use tokio::{sync::Mutex, time::Instant};
use tracing::warn;

use crate::{nameserver::Nameservers, question::Failure};

/// How long what a file said is used before it is read again.
const AGE: Duration = Duration::from_secs(5);
/// How long one nameserver may take for an answer over UDP, where nobody says how long.
const WITHIN: Duration = Duration::from_secs(2);
/// The longest that a file may ask for: others are to have their turn.
const LONGEST: Duration = Duration::from_secs(5);
/// How many nameservers of a file are used, as by the C library.
const MAX_NAMESERVERS: usize = 3;
/// How many domains of a search list are used.
const MAX_SEARCH: usize = 32;

/// Whom to ask, and for which names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) nameservers: Vec<SocketAddr>,
    pub(crate) search: Vec<Name>,
    pub(crate) ndots: usize,
    pub(crate) within: Duration,
}

/// Where the plan comes from.
#[derive(Debug)]
pub(crate) enum System {
    Fixed(Arc<Plan>),
    File { path: PathBuf, last: Mutex<Option<(Instant, Arc<Plan>)>> },
}

impl System {
    pub(crate) fn new(nameservers: Nameservers) -> Self {
        match nameservers {
            Nameservers::File(path) => Self::File { path, last: Mutex::default() },
            Nameservers::Listed(list) => Self::Fixed(Arc::new(Plan {
                nameservers: list.iter().map(crate::Nameserver::address).collect(),
                search: Vec::new(),
                ndots: 0,
                within: WITHIN,
            })),
        }
    }

    /// Whom to ask now. Reads the file if that was long ago; if it can't be read, what it said last stands.
    pub(crate) async fn plan(&self) -> Result<Arc<Plan>, Failure> {
        let (path, last) = match self {
            Self::Fixed(plan) => return Ok(Arc::clone(plan)),
            Self::File { path, last } => (path, last),
        };
        let mut last = last.lock().await;
        if let Some((read, plan)) = &*last
            && read.elapsed() < AGE
        {
            return Ok(Arc::clone(plan));
        }
        let plan = match (read(path).await, &*last) {
            (Ok(plan), _) => Arc::new(plan),
            (Err(error), None) => return Err(error),
            (Err(error), Some((_, plan))) => {
                warn!(%error, "the nameservers that it named before stay in use");
                Arc::clone(plan)
            }
        };
        *last = Some((Instant::now(), Arc::clone(&plan)));
        Ok(plan)
    }
}

async fn read(path: &Path) -> Result<Plan, Failure> {
    let failed = |reason: String| Failure::System { path: path.display().to_string(), reason };
    let text = tokio::fs::read(path).await.map_err(|error| failed(error.to_string()))?;
    let (config, options) = parse_resolv_conf(&text).map_err(|error| failed(error.to_string()))?;
    let nameservers = config.name_servers().iter().take(MAX_NAMESERVERS);
    let search = match config.search() {
        // What the machine's own name ends in.
        [] => config.domain().cloned().into_iter().collect(),
        list => list.iter().take(MAX_SEARCH).cloned().collect(),
    };
    Ok(Plan {
        nameservers: nameservers.map(|nameserver| SocketAddr::new(nameserver.ip, 53)).collect(),
        search,
        ndots: options.ndots,
        within: options.timeout.clamp(Duration::from_secs(1), LONGEST),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nameservers(plan: &Plan) -> Vec<String> {
        plan.nameservers.iter().map(ToString::to_string).collect()
    }

    async fn later() {
        tokio::time::advance(AGE).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_changes_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("resolv.conf");
        let system = System::new(Nameservers::File(path.clone()));
        assert!(system.plan().await.unwrap_err().to_string().starts_with("reading /"));
        std::fs::write(&path, "search a.example b.example\nnameserver 10.0.0.2\noptions ndots:3 timeout:1\n")
            .unwrap();
        let plan = system.plan().await.unwrap();
        assert_eq!(nameservers(&plan), ["10.0.0.2:53"]);
        let search: Vec<_> = plan.search.iter().map(ToString::to_string).collect();
        assert_eq!(search, ["a.example", "b.example"]);
        assert_eq!((plan.ndots, plan.within), (3, Duration::from_secs(1)));
        std::fs::write(&path, "nameserver 10.0.0.3\nnameserver ::1\n").unwrap();
        assert_eq!(nameservers(&system.plan().await.unwrap()), ["10.0.0.2:53"]);
        later().await;
        assert_eq!(nameservers(&system.plan().await.unwrap()), ["10.0.0.3:53", "[::1]:53"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_is_gone_or_empty_leaves_what_it_said_last() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("resolv.conf");
        std::fs::write(&path, "nameserver 10.0.0.2\n").unwrap();
        let system = System::new(Nameservers::File(path.clone()));
        system.plan().await.unwrap();
        std::fs::write(&path, "").unwrap();
        later().await;
        assert_eq!(nameservers(&system.plan().await.unwrap()), ["10.0.0.2:53"]);
        std::fs::remove_file(&path).unwrap();
        later().await;
        assert_eq!(nameservers(&system.plan().await.unwrap()), ["10.0.0.2:53"]);
    }
}
