//! How likely each child is to be chosen.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::text::{SHOWN, printable};

/// The longest document of weights that is read, in bytes.
pub(super) const MAX_BYTES: usize = 1 << 16;

/// How likely each of some names is to be chosen: a map from names to whole numbers, 0 or more, at least one of them more.
///
/// Written as YAML or JSON:
///
/// ```yaml
/// primary: 90
/// canary: 10
/// ```
///
/// A name that is not in it has the weight 0. This is the document that Synapse's `s3_toggle` keeps in S3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weights(BTreeMap<String, u32>);

/// Why a text is not [`Weights`]. Printable and short.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidWeights {
    /// More than 64 KiB.
    #[error("more than {MAX_BYTES} bytes")]
    TooLong,
    /// No map from names to whole numbers.
    #[error("no map from names to whole numbers, 0 or more: {0}")]
    Syntax(String),
    /// Nothing can be chosen.
    #[error("no weight is more than 0")]
    NothingToChoose,
    /// A weight for a name that is not known.
    #[error("there is no {0:?} to choose")]
    Unknown(String),
}

impl Weights {
    /// Reads a document.
    ///
    /// # Errors
    ///
    /// Anything but a map from names to whole numbers from 0 to 4294967295, or one without a number above 0.
    ///
    /// ```
    /// use discovery_core::multi::Weights;
    ///
    /// let weights = Weights::parse("blue: 0\ngreen: 3\n")?;
    /// assert_eq!(weights.choose(&["blue", "green"], 7), Some(1));
    /// assert!(Weights::parse(r#"{"blue": 0}"#).is_err());
    /// # Ok::<(), discovery_core::multi::InvalidWeights>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self, InvalidWeights> {
        if text.len() > MAX_BYTES {
            return Err(InvalidWeights::TooLong);
        }
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let weights: BTreeMap<String, u32> = serde_saphyr::from_str(text)
            .map_err(|error| InvalidWeights::Syntax(printable(&error.to_string(), SHOWN)))?;
        if weights.values().all(|weight| *weight == 0) {
            return Err(InvalidWeights::NothingToChoose);
        }
        Ok(Self(weights))
    }

    /// The same, if it has weights for none but `names`.
    pub fn only<N: AsRef<str>>(self, names: &[N]) -> Result<Self, InvalidWeights> {
        match self.0.keys().find(|name| !names.iter().any(|known| known.as_ref() == name.as_str())) {
            Some(unknown) => Err(InvalidWeights::Unknown(printable(unknown, SHOWN))),
            None => Ok(self),
        }
    }

    /// The index of the one among `names` that `seed` falls to; `None` when none of them has a weight above 0.
    ///
    /// Of many seeds, as many fall to each name as its share of the weights. The same seed falls to the same name as long as
    /// the weights are the same, and when they change it moves only from a name whose share has shrunk, or to one whose share
    /// has grown: going from 10 to 20 of 100 keeps the first 10.
    pub fn choose<N: AsRef<str>>(&self, names: &[N], seed: u64) -> Option<usize> {
        // Weighted rendezvous hashing: each name draws a lifetime by its weight, and the shortest wins.
        let draw = |name: &str| {
            let weight = self.0.get(name).copied().filter(|weight| *weight > 0)?;
            Some(-fraction(seed, name).ln() / f64::from(weight))
        };
        let draws = names.iter().enumerate().filter_map(|(index, name)| Some((index, draw(name.as_ref())?)));
        draws.min_by(|(_, one), (_, other)| one.total_cmp(other)).map(|(index, _)| index)
    }
}

/// A number between 0 and 1, both excluded, which is always the same for the same seed and name.
fn fraction(seed: u64, name: &str) -> f64 {
    let [a, b, c, d, ..] = hash(seed.to_le_bytes().into_iter().chain(name.bytes())).to_be_bytes();
    (f64::from(u32::from_be_bytes([a, b, c, d])) + 0.5) / (f64::from(u32::MAX) + 1.0)
}

/// FNV-1a, then the last steps of MurmurHash3: the standard library's hash may change with each of its releases.
pub(super) fn hash(bytes: impl Iterator<Item = u8>) -> u64 {
    let mut hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    for factor in [0xff51_afd7_ed55_8ccd_u64, 0xc4ce_b9fe_1a85_ec53] {
        hash = (hash ^ (hash >> 33)).wrapping_mul(factor);
    }
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 3] = ["primary", "canary", "old"];

    fn weights(text: &str) -> Weights {
        Weights::parse(text).unwrap()
    }

    #[test]
    fn yaml_and_json_say_the_same() {
        assert_eq!(
            weights("primary: 90\ncanary: 10\n"),
            weights("\u{feff}{\"canary\": 10,\n\t\"primary\": 90}")
        );
    }

    #[test]
    fn what_is_no_weights_is_refused_with_a_reason() {
        for (text, reason) in [
            ("", "no weight is more than 0"),
            ("- 1", "no map"),
            ("primary: -1", "no map"),
            ("primary: 1.5", "no map"),
            ("primary: many", "no map"),
            ("primary: 1\nprimary: 2", "no map"),
            ("primary: 4294967296", "no map"),
            ("{}", "no weight is more than 0"),
            ("primary: 0\ncanary: 0", "no weight is more than 0"),
        ] {
            let error = Weights::parse(text).expect_err(text).to_string();
            assert!(error.starts_with(reason) && !error.contains('\n'), "{text:?}: {error}");
        }
        assert_eq!(Weights::parse(&" ".repeat(MAX_BYTES + 1)), Err(InvalidWeights::TooLong));
        let unknown = weights("primary: 1\ncannary: 1").only(&NAMES).unwrap_err();
        assert_eq!(unknown.to_string(), "there is no \"cannary\" to choose");
        assert!(weights("primary: 1").only(&NAMES).is_ok());
    }

    #[test]
    fn names_without_a_weight_are_never_chosen() {
        let weights = weights("primary: 0\ncanary: 1\n");
        assert!((0..1000).all(|seed| weights.choose(&NAMES, seed) == Some(1)));
        assert_eq!(weights.choose(&["primary", "old"], 1), None);
    }

    #[test]
    fn hosts_are_shared_out_by_weight() {
        let weights = weights("primary: 70\ncanary: 20\nold: 10");
        let mut counts = [0; 3];
        for seed in 0..10_000 {
            counts[weights.choose(&NAMES, seed).unwrap()] += 1;
        }
        for (count, expected) in counts.into_iter().zip([7000, 2000, 1000]) {
            assert!((expected - 200..expected + 200).contains(&count), "{counts:?}");
        }
    }

    #[test]
    fn a_growing_share_takes_hosts_and_gives_none_away() {
        let (before, after) = (weights("primary: 90\ncanary: 10"), weights("primary: 80\ncanary: 20"));
        let moved = (0..10_000).filter(|seed| {
            let (from, to) = (before.choose(&NAMES, *seed), after.choose(&NAMES, *seed));
            assert!(from == to || to == Some(1), "{seed} went from {from:?} to {to:?}");
            from != to
        });
        assert!((800..1200).contains(&moved.count()));
    }

    #[test]
    fn the_choice_of_a_seed_is_the_same_in_every_release() {
        let weights = weights("primary: 1\ncanary: 1\nold: 1");
        let chosen: Vec<_> = (0..12).map(|seed| weights.choose(&NAMES, seed).unwrap()).collect();
        assert_eq!(chosen, [0, 2, 0, 2, 2, 2, 1, 0, 0, 1, 0, 0]);
    }
}
