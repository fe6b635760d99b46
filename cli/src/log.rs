//! Logging, to standard error.

use std::{borrow::Cow, fmt};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{
    EnvFilter,
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

use crate::{
    args::{Format, Log},
    progress::Lines,
};

/// Starts logging. A filter that can't be read logs everything from `info` up, and says so.
pub(crate) fn start(log: &Log) {
    let (filter, wrong) = match log.filter.as_deref().map(EnvFilter::try_new) {
        Some(Ok(filter)) => (filter, None),
        Some(Err(error)) => (EnvFilter::new("info"), Some(error)),
        // As Synapse: any value of DEBUG, even an empty one.
        None if set("DEBUG") => (EnvFilter::new("debug"), None),
        None => (EnvFilter::new("info"), None),
    };
    let start = tracing_subscriber::fmt().with_env_filter(filter).with_writer(Lines::new);
    match (log.format, is_journal()) {
        (Format::Human, false) => {
            let colours = anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never;
            start.with_ansi(colours).with_target(false).init();
        }
        // The journal has the moment of each line.
        (Format::Human, true) => {
            start.with_ansi(false).with_target(false).without_time().map_event_format(Marking).init();
        }
        (Format::Json, false) => start.json().flatten_event(true).init(),
        (Format::Json, true) => start.json().flatten_event(true).map_event_format(Marking).init(),
    }
    if let Some(error) = wrong {
        tracing::warn!(%error, "the log filter can't be read: logging from info up");
    }
}

/// The last words of the program, for standard error, each line marked as an error if that is the journal.
pub(crate) fn last_words(text: &str) -> Cow<'_, str> {
    if is_journal() { marked(Level::ERROR, text).into() } else { text.into() }
}

/// Writes events as the inner one does, each line marked for the journal.
struct Marking<F>(F);

impl<S, N, F> FormatEvent<S, N> for Marking<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut text = String::new();
        self.0.format_event(context, Writer::new(&mut text), event)?;
        writeln!(writer, "{}", marked(*event.metadata().level(), &text))
    }
}

/// Each line with the priority that `sd-daemon(3)` has for the level, and without an end of the last one.
fn marked(level: Level, text: &str) -> String {
    let priority = match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    };
    text.lines().map(|line| format!("<{priority}>{line}")).collect::<Vec<_>>().join("\n")
}

/// Whether standard error is systemd's journal. `JOURNAL_STREAM` alone says little: it is inherited by those whose standard error
/// leads elsewhere, so it names the stream by device and inode.
#[expect(clippy::disallowed_methods, reason = "this is the command line")]
fn is_journal() -> bool {
    let Ok(named) = std::env::var("JOURNAL_STREAM") else { return false };
    rustix::fs::fstat(std::io::stderr())
        .is_ok_and(|found| named == format!("{}:{}", found.st_dev, found.st_ino))
}

#[expect(clippy::disallowed_methods, reason = "this is the command line")]
fn set(name: &str) -> bool {
    std::env::var_os(name).is_some()
}
