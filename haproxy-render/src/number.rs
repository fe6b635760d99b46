//! Numbers with HAProxy's bounds.

use std::fmt;
use std::num::NonZeroU32;

use thiserror::Error;

/// The `id` of a server within its backend: 1 to 2147483647, HAProxy's own range.
///
/// Consistent hashing places a server by its id, so it has to stay the same for as long as the server lives: see
/// [`Ids`](crate::Ids).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerId(NonZeroU32);

/// The `weight` of a server: 0 to 256. 0 means "no new traffic"; HAProxy's default is 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Weight(u16);

/// A number outside of the range of a [`ServerId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("server id {0} is not between 1 and 2147483647")]
pub struct InvalidServerId(u32);

/// A number outside of the range of a [`Weight`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("weight {0} is not between 0 and 256")]
pub struct InvalidWeight(u32);

impl ServerId {
    /// The smallest id.
    pub const MIN: Self = Self(NonZeroU32::MIN);
    /// The greatest id that HAProxy takes.
    pub const MAX: Self = Self(NonZeroU32::new(i32::MAX.unsigned_abs()).expect("2147483647 is not zero"));
    /// The greatest id that [`Ids`](crate::Ids) chooses unless told otherwise: 65535, as Synapse's `max_server_id`.
    pub const DEFAULT_MAX: Self = Self(NonZeroU32::new(65_535).expect("65535 is not zero"));

    /// Checks the range.
    pub fn new(id: u32) -> Result<Self, InvalidServerId> {
        NonZeroU32::new(id).filter(|id| *id <= Self::MAX.0).map(Self).ok_or(InvalidServerId(id))
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

impl Weight {
    /// No new traffic.
    pub(crate) const ZERO: Self = Self(0);
    /// What a server has that says nothing of it.
    pub(crate) const ONE: Self = Self(1);
    /// The greatest weight that HAProxy takes.
    pub const MAX: Self = Self(256);

    /// Checks the range.
    pub fn new(weight: u32) -> Result<Self, InvalidWeight> {
        u16::try_from(weight)
            .ok()
            .map(Self)
            .filter(|weight| *weight <= Self::MAX)
            .ok_or(InvalidWeight(weight))
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Digits only: `u32::from_str` would take a `+` too.
pub(crate) fn digits(word: &str) -> Option<u32> {
    let plain = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    word.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_weights_keep_to_haproxys_ranges() {
        assert!(ServerId::new(0).is_err());
        assert_eq!(ServerId::new(2_147_483_647), Ok(ServerId::MAX));
        assert!(ServerId::new(2_147_483_648).is_err());
        assert_eq!(Weight::new(0).map(Weight::get), Ok(0));
        assert_eq!(Weight::new(256), Ok(Weight::MAX));
        assert_eq!(Weight::new(70_000).unwrap_err().to_string(), "weight 70000 is not between 0 and 256");
    }
}
