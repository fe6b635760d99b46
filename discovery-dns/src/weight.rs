//! What SRV records say about shares of traffic.

use crate::question::Target;

/// The largest share: HAProxy's largest weight.
const LARGEST: u32 = 256;

/// What a target gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share {
    /// Only while no target of the lowest priority can.
    pub(crate) backup: bool,
    /// `None`: all of its priority alike.
    pub(crate) weight: Option<u32>,
}

/// The share of each target, in their order.
///
/// Weights count within a priority. Those of which one is above 256 are made smaller alike. A weight of 0 among others means a very
/// small share (RFC 2782), not none: it becomes 1.
pub(crate) fn shares(targets: &[Target]) -> Vec<Share> {
    let lowest = targets.iter().map(|target| target.priority).min();
    let share = |target: &Target| {
        let alike = targets.iter().filter(|other| other.priority == target.priority);
        let most = alike.map(|other| u32::from(other.weight)).max().unwrap_or_default();
        let weight = u32::from(target.weight);
        let scaled = if most > LARGEST { weight * LARGEST / most } else { weight };
        Share { backup: Some(target.priority) != lowest, weight: (most > 0).then(|| scaled.max(1)) }
    };
    targets.iter().map(share).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(records: &[(u16, u16)]) -> Vec<(bool, Option<u32>)> {
        let target =
            |&(priority, weight): &(u16, u16)| Target { priority, weight, port: 1, host: "a.".into() };
        let targets: Vec<_> = records.iter().map(target).collect();
        shares(&targets).iter().map(|share| (share.backup, share.weight)).collect()
    }

    #[test]
    fn only_the_lowest_priority_is_no_backup() {
        let shares = of(&[(10, 1), (10, 1), (20, 1), (30, 1)]);
        assert_eq!(shares.iter().map(|share| share.0).collect::<Vec<_>>(), [false, false, true, true]);
    }

    #[test]
    fn weights_of_nothing_are_equal_shares_and_one_among_others_is_the_smallest() {
        assert_eq!(of(&[(1, 0), (1, 0)]), [(false, None), (false, None)]);
        assert_eq!(of(&[(1, 0), (1, 5)]), [(false, Some(1)), (false, Some(5))]);
    }

    #[test]
    fn large_weights_keep_their_proportions() {
        assert_eq!(
            of(&[(1, 60_000), (1, 30_000), (1, 1)]),
            [(false, Some(256)), (false, Some(128)), (false, Some(1))]
        );
    }

    #[test]
    fn weights_count_within_their_priority() {
        assert_eq!(of(&[(1, 0), (2, 65_535)]), [(false, None), (true, Some(256))]);
    }
}
