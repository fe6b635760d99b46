//! What systemd is told: when the program is ready, reads its configuration again, stops, and that it is alive.
//!
//! The protocol is that of `sd_notify(3)`: lines in a datagram to the socket that `NOTIFY_SOCKET` names. Without that variable,
//! nothing is done.

use std::{
    convert::Infallible,
    ffi::OsStr,
    future::{Future, pending},
    os::unix::{
        ffi::OsStrExt as _,
        net::{SocketAddr, UnixDatagram},
    },
    sync::{Mutex, PoisonError},
    time::Duration,
};

use agent::Status;
use rustix::time::{ClockId, clock_gettime};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{debug, warn};

use crate::headline::Headline;

/// How often what `systemctl status` shows is brought up to date, at least.
const EVERY: Duration = Duration::from_secs(5);
/// How much longer a start may take, each time that it is seen to go on.
const EXTENSION: Duration = Duration::from_mins(1);
/// systemd takes its messages at once, unless it hangs itself.
const SENT_WITHIN: Duration = Duration::from_secs(1);

/// The service manager that started the program, if one did.
#[derive(Debug)]
pub(crate) struct Systemd {
    socket: Option<SocketAddr>,
    /// How long it waits for a sign of life before it restarts the program.
    watchdog: Option<Duration>,
    stage: Mutex<Stage>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Starting,
    Ready,
    Reloading,
    Stopping,
}

impl Systemd {
    /// The one that the environment tells of.
    #[expect(clippy::disallowed_methods, reason = "this is the command line")]
    pub(crate) fn from_environment() -> Self {
        let socket = std::env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty());
        let number = |name| std::env::var(name).ok()?.parse().ok();
        // Variables are inherited: those of somebody else's service name that one's process.
        let ours = number("WATCHDOG_PID").is_none_or(|id: u64| id == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|_| ours).map(Duration::from_micros);
        Self::new(socket.as_deref(), watchdog)
    }

    fn new(socket: Option<&OsStr>, watchdog: Option<Duration>) -> Self {
        let socket = socket.and_then(|socket| {
            let address = address(socket.as_bytes());
            if address.is_none() {
                warn!(?socket, "NOTIFY_SOCKET names no socket that can be used: systemd is told nothing");
            }
            address
        });
        Self { socket, watchdog, stage: Mutex::new(Stage::Starting) }
    }

    /// Tells how the agent is doing for as long as it is polled: that it is ready, as soon as an apply has been brought to its end,
    /// be it a failure; what it serves; and that it is alive, while its loop is. Cancel safe.
    pub(crate) async fn follow(&self, mut status: Status) -> Infallible {
        if self.socket.is_none() {
            return pending().await;
        }
        let mut turn = interval(self.every());
        turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut runs = true;
        loop {
            tokio::select! {
                _ = turn.tick() => {}
                more = status.changed(), if runs && self.stage() == Stage::Starting => runs = more,
            }
            let headline = Headline::of(&status);
            if headline.is_settled() {
                self.advance(Stage::Starting, Stage::Ready);
            }
            self.send(&message(self.stage(), status.is_alive(), &headline)).await;
        }
    }

    /// Tells that the configuration is read again while `work` does so, and that it is done, whatever came of it.
    pub(crate) async fn while_reloading<T>(&self, work: impl Future<Output = T>) -> T {
        // Before the first apply is done, being ready again would be too much said.
        if self.advance(Stage::Ready, Stage::Reloading) {
            let now = clock_gettime(ClockId::Monotonic);
            let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000;
            let told =
                format!("RELOADING=1\nMONOTONIC_USEC={micros}\nSTATUS=reading the configuration again\n");
            self.send(&told).await;
        }
        let done = work.await;
        if self.advance(Stage::Reloading, Stage::Ready) {
            self.send("READY=1\n").await;
        }
        done
    }

    /// Tells that the program is about to end.
    pub(crate) async fn stopping(&self) {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = Stage::Stopping;
        self.send("STOPPING=1\nSTATUS=stopping; HAProxy goes on serving\n").await;
    }

    /// Signs of life come three times as often as they must: one may be late, and one be lost.
    fn every(&self) -> Duration {
        let watchdog = self.watchdog.map(|watchdog| watchdog / 3);
        watchdog.filter(|every| !every.is_zero()).map_or(EVERY, |every| every.min(EVERY))
    }

    fn stage(&self) -> Stage {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it was in that stage before.
    fn advance(&self, from: Stage, to: Stage) -> bool {
        let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        let was = *stage == from;
        if was {
            *stage = to;
        }
        was
    }

    /// A failure to tell is no reason to do anything else worse.
    async fn send(&self, message: &str) {
        let Some(address) = &self.socket else { return };
        let sent = async {
            let socket = UnixDatagram::unbound()?;
            socket.connect_addr(address)?;
            socket.set_nonblocking(true)?;
            tokio::net::UnixDatagram::from_std(socket)?.send(message.as_bytes()).await
        };
        match timeout(SENT_WITHIN, sent).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => debug!(%error, "telling systemd"),
            Err(_) => debug!("systemd takes no message"),
        }
    }
}

