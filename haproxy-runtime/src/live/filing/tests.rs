//! When the file is written, and what is known of it.

use haproxy_render::{Line, Renderer};
use tokio::time::advance;

use super::*;

const MS: Duration = Duration::from_millis(1);

/// The document of this number.
fn document(number: u32) -> Arc<Document> {
    let line = Line::parse(&format!("maxconn {number}")).unwrap();
    let mut document = Document::new(vec![line], Vec::new());
    document.revision = Some(Renderer::default().revision(&document));
    Arc::new(document)
}

fn want(filing: &mut Filing, number: u32) {
    filing.want(&document(number), Instant::now());
}

/// A write of what is wanted, that ends so after this time.
fn write(filing: &mut Filing, result: Result<Option<Written>, WriteError>, took: Duration) -> Filed {
    let due = filing.wanted.take().expect("something to write");
    filing.writing = Some(Writing { due, task: JoinSet::new() });
    filing.take_in(Ended { result, took }, Instant::now())
}

fn full() -> WriteError {
    WriteError::at(Step::Stage, "haproxy.cfg".as_ref())(std::io::ErrorKind::StorageFull.into())
}

#[tokio::test(start_paused = true)]
async fn the_pause_after_a_write_is_twenty_times_as_long_and_five_seconds_at_most() {
    for (took, gap) in [(MS, 20 * MS), (40 * MS, 800 * MS), (900 * MS, LONGEST_GAP)] {
        let mut filing = Filing::default();
        want(&mut filing, 1);
        assert!(filing.may_begin(Instant::now()));
        assert_eq!(write(&mut filing, Ok(None), took), Filed::Written(None));
        want(&mut filing, 2);
        assert!(!filing.may_begin(Instant::now()), "{took:?}");
        assert_eq!(filing.not_before, Some(Instant::now() + gap));
        advance(gap).await;
        assert!(filing.may_begin(Instant::now()), "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_fails_is_tried_again_ever_more_seldom() {
    let mut filing = Filing::default();
    let since = Instant::now();
    want(&mut filing, 1);
    for pause in [200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000] {
        let Filed::Failed { retry_at } = write(&mut filing, Err(full()), MS) else { panic!() };
        let least = Instant::now() + pause * MS;
        assert!((least..=least + pause * MS / 4).contains(&retry_at), "{pause}");
        want(&mut filing, pause);
        assert_eq!((filing.next(), filing.may_begin(Instant::now())), (Some(retry_at), false));
        advance(retry_at - Instant::now()).await;
    }
    let due = filing.wanted.as_ref().unwrap();
    assert_eq!((due.since, &due.document), (since, &document(30_000)));
    write(&mut filing, Ok(None), MS);
    assert!(!filing.is_behind() && filing.error.is_none());
}

#[tokio::test(start_paused = true)]
async fn what_the_file_holds_already_is_not_written_again() {
    let mut filing = Filing::default();
    filing.holds(&document(1));
    want(&mut filing, 2);
    want(&mut filing, 1);
    assert!(!filing.is_behind());
    want(&mut filing, 2);
    let due = filing.wanted.take().unwrap();
    filing.writing = Some(Writing { due, task: JoinSet::new() });
    want(&mut filing, 2);
    assert!(filing.wanted.is_none(), "it is on its way");
    want(&mut filing, 1);
    assert!(filing.wanted.is_some(), "it will not hold that any more");
}

#[tokio::test(start_paused = true)]
async fn all_that_a_process_may_have_been_told_or_started_with_is_known() {
    let mut filing = Filing::default();
    filing.holds(&document(1));
    want(&mut filing, 2);
    write(&mut filing, Ok(None), MS);
    want(&mut filing, 3);
    let known = |number| filing.document(&document(number).revision.unwrap().into()).is_some();
    assert_eq!([1, 2, 3, 4].map(known), [true, true, true, false]);
}
