//! The checks that every watcher must pass.
//!
//! Say how to play with your source by implementing [`Subject`], and call [`assert_conforms`] in a test:
//!
//! ```
//! use async_trait::async_trait;
//! use discovery_core::{Endpoint, Fixed, testing::conformance::{Subject, assert_conforms}};
//!
//! struct MySource(Vec<Endpoint>);
//!
//! #[async_trait]
//! impl Subject for MySource {
//!     type Watcher = Fixed;
//!
//!     async fn watcher(&mut self) -> Fixed {
//!         Fixed::new(self.0.iter().cloned().collect())
//!     }
//!
//!     async fn set(&mut self, endpoints: &[Endpoint]) {
//!         self.0 = endpoints.to_vec();
//!     }
//!
//!     fn changes(&self) -> bool {
//!         false // What a `Fixed` says is settled when it is made.
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! assert_conforms(&mut MySource(Vec::new())).await;
//! # }
//! ```
//!
//! It runs in real time, for a source that is a server, and with tokio's clock paused, for one that is not.

mod check;

use std::{fmt, time::Duration};

use async_trait::async_trait;

use crate::{endpoint::Endpoint, watcher::Watcher};

use check::Bench;

/// A source to examine watchers with: what a test can do to it.
///
/// Only the first two methods must be written. A check that needs what the others can't do is skipped.
#[async_trait]
pub trait Subject: Send {
    /// What is examined.
    type Watcher: Watcher;

    /// A new watcher of the source as it is now. Earlier ones are dropped, but may still be there.
    async fn watcher(&mut self) -> Self::Watcher;

    /// Makes the source hold exactly these endpoints, which replaces everything, also what [`corrupt`](Self::corrupt) added.
    /// They come from [`endpoint`](Self::endpoint) and [`altered`](Self::altered).
    ///
    /// Returns once whoever asks the source is told so. While the source is down or frozen it may take effect later, at the
    /// latest when `come_back` or `thaw` returns. It need not be one step: endpoints may come and go one by one; but one
    /// that is there before and after must be there all the time.
    async fn set(&mut self, endpoints: &[Endpoint]);

    /// The endpoint with this number, as the source can hold it: another key for each number. The default is
    /// `10.0.0.NUMBER:8080`.
    fn endpoint(&self, number: u8) -> Endpoint {
        let host = std::net::IpAddr::from([10, 0, 0, number]).try_into();
        Endpoint::new(host.expect("10.0.0.0/24 is not the unspecified address"), 8080).expect("8080 is not 0")
    }

    /// The same endpoint by key, and different in something; `None` when the source holds nothing but keys. The default
    /// has the weight 7.
    fn altered(&self, endpoint: &Endpoint) -> Option<Endpoint> {
        Some(endpoint.clone().with_weight(Some(7)))
    }

    /// Whether [`set`](Self::set) has an effect on watchers that exist. The default is yes.
    fn changes(&self) -> bool {
        true
    }

    /// Adds one entry that can be read and cannot be parsed, beside what the source holds. The default returns false: the
    /// source can't hold such a thing.
    async fn corrupt(&mut self) -> bool {
        false
    }

    /// Makes the source impossible to read: deleted, stopped, unreachable. The default returns false: it can't be made so.
    async fn go_down(&mut self) -> bool {
        false
    }

    /// Ends what [`go_down`](Self::go_down) began. Called also when it is not down; then it does nothing.
    async fn come_back(&mut self) {}

    /// Makes the source answer nobody, without closing anything: a stopped process, a network that swallows packets. The
    /// default returns false: it can't be made so.
    async fn freeze(&mut self) -> bool {
        false
    }

    /// Ends what [`freeze`](Self::freeze) began. Called also when it is not frozen; then it does nothing.
    async fn thaw(&mut self) {}

    /// How long a first answer or news may take while the source is well. The default is 5 s.
    fn deadline(&self) -> Duration {
        Duration::from_secs(5)
    }

