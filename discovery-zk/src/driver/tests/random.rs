//! Whatever happens in whatever order, what is told last is what there is.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE};
use fastrand::Rng;
use tokio::{task::JoinHandle, time::sleep};

use super::*;

/// How many children there are at first: more questions than may be under way at a time.
const MANY: u8 = 30;

/// What is asked for of `/web`: all that makes a difference to what is asked when.
fn nodes() -> Vec<Node> {
    let settings = |path: &str| Some(Path::new(path).unwrap());
    vec![
        node("/web"),
        node("/web").with_settings(settings("/web")),
        node("/web").with_settings(settings("/conf/web")).with_jitter(Duration::from_secs(3)),
        node("/web").with_settings(settings("/web")).with_every(Duration::from_secs(5)),
    ]
}

/// What was told: ports, how much was rejected, the settings.
type Told = (Vec<u16>, usize, Option<String>);

fn told(snapshot: &Snapshot) -> Told {
    let mut ports = ports(snapshot);
    ports.sort_unstable();
    let settings = snapshot.settings().and_then(|settings| settings.generator("haproxy"));
    (ports, snapshot.rejected().total(), settings.map(str::to_owned))
}

/// Does what a supervisor does, and now and then drops a call in the middle. Returns what was told last.
fn follow(mut member: Member, seed: u64) -> (Arc<Mutex<Option<Told>>>, JoinHandle<()>) {
    let last = Arc::new(Mutex::new(None));
    let kept = Arc::clone(&last);
    let following = tokio::spawn(async move {
        let mut random = Rng::with_seed(seed);
        loop {
            match timeout(Duration::from_millis(random.u64(1..5000)), member.next()).await {
                Ok(Ok(snapshot)) => *kept.lock().unwrap() = Some(told(&snapshot)),
                Ok(Err(error)) => {
                    assert_ne!(error.when(), Retry::Never);
                    sleep(Duration::from_millis(random.u64(1..500))).await;
                }
                Err(_) => {}
            }
        }
    });
    (last, following)
}

/// What there is, beside the fake.
#[derive(Default)]
struct There {
    nodes: BTreeMap<String, String>,
    denied: BTreeSet<String>,
}

impl There {
    fn put(&mut self, fake: &Fake, path: &str, data: String) {
        let above: Vec<_> = path.match_indices('/').map(|(at, _)| path[..at].to_owned()).skip(1).collect();
        for missing in above {
            self.nodes.entry(missing).or_default();
        }
        match self.nodes.insert(path.to_owned(), data.clone()) {
            None => fake.create(path, data),
            Some(_) => fake.set(path, data),
        }
    }

    fn delete(&mut self, fake: &Fake, path: &str) {
        let below = format!("{path}/");
        let before = self.nodes.len();
        self.nodes.retain(|node, _| node != path && !node.starts_with(&below));
        if self.nodes.len() < before {
            fake.delete_all(path);
        }
    }

    fn allow(&mut self, fake: &Fake) {
        for path in std::mem::take(&mut self.denied) {
            fake.undeny(&path);
        }
    }

    fn children(&self) -> impl Iterator<Item = (&str, &str)> {
        self.nodes.iter().filter_map(|(path, data)| Some((path.strip_prefix("/web/")?, data.as_str())))
    }

    /// What is to be told of a node in the end.
    fn told(&self, node: &Node) -> Told {
        let entries: Vec<_> = self
            .children()
            .map(|(name, data)| {
                Decode::read_name(name).unwrap_or_else(|| Decode::Nerve.read_data(name, data.as_bytes()))
            })
            .collect();
        let mut ports: Vec<_> = entries.iter().flatten().map(|endpoint| endpoint.port().get()).collect();
        ports.sort_unstable();
        ports.dedup();
        let data = node.settings().and_then(|path| self.nodes.get(path.as_str()));
        let parsed = data.map(|data| discovery_core::Settings::parse(data.as_bytes()));
        let refused = parsed.as_ref().is_some_and(Result::is_err);
        let settings = parsed.and_then(|parsed| parsed.ok().flatten());
        let settings =
            settings.as_ref().and_then(|settings| settings.generator("haproxy")).map(str::to_owned);
        (ports, entries.iter().filter(|entry| entry.is_err()).count() + usize::from(refused), settings)
    }
}

fn encoded(port: u16) -> String {
    let json = URL_SAFE.encode(registration(port));
    format!("/web/base64_{}_{json}_{port:010}", json.len())
}

