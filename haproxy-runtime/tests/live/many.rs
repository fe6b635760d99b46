//! Many servers, and few changes among them: what is sent is what has changed.

use std::sync::Arc;

use haproxy_render::{Backend, Document, Service};
use haproxy_runtime::CommandLine;

use crate::site::{By, Site, changed, document, line, name, server};

/// Backends without a frontend, beside `web`.
fn with_backends(servers: &[u32]) -> Document {
    let mut document = document(Vec::new());
    document.services.extend(servers.iter().enumerate().map(|(number, count)| {
        let title = name(&format!("backend-{number}"));
        let mut backend = Backend::new(title.clone(), vec![line("balance roundrobin")]);
        backend.servers = (1..=*count).map(|id| server(&format!("s{id}"), 1, id, "")).collect();
        Arc::new(Service::new(title, backend))
    }));
    document
}

async fn count(site: &Site) -> usize {
    let mut count = 0;
    let ask = [CommandLine::servers_state()];
    let each = |_, line: &str| count += usize::from(line.contains(" backend-"));
    site.haproxy.socket().read(&ask, each).await.unwrap();
    count
}

#[tokio::test]
async fn live_a_thousand_servers_that_come_at_once_are_two_commands_each_and_one_change() {
    let site = Site::start(&with_backends(&[0]), By::Nothing).await;
    let mut live = site.live();
    changed(&mut live, &with_backends(&[0])).await;
    let before = live.counters();
    let deed = changed(&mut live, &with_backends(&[1_000])).await;
    assert_eq!((deed.changes.len(), deed.commands, deed.reloaded), (1_000, 2_000, None));
    let after = live.counters();
    assert_eq!((after.by_commands, after.refusals), (before.by_commands + 1, 0));
    assert_eq!((count(&site).await, site.reloads()), (1_000, 0));
}

#[tokio::test]
async fn live_servers_of_a_hundred_backends_take_as_many_commands_as_those_of_one() {
    let site = Site::start(&with_backends(&[0; 100]), By::Nothing).await;
    let mut live = site.live();
    changed(&mut live, &with_backends(&[0; 100])).await;
    let deed = changed(&mut live, &with_backends(&[10; 100])).await;
    assert_eq!((deed.changes.len(), deed.commands, deed.reloaded), (1_000, 2_000, None));
    assert_eq!((count(&site).await, site.reloads()), (1_000, 0));
}

#[tokio::test]
async fn live_one_change_among_very_many_servers_is_one_command() {
    let mut document = with_backends(&[50; 100]);
    let site = Site::start(&document, By::Nothing).await;
    let mut live = site.live();
    changed(&mut live, &document).await;
    let mut service = (*document.services[50]).clone();
    service.backend.servers[20] = server("s21", 1, 21, "weight 7");
    document.services[50] = Arc::new(service);
    let deed = changed(&mut live, &document).await;
    assert_eq!((deed.changes.len(), deed.commands, deed.reloaded), (1, 1, None));
    assert_eq!((count(&site).await, site.reloads()), (5_000, 0));
}
