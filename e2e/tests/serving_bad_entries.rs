//! What can't be served harms nobody else.

mod serving_support;

use e2e::{AgentTask, Haproxy, HttpBackend};
use serde_json::json;
use serving_support::{Web, all_answered, key, named, register, servers, until, with};

/// Waits until exactly these entries are listed as refused, each under this text and with this reason; parts of both do.
async fn until_refused(agent: &AgentTask, expected: &[(impl AsRef<str>, &str)]) {
    until("the refused entries to be listed", || {
        let refused = agent.service("web").rejected;
        let listed = |(entry, reason): &(_, &str)| {
            let entry = AsRef::<str>::as_ref(entry);
            refused
                .named()
                .iter()
                .any(|found| found.entry().contains(entry) && found.reason().contains(reason))
        };
        let missing: Vec<_> = expected.iter().filter(|one| !listed(one)).map(|one| one.0.as_ref()).collect();
        if missing.is_empty() && refused.total() == expected.len() {
            Ok(())
        } else {
            Err(format!("{refused:#?} without {missing:?}"))
        }
    })
    .await;
}

#[tokio::test]
async fn malformed_values_are_named_and_the_good_ones_served() {
    let web = Web::prepare().await;
    let (agent, traffic) = web.serve().await;
    web.etcd.put(&key("words"), "these are no registration").await;
    web.etcd.put(&key("half"), r#"{"host": "127.0.0.1", "port": 8"#).await;
    let red = HttpBackend::start("red").await;
    register(&web.etcd, &red).await;
    web.site.until_serves("web", &["blue", "green", "red"]).await;
    until_refused(
        &agent,
        &[
            (key("words"), "neither a registration in JSON nor host:port"),
            (key("half"), "not a registration in JSON"),
        ],
    )
    .await;
    assert_eq!(agent.service("web").state(), "ok");

    web.etcd.put(&key("words"), &named("words", &red)).await;
    web.etcd.delete(&key("half")).await;
    until("the mended one to be in the file", || match servers(&web.site) {
        all if all == ["blue", "green", "red", "words"] => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    until_refused(&agent, &[("", ""); 0]).await;
    all_answered(traffic).await;
}

#[tokio::test]
async fn a_hostile_registration_writes_nothing_into_the_file() {
    let web = Web::prepare().await;
    let (agent, traffic) = web.serve().await;
    let at = |host: &str| json!({ "host": host, "port": 80 }).to_string();
    let called = |name: &str| with(&web.blue, &json!({ "name": name }));
    let opted = |name: &str, options: &str| {
        with(&web.blue, &json!({ "name": name, "haproxy_server_options": options }))
    };
    let port = |text: &str| format!(r#"{{"host": "127.0.0.1", "port": {text}, "name": "evil"}}"#);
    let host = "the host has a character";
    let name = "its name cannot be a server's";
    let number = "port";
    let option = "haproxy_server_options: server option";
    // The key, its value, what the status calls it if not that, and the reason.
    let cases = [
        ("host-line", at("127.0.0.1:80\n  server evil 10.6.6.6"), "", host),
        ("host-comment", at("127.0.0.1#evil"), "", host),
        ("host-blank", at("127.0.0.1:80 track evil"), "", host),
        ("host-variable", at("$HOME"), "", host),
        ("host-quote", at("\"evil\""), "", host),
        ("bare", "127.0.0.1:80 track evil".to_owned(), "", "nor host:port"),
        ("name-line", called("evil\n  bind 10.6.6.6:80"), "", "the name has a control character"),
        ("name-long", called(&"evil".repeat(2_500)), "", "the name is longer than"),
        ("name-comment", called("#evil"), "#evil_127", name),
        ("name-blank", called("evil evil"), "evil evil_127", name),
        ("name-variable", called("evil$HOME"), "evil$HOME_127", name),
        ("name-quote", called("\"evil\""), "\"evil\"_127", name),
        ("port-0", port("0"), "", number),
        ("port-70000", port("70000"), "", number),
        ("port-negative", port("-80"), "", number),
        ("port-words", port(r#""80 track evil""#), "", number),
        ("option-line", opted("evil1", "check\n  server evil 10.6.6.6:80"), "", "has a control character"),
        ("option-file", opted("evil2", "ssl ca-file /etc/shadow"), "evil2_127", option),
        ("option-value", opted("evil3", "inter evil"), "evil3_127", option),
        ("option-comment", opted("evil4", "check # evil"), "evil4_127", option),
        ("option-variable", opted("evil5", "agent-send $HOME"), "evil5_127", option),
        ("option-address", opted("evil6", "check addr 10.6.6.6"), "evil6_127", option),
    ];
    web.etcd.put_many(cases.iter().map(|(entry, value, ..)| (key(entry), value.as_str()))).await;
    let red = HttpBackend::start("red").await;
    register(&web.etcd, &red).await;
    let expected = cases.map(|(entry, _, called, reason)| {
        (if called.is_empty() { key(entry) } else { called.to_owned() }, reason)
    });
    until_refused(&agent, &expected).await;
    web.site.until_serves("web", &["blue", "green", "red"]).await;

    let file = web.site.file();
    Haproxy::check(&file).await.unwrap();
    for trace in ["evil", "10.6.6.6", "HOME", "shadow", "track", "70000"] {
        assert!(!file.contains(trace), "{trace}: {file}");
    }
    assert_eq!(servers(&web.site), ["blue", "green", "red"]);
    all_answered(traffic).await;
}

#[tokio::test]
async fn a_name_that_does_not_resolve_stops_nobody() {
    let web = Web::prepare().await;
    let (agent, traffic) = web.serve().await;
    web.etcd.put(&key("nowhere"), r#"{"host": "nowhere.invalid", "port": 80}"#).await;
    let red = HttpBackend::start("red").await;
    register(&web.etcd, &red).await;
    web.site.until_serves("web", &["blue", "green", "red"]).await;
    let lines = web.site.server_lines("web");
    assert!(lines.iter().any(|line| line.contains(" nowhere.invalid:80 ")), "{lines:?}");
    assert_eq!((agent.service("web").servers, agent.service("web").rejected.total()), (4, 0));
    all_answered(traffic).await;
    // Not only a reload: HAProxy starts with it, too.
    let Web { mut site, .. } = web;
    site.haproxy_mut().restart().await.unwrap();
    site.until_serves("web", &["blue", "green", "red"]).await;
}
