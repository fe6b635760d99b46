//! What no HAProxy of today does.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use haproxy_render::{Backend, Document, Service, render};
use haproxy_runtime::{
    Cause, Command, ConfigFile, Limits, Live, Pace, Progress, Reload, Sockets, Staging, Verification,
};
use tempfile::TempDir;

use crate::{
    fake::{Does, Fake, Says},
    site::{changed, document, line, name, server},
};

const SERVERS: &str = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight \
    srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state \
    bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr \
    srv_agent_port\n";
const STAT: &str = "# pxname,svname,scur,slim,act,bck,cookie,type,check_rise,check_fall,\n";

struct Place(TempDir);

impl Place {
    fn new(before: &Document) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join(".synapse")).unwrap();
        std::fs::write(directory.path().join("haproxy.cfg"), render(before)).unwrap();
        Self(directory)
    }

    fn live(&self, sockets: &[&Fake]) -> Live {
        let mut limits = Limits::default();
        limits.batch = Duration::from_millis(300);
        let paths: Vec<_> = sockets.iter().map(|fake| fake.path().display().to_string()).collect();
        let sockets = Sockets::parse(paths.iter().map(String::as_str), limits).unwrap();
        let file = ConfigFile::open(self.0.path().join("haproxy.cfg"), Staging::Beside).unwrap();
        let reload = format!("echo x >> '{}'", self.0.path().join("reloads").display());
        Live::new(file, sockets, Pace::new(Duration::ZERO, 0.0).unwrap())
            .with_reload(Reload::new(Command::shell(reload).unwrap(), Duration::from_secs(20)))
            .with_verification(Duration::from_millis(100))
    }

    fn reloads(&self) -> usize {
        std::fs::read_to_string(self.0.path().join("reloads")).unwrap_or_default().lines().count()
    }
}

/// A process without servers, that does what `act` says about changes.
fn process(says: &Arc<Mutex<Says>>, act: impl Fn(&str) -> Does + Send + 'static) -> Fake {
    Fake::process(says, move |command| match command {
        "show servers state" => Does::Says(SERVERS.to_owned()),
        "show stat -1 4 -1" => Does::Says(STAT.to_owned()),
        other => act(other),
    })
}

#[tokio::test]
async fn nonsense_on_the_socket_is_a_reload() {
    let fake = Fake::start(|_| Does::Says("HTTP/1.1 400 Bad request".to_owned()));
    let place = Place::new(&document(vec![]));
    let mut live = place.live(&[&fake]);
    let wanted = document(vec![server("a", 1, 1, "")]);
    let deed = changed(&mut live, &wanted).await;
    assert!(deed.to_string().contains("does not talk like HAProxy"), "{deed}");
    assert_eq!((live.apply(&wanted).await.unwrap(), place.reloads()), (Progress::Unchanged, 1));
}

#[tokio::test]
async fn a_connection_that_ends_within_a_change_is_looked_into_once_and_then_a_reload() {
    let fake = process(&Says::new(7), |_| Does::Closes);
    let place = Place::new(&document(vec![]));
    let mut live = place.live(&[&fake]);
    changed(&mut live, &document(vec![])).await;
    let deed = changed(&mut live, &document(vec![server("a", 1, 1, "")])).await;
    let reload = deed.reloaded.unwrap();
    assert!(matches!(reload.causes[..], [Cause::Unreachable(_)]));
    assert!(matches!(reload.verified, Verification::Impossible(_)));
    let told = |what: &str| fake.changes().iter().filter(|line| line.starts_with(what)).count();
    // Whether it was added is not known, so it has to go before it comes once more.
    assert_eq!((told("add server"), told("set server web/a state maint")), (1, 1));
    assert_eq!((place.reloads(), live.counters().refusals), (1, 1));
}

#[tokio::test]
async fn a_process_that_was_lost_within_a_change_and_comes_back_is_still_doubted() {
    let mut revision = String::new();
    // How many commands are left unanswered: that of the change, and the question who is there after it.
    let mut deaf = 2;
    let fake = Fake::start(move |command| {
        let add = command.starts_with("add server");
        if add || (deaf == 1 && command == "show info") {
            deaf -= i32::from(deaf > 0);
            return if deaf > 0 || !add { Does::Closes } else { Does::Says("New server registered.".into()) };
        }
        if let Some(rest) = command.strip_prefix("set var proc.synapse_rev str(") {
            revision = rest.trim_end_matches(')').to_owned();
        }
        Does::Says(match command {
            "show info" => "Name: HAProxy\nVersion: 2.6.12\nPid: 7\nUptime_sec: 9\nStopping: 0\n\
                            Start_time_sec: 1700000000\n"
                .to_owned(),
            "get var proc.synapse_rev" if revision.is_empty() => "Variable not found.\n".to_owned(),
            "get var proc.synapse_rev" => format!("proc.synapse_rev: type=str value=<{revision}>"),
            "show cli level" => "admin\n".to_owned(),
            "show servers state" => SERVERS.to_owned(),
            "show stat -1 4 -1" => STAT.to_owned(),
            _ => String::new(),
        })
    });
    let place = Place::new(&document(vec![]));
    let mut live = place.live(&[&fake]);
    changed(&mut live, &document(vec![])).await;
    let error = live.apply(&document(vec![server("a", 1, 1, "")])).await.unwrap_err();
    assert!(matches!(error.causes(), [Cause::Interrupted]), "{error:?}");
    assert_eq!(place.reloads(), 1);
}