    /// How long it may take until a watcher reports that its source is down or frozen. The default is 10 s.
    fn notices_within(&self) -> Duration {
        Duration::from_secs(10)
    }
}

/// One of the rules of [`Watcher`], as it is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Check {
    /// The first answer is everything that the source holds.
    FullFirst,
    /// A source that holds nobody is an empty answer, first and later.
    EmptyIsAnAnswer,
    /// What arrives, changes and leaves is told in time, and nothing is told that the source never held.
    TellsNews,
    /// After many changes in a row the last state is told, whether somebody listened meanwhile or not, and no older one
    /// after it.
    EndsBurstsRight,
    /// An entry that cannot be parsed is listed as rejected; the rest stands.
    RejectsWhatCannotBeParsed,
    /// A source that cannot be read is an error, in time, at each call and to each new watcher: never an empty or partial
    /// answer, never silence, never the end.
    FailsWhenDown,
    /// After errors the next call answers as soon as the source does, also when nothing changed.
    RecoversAfterErrors,
    /// What changed while the source was down is told afterwards, the ones who left included.
    SeesWhatItMissed,
    /// A source that keeps its connections and answers nothing is an error, in time; afterwards all is well again.
    NoticesAFrozenPeer,
    /// A call that is dropped, wherever it waits, loses nothing: neither a first answer nor news.
    LosesNothingWhenDropped,
    /// Without news it waits: it neither answers again and again nor keeps the processor busy.
    WaitsWithoutNews,
}

impl Check {
    /// All checks, in the order in which they are made.
    pub const ALL: &[Self] = &[
        Self::FullFirst,
        Self::EmptyIsAnAnswer,
        Self::TellsNews,
        Self::EndsBurstsRight,
        Self::RejectsWhatCannotBeParsed,
        Self::FailsWhenDown,
        Self::RecoversAfterErrors,
        Self::SeesWhatItMissed,
        Self::NoticesAFrozenPeer,
        Self::LosesNothingWhenDropped,
        Self::WaitsWithoutNews,
    ];
}

/// A check that a watcher did not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// Which.
    pub check: Check,
    /// What it did, or did not do.
    pub what: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.check, self.what)
    }
}

/// How an examination went.
#[derive(Debug, Clone, Default)]
pub struct Report {
    passed: Vec<Check>,
    skipped: Vec<Check>,
    failures: Vec<Failure>,
}

impl Report {
    /// The checks that were passed.
    pub fn passed(&self) -> &[Check] {
        &self.passed
    }

    /// The checks that the subject can't be put to. A test should say which it expects here: an empty list is best.
    pub fn skipped(&self) -> &[Check] {
        &self.skipped
    }

    /// The checks that were not passed.
    pub fn failures(&self) -> &[Failure] {
        &self.failures
    }
}

/// Puts watchers of `subject` to all checks, one after another. Takes as long as the source does: with the defaults of
/// [`Subject`] at most some minutes, for a watcher that fails everything by silence.
pub async fn examine<S: Subject>(subject: &mut S) -> Report {
    let mut report = Report::default();
    for &check in Check::ALL {
        let outcome = Bench::new(subject).run(check).await;
        subject.thaw().await;
        subject.come_back().await;
        match outcome {
            Ok(true) => report.passed.push(check),
            Ok(false) => report.skipped.push(check),
            Err(what) => report.failures.push(Failure { check, what }),
        }
    }
    report
}

/// [`examine`], for a test.
///
/// # Panics
///
/// When a check is not passed, with all of them in the message.
pub async fn assert_conforms<S: Subject>(subject: &mut S) -> Report {
    let report = examine(subject).await;
    let failures: Vec<_> = report.failures.iter().map(|failure| format!("\n- {failure}")).collect();
    assert!(failures.is_empty(), "the watcher breaks rules of its trait:{}", failures.concat());
    report
}
