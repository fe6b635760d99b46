//! What an agent makes of the file that it finds, and of sources that do not answer.

mod serving_support;

use e2e::{AgentTask, HttpBackend, Port};
use haproxy_runtime::Counters;
use serving_support::{Touched, Web, all_answered, key, register, registration, servers, until, until_state};

/// Waits until an agent that was just started has looked at the file once.
async fn until_applied(agent: &AgentTask) {
    until("the first apply", || {
        let output = agent.status().output();
        if output.applied.is_some() { Ok(()) } else { Err(format!("{output:?}")) }
    })
    .await;
}

#[tokio::test]
async fn a_start_without_etcd_keeps_the_servers_and_their_ids() {
    let mut web = Web::prepare().await;
    let (agent, traffic) = web.serve().await;
    // So that the ids are not those that a fresh start would give.
    web.etcd.delete(&key("blue")).await;
    web.site.until_serves("web", &["green"]).await;
    let red = HttpBackend::start("red").await;
    register(&web.etcd, &red).await;
    web.site.until_serves("web", &["green", "red"]).await;
    agent.stop().await;
    web.etcd.kill().await;
    let kept = web.site.server_lines("web");

    let late = web.site.add_service("late", &web.etcd.endpoints());
    web.site.set("/agent", "startup_wait", 0.5);
    let agent = web.site.run_agent();
    until_applied(&agent).await;
    until_state(&agent, "failing").await;
    assert_eq!(web.site.server_lines("web"), kept);
    assert!(web.site.file().contains("\nbackend late\n"), "{}", web.site.file());
    assert_eq!(web.site.server_lines("late"), Vec::<String>::new());
    assert_eq!((agent.service("web").servers, agent.service("web").snapshot), (2, None));
    e2e::wait_until(serving_support::DEADLINE, "the new service to have nobody", async || {
        match e2e::get(late, "/").await {
            Ok(response) if response.status == 503 => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    web.site.until_serves("web", &["green", "red"]).await;

    web.etcd.restart().await;
    web.etcd.put("/services/late/blue", &registration(&web.blue)).await;
    register(&web.etcd, &web.blue).await;
    web.etcd.delete(&key("green")).await;
    web.site.until_serves("late", &["blue"]).await;
    web.site.until_serves("web", &["blue", "red"]).await;
    let line = |lines: Vec<String>| lines.into_iter().find(|line| line.starts_with("server red_"));
    assert_eq!(line(web.site.server_lines("web")), line(kept), "the same id throughout");
    all_answered(traffic).await;
}

#[tokio::test]
async fn a_start_with_nothing_new_touches_nothing() {
    let web = Web::prepare().await;
    let (agent, traffic) = web.serve().await;
    agent.stop().await;
    let (reloads, touched) = (web.site.haproxy().reload_commands(), Touched::last(&web.site));
    for _ in 0..3 {
        let agent = web.site.run_agent();
        until_applied(&agent).await;
        assert_eq!(agent.status().output().counters, Counters::default());
        agent.stop().await;
    }
    assert_eq!((web.site.haproxy().reload_commands(), Touched::last(&web.site)), (reloads, touched));

    let agent = web.site.run_agent();
    web.etcd.delete(&key("blue")).await;
    web.site.until_serves("web", &["green"]).await;
    assert_eq!(web.site.haproxy().reload_commands(), reloads + 1);
    agent.stop().await;
    all_answered(traffic).await;
}

#[tokio::test]
async fn changes_made_while_no_agent_ran_are_served_after_its_start() {
    let web = Web::prepare().await;
    let (agent, traffic) = web.serve().await;
    agent.stop().await;
    let red = HttpBackend::start("red").await;
    register(&web.etcd, &red).await;
    web.etcd.delete(&key("blue")).await;
    web.site.until_serves("web", &["blue", "green"]).await;
    let _agent = web.site.run_agent();
    web.site.until_serves("web", &["green", "red"]).await;
    all_answered(traffic).await;
}

#[tokio::test]
async fn a_file_that_somebody_edited_is_put_right_at_the_start() {
    let web = Web::prepare().await;
    let (agent, traffic) = web.serve().await;
    agent.stop().await;
    let right = web.site.file();
    let edited = right.replace("server blue_", "server mine_");
    assert_ne!(edited, right);
    std::fs::write(web.site.haproxy().config(), edited).unwrap();
    let _agent = web.site.run_agent();
    until("the file to be right", || match web.site.file() {
        file if file == right => Ok(()),
        other => Err(other),
    })
    .await;
    web.site.until_serves("web", &["blue", "green"]).await;
    all_answered(traffic).await;
}

#[tokio::test]
async fn a_service_whose_etcd_is_unreachable_stops_no_other() {
    let mut web = Web::prepare().await;
    let nobody = Port::free();
    web.site.add_service("broken", &[nobody.address().to_string()]);
    web.site.set("/agent", "startup_wait", 1);
    let agent = web.site.run_agent();
    web.site.until_serves("web", &["blue", "green"]).await;
    let traffic = web.site.traffic("web");
    let red = HttpBackend::start("red").await;
    register(&web.etcd, &red).await;
    web.site.until_serves("web", &["blue", "green", "red"]).await;
    web.etcd.delete(&key("blue")).await;
    web.site.until_serves("web", &["green", "red"]).await;
    assert_eq!(servers(&web.site), ["green", "red"]);
    let broken = agent.service("broken");
    assert_eq!((broken.state(), broken.snapshot, broken.servers), ("failing", None, 0));
    assert_eq!(agent.service("web").state(), "ok");
    all_answered(traffic).await;
}
