//! Spans of time as configurations write them.

use std::time::Duration;

use serde::Deserialize;

/// A span of time as it is written in a configuration: a number of seconds, fractions too, 0 or more.
///
/// What is less than nothing, no number, or more than a [`Duration`] can hold (some 500 billion years) is an error when it is
/// read. Which spans make sense is for whoever reads the section to say.
///
/// ```
/// use std::time::Duration;
///
/// use discovery_core::Seconds;
///
/// let written: Option<Seconds> = serde_json::from_str("1.5")?;
/// assert_eq!(written.map(Seconds::get), Some(Duration::from_millis(1500)));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "f64")]
#[cfg_attr(feature = "schema", schemars(into = "f64"))]
#[cfg_attr(feature = "schema", schemars(inline, extend("minimum" = 0)))]
pub struct Seconds(Duration);

impl Seconds {
    /// The span.
    pub fn get(self) -> Duration {
        self.0
    }
}

impl TryFrom<f64> for Seconds {
    type Error = &'static str;

    fn try_from(seconds: f64) -> Result<Self, Self::Error> {
        Duration::try_from_secs_f64(seconds).map(Self).map_err(|_| "not a number of seconds, 0 or more")
    }
}

/// How often a source is asked, as it is written in a configuration: more than 0 s, and at most a day.
///
/// ```
/// use std::time::Duration;
///
/// use discovery_core::Interval;
///
/// let written: Interval = serde_json::from_str("15")?;
/// assert_eq!(written.get(), Duration::from_secs(15));
/// assert!(serde_json::from_str::<Interval>("0").is_err());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "Seconds")]
pub struct Interval(Duration);

impl Interval {
    /// The longest.
    pub const MAX: Duration = Duration::from_hours(24);

    /// The span.
    pub fn get(self) -> Duration {
        self.0
    }
}

impl TryFrom<Seconds> for Interval {
    type Error = &'static str;

    fn try_from(seconds: Seconds) -> Result<Self, Self::Error> {
        let every = seconds.get();
        let sensible = !every.is_zero() && every <= Self::MAX;
        if sensible { Ok(Self(every)) } else { Err("expected more than 0 s, and at most 86400 s") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Duration, String> {
        serde_json::from_str(json).map(Seconds::get).map_err(|error| error.to_string())
    }

    #[test]
    fn whole_numbers_and_fractions_are_seconds() {
        for (json, millis) in [("0", 0), ("15", 15_000), ("0.25", 250), ("1e2", 100_000)] {
            assert_eq!(read(json), Ok(Duration::from_millis(millis)), "{json}");
        }
    }

    #[test]
    fn an_interval_is_neither_nothing_nor_more_than_a_day() {
        let read =
            |json: &str| serde_json::from_str(json).map(Interval::get).map_err(|error| error.to_string());
        assert_eq!(read("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(read("86400"), Ok(Interval::MAX));
        for json in ["0", "86400.5"] {
            assert!(
                read(json).unwrap_err().contains("expected more than 0 s, and at most 86400 s"),
                "{json}"
            );
        }
    }

    #[test]
    fn what_is_no_span_of_time_is_refused() {
        for json in ["-1", "-0.001", "1e300"] {
            assert!(read(json).unwrap_err().contains("not a number of seconds"), "{json}");
        }
        assert!(read(r#""5s""#).is_err());
        assert!(Seconds::try_from(f64::NAN).is_err());
    }
}
