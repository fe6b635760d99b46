//! A real HAProxy whose socket is full, or with which something happens in the middle of a change.

use std::{
    collections::VecDeque,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use haproxy_runtime::{Cause, Command, Live, Pace, Progress, Reload, Verification};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
    sync::Notify,
    task::AbortHandle,
    time::{sleep_until, timeout},
};

use crate::{
    haproxy::{DEADLINE, until},
    site::{By, Client, Echo, Site, changed, document, server},
};

/// HAProxy's own limit of sessions on its socket.
const SESSIONS: usize = 10;

/// Holds all sessions of the socket at `path`, as forgotten terminals would.
async fn occupy(path: &Path) -> Vec<UnixStream> {
    let mut held = Vec::new();
    for _ in 0..SESSIONS {
        let mut stream = UnixStream::connect(path).await.unwrap();
        stream.write_all(b"prompt\n").await.unwrap();
        let mut prompt = [0; 3];
        stream.read_exact(&mut prompt).await.unwrap();
        held.push(stream);
    }
    held
}

/// Stands between a client and HAProxy's socket. Ends on drop.
struct Between {
    halt: Arc<Halt>,
    forgeries: Arc<Mutex<VecDeque<(&'static str, &'static str)>>>,
    task: AbortHandle,
}

/// Stops at the first command that begins so, and goes on when told to.
struct Halt {
    at: Mutex<Option<&'static str>>,
    reached: Notify,
    go: Notify,
}

impl Between {
    const NAME: &str = "between.sock";

    fn start(site: &Site) -> Self {
        let listener = UnixListener::bind(site.haproxy.path(Self::NAME)).unwrap();
        let admin = site.haproxy.path("admin.sock");
        let halt = Arc::new(Halt { at: Mutex::default(), reached: Notify::new(), go: Notify::new() });
        let forgeries = Arc::default();
        let (heeded, forged) = (Arc::clone(&halt), Arc::clone(&forgeries));
        let task = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                // Who does not answer is gone, for the client as well.
                let Ok(haproxy) = UnixStream::connect(&admin).await else { continue };
                tokio::spawn(stand_between(client, haproxy, Arc::clone(&heeded), Arc::clone(&forged)));
            }
        });
        Self { halt, forgeries, task: task.abort_handle() }
    }

    /// Has `meanwhile` happen when the next command that begins with `at` is on its way.
    async fn during<T>(&self, at: &'static str, meanwhile: impl Future<Output = T>) -> T {
        *self.halt.at.lock().unwrap() = Some(at);
        timeout(DEADLINE, self.halt.reached.notified()).await.expect("the command comes");
        let value = meanwhile.await;
        self.halt.go.notify_one();
        value
    }

    /// Has replies with `from` say `to` instead.
    fn forge(&self, from: &'static str, to: &'static str) {
        self.forgeries.lock().unwrap().push_back((from, to));
    }

    fn honest(&self) {
        self.forgeries.lock().unwrap().clear();
    }
}

impl Drop for Between {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn stand_between(
    client: UnixStream,
    haproxy: UnixStream,
    halt: Arc<Halt>,
    forgeries: Arc<Mutex<VecDeque<(&'static str, &'static str)>>>,
) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_haproxy, mut to_haproxy) = haproxy.into_split();
    let asking = async {
        let mut chunk = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = from_client.read(&mut chunk).await {
            let text = String::from_utf8_lossy(&chunk[..count]).into_owned();
            let halted = halt
                .at
                .lock()
                .unwrap()
                .take_if(|at| text.lines().any(|line| line.starts_with(*at)))
                .is_some();
            if halted {
                halt.reached.notify_one();
                halt.go.notified().await;
            }
            if to_haproxy.write_all(&chunk[..count]).await.is_err() {
                return;
            }
        }
    };
    let answering = async {
        let (mut chunk, mut said) = (vec![0; 64 * 1024], String::new());
        while let Ok(count @ 1..) = from_haproxy.read(&mut chunk).await {
            said.push_str(&String::from_utf8_lossy(&chunk[..count]));
            // Whole replies only: each ends with a prompt.
            if !said.ends_with("> ") {
                continue;
            }
            for (from, to) in forgeries.lock().unwrap().iter() {
                said = said.replace(from, to);
            }
            if to_client.write_all(said.as_bytes()).await.is_err() {
                return;
            }
            said.clear();
        }
    };
    // Whoever of the two goes, the other sees it.
    tokio::select! {
        () = asking => {}
        () = answering => {}
    }
}

