//! Sessions by the crate `zookeeper-async`.
//!
//! When the crate reconnects by itself it loses watches and credentials, and nothing but the end of the runtime that it runs in
//! stops it. So a client gets one address and a [`Life`] of its own, and both end with the first sign of
//! anything but a connection in order.
//!
//! The crate's own watches cost half a kilobyte each, and stay for ever when they are asked for on a node that is not there. So they
//! are not used: it tells of all events by path, and a [`Ledger`] knows who wants to know.

use std::{fmt, net::SocketAddr, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::FutureExt;
use tokio::{
    net::TcpStream,
    sync::{Semaphore, mpsc},
    time::timeout,
};
use tracing::{Dispatch, instrument::WithSubscriber};
use zookeeper_async::{WatchedEvent, WatchedEventType, Watcher, ZkError, ZkResult, ZkState, ZooKeeper};

use super::{
    CLOSING, Connect, Established, Event, Fault, LOST, Mark, Session, UNDER_WAY, UNREADABLE, UNTAKEN,
    UNUSABLE, connecting, denied, late,
    ledger::{Change, Kind, Ledger},
    life::{Life, Owner},
};
use crate::{config::EnsembleConfig, failure::Failure};

/// How many requests the crate is given at a time. Its queue takes 64, and it stops for ever when it finds that queue full at the moment
/// at which it wants to send a ping.
const TURNS: usize = 60;
const _: () = assert!(UNDER_WAY < TURNS);
/// How long the crate pauses before it connects again by itself: any pause will do, it does not come to that.
const PAUSE: Duration = Duration::from_secs(1);

/// Connects by `zookeeper-async`.
#[derive(Debug)]
pub(super) struct ZookeeperAsync;

#[async_trait]
impl Connect for ZookeeperAsync {
    async fn connect(
        &self,
        name: &str,
        address: SocketAddr,
        config: &EnsembleConfig,
    ) -> Result<Established, Failure> {
        let within = config.timeouts().connect;
        let failure = |cause: &str| Failure::new(connecting(name, address), cause);
        match timeout(within, establish(address, config)).await {
            Ok(established) => established.map_err(|cause| failure(&cause)),
            Err(_) => Err(failure(&late(within))),
        }
    }
}

async fn establish(address: SocketAddr, config: &EnsembleConfig) -> Result<Established, String> {
    // The crate would try for ever, and say nothing of the reason.
    drop(TcpStream::connect(address).await.map_err(|error| error.to_string())?);
    let (mut session, mut events) = begin(address, config).await?;
    if !proven(&session).await? && !config.auth().is_empty() {
        // It may take no question of a stranger (`enforce.auth.schemes`), and hangs up then. Not tried first: the answer to
        // credentials can come before the one to the wish for a session, and be taken for that.
        (session, events) = begin(address, config).await?;
        introduce(&session, config).await?;
        proven(&session).await?;
    } else {
        introduce(&session, config).await?;
    }
    Ok(Established { session: Arc::new(session), events })
}

async fn begin(
    address: SocketAddr,
    config: &EnsembleConfig,
) -> Result<(Client, mpsc::UnboundedReceiver<Event>), String> {
    let (sender, events) = mpsc::unbounded_channel();
    let owner = Life::begin(sender).map_err(|error| format!("starting a thread: {error}"))?;
    Ok((start(owner, address, config.timeouts().session).await?, events))
}

/// Waits until there is a session; `false` if its first question was refused. Whoever refuses has a session.
async fn proven(session: &Client) -> Result<bool, String> {
    match session.exists("/", None).await {
        Ok(_) | Err(Fault::NoNode) => Ok(true),
        Err(Fault::Refused(_)) => Ok(false),
        Err(Fault::Lost(cause)) => Err(cause),
    }
}

/// Presents all credentials.
async fn introduce(session: &Client, config: &EnsembleConfig) -> Result<(), String> {
    for auth in config.auth() {
        let credentials = auth.credentials.reveal().as_bytes().to_vec();
        let added = session.ask(session.zookeeper.add_auth(&auth.scheme, credentials)).await;
        added.map_err(|fault| denied(&auth.scheme, &fault))?;
    }
    Ok(())
}

/// Starts a client; it has no session yet.
async fn start(owner: Owner, address: SocketAddr, session: Duration) -> Result<Client, String> {
    let life = Arc::clone(&owner.0);
    let ledger = Arc::new(Ledger::default());
    let teller = Teller { life: Arc::clone(&life), ledger: Arc::clone(&ledger) };
    let connecting =
        async move { ZooKeeper::connect_with_retry_time(&address.to_string(), session, teller, PAUSE).await };
    let client = life.handle().ok_or(UNUSABLE)?.spawn(connecting).await.map_err(|_| UNUSABLE)?;
    let client = client.map_err(|error| error.to_string())?;
    client.add_listener(move |state| {
        if let Some(reason) = reason(state) {
            life.end(reason);
        }
    });
    Ok(Client { zookeeper: client, ledger, owner, turns: Semaphore::new(TURNS) })
}

/// Why a session has ended that comes to this state, if so.
fn reason(state: ZkState) -> Option<&'static str> {
    match state {
        ZkState::Connected => None,
        ZkState::Connecting => Some(LOST),
        ZkState::ConnectedReadOnly => Some("the server has no quorum"),
        ZkState::AuthFailed => Some(UNTAKEN),
        ZkState::Closed => Some("the session is closed"),
        // Of the names that the crate calls deprecated it still uses one, for this.
        _ => Some("the session has expired"),
    }
}