/// What systemd is told in one turn. Pure.
fn message(stage: Stage, alive: bool, headline: &Headline) -> String {
    let mut lines = Vec::new();
    match stage {
        // Said again each time: it means nothing new, and the first message may have been lost.
        Stage::Ready => lines.push("READY=1".to_owned()),
        Stage::Starting if alive => {
            lines.push(format!("EXTEND_TIMEOUT_USEC={}", EXTENSION.as_micros()));
        }
        Stage::Starting | Stage::Reloading | Stage::Stopping => {}
    }
    if alive {
        lines.push("WATCHDOG=1".to_owned());
    }
    if matches!(stage, Stage::Starting | Stage::Ready) {
        lines.push(format!("STATUS={headline}"));
    }
    lines.iter().fold(String::new(), |text, line| text + line + "\n")
}

/// A path, or a name in Linux's abstract namespace, which begins with `@`.
fn address(socket: &[u8]) -> Option<SocketAddr> {
    match socket {
        [b'/', ..] => SocketAddr::from_pathname(OsStr::from_bytes(socket)).ok(),
        #[cfg(target_os = "linux")]
        [b'@', name @ ..] => {
            <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram as Socket;

    use e2e::Dir;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn manager() -> (Dir, Socket, Systemd) {
        let dir = Dir::new("systemd");
        let path = dir.join("notify");
        let socket = Socket::bind(&path).unwrap();
        socket.set_read_timeout(Some(60 * SECOND)).unwrap();
        (dir, socket, Systemd::new(Some(path.as_os_str()), None))
    }

    fn told(socket: &Socket) -> Vec<String> {
        let mut bytes = [0; 4096];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).lines().map(str::to_owned).collect()
    }

    #[tokio::test]
    async fn a_reload_is_announced_with_its_moment_and_its_end() {
        let (_dir, socket, systemd) = manager();
        systemd.advance(Stage::Starting, Stage::Ready);
        let done = systemd.while_reloading(async { told(&socket) }).await;
        assert_eq!(done[0], "RELOADING=1");
        let moment: u64 = done[1].strip_prefix("MONOTONIC_USEC=").unwrap().parse().unwrap();
        assert!(moment > 0);
        assert_eq!(told(&socket), ["READY=1"]);
    }

    #[tokio::test]
    async fn who_is_not_ready_yet_is_not_made_so_by_a_reload() {
        let (_dir, socket, systemd) = manager();
        systemd.while_reloading(async {}).await;
        systemd.stopping().await;
        assert_eq!(told(&socket)[0], "STOPPING=1");
    }

    #[tokio::test]
    async fn whoever_stops_while_it_reloads_is_not_ready_afterwards() {
        let (_dir, socket, systemd) = manager();
        systemd.advance(Stage::Starting, Stage::Ready);
        systemd.while_reloading(systemd.stopping()).await;
        assert_eq!(told(&socket)[0], "RELOADING=1");
        assert_eq!(told(&socket)[0], "STOPPING=1");
        socket.set_nonblocking(true).unwrap();
        assert!(socket.recv(&mut [0; 8]).is_err());
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn abstract_sockets_are_told_too() {
        use std::os::linux::net::SocketAddrExt as _;
        let name = format!("synapse-rs-test-{}", std::process::id());
        let socket = Socket::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        socket.set_read_timeout(Some(60 * SECOND)).unwrap();
        Systemd::new(Some(OsStr::new(&format!("@{name}"))), None).stopping().await;
        assert_eq!(told(&socket), ["STOPPING=1", "STATUS=stopping; HAProxy goes on serving"]);
    }

    #[tokio::test]
    async fn nobody_there_or_none_named_is_no_trouble() {
        for socket in [None, Some(OsStr::new("/nowhere/notify")), Some(OsStr::new("vsock:2:1"))] {
            Systemd::new(socket, None).stopping().await;
        }
    }

    #[test]
    fn signs_of_life_come_three_times_as_often_as_they_must() {
        let every = |watchdog| Systemd::new(None, watchdog).every();
        assert_eq!(every(None), EVERY);
        assert_eq!(every(Some(60 * SECOND)), EVERY);
        assert_eq!(every(Some(3 * SECOND)), SECOND);
        assert_eq!(every(Some(Duration::from_nanos(1))), EVERY);
    }

    #[test]
    fn who_hangs_gives_no_sign_of_life_and_no_stage_makes_one_up() {
        let headline = Headline::default();
        for stage in [Stage::Starting, Stage::Ready, Stage::Reloading, Stage::Stopping] {
            let alive = message(stage, true, &headline);
            assert!(alive.contains("WATCHDOG=1\n"), "{stage:?}: {alive}");
            let hung = message(stage, false, &headline);
            assert!(!hung.contains("WATCHDOG") && !hung.contains("EXTEND"), "{stage:?}: {hung}");
            assert_eq!(alive.contains("READY=1\n"), stage == Stage::Ready, "{stage:?}: {alive}");
        }
    }

    #[test]
    fn a_start_that_goes_on_is_given_time() {
        let text = message(Stage::Starting, true, &Headline::default());
        assert!(
            text.starts_with("EXTEND_TIMEOUT_USEC=60000000\nWATCHDOG=1\nSTATUS=starting with 0 services")
        );
    }
}
