//! The configuration that Clay.io ran in 2015, as it is, on the EC2 API of moto: HAProxy watches its directory, as theirs did.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use agent::{Config, Registry, discovery::Catalog};
use e2e::{AgentTask, Dir, Ec2, Haproxy, HttpBackend, Port, Script, Spread, get, requests_over, wait_until};
use futures_util::future::join_all;
use tokio::sync::RwLock;

const CLAY: &str = include_str!("../../agent/tests/fixtures/clay.synapse.conf.json");
const DEADLINE: Duration = Duration::from_mins(1);

/// What Clay's configuration says: where HAProxy serves and reports, and where instances listen.
const FRONT: u16 = 50003;
const STATS: u16 = 1937;
const PRIMARY: u16 = 50001;
const BACKUP: u16 = 50002;

fn parse(text: &str) -> Config {
    let config = Config::parse(text, Some("synapse.conf.json"), &Registry::builtin());
    config.unwrap_or_else(|report| panic!("{report}"))
}

/// One endpoint, for what is rendered without asking anybody.
fn found() -> Catalog {
    Catalog::parse(r#"{"myservice": [{"host": "10.0.0.1", "port": 1, "name": "a"}]}"#).unwrap()
}

/// Replaces what stands there exactly once.
fn replaced(text: &str, old: &str, new: &str) -> String {
    assert_eq!(text.matches(old).count(), 1, "{old}");
    text.replace(old, new)
}

/// An instance: a server on the primaries' port and one on the backups'.
struct Machine {
    id: String,
    ip: Ipv4Addr,
    primary: HttpBackend,
    _backup: HttpBackend,
}

impl Machine {
    /// Starts an instance of this name at 127.1.0.`number`.
    async fn start(ec2: &Ec2, name: &str, number: u8, tags: &[(&str, &str)]) -> Self {
        let ip = Ipv4Addr::new(127, 1, 0, number);
        let at = |port| SocketAddr::from((ip, port));
        Self {
            primary: HttpBackend::start_at(name, at(PRIMARY)).await,
            _backup: HttpBackend::start_at(&format!("{name}-backup"), at(BACKUP)).await,
            id: ec2.run_instance(&ip.to_string(), tags).await,
            ip,
        }
    }

    /// Its two lines, without ids.
    fn lines(&self) -> [String; 2] {
        let name = format!("ip-{}.ec2.internal", self.ip.to_string().replace('.', "-"));
        let line = |port, role| {
            format!("server {name}_{ip}:{port} {ip}:{port}{role} inter 2s rise 3 fall 2 check", ip = self.ip)
        };
        [line(PRIMARY, ""), line(BACKUP, " backup")]
    }
}

/// The machine that Clay's configuration is for, and the EC2 that it asks.
struct Clay {
    ec2: Ec2,
    dir: Dir,
    text: String,
    _front: Port,
}

impl Clay {
    /// Waits for Clay's ports. The configuration is theirs but for what has to differ here.
    async fn prepare() -> Self {
        let front = Port::exactly(FRONT).await;
        let (ec2, dir) = (Ec2::start().await, Dir::new("clay"));
        std::fs::create_dir(dir.join("haproxy")).unwrap();
        let access = format!(
            "1.0, \"aws_region\": \"us-east-1\", \"aws_endpoint\": \"{}\", \
             \"aws_access_key_id\": \"x\", \"aws_secret_access_key\": \"x\"",
            ec2.endpoint()
        );
        let text = replaced(CLAY, "120.0", &access);
        let mut text = replaced(
            &text,
            "/etc/haproxy/haproxy.cfg",
            &dir.join("haproxy/haproxy.cfg").display().to_string(),
        );
        if !rustix::process::geteuid().is_root() {
            for theirs in ["\"user    haproxy\",", "\"group   haproxy\",", "\"chroot  /var/lib/haproxy\","] {
                text = replaced(&text, theirs, "");
            }
        }
        Self { ec2, dir, text, _front: front }
    }

    fn path(&self) -> std::path::PathBuf {
        self.dir.join("haproxy/haproxy.cfg")
    }

    fn file(&self) -> String {
        std::fs::read_to_string(self.path()).unwrap_or_default()
    }

    /// Starts their container: an HAProxy that reloads when its file changes.
    async fn watching_haproxy(&self) -> Script {
        let path = Path::new("/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin");
        let config = self.path();
        let variables = [("CONFIG", config.as_path()), ("PATH", path)];
        let script = Script::start("deploy/watch.sh", &variables, &self.dir);
        Script::until_watched(&self.dir.join("haproxy")).await;
        script
    }

    /// Waits until the file has these instances and no others, and requests are answered by these servers and no others.
    async fn until_serves(&self, machines: &[&Machine], servers: &[&str]) {
        let mut expected: Vec<String> = machines.iter().flat_map(|machine| machine.lines()).collect();
        expected.sort();
        wait_until(DEADLINE, &format!("{servers:?} to serve"), async || {
            let mut lines: Vec<String> = self.file().lines().filter_map(without_id).collect();
            lines.sort();
            if lines != expected {
                return Err(format!("{lines:#?}"));
            }
            let spread = requests_over(front(), 12).await;
            let right = spread.servers() == servers && spread.failed().is_empty();
            if right { Ok(()) } else { Err(format!("{spread:?}")) }
        })
        .await;
    }
}

fn front() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, FRONT).into()
}

