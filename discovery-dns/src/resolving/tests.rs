use std::time::Duration;

use discovery_core::{
    Settings,
    testing::{
        ScriptedWatcher, Step,
        conformance::{Subject, assert_conforms},
    },
};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use super::*;
use crate::scripted::{Does, Scripted, nobody, within};

const NAMESERVER: &[&str] = &["10.0.0.1"];
const EVERY: Duration = Duration::from_secs(30);

fn endpoint(host: &str) -> Endpoint {
    Endpoint::new(host.parse().unwrap(), 80).unwrap()
}

fn snapshot(hosts: &[&str]) -> Snapshot {
    hosts.iter().map(|host| endpoint(host)).collect()
}

fn says(snapshot: Snapshot) -> Step {
    Step::Yield(snapshot)
}

fn resolving(dns: &Scripted, steps: impl IntoIterator<Item = Step>) -> Resolving<ScriptedWatcher> {
    dns.resolver(NAMESERVER).resolving(ScriptedWatcher::new(steps), EVERY)
}

fn shown(snapshot: &Snapshot) -> Vec<String> {
    snapshot.iter().map(ToString::to_string).collect()
}

fn rejected(snapshot: &Snapshot) -> Vec<String> {
    let named = snapshot.rejected().named().iter();
    named.map(|one| format!("{}: {}", one.entry(), one.reason())).collect()
}

