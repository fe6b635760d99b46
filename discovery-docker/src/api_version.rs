//! Versions of the Docker API.

use std::{fmt, str::FromStr};

use crate::failure::Failure;

/// `1.41`, say. Every request names one, so that a daemon that is newer than this program answers as it knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ApiVersion(u16, u16);

impl ApiVersion {
    /// The oldest that has all that is asked for: of Docker 1.12, from 2016.
    pub(crate) const OLDEST: Self = Self(1, 24);
    /// That of the models which answers are read by.
    pub(crate) const NEWEST: Self = Self(1, 53);

    /// The newest that both sides speak.
    pub(crate) fn agreed(oldest: Option<&str>, newest: Option<&str>) -> Result<Self, Failure> {
        let read = |text: &str| {
            let version: Option<Self> = text.parse().ok();
            version.ok_or_else(|| Failure::unreadable(&format!("`{text}` is no version of the API")))
        };
        let Some(newest) = newest else {
            return Err(Failure::unreadable("it does not say which versions of the API it speaks"));
        };
        let newest = read(newest)?;
        // Daemons that do not say it speak all before.
        let oldest = oldest.filter(|text| !text.is_empty()).map(read).transpose()?.unwrap_or(Self::OLDEST);
        if newest < Self::OLDEST || oldest > Self::NEWEST {
            return Err(Failure::Version { oldest, newest });
        }
        Ok(newest.min(Self::NEWEST))
    }
}

impl FromStr for ApiVersion {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (major, minor) = text.split_once('.').ok_or(())?;
        Ok(Self(major.parse().map_err(drop)?, minor.parse().map_err(drop)?))
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agreed(oldest: &str, newest: &str) -> String {
        match ApiVersion::agreed(Some(oldest), Some(newest)) {
            Ok(version) => version.to_string(),
            Err(failure) => failure.to_string(),
        }
    }

    #[test]
    fn the_newest_that_both_speak_is_spoken() {
        assert_eq!(agreed("1.12", "1.41"), "1.41");
        assert_eq!(agreed("1.44", "1.99"), "1.53");
        assert_eq!(agreed("", "1.24"), "1.24");
        assert_eq!(agreed("1.24", "2.0"), "1.53");
    }

    #[test]
    fn a_daemon_of_another_age_is_told_from_one_that_talks_nonsense() {
        let expected =
            "it speaks versions 1.9 to 1.23 of the API, none of which is spoken here (1.24 to 1.53)";
        assert_eq!(agreed("1.9", "1.23"), expected);
        assert!(agreed("1.60", "1.70").contains("1.60 to 1.70"));
        for nonsense in ["", "1", "1.x", "1.41.0", "-1.4", "99999999.1"] {
            assert!(agreed("1.12", nonsense).contains("is no version of the API"), "{nonsense}");
        }
        assert!(ApiVersion::agreed(None, None).unwrap_err().to_string().contains("does not say"));
    }
}
