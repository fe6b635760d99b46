//! Servers that somebody else adds to our backends.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod serving_support;

use e2e::wait_until;
use haproxy_runtime::{CommandLine, Socket, SocketAddress};
use serving_support::{DEADLINE, Web, until};

/// HAProxy's own words for the servers of `web`.
async fn running(socket: &Socket) -> Vec<String> {
    let mut found = Vec::new();
    let each = |_, row: &str| {
        let words: Vec<&str> = row.split(' ').collect();
        if words.get(1) == Some(&"web") {
            found.extend(words.get(3).map(|name| (*name).to_owned()));
        }
    };
    socket.read(&[CommandLine::servers_state()], each).await.unwrap();
    found
}

#[tokio::test]
async fn a_server_by_hand_is_reported_if_so_wanted_and_else_removed() {
    let mut web = Web::prepare().await;
    let admin = web.site.haproxy().dir().join("admin.sock");
    web.site.set("/haproxy", "socket_file_path", admin.display().to_string());
    web.site.set("/haproxy", "foreign_servers", "report");
    let (agent, traffic) = web.serve().await;
    assert_eq!(agent.status().output().foreign_servers, Vec::<String>::new());
    let reloads = agent.status().output().counters.reloads;
    agent.stop().await;
    let socket = Socket::new(SocketAddress::unix(&admin).unwrap());
    let add = CommandLine::parse("add server web/by-hand 127.0.0.1:1").unwrap();
    socket.ask(&[add]).await.unwrap();
    let ours = running(&socket).await.len() - 1;

    let agent = web.site.run_agent();
    until("it to be reported", || {
        let output = agent.status().output();
        if output.foreign_servers == ["web/by-hand"] && output.error.is_none() {
            Ok(())
        } else {
            Err(format!("{output:?}"))
        }
    })
    .await;
    assert!(running(&socket).await.contains(&"by-hand".to_owned()));
    agent.stop().await;

    web.site.set("/haproxy", "foreign_servers", "remove");
    let agent = web.site.run_agent();
    wait_until(DEADLINE, "it to be removed", async || {
        let names = running(&socket).await;
        if names.len() == ours && !names.contains(&"by-hand".to_owned()) {
            Ok(())
        } else {
            Err(format!("{names:?}"))
        }
    })
    .await;
    let output = agent.status().output();
    assert_eq!((output.foreign_servers, output.counters.reloads), (vec![], 0), "{reloads} before");
    web.site.until_serves("web", &["blue", "green"]).await;
    serving_support::all_answered(traffic).await;
}
