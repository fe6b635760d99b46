//! `doctor`: a site with a real etcd and a real HAProxy, healthy and broken in one place after the other.

use std::net::TcpListener;

use e2e::{Dir, Etcd, Haproxy, Port};

use crate::program::{Outcome, run};

/// An HAProxy with a socket of each level, which listens nowhere that matters.
async fn haproxy(dir: &Dir, idle: &Port) -> Haproxy {
    let (admin, user) = (dir.path().join("admin.sock"), dir.path().join("user.sock"));
    Haproxy::start(&format!(
        "global\n\tstats socket {} mode 600 level admin\n\tstats socket {} mode 600 level user\n\
         defaults\n\tmode http\n\ttimeout connect 2s\n\ttimeout client 10s\n\ttimeout server 10s\n\
         listen idle\n\tbind 127.0.0.1:{idle}\n",
        admin.display(),
        user.display()
    ))
    .await
}

struct Broken<'a> {
    discovery: &'a str,
    socket: &'a str,
    file: &'a str,
    reload: &'a str,
    port: &'a str,
}

impl Broken<'_> {
    fn config(&self) -> String {
        format!(
            "services:
  web:
    discovery: {{{}, prefix: /services/web}}
    haproxy: {{port: {}, bind_address: 127.0.0.1}}
haproxy:
  config_file_path: {}
  socket_file_path: {}
  reload_command: {}
  global: [maxconn 100]
  defaults: [timeout connect 2s, timeout client 10s, timeout server 10s]
agent: {{startup_wait: 5, backoff_min: 0.1, backoff_max: 0.2}}
",
            self.discovery, self.port, self.file, self.socket, self.reload
        )
    }
}

async fn examined(dir: &Dir, broken: &Broken<'_>) -> Outcome {
    let socket = dir.path().join(broken.socket);
    let socket = socket.to_str().expect("a path of ours is text");
    dir.write("synapse.yaml", Broken { socket, ..*broken }.config());
    run(dir, ["doctor", "-c", "synapse.yaml"]).await
}

/// Whether some line has all of `parts`, and the next is the remedy that begins so.
fn names(outcome: &Outcome, parts: &[&str], remedy: &str) {
    let lines: Vec<_> = outcome.stdout.lines().collect();
    let named = lines.windows(2).any(|pair| {
        pair[0].starts_with("error")
            && parts.iter().all(|part| pair[0].contains(part))
            && pair[1].trim_start().starts_with(&format!("-> {remedy}"))
    });
    assert!(named, "{parts:?}: {}", outcome.stdout);
    assert_eq!(outcome.code, Some(1), "{}", outcome.stdout);
}

#[tokio::test]
async fn live_a_healthy_site_is_fine_and_each_breakage_is_named_with_its_remedy() {
    let (etcd, idle, front, nobody) = (Etcd::start().await, Port::free(), Port::free(), Port::free());
    let dir = Dir::new("doctor");
    let _haproxy = haproxy(&dir, &idle).await;
    etcd.put("/services/web/a", "10.0.0.1:80").await;
    let (endpoints, port) = (format!("method: etcd, endpoints: ['{}']", etcd.endpoint()), front.to_string());
    let healthy = Broken {
        discovery: &endpoints,
        socket: "admin.sock",
        file: "haproxy.cfg",
        reload: "touch reloaded",
        port: &port,
    };

    let outcome = examined(&dir, &healthy).await;
    assert_eq!(outcome.code, Some(0), "{}{}", outcome.stdout, outcome.stderr);
    assert!(outcome.stdout.contains("; 1 service, 1 endpoint\n"), "{}", outcome.stdout);
    assert!(outcome.stdout.ends_with("0 errors, 0 warnings\n"), "{}", outcome.stdout);
    assert!(!outcome.stdout.contains('\u{1b}'), "colours where there is no terminal");
    assert!(!dir.path().join("reloaded").exists() && !dir.path().join("haproxy.cfg").exists());

    let outcome = examined(&dir, &Broken { socket: "missing.sock", ..healthy }).await;
    names(&outcome, &["missing.sock", "there is no socket"], "start HAProxy");

    let outcome = examined(&dir, &Broken { socket: "user.sock", ..healthy }).await;
    names(&outcome, &["user.sock", "level user"], "write `level admin`");

    let outcome = examined(&dir, &Broken { file: "missing/haproxy.cfg", ..healthy }).await;
    names(&outcome, &["missing/haproxy.cfg"], "create the directory");

    let outcome = examined(&dir, &Broken { reload: "no-such-command-anywhere", ..healthy }).await;
    names(&outcome, &["reload_command no-such-command-anywhere"], "install it");

    let held = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let taken = held.local_addr().unwrap().port().to_string();
    let outcome = examined(&dir, &Broken { port: &taken, ..healthy }).await;
    names(
        &outcome,
        &[&format!("127.0.0.1:{taken}"), "is taken by"],
        "stop it, or give the service web another port",
    );

    let refusing = format!("method: etcd, endpoints: ['127.0.0.1:{nobody}']");
    let outcome = examined(&dir, &Broken { discovery: &refusing, ..healthy }).await;
    names(&outcome, &["registry", "no answer for web"], "start the registry");
}

#[tokio::test]
async fn live_a_wrong_password_is_named_and_not_shown() {
    const WRONG: &str = "not-the-password-that-it-is";
    let etcd = Etcd::start().await;
    etcd.enable_auth("root-password", "reader", "right", "/services/").await;
    let dir = Dir::new("doctor");
    let discovery =
        format!("method: etcd, endpoints: ['{}'], user: reader, password: {WRONG}", etcd.endpoint());
    dir.write(
        "synapse.yaml",
        format!(
            "services:\n  web: {{discovery: {{{discovery}, prefix: /services/web}}}}\n\
             haproxy: {{do_writes: false, do_reloads: false, global: [], defaults: []}}\nagent: {{startup_wait: 5}}\n"
        ),
    );
    let outcome = run(&dir, ["doctor", "-c", "synapse.yaml"]).await;
    names(&outcome, &["registry", "as user \"reader\""], "correct the user and the password");
    assert!(!outcome.stdout.contains(WRONG) && !outcome.stderr.contains(WRONG), "{}", outcome.stdout);

    let right = std::fs::read_to_string(dir.path().join("synapse.yaml")).unwrap().replace(WRONG, "right");
    dir.write("synapse.yaml", right);
    let outcome = run(&dir, ["doctor", "-c", "synapse.yaml"]).await;
    assert_eq!(outcome.code, Some(0), "{}", outcome.stdout);
}

#[tokio::test]
async fn findings_are_a_list_for_programs() {
    let dir = Dir::new("doctor");
    dir.write(
        "synapse.yaml",
        "services: {}\nhaproxy: {do_writes: false, reload_command: no-such-command-anywhere, global: [], defaults: []}\n",
    );
    let outcome = run(&dir, ["doctor", "-c", "synapse.yaml", "--json"]).await;
    assert_eq!(outcome.code, Some(1));
    let findings: Vec<serde_json::Value> = serde_json::from_str(&outcome.stdout).unwrap();
    let command = findings.iter().find(|finding| finding["topic"] == "command").unwrap();
    assert_eq!(command["severity"], "error");
    assert!(command["remedy"].as_str().unwrap().starts_with("install it"));
}
