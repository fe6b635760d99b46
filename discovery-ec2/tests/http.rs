//! Through the real SDK, over HTTP, against an EC2 that goes wrong as told.

#![allow(clippy::unwrap_used, reason = "a panic is a failed test")]

mod endpoint;

use std::{future::Future, num::NonZeroU16, time::Duration};

use discovery_core::{Backoff, Health, Observed, WatchError, Watcher, supervise};
use discovery_ec2::{Address, Deadlines, Keys, Member, Region, RegionConfig, Secret, Selector};
use endpoint::{Endpoint, Instance, Mood};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

const PORT: NonZeroU16 = NonZeroU16::new(8080).unwrap();
const PATIENCE: Duration = Duration::from_mins(1);
/// Nothing is asked a second time while a test looks.
const RARELY: Duration = Duration::from_hours(1);
const OFTEN: Duration = Duration::from_millis(300);

fn config(endpoint: &Endpoint) -> RegionConfig {
    let keys = Keys::new(Secret::new("AKIDTEST"), Secret::new("hunter2"), None);
    let deadlines = Deadlines { request: Duration::from_secs(1), ..Deadlines::default() };
    let config = RegionConfig::default().with_region("us-east-1").unwrap().with_keys(keys);
    config.with_endpoint(&endpoint.url()).unwrap().with_deadlines(deadlines).unwrap()
}

fn region(endpoint: &Endpoint) -> Region {
    let backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(400)).unwrap();
    let (region, driver) = Region::new(config(endpoint), backoff);
    tokio::spawn(driver);
    region
}

fn web() -> Selector {
    Selector::tag("role", ["web"]).unwrap()
}

fn instances(numbers: impl IntoIterator<Item = u16>) -> Vec<Instance> {
    numbers
        .into_iter()
        .map(|number| Instance::numbered(number, &[("role", "web"), ("env", "a & b")]))
        .collect()
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("an answer in time")
}

async fn count(member: &mut Member) -> usize {
    soon(member.next()).await.expect("a good answer").len()
}

async fn fails(member: &mut Member) -> WatchError {
    soon(member.next()).await.expect_err("a failure")
}

#[tokio::test]
async fn instances_become_endpoints() {
    let endpoint = Endpoint::start().await;
    let stopped = Instance { state: "stopped".to_owned(), ..instances([2]).remove(0) };
    let other = Instance::numbered(3, &[("role", "db"), ("env", "web")]);
    endpoint.hold(instances([1]).into_iter().chain([stopped, other]));
    let snapshot = soon(region(&endpoint).member(web(), PORT, RARELY).next()).await.unwrap();
    let shown: Vec<_> = snapshot.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["ip-10-0-0-1.ec2.internal_10.0.0.1:8080"]);
    let labels: Vec<_> = snapshot.endpoints()[0].labels().collect();
    assert_eq!(
        labels,
        [
            ("aws:availability_zone", "us-east-1a"),
            ("aws:instance_id", "i-00001"),
            ("aws:instance_type", "m5.large"),
            ("env", "a & b"),
            ("role", "web")
        ]
    );
    let asked = &endpoint.asked()[0];
    assert_eq!((asked.max_results, asked.key_id.as_str()), (1000, "AKIDTEST"));
    assert_eq!(asked.filters["tag:role"], ["web"]);
    assert_eq!(asked.filters["instance-state-name"], ["running"]);
    assert_eq!(asked.filters.len(), 2);
}

#[tokio::test]
async fn a_hundred_services_over_a_thousand_instances_cost_one_chain_of_pages_an_interval() {
    const EVERY: Duration = Duration::from_millis(1500);
    let endpoint = Endpoint::start().await;
    // Ten instances for each service, and fifty of nobody's.
    let of = |number: u16| Instance::numbered(number, &[("role", &format!("r{}", number % 105))]);
    endpoint.hold((0..1050).map(of));
    endpoint.shuffle();
    let region = region(&endpoint);
    let selector = |service: u16| Selector::tag("role", [format!("r{service}")]).unwrap();
    let mut members: Vec<_> = (0..100).map(|service| region.member(selector(service), PORT, EVERY)).collect();
    let mut before = Vec::new();
    for round in 1..=4 {
        let mut answers = Vec::new();
        for (service, member) in (0..100).zip(&mut members) {
            let snapshot = soon(member.next()).await.unwrap();
            let role = format!("r{service}");
            assert!(snapshot.iter().all(|endpoint| endpoint.label("role") == Some(&role)));
            assert_eq!(snapshot.len(), 10);
            answers.push(snapshot);
        }
        assert_eq!(endpoint.chains(), round, "one chain for all");
        assert!(round == 1 || before == answers, "another order is the same answer");
        before = answers;
    }
    // The 50 instances of nobody's are left out by EC2, so that one page does.
    assert_eq!(endpoint.requests(), 4);
    let asked = endpoint.asked();
    assert_eq!(asked[0].filters["tag:role"].len(), 100);
    // Between the first and the last: a busy machine may see a single one late.
    let took = asked[asked.len() - 1].at - asked[0].at;
    assert!(took >= EVERY * 5 / 2, "four questions in {took:?}");
}

