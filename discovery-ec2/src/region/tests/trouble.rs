//! What happens when EC2 does not answer, or wants fewer calls.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_failed_second_page_is_a_failed_answer_and_the_next_starts_over() {
    let fake = Fake::of((1..=6).map(|number| instance(number, "web")));
    fake.set(|state| state.per_page = 2);
    let mut member = fake.region().member(role("web"), PORT, EVERY);
    assert_eq!(found(&mut member).await, [1, 2, 3, 4, 5, 6]);
    fake.set(|state| {
        state.instances.remove(0);
        state.broken = Some((Kind::Unavailable, 1));
    });
    let error = fails(&mut member).await;
    assert_eq!(
        error.chain(),
        "finding tag:role=web (EC2 in test): asking for instances, page 2: broken for a test"
    );
    assert_eq!(error.when(), Retry::After(Duration::ZERO));
    let before = fake.calls();
    fake.mends();
    assert_eq!(found(&mut member).await, [2, 3, 4, 5, 6]);
    let pages: Vec<_> = fake.0.lock().unwrap().calls[before..].iter().map(|(_, page, _)| *page).collect();
    assert_eq!(pages, [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn every_failure_is_told_once_to_every_member() {
    let fake = Fake::of([instance(1, "web")]);
    fake.breaks(Kind::Unreachable);
    let region = fake.region();
    let mut members = [region.member(role("web"), PORT, EVERY), region.member(role("db"), PORT, EVERY)];
    for attempts in 1..=4 {
        for member in &mut members {
            fails(member).await;
        }
        assert_eq!(fake.calls(), attempts);
    }
    fake.mends();
    assert_eq!(found(&mut members[0]).await, [1]);
    assert_eq!(found(&mut members[1]).await, [0u8; 0]);
}

#[tokio::test(start_paused = true)]
async fn who_joins_while_nothing_can_be_asked_is_told_at_once() {
    let fake = Fake::default();
    fake.breaks(Kind::Refused);
    let region = fake.region();
    let mut first = region.member(role("web"), PORT, EVERY);
    for _ in 0..8 {
        fails(&mut first).await;
    }
    let (start, calls) = (Instant::now(), fake.calls());
    fails(&mut region.member(role("db"), PORT, EVERY)).await;
    assert_eq!((start.elapsed(), fake.calls()), (Duration::ZERO, calls));
}

#[tokio::test(start_paused = true)]
async fn a_question_that_ec2_does_not_accept_concerns_nobody_else() {
    let fake = Fake::of([instance(1, "web")]);
    fake.set(|state| {
        state.broken = Some((Kind::Question, 0));
        state.only = Some("no-such-filter".to_owned());
    });
    let region = fake.region();
    let mut good = region.member(role("web"), PORT, EVERY);
    let mut bad = region.member(Selector::filter("no-such-filter", ["x"]).unwrap(), PORT, EVERY);
    fails(&mut bad).await;
    for _ in 0..10 {
        assert_eq!(found(&mut good).await, [1]);
    }
    let start = Instant::now();
    for _ in 0..10 {
        fails(&mut bad).await;
    }
    assert!(start.elapsed() < Duration::from_secs(10 * 20));
}

/// A question that goes wrong, and one that does not.
fn bad_and_good(region: &Region) -> (Member, Member) {
    let bad = Selector::filter("no-such-filter", ["x"]).unwrap();
    (region.member(bad, PORT, EVERY), region.member(role("web"), PORT, EVERY))
}

#[tokio::test(start_paused = true)]
async fn a_question_that_never_gets_an_answer_does_not_keep_others_from_being_asked() {
    for kind in [Kind::Unreachable, Kind::Throttled, Kind::Refused] {
        let fake = Fake::of([instance(1, "web")]);
        fake.set(|state| {
            state.broken = Some((kind, 0));
            state.only = Some("no-such-filter".to_owned());
        });
        let (_bad, mut good) = bad_and_good(&fake.region());
        let (start, mut answers) = (Instant::now(), 0);
        while answers < 5 {
            answers += usize::from(timeout(LONG, good.next()).await.expect("an answer or a failure").is_ok());
            assert!(start.elapsed() < LONG, "{kind:?}: {answers} answers in an hour");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_too_many_pages_concerns_nobody_else() {
    let fake = Fake::of((0..20).map(|number| instance(number, "web")));
    fake.set(|state| {
        state.per_page = 1;
        state.slow = Duration::from_secs(7);
        state.only = Some("no-such-filter".to_owned());
    });
    let (mut bad, mut good) = bad_and_good(&fake.region());
    let error = fails(&mut bad).await.chain();
    assert!(error.contains("8 pages came within 60s, and were not all (narrow it by tags"), "{error}");
    for _ in 0..5 {
        assert_eq!(found(&mut good).await.len(), 20);
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_over_soon_for_all_who_heard_of_it_although_who_met_it_has_gone() {
    let fake = Fake::of([instance(1, "web")]);
    fake.set(|state| {
        state.broken = Some((Kind::Unreachable, 0));
        state.only = Some("no-such-filter".to_owned());
    });
    let region = fake.region();
    let mut good = region.member(role("web"), PORT, LONG);
    found(&mut good).await;
    let bad = region.member(Selector::filter("no-such-filter", ["x"]).unwrap(), PORT, EVERY);
    fails(&mut good).await;
    drop(bad);
    let start = Instant::now();
    while timeout(LONG, good.next()).await.expect("an answer or a failure").is_err() {}
    assert!(start.elapsed() < Duration::from_mins(1), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn throttled_calls_are_few_and_the_interval_recovers() {
    let fake = Fake::of([instance(1, "web")]);
    let mut member = fake.region().member(role("web"), PORT, EVERY);
    found(&mut member).await;
    fake.breaks(Kind::Throttled);
    let (start, before) = (Instant::now(), fake.calls());
    while start.elapsed() < LONG {
        fails(&mut member).await;
    }
    let calls = fake.calls() - before;
    // The interval grows to 80 s; the mean of full jitter is half of that.
    assert!((45..=180).contains(&calls), "{calls} calls in an hour");
    fake.mends();
    found(&mut member).await;
    let start = Instant::now();
    found(&mut member).await;
    assert!(start.elapsed() > EVERY * 2, "{:?}", start.elapsed());
    for _ in 0..10 {
        found(&mut member).await;
    }
    let start = Instant::now();
    found(&mut member).await;
    assert!(start.elapsed() <= EVERY * 11 / 10, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_outage_costs_few_calls() {
    for kind in [Kind::Unavailable, Kind::Unreachable, Kind::Refused, Kind::Answer, Kind::Question] {
        let fake = Fake::of([instance(1, "web")]);
        let mut member = fake.region().member(role("web"), PORT, EVERY);
        found(&mut member).await;
        fake.breaks(kind);
        let (start, before) = (Instant::now(), fake.calls());
        while start.elapsed() < LONG {
            fails(&mut member).await;
        }
        // Full jitter up to 20 s: one call in 10 s on average.
        let calls = fake.calls() - before;
        assert!((200..=600).contains(&calls), "{kind:?}: {calls} calls in an hour");
        fake.mends();
        let start = Instant::now();
        assert_eq!(found(&mut member).await, [1]);
        assert!(start.elapsed() <= Duration::from_secs(21), "{:?}", start.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn an_interval_that_is_too_short_is_held_to_one_call_a_second() {
    let fake = Fake::of([instance(1, "web")]);
    let mut member = fake.region().member(role("web"), PORT, Duration::from_millis(1));
    let start = Instant::now();
    while start.elapsed() < Duration::from_mins(1) {
        found(&mut member).await;
    }
    assert!((60..=75).contains(&fake.calls()), "{} calls in a minute", fake.calls());
}

#[tokio::test(start_paused = true)]
async fn pages_are_paced_too() {
    let fake = Fake::of((0..30).map(|number| instance(number, "web")));
    fake.set(|state| state.per_page = 1);
    let mut member = fake.region().member(role("web"), PORT, EVERY);
    let start = Instant::now();
    assert_eq!(found(&mut member).await.len(), 30);
    assert!(
        (Duration::from_secs(19)..=Duration::from_secs(22)).contains(&start.elapsed()),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_never_ends_is_given_up_at_the_deadline() {
    let fake = Fake::of([instance(1, "web")]);
    fake.set(|state| state.slow = LONG);
    let mut member = fake.region().member(role("web"), PORT, EVERY);
    let start = Instant::now();
    let error = fails(&mut member).await;
    assert!(error.chain().ends_with("no answer within 60s"), "{}", error.chain());
    assert!(start.elapsed() <= Duration::from_secs(61));
}

#[tokio::test]
async fn a_member_ends_with_the_driver() {
    let (region, driver) = Region::over(Fake::default(), "EC2 in test".to_owned(), LONG, Backoff::default());
    let mut early = region.member(role("web"), PORT, EVERY);
    drop(driver);
    let mut late = region.member(role("web"), PORT, EVERY);
    for member in [&mut early, &mut late] {
        let error = timeout(LONG, member.next()).await.unwrap().unwrap_err();
        assert_eq!(error.when(), Retry::Never);
    }
}

#[tokio::test(start_paused = true)]
async fn a_supervised_service_keeps_its_set_through_an_outage_and_is_confirmed_by_each_poll() {
    let fake = Fake::of([instance(1, "web")]);
    let member = fake.region().member(role("web"), PORT, EVERY);
    let (publish, mut seen) = watch::channel(Observed::default());
    tokio::spawn(supervise("web", member, Backoff::default(), publish, std::future::pending()));
    seen.wait_for(|now| now.snapshot.is_some()).await.unwrap();
    let first = seen.borrow().confirmed.unwrap();
    sleep(EVERY * 5).await;
    assert!(!seen.has_changed().unwrap(), "equal answers wake nobody");
    assert!(seen.borrow().confirmed.unwrap() >= first + EVERY * 4);
    fake.breaks(Kind::Throttled);
    let down = seen.wait_for(|now| matches!(now.health, Health::Degraded { .. })).await.unwrap().clone();
    assert_eq!(down.snapshot.map(|snapshot| last_bytes(&snapshot)), Some(vec![1]));
    fake.set(|state| {
        state.broken = None;
        state.instances.push(instance(2, "web"));
    });
    let up = seen.wait_for(|now| matches!(now.health, Health::Healthy)).await.unwrap().clone();
    assert_eq!(up.snapshot.map(|snapshot| last_bytes(&snapshot)), Some(vec![1, 2]));
}
