//! Reloads through the socket of HAProxy's master.

use std::time::Duration;

use haproxy_render::{Document, Section};
use haproxy_runtime::{Live, LiveFault, Progress, Reload, Restored, Verification};
use tokio::time::{Instant, sleep, sleep_until};

use crate::{
    haproxy::{DEADLINE, until, version},
    site::{By, Client, Echo, Site, chain, changed, document, line, server},
};

/// Who follows `site` and reloads it through its master's socket.
fn live(site: &Site, deadline: Duration) -> Live {
    site.live().with_reload(Reload::by_master(site.haproxy.master(), deadline))
}

/// `document` and a backend with this line, which takes a reload.
fn with_backend(document: &Document, text: &str) -> Document {
    let mut more = document.clone();
    more.extra_sections.push(Section::new(line("backend more"), vec![line(text)]));
    more
}

#[tokio::test]
async fn live_a_reload_through_the_masters_socket_is_verified() {
    let a = Echo::start(b'a').await;
    let first = document(vec![server("a", a.port, 1, "")]);
    let site = Site::start(&first, By::Master).await;
    let mut live = live(&site, DEADLINE);
    changed(&mut live, &first).await;
    let before = live.process().unwrap();
    for weight in 1..=5 {
        let deed =
            changed(&mut live, &with_backend(&first, &format!("server x 127.0.0.1:1 weight {weight}"))).await;
        let reloaded = deed.reloaded.as_ref().unwrap();
        assert!(matches!(reloaded.verified, Verification::Done(_)), "{deed}");
        assert!(deed.to_string().contains("reloaded in "), "{deed}");
    }
    assert_ne!(live.process().unwrap(), before);
    assert_eq!(Client::connect(&site.haproxy).await.unwrap().letter, 'a');
    assert_eq!((live.counters().applier.reloads, site.reloads()), (5, 0), "the command is another way");
}

#[tokio::test]
async fn live_what_the_master_refuses_comes_with_haproxys_words_and_is_put_back() {
    let a = Echo::start(b'a').await;
    let first = document(vec![server("a", a.port, 1, "")]);
    let site = Site::start(&first, By::Master).await;
    let mut live = live(&site, DEADLINE);
    changed(&mut live, &first).await;
    let (process, good) = (live.process().unwrap(), site.file());
    let mut kept = Client::connect(&site.haproxy).await.unwrap();

    let error = live.apply(&with_backend(&first, "nonsense")).await.unwrap_err();
    assert!(matches!(error.fault(), LiveFault::Apply(_)), "{error:?}");
    let (told, chain) = (version() >= (2, 7), chain(&error));
    let words = if told { "unknown keyword 'nonsense'" } else { "its log says why" };
    assert!(chain.contains("HAProxy did not load its configuration") && chain.contains(words), "{chain}");
    assert_eq!((error.restored(), site.file()), (Restored::Running, good));
    assert!(kept.echoes().await);
    assert_eq!((live.process(), live.counters().put_back), (Some(process), 1));

    let deed = changed(&mut live, &with_backend(&first, "balance roundrobin")).await;
    assert!(matches!(deed.reloaded.unwrap().verified, Verification::Done(_)));
    assert_ne!(live.process(), Some(process));
}

#[tokio::test]
async fn live_a_master_that_was_killed_is_named_and_reloads_when_it_is_back() {
    let a = Echo::start(b'a').await;
    let first = document(vec![server("a", a.port, 1, "")]);
    let mut site = Site::start(&first, By::Master).await;
    let mut live = live(&site, Duration::from_millis(500)).with_verification(Duration::from_millis(500));
    changed(&mut live, &first).await;
    let good = site.file();
    site.haproxy.kill();
    // A worker notices that its master is gone, and goes too.
    until("the worker to end", async || site.haproxy.socket().process().await.err()).await;

    let second = with_backend(&first, "balance roundrobin");
    let error = live.apply(&second).await.unwrap_err();
    let chain = chain(&error);
    let path = site.haproxy.path("master.sock");
    assert!(chain.contains(&format!("asking HAProxy's master at {}", path.display())), "{chain}");
    assert!(
        chain.ends_with("nobody listens on the socket: HAProxy has ended, or the path is no socket"),
        "{chain}"
    );
    assert_eq!((error.restored(), site.file()), (Restored::File, good));

    site.haproxy.restart().await;
    let end = Instant::now() + DEADLINE;
    let mut live =
        live.with_verification(DEADLINE).with_reload(Reload::by_master(site.haproxy.master(), DEADLINE));
    let deed = loop {
        match live.apply(&second).await {
            Ok(Progress::Changed(deed)) => break deed,
            Ok(Progress::Deferred { until, .. }) => sleep_until(until).await,
            // Its worker answers before it does.
            Err(_) if Instant::now() < end => sleep(Duration::from_millis(10)).await,
            other => panic!("{other:?}"),
        }
    };
    assert!(matches!(deed.reloaded.unwrap().verified, Verification::Done(_)));
    assert!(site.file().contains("backend more"));
}

#[tokio::test]
async fn live_a_workers_socket_is_no_way_to_reload() {
    let a = Echo::start(b'a').await;
    let first = document(vec![server("a", a.port, 1, "")]);
    let site = Site::start(&first, By::Nothing).await;
    let worker = haproxy_runtime::Master::new(site.haproxy.socket().address().clone());
    let mut live = site.live().with_reload(Reload::by_master(worker, DEADLINE));
    changed(&mut live, &first).await;
    let good = site.file();
    let error = live.apply(&with_backend(&first, "balance roundrobin")).await.unwrap_err();
    assert!(chain(&error).contains("is the socket of a worker"), "{}", chain(&error));
    assert_eq!((error.restored(), site.file()), (Restored::Running, good));
}
