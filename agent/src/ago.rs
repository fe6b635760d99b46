//! Times, as people read them.

use std::{fmt, time::Duration};

/// A duration for people: its greatest unit, and no fraction.
///
/// ```
/// use std::time::Duration;
///
/// assert_eq!(agent::Ago(Duration::from_secs(7300)).to_string(), "2 h");
/// assert_eq!(agent::Ago::seconds(0.9).to_string(), "0 s");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ago(pub Duration);

impl Ago {
    /// The same for seconds; what is no duration is none.
    pub fn seconds(seconds: f64) -> Self {
        Self(Duration::try_from_secs_f64(seconds).unwrap_or_default())
    }
}

impl fmt::Display for Ago {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let units = [(86_400, "d"), (3600, "h"), (60, "min"), (1, "s")];
        let (length, unit) = units.into_iter().find(|(length, _)| seconds >= *length).unwrap_or((1, "s"));
        write!(f, "{} {unit}", seconds / length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_one_unit() {
        let shown = |seconds: f64| Ago::seconds(seconds).to_string();
        assert_eq!(
            [shown(0.9), shown(59.9), shown(60.0), shown(7200.0), shown(200_000.0)],
            ["0 s", "59 s", "1 min", "2 h", "2 d"]
        );
        assert_eq!([shown(-1.0), shown(f64::NAN), shown(f64::INFINITY)], ["0 s"; 3]);
    }
}
