//! Against a scripted peer on a pipe in memory, with a clock that jumps: nothing here waits.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
    time::{Instant, sleep, timeout},
};

use super::*;

const LIMIT: u64 = 64 * 1024 * 1024;

/// What the peer does, in order.
enum Does {
    /// Says this.
    Says(&'static str),
    /// Says so many `x`.
    Shouts(usize),
    /// Waits.
    Waits(Duration),
    /// Goes on only when it has heard so many bytes in all.
    Hears(usize),
}

use Does::{Hears, Says, Shouts, Waits};

/// Plays the script, or as much of it as somebody listens to, and closes. Returns what it has heard.
async fn play(mut stream: DuplexStream, script: Vec<Does>) -> String {
    let mut heard = Vec::new();
    for step in script {
        match step {
            Says(text) if stream.write_all(text.as_bytes()).await.is_err() => break,
            Shouts(count) if stream.write_all(&vec![b'x'; count]).await.is_err() => break,
            Says(_) | Shouts(_) => {}
            Waits(pause) => sleep(pause).await,
            Hears(count) => {
                while heard.len() < count {
                    assert_ne!(stream.read_buf(&mut heard).await.unwrap(), 0, "more was to come");
                }
            }
        }
    }
    String::from_utf8(heard).unwrap()
}

fn commands<const N: usize>(texts: [&str; N]) -> Vec<CommandLine> {
    texts.map(|text| CommandLine::parse(text).unwrap()).to_vec()
}

/// Asks `texts`, at most for `deadline`, reading at most `limit` bytes; `None` at the deadline.
async fn ask_within<const N: usize>(
    texts: [&str; N],
    script: Vec<Does>,
    (deadline, limit): (Duration, u64),
) -> (Option<Result<Vec<Reply>, SocketFault>>, Progress) {
    let (near, far) = duplex(64);
    let peer = tokio::spawn(play(far, [Hears(1)].into_iter().chain(script).collect()));
    let mut progress = Progress::default();
    let mut session = Session::new(Box::new(near), limit, &mut progress);
    let result = timeout(deadline, session.ask(&commands(texts), 1_000, Then::Quit)).await.ok();
    drop(session);
    peer.await.unwrap();
    (result, progress)
}

async fn ask<const N: usize>(texts: [&str; N], script: Vec<Does>) -> Result<Vec<Reply>, SocketFault> {
    ask_within(texts, script, (Duration::from_mins(1), LIMIT)).await.0.expect("an end within a minute")
}

async fn texts<const N: usize>(commands: [&str; N], script: Vec<Does>) -> Vec<String> {
    ask(commands, script).await.unwrap().iter().map(|reply| reply.text().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn replies_are_told_apart_on_every_version() {
    // Up to 2.8 an error ends with one line feed, from 3.0 on with two.
    for script in ["\n> \n> first\n> \n> a\nb\n\n> ", "\n> \n> first\n\n> \n> a\nb\n\n> "] {
        assert_eq!(texts(["one", "two", "three"], vec![Says(script)]).await, ["first", "", "a\nb"]);
    }
}

#[tokio::test(start_paused = true)]
async fn commands_go_out_together_and_quit_is_the_last() {
    let (near, far) = duplex(64);
    let (first, second) = ("prompt\nset severity-output none\na\nbb\n", "ccc\nquit\n");
    let script = vec![
        Hears(first.len()),
        Says("\n> \n> \n> \n> "),
        Hears(first.len() + second.len()),
        Says("c\n\n> "),
    ];
    let peer = tokio::spawn(play(far, script));
    let mut progress = Progress::default();
    let mut session = Session::new(Box::new(near), LIMIT, &mut progress);
    assert_eq!(session.ask(&commands(["a", "bb"]), 100, Then::More).await.unwrap().len(), 2);
    assert_eq!(session.ask(&commands(["ccc"]), 100, Then::Quit).await.unwrap(), [Reply::new("c")]);
    assert_eq!(peer.await.unwrap(), format!("{first}{second}"));
}

#[tokio::test(start_paused = true)]
async fn a_prompt_may_come_in_pieces() {
    let whole = "\n> \n> first\n> \n> last > one\n>not yet\n\n> ";
    for cut in 1..whole.len() {
        let (head, tail) = whole.split_at(cut);
        let script = vec![Says(head), Waits(Duration::from_millis(1)), Says(tail)];
        let expected = ["first", "", "last > one\n>not yet"];
        assert_eq!(texts(["a", "b", "c"], script).await, expected, "cut at {cut}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_listens_only_while_it_is_listened_to_is_no_deadlock() {
    let (near, mut far) = duplex(64);
    let peer = tokio::spawn(async move {
        let mut line = String::new();
        loop {
            match far.read_u8().await.unwrap() {
                b'\n' if line == "quit" => return,
                b'\n' if GREETING.contains(&line) => far.write_all(b"\n> ").await.unwrap(),
                b'\n' => far.write_all(format!("{line}\n\n> ").as_bytes()).await.unwrap(),
                other => {
                    line.push(char::from(other));
                    continue;
                }
            }
            line.clear();
        }
    });
    let many: Vec<_> =
        (0..500).map(|n| CommandLine::parse(&format!("command number {n}")).unwrap()).collect();
    let mut progress = Progress::default();
    let mut session = Session::new(Box::new(near), LIMIT, &mut progress);
    let replies = timeout(Duration::from_mins(1), session.ask(&many, 100, Then::Quit)).await;
    let replies = replies.expect("no deadlock").unwrap();
    peer.await.unwrap();
    assert_eq!(replies.len(), 500);
    assert!(replies.iter().zip(&many).all(|(reply, command)| reply.text() == command.as_str()));
}

#[tokio::test(start_paused = true)]
async fn a_huge_reply_is_cut_and_the_next_one_is_whole() {
    let script = vec![Says("\n> \n> "), Shouts(5_000), Says("\n"), Shouts(5_000), Says("\n\n> small\n\n> ")];
    let replies = ask(["huge", "small"], script).await.unwrap();
    assert!(replies[0].is_cut() && replies[0].text().len() <= 1_000);
    assert_eq!(replies[1], Reply::new("small"));
}

#[tokio::test(start_paused = true)]
async fn a_line_without_end_is_garbage() {
    let result = ask(["a"], vec![Says("\n> \n> "), Shouts(1_000_000)]).await;
    let Err(SocketFault::Garbage { excerpt }) = result else { panic!("{result:?}") };
    assert!(excerpt.starts_with("xxx") && excerpt.len() < 300, "{excerpt}");
}

#[tokio::test(start_paused = true)]
async fn what_is_read_is_bounded() {
    let script = vec![Says("\n> \n> "), Shouts(50), Says("\n"), Shouts(50), Says("\n")];
    let (result, _) = ask_within(["a"], script, (Duration::from_mins(1), 100)).await;
    assert!(matches!(result, Some(Err(SocketFault::TooMuch { limit: 100 }))), "{result:?}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_speaks_otherwise_is_garbage() {
    for greeting in ["HTTP/1.1 400 Bad request\r\n", "220 mail\n> ", "\u{1b}[2J\n"] {
        let result = ask(["a"], vec![Says(greeting)]).await;
        let Err(SocketFault::Garbage { excerpt }) = result else { panic!("{greeting:?}: {result:?}") };
        assert!(!excerpt.contains(char::is_control) && !excerpt.is_empty(), "{excerpt:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_not_text_are_replaced() {
    let (near, mut far) = duplex(64);
    far.write_all(b"\n> \n> a\xffb\n\n> ").await.unwrap();
    let mut progress = Progress::default();
    let mut session = Session::new(Box::new(near), LIMIT, &mut progress);
    let replies = session.ask(&commands(["a"]), 100, Then::More).await.unwrap();
    assert_eq!(replies[0].text(), "a\u{fffd}b");
}

#[tokio::test(start_paused = true)]
async fn more_replies_than_commands_are_garbage() {
    for script in ["\n> \n> one\n\n> two\n\n> ", "\n> \n> one\n\n> ?"] {
        let result = ask(["a"], vec![Says(script)]).await;
        assert!(matches!(result, Err(SocketFault::Garbage { .. })), "{result:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_master_is_recognised() {
    for prompt in ["master> Pid: 3\n\nmaster> ", "master[ReloadFailed]> Pid: 3\n\nmaster[ReloadFailed]> "] {
        let result = ask(["show info"], vec![Says(prompt)]).await;
        assert!(matches!(result, Err(SocketFault::Master)), "{result:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_ends_early_tells_how_far_it_came() {
    for (script, answered) in
        [("", 0), ("\n> ", 0), ("\n> \n> ", 0), ("\n> \n> one\n\n> tw", 1), ("\n> \n> one\n\n> two\n", 1)]
    {
        let (result, progress) =
            ask_within(["one", "two"], vec![Says(script)], (Duration::from_mins(1), LIMIT)).await;
        let Some(Err(SocketFault::Closed { answered: seen, sent: 2, .. })) = result else {
            panic!("{script:?}: {result:?}")
        };
        assert_eq!(seen, answered, "{script:?}");
        assert_eq!((progress.answered, progress.heard), (answered, !script.is_empty()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_peer_has_all_the_time_that_its_caller_gives() {
    let pause = Duration::from_secs(2);
    let slow = || vec![Says("\n> \n> "), Waits(pause), Says("one\n\n> "), Waits(pause), Says("\n> ")];
    let started = Instant::now();
    assert_eq!(ask(["one", "two"], slow()).await.unwrap().len(), 2);
    assert_eq!(started.elapsed(), pause * 2);

    // Cut off by the caller, it still tells how far it came.
    let (result, progress) = ask_within(["one", "two"], slow(), (Duration::from_secs(3), LIMIT)).await;
    assert!(result.is_none());
    assert_eq!((progress.sent, progress.answered, progress.heard), (2, 1, true));
}

#[tokio::test(start_paused = true)]
async fn whatever_is_said_ends_in_a_result() {
    // Made of what has a meaning here, so that most of it goes deep.
    let pieces: [&[u8]; 9] = [b"\n", b"> ", b">", b" ", b"master", b"\xff\xfe", b"\0", b"Pid: 1", b"\n> "];
    let mut random = fastrand::Rng::with_seed(7);
    for round in 0..2_000 {
        let said: Vec<u8> =
            (0..random.usize(..40)).flat_map(|_| pieces[random.usize(..pieces.len())]).copied().collect();
        let (near, mut far) = duplex(4_096);
        far.write_all(&said).await.unwrap();
        drop(far);
        let mut progress = Progress::default();
        let mut session = Session::new(Box::new(near), LIMIT, &mut progress);
        let asked = commands(["a", "b", "c"]);
        let result = timeout(Duration::from_mins(1), session.ask(&asked, 100, Then::Quit)).await;
        let result = result.unwrap_or_else(|_| panic!("round {round} hangs: {said:?}"));
        drop(session);
        assert!(result.is_err() || progress.answered == 3, "{said:?}");
    }
}
