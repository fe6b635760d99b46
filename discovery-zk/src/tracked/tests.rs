//! What a service asks and tells, answer by answer.

use super::*;
use crate::{decode::Decode, path::Path, question::Answer, session::Fault};

fn web() -> (Tracked, watch::Receiver<Slot<Known>>) {
    let node = Node::new(Path::new("/web").unwrap(), Decode::Nerve).with_settings(None);
    let (slot, seen) = watch::channel(Slot::default());
    let mut web = Tracked::new(node, slot);
    web.begin(Instant::now());
    (web, seen)
}

fn names(names: &[&str]) -> Answer {
    Answer::Names(Ok(names.iter().map(|name| (*name).to_owned()).collect()))
}

fn data(port: u16) -> Answer {
    Answer::Data(Ok(format!(r#"{{"host":"h","port":{port}}}"#).into_bytes()))
}

#[tokio::test(start_paused = true)]
async fn a_child_that_is_away_while_it_is_read_is_watched_once_and_told_as_it_is() {
    let (mut web, seen) = web();
    let now = Instant::now();
    let listing = web.questions(now);
    web.answered(&listing[0], names(&["a"]), now).unwrap();
    let read = web.questions(now);
    web.answered(&read[0], data(1), now).unwrap();
    // Written, deleted, listed, made again, and only then read.
    web.fired(&What::Child("a".into()), false, now);
    web.fired(&What::Children, false, now);
    let asked = web.questions(now);
    assert!(asked.len() == 2 && asked.iter().all(|question| question.watch), "{asked:?}");
    web.answered(&asked[0], names(&[]), now).unwrap();
    assert!(seen.borrow().value().snapshot(&web.node).is_empty());
    web.fired(&What::Children, false, now);
    web.answered(&asked[1], data(2), now).unwrap();
    let listing = web.questions(now);
    web.answered(&listing[0], names(&["a"]), now).unwrap();
    assert_eq!(web.questions(now), [], "it is watched");
    let known = seen.borrow().value().snapshot(&web.node);
    assert_eq!(known.iter().map(|endpoint| endpoint.port().get()).collect::<Vec<_>>(), [2]);
}

#[tokio::test(start_paused = true)]
async fn what_comes_and_goes_while_a_child_is_refused_is_not_kept() {
    let (mut web, seen) = web();
    let now = Instant::now();
    let denied = || Answer::Data(Err(Fault::Refused("the user may not read this node".to_owned())));
    for name in (0..1000).map(|n| format!("a_{n}")) {
        web.retry(now);
        for question in web.questions(now) {
            web.answered(&question, names(&["bad", &name]), now).unwrap();
        }
        for question in web.questions(now) {
            let bad = question.ask == Ask::Child("bad".into());
            web.answered(&question, if bad { denied() } else { data(1) }, now).unwrap();
        }
        for gone in [What::Child(name.into()), What::Children] {
            web.fired(&gone, true, now);
        }
    }
    let kept = web.gathering.as_ref().expect("nothing was told").changes.len();
    assert!(kept <= 3 && web.children.len() == 1, "{kept} changes, {} children", web.children.len());
    assert_eq!(seen.borrow().version(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_check_that_a_watch_has_overtaken_has_missed_nothing() {
    let (mut web, _seen) = web();
    let now = Instant::now();
    let listing = web.questions(now);
    web.answered(&listing[0], names(&[]), now).unwrap();
    let later = web.due().expect("a check");
    let check = web.questions(later);
    assert!(web.checking && check.len() == 1);
    web.fired(&What::Children, false, later);
    assert!(!web.checking);
}

#[tokio::test(start_paused = true)]
async fn what_is_being_read_is_not_called_still_so() {
    let node = Node::new(Path::new("/web").unwrap(), Decode::Nerve);
    let (slot, _seen) = watch::channel(Slot::default());
    let mut web = Tracked::new(node, slot);
    let now = Instant::now();
    web.begin(now);
    let listing = web.questions(now);
    web.answered(&listing[0], names(&["a"]), now).unwrap();
    let empty = || Answer::Data(Ok(Vec::new()));
    for question in web.questions(now) {
        let child = matches!(question.ask, Ask::Child(_));
        web.answered(&question, if child { data(1) } else { empty() }, now).unwrap();
    }
    assert!(web.is_current());
    for (what, answer) in [(What::Child("a".into()), data(2)), (What::Settings, empty())] {
        web.fired(&what, false, now);
        assert!(!web.is_current(), "{what:?} is to be read");
        let asked = web.questions(now);
        assert!(asked.len() == 1 && !web.is_current(), "{what:?} is being read");
        web.answered(&asked[0], answer, now).unwrap();
        assert!(web.is_current());
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_being_listed_when_its_check_is_due_has_missed_nothing() {
    let (mut web, _seen) = web();
    let now = Instant::now();
    let listing = web.questions(now);
    web.answered(&listing[0], names(&[]), now).unwrap();
    let later = web.due().expect("a check");
    // A watch has fired just before, and its listing is under way.
    web.fired(&What::Children, false, later);
    web.check = Some(later + Duration::from_millis(1));
    let listing = web.questions(later);
    assert_eq!(listing.len(), 1);
    assert_eq!(web.questions(later + Duration::from_millis(1)), []);
    assert!(!web.checking, "what is listed now was asked for by a watch");
    web.answered(&listing[0], names(&["a"]), later).unwrap();
    assert!(web.check.is_some_and(|check| check > later + Duration::from_mins(1)));
}

#[tokio::test(start_paused = true)]
async fn what_happens_while_a_node_is_listed_again_is_told_with_the_list() {
    let (mut web, seen) = web();
    let now = Instant::now();
    let refused = || Fault::Refused("the user may not read this node".to_owned());
    let listing = web.questions(now);
    web.answered(&listing[0], names(&["a", "b"]), now).unwrap();
    for question in web.questions(now) {
        web.answered(&question, data(1), now).unwrap();
    }
    web.fired(&What::Children, false, now);
    let listing = web.questions(now);
    web.answered(&listing[0], Answer::Names(Err(refused())), now).unwrap();
    web.retry(now);
    let listing = web.questions(now);
    web.fired(&What::Child("a".into()), true, now);
    assert!(seen.borrow().failure().is_some() && seen.borrow().value().has("a"));
    web.answered(&listing[0], names(&["b"]), now).unwrap();
    assert!(seen.borrow().failure().is_none() && !seen.borrow().value().has("a"));
}