#[tokio::test(start_paused = true)]
async fn a_name_becomes_its_addresses_and_all_else_stays() {
    let dns = Scripted::default();
    dns.has("web", 60, &["10.0.0.1", "10.0.0.2"]);
    let named = endpoint("web").with_name("w").unwrap().with_weight(Some(7)).with_id(Some(3));
    let hidden = endpoint("hidden").with_available(false);
    let settings = Settings::parse(br#"{"haproxy": {"server_options": "check"}}"#).unwrap();
    let said = Snapshot::new([named, hidden, endpoint("10.0.0.9")])
        .with_rejected([Rejection::new("bad", "no JSON")])
        .with_settings(settings.clone());
    let answer = resolving(&dns, [says(said)]).next().await.unwrap();
    let all: Vec<_> = answer.iter().map(|endpoint| format!("{endpoint:?}")).collect();
    assert_eq!(
        all,
        [
            "w_10.0.0.1:80 id=3 weight=7",
            "w_10.0.0.2:80 id=3 weight=7",
            "10.0.0.9:80",
            "hidden:80 unavailable",
        ]
    );
    assert_eq!((rejected(&answer), answer.settings()), (vec!["bad: no JSON".to_owned()], settings.as_ref()));
}

#[tokio::test(start_paused = true)]
async fn news_of_the_other_watcher_come_at_once_and_news_of_a_name_when_its_ttl_is_over() {
    let dns = Scripted::default();
    dns.has("a", 20, &["10.0.0.1"]);
    dns.has("b", 3600, &["10.0.0.2"]);
    let steps = [says(snapshot(&["a"])), Step::Wait(Duration::from_secs(3)), says(snapshot(&["a", "b"]))];
    let mut watcher = resolving(&dns, steps);
    let start = Instant::now();
    assert_eq!(shown(&watcher.next().await.unwrap()), ["10.0.0.1:80"]);
    dns.has("a", 20, &["10.0.0.7"]);
    assert_eq!(shown(&watcher.next().await.unwrap()), ["10.0.0.1:80", "10.0.0.2:80"]);
    assert_eq!(start.elapsed(), Duration::from_secs(3));
    assert_eq!(shown(&watcher.next().await.unwrap()), ["10.0.0.2:80", "10.0.0.7:80"]);
    assert!((20..22).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_name_that_fails_keeps_its_last_addresses_and_one_that_was_never_known_is_listed() {
    let dns = Scripted::default();
    dns.has("a", 5, &["10.0.0.1"]);
    let steps = [says(snapshot(&["a"])), Step::Wait(Duration::from_secs(20)), says(snapshot(&["a", "b"]))];
    let mut watcher = resolving(&dns, steps);
    watcher.next().await.unwrap();
    for name in ["a", "b"] {
        dns.all_do(name, &Does::Refuse);
    }
    let answer = within(async {
        loop {
            let answer = watcher.next().await.unwrap();
            assert_eq!(shown(&answer), ["10.0.0.1:80"]);
            if answer.rejected().total() > 0 {
                break answer;
            }
        }
    })
    .await;
    let rejected = rejected(&answer);
    assert!(rejected[0].starts_with("b:80: 10.0.0.1:53 answers SERVFAIL"), "{rejected:?}");
    dns.has("b", 5, &["10.0.0.2"]);
    let healed = within(async {
        loop {
            let answer = watcher.next().await.unwrap();
            if answer.rejected().total() == 0 {
                break answer;
            }
        }
    })
    .await;
    assert_eq!(shown(&healed), ["10.0.0.1:80", "10.0.0.2:80"]);
}

#[tokio::test(start_paused = true)]
async fn when_no_name_was_ever_known_that_is_an_error_and_no_answer() {
    let dns = Scripted::default();
    for name in ["a", "b"] {
        dns.all_do(name, &Does::Hang);
    }
    let mut watcher = resolving(&dns, [says(snapshot(&["a", "b", "10.0.0.9"]))]);
    let error = watcher.next().await.unwrap_err().chain();
    assert!(error.starts_with("resolving a, and every other name, by 10.0.0.1:53: "), "{error}");
    dns.has("a", 60, &["10.0.0.1"]);
    let answer = within(async {
        loop {
            if let Ok(answer) = watcher.next().await {
                break answer;
            }
        }
    })
    .await;
    assert_eq!(shown(&answer), ["10.0.0.1:80", "10.0.0.9:80"]);
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_gone_takes_its_addresses_along_and_says_so() {
    let dns = Scripted::default();
    dns.has("a", 5, &["10.0.0.1"]);
    dns.has("b", 5, &["10.0.0.2"]);
    let mut watcher = resolving(&dns, [says(snapshot(&["a", "b"]))]);
    watcher.next().await.unwrap();
    dns.all_do("a", &Does::Answer(nobody(false, Some(60))));
    dns.all_do("b", &Does::Answer(nobody(true, Some(60))));
    let answer = within(async {
        loop {
            let answer = watcher.next().await.unwrap();
            if answer.is_empty() {
                break answer;
            }
        }
    })
    .await;
    assert_eq!(rejected(&answer), ["a:80: its name does not exist", "b:80: its name has no address"]);
}

#[tokio::test(start_paused = true)]
async fn while_the_other_watcher_fails_only_that_is_told() {
    let dns = Scripted::default();
    dns.has("a", 5, &["10.0.0.1"]);
    let steps = [
        says(snapshot(&["a"])),
        Step::Wait(Duration::from_secs(1)),
        Step::Fail(WatchError::new("reading the registry")),
        Step::Wait(Duration::from_mins(1)),
        says(snapshot(&["a"])),
    ];
    let mut watcher = resolving(&dns, steps);
    watcher.next().await.unwrap();
    assert_eq!(watcher.next().await.unwrap_err().to_string(), "reading the registry");
    let start = Instant::now();
    dns.has("a", 5, &["10.0.0.7"]);
    assert_eq!(shown(&watcher.next().await.unwrap()), ["10.0.0.7:80"]);
    assert_eq!(start.elapsed(), Duration::from_mins(1));
}

#[tokio::test(start_paused = true)]
async fn what_the_other_watcher_said_is_not_lost_with_a_call_that_is_dropped() {
    let dns = Scripted::default();
    dns.has("a", 3600, &["10.0.0.1"]);
    dns.takes(Duration::from_secs(1));
    let mut watcher = resolving(&dns, [says(snapshot(&["a"]))]);
    for _ in 0..5 {
        assert!(timeout(Duration::from_millis(150), watcher.next()).await.is_err());
    }
    assert_eq!(shown(&watcher.next().await.unwrap()), ["10.0.0.1:80"]);
}

/// A registry whose endpoints have names: `10.0.0.7` is called `h7`.
struct Registry {
    dns: Scripted,
    held: watch::Sender<Option<Snapshot>>,
}

/// Says what the registry holds, and that it is down.
struct Reader(watch::Receiver<Option<Snapshot>>);

#[async_trait]
impl Watcher for Reader {
    async fn next(&mut self) -> Result<Snapshot, WatchError> {
        if self.0.borrow().is_some() {
            // A sender that is gone says nothing new.
            self.0.changed().await.ok();
        }
        let now = self.0.borrow().clone();
        now.ok_or_else(|| WatchError::new("reading the registry"))
    }
}

#[async_trait]
impl Subject for Registry {
    type Watcher = Resolving<Reader>;

    async fn watcher(&mut self) -> Resolving<Reader> {
        let mut held = self.held.subscribe();
        held.mark_changed();
        self.dns.resolver(NAMESERVER).resolving(Reader(held), EVERY)
    }

    async fn set(&mut self, endpoints: &[Endpoint]) {
        let named = |endpoint: &Endpoint| {
            let ip = endpoint.host().to_string();
            let name = format!("h{}", ip.rsplit('.').next().unwrap());
            self.dns.has(&name, 3600, &[&ip]);
            endpoint.clone().with_host(name.parse().unwrap())
        };
        self.held.send_replace(Some(endpoints.iter().map(named).collect()));
    }

    async fn corrupt(&mut self) -> bool {
        self.held.send_modify(|held| {
            let held = held.get_or_insert_default();
            *held = held.clone().with_rejected([Rejection::new("bad", "no JSON")]);
        });
        true
    }
}

#[tokio::test(start_paused = true)]
async fn it_keeps_the_rules_of_every_source() {
    let held = watch::Sender::new(Some(Snapshot::default()));
    let mut registry = Registry { dns: Scripted::default(), held };
    let report = assert_conforms(&mut registry).await;
    assert!(report.passed().len() >= 7, "{report:?}");
}
