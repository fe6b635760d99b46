//! What every implementation of a session must do, over the wire.

mod event;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use discovery_core::Secret;
use futures_util::future::join_all;
use tokio::{
    net::TcpListener,
    sync::watch,
    time::{Instant, timeout},
};

use super::{
    Established, Event, Fault, Mark, What, connector,
    wire::{self, AUTH_FAILED, NO_AUTH, NO_NODE, STRANGER, Said, WRITTEN, Wire, children, data, session},
};
use crate::{
    config::{Client, EnsembleConfig, Timeouts},
    failure::Failure,
};

/// The longest wait for what must happen.
const DEADLINE: Duration = Duration::from_secs(20);
/// What connecting may take where it must fail.
const SHORT: Duration = Duration::from_millis(300);

/// A configuration for each implementation.
fn each(connect: Duration) -> Vec<EnsembleConfig> {
    let timeouts = Timeouts { connect, ..Timeouts::default() };
    let config = EnsembleConfig::new(["zk".parse().unwrap()]).unwrap().with_timeouts(timeouts).unwrap();
    let clients = [Client::ZookeeperAsync, Client::ZookeeperClient];
    clients.iter().filter_map(|client| config.clone().with_client(*client).ok()).collect()
}

async fn connect(config: &EnsembleConfig, address: SocketAddr) -> Result<Established, Failure> {
    let connecting = connector(config);
    timeout(DEADLINE, connecting.connect("zk", address, config)).await.expect("in time")
}

async fn refused(config: &EnsembleConfig, address: SocketAddr) -> String {
    connect(config, address).await.unwrap_err().error().chain()
}

async fn ended(established: &mut Established) -> String {
    loop {
        match timeout(DEADLINE, established.events.recv()).await.expect("an end").expect("an event") {
            Event::Ended(reason) => return reason,
            Event::Fired { .. } => {}
        }
    }
}

async fn all_closed(open: &mut watch::Receiver<usize>) {
    timeout(DEADLINE, open.wait_for(|open| *open == 0)).await.expect("closed").unwrap();
}

fn mark(what: What) -> Mark {
    Mark { member: 7, what }
}

fn lost<T>(answer: &Result<T, Fault>) -> bool {
    matches!(answer, Err(Fault::Lost(_)))
}

#[tokio::test]
async fn requests_get_their_own_answers_however_many_there_are() {
    let names = |asked: &wire::Asked| Some(vec![data(asked.path.as_bytes())]);
    let wire = Wire::start(move |asked| if asked.path.len() > 1 { names(asked) } else { None }).await;
    for config in each(DEADLINE) {
        let established = connect(&config, wire.address).await.unwrap();
        let paths: Vec<_> = (0..1000).map(|n| format!("/node/{n}")).collect();
        let answers = join_all(paths.iter().map(|path| established.session.data(path, None))).await;
        assert!(answers.into_iter().zip(paths).all(|(answer, path)| answer == Ok(path.into_bytes())));
    }
}

#[tokio::test]
async fn each_answer_is_told_for_what_it_is() {
    let wire = Wire::start(|asked| {
        let answer = match asked.path.as_str() {
            "/two" => children(&[b"one", b"other"]),
            "/none" => Said::Error(NO_NODE),
            "/secret" => Said::Error(NO_AUTH),
            _ => return None,
        };
        Some(vec![answer])
    })
    .await;
    for config in each(DEADLINE) {
        let session = connect(&config, wire.address).await.unwrap().session;
        assert_eq!(session.children("/two", None).await.unwrap(), ["one", "other"]);
        assert_eq!(session.data("/some", None).await.unwrap(), b"x");
        assert_eq!(session.exists("/some", None).await, Ok(true));
        assert_eq!(session.exists("/none", None).await, Ok(false));
        assert_eq!(session.children("/none", None).await, Err(Fault::NoNode));
        assert_eq!(session.data("/none", Some(mark(What::Settings))).await, Err(Fault::NoNode));
        let Err(Fault::Refused(reason)) = session.data("/secret", None).await else { panic!("refused") };
        assert!(reason.contains("grant `read`"), "{reason}");
        assert_eq!(session.data("/some", None).await.unwrap(), b"x");
    }
}

