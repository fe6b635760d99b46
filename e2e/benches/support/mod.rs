//! What the benchmarks have in common: samples and their tables, the program, and what it is given to do.

#![allow(dead_code, reason = "each benchmark uses its part")]

pub(crate) mod program;
pub(crate) mod services;

use std::fmt::{self, Write as _};
use std::time::Duration;

/// Whether this was started by `cargo bench`. `cargo test --all-targets` starts benchmarks too: those must end at once.
pub(crate) fn wanted() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// Repeated measurements of one thing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sample(Vec<Duration>);

impl Sample {
    pub(crate) fn add(&mut self, measured: Duration) {
        self.0.push(measured);
        self.0.sort_unstable();
    }

    /// The measurement below which `percent` of them lie; the nearest one, nothing in between.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let last = self.0.len().saturating_sub(1);
        self.0.get((last * percent + 50) / 100).copied().unwrap_or_default()
    }
}

impl fmt::Display for Sample {
    /// `min median p90 max`, in milliseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for percent in [0, 50, 90, 100] {
            write!(f, "{:9.1}", milliseconds(self.percentile(percent)))?;
        }
        Ok(())
    }
}

/// A table of samples under a title.
#[derive(Debug)]
pub(crate) struct Table(String);

impl Table {
    pub(crate) fn new(title: &str) -> Self {
        Self(format!("\n{title}\n{:<44}{:>9}{:>9}{:>9}{:>9}\n", "  ms", "min", "median", "p90", "max"))
    }

    pub(crate) fn row(&mut self, what: &str, sample: &Sample) {
        writeln!(self.0, "  {what:<42}{sample}").expect("writing to a String cannot fail");
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

pub(crate) fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
