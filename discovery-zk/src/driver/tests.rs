//! Everything above the seam, over a ZooKeeper in memory, on a paused clock.

use std::{collections::BTreeMap, io, net::SocketAddr, sync::Mutex, time::Duration};

use async_trait::async_trait;
use discovery_core::{Backoff, Retry, Snapshot, WatchError, Watcher};
use tokio::{
    task::JoinHandle,
    time::{Instant, timeout},
};

use crate::{
    Address, Decode, Ensemble, EnsembleConfig, Member, Node, Path,
    resolve::Resolve,
    session::scripted::{Fake, Kind, Mode},
};

const DEADLINE: Duration = Duration::from_mins(5);

/// Resolves `zk-1`, `zk-2` and so on to the fake's servers, but for the names that are lost.
#[derive(Default, Clone)]
struct Names(std::sync::Arc<Mutex<BTreeMap<String, Option<SocketAddr>>>>);

#[async_trait]
impl Resolve for Names {
    async fn resolve(&self, server: &Address) -> io::Result<Vec<SocketAddr>> {
        let known = self.0.lock().unwrap().get(&server.host().to_string()).copied();
        match known {
            Some(Some(address)) => Ok(vec![address]),
            Some(None) => std::future::pending().await,
            None => Err(io::Error::other("Name or service not known")),
        }
    }
}

struct World {
    fake: Fake,
    names: Names,
    ensemble: Ensemble,
    driver: JoinHandle<()>,
}

/// Polls something as long as others need, and no longer.
async fn soon<T>(work: impl Future<Output = T>) -> T {
    timeout(DEADLINE, work).await.expect("in time")
}

impl World {
    fn new(servers: u8) -> Self {
        let fake = Fake::of(servers);
        let names = Names::default();
        for nth in 1..=servers {
            names.0.lock().unwrap().insert(format!("zk-{nth}"), Some(Fake::address(nth)));
        }
        let servers = (1..=servers).map(|nth| format!("zk-{nth}").parse().unwrap());
        let config = EnsembleConfig::new(servers).unwrap();
        let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5)).unwrap();
        let (ensemble, driver) = Ensemble::through(config, backoff, fake.connector(), names.clone());
        Self { fake, names, ensemble, driver: tokio::spawn(driver) }
    }

    fn member(&self, path: &str) -> Member {
        self.ensemble.member(node(path))
    }

    /// A service that is registered and watched.
    async fn web(children: &[(&str, u16)]) -> (Self, Member) {
        let world = Self::new(1);
        world.fake.create("/web", "");
        for (name, port) in children {
            world.put(name, *port);
        }
        let mut member = world.member("/web");
        assert_eq!(ports(&next(&mut member).await.unwrap()).len(), children.len());
        world.fake.take_asked();
        (world, member)
    }

    fn put(&self, name: &str, port: u16) {
        self.fake.create(&format!("/web/{name}"), registration(port));
    }

    /// What was asked for since the last time, but for signs of life.
    fn asked(&self) -> Vec<(Kind, String)> {
        let mut asked = self.fake.take_asked();
        asked.retain(|(_, path)| path != "/");
        asked
    }
}

fn node(path: &str) -> Node {
    Node::new(Path::new(path).unwrap(), Decode::Nerve).with_settings(None)
}