#[tokio::test]
async fn a_command_that_is_answered_with_something_new_is_not_believed() {
    let fake = process(&Says::new(7), |command| {
        Does::Says(if command.starts_with("add server") { "Maybe." } else { "" }.to_owned())
    });
    let place = Place::new(&document(vec![]));
    let mut live = place.live(&[&fake]);
    changed(&mut live, &document(vec![])).await;
    let error = live.apply(&document(vec![server("a", 1, 1, "")])).await.unwrap_err();
    let [Cause::Refused { command, reply }] = error.causes() else { panic!("{error:?}") };
    assert_eq!(
        (command.as_str(), reply.as_str()),
        ("add server web/a 127.0.0.1:1 id 1 pool-max-conn -1 pool-purge-delay 5s", "Maybe.")
    );
}

#[tokio::test]
async fn a_server_that_may_be_the_old_or_the_new_one_is_not_believed_by_the_next_run() {
    let says = Says::new(7);
    let fake = process(&says, |command| match command {
        add if add.starts_with("add server") => Does::Says("New server registered.".to_owned()),
        delete if delete.starts_with("del server") => Does::Hangs,
        _ => Does::Says(String::new()),
    });
    let place = Place::new(&document(vec![]));
    let mut live = place.live(&[&fake]);
    changed(&mut live, &document(vec![])).await;
    let old = document(vec![server("a", 1, 1, ""), server("b", 1, 2, "")]);
    changed(&mut live, &old).await;
    // Between the two of them, this program is killed.
    let new = document(vec![server("a", 1, 1, "inter 9s"), server("b", 1, 2, "")]);
    let mut apply = Box::pin(live.apply(&new));
    let told = async {
        while !fake.changes().iter().any(|line| line.starts_with("del server")) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        _ = &mut apply => panic!("it hangs"),
        () = told => {}
    }
    drop(apply);
    drop(live);
    let error = place.live(&[&fake]).apply(&old).await.unwrap_err();
    assert!(matches!(error.causes(), [Cause::Revision { runs: Some(_) }]), "{error:?}");
    assert_eq!(place.reloads(), 1);
}

#[tokio::test]
async fn two_processes_can_not_be_followed() {
    let (one, other) = (process(&Says::new(7), |_| Does::Hangs), process(&Says::new(8), |_| Does::Hangs));
    let place = Place::new(&document(vec![]));
    let deed = changed(&mut place.live(&[&one, &other]), &document(vec![server("a", 1, 1, "")])).await;
    assert_eq!(deed.reloaded.unwrap().causes, [Cause::Several(2)]);
    // Two ways to one are one.
    let place = Place::new(&document(vec![]));
    let again = process(&Says::new(7), |_| Does::Hangs);
    assert!(changed(&mut place.live(&[&one, &again]), &document(vec![])).await.reloaded.is_none());
}

#[tokio::test]
async fn what_is_planned_is_what_the_socket_hears() {
    let fake = process(&Says::new(7), |command| {
        Does::Says(if command.starts_with("add server") { "New server registered." } else { "" }.to_owned())
    });
    let place = Place::new(&document(vec![]));
    changed(&mut place.live(&[&fake]), &document(vec![])).await;
    // Neither questions nor the stamp.
    let told = |from: usize| {
        let mut told = fake.changes().split_off(from);
        told.retain(|line| {
            !["show ", "experimental-mode ", "set var "].iter().any(|other| line.starts_with(other))
        });
        told
    };
    let mut live = place.live(&[&fake]);
    let wanted = document(vec![server("a", 1, 1, "check"), server("b", 2, 2, "weight 3")]);
    let before = fake.changes().len();
    let preview = live.preview(&wanted).await.unwrap();
    assert_eq!(told(before), [""; 0]);
    let before = fake.changes().len();
    changed(&mut live, &wanted).await;
    assert_eq!(told(before), preview.commands);
    assert_eq!(preview.commands.len(), 5);
}

/// Backends of a server each, in this order.
fn backends(names: &[String]) -> Document {
    let mut wanted = document(vec![]);
    wanted.services = names
        .iter()
        .map(|called| {
            let mut backend = Backend::new(name(called), vec![line("balance roundrobin")]);
            backend.servers = vec![server("a", 1, 1, "")];
            Arc::new(Service::new(name(called), backend))
        })
        .collect();
    wanted
}