#[tokio::test]
async fn a_node_that_holds_nothing_at_all_is_empty() {
    // ZooKeeper's own client makes such nodes: no data is not the same to it as data of no length.
    let nothing = || Said::Answer([&(-1_i32).to_be_bytes()[..], &[0; 68]].concat());
    let wire = Wire::start(move |asked| (asked.path == "/bare").then(|| vec![nothing()])).await;
    for config in each(DEADLINE) {
        let session = connect(&config, wire.address).await.unwrap().session;
        assert_eq!(session.data("/bare", Some(mark(What::Settings))).await.unwrap(), b"");
        assert_eq!(session.data("/some", None).await.unwrap(), b"x");
    }
}

#[tokio::test]
async fn a_port_that_nobody_listens_on_is_told_at_once() {
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for config in each(DEADLINE) {
        let text = refused(&config, address).await;
        assert!(text.starts_with(&format!("connecting to zk at {address}: Connection refused")), "{text}");
    }
}

#[tokio::test]
async fn a_server_that_gives_no_session_is_given_up_in_time() {
    let http = b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec();
    for greeting in [
        vec![],
        vec![Said::Close],
        vec![Said::Bytes(http), Said::Close],
        vec![Said::Bytes(vec![0, 0, 0, 4, 1, 2, 3, 4])],
        vec![Said::Bytes(session(0)), Said::Close],
    ] {
        let mut wire = Wire::greeting(greeting.clone(), |_| Vec::new()).await;
        for config in each(SHORT) {
            let begun = Instant::now();
            let text = refused(&config, wire.address).await;
            assert!(text.starts_with("connecting to zk at 127.0.0.1:"), "{text}");
            assert!(begun.elapsed() < DEADLINE / 2, "{greeting:?}");
            all_closed(&mut wire.open).await;
        }
    }
}

