//! Watches, and who is told.

use super::*;
use crate::session::wire::{CHILDREN, DELETED};

async fn fired(established: &mut Established) -> (Mark, bool) {
    match timeout(DEADLINE, established.events.recv()).await.expect("an event").expect("an event") {
        Event::Fired { mark, gone } => (mark, gone),
        Event::Ended(reason) => panic!("{reason}"),
    }
}

#[tokio::test]
async fn events_come_in_order_and_a_watch_on_nothing_never_fires() {
    let wire = Wire::start(|asked| {
        let event = |kind, path: &str| Said::Event(kind, path.as_bytes().to_vec());
        Some(match asked.path.as_str() {
            "/none" => vec![Said::Error(NO_NODE)],
            // Events for what was armed before.
            "/go" => vec![
                event(WRITTEN, "/none"),
                event(DELETED, "/web/a"),
                event(WRITTEN, "/web/b"),
                event(CHILDREN, "/web"),
                data(b""),
            ],
            _ => return None,
        })
    })
    .await;
    for config in each(DEADLINE) {
        let mut established = connect(&config, wire.address).await.unwrap();
        let session = Arc::clone(&established.session);
        let (a, b) = (mark(What::Child("a".into())), mark(What::Child("b".into())));
        session.data("/web/b", Some(b.clone())).await.unwrap();
        session.data("/web/a", Some(a.clone())).await.unwrap();
        session.children("/web", Some(mark(What::Children))).await.unwrap();
        assert_eq!(session.data("/none", Some(mark(What::Settings))).await, Err(Fault::NoNode));
        moment(&established).await;
        session.data("/go", None).await.unwrap();
        assert_eq!(fired(&mut established).await, (a, true));
        assert_eq!(fired(&mut established).await, (b, false));
        assert_eq!(fired(&mut established).await, (mark(What::Children), false));
        assert!(established.events.try_recv().is_err());
    }
}

/// Gives a client the time to see to what it was told last: an answer takes some of it. What another thread asks of Tokio is looked
/// at after 127 other things at the latest.
async fn moment(established: &Established) {
    for _ in 0..300 {
        established.session.data("/moment", None).await.unwrap();
    }
}

#[tokio::test]
async fn two_watches_on_one_node_both_fire() {
    let wire = Wire::start(|asked| {
        let deleted = || Said::Event(DELETED, b"/web".to_vec());
        (asked.path == "/go").then(|| vec![data(b""), deleted()])
    })
    .await;
    for config in each(DEADLINE) {
        let mut established = connect(&config, wire.address).await.unwrap();
        let session = Arc::clone(&established.session);
        session.exists("/web", Some(mark(What::Settings))).await.unwrap();
        session.children("/web", Some(mark(What::Children))).await.unwrap();
        session.data("/go", None).await.unwrap();
        let mut seen = [fired(&mut established).await, fired(&mut established).await];
        seen.sort_by_key(|(mark, _)| mark.what == What::Settings);
        assert_eq!(seen, [(mark(What::Children), true), (mark(What::Settings), true)]);
    }
}

#[tokio::test]
async fn who_has_let_go_is_told_nothing_and_the_others_are_told() {
    let wire = Wire::start(|asked| {
        let event = |kind, path: &str| Said::Event(kind, path.as_bytes().to_vec());
        (asked.path == "/go").then(|| {
            vec![event(WRITTEN, "/web/a"), event(CHILDREN, "/web"), event(DELETED, "/db"), data(b"")]
        })
    })
    .await;
    for config in each(DEADLINE) {
        let mut established = connect(&config, wire.address).await.unwrap();
        let session = Arc::clone(&established.session);
        let a = |member| Mark { member, what: What::Child("a".into()) };
        let names = |member| Mark { member, what: What::Children };
        for member in [1, 2] {
            session.children("/web", Some(names(member))).await.unwrap();
            session.data("/web/a", Some(a(member))).await.unwrap();
        }
        session.exists("/db", Some(Mark { member: 1, what: What::Settings })).await.unwrap();
        session.forget(1, "/web");
        session.forget(1, "/db");
        session.forget(3, "/web");
        moment(&established).await;
        session.data("/go", None).await.unwrap();
        assert_eq!(fired(&mut established).await, (a(2), false));
        assert_eq!(fired(&mut established).await, (names(2), false));
        assert!(established.events.try_recv().is_err());
        // Whoever comes back watches as before.
        session.data("/web/a", Some(a(1))).await.unwrap();
        moment(&established).await;
        session.data("/go", None).await.unwrap();
        assert_eq!(fired(&mut established).await, (a(1), false));
    }
}
