//! Services that leave take their watches with them.

use super::*;

#[tokio::test(start_paused = true)]
async fn ten_thousand_services_that_come_and_go_leave_nothing_behind() {
    let (world, mut web) = World::web(&[("a", 81), ("b", 82)]).await;
    world.fake.create("/conf", "");
    let before = world.fake.armed();
    for n in 0..10_000 {
        let node = node("/web").with_settings(Some(Path::new("/conf").unwrap()));
        let mut other = world.ensemble.member(node);
        // Some leave before they were answered, and some in the middle of it.
        match n % 3 {
            0 => assert_eq!(next(&mut other).await.unwrap().len(), 2),
            1 => assert!(timeout(Duration::ZERO, other.next()).await.is_err()),
            _ => {}
        }
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((world.fake.armed(), world.fake.under_way()), (before, 0));
    world.put("c", 83);
    until(&mut web, &[81, 82, 83]).await;
}

#[tokio::test(start_paused = true)]
async fn a_service_that_leaves_while_it_is_answered_watches_nothing() {
    let (world, _web) = World::web(&[("a", 81)]).await;
    let before = world.fake.armed();
    world.fake.latency(Duration::from_millis(10));
    for after in 0..40 {
        let leaving = world.member("/web");
        tokio::time::sleep(Duration::from_millis(after)).await;
        drop(leaving);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(world.fake.armed(), before, "{after} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_services_below_one_node_the_one_that_stays_goes_on_watching() {
    let (world, first) = World::web(&[("a", 81), ("b", 82)]).await;
    let mut second = world.member("/web");
    assert_eq!(ports(&next(&mut second).await.unwrap()), [81, 82]);
    drop(first);
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.fake.set("/web/a", registration(91));
    until(&mut second, &[82, 91]).await;
    world.put("c", 83);
    until(&mut second, &[82, 83, 91]).await;
    world.fake.delete("/web/b");
    until(&mut second, &[83, 91]).await;
}
