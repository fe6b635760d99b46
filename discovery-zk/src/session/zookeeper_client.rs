//! Sessions by the crate `zookeeper-client`, for TLS and SASL.
//!
//! The crate keeps a session across connections. What it then leaves out cannot be seen here, so the first loss of a connection ends the
//! session, as with `zookeeper-async`, and its [`Life`] with it.
//!
//! Events of watches whose answers were not seen when they fired may come before older events of others; all of them come before any answer
//! to what is asked afterwards.

mod journal;
mod tls;

use std::{
    collections::HashMap,
    fmt,
    net::SocketAddr,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use journal::Journal;
use tokio::{
    net::TcpStream,
    runtime::Handle,
    sync::mpsc,
    time::{sleep, timeout},
};
use tracing::{Dispatch, instrument::WithSubscriber};
use zookeeper_client::{Client, Error, EventType, OneshotWatcher, SaslOptions, SessionState};

use super::{
    CLOSING, Connect, Established, Event, Fault, LOST, Mark, Session, UNREADABLE, UNTAKEN, UNUSABLE,
    connecting, denied, late,
    life::{Life, Owner},
};
use crate::{config::EnsembleConfig, failure::Failure};

/// What the crate says when the server has answered SASL, or credentials, before it answered the wish for a session, and the one was
/// taken for the other. Servers on Netty do so about every other time.
const OUT_OF_TURN: [&str; 2] = ["unsupported server version", "connect::ConnectResponse"];
/// How long after that it is tried again.
const PAUSE: Duration = Duration::from_millis(10);

/// Connects by `zookeeper-client`.
#[derive(Debug)]
pub(super) struct ZookeeperClient;

#[async_trait]
impl Connect for ZookeeperClient {
    async fn connect(
        &self,
        name: &str,
        address: SocketAddr,
        config: &EnsembleConfig,
    ) -> Result<Established, Failure> {
        let within = config.timeouts().connect;
        let failure = |cause: &str| Failure::new(connecting(name, address), cause);
        let journal = Journal::default();
        match timeout(within, establish(name, address, config, &journal)).await {
            Ok(established) => established.map_err(|cause| failure(&cause)),
            Err(_) => Err(failure(&journal.last().unwrap_or_else(|| late(within)))),
        }
    }
}

async fn establish(
    name: &str,
    address: SocketAddr,
    config: &EnsembleConfig,
    journal: &Journal,
) -> Result<Established, String> {
    // The crate tells nobody why it cannot connect.
    drop(TcpStream::connect(address).await.map_err(|error| error.to_string())?);
    let (sender, events) = mpsc::unbounded_channel();
    let owner = Life::begin(sender).map_err(|error| format!("starting a thread: {error}"))?;
    let life = Arc::clone(&owner.0);
    let handle = life.handle().ok_or(UNUSABLE)?;
    let client = start(name, address, config, journal, &handle).await?;
    let mut states = client.state_watcher();
    if client.state() != SessionState::SyncConnected {
        return Err(LOST.to_owned());
    }
    handle.spawn(async move { life.end(reason(states.changed().await)) });
    let session = Held { client: Mutex::new(Some(Arc::new(client))), armed: Mutex::default(), owner };
    for auth in config.auth() {
        let client = session.client().map_err(|_| UNUSABLE)?;
        let added = session.put(client.auth(&auth.scheme, auth.credentials.reveal().as_bytes())).await;
        added.map_err(|fault| denied(&auth.scheme, &fault))?;
    }
    Ok(Established { session: Arc::new(session), events })
}

/// Connects, until there is a session or a reason why there is none.
async fn start(
    name: &str,
    address: SocketAddr,
    config: &EnsembleConfig,
    journal: &Journal,
    handle: &Handle,
) -> Result<Client, String> {
    let mut connector =
        Client::connector().with_session_timeout(config.timeouts().session).with_fail_eagerly();
    if let Some(sasl) = config.sasl() {
        let password = sasl.password.reveal().to_owned();
        connector = connector.with_sasl(SaslOptions::digest_md5(sasl.user.clone(), password));
    }
    let at = match config.tls() {
        None => address.to_string(),
        Some(tls) => {
            connector = connector.with_tls(tls::options(tls, handle).await?);
            tls::at(name, address.port())
        }
    };
    let mut introduced = false;
    loop {
        let (trying, at) = (connector.clone(), at.clone());
        // In the life: the crate spawns its tasks wherever it is polled, and panics on names that no certificate can have.
        let connecting = async move { trying.connect(&at).await }.with_subscriber(journal.dispatch());
        match handle.spawn(connecting).await {
            Ok(Ok(client)) => return Ok(client),
            Ok(Err(Error::AuthFailed)) if !introduced && !config.auth().is_empty() => {
                // It may take no question of a stranger (`enforce.auth.schemes`), not even a ping.
                introduced = true;
                for auth in config.auth() {
                    connector = connector.with_auth(&auth.scheme, auth.credentials.reveal().as_bytes());
                }
            }
            Ok(Err(error)) => {
                let reason = refusal(&error, journal);
                let early = introduced || config.sasl().is_some();
                if !early || !OUT_OF_TURN.iter().any(|said| reason.contains(said)) {
                    return Err(reason);
                }
            }
            Err(_) => return Err(UNUSABLE.to_owned()),
        }
        sleep(PAUSE).await;
    }
}

/// Why there is no session.
fn refusal(error: &Error, journal: &Journal) -> String {
    match error {
        Error::AuthFailed => UNTAKEN.to_owned(),
        error => journal.last().unwrap_or_else(|| error.to_string()),
    }
}

fn reason(state: SessionState) -> &'static str {
    match state {
        SessionState::Expired => "the session has expired",
        SessionState::AuthFailed => UNTAKEN,
        SessionState::Closed => "the session is closed",
        SessionState::Disconnected | SessionState::SyncConnected => LOST,
        SessionState::ConnectedReadOnly => "the server has no quorum",
    }
}

