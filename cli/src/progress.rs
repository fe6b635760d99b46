//! A line on a terminal while answers are waited for.

use std::{
    future::Future,
    io::{IsTerminal, Stderr, Write},
    pin::pin,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use agent::Status;
use tokio::time::{Instant, interval_at};

use crate::headline::listed;

/// Before that, nothing is shown: most answers are there by then, and a line that flashes is noise.
const PATIENCE: Duration = Duration::from_millis(400);
const EVERY: Duration = Duration::from_millis(200);
/// Of a terminal that does not say how wide it is.
const WIDTH: usize = 80;
/// To the beginning of the line, and empty it.
const CLEAR: &[u8] = b"\r\x1b[2K";

/// Whether standard error ends with such a line. One for the process, as standard error is.
static SHOWN: AtomicBool = AtomicBool::new(false);

/// Standard error for those who write lines to it, log lines above all: what progress has left there gives way.
#[derive(Debug)]
pub(crate) struct Lines(Stderr);

impl Lines {
    pub(crate) fn new() -> Self {
        Self(std::io::stderr())
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut out = self.0.lock();
        if SHOWN.swap(false, Ordering::Relaxed) {
            out.write_all(CLEAR)?;
        }
        out.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

/// Does `work`, and shows meanwhile, if standard error is a terminal, for which of its services it waits.
pub(crate) async fn shown<T>(status: &Status, work: impl Future<Output = T>) -> T {
    if !is_for_somebody() {
        return work.await;
    }
    let _line = Line;
    let mut work = pin!(work);
    let began = Instant::now();
    let mut turn = interval_at(began + PATIENCE, EVERY);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            _ = turn.tick() => show(&waiting(status), began.elapsed()),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the command line")]
fn is_for_somebody() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("TERM").is_some_and(|term| term != "dumb")
}

/// The services without an answer.
fn waiting(status: &Status) -> (usize, Vec<String>) {
    let services = status.services();
    let silent = services.iter().filter(|service| service.snapshot.is_none());
    (services.len(), silent.map(|service| service.service.clone()).collect())
}

fn show((services, silent): &(usize, Vec<String>), waited: Duration) {
    let size = rustix::termios::tcgetwinsize(std::io::stderr()).ok();
    // A terminal that does not know its width says 0.
    let width = size.map(|size| usize::from(size.ws_col)).filter(|width| *width > 0).unwrap_or(WIDTH);
    let line = line(*services, silent, waited, width);
    let mut out = std::io::stderr().lock();
    if SHOWN.swap(!line.is_empty(), Ordering::Relaxed) || !line.is_empty() {
        // Nobody to show it to is no failure.
        let _ = out.write_all(CLEAR).and_then(|()| out.write_all(line.as_bytes())).and_then(|()| out.flush());
    }
}

/// Nothing, where nothing is waited for. Never as wide as the terminal: a line that wraps can't be taken back.
fn line(services: usize, silent: &[String], waited: Duration, width: usize) -> String {
    if silent.is_empty() {
        return String::new();
    }
    let (answered, seconds) = (services - silent.len(), waited.as_secs());
    let mut line = format!("{answered} of {services} services have answered, {seconds} s");
    // Writing to a string does not fail.
    let _ = listed(&mut line, "waiting for", silent);
    line.chars().take(width.saturating_sub(1)).collect()
}

/// What is shown is taken back at the end, however it comes.
struct Line;

impl Drop for Line {
    fn drop(&mut self) {
        let mut out = std::io::stderr().lock();
        if SHOWN.swap(false, Ordering::Relaxed) {
            let _ = out.write_all(CLEAR).and_then(|()| out.flush());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAITED: Duration = Duration::from_millis(4900);

    #[test]
    fn it_says_who_is_waited_for() {
        let silent = ["web".to_owned(), "api".to_owned()];
        assert_eq!(line(5, &silent, WAITED, 80), "3 of 5 services have answered, 4 s; waiting for web, api");
    }

    #[test]
    fn it_is_narrower_than_the_terminal() {
        let silent = ["web".repeat(100)];
        assert_eq!(line(5, &silent, WAITED, 20), "4 of 5 services hav");
        assert_eq!(line(5, &silent, WAITED, 0), "");
    }

    #[test]
    fn when_nobody_is_waited_for_there_is_no_line() {
        assert_eq!(line(5, &[], WAITED, 80), "");
    }
}
