//! Servers that somebody else adds.

use haproxy_render::{Document, Section, plan::Strangers};
use haproxy_runtime::{CommandLine, Live};

use crate::site::{By, Client, Echo, Site, changed, document, line, name, server};

/// A service, and two sections of the operator's own.
fn with_own_sections(a: &Echo) -> Document {
    let mut document = document(vec![server("a", a.port, 1, "")]);
    for (title, lines) in [
        ("backend own", &["balance roundrobin", "server x 127.0.0.1:1"][..]),
        ("listen alone", &["bind unix@alone.sock", "balance roundrobin", "server x 127.0.0.1:1"]),
    ] {
        let lines = lines.iter().map(|text| line(text)).collect();
        document.extra_sections.push(Section::new(line(title), lines));
    }
    document
}

/// Adds a server by hand to each section.
async fn add(site: &Site) {
    let replies = site
        .tell(&[
            "add server web/c 127.0.0.1:1 id 50",
            "add server own/c 127.0.0.1:1 id 50",
            "add server alone/c 127.0.0.1:1 id 50",
            "enable server own/c",
        ])
        .await;
    assert!(replies[..3].iter().all(|reply| reply.ends_with("New server registered.")), "{replies:?}");
}

/// `BACKEND/SERVER MAINTENANCE` of all servers, sorted.
async fn servers(site: &Site) -> Vec<String> {
    let mut found = Vec::new();
    let each = |_, row: &str| {
        let words: Vec<&str> = row.split(' ').collect();
        if let (Some(backend), Some(name), Some(Ok(state))) =
            (words.get(1), words.get(3), words.get(6).map(|state| state.parse::<u32>()))
        {
            found.push(format!("{backend}/{name} {}", state & 1));
        }
    };
    site.haproxy.socket().read(&[CommandLine::servers_state()], each).await.unwrap();
    found.sort();
    found
}

async fn until_gone(live: &mut Live) {
    while live.due().is_some() {
        live.tend().await;
    }
}

#[tokio::test]
async fn live_a_server_by_somebody_else_is_removed_from_our_backends_alone() {
    let a = Echo::start(b'a').await;
    let first = with_own_sections(&a);
    let site = Site::start(&first, By::Nothing).await;
    let mut live = site.live();
    changed(&mut live, &first).await;
    add(&site).await;

    let deed = live.reconcile().await.unwrap();
    assert_eq!(deed.repaired.len(), 1, "{deed}");
    until_gone(&mut live).await;
    let left = ["alone/c 1", "alone/x 0", "own/c 0", "own/x 0", "web/a 0"];
    assert_eq!(servers(&site).await, left);
    assert_eq!((live.reconcile().await, live.strangers()), (None, &[][..]));
    assert_eq!((servers(&site).await, site.reloads()), (left.map(str::to_owned).to_vec(), 0));
}

#[tokio::test]
async fn live_a_server_by_somebody_else_is_reported_until_it_goes_and_our_backends_alone_are_looked_at() {
    let a = Echo::start(b'a').await;
    let first = with_own_sections(&a);
    let site = Site::start(&first, By::Master).await;
    let mut live = site.live().with_strangers(Strangers::Report);
    changed(&mut live, &first).await;
    add(&site).await;

    let all = ["alone/c 1", "alone/x 0", "own/c 0", "own/x 0", "web/a 0", "web/c 1"];
    let named = |live: &Live| live.strangers().iter().map(ToString::to_string).collect::<Vec<_>>();
    for _ in 0..2 {
        let deed = live.reconcile().await.unwrap();
        assert!(deed.is_nothing(), "{deed}");
        assert_eq!(
            (named(&live), servers(&site).await),
            (vec!["web/c".to_owned()], all.map(str::to_owned).to_vec())
        );
    }
    // A change of ours lets it be, too.
    let mut second = first.clone();
    second.services = document(vec![server("a", a.port, 1, "weight 7")]).services;
    assert!(changed(&mut live, &second).await.reloaded.is_none());
    assert_eq!(servers(&site).await, all);

    // Whoever starts anew finds it at once.
    drop(live);
    let mut live = site.live().with_strangers(Strangers::Report);
    live.apply(&second).await.unwrap();
    assert_eq!(named(&live), ["web/c"]);

    site.tell(&["del server web/c"]).await;
    assert_eq!((live.reconcile().await, named(&live)), (None, vec![]));

    site.tell(&["add server web/c 127.0.0.1:1 id 50"]).await;
    assert!(live.reconcile().await.is_some());
    let mut third = second.clone();
    third.extra_sections.push(Section::new(line("backend more"), vec![]));
    assert!(changed(&mut live, &third).await.reloaded.is_some());
    assert_eq!(named(&live), Vec::<String>::new(), "a reload takes it away");
}

