//! The program against a real etcd and a real HAProxy.

use std::time::Duration;

use e2e::{Dir, Etcd, Haproxy, HttpBackend, Port, requests_over, wait_until};
use rustix::process::Signal;

use crate::program::{DEADLINE, Running, run};

fn registration(backend: &HttpBackend) -> String {
    format!(r#"{{"host": "127.0.0.1", "port": {}, "name": "{}"}}"#, backend.port(), backend.name())
}

fn config(etcd: &Etcd, front: &Port, haproxy: &Haproxy, more: &str) -> String {
    format!(
        "services:
  web:
    discovery: {{method: etcd, endpoints: ['{endpoint}'], prefix: /services/web{more}}}
    haproxy: {{port: {front}, bind_address: 127.0.0.1, listen: [mode http, balance roundrobin]}}
haproxy:
  config_file_path: {path}
  reload_command: {reload:?}
  global: [maxconn 100]
  defaults: [timeout connect 2s, timeout client 10s, timeout server 10s]
agent: {{backoff_min: 0.1}}
",
        endpoint = etcd.endpoint(),
        path = haproxy.config().display(),
        reload = haproxy.reload_command(),
    )
}

/// An HAProxy that listens somewhere and serves nobody.
async fn idle_haproxy(idle: &Port) -> Haproxy {
    Haproxy::start(&format!(
        "defaults\n\tmode http\n\ttimeout connect 2s\n\ttimeout client 10s\n\ttimeout server 10s\n\
         listen idle\n\tbind 127.0.0.1:{idle}\n"
    ))
    .await
}

async fn served_by(front: &Port, names: &[&str]) {
    wait_until(DEADLINE, &format!("{names:?} to serve"), async || {
        let spread = requests_over(front.address(), 10).await;
        if spread.servers() == names && spread.failed().is_empty() {
            Ok(())
        } else {
            Err(format!("{spread:?}"))
        }
    })
    .await;
}

#[tokio::test]
async fn live_haproxy_goes_on_serving_after_sigterm() {
    let (etcd, front, idle) = (Etcd::start().await, Port::free(), Port::free());
    let haproxy = idle_haproxy(&idle).await;
    let (blue, green) = (HttpBackend::start("blue").await, HttpBackend::start("green").await);
    let dir = Dir::new("live");
    dir.write("synapse.yaml", config(&etcd, &front, &haproxy, ""));
    etcd.put("/services/web/blue", &registration(&blue)).await;

    let mut synapse = Running::start(&dir, ["-c", "synapse.yaml"]);
    served_by(&front, &["blue"]).await;
    // HAProxy up to 2.6 at least loses a SIGUSR2 that comes before its reload is done.
    haproxy.processes().await;
    etcd.put("/services/web/green", &registration(&green)).await;
    served_by(&front, &["blue", "green"]).await;

    synapse.signal(Signal::TERM);
    assert_eq!(synapse.ended(Duration::from_secs(10)).await.code(), Some(0), "{}", synapse.logged());
    let spread = requests_over(front.address(), 20).await;
    assert_eq!((spread.servers(), spread.failed()), (vec!["blue", "green"], &[][..]));
}

#[tokio::test]
async fn live_the_password_is_in_no_log_while_it_is_used() {
    const PASSWORD: &str = "correct-horse-battery-staple";
    let (etcd, front, idle) = (Etcd::start().await, Port::free(), Port::free());
    let haproxy = idle_haproxy(&idle).await;
    let blue = HttpBackend::start("blue").await;
    let dir = Dir::new("live");
    dir.write(
        "synapse.yaml",
        config(&etcd, &front, &haproxy, &format!(", user: synapse, password: {PASSWORD}")),
    );
    etcd.put("/services/web/blue", &registration(&blue)).await;
    etcd.enable_auth("root-password", "synapse", PASSWORD, "/services/").await;

    for format in ["human", "json"] {
        let arguments = ["run", "--once", "-c", "synapse.yaml", "--log", "trace", "--log-format", format];
        let outcome = run(&dir, arguments).await;
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        assert!(!outcome.stderr.contains(PASSWORD), "{}", outcome.stderr);
    }
    served_by(&front, &["blue"]).await;
}
