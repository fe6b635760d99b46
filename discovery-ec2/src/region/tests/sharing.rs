//! Who is asked for when, and with whom together.

use super::*;

#[tokio::test(start_paused = true)]
async fn many_services_are_answered_by_one_question_an_interval() {
    let fake = Fake::of((0..100).map(|number| instance(number, &format!("r{number}"))));
    fake.set(|state| state.per_page = 40);
    let region = fake.region();
    let mut members: Vec<_> =
        (0..100).map(|number| region.member(role(&format!("r{number}")), PORT, EVERY)).collect();
    let start = Instant::now();
    for (number, member) in (0..).zip(&mut members) {
        assert_eq!(found(member).await, [number]);
    }
    assert!(start.elapsed() < Duration::from_secs(1), "the first answer comes at once");
    assert_eq!(fake.calls(), 3);
    for _ in 0..5 {
        for member in &mut members {
            found(member).await;
        }
    }
    assert_eq!(fake.calls(), 18);
    assert!((EVERY * 5..=EVERY * 6).contains(&start.elapsed()), "{:?}", start.elapsed());
    assert!(
        fake.questions()
            .iter()
            .all(|filters| filters.starts_with("instance-state-name=running tag:role=r0,r1,"))
    );
}

#[tokio::test(start_paused = true)]
async fn the_smallest_interval_is_everybodys() {
    let fake = Fake::of([instance(1, "web")]);
    let region = fake.region();
    let mut slow = region.member(role("web"), PORT, EVERY * 10);
    let mut quick = region.member(role("db"), PORT, EVERY);
    found(&mut slow).await;
    found(&mut quick).await;
    let start = Instant::now();
    found(&mut slow).await;
    assert!(start.elapsed() <= EVERY * 2);
    drop(quick);
    found(&mut slow).await;
    let start = Instant::now();
    found(&mut slow).await;
    assert!(start.elapsed() >= EVERY * 9, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn who_joins_later_gets_the_last_answer_if_it_covers_him() {
    let fake = Fake::of([instance(1, "web"), instance(2, "web")]);
    let region = fake.region();
    let mut first = region.member(role("web"), PORT, EVERY);
    assert_eq!(found(&mut first).await, [1, 2]);
    sleep(EVERY / 2).await;
    let start = Instant::now();
    let narrower = role("web").and_filter("instance-id", ["i-2"]).unwrap();
    let mut second = region.member(narrower, PORT, EVERY);
    assert_eq!(found(&mut second).await, [2]);
    assert_eq!((start.elapsed(), fake.calls()), (Duration::ZERO, 1));
    found(&mut second).await;
    found(&mut first).await;
    assert_eq!(fake.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn who_joins_later_and_is_not_covered_is_asked_for_soon_and_once() {
    let fake = Fake::of([instance(1, "web"), instance(2, "db"), instance(3, "cache")]);
    let region = fake.region();
    let mut first = region.member(role("web"), PORT, EVERY);
    found(&mut first).await;
    let start = Instant::now();
    let mut second = region.member(role("db"), PORT, EVERY);
    let mut third = region.member(role("cache"), PORT, EVERY);
    assert_eq!(found(&mut second).await, [2]);
    assert_eq!(found(&mut third).await, [3]);
    assert!(start.elapsed() <= Duration::from_millis(1100), "{:?}", start.elapsed());
    assert_eq!(fake.calls(), 2);
    assert_eq!(
        fake.questions(),
        ["instance-state-name=running tag:role=web", "instance-state-name=running tag:role=cache,db,web"]
    );
}

#[tokio::test(start_paused = true)]
async fn who_joins_during_a_question_is_not_answered_by_it_unless_it_covers_him() {
    let fake = Fake::of([instance(1, "web"), instance(2, "db")]);
    fake.set(|state| state.slow = Duration::from_secs(3));
    let region = fake.region();
    let mut first = region.member(role("web"), PORT, EVERY);
    assert!(timeout(Duration::from_secs(1), first.next()).await.is_err());
    let mut same = region.member(role("web"), PORT, EVERY);
    let mut other = region.member(role("db"), PORT, EVERY);
    assert_eq!(found(&mut same).await, [1]);
    assert_eq!(fake.calls(), 1);
    assert_eq!(found(&mut other).await, [2]);
    assert_eq!(fake.calls(), 2);
    assert_eq!(fake.0.lock().unwrap().busy.1, 1, "one call at a time");
}

#[tokio::test(start_paused = true)]
async fn what_only_ec2_can_judge_has_a_question_of_its_own() {
    let fake = Fake::of([instance(1, "web")]);
    let region = fake.region();
    let grouped = || role("web").and_filter("instance.group-name", ["default"]).unwrap();
    let mut members = [
        region.member(role("web"), PORT, EVERY),
        region.member(role("db"), PORT, EVERY),
        region.member(grouped(), PORT, EVERY),
        region.member(grouped(), PORT, EVERY),
    ];
    for member in &mut members {
        found(member).await;
    }
    assert_eq!(
        fake.questions(),
        [
            "instance-state-name=running tag:role=db,web",
            "instance-state-name=running instance.group-name=default tag:role=web"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn instances_that_stop_running_are_gone_even_if_ec2_still_lists_them() {
    let fake = Fake::of([instance(1, "web"), instance(2, "web")]);
    let mut member = fake.region().member(role("web"), PORT, EVERY);
    assert_eq!(found(&mut member).await, [1, 2]);
    fake.set(|state| state.instances[0].state = Some("shutting-down".to_owned()));
    assert_eq!(found(&mut member).await, [2]);
    fake.set(|state| state.instances.clear());
    assert_eq!(found(&mut member).await, [0u8; 0]);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_for_after_the_last_has_gone_and_the_driver_ends_with_its_handles() {
    let fake = Fake::of([instance(1, "web")]);
    let backoff = Backoff::default();
    let (region, driver) = Region::over(fake.clone(), "EC2 in test".to_owned(), LONG, backoff);
    let driver = tokio::spawn(driver);
    sleep(EVERY * 10).await;
    assert_eq!(fake.calls(), 0, "nobody has asked");
    let mut member = region.member(role("web"), PORT, EVERY);
    found(&mut member).await;
    drop(member);
    sleep(EVERY * 10).await;
    assert_eq!(fake.calls(), 1);
    let mut again = region.member(role("web"), PORT, EVERY);
    drop(region);
    assert_eq!(found(&mut again).await, [1]);
    drop(again);
    timeout(LONG, driver).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_while_it_waits_loses_nothing() {
    let fake = Fake::of([instance(1, "web")]);
    let mut member = fake.region().member(role("web"), PORT, EVERY);
    found(&mut member).await;
    fake.set(|state| state.instances.push(instance(2, "web")));
    for _ in 0..3 {
        assert!(timeout(EVERY / 4, member.next()).await.is_err());
    }
    assert_eq!(found(&mut member).await, [1, 2]);
    assert_eq!(fake.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn each_service_has_the_address_and_the_port_it_wants() {
    let public = Instance { public_ip: Some("192.0.2.9".to_owned()), ..instance(1, "web") };
    let region = Fake::of([public, instance(2, "web")]).region();
    let mut by_public = region.member(role("web").with_address(Address::PublicIp), PORT, EVERY);
    let mut by_private = region.member(role("web"), NonZeroU16::new(8080).unwrap(), EVERY);
    let snapshot = by_public.next().await.unwrap();
    assert_eq!(last_bytes(&snapshot), [9]);
    assert_eq!(snapshot.rejected().total(), 1);
    let snapshot = by_private.next().await.unwrap();
    assert_eq!(last_bytes(&snapshot), [1, 2]);
    assert!(snapshot.iter().all(|endpoint| endpoint.port().get() == 8080));
}