#[tokio::test]
async fn services_of_different_tags_are_found_in_all_pages_of_one_answer() {
    let endpoint = Endpoint::start().await;
    let of = |number: u16| Instance::numbered(number, &[(&format!("svc{}", number % 100), "on")]);
    endpoint.hold((0..1050).map(of));
    let region = region(&endpoint);
    let selector = |service: u16| Selector::tag(&format!("svc{service}"), ["on"]).unwrap();
    let mut members: Vec<_> =
        (0..100).map(|service| region.member(selector(service), PORT, RARELY)).collect();
    for (service, member) in (0..).zip(&mut members) {
        assert_eq!(count(member).await, if service < 50 { 11 } else { 10 });
    }
    assert_eq!((endpoint.chains(), endpoint.requests()), (1, 2));
}

#[tokio::test]
async fn whatever_goes_wrong_keeps_the_set_says_why_and_heals() {
    const DENIED: &str = "You are not authorized to perform this operation.";
    const UNSIGNED: &str =
        "Check your key.\n\nThe Canonical String should have been\n'POST\nx-amz-security-token:hunter2'";
    for (mood, says) in [
        (
            Mood::Refuses(503, "RequestLimitExceeded", "Request limit exceeded."),
            "page 1: RequestLimitExceeded: Request limit exceeded (the account's programs make too many calls",
        ),
        (
            Mood::Refuses(503, "Unavailable", "The server is overloaded."),
            "Unavailable: The server is overloaded",
        ),
        (Mood::Refuses(500, "InternalError", "An internal error."), "InternalError"),
        (Mood::Says(503, "<html>Service Unavailable</html>"), "HTTP status 503"),
        (Mood::Refuses(403, "UnauthorizedOperation", DENIED), "IAM permission ec2:DescribeInstances"),
        (Mood::Refuses(401, "AuthFailure", "Not able to validate."), "the keys are wrong, were deleted"),
        (Mood::Refuses(400, "RequestExpired", "Request has expired."), "this machine's clock is wrong"),
        (
            Mood::Refuses(403, "SignatureDoesNotMatch", UNSIGNED),
            "SignatureDoesNotMatch: Check your key (the secret key is wrong",
        ),
        (
            Mood::Refuses(400, "InvalidParameterValue", "The filter 'x' is invalid"),
            "does not accept the filters",
        ),
        (Mood::RefusesLaterPages(500, "InternalError", "An internal error."), "page 2: InternalError"),
        (
            Mood::RefusesLaterPages(400, "InvalidPaginationToken", "Too old."),
            "page 2: InvalidPaginationToken",
        ),
        (Mood::Says(200, "<html>Welcome</html>"), "invalid root"),
        (Mood::Says(200, "no XML at all"), "page 1: "),
        (Mood::Says(200, ""), "page 1: "),
        (
            Mood::Says(200, "<DescribeInstancesResponse></DescribeInstancesResponse>"),
            "the answer has no list of instances",
        ),
        (Mood::Cuts, "page 1: the answer is no XML: "),
        (Mood::HangsUp, "page 1: "),
        (Mood::Freezes, "page 1: no answer within 1s"),
    ] {
        let endpoint = Endpoint::start().await;
        endpoint.per_page(2);
        endpoint.hold(instances(1..=3));
        let member = region(&endpoint).member(web(), PORT, OFTEN);
        let (publish, mut seen) = watch::channel(Observed::default());
        let backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(200)).unwrap();
        tokio::spawn(supervise("web", member, backoff, publish, std::future::pending()));
        soon(seen.wait_for(|now| now.snapshot.is_some())).await.unwrap();
        endpoint.mood(mood.clone());
        let down =
            soon(seen.wait_for(|now| matches!(now.health, Health::Degraded { .. }))).await.unwrap().clone();
        let error = down.health.error().unwrap().chain();
        println!("{mood:?}: {error}");
        assert!(error.contains(says), "{mood:?}: {error}");
        assert!(error.starts_with("finding tag:role=web (EC2 in us-east-1 at http://127.0.0.1:"), "{error}");
        assert!(!error.contains("hunter2") && !error.contains("AKID"), "{error}");
        assert_eq!(down.snapshot.unwrap().len(), 3, "{mood:?}");
        endpoint.hold(instances(1..=4));
        endpoint.mood(Mood::Good);
        let up = soon(seen.wait_for(|now| matches!(now.health, Health::Healthy))).await.unwrap().clone();
        assert_eq!(up.snapshot.unwrap().len(), 4, "{mood:?}");
    }
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_it() {
    let endpoint = Endpoint::start().await;
    endpoint.mood(Mood::Floods);
    let deadlines = Deadlines { request: PATIENCE, ..Deadlines::default() };
    let config = config(&endpoint).with_deadlines(deadlines).unwrap();
    let (region, driver) = Region::new(config, Backoff::default());
    tokio::spawn(driver);
    let error = fails(&mut region.member(web(), PORT, RARELY)).await.chain();
    assert!(error.contains("page 1: the answer has more than 64 MiB (is that EC2's API?)"), "{error}");
}

