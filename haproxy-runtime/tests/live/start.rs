//! The first look at a HAProxy that runs already.

use std::time::Duration;

use haproxy_render::{Renderer, Section, render};
use haproxy_runtime::{Cause, Progress};

use crate::site::{By, Client, Echo, Site, changed, document, line, server};

#[tokio::test]
async fn live_a_file_of_the_same_text_without_a_revision_is_taken_over_without_a_reload() {
    let a = Echo::start(b'a').await;
    let wanted = document(vec![server("a", a.port, 1, "")]);
    let site = Site::start(&wanted, By::Nothing).await;
    let mut live = site.live();
    let deed = changed(&mut live, &wanted).await;
    assert!(deed.reloaded.is_none() && deed.changes.is_empty(), "{deed}");
    assert_eq!(site.reloads(), 0);
    let revision = site.haproxy.socket().process().await.unwrap().revision.unwrap();
    assert!(site.file().contains(&revision.directive()), "{}", site.file());
    assert_eq!(live.apply(&wanted).await.unwrap(), Progress::Unchanged);
}

#[tokio::test]
async fn live_the_next_run_of_this_program_goes_on_where_the_last_one_ended() {
    let (a, b) = (Echo::start(b'a').await, Echo::start(b'b').await);
    let first = document(vec![server("a", a.port, 1, "")]);
    let site = Site::start(&first, By::Nothing).await;
    changed(&mut site.live(), &first).await;

    let second = document(vec![server("a", a.port, 1, ""), server("b", b.port, 2, "")]);
    let mut live = site.live();
    let deed = changed(&mut live, &second).await;
    assert!(deed.reloaded.is_none() && deed.changes.len() == 1 && deed.repaired.is_empty(), "{deed}");
    assert_eq!(site.live().apply(&second).await.unwrap(), Progress::Unchanged);
    assert_eq!(site.reloads(), 0);
    assert_eq!(site.servers().await, [format!("a {} 1 0", a.port), format!("b {} 1 0", b.port)]);
}

#[tokio::test]
async fn live_a_process_that_has_not_what_its_file_says_is_reloaded() {
    let a = Echo::start(b'a').await;
    let wanted = document(vec![server("a", a.port, 1, "")]);
    let site = Site::start(&document(vec![]), By::Master).await;
    site.haproxy.configure(&render(&wanted));
    let deed = changed(&mut site.live(), &wanted).await;
    assert_eq!(deed.reloaded.unwrap().causes, [Cause::Revision { runs: None }]);
    assert_eq!((site.reloads(), site.servers().await), (1, vec![format!("a {} 1 0", a.port)]));
}

#[tokio::test]
async fn live_a_start_with_a_section_that_haproxy_refuses_changes_servers_all_the_same() {
    let (a, b) = (Echo::start(b'a').await, Echo::start(b'b').await);
    let first = document(vec![server("a", a.port, 1, "")]);
    let site = Site::start(&first, By::Master).await;
    changed(&mut site.live(), &first).await;

    let mut broken = document(vec![server("b", b.port, 2, "")]);
    broken.global.push(line("nonsense"));
    broken.extra_sections.push(Section::new(line("backend broken"), vec![line("nonsense")]));
    let mut live = site.live().with_verification(Duration::from_secs(2));
    let error = live.apply(&broken).await.unwrap_err();
    let causes: Vec<_> = error.causes().iter().map(ToString::to_string).collect();
    assert_eq!(causes, ["section global changed", "section \"backend broken\" changed"]);
    assert_eq!(error.done().unwrap().changes.len(), 2, "{error:?}");
    assert!(Client::connect(&site.haproxy).await.is_some_and(|client| client.letter == 'b'));
    live.flush().await.unwrap();
    assert!(site.file().contains("server b ") && !site.file().contains("nonsense"));
}

#[tokio::test]
async fn live_a_process_of_another_revision_is_reloaded() {
    let a = Echo::start(b'a').await;
    let mut first = document(vec![server("a", a.port, 1, "")]);
    first.revision = Some(Renderer::default().revision(&first));
    let site = Site::start(&first, By::Master).await;
    // A change that was written and never told.
    let mut second = document(vec![server("a", a.port, 1, "weight 5")]);
    second.revision = Some(Renderer::default().revision(&second));
    site.haproxy.configure(&render(&second));

    let mut live = site.live();
    let deed = changed(&mut live, &second).await;
    assert!(matches!(deed.reloaded.unwrap().causes[..], [Cause::Revision { runs: Some(_) }]));
    assert_eq!((site.reloads(), site.servers().await), (1, vec![format!("a {} 5 0", a.port)]));
    assert_eq!(live.apply(&second).await.unwrap(), Progress::Unchanged);
}

#[tokio::test]
async fn live_a_file_by_somebody_else_is_replaced_by_a_reload() {
    let a = Echo::start(b'a').await;
    let wanted = document(vec![server("a", a.port, 1, "")]);
    let site = Site::start(&document(vec![]), By::Master).await;
    let foreign = site.file().replace("# generated", "# not generated");
    site.haproxy.configure(&foreign);
    let deed = changed(&mut site.live(), &wanted).await;
    assert_eq!(deed.reloaded.unwrap().causes, [Cause::File]);
    let kept = std::fs::read_to_string(site.haproxy.path(".synapse/haproxy.cfg.last-good")).unwrap();
    assert_eq!((kept, site.reloads()), (foreign, 1));
}
