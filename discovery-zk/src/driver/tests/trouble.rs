//! Servers, sessions and permissions that fail.

use super::*;

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
    world.fake.set("/web/a_2", registration(93));
    until(&mut member, &[92, 93]).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_answered_after_a_refusal_is_not_left_out_later() {
    let (world, mut member) = World::web(&[("a_1", 81)]).await;
    world.fake.latency(Duration::from_millis(10));
    world.fake.deny("/web/a_2");
    world.put("a_2", 82);
    world.put("a_3", 83);
    assert!(next(&mut member).await.is_err());
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.fake.undeny("/web/a_2");
    assert_eq!(ports(&next(&mut member).await.unwrap()), [81, 82, 83], "all of it or nothing");
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
async fn a_session_that_is_lost_is_not_told_while_the_questions_of_the_next_are_spread() {
    let world = World::new(1);
    world.fake.create("/web", "");
    world.put("a_1", 81);
    fastrand::seed(7);
    let mut member = world.ensemble.member(node("/web").with_jitter(Duration::from_hours(1)));
    assert_eq!(ports(&next(&mut member).await.unwrap()), [81]);
    // One that ends sooner counts as an attempt that has failed.
    silent(&mut member, Duration::from_secs(5)).await;
    world.fake.cut();
    world.asked();
    silent(&mut member, Duration::from_mins(1)).await;
    assert!(world.asked().is_empty(), "the hour has only begun");
    world.put("a_2", 82);
    let told = timeout(Duration::from_hours(1), member.next()).await.expect("within the hour");
    assert_eq!(ports(&told.unwrap()), [81, 82]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stops_while_questions_are_spread_is_told_of_in_time() {
    let world = World::new(1);
    world.fake.create("/web", "");
    fastrand::seed(7);
    let mut member = world.ensemble.member(node("/web").with_jitter(Duration::from_hours(1)));
    assert!(next(&mut member).await.unwrap().is_empty());
    silent(&mut member, Duration::from_secs(5)).await;
    world.fake.cut();
    silent(&mut member, Duration::from_secs(5)).await;
    world.fake.server(Fake::address(1), Mode::Hung);
    let begun = Instant::now();
    assert!(matches!(next(&mut member).await.unwrap_err().when(), Retry::After(_)));
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_waits_to_be_read_is_not_called_still_so() {
    let world = World::new(1);
    world.fake.create("/web", "");
    let mut member = world.ensemble.member(node("/web").with_every(Duration::from_hours(1)));
    assert!(next(&mut member).await.unwrap().is_empty());
    assert!(next(&mut member).await.unwrap().is_empty(), "confirmed, since nothing has happened");
    world.put("a_1", 81);
    silent(&mut member, Duration::from_mins(50)).await;
    let told = timeout(Duration::from_mins(10), member.next()).await.expect("within the hour");
    assert_eq!(ports(&told.unwrap()), [81]);
    assert_eq!(ports(&next(&mut member).await.unwrap()), [81], "confirmed again");
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
async fn a_farewell_that_nobody_hears_puts_nothing_off() {
    let (world, mut member) = World::web(&[("a_1", 81)]).await;
    let begun = Instant::now();
    world.fake.server(Fake::address(1), Mode::Hung);
    next(&mut member).await.unwrap_err();
    // Noticed after five sixths of ten seconds, and told a second later.
    let late = begun.elapsed().saturating_sub(Duration::from_secs(10) * 5 / 6 + Duration::from_secs(1));
    assert!(late < Duration::from_millis(100), "{late:?}");
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
    let _ = timeout(Duration::from_mins(10), async {
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
    assert!((Duration::from_secs(25)..Duration::from_mins(1)).contains(&after), "{after:?}");
    assert!(world.asked().is_empty(), "only signs of life");
}

#[tokio::test(start_paused = true)]
async fn a_node_is_listed_every_ten_minutes_or_so_whatever_its_watch_says() {
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
async fn a_quiet_service_is_confirmed_however_much_others_change() {
    let (world, mut web) = World::web(&[("a_1", 81)]).await;
    world.fake.create("/db", "");
    let db = world.member("/db");
    let busy = async {
        for port in 1..120 {
            world.fake.create(&format!("/db/{port}"), registration(port));
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let quiet = async {
        let begun = Instant::now();
        assert_eq!(ports(&next(&mut web).await.unwrap()), [81]);
        assert!(begun.elapsed() < Duration::from_mins(1), "{:?}", begun.elapsed());
    };
    tokio::join!(busy, quiet);
    drop(db);
}