/// Tells when a member's watches fire, until there is nobody who could arm another: then the crate lets go of those that are armed.
async fn forward(mut watches: mpsc::UnboundedReceiver<(Mark, OneshotWatcher)>, life: Arc<Life>) {
    let mut armed = FuturesUnordered::new();
    loop {
        tokio::select! {
            watch = watches.recv() => {
                let Some((mark, watch)) = watch else { return };
                armed.push(watch.changed().map(move |event| (mark, event.event_type)));
            }
            Some((mark, event)) = armed.next() => match event {
                // The state that it tells of is seen elsewhere.
                EventType::Session => {}
                event => life.tell(Event::Fired { mark, gone: event == EventType::NodeDeleted }),
            },
        }
    }
}

struct Held {
    /// `None` once it was closed.
    client: Mutex<Option<Arc<Client>>>,
    /// By member: what takes its watches.
    armed: Mutex<HashMap<u64, mpsc::UnboundedSender<(Mark, OneshotWatcher)>>>,
    owner: Owner,
}

impl Held {
    fn client(&self) -> Result<Arc<Client>, Fault> {
        let client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        client.as_ref().map(Arc::clone).ok_or_else(|| self.owner.0.lost(UNUSABLE))
    }

    async fn put<T>(&self, request: impl Future<Output = Result<T, Error>> + Send) -> Result<T, Fault> {
        // Answers are read here, and the crate panics on some that it does not expect.
        let request = AssertUnwindSafe(request).catch_unwind().with_subscriber(Dispatch::none());
        let life = &self.owner.0;
        match request.await {
            Ok(Ok(answer)) => life.check(answer),
            Ok(Err(error)) => Err(fault(&error, life)),
            Err(_) => Err(life.lost(UNUSABLE)),
        }
    }

    fn keep(&self, mark: Mark, watch: OneshotWatcher) {
        let mut armed = self.armed.lock().unwrap_or_else(PoisonError::into_inner);
        let taker = armed.entry(mark.member).or_insert_with(|| {
            let (taker, watches) = mpsc::unbounded_channel();
            if let Some(handle) = self.owner.0.handle() {
                handle.spawn(forward(watches, Arc::clone(&self.owner.0)));
            }
            taker
        });
        // Nobody takes it from a session that has ended.
        let _ = taker.send((mark, watch));
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").finish_non_exhaustive()
    }
}

fn fault(error: &Error, life: &Life) -> Fault {
    match error {
        Error::NoNode => Fault::NoNode,
        Error::NoAuth => Fault::Refused(UNREADABLE.to_owned()),
        Error::BadArguments(_)
        | Error::BadVersion
        | Error::InvalidAcl
        | Error::MarshallingError
        | Error::NotReadOnly
        | Error::QuotaExceeded
        | Error::Throttled
        | Error::UnexpectedErrorCode(_)
        | Error::Unimplemented => Fault::Refused(format!("the server answers with an error: {error}")),
        Error::AuthFailed => {
            // The server also hangs up, and that may have been seen first.
            life.end(UNTAKEN);
            Fault::Lost(UNTAKEN.to_owned())
        }
        Error::ConnectionLoss => life.lost(LOST),
        Error::SessionExpired => life.lost("the session has expired"),
        Error::UnmarshalError { .. } => life.lost(UNUSABLE),
        error => life.lost(&error.to_string()),
    }
}

