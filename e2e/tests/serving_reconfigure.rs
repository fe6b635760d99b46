//! Another configuration under traffic: what is the same is left alone.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod serving_support;

use std::collections::BTreeMap;

use e2e::{AgentTask, Etcd, HttpBackend, Site};
use serving_support::{Touched, all_answered, registration, until, until_applied};

/// How many services there are.
const SERVICES: usize = 50;

/// `s00`, `s01` and so on.
fn name(number: usize) -> String {
    format!("s{number:02}")
}

/// The frontend and the backend of each service, as the file has them.
fn sections(site: &Site) -> BTreeMap<String, Vec<String>> {
    let mut sections = BTreeMap::<String, Vec<String>>::new();
    for section in site.file().split("\n\n") {
        let title = section.lines().next().unwrap_or_default();
        if let Some((_, service)) =
            title.split_once(' ').filter(|(kind, _)| ["frontend", "backend"].contains(kind))
        {
            sections.entry(service.to_owned()).or_default().push(section.trim_end().to_owned());
        }
    }
    sections
}

/// Everything that was ever done to the file and to HAProxy.
fn done(site: &Site, agent: &AgentTask) -> (u64, u64, u64, usize) {
    let output = agent.status().output();
    let commands = output.live.map_or(0, |live| live.commands);
    (output.counters.writes, output.counters.reloads, commands, site.haproxy().reload_commands())
}

