//! Disks that hang and disks that are full, behind a HAProxy that answers.

#[allow(dead_code, reason = "shared with other tests, each of which needs some of it")]
#[path = "../../tests/socket/fake.rs"]
mod fake;

use std::{
    fs::File,
    io,
    num::NonZeroU16,
    sync::atomic::{AtomicBool, Ordering},
};

use haproxy_render::{Address, Backend, Line, Name, Server, ServerId, Service, render};
use tempfile::TempDir;
use tokio::{sync::Mutex, time::timeout};

use self::fake::{Does, Fake, Says};
use super::*;
use crate::{
    error::{ApplyError, Step},
    file::Staging,
    socket::Limits,
};

const DEADLINE: Duration = Duration::from_secs(30);

const SERVERS: &str = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight \
    srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state \
    bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr \
    srv_agent_port\n";
const STAT: &str = "# pxname,svname,scur,slim,act,bck,cookie,type,check_rise,check_fall,\n";

/// A service with these lines and as many servers.
fn document(servers: u32, lines: &[&str]) -> Document {
    let web = Name::parse("web").unwrap();
    let mut backend =
        Backend::new(web.clone(), lines.iter().map(|line| Line::parse(line).unwrap()).collect());
    let server = |id: u32| {
        let (name, port) = (Name::parse(&format!("s{id}")).unwrap(), NonZeroU16::MIN);
        let address = Address::parse("127.0.0.1").unwrap();
        Server::builder(name, address, port, ServerId::new(id).unwrap()).build().unwrap()
    };
    backend.servers = (1..=servers).map(server).collect();
    let mut document = Document::default();
    document.services.push(Arc::new(Service::new(web, backend)));
    document
}

struct Place {
    directory: TempDir,
    fake: Fake,
}

impl Place {
    /// A process without servers, a file that says so, and who follows both on a disk that does this when it is to be sure.
    async fn new(sync: fn(&File) -> io::Result<()>) -> (Self, Live) {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join(".synapse")).unwrap();
        let path = directory.path().join("haproxy.cfg");
        std::fs::write(&path, render(&document(0, &[]))).unwrap();
        let fake = Fake::process(&Says::new(7), |command| match command {
            "show servers state" => Does::Says(SERVERS.to_owned()),
            "show stat -1 4 -1" => Does::Says(STAT.to_owned()),
            add if add.starts_with("add server") => Does::Says("New server registered.".to_owned()),
            _ => Does::Says(String::new()),
        });
        let sockets = Sockets::parse([fake.path().to_str().unwrap()], Limits::default()).unwrap();
        let file = ConfigFile::open(&path, Staging::Beside).unwrap().with_sync(sync);
        let mut live = Live::new(file, sockets, Pace::new(Duration::ZERO, 0.0).unwrap());
        live.apply(&document(0, &[])).await.unwrap();
        live.flush().await.unwrap();
        (Self { directory, fake }, live)
    }

    /// How many servers the file has.
    fn file(&self) -> usize {
        let text = std::fs::read_to_string(self.directory.path().join("haproxy.cfg")).unwrap();
        text.matches("\tserver s").count()
    }

    /// How many servers HAProxy was told of.
    fn told(&self) -> usize {
        self.fake.changes().iter().filter(|line| line.starts_with("add server")).count()
    }
}

async fn add(live: &mut Live, servers: u32) {
    let progress = live.apply(&document(servers, &[])).await.unwrap();
    assert!(matches!(&progress, Progress::Changed(deed) if deed.reloaded.is_none()), "{progress:?}");
}

async fn filed(live: &mut Live) -> Filed {
    timeout(DEADLINE, live.filed()).await.expect("news of the file")
}

#[tokio::test]
async fn commands_do_not_wait_for_a_disk_that_hangs_and_the_newest_document_wins() {
    static GATE: Mutex<()> = Mutex::const_new(());
    let (place, mut live) = Place::new(|file| {
        let _open = GATE.blocking_lock();
        file.sync_all()
    })
    .await;
    let (closed, before) = (GATE.lock().await, live.counters().applier.writes);
    for servers in 1..=30 {
        add(&mut live, servers).await;
    }
    assert_eq!((place.told(), place.file()), (30, 0));
    let behind = live.behind().unwrap();
    assert!(behind.error.is_none());
    drop(closed);
    assert!(matches!(filed(&mut live).await, Filed::Written(Some(_))));
    assert_eq!(place.file(), 1, "what was begun is finished");
    live.flush().await.unwrap();
    assert_eq!((place.file(), live.counters().applier.writes - before), (30, 2));
    assert!(live.behind().is_none());
}

