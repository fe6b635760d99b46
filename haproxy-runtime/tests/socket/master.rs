//! A master that says what a test wants.

use std::{
    collections::VecDeque,
    error::Error as _,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use haproxy_runtime::{Master, MasterError, MasterFault, Reload, ReloadError, SocketAddress};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixListener,
    task::AbortHandle,
    time::{Instant, sleep, timeout},
};

const DEADLINE: Duration = Duration::from_secs(30);

/// Takes one command a connection, as the master does when its client says that no more will come. Ends on drop.
struct Fake {
    directory: TempDir,
    heard: Arc<Mutex<Vec<String>>>,
    task: Option<AbortHandle>,
}

impl Fake {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), heard: Arc::default(), task: None }
    }

    /// The last answer is given over and over.
    fn answering<const N: usize>(answers: [String; N]) -> Self {
        let mut fake = Self::new();
        fake.answer(answers);
        fake
    }

    fn answer<const N: usize>(&mut self, answers: [String; N]) {
        let path = self.path();
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        let serve = serve(listener, VecDeque::from(answers), Arc::clone(&self.heard));
        self.task = Some(tokio::spawn(serve).abort_handle());
    }

    fn path(&self) -> std::path::PathBuf {
        self.directory.path().join("master.sock")
    }

    fn master(&self) -> Master {
        Master::new(SocketAddress::unix(self.path()).unwrap())
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

async fn serve(listener: UnixListener, mut answers: VecDeque<String>, heard: Arc<Mutex<Vec<String>>>) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut command = String::new();
        stream.read_to_string(&mut command).await.unwrap();
        heard.lock().unwrap().push(command);
        let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        match answer.unwrap_or_default().as_str() {
            "hang" => std::future::pending().await,
            answer => stream.write_all(answer.as_bytes()).await.unwrap(),
        }
    }
}

fn processes(reloads: u32, failed: u32) -> String {
    format!(
        "#<PID> <type> <reloads> <uptime> <version>\n\
         10  master  {reloads} [failed: {failed}]  0d00h00m02s  2.6.12\n\
         # workers\n\
         12  worker  0  0d00h00m01s  2.6.12\n\n"
    )
}

fn nothing() -> String {
    String::new()
}

#[tokio::test]
async fn a_reload_that_answers_is_believed() {
    let fake = Fake::answering([processes(0, 0), "Success=1\n--\n[NOTICE] loaded\n\n".to_owned()]);
    let reload = fake.master().reload(DEADLINE).await.unwrap();
    assert_eq!(reload.message.as_deref(), Some("[NOTICE] loaded"));
    assert_eq!(fake.heard(), ["show proc\n", "reload\n"]);
}

#[tokio::test]
async fn a_refusal_has_haproxys_own_words() {
    let answer = "Success=0\n--\n[NOTICE] version\n[ALERT] unknown keyword 'x'\n\n";
    let fake = Fake::answering([processes(0, 0), answer.to_owned()]);
    let error = fake.master().reload(DEADLINE).await.unwrap_err();
    assert!(error.to_string().ends_with(": [ALERT] unknown keyword 'x'"), "{error}");
    let MasterError::Refused { message } = error else { panic!("{error:?}") };
    assert_eq!(message.unwrap(), "[NOTICE] version\n[ALERT] unknown keyword 'x'");
}

#[tokio::test]
async fn without_an_answer_the_list_of_processes_tells() {
    let fake =
        Fake::answering([processes(3, 0), nothing(), processes(3, 0), processes(3, 0), processes(4, 0)]);
    let reload = fake.master().reload(DEADLINE).await.unwrap();
    assert_eq!((reload.message, fake.heard().len()), (None, 5));

    let fake = Fake::answering([processes(3, 1), nothing(), processes(3, 1), processes(4, 2)]);
    let error = fake.master().reload(DEADLINE).await.unwrap_err();
    assert!(matches!(error, MasterError::Refused { message: None }), "{error:?}");

    let fake = Fake::answering([processes(3, 1), nothing(), processes(4, 0)]);
    assert!(fake.master().reload(DEADLINE).await.is_ok(), "an earlier failure is over");
}

