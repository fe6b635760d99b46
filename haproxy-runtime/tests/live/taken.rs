//! Names that are taken, by servers of other options than ours.

use haproxy_render::{Document, plan::Strangers};
use haproxy_runtime::Live;

use crate::site::{By, Client, Echo, Site, changed, document, server};

fn wanted(a: &Echo) -> [Document; 2] {
    // One without weight, so that whoever connects gets the other.
    let second = vec![server("a", a.port, 1, "weight 0"), server("b", a.port, 2, "")];
    [document(vec![server("a", a.port, 1, "")]), document(second)]
}

/// A server of our name, address and id, which talks TLS: no list of HAProxy's says so.
async fn take(site: &Site, a: &Echo) {
    let add = format!("add server web/b 127.0.0.1:{} id 2 ssl verify none", a.port);
    let replies = site.tell(&[&add, "enable server web/b"]).await;
    assert!(replies[0].ends_with("New server registered."), "{replies:?}");
}

async fn serves_plainly(site: &Site, live: &mut Live, second: &Document) {
    let deed = changed(live, second).await;
    assert!(deed.reloaded.is_none(), "{deed}");
    assert_eq!((live.counters().refusals, site.reloads()), (1, 0));
    assert_eq!(Client::connect(&site.haproxy).await.map(|client| client.letter), Some('a'));
    assert_eq!(live.reconcile().await, None);
}

#[tokio::test]
async fn live_a_name_that_is_taken_by_a_server_of_options_that_can_not_be_read_is_given_to_ours() {
    let a = Echo::start(b'a').await;
    let [first, second] = wanted(&a);
    let site = Site::start(&first, By::Nothing).await;
    let mut live = site.live();
    changed(&mut live, &first).await;
    take(&site, &a).await;
    serves_plainly(&site, &mut live, &second).await;
}

#[tokio::test]
async fn live_a_server_that_an_earlier_run_was_killed_over_is_not_taken_for_that_of_the_next() {
    let a = Echo::start(b'a').await;
    let [first, second] = wanted(&a);
    let site = Site::start(&first, By::Nothing).await;
    changed(&mut site.live(), &first).await;
    take(&site, &a).await;
    let mut live = site.live().with_strangers(Strangers::Report);
    serves_plainly(&site, &mut live, &second).await;
}

#[tokio::test]
async fn live_a_name_that_can_not_be_freed_is_a_reload() {
    let a = Echo::start(b'a').await;
    let [first, second] = wanted(&a);
    let site = Site::start(&first, By::Master).await;
    let mut live = site.live();
    changed(&mut live, &first).await;
    let add = format!("add server web/b 127.0.0.1:{} id 2", a.port);
    site.tell(&[&add, "enable server web/b", "set server web/a weight 0"]).await;
    // While this lasts, nobody can delete it.
    let mut kept = Client::connect(&site.haproxy).await.unwrap();
    let deed = changed(&mut live, &second).await;
    assert!(deed.reloaded.is_some(), "{deed}");
    assert_eq!(site.reloads(), 1);
    assert_eq!(site.servers().await, [format!("a {} 0 0", a.port), format!("b {} 1 0", a.port)]);
    assert!(kept.echoes().await);
}
