//! A real HAProxy that is reloaded.

use std::time::Duration;

use haproxy_runtime::{CommandLine, Limits, MasterError, Order, Outcome, Seen, SocketFault, verify};

use crate::{
    fake::{DELETE, identity, line, silent},
    haproxy::{DEADLINE, Haproxy, config, revision, until, version},
    live_batch::{Server, connect},
};

/// A server on `port`, for the configuration.
fn server(port: u16) -> String {
    format!("    server s 127.0.0.1:{port} id 2\n")
}

#[tokio::test]
async fn live_a_reload_is_verified() {
    let haproxy = Haproxy::mastered(&config("r1", "")).await;
    let before = identity(&haproxy.socket()).await;
    haproxy.configure(&config("r2", ""));
    let reload = haproxy.master().reload(DEADLINE).await.unwrap();
    // From 2.7 on HAProxy says what happened.
    assert_eq!(reload.message.is_some(), version() >= (2, 7), "{reload:?}");
    let verified = verify(&haproxy.socket(), &revision("r2"), Some(before), DEADLINE).await.unwrap();
    assert_ne!(verified.process.identity, before);

    let processes = until("the old worker to go", async || {
        haproxy.master().processes().await.ok().filter(|processes| processes.old_workers.is_empty())
    })
    .await;
    assert_eq!((processes.master, processes.reloads, processes.failed), (haproxy.pid(), 1, 0));
    let workers: Vec<_> = processes.workers.iter().map(|worker| worker.pid).collect();
    assert_eq!(workers, [verified.process.identity.pid]);
    assert_eq!(processes.version, verified.process.version);
}

#[tokio::test]
async fn live_a_refused_reload_leaves_the_worker_and_says_why() {
    let haproxy = Haproxy::mastered(&config("r1", "")).await;
    let before = identity(&haproxy.socket()).await;
    haproxy.configure(&config("r2", "    nonsense\n"));
    let error = haproxy.master().reload(DEADLINE).await.unwrap_err();
    let MasterError::Refused { message } = &error else { panic!("{error:?}") };
    if version() >= (2, 7) {
        let message = message.as_deref().unwrap();
        assert!(message.contains("unknown keyword 'nonsense'"), "{message}");
        assert!(error.to_string().contains("unknown keyword 'nonsense'"), "{error}");
    } else {
        assert_eq!(*message, None);
        assert!(error.to_string().ends_with("its log says why"), "{error}");
        assert!(haproxy.log().contains("unknown keyword 'nonsense'"), "{}", haproxy.log());
    }
    let short = Duration::from_millis(100);
    let unverified = verify(&haproxy.socket(), &revision("r2"), Some(before), short).await.unwrap_err();
    assert!(matches!(&unverified.seen, Seen::Old(process) if process.identity == before), "{unverified}");
    assert_eq!(haproxy.master().processes().await.unwrap().failed, 1);

    haproxy.configure(&config("r3", ""));
    haproxy.master().reload(DEADLINE).await.unwrap();
    let processes = haproxy.master().processes().await.unwrap();
    assert_eq!((processes.reloads, processes.failed), (2, 0));
    verify(&haproxy.socket(), &revision("r3"), Some(before), DEADLINE).await.unwrap();
}

#[tokio::test]
async fn live_an_old_worker_stays_for_its_connections_and_is_listed() {
    let server_there = Server::start().await;
    let haproxy = Haproxy::mastered(&config("r1", &server(server_there.port))).await;
    let before = identity(&haproxy.socket()).await;
    let connection = connect(&haproxy).await.unwrap();
    haproxy.configure(&config("r2", &server(server_there.port)));
    haproxy.master().reload(DEADLINE).await.unwrap();
    let processes = haproxy.master().processes().await.unwrap();
    let old: Vec<_> = processes.old_workers.iter().map(|worker| (worker.pid, worker.reloads)).collect();
    assert_eq!(old, [(before.pid, 1)]);
    verify(&haproxy.socket(), &revision("r2"), Some(before), DEADLINE).await.unwrap();
    let aged = until("the old worker to age", async || {
        let processes = haproxy.master().processes().await.ok()?;
        let [old] = processes.old_workers.try_into().ok()?;
        (old.age >= Duration::from_secs(1)).then_some(old)
    })
    .await;
    assert!(aged.age < DEADLINE, "{aged:?}");
    drop(connection);
    until("the old worker to go", async || {
        haproxy.master().processes().await.ok().filter(|processes| processes.old_workers.is_empty())
    })
    .await;
}

