//! What strangers have written.

use agent::discovery::{Endpoint, Rejection, Snapshot, WatchError};

use crate::{
    site::endpoint,
    visit::{Place, Said},
};

const SCRIPT: &str = "<script>alert(1)</script>";

fn named(name: &str) -> Endpoint {
    endpoint(2).with_name(name).expect("it is short, and has no control characters")
}

fn hostile() -> Snapshot {
    let long = "x".repeat(10_000);
    Snapshot::new([endpoint(1), named(&format!("{SCRIPT}\" {{}}")), named("a\u{202e}b")])
        .with_rejected([Rejection::new(&format!("/web/{SCRIPT}\n# HELP x"), &format!("{long}\n\u{1b}[31m"))])
}

#[tokio::test]
async fn names_of_endpoints_appear_harmlessly() {
    let place = Place::new([("web", Said::Answer(hostile()))]);
    let (running, visitor) = place.start().await;
    visitor.until_ready().await;
    let page = visitor.get("/").await.body;
    assert!(!page.contains("<script") && page.contains("&#60;script&#62;"), "{page}");
    assert!(!page.contains('\u{202e}') && !page.contains('\u{1b}') && page.len() < 50_000);
    let report = visitor.json().await;
    let names: Vec<_> = report["services"][0]["endpoints"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|one| one["name"].as_str())
        .collect();
    assert!(names.contains(&"<script>alert(1)</script>\" {}") && names.contains(&"a\\u{202e}b"), "{names:?}");
    assert_eq!(report["services"][0]["rejected_total"], 3);
    let metrics = visitor.get("/metrics").await.body;
    assert!(!metrics.contains("alert") && !metrics.contains("xxx"), "{metrics}");
    running.stop().await;
}

#[tokio::test]
async fn errors_stay_on_their_line_and_are_cut() {
    let error = format!("{SCRIPT}\nHTTP/1.1 200 OK\r\nservice db: {}", "y".repeat(10_000));
    let place = Place::new([("web", Said::Failure(WatchError::new(error)))]);
    let (running, visitor) = place.start().await;
    let applied = |reply: &crate::visit::Reply| !reply.body.contains("nothing was applied");
    let body = visitor.until("/readyz", |reply| reply.code == 503 && applied(reply)).await.body;
    assert_eq!(body.lines().count(), 1, "{body}");
    assert!(body.contains("\\nHTTP/1.1 200 OK\\r\\nservice db") && body.len() < 1200, "{body}");
    let page = visitor.get("/").await.body;
    assert!(!page.contains("<script") && page.contains("&#60;script&#62;") && page.len() < 50_000, "{page}");
    running.stop().await;
}
