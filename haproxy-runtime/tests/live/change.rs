//! Changes that take no reload, and those that do.

use haproxy_render::plan::Reason;
use haproxy_runtime::{Cause, Progress};

use crate::site::{By, Client, Echo, Site, changed, document, document_with, server};

#[tokio::test]
async fn live_servers_come_change_and_go_in_one_process() {
    let (a, b) = (Echo::start(b'a').await, Echo::start(b'b').await);
    let first = document(vec![server("a", a.port, 1, "")]);
    let site = Site::start(&first, By::Nothing).await;
    let mut live = site.live();
    changed(&mut live, &first).await;
    let process = live.process().unwrap();
    let mut kept = Client::connect(&site.haproxy).await.unwrap();
    assert_eq!(kept.letter, 'a');

    let both = document(vec![server("a", a.port, 1, ""), server("b", b.port, 2, "")]);
    let deed = changed(&mut live, &both).await;
    assert!(
        deed.to_string().starts_with(&format!("+ web/b 127.0.0.1:{}; by 2 commands, ", b.port)),
        "{deed}"
    );
    let mut letters = [
        Client::connect(&site.haproxy).await.unwrap().letter,
        Client::connect(&site.haproxy).await.unwrap().letter,
    ];
    letters.sort_unstable();
    assert_eq!(letters, ['a', 'b']);

    let heavier = document(vec![server("a", a.port, 1, ""), server("b", b.port, 2, "weight 7")]);
    let deed = changed(&mut live, &heavier).await;
    assert!(deed.to_string().starts_with("~ web/b "), "{deed}");
    assert_eq!(site.servers().await, [format!("a {} 1 0", a.port), format!("b {} 7 0", b.port)]);

    let other = document(vec![server("b", b.port, 2, "weight 7")]);
    changed(&mut live, &other).await;
    assert_eq!(site.servers().await[0], format!("a {} 1 1", a.port), "out of rotation, not deleted");
    assert_eq!(live.leaving().unwrap().len(), 1);
    for _ in 0..3 {
        assert_eq!(Client::connect(&site.haproxy).await.unwrap().letter, 'b');
    }
    assert!(kept.echoes().await, "the connection that there was goes on");
    assert_eq!((site.reloads(), live.process()), (0, Some(process)));
    let found = site.haproxy.socket().process().await.unwrap();
    assert_eq!(found.identity, process);
    assert!(site.file().contains(&found.revision.unwrap().directive()));
    assert!(!site.file().contains("server a "), "{}", site.file());
    assert_eq!(live.counters().by_commands, 4);
}

#[tokio::test]
async fn live_a_server_that_comes_back_while_it_leaves_stays() {
    let a = Echo::start(b'a').await;
    let with = document(vec![server("a", a.port, 1, "")]);
    let site = Site::start(&with, By::Nothing).await;
    let mut live = site.live();
    changed(&mut live, &with).await;
    let _kept = Client::connect(&site.haproxy).await.unwrap();
    changed(&mut live, &document(vec![])).await;
    changed(&mut live, &with).await;
    assert!(live.leaving().unwrap().is_empty() && live.due().is_none());
    assert_eq!(Client::connect(&site.haproxy).await.unwrap().letter, 'a');
    assert_eq!(site.reloads(), 0);
}

#[tokio::test]
async fn live_what_commands_can_not_do_is_a_reload_that_says_why() {
    let a = Echo::start(b'a').await;
    let first = document(vec![server("a", a.port, 1, "")]);
    let site = Site::start(&first, By::Master).await;
    let mut live = site.live();
    changed(&mut live, &first).await;
    let before = live.process().unwrap();

    // No version takes this option at run time.
    let second = document(vec![server("a", a.port, 1, ""), server("b", a.port, 2, "non-stick")]);
    let deed = changed(&mut live, &second).await;
    let reload = deed.reloaded.as_ref().unwrap();
    assert!(matches!(reload.causes[..], [Cause::Needed(Reason::Server { .. })]), "{deed}");
    assert!(deed.to_string().contains("non-stick"), "{deed}");
    assert_ne!(live.process().unwrap(), before);
    assert_eq!((site.reloads(), site.servers().await.len()), (1, 2));

    let third = document_with(second.services[0].backend.servers.clone(), &["balance leastconn"]);
    let deed = changed(&mut live, &third).await;
    assert!(matches!(deed.reloaded.unwrap().causes[..], [Cause::Needed(Reason::Lines { .. })]));
    // And then without one again.
    let fourth = document_with(vec![server("a", a.port, 1, "weight 3")], &["balance leastconn"]);
    assert!(changed(&mut live, &fourth).await.reloaded.is_none());
    assert_eq!(site.reloads(), 2);
}

#[tokio::test]
async fn live_another_order_of_servers_is_stamped_alone() {
    let a = Echo::start(b'a').await;
    let (one, two) = (server("a", a.port, 1, ""), server("b", a.port, 2, ""));
    let first = document(vec![one.clone(), two.clone()]);
    let site = Site::start(&first, By::Nothing).await;
    let mut live = site.live();
    changed(&mut live, &first).await;
    let deed = changed(&mut live, &document(vec![two, one])).await;
    assert!(deed.changes.is_empty() && deed.commands == 1 && deed.reloaded.is_none(), "{deed}");
    let revision = site.haproxy.socket().process().await.unwrap().revision.unwrap();
    assert!(site.file().contains(&revision.directive()));
}

#[tokio::test]
async fn live_a_file_that_somebody_has_edited_is_written_anew() {
    let wanted = document(vec![server("a", 1, 1, "")]);
    let site = Site::start(&wanted, By::Nothing).await;
    let mut live = site.live();
    changed(&mut live, &wanted).await;
    let text = site.file();
    site.haproxy.configure(&format!("{text}# edited\n"));
    assert_eq!(live.apply(&wanted).await.unwrap(), Progress::Unchanged);
    live.flush().await.unwrap();
    assert_eq!((site.file(), site.reloads()), (text, 0));
}

#[tokio::test]
async fn live_a_server_of_other_options_takes_the_place_of_the_first() {
    let (a, b) = (Echo::start(b'a').await, Echo::start(b'b').await);
    let first = document(vec![server("a", a.port, 1, ""), server("b", b.port, 2, "")]);
    let site = Site::start(&first, By::Nothing).await;
    let mut live = site.live();
    changed(&mut live, &first).await;
    let second = document(vec![server("a", a.port, 1, "backup"), server("b", b.port, 2, "")]);
    let deed = changed(&mut live, &second).await;
    assert!(deed.reloaded.is_none(), "{deed}");
    for _ in 0..3 {
        assert_eq!(Client::connect(&site.haproxy).await.unwrap().letter, 'b');
    }
}
