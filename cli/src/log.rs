//! Logging, to standard error.

use std::{borrow::Cow, fmt};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{
    EnvFilter,
    filter::{LevelFilter, ParseError},
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

use crate::{
    args::{Format, Log},
    progress::Lines,
};

/// Starts logging. A filter that can't be read logs everything from `info` up, and says so.
pub(crate) fn start(log: &Log) {
    // As Synapse: any value of DEBUG, even an empty one.
    let unless_said = if set("DEBUG") { "debug" } else { "info" };
    let (filter, wrong) = match filter(log.filter.as_deref().unwrap_or(unless_said)) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new("info"), Some(error)),
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

/// What is logged. Below `info` the AWS SDK names ids of keys and the session with an instance's metadata: who wants that asks for it by a
/// target's name, and nobody gets it with all the rest.
fn filter(text: &str) -> Result<EnvFilter, ParseError> {
    let filter = EnvFilter::try_new(text)?;
    let is_quiet = filter.max_level_hint().is_some_and(|most| most <= LevelFilter::INFO);
    if is_quiet || text.contains("aws_") {
        Ok(filter)
    } else {
        EnvFilter::try_new(format!("{text},aws_=info"))
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

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        sync::{Arc, Mutex},
    };

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What is written of three lines.
    fn logged(text: &str) -> Vec<&'static str> {
        let written = Written::default();
        let to = written.clone();
        let logs = tracing_subscriber::fmt()
            .with_env_filter(filter(text).unwrap())
            .with_writer(move || to.clone())
            .finish();
        tracing::subscriber::with_default(logs, || {
            tracing::debug!(target: "discovery_ec2::driver", "ours");
            tracing::info!(target: "aws_config::profile", "told");
            tracing::trace!(target: "aws_smithy_runtime::client", "session");
        });
        let written = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        ["ours", "told", "session"].into_iter().filter(|word| written.contains(word)).collect()
    }

    #[test]
    fn the_sdk_tells_its_sessions_only_to_who_asks_for_them_by_name() {
        assert_eq!(logged("trace"), ["ours", "told"]);
        assert_eq!(logged("warn,discovery_ec2=debug"), ["ours", "told"]);
        assert_eq!(logged("info"), ["told"]);
        assert_eq!(logged("error"), [""; 0]);
        assert_eq!(logged("info,aws_smithy_runtime=trace"), ["told", "session"]);
    }
}
