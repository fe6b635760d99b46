//! A choice that a file makes.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{sync::watch, task::spawn_blocking, time::sleep};
use tracing::{info, warn};

use super::{
    child::Driven,
    weights::{MAX_BYTES, Weights, hash},
};
use crate::{error::WatchError, snapshot::Rejection};

/// The child that is chosen while no file says another.
const PRIMARY: &str = "primary";

/// Chooses a child by the [`Weights`] in a file, which is read again and again.
///
/// The choice hangs on the weights, the service and the host, and on nothing else: the same file means the same child, also
/// after a restart. Each host chooses for itself, and of many hosts as many choose each child as its share of the weights.
///
/// A file that can't be read, is not [`Weights`], or has a weight for something that is no child, changes nothing: the last
/// choice stays. Until there was one, it is the child called `primary`, or else the first. What is wrong with the file is logged, and
/// told as a rejected entry of the whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toggle {
    path: PathBuf,
    every: Duration,
    seed: Option<u64>,
}

impl Toggle {
    /// How often to read the file when nothing else is asked for: every second.
    pub const EVERY: Duration = Duration::from_secs(1);

    /// By the file at `path`, read every so often. Less than a millisecond is taken for one. Nothing is read yet.
    ///
    /// Hosts are told apart by `/etc/machine-id` and their name. Where there is neither, the choice is made anew at each
    /// start.
    pub fn new(path: impl Into<PathBuf>, every: Duration) -> Self {
        Self { path: path.into(), every: every.max(Duration::from_millis(1)), seed: None }
    }

    /// Chooses by this number instead of by host and service: see [`Weights::choose`].
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    pub(super) fn dial(self, service: &str, names: Vec<Arc<str>>) -> Dial {
        let first = names.iter().position(|name| &**name == PRIMARY).unwrap_or(0);
        let (turn, seen) = watch::channel(Position { chosen: first, read: false, problem: None });
        let service = Arc::from(service);
        Dial { work: Some(Box::pin(follow(self, service, names, turn))), seen }
    }
}

/// What the file says, as far as it was read.
pub(super) struct Dial {
    work: Option<Driven>,
    seen: watch::Receiver<Position>,
}

#[derive(Debug, Clone)]
struct Position {
    chosen: usize,
    /// Whether the file was looked at.
    read: bool,
    problem: Option<Rejection>,
}

impl Dial {
    pub(super) fn chosen(&self) -> usize {
        self.seen.borrow().chosen
    }

    /// Whether the file was looked at, with whatever success.
    pub(super) fn is_set(&self) -> bool {
        self.seen.borrow().read
    }

    pub(super) fn problem(&self) -> Option<Rejection> {
        self.seen.borrow().problem.clone()
    }

    /// Lets it read. Whether anything is different.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> bool {
        if let Some(work) = &mut self.work
            && let Poll::Ready(()) = work.as_mut().poll(context)
        {
            self.work = None;
        }
        let changed = self.seen.has_changed().unwrap_or(false);
        self.seen.mark_unchanged();
        changed
    }
}

async fn follow(toggle: Toggle, service: Arc<str>, names: Vec<Arc<str>>, turn: watch::Sender<Position>) {
    let Toggle { path, every, seed } = toggle;
    let seed = if let Some(seed) = seed {
        seed
    } else {
        let service = Arc::clone(&service);
        spawn_blocking(move || here(&service)).await.unwrap_or_else(|_| fastrand::u64(..))
    };
    let source = path.display().to_string();
    let name = |index: usize| names.get(index).map(|name| &**name);
    loop {
        let file = path.clone();
        let read = match spawn_blocking(move || read(&file)).await {
            Ok(read) => read,
            Err(error) => Err(WatchError::new("reading it").because(error)),
        };
        let weights = read.and_then(|text| {
            let weights = Weights::parse(&text).and_then(|weights| weights.only(&names));
            weights.map_err(|error| WatchError::new("reading the weights").because(error))
        });
        turn.send_if_modified(|now| {
            let first = !std::mem::replace(&mut now.read, true);
            let (chosen, problem) = match &weights {
                Ok(weights) => (weights.choose(&names, seed).unwrap_or(now.chosen), None),
                Err(error) => (now.chosen, Some(Rejection::new(&source, &error.chain()))),
            };
            if let Some(problem) = problem.as_ref().filter(|problem| now.problem.as_ref() != Some(*problem)) {
                let stays = name(now.chosen);
                warn!(
                    service = &*service,
                    source,
                    error = problem.reason(),
                    stays,
                    "no choice can be read from the file: the last one stays"
                );
            }
            if chosen != now.chosen || (first && problem.is_none()) {
                info!(service = &*service, source, chosen = name(chosen), "a file chooses the source");
            }
            let changed = first || chosen != now.chosen || problem != now.problem;
            (now.chosen, now.problem) = (chosen, problem);
            changed
        });
        sleep(every).await;
    }
}

/// A number for a service on this host. Blocks.
fn here(service: &str) -> u64 {
    let identity =
        ["/etc/machine-id", "/proc/sys/kernel/hostname"].map(|path| fs::read(path).unwrap_or_default());
    if identity.iter().all(|part| part.trim_ascii().is_empty()) {
        return fastrand::u64(..);
    }
    hash(identity.concat().into_iter().chain(service.bytes()))
}

/// Reads the file. Blocks.
fn read(path: &Path) -> Result<String, WatchError> {
    let failed = |error: io::Error| WatchError::new("reading the file").because(error);
    // Before it is opened: opening a named pipe waits for somebody to write to it.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(failed(io::Error::other("not a regular file")));
    }
    let mut text = String::new();
    // One byte more than is allowed: then parsing says that it is too long.
    let file = fs::File::open(path).map_err(failed)?;
    file.take(MAX_BYTES as u64 + 1).read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_one_number_for_a_service_and_others_for_others() {
        assert_eq!(here("web"), here("web"));
        assert_ne!(here("web"), here("db"));
    }
}