/// Hears of all events. The crate drops it when it stops for whatever reason, a panic of its own among them.
struct Teller {
    life: Arc<Life>,
    ledger: Arc<Ledger>,
}

impl Watcher for Teller {
    fn handle(&self, event: WatchedEvent) {
        let change = match event.event_type {
            WatchedEventType::NodeCreated | WatchedEventType::NodeDataChanged => Change::Data,
            WatchedEventType::NodeChildrenChanged => Change::Children,
            WatchedEventType::NodeDeleted => Change::Deleted,
            WatchedEventType::None
            | WatchedEventType::DataWatchRemoved
            | WatchedEventType::ChildWatchRemoved => return,
        };
        for (mark, gone) in self.ledger.fire(event.path.as_deref().unwrap_or_default(), change) {
            self.life.tell(Event::Fired { mark, gone });
        }
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        self.life.end(UNUSABLE);
    }
}

struct Client {
    zookeeper: ZooKeeper,
    ledger: Arc<Ledger>,
    owner: Owner,
    turns: Semaphore,
}

impl Client {
    async fn ask<T>(&self, request: impl Future<Output = ZkResult<T>> + Send) -> Result<T, Fault> {
        let _turn = self.turns.acquire().await.expect("it is never closed");
        self.put(request).await
    }

    /// Asks, and keeps the ledger.
    async fn watch<T>(
        &self,
        path: &str,
        kind: Kind,
        mark: Option<Mark>,
        request: impl Future<Output = ZkResult<T>> + Send,
    ) -> Result<T, Fault> {
        let Some(mark) = mark else { return self.ask(request).await };
        let _turn = self.turns.acquire().await.expect("it is never closed");
        let arming = self.ledger.arm(path, kind, mark);
        let answer = self.put(request).await;
        match &answer {
            Ok(_) => self.ledger.armed(path, arming),
            Err(_) => self.ledger.disarm(path, arming),
        }
        answer
    }

    async fn put<T>(&self, request: impl Future<Output = ZkResult<T>> + Send) -> Result<T, Fault> {
        // Answers are read here, and the crate panics on some that it does not expect.
        let request = AssertUnwindSafe(request).catch_unwind().with_subscriber(Dispatch::none());
        let life = &self.owner.0;
        match request.await {
            Ok(Ok(answer)) => life.check(answer),
            Ok(Err(error)) => Err(fault(error, life)),
            Err(_) => Err(life.lost(UNUSABLE)),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

fn fault(error: ZkError, life: &Life) -> Fault {
    match error {
        ZkError::NoNode => Fault::NoNode,
        ZkError::NoAuth => Fault::Refused(UNREADABLE.to_owned()),
        ZkError::ConnectionLoss => life.lost(LOST),
        ZkError::SessionExpired => life.lost("the session has expired"),
        ZkError::SessionMoved => life.lost("the session has moved to another server"),
        ZkError::AuthFailed => {
            // The server also hangs up, and that may have been seen first.
            life.end(UNTAKEN);
            Fault::Lost(UNTAKEN.to_owned())
        }
        ZkError::MarshallingError => life.lost(UNUSABLE),
        // This is also what the crate calls any error that it does not know.
        ZkError::Unimplemented => Fault::Refused("the server cannot do this, or not now".to_owned()),
        other => Fault::Refused(format!("the server answers with an error: {other}")),
    }
}

#[async_trait]
impl Session for Client {
    async fn children(&self, path: &str, watch: Option<Mark>) -> Result<Vec<String>, Fault> {
        let request = self.zookeeper.get_children(path, watch.is_some());
        self.watch(path, Kind::Children, watch, request).await
    }

    async fn data(&self, path: &str, watch: Option<Mark>) -> Result<Vec<u8>, Fault> {
        let request = self.zookeeper.get_data(path, watch.is_some());
        self.watch(path, Kind::Data, watch, request).await.map(|(data, _)| data)
    }

    async fn exists(&self, path: &str, watch: Option<Mark>) -> Result<bool, Fault> {
        let request = self.zookeeper.exists(path, watch.is_some());
        self.watch(path, Kind::Data, watch, request).await.map(|stat| stat.is_some())
    }

    fn forget(&self, member: u64, path: &str) {
        self.ledger.forget(member, path);
    }

    async fn close(&self) {
        // Whether the server took leave of us makes no difference any more.
        let _ = timeout(CLOSING, self.put(self.zookeeper.close())).await;
        self.owner.0.end("the session is closed");
    }
}