#[tokio::test]
async fn a_write_that_runs_never_overtakes_a_reload() {
    static GATE: Mutex<()> = Mutex::const_new(());
    let (place, mut live) = Place::new(|file| {
        let _open = GATE.blocking_lock();
        file.sync_all()
    })
    .await;
    let closed = GATE.lock().await;
    add(&mut live, 1).await;
    add(&mut live, 2).await;
    let reloaded = document(1, &["balance leastconn"]);
    let mut apply = Box::pin(live.apply(&reloaded));
    assert!(timeout(Duration::from_millis(5), &mut apply).await.is_err(), "the disk is not to be had");
    drop(closed);
    let progress = timeout(DEADLINE, apply).await.unwrap().unwrap();
    assert!(matches!(&progress, Progress::Changed(deed) if deed.reloaded.is_some()), "{progress:?}");
    assert!(live.behind().is_none(), "what was to be written before is not any more");
    live.flush().await.unwrap();
    assert_eq!(place.file(), 1);
}

#[tokio::test]
async fn a_reload_gives_up_on_a_disk_that_hangs_and_is_tried_again() {
    static GATE: Mutex<()> = Mutex::const_new(());
    let (place, mut live) = Place::new(|file| {
        let _open = GATE.blocking_lock();
        file.sync_all()
    })
    .await;
    let closed = GATE.lock().await;
    add(&mut live, 1).await;
    // By a write of before, and by none.
    for servers in [1, 2] {
        let reloaded = document(servers, &["balance leastconn"]);
        let mut apply = Box::pin(live.apply(&reloaded));
        assert!(timeout(Duration::from_millis(200), &mut apply).await.is_err(), "the disk is not to be had");
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(10)).await;
        tokio::time::resume();
        let error = timeout(DEADLINE, apply).await.unwrap().unwrap_err();
        let LiveFault::Apply(ApplyError::Write(error)) = error.fault() else { panic!("{error:?}") };
        assert_eq!(error.step(), Step::Wait);
    }
    drop(closed);
    let wanted = document(2, &["balance leastconn"]);
    let progress = timeout(DEADLINE, live.apply(&wanted)).await.unwrap().unwrap();
    assert!(matches!(progress, Progress::Changed(_)), "{progress:?}");
    live.flush().await.unwrap();
    assert_eq!(place.file(), 2);
}

#[tokio::test]
async fn a_full_disk_is_tried_again_and_membership_goes_on() {
    static FULL: AtomicBool = AtomicBool::new(false);
    let (place, mut live) = Place::new(|file| {
        if FULL.load(Ordering::Relaxed) { Err(io::ErrorKind::StorageFull.into()) } else { file.sync_all() }
    })
    .await;
    FULL.store(true, Ordering::Relaxed);
    add(&mut live, 1).await;
    assert!(matches!(filed(&mut live).await, Filed::Failed { .. }));
    let since = live.behind().unwrap().since;
    add(&mut live, 2).await;
    assert_eq!((place.told(), place.file()), (2, 0));
    assert!(live.flush().await.is_err());
    let behind = live.behind().unwrap();
    assert_eq!((behind.since, behind.error.is_some()), (since, true));
    let failures = live.counters().applier.write_failures;
    assert!(failures >= 2, "{failures}");
    // Neither does one that asks for nothing new.
    assert_eq!(live.apply(&document(2, &[])).await.unwrap(), Progress::Unchanged);

    FULL.store(false, Ordering::Relaxed);
    assert!(matches!(filed(&mut live).await, Filed::Written(Some(_))));
    assert_eq!((place.file(), live.behind().is_none()), (2, true));
}

#[tokio::test]
async fn a_write_that_nobody_waits_for_any_more_leaves_no_older_document_behind() {
    static GATE: Mutex<()> = Mutex::const_new(());
    let (place, mut live) = Place::new(|file| {
        let _open = GATE.blocking_lock();
        file.sync_all()
    })
    .await;
    let closed = GATE.lock().await;
    add(&mut live, 1).await;
    let candidate = place.directory.path().join(".synapse/haproxy.cfg");
    let begun = async {
        while !candidate.exists() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(DEADLINE, begun).await.unwrap();
    let file = live.applier.file().unwrap().clone();
    drop(live);
    drop(closed);
    // Takes its turn behind the abandoned write.
    assert!(file.holds(Text::default()).await.is_ok());
    assert_eq!(place.file(), 0);
    assert!(!candidate.exists());
}