#[tokio::test]
async fn credentials_are_presented_and_never_repeated() {
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    let willing = Wire::start(move |asked| {
        count.fetch_add(usize::from(asked.what == wire::What::Auth), Ordering::Relaxed);
        None
    })
    .await;
    let refusing = |asked: &wire::Asked| asked.what == wire::What::Auth;
    let unwilling =
        Wire::start(move |asked| refusing(asked).then(|| vec![Said::Error(AUTH_FAILED), Said::Close])).await;
    for config in each(DEADLINE) {
        let config = config.with_user("synapse", &Secret::new("hunter2")).unwrap();
        seen.store(0, Ordering::Relaxed);
        connect(&config, willing.address).await.unwrap();
        assert_eq!(seen.load(Ordering::Relaxed), 1);
        let text = refused(&config, unwilling.address).await;
        assert!(text.contains("the server does not take the credentials"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[tokio::test]
async fn a_server_that_wants_to_be_told_who_asks_before_anything_else_is_told() {
    let told = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&told);
    let wire = Wire::start(move |asked| {
        count.fetch_add(usize::from(asked.what == wire::What::Auth), Ordering::Relaxed);
        let stranger = count.load(Ordering::Relaxed) == 0 && asked.what != wire::What::Other;
        stranger.then(|| vec![Said::Error(STRANGER), Said::Close])
    })
    .await;
    for config in each(DEADLINE) {
        told.store(0, Ordering::Relaxed);
        let config = config.with_user("synapse", &Secret::new("hunter2")).unwrap();
        let session = connect(&config, wire.address).await.unwrap().session;
        assert_eq!(session.data("/web", None).await.unwrap(), b"x");
    }
}

#[tokio::test]
async fn a_session_ends_with_its_connection() {
    let mut wire = Wire::start(|asked| (asked.path == "/go").then(|| vec![Said::Close])).await;
    for config in each(DEADLINE) {
        let mut established = connect(&config, wire.address).await.unwrap();
        let session = Arc::clone(&established.session);
        session.data("/web", Some(mark(What::Settings))).await.unwrap();
        let (first, other) = tokio::join!(session.data("/go", None), session.data("/web", None));
        assert!(lost(&first) && lost(&other), "{first:?} {other:?}");
        let reason = ended(&mut established).await;
        assert!(reason.to_lowercase().contains("connection"), "{reason}");
        // It does not connect again by itself.
        all_closed(&mut wire.open).await;
        assert_eq!(session.data("/web", None).await, Err(Fault::Lost(reason)));
    }
}

#[tokio::test]
async fn a_panic_in_the_client_ends_its_session_alone() {
    let binary: &[u8] = &[0xff, 0xfe];
    let mut wire = Wire::start(move |asked| {
        Some(match asked.path.as_str() {
            "/names" => vec![children(&[b"one", binary])],
            "/short" => vec![Said::Answer(vec![0; 3])],
            "/event" => vec![data(b""), Said::Event(WRITTEN, binary.to_vec())],
            _ => return None,
        })
    })
    .await;
    for config in each(DEADLINE) {
        let other = connect(&config, wire.address).await.unwrap();
        for path in ["/names", "/short", "/event"] {
            let mut established = connect(&config, wire.address).await.unwrap();
            let session = Arc::clone(&established.session);
            let answer = match path {
                "/names" => session.children(path, None).await.map(drop),
                _ => session.data(path, None).await.map(drop),
            };
            assert!(path == "/event" || lost(&answer), "{path} {answer:?}");
            ended(&mut established).await;
            assert!(lost(&session.data("/web", None).await));
        }
        assert_eq!(other.session.data("/web", None).await.unwrap(), b"x");
        drop(other);
        all_closed(&mut wire.open).await;
    }
}

#[tokio::test]
async fn a_server_that_hangs_keeps_nobody_from_leaving() {
    let silent = |asked: &wire::Asked| asked.path == "/hang" || asked.what == wire::What::Close;
    let mut wire = Wire::start(move |asked| silent(asked).then(Vec::new)).await;
    for config in each(DEADLINE) {
        let established = connect(&config, wire.address).await.unwrap();
        let session = &established.session;
        assert!(timeout(SHORT, session.data("/hang", Some(mark(What::Settings)))).await.is_err());
        let begun = Instant::now();
        session.close().await;
        assert!(begun.elapsed() < Duration::from_secs(5));
        assert!(lost(&session.data("/web", None).await));
        all_closed(&mut wire.open).await;
    }
}

#[tokio::test]
async fn a_request_that_is_dropped_leaves_the_session_in_order() {
    let wire = Wire::start(|asked| {
        let late = || vec![data(asked.path.as_bytes())];
        (asked.path.len() > 1).then(late)
    })
    .await;
    for config in each(DEADLINE) {
        let session = connect(&config, wire.address).await.unwrap().session;
        for n in 0..200 {
            let path = format!("/dropped/{n}");
            let dropped = session.data(&path, Some(mark(What::Settings)));
            tokio::select! {
                biased;
                _ = dropped => {}
                () = tokio::task::yield_now() => {}
            }
            let path = format!("/kept/{n}");
            assert_eq!(session.data(&path, None).await, Ok(path.clone().into_bytes()));
        }
    }
}

#[tokio::test]
async fn closing_says_goodbye_and_dropping_hangs_up() {
    let goodbyes = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&goodbyes);
    let mut wire = Wire::start(move |asked| {
        count.fetch_add(usize::from(asked.what == wire::What::Close), Ordering::Relaxed);
        None
    })
    .await;
    for config in each(DEADLINE) {
        let established = connect(&config, wire.address).await.unwrap();
        established.session.data("/web", Some(mark(What::Settings))).await.unwrap();
        established.session.close().await;
        all_closed(&mut wire.open).await;
        assert_eq!(goodbyes.swap(0, Ordering::Relaxed), 1);
        let established = connect(&config, wire.address).await.unwrap();
        established.session.data("/web", Some(mark(What::Settings))).await.unwrap();
        drop(established);
        all_closed(&mut wire.open).await;
    }
}

#[tokio::test]
async fn a_connection_that_is_given_up_leaves_nothing_behind() {
    let mut wire = Wire::greeting(vec![], |_| Vec::new()).await;
    for config in each(DEADLINE) {
        let mut seen = wire.open.clone();
        let begun = async { timeout(DEADLINE, seen.wait_for(|open| *open == 1)).await.map(drop) };
        tokio::select! {
            _ = connect(&config, wire.address) => panic!("nobody gave a session"),
            begun = begun => begun.unwrap(),
        }
        all_closed(&mut wire.open).await;
    }
}

#[tokio::test]
async fn an_answer_larger_than_any_buffer_is_read_whole() {
    let names: Vec<String> = (0..50_000).map(|n| format!("a-rather-long-name-of-a-member_{n:010}")).collect();
    let sent = names.clone();
    let wire = Wire::start(move |asked| {
        let all = || sent.iter().map(String::as_bytes).collect::<Vec<_>>();
        (asked.path == "/web").then(|| vec![children(&all())])
    })
    .await;
    for config in each(DEADLINE) {
        let session = connect(&config, wire.address).await.unwrap().session;
        assert_eq!(session.children("/web", None).await.unwrap(), names);
    }
}
