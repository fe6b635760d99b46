//! What is told to whoever counts.

use std::sync::Arc;

use super::*;
use crate::{Deed, deed::Witness};

/// A service of these children, and what is told of it, with times in whole milliseconds.
fn witnessed(children: &[(&str, u16)]) -> (Fake, Member, Arc<Mutex<Vec<String>>>) {
    let fake = Fake::of(1);
    fake.create("/web", "");
    for (name, port) in children {
        fake.create(&format!("/web/{name}"), registration(*port));
    }
    fake.latency(Duration::from_millis(10));
    let names = Names::default();
    names.0.lock().unwrap().insert("zk-1".to_owned(), Some(Fake::address(1)));
    let told = Arc::<Mutex<Vec<String>>>::default();
    let seen = Arc::clone(&told);
    let see = move |deed: Deed<'_>| {
        let line = match deed {
            Deed::Connected { .. } => "connected".to_owned(),
            Deed::Lost => "lost".to_owned(),
            Deed::Listed { path, took, found } => format!("listed {path} {}ms {found}", took.as_millis()),
            Deed::Watched { path, took } => format!("watched {path} {}ms", took.as_millis()),
            Deed::Read { path, took, failed } => format!("read {path} {}ms {failed}", took.as_millis()),
            Deed::ReadSettings { path, failed, .. } => format!("settings {path} {failed}"),
            Deed::Discovered { path, took } => format!("discovered {path} {}ms", took.as_millis()),
        };
        seen.lock().unwrap().push(line);
    };
    let config = EnsembleConfig::new(["zk-1".parse().unwrap()]).unwrap();
    let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5)).unwrap();
    let (ensemble, driver) = Ensemble::made(config, backoff, fake.connector(), names, Witness::new(see));
    tokio::spawn(driver);
    let member = ensemble.member(node("/web"));
    (fake, member, told)
}

fn take(told: &Mutex<Vec<String>>) -> Vec<String> {
    std::mem::take(&mut *told.lock().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_service_is_told_of_from_the_session_to_the_last_child() {
    let (fake, mut member, told) = witnessed(&[("a_1", 81), ("b_2", 82)]);
    assert_eq!(ports(&next(&mut member).await.unwrap()), [81, 82]);
    assert_eq!(
        take(&told),
        [
            "connected",
            "listed /web 10ms true",
            "read /web 10ms false",
            "read /web 10ms false",
            "discovered /web 20ms"
        ]
    );
    fake.create("/web/c_3", registration(83));
    until(&mut member, &[81, 82, 83]).await;
    assert_eq!(take(&told), ["listed /web 10ms true", "read /web 10ms false", "discovered /web 20ms"]);
    fake.set("/web/c_3", registration(84));
    until(&mut member, &[81, 82, 84]).await;
    assert_eq!(take(&told), ["read /web 10ms false"], "nothing was listed");
    fake.cut();
    fake.create("/web/d_4", registration(85));
    until(&mut member, &[81, 82, 84, 85]).await;
    let lines = take(&told);
    assert_eq!((lines[0].as_str(), lines[1].as_str()), ("lost", "connected"), "{lines:?}");
    assert!(lines.last().is_some_and(|line| line.starts_with("discovered /web")), "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_and_what_is_refused_is_told_of() {
    let (fake, mut member, told) = witnessed(&[]);
    fake.delete("/web");
    assert!(next(&mut member).await.unwrap().is_empty());
    assert_eq!(
        take(&told),
        ["connected", "listed /web 10ms false", "watched /web 10ms", "discovered /web 20ms"]
    );
    let (fake, mut member, told) = witnessed(&[("a_1", 81)]);
    fake.deny("/web/a_1");
    next(&mut member).await.unwrap_err();
    assert!(take(&told).contains(&"read /web 10ms true".to_owned()));
    fake.undeny("/web/a_1");
    until(&mut member, &[81]).await;
    assert!(take(&told).contains(&"read /web 10ms false".to_owned()));
}
