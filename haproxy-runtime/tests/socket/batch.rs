//! Changing a process.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use haproxy_runtime::{InvalidCommandLine, Level, Outcome, Revision, SocketFault, Verdict};

use crate::fake::{ADD, DELETE, Does, Fake, Order, Says, identity, line, silent};

fn revision() -> Revision {
    Revision::parse("r2").unwrap()
}

fn quiet(_: &str) -> Does {
    Does::Says(String::new())
}

#[tokio::test]
async fn a_batch_changes_the_process_and_stamps_it() {
    let says = Says::new(7);
    let fake = Fake::process(&says, |command| {
        Does::Says(if command.starts_with("add") { "New server registered.\n" } else { "" }.to_owned())
    });
    let socket = fake.socket();
    let target = identity(&socket).await;
    let steps = [Order::new(line("add server b/s 127.0.0.1:1 id 1"), ADD), silent("enable server b/s")];
    let answers = socket.batch(target, &steps, Some(&revision())).await.unwrap();
    assert!(answers.succeeded(), "{answers:?}");
    assert_eq!(answers.stamped, Some(Verdict::Success));
    assert_eq!(answers.process.revision, None, "as it was before the first command");
    assert_eq!(socket.process().await.unwrap().revision, Some(revision()));
    let expected = [
        "add server b/s 127.0.0.1:1 id 1",
        "enable server b/s",
        "experimental-mode on",
        "set var proc.synapse_rev str(r2)",
    ];
    assert_eq!(fake.changes(), expected);
}

#[tokio::test]
async fn without_a_revision_nothing_is_stamped() {
    let fake = Fake::process(&Says::new(7), quiet);
    let target = identity(&fake.socket()).await;
    let answers = fake.socket().batch(target, &[silent("a")], None).await.unwrap();
    assert!(answers.succeeded());
    assert_eq!((answers.stamped, fake.changes()), (None, vec!["a".to_owned()]));
}

#[tokio::test]
async fn a_refusal_stops_nothing_but_the_stamp() {
    let fake = Fake::process(&Says::new(7), |command| {
        Does::Says(if command == "two" { "No such server.\n" } else { "" }.to_owned())
    });
    let target = identity(&fake.socket()).await;
    let steps = [silent("one"), silent("two"), silent("three")];
    let answers = fake.socket().batch(target, &steps, Some(&revision())).await.unwrap();
    assert!(!answers.succeeded());
    assert_eq!(answers.stamped, None);
    let failures: Vec<_> =
        answers.failures().map(|(index, reply, verdict)| (index, reply.text(), verdict)).collect();
    assert_eq!(failures, [(1, "No such server.", Verdict::Unknown)]);
    assert_eq!(fake.changes(), ["one", "two", "three"]);
}

#[tokio::test]
async fn a_stamp_that_is_refused_is_no_success() {
    let says = Says::new(7);
    let fake = Fake::start(move |command| {
        let says = says.lock().unwrap();
        Does::Says(match command {
            "show info" => {
                format!("Version: 2\nPid: {}\nStart_time_sec: {}\nStopping: 0\n", says.pid, says.started)
            }
            "show cli level" => "admin\n".to_owned(),
            command if command.starts_with("set var") => "Permission denied\n".to_owned(),
            _ => String::new(),
        })
    });
    let target = identity(&fake.socket()).await;
    let answers = fake.socket().batch(target, &[silent("a")], Some(&revision())).await.unwrap();
    assert_eq!((answers.stamped, answers.succeeded()), (Some(Verdict::Refused), false));
}

#[tokio::test]
async fn a_process_that_was_not_meant_is_told_nothing() {
    let says = Says::new(7);
    let fake = Fake::process(&says, quiet);
    let target = identity(&fake.socket()).await;
    // The same number again, as it happens in containers.
    says.lock().unwrap().started += 1;
    let error = fake.socket().batch(target, &[silent("a")], Some(&revision())).await.unwrap_err();
    assert!(
        matches!(error.fault(), SocketFault::OtherProcess { expected, found } if *expected == target && found.pid == 7)
    );
    assert_eq!((error.outcome(), fake.changes()), (Outcome::Nothing, vec![]));
}

#[tokio::test]
async fn a_socket_of_a_lower_level_is_told_nothing() {
    let says = Says::new(7);
    says.lock().unwrap().level = "operator";
    let fake = Fake::process(&says, quiet);
    let target = identity(&fake.socket()).await;
    let error = fake.socket().batch(target, &[silent("a")], None).await.unwrap_err();
    assert!(matches!(error.fault(), SocketFault::NotAdmin { level: Level::Operator }));
    assert!(error.fault().to_string().contains("`level admin`"), "{}", error.fault());
    assert_eq!((error.outcome(), fake.changes()), (Outcome::Nothing, vec![]));
}