#[tokio::test(start_paused = true)]
async fn a_master_that_replaces_itself_is_waited_for() {
    let mut fake = Fake::answering([processes(0, 0), nothing(), processes(1, 0)]);
    let master = fake.master();
    let (reload, fake) = tokio::join!(master.reload(DEADLINE), async {
        while fake.heard().len() < 2 {
            sleep(Duration::from_millis(1)).await;
        }
        // Nobody listens for a while, in which it is tried again and again: on a clock that stands still until all wait.
        fake.task.take().unwrap().abort();
        sleep(Duration::from_millis(50)).await;
        fake.answer([processes(1, 0)]);
        fake
    });
    assert_eq!(reload.unwrap().message, None);
    assert_eq!(fake.heard().iter().filter(|command| *command == "reload\n").count(), 1);
}

#[tokio::test]
async fn a_reload_that_never_ends_is_given_up_at_the_deadline() {
    for answers in [[processes(0, 0), nothing(), processes(0, 0)], ["hang", "", ""].map(str::to_owned)] {
        let fake = Fake::answering(answers);
        let error = fake.master().reload(Duration::from_millis(100)).await.unwrap_err();
        assert!(matches!(error, MasterError::Deadline { source: None, .. }), "{error:?}");
    }
}

#[tokio::test]
async fn what_is_no_master_is_named_with_what_to_do() {
    let named = async |answers: [&str; 2]| {
        let fake = Fake::answering(answers.map(str::to_owned));
        let error = fake.master().reload(DEADLINE).await.unwrap_err();
        assert!(error.to_string().contains(&fake.path().display().to_string()), "{error}");
        assert!(!error.to_string().contains(char::is_control), "{error}");
        error
    };
    let list = processes(0, 0);
    // As 2.6 says it, and as later versions do.
    for answer in ["Unknown command, but maybe", "Unknown command: 'show', but maybe"] {
        let error = named([answer, ""]).await;
        assert!(matches!(error, MasterError::Worker { .. }), "{error:?}");
        assert!(error.to_string().contains("haproxy -W -S"), "{error}");
    }
    let error = named([&list, "Permission denied\n"]).await;
    assert!(matches!(error, MasterError::NotPermitted { command: "reload", .. }), "{error:?}");
    for answers in [["HTTP/1.1 400\u{1b}\n", ""], [&list, "\u{1b}[2J"]] {
        let error = named(answers).await;
        assert!(matches!(error, MasterError::NotMaster { .. }), "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_master_that_hangs_is_given_up_long_before_a_reload_would_be() {
    let fake = Fake::answering(["hang".to_owned()]);
    let started = Instant::now();
    let error = fake.master().reload(Duration::from_hours(1)).await.unwrap_err();
    assert!(matches!(error, MasterError::Unreachable { fault: MasterFault::Silent { .. }, .. }), "{error:?}");
    assert_eq!(started.elapsed(), Duration::from_secs(5));
}

#[tokio::test]
async fn a_master_that_is_not_there_is_named_at_once() {
    let missing = Master::new(SocketAddress::unix(Path::new("/nonexistent/master.sock")).unwrap());
    let error = missing.reload(DEADLINE).await.unwrap_err();
    assert_eq!(error.to_string(), "asking HAProxy's master at /nonexistent/master.sock to \"show proc\"");
    let fault = error.source().unwrap().to_string();
    assert!(fault.contains("there is no socket") && fault.contains("`-S`"), "{fault}");
}

#[tokio::test(start_paused = true)]
async fn a_master_that_refuses_connections_may_be_replacing_itself_but_not_for_ever() {
    let fake = Fake::new();
    drop(UnixListener::bind(fake.path()).unwrap());
    let started = Instant::now();
    let error = fake.master().reload(Duration::from_hours(1)).await.unwrap_err();
    assert!(matches!(error, MasterError::Unreachable { fault: MasterFault::Refused, .. }), "{error:?}");
    let waited = started.elapsed();
    assert!((Duration::from_millis(4_900)..=Duration::from_secs(5)).contains(&waited), "{waited:?}");
}

#[tokio::test]
async fn a_master_that_does_not_come_back_is_given_up_at_the_deadline_with_the_reason() {
    let mut fake = Fake::answering([processes(0, 0), nothing(), processes(0, 0)]);
    let master = fake.master();
    let (reload, fake) = tokio::join!(master.reload(Duration::from_secs(1)), async {
        while fake.heard().len() < 2 {
            sleep(Duration::from_millis(1)).await;
        }
        fake.task.take().unwrap().abort();
        fake
    });
    let error = reload.unwrap_err();
    assert!(matches!(error, MasterError::Deadline { .. }), "{error:?}");
    let fault = error.source().unwrap().source().unwrap();
    assert!(fault.to_string().contains("nobody listens"), "{fault}");
    assert_eq!(fake.heard().iter().filter(|command| *command == "reload\n").count(), 1);
}

#[tokio::test]
async fn a_master_that_just_replaces_itself_for_somebody_else_is_asked_when_it_is_back() {
    let mut fake = Fake::new();
    drop(UnixListener::bind(fake.path()).unwrap());
    let master = fake.master();
    let reload = master.reload(DEADLINE);
    tokio::pin!(reload);
    let first = timeout(Duration::from_millis(100), &mut reload).await;
    assert!(first.is_err(), "it is waited for: {first:?}");
    fake.answer([processes(1, 0), "Success=1\n".to_owned()]);
    reload.await.unwrap();
    assert_eq!(fake.heard(), ["show proc\n", "reload\n"]);
}

#[tokio::test]
async fn a_connection_that_ends_without_a_word_is_tried_again() {
    let fake = Fake::answering([nothing(), processes(0, 0), "Success=1\n".to_owned()]);
    fake.master().reload(DEADLINE).await.unwrap();
    assert_eq!(fake.heard(), ["show proc\n", "show proc\n", "reload\n"]);
}

#[tokio::test]
async fn a_master_is_one_way_to_reload() {
    let fake = Fake::answering([processes(0, 0), "Success=1\n".to_owned()]);
    assert!(Reload::by_master(fake.master(), DEADLINE).run().await.unwrap() < DEADLINE);
    let fake = Fake::answering([processes(0, 0), "Success=0\n--\n[ALERT] x".to_owned()]);
    let error = Reload::by_master(fake.master(), DEADLINE).run().await.unwrap_err();
    assert!(matches!(error, ReloadError::Master(MasterError::Refused { .. })), "{error:?}");
    assert!(error.to_string().ends_with("[ALERT] x"), "{error}");
}

#[tokio::test]
async fn a_reload_that_is_dropped_closes_its_connection() {
    let (listener, master) = {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("master.sock");
        ((UnixListener::bind(&path).unwrap(), directory), Master::new(SocketAddress::unix(path).unwrap()))
    };
    let reload = Reload::by_master(master, DEADLINE);
    let mut run = Box::pin(reload.run());
    let (mut stream, _) = tokio::select! {
        result = &mut run => panic!("nobody has answered: {result:?}"),
        accepted = listener.0.accept() => accepted.unwrap(),
    };
    drop(run);
    // Reads to the end; what was sent may have been nothing yet.
    let mut heard = String::new();
    timeout(DEADLINE, stream.read_to_string(&mut heard)).await.expect("the connection is closed").unwrap();
    let written = stream.write_all(&vec![0; 1 << 20]).await;
    assert!(written.is_err(), "nobody listens any more");
}
