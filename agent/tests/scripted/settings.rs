//! Generator configuration: what a registry says about how a service is to be served.

mod hostile;

use std::time::Duration;

use agent::{
    Agent, Config, Registry,
    discovery::{Settings, Snapshot, testing::Step},
};
use serde_json::{Value, json};

use crate::site::{Site, endpoint, endpoints, fails, line, says, until};

const MINUTE: Duration = Duration::from_mins(1);

fn settings(haproxy: &Value) -> Option<Settings> {
    Settings::parse(json!({ "haproxy": haproxy }).to_string().as_bytes()).expect("it is a map")
}

/// An answer of one endpoint that also says how it is to be served.
fn told(haproxy: &Value) -> Step {
    Step::Yield(endpoints([1]).with_settings(settings(haproxy)))
}

fn site(steps: impl Fn() -> Vec<Step> + Send + Sync + 'static) -> Site {
    let own =
        json!({ "port": 8000, "server_options": "check", "listen": ["mode http", "balance roundrobin"] });
    Site::new().service("web", steps).set(&["services", "web", "haproxy"], own)
}

const LOCAL: &str = "
frontend web
\tmode http
\tbind localhost:8000
\tdefault_backend web

backend web
\tmode http
\tbalance roundrobin
\tserver 10.0.0.1:80 10.0.0.1:80 id 1 check
";

#[tokio::test(start_paused = true)]
async fn what_the_registry_says_is_laid_over_the_section_follows_it_and_goes_with_it() {
    let first = json!({ "server_options": "inter 5s port %{port}", "listen": ["timeout client 9s", "balance leastconn"] });
    let second = json!({ "backend": ["cookie SRV insert"], "port": 8000 });
    let steps = move || {
        let wait = || Step::Wait(MINUTE);
        vec![says([1]), wait(), told(&first), wait(), told(&second), wait(), says([1])]
    };
    let site = site(steps);
    let running = site.start();
    let served = |text: &str| site.file().ends_with(text);
    until("the section alone", || served(LOCAL)).await;
    until("what the registry says", || {
        served(
            "
frontend web
\tmode http
\ttimeout client 9s
\tbind localhost:8000
\tdefault_backend web

backend web
\tmode http
\tbalance leastconn
\tserver 10.0.0.1:80 10.0.0.1:80 id 1 check inter 5s port 80
",
        )
    })
    .await;
    until("what it says next", || {
        served(
            "
backend web
\tmode http
\tbalance roundrobin
\tcookie SRV insert
\tserver 10.0.0.1:80 10.0.0.1:80 id 1 cookie 10.0.0.1:80 check
",
        )
    })
    .await;
    until("the section alone again", || served(LOCAL)).await;
    assert_eq!(running.status.services()[0].rejected.total(), 0);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_leaves_the_section_alone_is_named_and_is_over_when_it_is_mended() {
    let bad = json!({ "listen": ["balance leastconn", "errorfile 503 /etc/shadow"] });
    let good = json!({ "listen": ["balance leastconn"] });
    let steps = move || vec![told(&bad), Step::Wait(MINUTE), told(&good), Step::Wait(MINUTE), told(&bad)];
    let site = site(steps).service("db", || vec![says([2])]);
    let mut running = site.start();
    running.applied().await;
    let rejected = || {
        let web = running.status.services().into_iter().find(|service| service.service == "web");
        web.expect("it is configured").rejected
    };
    let named = || {
        rejected()
            .named()
            .iter()
            .map(|one| (one.entry().to_owned(), one.reason().to_owned()))
            .collect::<Vec<_>>()
    };
    let expected: Vec<(String, String)> = vec![(
        "generator configuration".to_owned(),
        "haproxy.listen[1]: \"errorfile\": a registry may not use it: it makes HAProxy read a file"
            .to_owned(),
    )];
    assert_eq!(named(), expected);
    assert!(site.file().contains(LOCAL), "{}", site.file());
    assert_eq!(site.servers("db"), [line(2, 1)]);

    until("the mended one is used", || site.file().contains("\tbalance leastconn\n")).await;
    assert_eq!(rejected().total(), 0);
    until("the section stands again", || site.file().contains(LOCAL)).await;
    until("it is named again", || named() == expected).await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_outage_takes_no_setting_away_and_neither_does_an_answer_of_nobody() {
    let set = || settings(&json!({ "listen": ["balance leastconn"] }));
    let steps = move || {
        let mut steps = vec![Step::Yield(endpoints([1]).with_settings(set()))];
        steps.extend((0..5).map(|_| fails()));
        steps.extend([Step::Wait(MINUTE), Step::Yield(Snapshot::default().with_settings(set()))]);
        steps.extend([Step::Wait(MINUTE), Step::Yield(endpoints([2]).with_settings(set()))]);
        steps
    };
    let site = site(steps);
    let running = site.start();
    until("it is served", || site.served("web") == [1]).await;
    let kept = || site.file().contains("\tbalance leastconn\n");
    until("the other is served", || {
        assert!(kept() && site.served("web").len() == 1, "{}", site.file());
        site.served("web") == [2]
    })
    .await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_all_servers_are_asked_costs_none_of_them() {
    let long = endpoint(2).with_server_options(&"check ".repeat(45)).expect("it is short enough");
    let snapshot = Snapshot::new([endpoint(1), long])
        .with_settings(settings(&json!({ "server_options": "inter 5s rise 2" })));
    let site = Site::new().service("web", move || vec![Step::Yield(snapshot.clone())]);
    site.once().await.unwrap();
    assert_eq!(site.served("web"), [1, 2]);
    assert!(site.file().contains(" id 1 inter 5s rise 2\n"), "{}", site.file());
}

#[tokio::test(start_paused = true)]
async fn what_is_discovered_is_rendered_with_its_settings() {
    let site = site(|| vec![told(&json!({ "listen": ["balance leastconn"] }))]);
    let catalog = Agent::new(site.config()).discover().await;
    let plan = site.config().render(&catalog);
    assert!(plan.contains("\tbalance leastconn\n"), "{plan}");
    site.once().await.unwrap();
    assert_eq!(site.file(), plan);
}

#[tokio::test]
async fn a_file_may_have_them_too() {
    let directory = tempfile::tempdir().unwrap();
    let catalog = directory.path().join("endpoints.yaml");
    let text = "web:\n  endpoints: [{host: 10.0.0.1, port: 80}]\n  generators: {haproxy: {backend: [balance leastconn]}}\n";
    std::fs::write(&catalog, text).unwrap();
    let path = directory.path().join("haproxy.cfg");
    let config = json!({
        "services": { "web": { "discovery": { "method": "file", "path": catalog }, "haproxy": { "port": 8000 } } },
        "haproxy": { "config_file_path": path, "do_reloads": false, "global": [], "defaults": [] },
    });
    let config = Config::parse(&config.to_string(), None, &Registry::builtin()).unwrap();
    Agent::new(config).once().await.unwrap();
    let written = std::fs::read_to_string(path).unwrap();
    assert!(written.contains("backend web\n\tbalance leastconn\n\tserver 10.0.0.1:80"), "{written}");
}
