//! HAProxy is replaced, or can't be talked to.

use std::time::Duration;

use haproxy_runtime::{Cause, Pace, Progress, Verification};

use crate::site::{By, Client, Echo, Site, changed, document, server};

#[tokio::test]
async fn live_a_process_that_was_restarted_by_hand_is_gone_on_with() {
    let (a, b) = (Echo::start(b'a').await, Echo::start(b'b').await);
    let first = document(vec![server("a", a.port, 1, "")]);
    let mut site = Site::start(&first, By::Nothing).await;
    let mut live = site.live();
    changed(&mut live, &first).await;
    let both = document(vec![server("a", a.port, 1, ""), server("b", b.port, 2, "")]);
    changed(&mut live, &both).await;

    site.haproxy.restart().await;
    assert_eq!(site.servers().await.len(), 2, "the file has them all");
    let deed = changed(&mut live, &document(vec![server("b", b.port, 2, "weight 9")])).await;
    assert!(deed.reloaded.is_none(), "{deed}");
    assert_eq!(Client::connect(&site.haproxy).await.unwrap().letter, 'b');
    assert_eq!((site.reloads(), live.process().unwrap().pid), (0, site.haproxy.pid()));
}

#[tokio::test]
async fn live_a_process_that_somebody_else_has_reloaded_is_gone_on_with() {
    let a = Echo::start(b'a').await;
    let first = document(vec![server("a", a.port, 1, "")]);
    let site = Site::start(&first, By::Master).await;
    let mut live = site.live();
    changed(&mut live, &first).await;
    site.reload_by_hand(&live).await;
    let deed = changed(&mut live, &document(vec![server("a", a.port, 1, "weight 4")])).await;
    assert!(deed.reloaded.is_none(), "{deed}");
    assert_eq!((site.reloads(), site.servers().await), (0, vec![format!("a {} 4 0", a.port)]));
    assert_eq!(live.reconcile().await, None);
}

#[tokio::test]
async fn live_without_a_socket_each_change_is_a_reload() {
    let site = Site::start(&document(vec![]), By::Nothing).await;
    let mut live = site.live_at(Pace::new(Duration::ZERO, 0.0).unwrap(), "nowhere.sock");
    let wanted = document(vec![server("a", 1, 1, "")]);
    let deed = changed(&mut live, &wanted).await;
    let reload = deed.reloaded.as_ref().unwrap();
    assert!(matches!(reload.causes[..], [Cause::Unreachable(_)]), "{deed}");
    assert!(matches!(reload.verified, Verification::Impossible(_)), "{deed}");
    assert!(deed.to_string().contains("there is no socket"), "{deed}");
    assert_eq!(live.apply(&wanted).await.unwrap(), Progress::Unchanged);
    assert_eq!(site.reloads(), 1);
}

#[tokio::test]
async fn live_a_socket_that_may_not_change_anything_is_named() {
    let site = Site::start(&document(vec![]), By::Master).await;
    let mut live = site.live_at(Pace::new(Duration::ZERO, 0.0).unwrap(), "operator.sock");
    let deed = changed(&mut live, &document(vec![server("a", 1, 1, "")])).await;
    assert!(deed.to_string().contains("level admin"), "{deed}");
    assert_eq!(site.reloads(), 1);
}

#[tokio::test]
async fn live_a_process_that_hangs_is_reloaded() {
    let first = document(vec![server("a", 1, 1, "")]);
    let site = Site::start(&first, By::Nothing).await;
    let mut live = site.live().with_verification(Duration::from_millis(200));
    changed(&mut live, &first).await;
    site.haproxy.freeze().await;
    let second = document(vec![server("a", 1, 1, "weight 2")]);
    let deed = changed(&mut live, &second).await;
    assert!(deed.to_string().contains("not a word"), "{deed}");
    assert_eq!(site.reloads(), 1);
    assert!(site.file().contains("weight 2"));
    // It comes back, and has not heard of it: what it runs is known all the same, so that commands do.
    site.haproxy.thaw();
    let deed = changed(&mut live, &second).await;
    assert!(deed.reloaded.is_none(), "{deed}");
    assert_eq!((site.reloads(), site.servers().await), (1, vec!["a 1 2 0".to_owned()]));
}

#[tokio::test]
async fn live_a_process_that_was_killed_is_found_again() {
    let a = Echo::start(b'a').await;
    let first = document(vec![server("a", a.port, 1, "")]);
    let mut site = Site::start(&first, By::Nothing).await;
    let mut live = site.live().with_verification(Duration::from_millis(200));
    changed(&mut live, &first).await;
    site.haproxy.kill();
    let second = document(vec![server("a", a.port, 1, "weight 2")]);
    let deed = changed(&mut live, &second).await;
    assert!(matches!(deed.reloaded.unwrap().verified, Verification::Impossible(_)));
    site.haproxy.restart().await;
    assert_eq!(live.apply(&second).await.unwrap(), Progress::Unchanged);
    assert!(changed(&mut live, &first).await.reloaded.is_none());
    assert_eq!((site.reloads(), site.servers().await), (1, vec![format!("a {} 1 0", a.port)]));
}

#[tokio::test]
async fn live_another_order_of_servers_is_stamped_into_the_process_that_somebody_else_has_begun() {
    let a = Echo::start(b'a').await;
    let (one, two) = (server("a", a.port, 1, ""), server("b", a.port, 2, ""));
    let first = document(vec![one.clone(), two.clone()]);
    let site = Site::start(&first, By::Master).await;
    let mut live = site.live();
    changed(&mut live, &first).await;
    site.reload_by_hand(&live).await;
    let deed = changed(&mut live, &document(vec![two, one])).await;
    assert!(deed.reloaded.is_none(), "{deed}");
    assert_eq!((deed.commands, site.reloads()), (1, 0));
}