#[async_trait]
impl Session for Held {
    async fn children(&self, path: &str, mark: Option<Mark>) -> Result<Vec<String>, Fault> {
        let client = self.client()?;
        let Some(mark) = mark else { return self.put(client.list_children(path)).await };
        let (children, watch) = self.put(client.list_and_watch_children(path)).await?;
        self.keep(mark, watch);
        Ok(children)
    }

    async fn data(&self, path: &str, mark: Option<Mark>) -> Result<Vec<u8>, Fault> {
        let client = self.client()?;
        let Some(mark) = mark else {
            return self.put(client.get_data(path)).await.map(|(data, _)| data);
        };
        let (data, _, watch) = self.put(client.get_and_watch_data(path)).await?;
        self.keep(mark, watch);
        Ok(data)
    }

    async fn exists(&self, path: &str, mark: Option<Mark>) -> Result<bool, Fault> {
        let client = self.client()?;
        let Some(mark) = mark else {
            return self.put(client.check_stat(path)).await.map(|stat| stat.is_some());
        };
        let (stat, watch) = self.put(client.check_and_watch_stat(path)).await?;
        self.keep(mark, watch);
        Ok(stat.is_some())
    }

    fn forget(&self, member: u64, _path: &str) {
        // Without anybody to take more, those that it has taken are dropped.
        self.armed.lock().unwrap_or_else(PoisonError::into_inner).remove(&member);
    }

    async fn close(&self) {
        let client = self.client.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(client) = client {
            // It says goodbye when the last handle is dropped, which those hold that still wait for an answer.
            let mut states = client.state_watcher();
            drop(client);
            let closed = async { while states.changed().await != SessionState::Closed {} };
            let _ = timeout(CLOSING, closed).await;
        }
        self.owner.0.end("the session is closed");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use discovery_core::Secret;

    use super::*;
    use crate::{
        config::Sasl,
        session::wire::{self, Said, Wire, session},
    };

    #[tokio::test]
    async fn a_server_that_answers_sasl_out_of_turn_is_asked_again() {
        let first = AtomicBool::new(true);
        // SASL succeeds when there is nothing more to say.
        let done = || Said::Answer((-1_i32).to_be_bytes().to_vec());
        let wire = Wire::greeting(Vec::new(), move |asked| match asked.what {
            wire::What::Other if first.swap(false, Ordering::Relaxed) => vec![done()],
            wire::What::Other => vec![Said::Bytes(session(10_000)), done()],
            _ => wire::usual(asked),
        })
        .await;
        let sasl = Sasl { user: "synapse".to_owned(), password: Secret::new("hunter2") };
        let config = EnsembleConfig::new(["zk".parse().unwrap()]).unwrap().with_sasl(sasl).unwrap();
        let established = ZookeeperClient.connect("zk", wire.address, &config).await.unwrap();
        assert_eq!(established.session.data("/web", None).await.unwrap(), b"x");
    }

    #[tokio::test]
    async fn a_server_that_answers_credentials_out_of_turn_is_asked_again() {
        let connections = AtomicUsize::new(0);
        let wire = Wire::greeting(Vec::new(), move |asked| {
            let begins = usize::from(asked.what == wire::What::Connect);
            let nth = connections.fetch_add(begins, Ordering::Relaxed) + begins;
            let session = || Said::Bytes(session(10_000));
            match (nth, asked.what) {
                (2, wire::What::Connect) => Vec::new(),
                (2, wire::What::Auth) => vec![Said::Answer(Vec::new()), session()],
                (_, wire::What::Connect) => vec![session()],
                (1, _) => vec![Said::Error(wire::STRANGER), Said::Close],
                _ => wire::usual(asked),
            }
        })
        .await;
        let config = EnsembleConfig::new(["zk".parse().unwrap()]).unwrap();
        let config = config.with_user("synapse", &Secret::new("hunter2")).unwrap();
        let established = ZookeeperClient.connect("zk", wire.address, &config).await.unwrap();
        assert_eq!(established.session.data("/web", None).await.unwrap(), b"x");
    }
}