/// A `server` line without indent and id.
fn without_id(line: &str) -> Option<String> {
    let mut words: Vec<_> = line.split_whitespace().collect();
    if words.first() != Some(&"server") {
        return None;
    }
    let id = words.iter().position(|word| *word == "id").expect("servers have ids");
    words.drain(id..id + 2);
    Some(words.join(" "))
}

/// Waits until HAProxy has found every server on the primaries' port to be up, or down.
async fn until_primaries_are(status: &str) {
    wait_until(DEADLINE, &format!("all primaries to be {status}"), async || {
        let table = get((Ipv4Addr::LOCALHOST, STATS), "/;csv").await.map_err(|error| error.to_string())?.body;
        let seen: Vec<_> = table
            .lines()
            .map(|line| line.split(',').collect::<Vec<_>>())
            .filter(|row| row.len() > 17 && row[1].ends_with(&format!(":{PRIMARY}")))
            .map(|row| row[17].to_owned())
            .collect();
        let right = !seen.is_empty() && seen.iter().all(|seen| seen == status);
        if right { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await;
}

#[tokio::test]
async fn clays_configuration_finds_its_instances_and_fails_over_to_the_backups() {
    const OURS: &[(&str, &str)] = &[("servicename", "true")];
    let clay = Clay::prepare().await;
    let ec2 = &clay.ec2;
    let mut blue = Machine::start(ec2, "blue", 10, OURS).await;
    let green = Machine::start(ec2, "green", 11, OURS).await;
    let stopped = Machine::start(ec2, "stopped", 12, OURS).await;
    ec2.stop_instance(&stopped.id).await;
    // Has the name, and on another tag the value: Synapse takes it for one of ours.
    let _decoy = Machine::start(ec2, "decoy", 13, &[("servicename", "false"), ("other", "true")]).await;
    let mut late = Machine::start(ec2, "late", 14, &[]).await;

    let _container = clay.watching_haproxy().await;
    let agent = AgentTask::start(parse(&clay.text));
    clay.until_serves(&[&blue, &green], &["blue", "green"]).await;
    Haproxy::check(&clay.file()).await.unwrap();
    assert_eq!(agent.service("myservice").state(), "ok");

    ec2.tag_instance(&late.id, "servicename", "true").await;
    clay.until_serves(&[&blue, &green, &late], &["blue", "green", "late"]).await;
    ec2.terminate_instance(&green.id).await;
    clay.until_serves(&[&blue, &late], &["blue", "late"]).await;
    // One for the start, one for each change.
    let counters =
        wait_until(DEADLINE, "three writes and reloads", async || match agent.status().output().counters {
            counters if (counters.writes, counters.reloads) == (3, 3) => Ok(counters),
            other => Err(format!("{other:?}")),
        })
        .await;

    // One of two: `option redispatch` and `retries` take its requests to the other at once.
    until_primaries_are("UP").await;
    late.primary.stop().await;
    let spread = requests_over(front(), 50).await;
    assert_eq!((spread.servers(), spread.failed()), (vec!["blue"], &[][..]), "{spread:?}");
    // All of them: once HAProxy has noticed, everything goes to the first of the backups.
    blue.primary.stop().await;
    until_primaries_are("DOWN").await;
    let spread = requests_over(front(), 100).await;
    assert_eq!((spread.servers(), spread.failed()), (vec!["blue-backup"], &[][..]), "{spread:?}");
    blue.primary.resume().await;
    late.primary.resume().await;
    until_primaries_are("UP").await;
    clay.until_serves(&[&blue, &late], &["blue", "late"]).await;
    assert_eq!(agent.status().output().counters, counters, "what HAProxy finds out for itself is no change");
    agent.stop().await;
}

/// Requests by several clients at once while these primaries' ports are closed, until `backup` alone answers; of them all none may
/// fail. A request that has begun is answered before a port is closed: what is looked at is who is tried next.
async fn fail_over_to(backup: &str, primaries: &mut [&mut Machine]) {
    const CLIENTS: usize = 8;
    let (gate, over) = (RwLock::new(()), AtomicBool::new(false));
    let client = async || {
        let mut all = Vec::new();
        while !over.load(Ordering::Relaxed) {
            let asking = gate.read().await;
            all.push(requests_over(front(), 1).await);
            drop(asking);
        }
        all
    };
    let close = async {
        let closing = gate.write().await;
        for machine in primaries {
            machine.primary.stop().await;
        }
        drop(closing);
        wait_until(DEADLINE, &format!("{backup} to take over"), async || {
            let spread = requests_over(front(), 8).await;
            if spread.servers() == [backup] && spread.failed().is_empty() {
                Ok(())
            } else {
                Err(format!("{spread:?}"))
            }
        })
        .await;
        over.store(true, Ordering::Relaxed);
    };
    let (all, ()) = tokio::join!(join_all((0..CLIENTS).map(|_| client())), close);
    let failed: Vec<_> = all.iter().flatten().flat_map(Spread::failed).collect();
    assert!(failed.is_empty(), "{} of {}: {failed:?}", failed.len(), all.iter().flatten().count());
    assert!(all.iter().flatten().any(|spread| spread.servers() == [backup]), "{all:?}");
}

/// Clay's configuration with another line in place of one of theirs, serving these machines.
async fn serve_with(clay: &mut Clay, old: &str, new: &str, names: &[&str]) -> (AgentTask, Script) {
    clay.text = replaced(&clay.text, old, new);
    let agent = AgentTask::start(parse(&clay.text));
    wait_until(DEADLINE, "a configuration", async || match clay.file() {
        file if file.is_empty() => Err("none".to_owned()),
        _ => Ok(()),
    })
    .await;
    let container = clay.watching_haproxy().await;
    wait_until(DEADLINE, "all to serve", async || match requests_over(front(), 4).await {
        spread if spread.servers() == names && spread.failed().is_empty() => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    (agent, container)
}

#[tokio::test]
async fn servers_that_are_marked_down_by_requests_fail_over_without_a_failed_one() {
    const OURS: &[(&str, &str)] = &[("servicename", "true")];
    let mut clay = Clay::prepare().await;
    let mut blue = Machine::start(&clay.ec2, "blue", 20, OURS).await;
    let mut green = Machine::start(&clay.ec2, "green", 21, OURS).await;
    // What `docs/ec2.md` recommends.
    let observed = "\"check observe layer4 error-limit 1 on-error mark-down\"";
    let (agent, _container) = serve_with(&mut clay, "\"check\"", observed, &["blue", "green"]).await;
    fail_over_to("blue-backup", &mut [&mut blue, &mut green]).await;
    agent.stop().await;
}

#[tokio::test]
async fn a_single_server_fails_over_without_a_failed_request_if_retries_last_until_checks_notice() {
    let mut clay = Clay::prepare().await;
    let mut blue = Machine::start(&clay.ec2, "blue", 30, &[("servicename", "true")]).await;
    // One a second, and checks take up to four.
    let (agent, _container) = serve_with(&mut clay, "retries        3", "retries        8", &["blue"]).await;
    until_primaries_are("UP").await;
    fail_over_to("blue-backup", &mut [&mut blue]).await;
    agent.stop().await;
}

#[test]
fn clays_configuration_loads_as_it_is() {
    let config = parse(CLAY);
    assert_eq!(config.services().collect::<Vec<_>>(), ["myservice"]);
    let warnings: Vec<_> = config.warnings().problems().iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 1, "{warnings:#?}");
    assert!(warnings[0].contains("listen stats") && warnings[0].contains("`bind` line"), "{warnings:?}");
}

#[test]
fn text_pasted_from_a_web_page_means_the_same() {
    let found = found();
    let original = parse(CLAY);
    let rendered = original.render(&found);
    assert!(
        rendered.contains("server a_10.0.0.1:50001 10.0.0.1:50001 id 1 inter 2s rise 3 fall 2 check"),
        "{rendered}"
    );
    assert!(
        rendered.contains("server a_10.0.0.1:50002 10.0.0.1:50002 id 2 backup inter 2s rise 3 fall 2 check"),
        "{rendered}"
    );
    // Indentation and what stands after colons is outside strings; runs of blanks inside of them stay as they are.
    let no_break = CLAY.lines().map(|line| {
        let text = line.trim_start();
        format!("{}{}\n", "\u{a0}".repeat(line.len() - text.len()), text.replace("\": ", "\":\u{a0}"))
    });
    let no_break: String = no_break.collect();
    let all = format!("\u{feff}{}", no_break.replace('\n', "\r\n"));
    for variant in [no_break, format!("\u{feff}{CLAY}"), CLAY.replace('\n', "\r\n"), all] {
        assert_ne!(variant, CLAY);
        let config = parse(&variant);
        assert_eq!(config.render(&found), rendered);
        let messages = |config: &Config| config.warnings().to_string();
        assert_eq!(messages(&config), messages(&original));
    }
}

#[test]
fn a_port_may_be_a_number_and_must_be_there() {
    let port = "\"server_port_override\": \"50001\",";
    let number = replaced(CLAY, port, "\"server_port_override\": 50001,");
    assert_eq!(parse(&number).render(&found()), parse(CLAY).render(&found()));
    let refused = Config::parse(&replaced(CLAY, port, ""), None, &Registry::builtin()).unwrap_err();
    let refused = refused.to_string();
    assert!(refused.contains("`backend_port_override`") && refused.contains("`ec2tag`"), "{refused}");
}

#[test]
fn the_configuration_in_the_documentation_loads() {
    let page = include_str!("../../docs/ec2.md");
    let yaml = page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let config = parse(yaml);
    assert_eq!(config.services().collect::<Vec<_>>(), ["web"]);
    assert!(config.warnings().problems().is_empty(), "{}", config.warnings());
}