#[tokio::test]
async fn live_what_a_worker_was_told_that_was_replaced_meanwhile_is_lost() {
    let server_there = Server::start().await;
    let haproxy = Haproxy::mastered(&config("r1", &server(server_there.port))).await;
    let mut limits = Limits::default();
    (limits.patience, limits.batch) = (DEADLINE, DEADLINE * 2);
    let socket = haproxy.socket().with_limits(limits);
    let target = identity(&socket).await;
    let connection = connect(&haproxy).await.unwrap();

    // The batch waits for the connection at its gate; HAProxy is reloaded; then the connection goes.
    let steps = [silent("set server web/s state maint"), Order::new(line("del server web/s"), DELETE).gate()];
    let r3 = revision("r3");
    let batch = socket.batch(target, &steps, Some(&r3));
    let reload = async {
        until("the batch to be at its gate", async || {
            let mut maintained = false;
            let each = |_, row: &str| maintained |= row.contains(" web 2 s 127.0.0.1 0 1 ");
            haproxy.socket().read(&[CommandLine::servers_state()], each).await.unwrap();
            maintained.then_some(())
        })
        .await;
        haproxy.configure(&config("r2", ""));
        haproxy.master().reload(DEADLINE).await.unwrap();
        verify(&haproxy.socket(), &revision("r2"), Some(target), DEADLINE).await.unwrap();
        drop(connection);
    };
    let (result, ()) = tokio::join!(batch, reload);
    let error = result.unwrap_err();
    assert!(matches!(error.fault(), SocketFault::Stopping { process } if *process == target), "{error:?}");
    assert_eq!(error.outcome(), Outcome::Lost);
    let process = haproxy.socket().process().await.unwrap();
    assert_eq!(process.revision, Some(revision("r2")), "its successor was told nothing");
}

#[tokio::test]
async fn live_reload_after_reload_is_verified_and_changed() {
    let haproxy = Haproxy::mastered(&config("r0", "")).await;
    let mut before = identity(&haproxy.socket()).await;
    for round in 1..=10 {
        let (loaded, changed) = (revision(&format!("r{round}")), revision(&format!("r{round}.changed")));
        haproxy.configure(&config(loaded.as_str(), ""));
        haproxy.master().reload(DEADLINE).await.unwrap();
        let verified = verify(&haproxy.socket(), &loaded, Some(before), DEADLINE).await.unwrap();
        let target = verified.process.identity;
        let answers =
            haproxy.socket().batch(target, &[silent("set server web/old weight 5")], Some(&changed)).await;
        // The worker before may have the socket too until it has heard that it is to end.
        match answers {
            Ok(answers) => assert!(answers.succeeded(), "{answers:?}"),
            Err(error) => assert_eq!(error.outcome(), Outcome::Nothing, "{error:?}"),
        }
        before = target;
    }
    assert_eq!(haproxy.master().processes().await.unwrap().reloads, 10);
}

#[tokio::test]
async fn live_a_process_that_took_over_is_verified() {
    let haproxy = Haproxy::alone(&config("r1", "")).await;
    let before = identity(&haproxy.socket()).await;
    haproxy.configure(&config("r2", ""));
    let _next = haproxy.successor();
    let verified = verify(&haproxy.socket(), &revision("r2"), Some(before), DEADLINE).await.unwrap();
    assert_ne!(verified.process.identity.pid, before.pid);
    assert!(!verified.process.stopping);
}
