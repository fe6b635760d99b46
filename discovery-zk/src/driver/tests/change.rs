//! What changes is seen, and costs what changed.

use super::*;

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
    for port in 201..=300 {
        world.put(&format!("a_{port}"), port);
    }
    let seen = async {
        loop {
            match next(&mut member).await.unwrap().len() {
                200 => {}
                seen => return seen,
            }
        }
    };
    assert_eq!(soon(seen).await, 300);
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
    let ((), first) = tokio::join!(
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
async fn departures_are_told_at_once_and_listed_no_more_often_than_arrivals() {
    for (jitter, every, most) in [(0, 60, 4), (60, 0, 12)] {
        let world = World::new(1);
        world.fake.create("/web", "");
        for port in 1..=180_u16 {
            world.put(&format!("a_{port}"), port);
        }
        let (jitter, every) = (Duration::from_secs(jitter), Duration::from_secs(every));
        let mut member = world.ensemble.member(node("/web").with_jitter(jitter).with_every(every));
        assert_eq!(next(&mut member).await.unwrap().len(), 180);
        world.asked();
        for port in 1..=180_u16 {
            world.fake.delete(&format!("/web/a_{port}"));
            let left: Vec<u16> = (port + 1..=180).collect();
            timeout(Duration::from_secs(1), until(&mut member, &left)).await.expect("at once");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let lists = world.asked().len();
        assert!((1..=most).contains(&lists), "{lists} in three minutes, {jitter:?}, {every:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_path_that_is_made_while_it_is_looked_for_is_watched_once() {
    for after in 0..40 {
        let world = World::new(1);
        world.fake.latency(Duration::from_millis(10));
        let mut member = world.member("/web");
        let (first, ()) = tokio::join!(next(&mut member), async {
            tokio::time::sleep(Duration::from_millis(after)).await;
            world.fake.create("/web", "");
        });
        assert!(first.unwrap().is_empty());
        world.put("a_1", 81);
        until(&mut member, &[81]).await;
        // Whatever told that the node was made tells that it is written.
        for port in 82..85 {
            world.fake.set("/web", port.to_string());
            world.put(&format!("a_{port}"), port);
            until(&mut member, &(81..=port).collect::<Vec<_>>()).await;
        }
        let _ = timeout(Duration::from_secs(10), member.next()).await;
        assert!(world.fake.armed() <= 6, "{} watches", world.fake.armed());
    }
}

#[tokio::test(start_paused = true)]
async fn no_pause_is_so_long_that_it_cannot_be_waited_for() {
    let world = World::new(1);
    world.fake.create("/web", "");
    let node = node("/web").with_jitter(Duration::MAX).with_every(Duration::MAX);
    let mut member = world.ensemble.member(node);
    assert!(next(&mut member).await.unwrap().is_empty());
    world.put("a_1", 81);
    tokio::time::sleep(Duration::from_hours(50)).await;
    until(&mut member, &[81]).await;
}

#[tokio::test(start_paused = true)]
async fn a_change_during_a_listing_does_not_shorten_the_interval() {
    let world = World::new(1);
    world.fake.create("/web", "");
    let mut member = world.ensemble.member(node("/web").with_every(Duration::from_mins(1)));
    assert!(next(&mut member).await.unwrap().is_empty());
    world.fake.latency(Duration::from_millis(300));
    world.asked();
    for port in 1..=1800 {
        world.put(&format!("a_{port}"), port);
        let _ = timeout(Duration::from_millis(100), member.next()).await;
    }
    let lists = world.asked().iter().filter(|(kind, _)| *kind == Kind::Children).count();
    assert!((2..=3).contains(&lists), "{lists} in three minutes");
}