/// Something happens.
fn step(world: &World, there: &mut There, random: &mut Rng, port: u16) {
    let fake = &world.fake;
    let child = match random.u8(0..4) {
        0 => format!("/web/many_{}", random.u8(0..MANY)),
        _ => format!("/web/a_{}", random.u8(0..8)),
    };
    match random.u8(0..100) {
        0..30 => there.put(fake, &child, registration(port)),
        30..33 => there.put(fake, &child, "nonsense".to_owned()),
        33..50 => there.delete(fake, &child),
        50..54 => {
            // Away and there again before anybody looks.
            there.delete(fake, &child);
            there.put(fake, &child, registration(port));
        }
        54..58 => there.put(fake, &encoded(port), String::new()),
        58..61 => there.delete(fake, &encoded(random.u16(1000..2000))),
        61..63 => there.delete(fake, "/web"),
        63..65 => {
            there.delete(fake, "/web");
            there.put(fake, "/web", settings(port));
        }
        65..70 => there.put(fake, "/web", settings(port)),
        70..74 => there.put(fake, "/conf/web", settings(port)),
        74..77 => there.delete(fake, ["/conf/web", "/conf"][random.usize(0..2)]),
        77..81 => {
            let path = [child.as_str(), "/web", "/conf/web"][random.usize(0..3)];
            fake.deny(path);
            there.denied.insert(path.to_owned());
        }
        81..84 => there.allow(fake),
        84..86 => fake.cut(),
        86..92 => {
            let mode = [Mode::Down, Mode::Hung, Mode::Stale][random.usize(0..3)];
            fake.server(Fake::address(random.u8(1..4)), mode);
        }
        92..95 => fake.latency(Duration::from_millis(random.u64(0..300))),
        _ => (1..=3).for_each(|nth| fake.server(Fake::address(nth), Mode::Up)),
    }
}

fn settings(port: u16) -> String {
    match port % 4 {
        0 => String::new(),
        1 => "[]".to_owned(),
        _ => format!(r#"{{"haproxy":{{"port":{port}}}}}"#),
    }
}

/// Waits until every follower was told what there is, and says who was not.
async fn settle(
    there: &There,
    within: Duration,
    followers: &[(Node, Arc<Mutex<Option<Told>>>)],
) -> Result<(), String> {
    let begun = Instant::now();
    loop {
        let wrong = followers.iter().find_map(|(node, last)| {
            let (last, wanted) = (last.lock().unwrap().clone(), there.told(node));
            (last.as_ref() != Some(&wanted))
                .then(|| format!("{node:?}\n  was told {last:?}\n  of {wanted:?}"))
        });
        match wrong {
            None => return Ok(()),
            Some(wrong) if begun.elapsed() > within => return Err(wrong),
            Some(_) => sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn run(seed: u64) {
    fastrand::seed(seed);
    let mut random = Rng::with_seed(seed);
    let world = World::new(3);
    let mut there = There::default();
    let mut followers = Vec::new();
    let mut following = Vec::new();
    for (nth, node) in (0..).zip(nodes()) {
        let (last, task) = follow(world.ensemble.member(node.clone()), seed ^ nth);
        followers.push((node, last));
        following.push(task);
    }
    for n in 0..MANY {
        there.put(&world.fake, &format!("/web/many_{n}"), registration(u16::from(n) + 1));
    }
    for port in 1000..1300 {
        step(&world, &mut there, &mut random, port);
        if random.u8(0..3) > 0 {
            sleep(Duration::from_millis(random.u64(0..200))).await;
        }
        if random.u8(0..60) == 0 {
            sleep(Duration::from_secs(30)).await;
        }
    }
    (1..=3).for_each(|nth| world.fake.server(Fake::address(nth), Mode::Up));
    world.fake.latency(Duration::from_millis(1));
    let unwatched = there.denied.iter().any(|path| path == "/web" || path == "/conf/web");
    there.allow(&world.fake);
    if unwatched {
        // A generator configuration that may not be read is not watched: a session that begins now has read it.
        world.fake.cut();
    }
    // Long before anything is looked at for no reason.
    settle(&there, Duration::from_mins(2), &followers)
        .await
        .unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
    // What is known is watched: each of these is seen.
    for port in 2000..2010 {
        there.put(&world.fake, &format!("/web/a_{}", random.u8(0..8)), registration(port));
        there.put(&world.fake, "/web", format!(r#"{{"haproxy":{{"port":{port}}}}}"#));
        there.put(&world.fake, "/conf/web", format!(r#"{{"haproxy":{{"port":{port}}}}}"#));
        settle(&there, Duration::from_secs(10), &followers)
            .await
            .unwrap_or_else(|wrong| panic!("seed {seed}, afterwards: {wrong}"));
    }
    sleep(Duration::from_secs(10)).await;
    world.asked();
    sleep(Duration::from_mins(1)).await;
    let idle = world.asked();
    assert!(idle.len() < 100 && !following.iter().any(JoinHandle::is_finished), "seed {seed}: {idle:?}");
    following.iter().for_each(JoinHandle::abort);
}

#[tokio::test(start_paused = true)]
async fn whatever_happens_in_whatever_order_ends_in_what_there_is() {
    for seed in 0..40 {
        run(seed).await;
    }
}