async fn put(etcd: &Etcd, service: &str, backend: &HttpBackend) {
    etcd.put(&format!("/services/{service}/{}", backend.name()), &registration(backend)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_touched_by_another_configuration_sees_no_write_and_all_of_it_is_one_reload() {
    let etcd = Etcd::start().await;
    let [blue, green] = [HttpBackend::start("blue").await, HttpBackend::start("green").await];
    let mut site = Site::start().await;
    let socket = site.haproxy().dir().join("admin.sock");
    site.set("/haproxy", "socket_file_path", socket.display().to_string());
    let defaults = [
        "mode http",
        "balance roundrobin",
        "retries 0",
        "timeout connect 2s",
        "timeout client 10s",
        "timeout server 10s",
    ];
    site.set("/haproxy", "defaults", defaults.to_vec());
    for service in (0..SERVICES).map(name) {
        site.add_service(&service, &etcd.endpoints());
        put(&etcd, &service, &blue).await;
        put(&etcd, &service, &green).await;
    }
    let agent = site.follow();
    // One that changes its lines, one that changes its source, and two that do not change.
    let asked = [0, 4, 7, SERVICES - 1].map(name);
    for service in &asked {
        site.until_serves(service, &["blue", "green"]).await;
    }
    until_applied(&agent).await;
    until("the file to be up to date", || {
        agent.status().output().behind.map_or(Ok(()), |behind| Err(format!("{behind:?}")))
    })
    .await;
    let traffic = asked.each_ref().map(|service| site.traffic(service));
    let (before, did) = (sections(&site), done(&site, &agent));
    assert_eq!(before.len(), SERVICES);

    // Five are changed, two removed, and two added.
    for service in (0..3).map(name) {
        site.set(&format!("/services/{service}/haproxy"), "backend", vec!["timeout queue 7s"]);
    }
    site.set("/services/s03/haproxy", "server_options", "maxconn 50");
    site.set("/services/s04/discovery", "prefix", "/services/elsewhere");
    put(&etcd, "elsewhere", &blue).await;
    put(&etcd, "elsewhere", &green).await;
    for service in [5, 6].map(name) {
        site.remove_service(&service);
    }
    for service in ["new0", "new1"] {
        site.add_service(service, &etcd.endpoints());
        put(&etcd, service, &blue).await;
        put(&etcd, service, &green).await;
    }
    site.write_config();
    until_taken(&agent, 1).await;
    for service in ["new0", "new1", "s00", "s03", "s04"] {
        site.until_serves(service, &["blue", "green"]).await;
    }
    until("all of it to be applied", || {
        let (since, output) = (agent.status().configuration().since, agent.status().output());
        let applied = output.applied.is_some_and(|applied| applied > since) && output.behind.is_none();
        if applied { Ok(()) } else { Err(format!("{output:?}")) }
    })
    .await;

    let after = sections(&site);
    let untouched = || (7..SERVICES).map(name);
    for service in untouched() {
        assert_eq!(after.get(&service), before.get(&service), "{service}");
    }
    let others: Vec<_> = after.keys().filter(|service| !untouched().any(|name| name == **service)).collect();
    assert_eq!(others, ["new0", "new1", "s00", "s01", "s02", "s03", "s04"]);
    let servers = |sections: &BTreeMap<String, Vec<String>>, service: usize| {
        let lines = sections[&name(service)].iter().flat_map(|section| section.lines());
        lines.filter(|line| line.starts_with("\tserver ")).map(str::to_owned).collect::<Vec<_>>()
    };
    for service in [0, 1, 2, 4] {
        assert_eq!(servers(&after, service), servers(&before, service), "ids and all");
        assert_eq!(after[&name(service)] == before[&name(service)], service == 4);
    }
    assert!(servers(&after, 3).iter().all(|line| line.contains("maxconn 50")), "{:?}", after["s03"]);
    let now = done(&site, &agent);
    assert_eq!((now.1, now.3), (did.1 + 1, did.3 + 1), "one reload");
    // What commands do of it need not wait for the reload to settle, and the file follows them.
    assert!((1..=2).contains(&(now.0 - did.0)), "{} writes", now.0 - did.0);

    // One that can't be used.
    let (did, touched, taken) =
        (done(&site, &agent), Touched::last(&site), agent.status().configuration().taken);
    site.set("/services/s10/haproxy", "prt", 1);
    site.remove_service("s11");
    site.write_config();
    let failure = until("it to be shown", || {
        agent.status().configuration().failure.ok_or_else(|| "no failure so far".to_owned())
    })
    .await;
    assert!(failure.error.contains("services.s10.haproxy.prt: unknown key"), "{failure:?}");
    for service in ["s00", "s10", "new1"] {
        site.until_serves(service, &["blue", "green"]).await;
    }
    assert_eq!((done(&site, &agent), Touched::last(&site), sections(&site)), (did, touched, after));
    assert_eq!(agent.status().configuration().taken, taken);
    for traffic in traffic {
        all_answered(traffic).await;
    }
    let live = agent.status().output().live.unwrap();
    assert_eq!((live.refusals, live.put_back), (0, 0), "{live:?}");
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_go_on_changing_while_a_new_section_waits_for_its_reload() {
    let etcd = Etcd::start().await;
    let [blue, green] = [HttpBackend::start("blue").await, HttpBackend::start("green").await];
    let mut site = Site::start().await;
    let socket = site.haproxy().dir().join("admin.sock");
    site.set("/haproxy", "socket_file_path", socket.display().to_string());
    // Longer than anything here takes: the reload of the new section does not come.
    site.set("/haproxy", "restart_interval", 3600);
    site.add_service("web", &etcd.endpoints());
    put(&etcd, "web", &blue).await;
    let agent = site.follow();
    site.until_serves("web", &["blue"]).await;
    until_applied(&agent).await;
    let traffic = site.traffic("web");
    let (_, reloads, _, commands) = done(&site, &agent);

    site.add_service("new", &etcd.endpoints());
    put(&etcd, "new", &blue).await;
    site.write_config();
    until_taken(&agent, 1).await;
    put(&etcd, "web", &green).await;
    site.until_serves("web", &["blue", "green"]).await;
    let now = done(&site, &agent);
    assert_eq!((now.1, now.3), (reloads, commands), "no reload before its time");
    assert!(!site.file().contains("backend new"));
    all_answered(traffic).await;
    agent.stop().await;
}

async fn until_taken(agent: &AgentTask, count: u64) {
    until("the configuration to be taken over", || {
        let now = agent.status().configuration();
        if now.taken == count { Ok(()) } else { Err(format!("{now:?}")) }
    })
    .await;
}