/// An HAProxy that runs one server, somebody between, and who follows it there.
async fn site(by: By, port: u16) -> (Site, Between, Live) {
    let first = document(vec![server("a", port, 1, "")]);
    let site = Site::start(&first, by).await;
    let between = Between::start(&site);
    let mut live = site.live_at(Pace::new(Duration::ZERO, 0.0).unwrap(), Between::NAME);
    if by == By::Master {
        live = live.with_reload(Reload::by_master(site.haproxy.master(), DEADLINE));
    }
    changed(&mut live, &first).await;
    (site, between, live)
}

/// Applies until it is done.
async fn apply(live: &mut Live, document: &haproxy_render::Document) -> Progress {
    loop {
        match live.apply(document).await {
            Ok(Progress::Deferred { until, .. }) => sleep_until(until).await,
            Ok(progress) => return progress,
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[tokio::test]
async fn live_a_socket_whose_sessions_are_all_taken_costs_one_reload_and_is_used_again_when_it_is_free() {
    let a = Echo::start(b'a').await;
    let first = document(vec![server("a", a.port, 1, "")]);
    let site = Site::start(&first, By::Master).await;
    let mut live = site.live().with_reload(Reload::by_master(site.haproxy.master(), DEADLINE));
    changed(&mut live, &first).await;

    let held = occupy(&site.haproxy.path("admin.sock")).await;
    assert_eq!(timeout(DEADLINE, live.reconcile()).await.expect("nothing hangs"), None);
    let second = document(vec![server("a", a.port, 1, "weight 2")]);
    let deed = timeout(DEADLINE, changed(&mut live, &second)).await.expect("nothing hangs");
    let reload = deed.reloaded.as_ref().unwrap();
    assert!(matches!(reload.causes[..], [Cause::Unreachable(_)]), "{deed}");
    assert!(deed.to_string().contains("`stats maxconn`"), "{deed}");
    assert_eq!(live.counters().applier.reloads, 1);

    drop(held);
    let third = document(vec![server("a", a.port, 1, "weight 3")]);
    until("the socket to be free", async || site.haproxy.socket().process().await.ok()).await;
    let deed = changed(&mut live, &third).await;
    assert!(deed.reloaded.is_none(), "{deed}");
    assert_eq!(site.servers().await, [format!("a {} 3 0", a.port)]);
    assert_eq!(live.counters().applier.reloads, 1);
}

#[tokio::test]
async fn live_a_socket_that_stays_full_is_a_reload_for_each_change_and_never_a_wait() {
    let a = Echo::start(b'a').await;
    let first = document(vec![server("a", a.port, 1, "")]);
    let site = Site::start(&first, By::Nothing).await;
    let mut live = site.live().with_verification(Duration::from_millis(100));
    changed(&mut live, &first).await;
    let held = occupy(&site.haproxy.path("admin.sock")).await;
    for weight in 2..=3 {
        let wanted = document(vec![server("a", a.port, 1, &format!("weight {weight}"))]);
        let Progress::Changed(deed) =
            timeout(DEADLINE, apply(&mut live, &wanted)).await.expect("nothing hangs")
        else {
            panic!("a change is a reload");
        };
        assert!(matches!(deed.reloaded.unwrap().verified, Verification::Impossible(_)));
        assert!(site.file().contains(&format!("weight {weight}")));
    }
    assert_eq!((site.reloads(), held.len()), (2, SESSIONS));
}

#[tokio::test]
async fn live_a_batch_that_an_ending_process_has_answered_is_made_good_in_the_next() {
    let (a, b) = (Echo::start(b'a').await, Echo::start(b'b').await);
    let (site, between, mut live) = site(By::Master, a.port).await;
    // So that the one that is to end does not end before it has answered.
    let mut kept = Client::connect(&site.haproxy).await.unwrap();
    let before = live.process().unwrap();
    let second = document(vec![server("a", a.port, 1, ""), server("b", b.port, 2, "")]);
    let somebody = async {
        site.haproxy.master().reload(DEADLINE).await.unwrap();
        until("the next process", async || {
            let process = site.haproxy.socket().process().await.ok()?;
            (process.identity != before && !process.stopping).then_some(())
        })
        .await;
    };
    let (progress, ()) = tokio::join!(live.apply(&second), between.during("add server", somebody));
    assert!(!matches!(progress.unwrap(), Progress::Deferred { .. }));
    let expected = [format!("a {} 1 0", a.port), format!("b {} 1 0", b.port)];
    assert_eq!(site.servers().await, expected);
    assert_ne!(live.process().unwrap(), before);
    assert_eq!(live.counters().applier.reloads, 0, "none of ours");
    assert!(kept.echoes().await);
    let third = document(vec![server("a", a.port, 1, "weight 9"), server("b", b.port, 2, "")]);
    assert!(changed(&mut live, &third).await.reloaded.is_none());
}

#[tokio::test]
async fn live_a_process_that_is_killed_within_a_batch_comes_back_with_what_was_wanted() {
    let (a, b) = (Echo::start(b'a').await, Echo::start(b'b').await);
    let (mut site, between, live) = site(By::Nothing, a.port).await;
    let mut live = live.with_verification(Duration::from_millis(100));
    let second = document(vec![server("a", a.port, 1, ""), server("b", b.port, 2, "")]);
    let (progress, ()) =
        tokio::join!(live.apply(&second), between.during("add server", async { site.haproxy.kill() }));
    // The command that reloads nothing has been run, and nobody could be asked what came of it.
    let Ok(Progress::Changed(deed)) = progress else { panic!("{progress:?}") };
    assert!(matches!(deed.reloaded.unwrap().verified, Verification::Impossible(_)));

    site.haproxy.restart().await;
    assert_eq!(apply(&mut live, &second).await, Progress::Unchanged);
    let expected = [format!("a {} 1 0", a.port), format!("b {} 1 0", b.port)];
    assert_eq!((site.servers().await, site.reloads()), (expected.to_vec(), 1));
    assert!(changed(&mut live, &document(vec![server("b", b.port, 2, "")])).await.reloaded.is_none());
}

#[tokio::test]
async fn live_a_list_of_servers_of_another_version_is_not_guessed_at() {
    let a = Echo::start(b'a').await;
    let (site, between, mut live) = site(By::Master, a.port).await;
    between.forge("1\n# be_id", "9\n# be_id");
    site.tell(&["set server web/a weight 99"]).await;
    for _ in 0..3 {
        assert_eq!(live.reconcile().await, None);
        assert!(matches!(
            live.apply(&document(vec![server("a", a.port, 1, "")])).await,
            Ok(Progress::Unchanged)
        ));
    }
    assert_eq!(live.counters().applier.reloads, 0, "what can't be read is no reason to reload");

    // Something else to do is done, the long way.
    let second = document(vec![server("a", a.port, 1, "weight 2")]);
    let Progress::Changed(deed) = apply(&mut live, &second).await else { panic!("it is done") };
    assert!(deed.to_string().contains("show servers state"), "{deed}");
    assert!(deed.reloaded.is_some(), "{deed}");
    assert_eq!(site.servers().await, [format!("a {} 2 0", a.port)]);

    between.honest();
    site.tell(&["set server web/a weight 99"]).await;
    apply(&mut live, &second).await;
    live.reconcile().await;
    assert_eq!(site.servers().await, [format!("a {} 2 0", a.port)]);
    assert_eq!(live.counters().applier.reloads, 1);
}

#[tokio::test]
async fn live_a_server_that_may_be_ours_and_can_not_be_replaced_yet_goes_on_serving() {
    let (a, b) = (Echo::start(b'a').await, Echo::start(b'b').await);
    let (site, between, live) = site(By::Nothing, a.port).await;
    let refused = Reload::new(Command::shell("exit 1").unwrap(), DEADLINE);
    let mut live = live.with_reload(refused);
    // All is done, and what HAProxy says of it is lost. Before it is asked once more, somebody begins to talk to the new server.
    between.forge("New server registered.\n\n> ", "");
    let second = document(vec![server("b", b.port, 2, "")]);
    let client = async || {
        between.honest();
        Client::connect(&site.haproxy).await.unwrap()
    };
    let (result, mut kept) =
        tokio::join!(live.apply(&second), between.during("set server web/b state maint", client()));
    let error = result.unwrap_err();
    assert!(matches!(error.causes(), [Cause::Unreachable(_)]), "{error:?}");
    assert!(kept.echoes().await && kept.letter == 'b');
    assert_eq!(Client::connect(&site.haproxy).await.map(|client| client.letter), Some('b'));
}
