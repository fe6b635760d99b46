//! What systemd is told.

use std::os::unix::net::UnixDatagram;

use e2e::{Dir, wait_until};
use rustix::process::Signal;

use crate::program::{COUNTED, DEADLINE, Running, outcome, synapse, wait_file, write_site};

/// A service manager's socket, and all that came so far.
struct Manager {
    socket: UnixDatagram,
    told: std::cell::RefCell<Vec<String>>,
}

impl Manager {
    fn new(dir: &Dir) -> Self {
        let socket = UnixDatagram::bind(dir.join("notify")).expect("the path is short and new");
        socket.set_nonblocking(true).expect("it is a socket");
        Self { socket, told: std::cell::RefCell::default() }
    }

    /// Each message so far, its lines in one.
    fn told(&self) -> Vec<String> {
        let mut bytes = [0; 8192];
        while let Ok(length) = self.socket.recv(&mut bytes) {
            let text = String::from_utf8(bytes[..length].to_vec()).expect("messages are text");
            self.told.borrow_mut().push(text);
        }
        self.told.borrow().clone()
    }

    /// Waits for a message that has `text`.
    async fn wait_told(&self, text: &str) -> String {
        wait_until(DEADLINE, &format!("systemd to be told {text:?}"), async || {
            let told = self.told();
            told.iter().find(|message| message.contains(text)).cloned().ok_or_else(|| format!("{told:#?}"))
        })
        .await
    }
}

fn site(more: &str) -> (Dir, Manager) {
    let dir = Dir::new("systemd");
    write_site(&dir, more);
    std::fs::create_dir(dir.join("out")).expect("the directory is new");
    let manager = Manager::new(&dir);
    (dir, manager)
}

fn start(dir: &Dir, watchdog: &str) -> Running {
    Running::start_with(dir, ["-c", "synapse.yaml"], |command| {
        command.env("NOTIFY_SOCKET", dir.join("notify")).env("WATCHDOG_USEC", watchdog);
    })
}

#[tokio::test]
async fn it_is_ready_when_the_first_apply_is_done_and_stops_with_a_word() {
    let (dir, manager) = site("  reload_command: test ! -e wait && echo reload >> reloads\n");
    let mut synapse = start(&dir, "600000");
    let ready = manager.wait_told("READY=1\n").await;
    assert!(ready.contains("STATUS=serving 2 services; last change 0 s ago\n"), "{ready}");
    assert_eq!(wait_file(&dir.join("reloads")).await, "reload\n");
    synapse.signal(Signal::TERM);
    assert_eq!(synapse.ended(DEADLINE).await.code(), Some(0), "{}", synapse.logged());
    manager.wait_told("STOPPING=1\n").await;
}

#[tokio::test]
async fn while_answers_are_waited_for_it_is_not_ready_but_alive() {
    let (dir, manager) = site(&format!("{COUNTED}agent: {{startup_wait: 3600}}\n"));
    std::fs::rename(dir.join("endpoints.yaml"), dir.join("later.yaml")).unwrap();
    let _synapse = start(&dir, "300000");
    let waiting =
        manager.wait_told("WATCHDOG=1\nSTATUS=starting with 2 services; waiting for web, idle").await;
    assert!(waiting.starts_with("EXTEND_TIMEOUT_USEC="), "{waiting}");
    assert!(manager.told().iter().all(|message| !message.contains("READY")), "{:#?}", manager.told());
    std::fs::rename(dir.join("later.yaml"), dir.join("endpoints.yaml")).unwrap();
    manager.wait_told("READY=1\n").await;
}

#[tokio::test]
async fn a_first_apply_that_fails_is_told_and_keeps_nobody_waiting() {
    let (dir, manager) = site("  reload_command: 'echo no such luck >&2; exit 3'\n");
    let _synapse = start(&dir, "600000");
    let ready = manager.wait_told("READY=1\n").await;
    assert!(ready.contains("STATUS=HAProxy is not up to date: "), "{ready}");
    assert!(ready.contains("; serving 2 services"), "{ready}");
}

#[tokio::test]
async fn a_hang_up_is_a_reload_with_a_beginning_and_an_end_whatever_comes_of_it() {
    let (dir, manager) = site(COUNTED);
    let synapse = start(&dir, "600000");
    manager.wait_told("READY=1\n").await;
    let good = std::fs::read_to_string(dir.join("synapse.yaml")).unwrap();
    for config in [good.replacen("maxconn 100", "maxconn 200", 1), "services: 1\n".to_owned(), good] {
        dir.write("synapse.yaml", config);
        let before = manager.told().len();
        synapse.signal(Signal::HUP);
        wait_until(DEADLINE, "a reload and its end", async || {
            let told = manager.told().split_off(before);
            let begun = told.iter().position(|message| message.starts_with("RELOADING=1\nMONOTONIC_USEC="));
            let ended = begun.is_some_and(|begun| told[begun..].iter().any(|message| message == "READY=1\n"));
            if ended { Ok(()) } else { Err(format!("{told:#?}\n{}", synapse.logged())) }
        })
        .await;
    }
}

#[tokio::test]
async fn without_systemd_and_for_single_runs_nothing_is_told() {
    let (dir, manager) = site(COUNTED);
    let mut once = synapse(&dir);
    once.args(["run", "--once", "-c", "synapse.yaml"]).env("NOTIFY_SOCKET", dir.join("notify"));
    assert_eq!(outcome(&mut once).await.code, Some(0));
    std::fs::remove_file(dir.join("out/haproxy.cfg")).unwrap();
    let mut plain = Running::start(&dir, ["-c", "synapse.yaml"]);
    wait_file(&dir.join("out/haproxy.cfg")).await;
    plain.signal(Signal::TERM);
    assert_eq!(plain.ended(DEADLINE).await.code(), Some(0));
    assert!(manager.told().is_empty(), "{:#?}", manager.told());
}
