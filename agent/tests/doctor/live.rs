//! Against a real HAProxy.

use agent::{Severity, Topic};
use serde_json::json;
use tokio::{io::AsyncReadExt as _, net::UnixStream};

use crate::{
    haproxy::{Haproxy, config, until, version},
    site::{Site, found},
};

/// Keeps whoever connects to it.
const HOLD: &str = "listen hold\n\
    \x20   bind unix@hold.sock\n\
    \x20   tcp-request inspect-delay 5m\n\
    \x20   tcp-request content reject if { req.len gt 1000 }\n";

fn site(haproxy: &Haproxy) -> Site {
    Site::new()
        .set("/haproxy/config_file_path", json!(haproxy.path("haproxy.cfg")))
        .with_socket(&haproxy.path("admin.sock"))
}

/// A connection that HAProxy has taken.
async fn held(haproxy: &Haproxy) -> UnixStream {
    let before = connections(haproxy).await;
    let stream = UnixStream::connect(haproxy.path("hold.sock")).await.expect("HAProxy listens there");
    until("the connection to be taken", async || (connections(haproxy).await > before).then_some(())).await;
    stream
}

/// How many there are that are no questions like this one.
async fn connections(haproxy: &Haproxy) -> usize {
    let ask = haproxy_runtime::CommandLine::parse("show sess").expect("it is a command");
    let replies = haproxy.socket().ask(&[ask]).await.expect("HAProxy answers");
    replies[0].text().lines().filter(|line| line.contains("fe=hold")).count()
}

#[tokio::test]
async fn live_haproxy_says_its_version_level_and_revision() {
    let haproxy = Haproxy::alone(&config("r1", "")).await;
    let findings = site(&haproxy).examine().await;
    let socket = haproxy.path("admin.sock").display().to_string();
    let (major, minor) = version();
    let answer = found(&findings, Topic::Haproxy, &socket);
    assert_eq!(answer.severity, Severity::Ok);
    assert!(answer.text.starts_with(&format!("HAProxy {major}.{minor}")), "{}", answer.text);
    assert!(
        answer.text.contains("level admin") && answer.text.contains(" connections in use"),
        "{}",
        answer.text
    );
    assert!(
        findings.iter().any(|finding| finding.text == "it runs what its file has (revision r1)"),
        "{findings:#?}"
    );

    let user = haproxy.path("user.sock");
    let findings = site(&haproxy).with_socket(&user).examine().await;
    let answer = found(&findings, Topic::Haproxy, &user.display().to_string());
    assert_eq!(answer.severity, Severity::Error);
    assert!(answer.text.contains("answers with level user"), "{}", answer.text);
}

#[tokio::test]
async fn live_a_master_tells_of_old_workers_and_of_reloads_that_failed() {
    let haproxy = Haproxy::mastered(&config("r1", HOLD)).await;
    let master = haproxy.path("master.sock").display().to_string();
    let site = site(&haproxy)
        .set("/haproxy/do_reloads", json!(true))
        .set("/haproxy/master_socket_path", json!(&master));
    let findings = site.examine().await;
    let answer = found(&findings, Topic::Haproxy, &master);
    assert!(answer.text.contains("answers (process ") && answer.severity == Severity::Ok, "{}", answer.text);
    assert!(!findings.iter().any(|finding| finding.text.contains("old worker")), "{findings:#?}");

    let mut stream = held(&haproxy).await;
    haproxy.master().reload(crate::haproxy::DEADLINE).await.unwrap();
    let findings = site.examine().await;
    let old = findings.iter().find(|finding| finding.text.starts_with("1 old worker still has connections"));
    assert_eq!(old.map(|finding| finding.severity), Some(Severity::Ok), "{findings:#?}");

    haproxy.configure("nonsense\n");
    haproxy.master().reload(crate::haproxy::DEADLINE).await.unwrap_err();
    let findings = site.examine().await;
    let failed = findings.iter().find(|finding| finding.text.starts_with("1 reload in a row failed"));
    assert_eq!(failed.map(|finding| finding.severity), Some(Severity::Error), "{findings:#?}");
    // The held connection is what kept the old worker: it is still there.
    assert!(stream.try_read(&mut [0]).is_err());
    drop(haproxy);
    let _ = stream.read(&mut [0]).await;
}

#[tokio::test]
async fn live_old_processes_are_found_without_a_master() {
    let haproxy = Haproxy::alone(&config("r1", HOLD)).await;
    let _stream = held(&haproxy).await;
    let _successor = haproxy.successor();
    until("the successor to answer", async || {
        let process = haproxy.socket().process().await.ok()?;
        (process.identity.pid != haproxy.pid()).then_some(())
    })
    .await;
    let findings = site(&haproxy).examine().await;
    let old = findings.iter().find(|finding| finding.text.starts_with("1 old worker beside process "));
    let old = old.unwrap_or_else(|| panic!("{findings:#?}"));
    assert!(old.text.contains(&format!(": {}; the oldest runs for ", haproxy.pid())), "{}", old.text);
}
