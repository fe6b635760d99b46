//! What is shown of what.

use agent::http::{AskError, ask};
use serde_json::json;

use crate::{
    site::endpoints,
    visit::{Place, Said, failure},
};

#[tokio::test]
async fn services_endpoints_and_changes_are_told_to_programs_and_people() {
    let place = Place::new([("web", Said::Answer(endpoints([1, 2])))]);
    let (running, visitor) = place.start().await;
    visitor.until_ready().await;
    place.say("web", Said::Answer(endpoints([2, 3])));
    visitor.until("/status", |reply| reply.body.contains("web +1 -1 ~0")).await;
    let report = visitor.json().await;
    let web = &report["services"][0];
    assert_eq!(
        [&web["name"], &web["method"], &web["state"], &web["stale"], &web["servers_total"], &web["failures"]],
        [&json!("web"), &json!("scripted"), &json!("ok"), &json!(false), &json!(2), &json!(0)]
    );
    assert_eq!(web["endpoints"], json!([{"host": "10.0.0.2", "port": 80}, {"host": "10.0.0.3", "port": 80}]));
    assert_eq!(web["servers"][1], json!({"name": "10.0.0.3:80", "host": "10.0.0.3", "port": 80}));
    assert!(web["age_seconds"].as_f64().is_some_and(|age| age >= 0.0), "{web}");
    let output = &report["output"];
    assert_eq!(
        (&output["error"], &output["pending"], &output["haproxy"]),
        (&json!(null), &json!(null), &json!(null))
    );
    assert_eq!(output["counters"]["writes"], 2);
    let change = &output["changes"][0];
    assert_eq!((&change["how"], &change["what"]), (&json!("file"), &json!("web +1 -1 ~0")));
    assert!(change["done"].as_str().is_some_and(|done| done.starts_with("wrote ")), "{change}");
    assert_eq!(report["output"]["changes"].as_array().map(Vec::len), Some(2));
    assert_eq!((&report["ready"], &report["alive"]), (&json!(true), &json!(true)));

    let page = visitor.get("/").await;
    assert!(page.head.contains("content-type: text/html; charset=utf-8"), "{}", page.head);
    assert!(page.head.contains("content-security-policy: default-src 'none'"), "{}", page.head);
    for shown in
        ["● ready", "<h2>web</h2>", "10.0.0.2:80", "10.0.0.3:80", "web +1 -1 ~0", "http-equiv=\"refresh\""]
    {
        assert!(page.body.contains(shown), "no {shown} in {}", page.body);
    }
    assert!(!page.body.contains("10.0.0.1:80") && !page.body.contains("<script"), "{}", page.body);

    let asked = ask(&visitor.address.to_string()).await.unwrap();
    assert_eq!((asked.services[0].name.as_str(), asked.ready, asked.output.changes.len()), ("web", true, 2));
    running.stop().await;
    assert!(matches!(ask(&visitor.address.to_string()).await, Err(AskError::Connect { .. })));
}

#[tokio::test]
async fn hosts_with_the_same_servers_have_the_same_digest_and_others_another() {
    let digest = async |seed: i64, served: [u8; 3]| {
        let place = Place::new([("web", Said::Answer(endpoints(served)))])
            .set(&["haproxy", "server_order_seed"], json!(seed));
        let (running, visitor) = place.start().await;
        visitor.until_ready().await;
        let report = visitor.json().await;
        running.stop().await;
        (report["content_hash"].clone(), place.site.servers("web"))
    };
    let (one, other, third) =
        (digest(1, [1, 2, 3]).await, digest(2, [1, 2, 3]).await, digest(1, [1, 2, 4]).await);
    assert_ne!(one.1, other.1, "the orders are to differ");
    assert_eq!(one.0, other.0);
    assert_ne!(one.0, third.0);
}

#[tokio::test]
async fn a_long_list_is_cut_and_counted() {
    let many = (0..3000_u32).map(|number| {
        let host = std::net::Ipv4Addr::from(0x0a00_0001 + number);
        agent::discovery::Endpoint::new(std::net::IpAddr::from(host).try_into().unwrap(), 80).unwrap()
    });
    let place = Place::new([("web", Said::Answer(many.collect()))]);
    let (running, visitor) = place.start().await;
    visitor.until_ready().await;
    let report = visitor.json().await;
    let web = &report["services"][0];
    assert_eq!((&web["endpoints_total"], &web["servers_total"]), (&json!(3000), &json!(3000)));
    assert_eq!(web["endpoints"].as_array().map(Vec::len), Some(1000));
    let page = visitor.get("/").await.body;
    assert!(page.contains("and 2950 more") && page.len() < 50_000, "{} bytes", page.len());
    running.stop().await;
}

