//! How it is stopped.

use std::time::Duration;

use e2e::{Dir, wait_until};
use rustix::process::Signal;

use crate::program::{COUNTED, DEADLINE, RENDERED, Running, wait_file, write_site};

/// Far more than stopping takes, far less than a command that hangs.
const AT_ONCE: Duration = Duration::from_secs(10);

fn site(more: &str) -> Dir {
    let dir = Dir::new("signal");
    write_site(&dir, more);
    std::fs::create_dir(dir.join("out")).expect("the directory is new");
    dir
}

#[tokio::test]
async fn a_bare_configuration_runs_until_a_signal_and_then_ends_well() {
    for signal in [Signal::TERM, Signal::INT] {
        let dir = site(COUNTED);
        let mut synapse = Running::start(&dir, ["-c", "synapse.yaml"]);
        wait_file(&dir.join("reloads")).await;
        assert_eq!(wait_file(&dir.join("out/haproxy.cfg")).await, RENDERED);
        synapse.signal(signal);
        let status = synapse.ended(AT_ONCE).await;
        assert_eq!(status.code(), Some(0), "{}", synapse.logged());
        assert!(synapse.logged().contains("stopping; HAProxy goes on serving"), "{}", synapse.logged());
        assert_eq!(wait_file(&dir.join("out/haproxy.cfg")).await, RENDERED);
    }
}

#[tokio::test]
async fn while_it_runs_it_follows_its_source() {
    let dir = site(COUNTED);
    let _synapse = Running::start(&dir, ["run", "-c", "synapse.yaml"]);
    assert_eq!(wait_file(&dir.join("out/haproxy.cfg")).await, RENDERED);
    dir.write("endpoints.yaml", "web: [{host: 10.0.0.7, port: 8080}]\nidle: []\n");
    wait_until(DEADLINE, "10.0.0.7 alone to be written", async || {
        let text = wait_file(&dir.join("out/haproxy.cfg")).await;
        let servers: Vec<_> = text.lines().filter(|line| line.contains("\tserver ")).collect();
        match servers[..] {
            [one] if one.starts_with("\tserver 10.0.0.7:8080 10.0.0.7:8080 id ") => Ok(()),
            _ => Err(text),
        }
    })
    .await;
}

#[tokio::test]
async fn it_stops_while_it_still_waits_for_answers() {
    let dir = site(COUNTED);
    std::fs::remove_file(dir.join("endpoints.yaml")).unwrap();
    let mut synapse = Running::start(&dir, ["-c", "synapse.yaml"]);
    synapse.wait_logged("source fails").await;
    synapse.signal(Signal::TERM);
    assert_eq!(synapse.ended(AT_ONCE).await.code(), Some(0));
    assert!(!dir.join("out/haproxy.cfg").exists());
}

#[tokio::test]
async fn a_hang_up_is_logged_and_ignored() {
    let dir = site(COUNTED);
    let mut synapse = Running::start(&dir, ["-c", "synapse.yaml"]);
    wait_file(&dir.join("reloads")).await;
    synapse.signal(Signal::HUP);
    synapse.wait_logged("SIGHUP is ignored").await;
    synapse.signal(Signal::TERM);
    assert_eq!(synapse.ended(AT_ONCE).await.code(), Some(0));
}

#[tokio::test]
async fn a_second_signal_does_not_wait_for_a_reload_that_hangs() {
    let dir = site("  reload_command: echo $$ > reloading; exec sleep 60\n");
    let mut synapse = Running::start(&dir, ["-c", "synapse.yaml"]);
    let reload = wait_until(DEADLINE, "the reload to begin", async || {
        let text = std::fs::read_to_string(dir.join("reloading")).map_err(|error| error.to_string())?;
        text.trim().parse::<u32>().map_err(|error| error.to_string())
    })
    .await;
    synapse.signal(Signal::TERM);
    synapse.wait_logged("told to stop").await;
    synapse.signal(Signal::TERM);
    assert_eq!(synapse.ended(AT_ONCE).await.code(), Some(1));
    assert!(
        synapse
            .logged()
            .ends_with("synapse-rs: stopped by a second signal while a change was being applied\n"),
        "{}",
        synapse.logged()
    );
    wait_until(DEADLINE, "the reload command to be gone", async || {
        // Nobody may have reaped it yet, but then it has no command line any more.
        let command = std::fs::read(format!("/proc/{reload}/cmdline")).unwrap_or_default();
        if command.starts_with(b"sleep") { Err(format!("{reload} runs")) } else { Ok(()) }
    })
    .await;
}

#[tokio::test]
async fn once_is_stopped_by_one_signal_and_has_then_failed() {
    let dir = site("  reload_command: echo $$ > reloading; exec sleep 60\n");
    let mut synapse = Running::start(&dir, ["run", "--once", "-c", "synapse.yaml"]);
    wait_file(&dir.join("reloading")).await;
    synapse.signal(Signal::INT);
    assert_eq!(synapse.ended(AT_ONCE).await.code(), Some(1));
    assert!(synapse.logged().ends_with("synapse-rs: stopped by a signal\n"), "{}", synapse.logged());
}
