//! How it is stopped, and told to read its configuration again.

use std::time::Duration;

use e2e::{Dir, wait_until};
use rustix::process::Signal;

use crate::program::{self, COUNTED, DEADLINE, RENDERED, Running, wait_file, write_site};

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

/// The configuration with another port for `web`.
fn moved(port: u16, more: &str) -> String {
    program::site(COUNTED).replace("port: 3213", &format!("port: {port}")) + more
}

async fn wait_port(dir: &Dir, port: u16) {
    wait_until(DEADLINE, &format!("port {port} to be written"), async || {
        let text = wait_file(&dir.join("out/haproxy.cfg")).await;
        if text.contains(&format!("bind localhost:{port}\n")) { Ok(()) } else { Err(text) }
    })
    .await;
}

#[tokio::test]
async fn at_a_hang_up_it_reads_its_configuration_again() {
    let dir = site(COUNTED);
    dir.write("synapse.yaml", moved(3213, "agent: {watch_config: false}\n"));
    let mut synapse = Running::start(&dir, ["-c", "synapse.yaml"]);
    wait_file(&dir.join("reloads")).await;
    dir.write("synapse.yaml", moved(3215, "agent: {watch_config: false}\n"));
    synapse.signal(Signal::HUP);
    wait_port(&dir, 3215).await;
    synapse.wait_logged("took over another configuration: 1 service changed (web)").await;

    // What is wrong changes nothing, and is told.
    let before = wait_file(&dir.join("out/haproxy.cfg")).await;
    dir.write("synapse.yaml", moved(3216, "agent: {watch_confg: false}\n"));
    synapse.signal(Signal::HUP);
    synapse.wait_logged("the configuration can't be used; going on with the one that is in use").await;
    synapse.wait_logged("agent.watch_confg: unknown key; did you mean `watch_config`?").await;
    assert_eq!(wait_file(&dir.join("out/haproxy.cfg")).await, before);

    dir.write("synapse.yaml", moved(3217, ""));
    synapse.signal(Signal::HUP);
    wait_port(&dir, 3217).await;
    synapse.signal(Signal::TERM);
    assert_eq!(synapse.ended(AT_ONCE).await.code(), Some(0), "{}", synapse.logged());
}

#[tokio::test]
async fn it_follows_its_configuration_without_being_told() {
    let dir = site(COUNTED);
    let mut synapse = Running::start(&dir, ["run", "-c", "synapse.yaml"]);
    assert_eq!(wait_file(&dir.join("out/haproxy.cfg")).await, RENDERED);
    dir.write("synapse.yaml", moved(3215, ""));
    wait_port(&dir, 3215).await;
    dir.write("synapse.yaml", "services: [");
    synapse.wait_logged("the configuration can't be used").await;
    dir.write("synapse.yaml", moved(3218, ""));
    wait_port(&dir, 3218).await;
    assert_eq!(
        synapse.logged().matches("the configuration can't be used").count(),
        1,
        "{}",
        synapse.logged()
    );
    synapse.signal(Signal::TERM);
    assert_eq!(synapse.ended(AT_ONCE).await.code(), Some(0));
}

#[tokio::test]
async fn a_hang_up_does_not_end_what_runs_once() {
    let dir = site("  reload_command: touch reloading; while test ! -e go; do sleep 0.05; done\n");
    let mut synapse = Running::start(&dir, ["run", "--once", "-c", "synapse.yaml"]);
    wait_file(&dir.join("reloading")).await;
    synapse.signal(Signal::HUP);
    synapse.wait_logged("SIGHUP is ignored: the configuration is used once").await;
    dir.write("go", "");
    assert_eq!(synapse.ended(AT_ONCE).await.code(), Some(0), "{}", synapse.logged());
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