#[tokio::test]
async fn live_the_ids_of_servers_that_are_let_be_are_not_free() {
    let a = Echo::start(b'a').await;
    let both = document(vec![server("a", a.port, 1, "weight 0"), server("b", a.port, 2, "")]);
    let site = Site::start(&both, By::Master).await;
    let mut live = site.live();
    changed(&mut live, &both).await;
    // It can't be deleted for as long as somebody talks to it, and this run ends before that.
    let mut kept = Client::connect(&site.haproxy).await.unwrap();
    let one = document(vec![server("a", a.port, 1, "weight 0")]);
    changed(&mut live, &one).await;
    drop(live);
    site.tell(&["add server web/c 127.0.0.1:1 id 50"]).await;

    let mut live = site.live().with_strangers(Strangers::Report);
    live.apply(&one).await.unwrap();
    let held = |live: &Live| {
        let mut held: Vec<_> =
            live.holders(&name("web")).map(|(name, id)| (name.to_string(), id.get())).collect();
        held.sort_unstable();
        held
    };
    assert_eq!(held(&live), [("a".to_owned(), 1), ("b".to_owned(), 2), ("c".to_owned(), 50)]);
    assert_eq!(live.holders(&name("other")).count(), 0);

    // Whoever takes their place has none of them.
    site.reload_by_hand(&live).await;
    live.reconcile().await;
    assert_eq!(held(&live), [("a".to_owned(), 1)]);
    assert!(kept.echoes().await);
}

#[tokio::test]
async fn live_servers_that_an_earlier_run_saw_out_are_no_strangers() {
    let a = Echo::start(b'a').await;
    let both = document(vec![server("a", a.port, 1, "weight 0"), server("b", a.port, 2, "")]);
    let site = Site::start(&both, By::Nothing).await;
    let mut live = site.live().with_strangers(Strangers::Report);
    changed(&mut live, &both).await;
    // It can't be deleted for as long as somebody talks to it, and this run ends before that.
    let mut kept = Client::connect(&site.haproxy).await.unwrap();
    let one = document(vec![server("a", a.port, 1, "weight 0")]);
    changed(&mut live, &one).await;
    drop(live);
    site.tell(&["add server web/c 127.0.0.1:1 id 50"]).await;

    let named = |live: &Live| live.strangers().iter().map(ToString::to_string).collect::<Vec<_>>();
    let mut live = site.live().with_strangers(Strangers::Report);
    assert_eq!(live.preview(&one).await.unwrap().strangers.len(), 1);
    live.apply(&one).await.unwrap();
    assert_eq!((named(&live), live.leaving().unwrap().len()), (vec!["web/c".to_owned()], 1));
    assert!(kept.echoes().await);
    drop(kept);
    while let Some(due) = live.due() {
        tokio::time::sleep_until(due).await;
        live.tend().await;
    }
    assert_eq!(servers(&site).await, ["web/a 0", "web/c 1"]);
    live.flush().await.unwrap();
    assert!(!site.haproxy.path(".synapse/haproxy.cfg.leaving").exists());

    // One of that name is somebody else's from now on, and one of another id was never ours.
    site.tell(&["add server web/b 127.0.0.1:1 id 2"]).await;
    drop(live);
    let mut live = site.live().with_strangers(Strangers::Report);
    live.apply(&one).await.unwrap();
    assert_eq!((named(&live), site.reloads()), (vec!["web/b".to_owned(), "web/c".to_owned()], 0));
}

#[tokio::test]
async fn live_a_note_of_who_leaves_another_process_says_nothing() {
    let a = Echo::start(b'a').await;
    let one = document(vec![server("a", a.port, 1, "")]);
    let site = Site::start(&one, By::Nothing).await;
    changed(&mut site.live(), &one).await;
    site.tell(&["add server web/b 127.0.0.1:1 id 2", "add server web/c 127.0.0.1:1 id 3"]).await;
    let process = site.haproxy.socket().process().await.unwrap().identity;
    let note = site.haproxy.path(".synapse/haproxy.cfg.leaving");
    for (text, strangers) in [
        (format!("{} {}\nweb b 2\n", process.pid, process.started - 1), 2),
        (format!("{} {}\nweb b 2\nnonsense", process.pid, process.started), 2),
        (format!("{} {}\nweb b 7\n", process.pid, process.started), 2),
        (format!("{} {}\nweb b 2\n", process.pid, process.started), 1),
    ] {
        std::fs::write(&note, &text).unwrap();
        let mut live = site.live().with_strangers(Strangers::Report);
        live.apply(&one).await.unwrap();
        assert_eq!(live.strangers().len(), strangers, "{text}");
        live.flush().await.unwrap();
    }
}
