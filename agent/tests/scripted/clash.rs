//! Endpoints and lines that HAProxy could not tell apart, or that would say something else than was meant.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use agent::discovery::{Endpoint, Snapshot, testing::Step};
use agent::{Config, Registry};
use serde_json::json;

use crate::site::{Site, line, says};

fn named(host: &str, name: &str) -> Endpoint {
    Endpoint::new(host.parse().unwrap(), 80).unwrap().with_name(name).unwrap()
}

#[tokio::test(start_paused = true)]
async fn of_two_endpoints_whose_servers_would_have_one_name_one_is_served() {
    let both = || vec![Step::Yield(Snapshot::new([named("b.example", "a"), named("a_b.example", "")]))];
    let site = Site::new().service("web", both);
    // Twice: the second time the first's file is read back.
    for _ in 0..2 {
        site.once().await.unwrap();
        assert_eq!(site.servers("web").len(), 1, "{}", site.file());
    }
    let mut running = site.start();
    running.applied().await;
    let rejected = running.status.services().remove(0).rejected;
    assert_eq!(rejected.named()[0].reason(), "another endpoint's server has this name already");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_id_that_the_operator_has_given_away_is_given_to_nobody_else() {
    let own = json!(["server manual 10.9.9.9:80 id 1"]);
    let site =
        Site::new().service("web", || vec![says([1])]).set(&["services", "web", "haproxy", "backend"], own);
    site.once().await.unwrap();
    assert!(site.servers("web").contains(&line(1, 2)), "{}", site.file());
}

#[tokio::test(start_paused = true)]
async fn an_option_never_loses_its_value_to_an_endpoint_without_a_name() {
    let site = Site::new()
        .service("web", || vec![Step::Yield(Snapshot::new([named("10.0.0.1", "a"), named("10.0.0.2", "")]))])
        .set(&["services", "web", "haproxy", "server_options"], json!("agent-send %{name} check"));
    site.once().await.unwrap();
    assert!(site.file().contains(" agent-send a check\n"), "{}", site.file());
    assert_eq!(site.servers("web").len(), 1);
}

fn refused(change: &[(&str, serde_json::Value)]) -> String {
    let mut config = json!({
        "services": { "web": { "discovery": { "method": "base" }, "default_servers": [{"host": "h", "port": 1}],
            "haproxy": { "port": 1 } } },
        "haproxy": { "do_writes": false, "do_reloads": false, "global": [], "defaults": [] },
    });
    for (pointer, value) in change {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        config.pointer_mut(parent).unwrap()[key] = value.clone();
    }
    match Config::parse(&config.to_string(), None, &Registry::builtin()) {
        Ok(config) => format!("fine: {}", config.warnings()),
        Err(report) => {
            let lines =
                report.problems().iter().map(|problem| format!("{}: {}", problem.path, problem.message));
            lines.collect::<Vec<_>>().join(
                "
",
            )
        }
    }
}

#[test]
fn what_would_fail_later_is_refused_when_the_configuration_is_read() {
    let options = "/services/web/haproxy/server_options";
    for (change, expected) in [
        (
            vec![(options, json!("check %{name}"))],
            "services.web.haproxy.server_options: `%{host}`, `%{port}` and",
        ),
        (
            vec![("/haproxy/global", json!(["log <%= ENV['LOG'] %> local0"]))],
            ": the environment is not known here",
        ),
        (
            vec![("/haproxy/do_writes", json!(true)), ("/haproxy/config_file_path", json!(""))],
            "haproxy.config_file_path: ",
        ),
        (
            vec![("/haproxy/restart_interval", json!(100_000))],
            "haproxy.restart_interval: the gap between reloads",
        ),
        (vec![("/haproxy/restart_jitter", json!(-1))], "haproxy.restart_jitter: "),
        (vec![("/haproxy/frontend_name", json!("in"))], "haproxy.frontend_name: `%{name}` has to be in it"),
        (vec![("/services/web/haproxy/frontend_name", json!("a b"))], "services.web.haproxy.frontend_name: "),
        (
            vec![("/haproxy/shared_frontend", json!([])), ("/services/web/haproxy/backend_name", json!("w"))],
            "fine: ",
        ),
        (vec![("/services/web/haproxy/shared_frontend", json!(["acl a path /"]))], "fine: 1 problem\n  1:"),
    ] {
        let said = refused(&change);
        assert!(said.starts_with(expected), "{change:?}: {said}");
    }
}