#[tokio::test]
async fn a_process_that_is_ending_is_told_nothing() {
    let says = Says::new(7);
    let fake = Fake::process(&says, quiet);
    let target = identity(&fake.socket()).await;
    says.lock().unwrap().stopping = true;
    let error = fake.socket().batch(target, &[silent("a")], None).await.unwrap_err();
    assert!(matches!(error.fault(), SocketFault::Stopping { process } if *process == target));
    assert_eq!((error.outcome(), fake.changes()), (Outcome::Nothing, vec![]));
}

#[tokio::test]
async fn what_a_process_was_told_that_began_to_end_meanwhile_is_lost() {
    let says = Says::new(7);
    let ending = Arc::clone(&says);
    let fake = Fake::process(&says, move |_| {
        ending.lock().unwrap().stopping = true;
        Does::Says(String::new())
    });
    let target = identity(&fake.socket()).await;
    let error = fake.socket().batch(target, &[silent("a")], Some(&revision())).await.unwrap_err();
    assert!(matches!(error.fault(), SocketFault::Stopping { process } if *process == target));
    assert_eq!((error.outcome(), fake.changes().first().unwrap().as_str()), (Outcome::Lost, "a"));
}

#[tokio::test]
async fn nothing_is_sent_if_one_of_the_commands_is_none() {
    struct Raw(&'static str);
    impl haproxy_runtime::Judged for Raw {
        fn command(&self) -> &str {
            self.0
        }
        fn judge(&self, _: &haproxy_runtime::Reply) -> Verdict {
            Verdict::Success
        }
    }
    let fake = Fake::process(&Says::new(7), quiet);
    let target = identity(&fake.socket()).await;
    let before = fake.heard().len();
    let error = fake.socket().batch(target, &[Raw("a"), Raw("b\nc")], None).await.unwrap_err();
    assert!(matches!(
        error.fault(),
        SocketFault::Command { number: 2, source: InvalidCommandLine::Unprintable('\n') }
    ));
    assert_eq!((error.outcome(), fake.heard().len()), (Outcome::Nothing, before), "not even connected");
}

#[tokio::test]
async fn what_comes_after_a_gate_waits_for_its_success() {
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let fake = Fake::process(&Says::new(7), move |command| {
        Does::Says(match command {
            "del server b/s" if count.fetch_add(1, Relaxed) < 3 => {
                "Server still has connections attached to it, cannot remove it.\n".to_owned()
            }
            "del server b/s" => "Server deleted.\n".to_owned(),
            _ => String::new(),
        })
    });
    let target = identity(&fake.socket()).await;
    let gate = Order::new(line("del server b/s"), DELETE).gate();
    let steps = [silent("before"), gate, silent("after")];
    let socket = fake.with(|limits| {
        limits.patience = Duration::from_mins(1);
        limits.batch = Duration::from_mins(1);
    });
    let answers = socket.batch(target, &steps, None).await.unwrap();
    assert!(answers.succeeded() && answers.replies.len() == 3, "{answers:?}");
    assert_eq!(asked.load(Relaxed), 4);
    assert_eq!(fake.changes().last().unwrap(), "after");
}

#[tokio::test]
async fn a_gate_that_stays_shut_ends_the_batch_there() {
    for (reply, verdict) in
        [("Server still has connections attached.", Verdict::Later), ("No such server.", Verdict::Unknown)]
    {
        let fake = Fake::process(&Says::new(7), move |command| {
            Does::Says(if command.starts_with("del") { reply } else { "" }.to_owned())
        });
        let target = identity(&fake.socket()).await;
        let gate = Order::new(line("del server b/s"), DELETE).gate();
        let steps = [silent("before"), gate, silent("after"), silent("later still")];
        let socket = fake.with(|limits| limits.patience = Duration::from_millis(5));
        let answers = socket.batch(target, &steps, Some(&revision())).await.unwrap();
        assert_eq!((answers.unsent, answers.replies[1].1, answers.stamped), (2, verdict, None));
        assert!(!answers.succeeded());
        assert!(!fake.changes().iter().any(|command| command == "after"), "{:?}", fake.changes());
    }
}

#[tokio::test]
async fn an_empty_batch_stamps_only() {
    let fake = Fake::process(&Says::new(7), quiet);
    let target = identity(&fake.socket()).await;
    let steps: [Order; 0] = [];
    let answers = fake.socket().batch(target, &steps, Some(&revision())).await.unwrap();
    assert_eq!((answers.succeeded(), answers.stamped), (true, Some(Verdict::Success)));
}
