//! What somebody else has changed.

use haproxy_render::plan::Strangers;
use haproxy_runtime::Live;

use crate::site::{By, Client, Echo, Site, changed, document, server};

async fn site(a: &Echo) -> (Site, Live) {
    let mut first = document(vec![server("a", a.port, 1, ""), server("b", a.port, 2, "weight 5")]);
    // Of the operator's own, which nobody touches.
    first.extra_sections.push(haproxy_render::Section::new(
        crate::site::line("backend own"),
        ["balance roundrobin", "server x 127.0.0.1:1 weight 3"].map(crate::site::line).to_vec(),
    ));
    let site = Site::start(&first, By::Nothing).await;
    let mut live = site.live();
    changed(&mut live, &first).await;
    (site, live)
}

#[tokio::test]
async fn live_nothing_is_done_where_nothing_is_wrong() {
    let a = Echo::start(b'a').await;
    let (_site, mut live) = site(&a).await;
    assert_eq!(live.reconcile().await, None);
    assert_eq!(live.counters().repairs, 0);
}

#[tokio::test]
async fn live_what_was_changed_by_hand_is_put_right() {
    let a = Echo::start(b'a').await;
    let (site, mut live) = site(&a).await;
    let before = site.servers().await;
    site.tell(&[
        "set server web/a weight 99",
        "set server web/b state maint",
        "add server web/c 127.0.0.1:1 id 50",
        "enable server web/c",
        "set server own/x weight 50",
    ])
    .await;
    let deed = live.reconcile().await.unwrap();
    assert!(deed.to_string().starts_with("put right: ") && deed.repaired.len() == 3, "{deed}");
    while live.due().is_some() {
        live.tend().await;
    }
    assert_eq!(site.servers().await, before);
    assert_eq!(site.tell(&["get weight own/x"]).await, ["50 (initial 3)"]);
    assert_eq!((live.reconcile().await, live.counters().repairs, site.reloads()), (None, 1, 0));
}

#[tokio::test]
async fn live_the_same_mistake_is_put_right_each_time() {
    let a = Echo::start(b'a').await;
    let (site, mut live) = site(&a).await;
    for _ in 0..3 {
        site.tell(&["set server web/a state maint"]).await;
        assert!(live.reconcile().await.is_some());
    }
    assert_eq!((live.counters().repairs, site.reloads()), (3, 0));
}

#[tokio::test]
async fn live_a_server_by_somebody_else_is_let_be_if_so_wanted() {
    let a = Echo::start(b'a').await;
    let (site, live) = site(&a).await;
    drop(live);
    site.tell(&["add server web/c 127.0.0.1:1 id 50"]).await;
    let mut live = site.live().with_strangers(Strangers::Report);
    let mut wanted = document(vec![server("a", a.port, 1, ""), server("b", a.port, 2, "weight 5")]);
    wanted.extra_sections.push(haproxy_render::Section::new(
        crate::site::line("backend own"),
        ["balance roundrobin", "server x 127.0.0.1:1 weight 3"].map(crate::site::line).to_vec(),
    ));
    live.apply(&wanted).await.unwrap();
    let deed = live.reconcile().await.unwrap();
    assert_eq!((deed.strangers.len(), deed.commands), (1, 0));
    assert!(deed.to_string().ends_with("servers by somebody else: web/c"), "{deed}");
    assert_eq!(site.servers().await.len(), 3);
}

#[tokio::test]
async fn live_a_name_that_somebody_else_has_taken_is_taken_back() {
    let (a, b) = (Echo::start(b'a').await, Echo::start(b'b').await);
    let first = document(vec![server("a", a.port, 1, "")]);
    let site = Site::start(&first, By::Nothing).await;
    let mut live = site.live();
    changed(&mut live, &first).await;
    site.tell(&["add server web/b 127.0.0.1:1 id 50", "enable server web/b"]).await;

    let second = document(vec![server("a", a.port, 1, ""), server("b", b.port, 2, "")]);
    let deed = changed(&mut live, &second).await;
    assert!(deed.reloaded.is_none(), "{deed}");
    assert_eq!(site.servers().await, [format!("a {} 1 0", a.port), format!("b {} 1 0", b.port)]);
    assert_eq!((live.counters().refusals, site.reloads()), (1, 0));
    let mut letters = [
        Client::connect(&site.haproxy).await.unwrap().letter,
        Client::connect(&site.haproxy).await.unwrap().letter,
    ];
    letters.sort_unstable();
    assert_eq!(letters, ['a', 'b']);
    let process = site.haproxy.socket().process().await.unwrap();
    assert!(site.file().contains(&process.revision.unwrap().directive()));
}
