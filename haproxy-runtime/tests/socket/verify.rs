//! Whether a reload has done what it was for.

use std::{error::Error as _, sync::Arc, time::Duration};

use haproxy_runtime::{Revision, Seen, Socket, SocketAddress, SocketFault, verify};
use tokio::time::{sleep, timeout};

use crate::fake::{Does, Fake, Says, identity};

const DEADLINE: Duration = Duration::from_secs(30);
const SOON: Duration = Duration::from_millis(100);

fn revision(text: &str) -> Revision {
    Revision::parse(text).unwrap()
}

/// Waits until somebody has asked, from the beginning, who is there.
async fn asked_again(fake: &Fake) {
    let ends = || fake.heard().iter().filter(|line| *line == "closed").count();
    // One may have been asking before.
    let enough = ends() + 2;
    let asked = async {
        while ends() < enough {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(DEADLINE, asked).await.expect("nobody asks");
}

#[tokio::test]
async fn the_new_process_is_waited_for() {
    let says = Says::new(7);
    says.lock().unwrap().revision = Some("r1".to_owned());
    let fake = Fake::process(&says, |_| Does::Hangs);
    let socket = fake.socket();
    let before = identity(&socket).await;
    let reload = async {
        // First the old process, then the new one with a file from before the change, then what was asked for; each is seen.
        asked_again(&fake).await;
        says.lock().unwrap().pid = 8;
        asked_again(&fake).await;
        says.lock().unwrap().revision = Some("r2".to_owned());
    };
    let r2 = revision("r2");
    let (verified, ()) = tokio::join!(verify(&socket, &r2, Some(before), DEADLINE), reload);
    let verified = verified.unwrap();
    assert_eq!((verified.process.identity.pid, verified.process.revision), (8, Some(r2)));
    assert!(verified.took > Duration::ZERO);
}

#[tokio::test]
async fn the_old_process_does_not_count_whatever_it_runs() {
    let says = Says::new(7);
    says.lock().unwrap().revision = Some("r2".to_owned());
    let fake = Fake::process(&says, |_| Does::Hangs);
    let before = identity(&fake.socket()).await;
    let error = verify(&fake.socket(), &revision("r2"), Some(before), SOON).await.unwrap_err();
    assert!(matches!(&error.seen, Seen::Old(process) if process.identity == before));
    assert!(error.to_string().contains("still answers"), "{error}");
    assert!(verify(&fake.socket(), &revision("r2"), None, SOON).await.is_ok(), "unless nobody knows of it");
}

#[tokio::test]
async fn another_revision_and_none_are_told_apart() {
    for (found, words) in [(Some("r9"), "runs revision r9"), (None, "has no revision")] {
        let says = Says::new(7);
        says.lock().unwrap().revision = found.map(str::to_owned);
        let fake = Fake::process(&says, |_| Does::Hangs);
        let error = verify(&fake.socket(), &revision("r2"), None, SOON).await.unwrap_err();
        assert!(matches!(error.seen, Seen::Other(_)));
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn a_process_that_is_ending_does_not_count() {
    let says = Says::new(7);
    says.lock().unwrap().revision = Some("r2".to_owned());
    says.lock().unwrap().stopping = true;
    let fake = Fake::process(&Arc::clone(&says), |_| Does::Hangs);
    let error = verify(&fake.socket(), &revision("r2"), None, SOON).await.unwrap_err();
    assert!(matches!(error.seen, Seen::Ending(_)), "{error}");
}

#[tokio::test]
async fn a_socket_that_stays_away_is_the_cause() {
    let socket = Socket::new(SocketAddress::parse("/nonexistent/admin.sock").unwrap());
    let error = verify(&socket, &revision("r2"), None, SOON).await.unwrap_err();
    assert!(matches!(&error.seen, Seen::Error(error) if matches!(error.fault(), SocketFault::Missing)));
    assert!(error.source().is_some() && error.to_string().ends_with("it can't be asked"), "{error}");
}

#[tokio::test]
async fn a_process_that_hangs_does_not_outlast_the_deadline() {
    let fake = Fake::start(|_| Does::Hangs);
    let error = verify(&fake.socket(), &revision("r2"), None, SOON).await.unwrap_err();
    assert!(matches!(error.seen, Seen::Nobody), "{error}");
}
