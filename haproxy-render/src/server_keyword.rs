//! The options that HAProxy's `server` line knows, by version.
//!
//! `data/server-keywords.tsv` was made from HAProxy's sources: a row for each keyword, a column for each version, empty
//! where the version lacks the keyword. A cell is `D` (may stand on `default-server`) or `-`, `R` (may stand on
//! `add server` at run time) or `-`, then the number of values, `-1` for a keyword that reads on by itself.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use crate::plan::Version;

const TABLE: &str = include_str!("../data/server-keywords.tsv");

/// Columns before this one are of versions that are too old.
const FIRST_VERSION: usize = 2;

/// The columns of the versions that a registry's options have to suit, all of them.
const SUPPORTED: [&str; 6] = ["v2.6.0", "v2.8.0", "v3.0.0", "v3.2.0", "v3.3.0", "v3.4.0"];

/// Keywords that every one of the supported versions has.
static EVERYWHERE: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    let mut rows = TABLE.lines().map(|row| row.split('\t').collect::<Vec<_>>());
    let header = rows.next().unwrap_or_default();
    let columns: Vec<usize> = (0..header.len()).filter(|&at| SUPPORTED.contains(&header[at])).collect();
    let has = |row: &[&str], at: usize| row.get(at).is_some_and(|cell| !cell.is_empty());
    rows.filter(|row| columns.iter().all(|&at| has(row, at))).map(|row| row[0]).collect()
});

/// For each version of the table, the oldest first: what `add server` takes there.
static AT_RUN_TIME: LazyLock<Vec<(Version, HashSet<&'static str>)>> = LazyLock::new(|| {
    let mut rows = TABLE.lines().map(|row| row.split('\t').collect::<Vec<_>>());
    let header = rows.next().unwrap_or_default();
    let rows: Vec<_> = rows.collect();
    let keywords = |at: usize| {
        let takes = |row: &&Vec<&'static str>| row.get(at).is_some_and(|cell| cell.get(1..2) == Some("R"));
        rows.iter().filter(takes).map(|row| row[0]).collect()
    };
    let version = |name: &str| Version::parse(name.strip_prefix('v')?).ok();
    header.iter().enumerate().filter_map(|(at, name)| Some((version(name)?, keywords(at)))).collect()
});

static VALUES: LazyLock<HashMap<&'static str, usize>> = LazyLock::new(|| {
    TABLE
        .lines()
        .skip(1)
        .filter_map(|row| {
            let cells: Vec<&str> = row.split('\t').collect();
            // The newest version decides; all that have a keyword agree on its values.
            let code = cells.iter().skip(FIRST_VERSION).rfind(|cell| !cell.is_empty())?;
            Some((cells[0], values_of(cells[0], code)))
        })
        .collect()
});

fn values_of(keyword: &str, code: &str) -> usize {
    match keyword {
        // These read their values themselves, which the table's code does not show.
        "usesrc" | "set-proxy-v2-tlv-fmt" => 1,
        // `source` (-1) has an address; `usesrc` and `interface`, which may follow, are seen to where words are grouped.
        _ => match code.get(2..) {
            Some("0") => 0,
            _ => 1,
        },
    }
}

/// How many values follow `keyword`; `None` if no supported version knows it. Case matters, as it does to HAProxy.
pub(crate) fn values(keyword: &str) -> Option<usize> {
    VALUES.get(base(keyword)).copied()
}

/// Whether every supported version knows `keyword`: an older HAProxy refuses a whole file for one that only newer ones know.
pub(crate) fn is_everywhere(keyword: &str) -> bool {
    EVERYWHERE.contains(base(keyword))
}

/// What `add server` takes in this version: as in the newest version of the table that is not newer. `None` for a version
/// that is older than all of them.
pub(crate) fn at_run_time(version: Version) -> Option<&'static HashSet<&'static str>> {
    AT_RUN_TIME.iter().rev().find(|(known, _)| *known <= version).map(|(_, keywords)| keywords)
}

/// What an option is about: the same for two options of which only the later counts, as `check` and `no-check`.
pub(crate) fn subject(keyword: &str) -> &str {
    match keyword {
        "non-stick" => "stick",
        "enabled" => "disabled",
        _ => keyword.strip_prefix("no-").filter(|positive| values(positive).is_some()).unwrap_or(keyword),
    }
}

/// The keyword without its argument in parentheses, as in `set-proxy-v2-tlv-fmt(0x20)`.
pub(crate) fn base(keyword: &str) -> &str {
    match keyword.split_once('(') {
        Some((base @ "set-proxy-v2-tlv-fmt", _)) => base,
        _ => keyword,
    }
}

/// Whether the keyword says what is a field of [`Server`](crate::Server) of its own.
pub(crate) fn is_field(keyword: &str) -> bool {
    matches!(keyword, "backup" | "no-backup" | "cookie" | "disabled" | "enabled" | "init-addr" | "weight")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_values_is_haproxys() {
        for (keyword, expected) in [
            ("check", Some(0)),
            ("inter", Some(1)),
            ("cookie", Some(1)),
            ("source", Some(1)),
            ("set-proxy-v2-tlv-fmt(0x20)", Some(1)),
            ("init-state", Some(1)),
            ("no-such-option", None),
            ("Check", None),
            ("check(", None),
            ("", None),
            ("keyword", None),
        ] {
            assert_eq!(values(keyword), expected, "{keyword}");
        }
    }

    #[test]
    fn every_supported_version_is_a_column_of_the_table() {
        let header = TABLE.lines().next().unwrap_or_default();
        for version in SUPPORTED {
            assert!(header.split('\t').any(|column| column == version), "{version}");
        }
    }

    #[test]
    fn what_a_running_haproxy_takes_depends_on_its_version() {
        let takes = |version: &str, keyword: &str| {
            at_run_time(Version::parse(version).unwrap()).unwrap().contains(keyword)
        };
        for (version, keyword, expected) in [
            ("2.6", "check", true),
            ("2.6", "cookie", false),
            ("2.9", "cookie", false),
            ("3.0", "cookie", true),
            ("3.1", "init-state", false),
            ("3.2", "init-state", true),
            ("4.0", "init-state", true),
            ("2.6", "init-addr", false),
            ("3.4", "init-addr", false),
            ("3.4", "resolvers", false),
        ] {
            assert_eq!(takes(version, keyword), expected, "{version} {keyword}");
        }
        assert_eq!(at_run_time(Version::parse("2.3").unwrap()), None);
    }

    #[test]
    fn an_option_and_its_opposite_have_one_subject() {
        for (keyword, expected) in [
            ("no-check", "check"),
            ("check", "check"),
            ("non-stick", "stick"),
            ("enabled", "disabled"),
            ("no-sslv3", "no-sslv3"),
            ("no-send-proxy-v2", "send-proxy-v2"),
            ("no-such", "no-such"),
        ] {
            assert_eq!(subject(keyword), expected, "{keyword}");
        }
    }

    #[test]
    fn every_row_of_the_table_is_read() {
        assert_eq!(VALUES.len(), TABLE.lines().count() - 1);
    }
}
