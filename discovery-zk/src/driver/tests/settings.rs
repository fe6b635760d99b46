//! The generator configuration.

use super::*;

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
async fn a_generator_configuration_that_is_made_while_it_is_looked_for_is_found() {
    for after in 0..50 {
        let world = World::new(1);
        world.fake.latency(Duration::from_millis(10));
        world.fake.create("/web", "");
        let node = node("/web").with_settings(Some(Path::new("/conf").unwrap()));
        let mut member = world.ensemble.member(node);
        let make = async {
            tokio::time::sleep(Duration::from_millis(after)).await;
            world.fake.create("/conf", r#"{"haproxy":{"port":1}}"#);
        };
        let found = async { while next(&mut member).await.unwrap().settings().is_none() {} };
        // Long before anything is looked at for no reason.
        timeout(Duration::from_secs(1), async { tokio::join!(make, found) }).await.expect("found");
        world.fake.set("/conf", "");
        assert!(next(&mut member).await.unwrap().settings().is_none());
    }
}
