//! A child that may not be read costs the others nothing.

use super::*;

/// A service of `/web/a_1` to `/web/a_200`, on the ports 1 to 200, of which some may not be read.
async fn refused(denied: impl IntoIterator<Item = u16>) -> (World, Member) {
    let world = World::new(1);
    world.fake.create("/web", "");
    for port in 1..=200 {
        world.put(&format!("a_{port}"), port);
    }
    for port in denied {
        world.fake.deny(&format!("/web/a_{port}"));
    }
    let mut member = world.member("/web");
    assert!(next(&mut member).await.is_err());
    // What was under way is answered.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.asked().len(), 201, "one list, and each child once");
    (world, member)
}

/// Lets the driver hear of what has happened before it is asked to try again.
async fn heard() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

fn all() -> Vec<u16> {
    (1..=200).collect()
}

fn data(name: &str) -> (Kind, String) {
    (Kind::Data, format!("/web/{name}"))
}

#[tokio::test(start_paused = true)]
async fn a_retry_asks_for_the_child_that_was_refused_and_for_no_other() {
    let (world, mut member) = refused([7]).await;
    for _ in 0..10 {
        let error = next(&mut member).await.unwrap_err();
        assert!(error.chain().contains("a_7"), "{}", error.chain());
        assert_eq!(world.asked(), [data("a_7")]);
    }
    world.fake.undeny("/web/a_7");
    assert_eq!(ports(&next(&mut member).await.unwrap()), all());
    assert_eq!(world.asked(), [data("a_7")]);
    // All of them are watched.
    for port in [7, 8] {
        world.fake.set(&format!("/web/a_{port}"), registration(1000 + port));
        next(&mut member).await.unwrap();
    }
    world.fake.delete("/web/a_9");
    assert_eq!(next(&mut member).await.unwrap().len(), 199);
}

#[tokio::test(start_paused = true)]
async fn what_changes_between_retries_costs_what_changed_and_is_told_with_the_rest() {
    let (world, mut member) = refused([7]).await;
    for round in 0..5 {
        world.fake.set("/web/a_8", registration(1000 + round));
        heard().await;
        assert!(next(&mut member).await.is_err());
        assert_eq!(world.asked(), [data("a_8"), data("a_7")]);
        world.put(&format!("b_{round}"), 2000 + round);
        world.fake.delete(&format!("/web/a_{}", 10 + round));
        heard().await;
        assert!(next(&mut member).await.is_err());
        let list = (Kind::Children, "/web".to_owned());
        assert_eq!(world.asked(), [list, data(&format!("b_{round}")), data("a_7")]);
    }
    world.fake.undeny("/web/a_7");
    let gone = [8, 10, 11, 12, 13, 14];
    let mut left: Vec<_> = all().into_iter().filter(|port| !gone.contains(port)).collect();
    left.extend([1004, 2000, 2001, 2002, 2003, 2004]);
    assert_eq!(ports(&next(&mut member).await.unwrap()), left);
    assert_eq!(world.asked(), [data("a_7")]);
}

#[tokio::test(start_paused = true)]
async fn a_child_that_is_written_and_refused_then_leaves_the_last_good_set_until_it_is_readable_or_gone() {
    let (world, mut member) = World::web(&[("a", 81), ("b", 82), ("c", 83)]).await;
    for readable in [true, false] {
        world.fake.deny("/web/a");
        world.fake.set("/web/a", registration(91));
        for _ in 0..3 {
            assert!(next(&mut member).await.is_err());
            assert_eq!(world.asked(), [data("a")]);
        }
        world.fake.undeny("/web/a");
        if readable {
            assert_eq!(ports(&next(&mut member).await.unwrap()), [82, 83, 91]);
        } else {
            world.fake.delete("/web/a");
            heard().await;
            assert_eq!(ports(&next(&mut member).await.unwrap()), [82, 83]);
        }
        world.asked();
    }
}

#[tokio::test(start_paused = true)]
async fn one_of_many_that_are_refused_is_asked_for_before_the_others_are() {
    let (world, mut member) = refused(1..=150).await;
    for _ in 0..5 {
        assert!(next(&mut member).await.is_err());
        assert_eq!(world.asked(), [data("a_1")]);
    }
    // The first may be read, and the hundred after it.
    (1..=100).for_each(|port| world.fake.undeny(&format!("/web/a_{port}")));
    assert!(next(&mut member).await.is_err());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.asked().len(), 150);
    assert!(next(&mut member).await.is_err());
    assert_eq!(world.asked().len(), 1);
    (101..=150).for_each(|port| world.fake.undeny(&format!("/web/a_{port}")));
    assert_eq!(ports(&next(&mut member).await.unwrap()), all());
    assert_eq!(world.asked().len(), 50);
}

#[tokio::test(start_paused = true)]
async fn a_service_whose_servers_are_all_replaced_meanwhile_is_never_told_without_the_new_ones() {
    let (world, mut member) = refused([7]).await;
    for port in all() {
        if port != 7 {
            world.fake.delete(&format!("/web/a_{port}"));
        }
        world.put(&format!("b_{port}"), 1000 + port);
    }
    world.fake.undeny("/web/a_7");
    heard().await;
    let told = ports(&next(&mut member).await.unwrap());
    assert_eq!(told, [7].into_iter().chain(1001..=1200).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn what_comes_and_goes_while_a_child_is_refused_is_not_remembered() {
    let (world, mut member) = refused([7]).await;
    for _ in 0..100 {
        world.put("b", 1000);
        heard().await;
        assert!(next(&mut member).await.is_err());
        world.fake.delete("/web/b");
        heard().await;
        assert!(next(&mut member).await.is_err());
    }
    world.fake.undeny("/web/a_7");
    assert_eq!(ports(&next(&mut member).await.unwrap()), all());
}

#[tokio::test(start_paused = true)]
async fn a_node_that_may_not_be_listed_any_more_keeps_what_was_read_of_its_children() {
    let (world, mut member) = World::web(&[("a", 81), ("b", 82)]).await;
    world.fake.deny("/web");
    world.put("c", 83);
    for _ in 0..5 {
        let error = next(&mut member).await.unwrap_err();
        assert!(error.chain().contains("listing its children"), "{}", error.chain());
        assert_eq!(world.asked(), [(Kind::Children, "/web".into())]);
    }
    world.fake.delete("/web/a");
    world.fake.undeny("/web");
    heard().await;
    assert_eq!(ports(&next(&mut member).await.unwrap()), [82, 83]);
    assert_eq!(world.asked(), [(Kind::Children, "/web".into()), data("c")]);
}

#[tokio::test(start_paused = true)]
async fn another_session_reads_all_of_it_again_and_watches_it() {
    let (world, mut member) = refused([7]).await;
    world.fake.cut();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(world.asked().len(), 201);
    let error = next(&mut member).await.unwrap_err();
    assert!(error.chain().contains("a_7") && error.when() == Retry::Backoff, "{}", error.chain());
    world.fake.undeny("/web/a_7");
    until(&mut member, &all()).await;
    assert_eq!(world.fake.armed(), 201);
}