#[tokio::test]
async fn calls_stay_within_the_budget_while_ec2_throttles() {
    let endpoint = Endpoint::start().await;
    endpoint.mood(Mood::Refuses(503, "RequestLimitExceeded", "Request limit exceeded."));
    let mut member = region(&endpoint).member(web(), PORT, Duration::from_millis(10));
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(4) {
        fails(&mut member).await;
    }
    // A burst of ten and one a second: the SDK adds none of its own.
    assert!(endpoint.requests() <= 10 + 6, "{} calls", endpoint.requests());
}

#[tokio::test]
async fn an_endpoint_that_is_gone_for_a_while_is_found_again() {
    let mut endpoint = Endpoint::start().await;
    endpoint.hold(instances(1..=2));
    let mut member = region(&endpoint).member(web(), PORT, OFTEN);
    assert_eq!(count(&mut member).await, 2);
    endpoint.stop().await;
    for _ in 0..2 {
        let error = fails(&mut member).await.chain();
        println!("{error}");
        assert!(error.contains("are the region and the network right?"), "{error}");
    }
    endpoint.hold(instances(1..=3));
    endpoint.restart().await;
    let deadline = Instant::now() + PATIENCE;
    loop {
        match soon(member.next()).await {
            Ok(snapshot) => break assert_eq!(snapshot.len(), 3),
            Err(error) => assert!(Instant::now() < deadline, "{}", error.chain()),
        }
    }
}

#[tokio::test]
async fn what_only_ec2_can_judge_is_asked_for_as_it_is_written() {
    let endpoint = Endpoint::start().await;
    endpoint.hold(instances(1..=2));
    let region = region(&endpoint);
    let selector = web().and_filter("instance.group-name", ["a b", "ü&="]).unwrap();
    assert_eq!(count(&mut region.member(selector, PORT, RARELY)).await, 2);
    assert_eq!(endpoint.asked()[0].filters["instance.group-name"], ["a b", "ü&="]);
}

#[tokio::test]
async fn an_instance_without_the_wanted_address_is_skipped_and_counted() {
    let endpoint = Endpoint::start().await;
    let public = Instance { public_ip: Some("192.0.2.1".to_owned()), ..instances([1]).remove(0) };
    endpoint.hold([public].into_iter().chain(instances([2])));
    let selector = web().with_address(Address::PublicIp);
    let snapshot = soon(region(&endpoint).member(selector, PORT, RARELY).next()).await.unwrap();
    assert_eq!(
        snapshot.iter().map(|endpoint| endpoint.host().to_string()).collect::<Vec<_>>(),
        ["192.0.2.1"]
    );
    assert_eq!(snapshot.rejected().named()[0].reason(), "has no public_ip");
}
