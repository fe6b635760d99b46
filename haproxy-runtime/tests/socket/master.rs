//! A master that says what a test wants.

use std::{
    collections::VecDeque,
    error::Error as _,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use haproxy_runtime::{Master, MasterError, SocketAddress, SocketFault};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixListener,
    task::AbortHandle,
    time::sleep,
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
    let fake =
        Fake::answering([processes(0, 0), "Success=1\n--\n[NOTICE] loaded\n\n".to_owned(), processes(1, 0)]);
    let reload = fake.master().reload(DEADLINE).await.unwrap();
    assert_eq!(reload.message.as_deref(), Some("[NOTICE] loaded"));
    assert_eq!((reload.processes.reloads, reload.processes.workers[0].pid), (1, 12));
    assert_eq!(fake.heard(), ["show proc\n", "reload\n", "show proc\n"]);
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
    assert_eq!((reload.message, reload.processes.reloads), (None, 4));

    let fake = Fake::answering([processes(3, 1), nothing(), processes(3, 1), processes(4, 2)]);
    let error = fake.master().reload(DEADLINE).await.unwrap_err();
    assert!(matches!(error, MasterError::Refused { message: None }), "{error:?}");

    let fake = Fake::answering([processes(3, 1), nothing(), processes(4, 0)]);
    assert!(fake.master().reload(DEADLINE).await.is_ok(), "an earlier failure is over");
}

#[tokio::test]
async fn a_master_that_replaces_itself_is_waited_for() {
    let mut fake = Fake::answering([processes(0, 0), nothing(), processes(1, 0)]);
    let master = fake.master();
    let (reload, fake) = tokio::join!(master.reload(DEADLINE), async {
        while fake.heard().len() < 2 {
            sleep(Duration::from_millis(1)).await;
        }
        // Nobody listens for a while.
        fake.task.take().unwrap().abort();
        sleep(Duration::from_millis(50)).await;
        fake.answer([processes(1, 0)]);
        fake
    });
    assert_eq!(reload.unwrap().processes.reloads, 1);
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
async fn what_is_no_master_is_named() {
    for answers in [
        [processes(0, 0), "Permission denied\n".to_owned()],
        ["Unknown command: 'show proc'\n".to_owned(), nothing()],
        ["HTTP/1.1 400\u{1b}\n".to_owned(), nothing()],
    ] {
        let fake = Fake::answering(answers);
        let error = fake.master().reload(DEADLINE).await.unwrap_err();
        assert!(matches!(error, MasterError::NotMaster { .. }), "{error:?}");
        assert!(!error.to_string().contains(char::is_control), "{error}");
    }
}

#[tokio::test]
async fn a_master_that_is_not_there_is_named_at_once() {
    let missing = Master::new(SocketAddress::unix(Path::new("/nonexistent/master.sock")).unwrap());
    let MasterError::Socket(error) = missing.reload(DEADLINE).await.unwrap_err() else { panic!() };
    assert!(matches!(error.fault(), SocketFault::Missing));

    // One that nobody listens on may be just replacing itself: that is waited for, but said.
    let fake = Fake::new();
    drop(UnixListener::bind(fake.path()).unwrap());
    let error = fake.master().reload(Duration::from_millis(50)).await.unwrap_err();
    assert!(error.source().unwrap().source().is_some(), "{error:?}");
    assert!(matches!(error, MasterError::Deadline { .. }), "{error:?}");
}