#[tokio::test]
async fn what_was_served_before_the_start_is_told_as_such() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state.json");
    let place = Place::new([("web", Said::Answer(endpoints([1])))])
        .set(&["haproxy", "state_file_path"], json!(state));
    let (running, visitor) = place.start().await;
    visitor.until_ready().await;
    running.stop().await;
    place.say("web", failure("asking the registry"));
    let (running, visitor) = place.start().await;
    let body = visitor.until("/readyz", |reply| !reply.body.contains("nothing was applied")).await.body;
    assert!(body.starts_with("service web: its source has not answered yet, for 0 s: asking"), "{body}");
    let report = visitor.json().await;
    let web = &report["services"][0];
    assert_eq!(
        (&web["restored"], &web["servers_total"], &web["state"]),
        (&json!(true), &json!(1), &json!("failing"))
    );
    assert_eq!(
        visitor.metric("synapse_service_restored{service=\"web\",method=\"scripted\"}").await,
        Some(1.0)
    );
    assert!(visitor.get("/").await.body.contains("this is what the state file has"));
    running.stop().await;
}

#[tokio::test]
async fn on_the_page_what_is_not_well_comes_first_and_is_counted() {
    let rejected = endpoints([3]).with_rejected([agent::discovery::Rejection::new("/odd/x", &"no port")]);
    let place = Place::new([
        ("a-good", Said::Answer(endpoints([1]))),
        ("b-bad", failure("asking the registry")),
        ("c-good", Said::Answer(endpoints([2]))),
        ("d-odd", Said::Answer(rejected)),
    ]);
    let (running, visitor) = place.start().await;
    visitor.until("/readyz", |reply| !reply.body.contains("nothing was applied")).await;
    let page = visitor.get("/").await.body;
    let names = page.split("<h2>").skip(1).filter_map(|rest| rest.split_once("</h2>")).map(|(name, _)| name);
    let names: Vec<_> = names.filter(|name| name.contains('-')).collect();
    assert_eq!(names, ["b-bad", "d-odd", "a-good", "c-good"]);
    assert!(page.contains("4 services, 1 failing, 1 stale,"), "{page}");
    running.stop().await;
}

#[tokio::test]
async fn what_is_written_and_sent_beside_haproxy_is_shown() {
    let directory = tempfile::tempdir().unwrap();
    let files = directory.path().join("files");
    let place = Place::new([("web", Said::Answer(endpoints([1])))])
        .set(&["file_output"], json!({ "output_directory": &files }))
        .set(&["statsd"], json!({ "host": "nobody.invalid", "port": 9 }));
    let (running, visitor) = place.start().await;
    visitor.until_ready().await;
    visitor.until("/status", |reply| reply.body.contains("\"files\":1,\"writes\":1,")).await;
    let failed = |reply: &crate::visit::Reply| reply.body.contains("synapse_statsd_failed 1.0");
    visitor.until("/metrics", failed).await;
    let report = visitor.json().await;
    assert_eq!(report["file_output"]["error"], json!(null));
    let statsd = &report["statsd"];
    assert_eq!((&statsd["server"], &statsd["address"]), (&json!("nobody.invalid:9"), &json!(null)));
    assert!(statsd["error"].is_string(), "{statsd}");
    let page = visitor.get("/").await.body;
    assert!(page.contains(&format!("1 in <span class=\"mono\">{}</span>", files.display())), "{page}");
    assert!(page.contains("where nobody.invalid:9 is, is not known: "), "{page}");
    // Metrics that go nowhere are no reason to take traffic from a host.
    assert_eq!(visitor.get("/readyz").await.code, 200);

    std::fs::remove_dir_all(&files).unwrap();
    std::fs::write(&files, "").unwrap();
    place.say("web", Said::Answer(endpoints([1, 2])));
    let obstacle = visitor.until("/readyz", |reply| reply.code == 503).await.body;
    assert!(obstacle.starts_with("file_output: 1 service has not the file that it should: "), "{obstacle}");
    assert_eq!(visitor.metric("synapse_file_output_failing").await, Some(1.0));
    let place = place.set(&["statsd"], json!(null)).set(&["file_output"], json!(null));
    let mut running = running;
    running.reconfigure(place.config()).await;
    visitor.until_ready().await;
    let report = visitor.json().await;
    assert_eq!((&report["statsd"], &report["file_output"]), (&json!(null), &json!(null)));
    assert_eq!(visitor.metric("synapse_statsd_failed").await, None);
    running.stop().await;
}
