//! Asking and reading back.

use std::sync::{Arc, Mutex};

use haproxy_runtime::{CommandLine, Level, Limits, Outcome, Reply, Socket, SocketFault, Sockets};
use tokio::net::TcpListener;

use crate::fake::{Does, Fake, Says, line, talk};

#[tokio::test]
async fn a_process_tells_who_it_is() {
    let says = Says::new(7);
    says.lock().unwrap().revision = Some("r1".to_owned());
    says.lock().unwrap().stopping = true;
    let fake = Fake::process(&says, |_| Does::Hangs);
    let process = fake.socket().process().await.unwrap();
    assert_eq!((process.identity.pid, process.identity.started), (7, 1_700_000_000));
    assert_eq!(process.revision.unwrap().as_str(), "r1");
    assert_eq!((process.version.as_str(), process.level, process.stopping), ("2.6.12", Level::Admin, true));
    assert_eq!(process.uptime.as_secs(), 9);
}

#[tokio::test]
async fn replies_come_in_order_whatever_they_say() {
    let fake = Fake::start(|command| {
        Does::Says(match command {
            "one" => "1\n".to_owned(),
            "two" => String::new(),
            other => format!("Unknown command: '{other}'\n  help\n"),
        })
    });
    let replies = fake.socket().ask(&[line("one"), line("two"), line("three")]).await.unwrap();
    let texts: Vec<_> = replies.iter().map(Reply::text).collect();
    assert_eq!(texts, ["1", "", "Unknown command: 'three'\n  help"]);
    assert_eq!(fake.heard(), ["prompt", "set severity-output none", "one", "two", "three", "quit", "closed"]);
}

#[tokio::test]
async fn a_socket_may_be_reached_by_tcp() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let socket = Socket::new(listener.local_addr().unwrap().into());
    let serve = async {
        let (stream, _) = listener.accept().await.unwrap();
        talk(stream, &mut |command: &str| Does::Says(format!("{command}!\n")), &Mutex::default()).await
    };
    let command = [line("one")];
    let (replies, served) = tokio::join!(socket.ask(&command), serve);
    assert_eq!(replies.unwrap(), [Reply::new("one!")]);
    served.unwrap();
}

#[tokio::test]
async fn a_read_back_is_handed_over_line_by_line() {
    const SERVERS: usize = 100_000;
    let fake = Fake::process(&Says::new(7), |command| match command {
        "show servers state" => {
            let row = "3 web 1 web-1 10.0.0.1 2 0 1 1 2 1 0 2 0 0 0 1 - 80 - 0 0 - - 0\n";
            Does::Says(format!("1\n# be_id be_name\n{}", row.repeat(SERVERS)))
        }
        _ => Does::Says("# pxname,svname\nweb,web-1\n".to_owned()),
    });
    let (mut rows, mut stat) = (0, Vec::new());
    let process = fake
        .socket()
        .read(&[CommandLine::servers_state(), CommandLine::server_stat()], |command, line| match command {
            0 => rows += usize::from(line.starts_with("3 web")),
            _ => stat.push(line.to_owned()),
        })
        .await
        .unwrap();
    assert_eq!((process.identity.pid, rows), (7, SERVERS));
    assert_eq!(stat, ["# pxname,svname", "web,web-1"]);
}

#[tokio::test]
async fn a_read_back_from_a_process_that_is_ending_is_none() {
    let says = Says::new(7);
    let ending = Arc::clone(&says);
    let fake = Fake::process(&says, move |_| {
        ending.lock().unwrap().stopping = true;
        Does::Says("1\n".to_owned())
    });
    // Once it ends after the first question, once before.
    for _ in 0..2 {
        let error = fake.socket().read(&[CommandLine::servers_state()], |_, _| {}).await.unwrap_err();
        assert!(matches!(error.fault(), SocketFault::Stopping { process } if process.pid == 7));
        assert_eq!(error.outcome(), Outcome::Nothing);
    }
}

#[tokio::test]
async fn a_read_back_is_bounded() {
    let fake = Fake::process(&Says::new(7), |_| Does::Says("row\n".repeat(100_000)));
    let socket = fake.with(|limits| limits.bytes = 100_000);
    let error = socket.read(&[CommandLine::servers_state()], |_, _| {}).await.unwrap_err();
    assert!(matches!(error.fault(), SocketFault::TooMuch { limit: 100_000 }));
}

#[tokio::test]
async fn sockets_of_one_process_count_once_with_the_highest_level() {
    let (says, same, other) = (Says::new(7), Says::new(7), Says::new(8));
    says.lock().unwrap().level = "operator";
    let fakes = [&says, &same, &other].map(|says| Fake::process(says, |_| Does::Hangs));
    let paths: Vec<_> = fakes.iter().map(|fake| fake.path().to_str().unwrap().to_owned()).collect();
    let nobody = "/nonexistent/admin.sock";
    let list = paths.iter().map(String::as_str).chain([nobody, paths[2].as_str()]);
    let sockets = Sockets::parse(list, Limits::default()).unwrap();
    assert_eq!(sockets.iter().count(), 4, "one is named twice");

    let survey = sockets.survey().await;
    let reached: Vec<_> =
        survey.reached.iter().map(|(socket, process)| (socket.address(), process.identity.pid)).collect();
    assert_eq!(reached, [(&fakes[1].address(), 7), (&fakes[2].address(), 8)]);
    assert!(
        matches!(survey.failed.as_slice(), [error] if error.address().path().unwrap().to_str() == Some(nobody))
    );
}

#[test]
fn a_list_without_sockets_is_none() {
    assert!(Sockets::parse([], Limits::default()).is_err());
    assert!(Sockets::parse(["/run/a.sock", "host:1"], Limits::default()).is_err());
}