fn registration(port: u16) -> String {
    format!(r#"{{"host":"10.0.0.1","port":{port},"name":"i-{port}"}}"#)
}

async fn next(member: &mut Member) -> Result<Snapshot, WatchError> {
    soon(member.next()).await
}

/// Waits for an answer with these ports; failures and equal answers may come before it.
async fn until(member: &mut Member, wanted: &[u16]) {
    soon(async {
        loop {
            if member.next().await.is_ok_and(|snapshot| ports(&snapshot) == wanted) {
                return;
            }
        }
    })
    .await;
}

/// Nothing is told for so long.
async fn silent(member: &mut Member, within: Duration) {
    let told = timeout(within, member.next()).await;
    assert!(told.is_err(), "{told:?}");
}

fn ports(snapshot: &Snapshot) -> Vec<u16> {
    snapshot.iter().map(|endpoint| endpoint.port().get()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_new_child_costs_one_list_and_one_read() {
    let (world, mut member) = World::web(&[("a_1", 81), ("a_2", 82)]).await;
    world.put("a_3", 83);
    until(&mut member, &[81, 82, 83]).await;
    assert_eq!(world.asked(), [(Kind::Children, "/web".into()), (Kind::Data, "/web/a_3".into())]);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_child_costs_one_list_and_no_read() {
    let (world, mut member) = World::web(&[("a_1", 81), ("a_2", 82)]).await;
    world.fake.delete("/web/a_1");
    until(&mut member, &[82]).await;
    silent(&mut member, Duration::from_secs(20)).await;
    assert_eq!(world.asked(), [(Kind::Children, "/web".into())]);
}

#[tokio::test(start_paused = true)]
async fn a_written_child_costs_one_read() {
    let (world, mut member) = World::web(&[("a_1", 81), ("a_2", 82)]).await;
    for port in [90, 91] {
        world.fake.set("/web/a_1", registration(port));
        until(&mut member, &[82, port]).await;
        assert_eq!(world.asked(), [(Kind::Data, "/web/a_1".into())]);
    }
}

#[tokio::test(start_paused = true)]
async fn children_that_say_it_in_their_names_are_not_read() {
    use base64::Engine as _;
    let world = World::new(1);
    world.fake.create("/web", "");
    let json = registration(81);
    let encoded = base64::engine::general_purpose::URL_SAFE.encode(&json);
    let name = format!("base64_{}_{encoded}_0000000001", encoded.len());
    world.fake.create(&format!("/web/{name}"), "");
    let mut member = world.member("/web");
    assert_eq!(ports(&next(&mut member).await.unwrap()), [81]);
    assert_eq!(world.asked(), [(Kind::Children, "/web".into())]);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_shown_half_of_a_listing() {
    let world = World::new(1);
    world.fake.latency(Duration::from_millis(50));
    world.fake.create("/web", "");
    for port in 1..=200 {
        world.put(&format!("a_{port}"), port);
    }
    let mut member = world.member("/web");
    assert_eq!(next(&mut member).await.unwrap().len(), 200);
    // Half of a hundred new ones are deleted while they are being read.
    for port in 201..=300 {
        world.put(&format!("a_{port}"), port);
    }
    let seen = next(&mut member).await.unwrap().len();
    assert!(seen == 200 || seen >= 300, "{seen}");
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_changes_is_a_few_lists() {
    let (world, mut member) = World::web(&[]).await;
    world.fake.latency(Duration::from_millis(5));
    for port in 1..=1000 {
        world.put(&format!("a_{port}"), port);
        if port % 100 == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    let all: Vec<u16> = (1..=1000).collect();
    until(&mut member, &all).await;
    let asked = world.asked();
    let lists = asked.iter().filter(|(kind, _)| *kind == Kind::Children).count();
    assert!(lists <= 5, "{lists}");
    assert_eq!(asked.len() - lists, 1000, "each is read once");
}

#[tokio::test(start_paused = true)]
async fn a_path_that_does_not_exist_is_nobody_until_it_does() {
    let world = World::new(1);
    let mut member = world.member("/services/web");
    assert!(next(&mut member).await.unwrap().is_empty());
    silent(&mut member, Duration::from_secs(20)).await;
    world.fake.create("/services", "");
    world.fake.create("/services/web", "");
    world.fake.create("/services/web/a_1", registration(81));
    until(&mut member, &[81]).await;
    world.fake.delete_all("/services/web");
    until(&mut member, &[]).await;
    world.fake.create("/services/web", "");
    world.fake.create("/services/web/a_2", registration(82));
    until(&mut member, &[82]).await;
}

#[tokio::test(start_paused = true)]
async fn a_child_that_comes_again_under_its_name_is_read_again() {
    let (world, mut member) = World::web(&[("a", 81), ("b", 82)]).await;
    for port in 100..200 {
        world.fake.latency(Duration::from_millis(u64::from(port % 7)));
        world.fake.delete("/web/a");
        if port % 3 == 0 {
            tokio::time::sleep(Duration::from_millis(u64::from(port % 11))).await;
        }
        world.put("a", port);
        until(&mut member, &[82, port]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_child_that_vanishes_between_list_and_read_is_left_out() {
    let world = World::new(1);
    world.fake.latency(Duration::from_millis(20));
    world.fake.create("/web", "");
    for port in 1..=100 {
        world.put(&format!("a_{port}"), port);
    }
    let mut member = world.member("/web");
    let first = next(&mut member);
    let (_, first) = tokio::join!(
        async {
            tokio::time::sleep(Duration::from_millis(30)).await;
            for port in 1..=50 {
                world.fake.delete(&format!("/web/a_{port}"));
            }
        },
        first
    );
    let left: Vec<u16> = (51..=100).collect();
    if ports(&first.unwrap()) != left {
        until(&mut member, &left).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_bad_child_takes_nothing_else_with_it() {
    let (world, mut member) = World::web(&[("a_1", 81)]).await;
    world.fake.create("/web/a_2", "nonsense");
    let seen = next(&mut member).await.unwrap();
    assert_eq!((ports(&seen), seen.rejected().total()), (vec![81], 1));
    assert_eq!(seen.rejected().named()[0].entry(), "/web/a_2");
    world.fake.set("/web/a_2", registration(82));
    until(&mut member, &[81, 82]).await;
}

#[tokio::test(start_paused = true)]
async fn a_path_that_may_not_be_read_fails_alone_and_is_tried_again() {
    let (world, mut web) = World::web(&[("a_1", 81)]).await;
    world.fake.create("/db", "");
    world.fake.create("/db/a_1", registration(5432));
    world.fake.deny("/db");
    let mut db = world.member("/db");
    let error = next(&mut db).await.unwrap_err();
    assert_eq!(error.when(), Retry::Backoff);
    assert!(
        error.chain().contains("/db") && error.chain().contains("listing its children"),
        "{}",
        error.chain()
    );
    world.put("a_2", 82);
    until(&mut web, &[81, 82]).await;
    world.fake.undeny("/db");
    until(&mut db, &[5432]).await;
}

#[tokio::test(start_paused = true)]
async fn one_child_that_may_not_be_read_leaves_the_last_good_set() {
    let (world, mut member) = World::web(&[("a_1", 81)]).await;
    world.fake.deny("/web/a_2");
    world.put("a_2", 82);
    let error = next(&mut member).await.unwrap_err();
    assert!(error.chain().contains("a_2"), "{}", error.chain());
    // What happens meanwhile is not lost.
    world.fake.set("/web/a_1", registration(91));
    world.fake.undeny("/web/a_2");
    until(&mut member, &[82, 91]).await;
    world.fake.set("/web/a_1", registration(92));
    until(&mut member, &[82, 92]).await;
}

#[tokio::test(start_paused = true)]
async fn what_changed_between_two_sessions_is_seen_and_read_once() {
    let (world, mut member) = World::web(&[("a_1", 81), ("a_2", 82), ("a_3", 83)]).await;
    world.fake.server(Fake::address(1), Mode::Down);
    assert!(next(&mut member).await.is_err());
    world.fake.delete("/web/a_1");
    world.fake.set("/web/a_2", registration(92));
    world.put("a_4", 84);
    world.fake.take_asked();
    world.fake.server(Fake::address(1), Mode::Up);
    until(&mut member, &[83, 84, 92]).await;
    assert_eq!(world.asked().len(), 4, "one list, three reads");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_lost_is_not_told_when_another_follows_at_once() {
    let world = World::new(3);
    world.fake.create("/web", "");
    world.put("a_1", 81);
    let mut member = world.member("/web");
    assert_eq!(ports(&next(&mut member).await.unwrap()), [81]);
    world.fake.cut();
    let told = timeout(Duration::from_secs(20), member.next()).await;
    assert!(told.is_err() || told.unwrap().is_ok());
    world.put("a_2", 82);
    until(&mut member, &[81, 82]).await;
    assert_eq!(world.fake.connected().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_is_left_for_another() {
    let world = World::new(2);
    world.fake.create("/web", "");
    world.put("a_1", 81);
    let mut member = world.member("/web");
    assert_eq!(ports(&next(&mut member).await.unwrap()), [81]);
    let begun = Instant::now();
    let hung = world.fake.connected()[0];
    world.fake.server(hung, Mode::Hung);
    world.put("a_2", 82);
    until(&mut member, &[81, 82]).await;
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert_ne!(world.fake.connected(), [hung]);
}

#[tokio::test(start_paused = true)]
async fn a_dead_ensemble_is_told_in_bounded_time_and_each_round_again() {
    let (world, mut member) = World::web(&[("a_1", 81)]).await;
    world.fake.server(Fake::address(1), Mode::Hung);
    for _ in 0..3 {
        let begun = Instant::now();
        let error = next(&mut member).await.unwrap_err();
        assert!(matches!(error.when(), Retry::After(_)));
        assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    }
    world.fake.server(Fake::address(1), Mode::Up);
    until(&mut member, &[81]).await;
}

#[tokio::test(start_paused = true)]
async fn who_comes_after_a_lost_session_was_told_is_told_the_same() {
    let (world, mut member) = World::web(&[("a_1", 81)]).await;
    world.fake.server(Fake::address(1), Mode::Hung);
    let told = next(&mut member).await.unwrap_err();
    assert!(told.chain().contains("keeping the session"), "{}", told.chain());
    let begun = Instant::now();
    let error = next(&mut world.member("/db")).await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_millis(10), "{:?}", begun.elapsed());
    assert!(error.chain().contains("keeping the session"), "{}", error.chain());
    assert_eq!((told.when(), error.when()), (Retry::After(Duration::ZERO), Retry::After(Duration::ZERO)));
}

#[tokio::test(start_paused = true)]
async fn an_ensemble_that_is_down_for_long_is_not_hammered() {
    let (world, mut member) = World::web(&[("a_1", 81)]).await;
    world.fake.server(Fake::address(1), Mode::Down);
    let before = world.fake.counts().connects;
    let _ = timeout(Duration::from_secs(600), async {
        loop {
            assert!(member.next().await.is_err());
        }
    })
    .await;
    let attempts = world.fake.counts().connects - before;
    assert!((100..=1000).contains(&attempts), "{attempts} in ten minutes, 5 s apart at most");
    world.fake.server(Fake::address(1), Mode::Up);
    until(&mut member, &[81]).await;
}

#[tokio::test(start_paused = true)]
async fn names_that_do_not_resolve_and_names_that_never_answer_are_passed_over() {
    let world = World::new(3);
    world.fake.create("/web", "");
    world.put("a_1", 81);
    world.names.0.lock().unwrap().remove("zk-1");
    world.names.0.lock().unwrap().insert("zk-2".into(), None);
    let mut member = world.member("/web");
    until(&mut member, &[81]).await;
    assert_eq!(world.fake.connected(), [Fake::address(3)]);
    // A name that points elsewhere later is followed.
    world.names.0.lock().unwrap().insert("zk-3".into(), Some(Fake::address(1)));
    world.fake.server(Fake::address(3), Mode::Down);
    world.put("a_2", 82);
    until(&mut member, &[81, 82]).await;
    assert_eq!(world.fake.connected(), [Fake::address(1)]);
}

#[tokio::test(start_paused = true)]
async fn silence_is_asked_about_and_confirmed() {
    let (world, mut member) = World::web(&[("a_1", 81)]).await;
    let begun = Instant::now();
    assert_eq!(ports(&next(&mut member).await.unwrap()), [81]);
    let after = begun.elapsed();
    assert!((Duration::from_secs(25)..Duration::from_secs(60)).contains(&after), "{after:?}");
    assert!(world.asked().is_empty(), "only signs of life");
}

#[tokio::test(start_paused = true)]
async fn what_a_watch_missed_is_found_within_minutes() {
    let (world, mut member) = World::web(&[("a_1", 81)]).await;
    // A server that says nothing of the change, and later serves it.
    world.fake.server(Fake::address(1), Mode::Stale);
    silent_but_confirmed(&mut member, Duration::from_mins(1)).await;
    let lists = || world.asked().iter().filter(|(kind, _)| *kind == Kind::Children).count();
    lists();
    silent_but_confirmed(&mut member, Duration::from_mins(15)).await;
    assert!((1..=3).contains(&lists()), "listed every ten minutes or so");
}

async fn silent_but_confirmed(member: &mut Member, within: Duration) {
    let _ = timeout(within, async {
        loop {
            assert_eq!(ports(&member.next().await.unwrap()), [81]);
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn services_share_one_session_and_leave_it_when_they_go() {
    let world = World::new(1);
    let mut members = Vec::new();
    for service in 0..50_u16 {
        world.fake.create(&format!("/s{service}"), "");
        world.fake.create(&format!("/s{service}/a"), registration(1000 + service));
        members.push(world.member(&format!("/s{service}")));
    }
    for (service, member) in (0..).zip(&mut members) {
        assert_eq!(ports(&next(member).await.unwrap()), [1000 + service]);
    }
    assert_eq!(world.fake.sessions(), 1);
    members.truncate(1);
    world.fake.create("/s0/b", registration(2000));
    until(&mut members[0], &[1000, 2000]).await;
    members.clear();
    soon(async {
        while world.fake.sessions() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert_eq!(world.fake.counts().closes, 1);
    drop(world.ensemble);
    soon(world.driver).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_polled_service_is_read_once_an_interval_at_most_and_only_when_something_changed() {
    let world = World::new(1);
    world.fake.create("/web", "");
    let node = node("/web").with_every(Duration::from_mins(1));
    let mut member = world.ensemble.member(node);
    assert!(next(&mut member).await.unwrap().is_empty());
    world.fake.take_asked();
    for port in 1..=180 {
        world.put(&format!("a_{port}"), port);
        let _ = timeout(Duration::from_secs(1), member.next()).await;
    }
    let lists = world.asked().iter().filter(|(kind, _)| *kind == Kind::Children).count();
    assert!((2..=4).contains(&lists), "{lists} in three minutes");
}

#[tokio::test(start_paused = true)]
async fn the_generator_configuration_comes_with_the_endpoints_and_is_followed() {
    let world = World::new(1);
    world.fake.create("/web", r#"{"haproxy":{"server_options":"check"}}"#);
    world.put("a_1", 81);
    let path = Path::new("/web").unwrap();
    let mut member = world.ensemble.member(node("/web").with_settings(Some(path)));
    let first = next(&mut member).await.unwrap();
    assert!(first.settings().is_some_and(|settings| settings.generator("haproxy").is_some()));
    world.fake.set("/web", "[]");
    let bad = next(&mut member).await.unwrap();
    assert_eq!((bad.len(), bad.settings().is_some(), bad.rejected().total()), (1, false, 1));
    world.fake.set("/web", "");
    let none = next(&mut member).await.unwrap();
    assert_eq!((none.len(), none.settings().is_some(), none.rejected().total()), (1, false, 0));
}

#[tokio::test(start_paused = true)]
async fn a_generator_configuration_elsewhere_is_never_fatal() {
    let world = World::new(1);
    world.fake.create("/web", "");
    world.put("a_1", 81);
    let node = node("/web").with_settings(Some(Path::new("/config/web").unwrap()));
    let mut member = world.ensemble.member(node);
    assert!(next(&mut member).await.unwrap().settings().is_none());
    world.fake.create("/config", "");
    world.fake.create("/config/web", r#"{"haproxy":{"port":1}}"#);
    assert!(next(&mut member).await.unwrap().settings().is_some());
    world.fake.delete("/config/web");
    let gone = next(&mut member).await.unwrap();
    assert_eq!((ports(&gone), gone.settings().is_some()), (vec![81], false));
}

#[tokio::test(start_paused = true)]
async fn random_faults_and_changes_end_in_the_right_set() {
    for seed in 0..40 {
        let mut random = fastrand::Rng::with_seed(seed);
        let world = World::new(3);
        world.fake.create("/web", "");
        let mut member = world.member("/web");
        let mut there = BTreeMap::new();
        for step in 0..200_u16 {
            let name = format!("a_{}", random.u8(0..20));
            let path = format!("/web/{name}");
            let port = 1000 + step;
            match random.u8(0..20) {
                0..=7 if !there.contains_key(&name) => {
                    world.put(&name, port);
                    there.insert(name, port);
                }
                0..=7 => {
                    world.fake.set(&path, registration(port));
                    there.insert(name, port);
                }
                8..=12 => {
                    if there.remove(&name).is_some() {
                        world.fake.delete(&path);
                    }
                }
                13 => world.fake.cut(),
                14 => world.fake.server(Fake::address(random.u8(1..4)), Mode::Down),
                15 => world.fake.server(Fake::address(random.u8(1..4)), Mode::Hung),
                16 => world.fake.server(Fake::address(random.u8(1..4)), Mode::Stale),
                17 => world.fake.latency(Duration::from_millis(random.u64(0..300))),
                _ => (1..=3).for_each(|nth| world.fake.server(Fake::address(nth), Mode::Up)),
            }
            if random.bool() {
                let _ = timeout(Duration::from_millis(random.u64(0..2000)), member.next()).await;
            }
        }
        (1..=3).for_each(|nth| world.fake.server(Fake::address(nth), Mode::Up));
        let mut wanted: Vec<u16> = there.values().copied().collect();
        wanted.sort_unstable();
        // Whatever was told last must be what there is: something is told within a minute in any case.
        let mut last = Vec::new();
        let _ = timeout(Duration::from_mins(2), async {
            loop {
                if let Ok(snapshot) = member.next().await {
                    last = ports(&snapshot);
                }
            }
        })
        .await;
        last.sort_unstable();
        assert_eq!(last, wanted, "seed {seed}");
    }
}