#[tokio::test]
async fn what_is_wrong_in_any_of_many_backends_is_put_right_together_after_one_look() {
    let names: Vec<String> = (0..300).map(|number| format!("backend-{number}")).collect();
    // HAProxy's order is its own, and others have backends, too.
    let order: Vec<String> = names.iter().rev().cloned().chain(["other".to_owned()]).collect();
    let wrong = Arc::new(Mutex::new(Vec::<String>::new()));
    let fake = Fake::process(&Says::new(7), {
        let wrong = Arc::clone(&wrong);
        move |command| {
            let mut wrong = wrong.lock().unwrap();
            Does::Says(match command {
                "show servers state" => order.iter().fold(SERVERS.to_owned(), |text, backend| {
                    let weight = if wrong.contains(backend) { 9 } else { 1 };
                    text + &format!(
                        "3 {backend} 1 a 127.0.0.1 2 0 {weight} 1 5 1 0 2 0 0 0 1 - 1 - 0 0 - - 0\n"
                    )
                }),
                "show stat -1 4 -1" => order
                    .iter()
                    .fold(STAT.to_owned(), |text, backend| text + &format!("{backend},a,0,,1,0,,2,,,\n")),
                told => {
                    wrong.retain(|backend| told != format!("set server {backend}/a weight 1"));
                    String::new()
                }
            })
        }
    });
    let wanted = backends(&names);
    let place = Place::new(&wanted);
    let mut live = place.live(&[&fake]);
    changed(&mut live, &wanted).await;
    assert_eq!(live.reconcile().await, None);

    *wrong.lock().unwrap() = [0, 1, 150, 299].map(|number| names[number].clone()).into();
    let before = fake.changes().len();
    let deed = live.reconcile().await.unwrap();
    assert_eq!((deed.repaired.len(), deed.commands, place.reloads()), (4, 4, 0));
    assert!(wrong.lock().unwrap().is_empty());
    // It is looked at twice, in case it is a change that is under way; then told, and looked at again.
    let look = ["show stat -1 4 -1".to_owned(), "show servers state".to_owned()];
    let told = [0, 1, 150, 299].map(|number| format!("set server backend-{number}/a weight 1"));
    let heard: Vec<String> = fake.changes().split_off(before);
    let heard: Vec<&String> =
        heard.iter().filter(|line| !line.contains("synapse_rev") && !line.contains("experimental")).collect();
    let expected: Vec<String> = [&look[..], &look, &told, &look].concat();
    assert_eq!(heard, expected.iter().collect::<Vec<_>>());
}

#[tokio::test]
async fn what_was_seen_of_a_process_that_is_ending_or_another_is_not_acted_on() {
    let says = Says::new(7);
    let ends = Arc::new(Mutex::new(false));
    let fake = Fake::process(&says, {
        let (says, ends) = (Arc::clone(&says), Arc::clone(&ends));
        move |command| {
            // In the middle of a look: it has not said so before.
            if command == "show servers state" && *ends.lock().unwrap() {
                says.lock().unwrap().stopping = true;
            }
            let weight = if *ends.lock().unwrap() { 9 } else { 1 };
            Does::Says(match command {
                "show servers state" => {
                    format!("{SERVERS}3 web 1 a 127.0.0.1 2 0 {weight} 1 5 1 0 2 0 0 0 1 - 1 - 0 0 - - 0\n")
                }
                "show stat -1 4 -1" => format!("{STAT}web,a,0,,1,0,,2,,,\n"),
                _ => String::new(),
            })
        }
    });
    let wanted = document(vec![server("a", 1, 1, "")]);
    let place = Place::new(&wanted);
    let mut live = place.live(&[&fake]);
    changed(&mut live, &wanted).await;
    let before = fake.changes().len();
    *ends.lock().unwrap() = true;
    assert_eq!(live.reconcile().await, None);
    let told: Vec<String> = fake.changes().split_off(before);
    assert!(told.iter().all(|line| line.starts_with("show ")), "{told:?}");
    assert_eq!(live.counters().repairs, 0);
}

/// In a container, a process that was started anew within the second in which its predecessor began has its number, too.
#[tokio::test]
async fn a_process_that_looks_like_its_predecessor_and_runs_something_else_is_not_told_what_that_one_lacked()
{
    let says = Says::new(7);
    let fake = process(&says, |command| {
        Does::Says(if command.starts_with("add server") { "New server registered." } else { "" }.to_owned())
    });
    let place = Place::new(&document(vec![]));
    let mut live = place.live(&[&fake]);
    changed(&mut live, &document(vec![])).await;
    let started_with = says.lock().unwrap().revision.clone();
    let (a, b) = (server("a", 1, 1, ""), server("b", 2, 2, ""));
    live.apply(&document(vec![a.clone()])).await.unwrap();
    says.lock().unwrap().revision = started_with;
    let from = fake.changes().len();
    live.apply(&document(vec![a, b])).await.unwrap();
    let told = fake.changes().split_off(from);
    for name in ["add server web/a ", "add server web/b "] {
        assert_eq!(told.iter().filter(|line| line.starts_with(name)).count(), 1, "{told:?}");
    }
    assert_eq!((place.reloads(), live.counters().refusals), (0, 0));
}
