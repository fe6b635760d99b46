//! Which lines belong to a frontend, which to a backend, and which HAProxy has given up.
//!
//! `data/keyword-matrix.tsv` was made from the tables of HAProxy's configuration manual: a row for each keyword, a
//! column for each version, empty where the version lacks the keyword. A cell has the letters `D`, `F`, `L`, `B` for the
//! sections defaults, frontend, listen and backend, `-` in place of one in which the keyword may not stand.

mod retired;

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::line::Line;

pub use retired::{Retired, retired, retired_from_global};

const TABLE: &str = include_str!("../data/keyword-matrix.tsv");

/// The versions that count. A keyword goes wherever one of them takes it.
const VERSIONS: [&str; 6] = ["2.6", "2.8", "3.0", "3.2", "3.3", "3.4"];

/// The sections that a keyword may stand in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Place {
    frontend: bool,
    backend: bool,
}

static PLACES: LazyLock<HashMap<&'static str, Place>> = LazyLock::new(|| {
    let mut rows = TABLE.lines().map(|row| row.split('\t').collect::<Vec<_>>());
    let header = rows.next().unwrap_or_default();
    let versions: Vec<usize> = (0..header.len()).filter(|&at| VERSIONS.contains(&header[at])).collect();
    let mut places: HashMap<_, Place> = HashMap::new();
    for row in rows {
        for code in versions.iter().filter_map(|&at| row.get(at)).filter(|code| !code.is_empty()) {
            let place = places.entry(row[0]).or_default();
            place.frontend |= code.contains('F');
            place.backend |= code.contains('B');
        }
    }
    // What the manual allows in `listen` alone has to stand somewhere: HAProxy warns in the section that has no use
    // for it.
    for place in places.values_mut().filter(|place| !place.frontend && !place.backend) {
        *place = Place { frontend: true, backend: true };
    }
    // HAProxy refuses a file in which the two sections share these: the first two are unique over all sections, and
    // tables are known by the names of their sections, which are commonly the same for both.
    for keyword in ["id", "guid"] {
        places.insert(keyword, Place { frontend: true, backend: false });
    }
    places.insert("stick-table", Place { frontend: false, backend: true });
    // Its manual allows these in both, and it warns of them in the one in which they do nothing.
    places.insert("option tcplog", Place { frontend: true, backend: false });
    places.insert("option abortonclose", Place { frontend: false, backend: true });
    places
});

/// The lines of a `listen` section, each in the sections that it belongs to, in the order in which they were written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Split {
    /// Lines for the frontend.
    pub frontend: Vec<Line>,
    /// Lines for the backend.
    pub backend: Vec<Line>,
    /// Lines whose keyword no version of HAProxy from 2.6 to 3.4 documents. They are in both sections too, so that
    /// HAProxy's own check tells what is wrong with them.
    pub unknown: Vec<Line>,
}

/// Splits the lines of a `listen` section into those of a frontend and those of a backend.
///
/// A line goes wherever HAProxy's manual (2.6 to 3.4 taken together) lets its keyword stand, and into both sections
/// where both are named, as `mode` and `http-request`; a keyword that is unknown goes into both, and so do comments and the
/// directives of conditional blocks (`.if`), which HAProxy reads in every section.
/// Five keywords that HAProxy lets stand in both are not doubled, because HAProxy would refuse the pair, or warn of one that
/// does nothing: `id`, `guid` and `option tcplog` go to the frontend, `stick-table` and `option abortonclose` to the backend.
///
/// The longest keyword counts, whole words only: `option httpchk`, `timeout client`, `http-check expect`. Case and the
/// number of blanks do not matter, nor does a `no` before it; the line itself is kept as it was written.
///
/// ```
/// use haproxy_render::{Line, keyword};
///
/// let lines = ["mode http", "timeout client 1m", "option httpchk GET /"].map(|line| Line::parse(line).unwrap());
/// let split = keyword::split(&lines);
/// assert_eq!(split.frontend, [lines[0].clone(), lines[1].clone()]);
/// assert_eq!(split.backend, [lines[0].clone(), lines[2].clone()]);
/// ```
pub fn split(lines: &[Line]) -> Split {
    let mut split = Split::default();
    for line in lines {
        let words = words(line);
        let silent = words.first().is_none_or(|word| word.starts_with('#') || is_conditional(word));
        let place = place(&words);
        if place.is_none() && !silent {
            split.unknown.push(line.clone());
        }
        let place = place.unwrap_or(Place { frontend: true, backend: true });
        if place.frontend {
            split.frontend.push(line.clone());
        }
        if place.backend {
            split.backend.push(line.clone());
        }
    }
    split
}

/// What to write instead, if no HAProxy from 2.6 on takes this line any more; `None` for every other line.
///
/// ```
/// use haproxy_render::{Line, keyword};
///
/// let line = Line::parse("contimeout 5000")?;
/// assert_eq!(keyword::removed(&line), Some("use `timeout connect`"));
/// # Ok::<(), haproxy_render::InvalidLine>(())
/// ```
pub fn removed(line: &Line) -> Option<&'static str> {
    let words = words(line);
    let words = without_no(&words);
    let first = words.first()?.as_str();
    let second = words.get(1).map_or("", String::as_str);
    let message = match (first, second) {
        ("appsession", _) => "use `cookie` with `insert`, or `stick-table` with `stick on req.cook(NAME)`",
        ("block", _) => "use `http-request deny`, which takes the same conditions",
        ("clitimeout", _) | ("timeout", "clitimeout") => "use `timeout client`",
        ("contimeout", _) | ("timeout", "contimeout") => "use `timeout connect`",
        ("srvtimeout", _) | ("timeout", "srvtimeout") => "use `timeout server`",
        ("grace", _) => "use `grace` or `hard-stop-after` in the `global` section",
        ("monitor-net", _) => "use `http-request return status 200 if { src NETWORK }`",
        ("mode", "health") => "use `mode http` with `http-request return status 200`",
        ("redispatch" | "redisp", _) | ("option", "redisp" | "allredisp") => "use `option redispatch`",
        ("option", "forceclose") => "use `option httpclose`, or leave it out",
        ("option", "http-tunnel") => "leave it out: keep-alive does what it was for",
        ("option", "http_proxy") => "use `http-request set-uri` with `http-request do-resolve` and `set-dst`",
        ("option", "http-use-htx") => "leave it out: it is always on",
        ("option", "tcpsplice") => "use `option splice-auto`",
        ("option", "lb-agent-chk") => "use `agent-check` on the servers",
        ("reqadd", _) => "use `http-request add-header`",
        ("reqallow" | "reqiallow" | "reqpass" | "reqipass", _) => "use `http-request allow` with a condition",
        ("reqdel" | "reqidel", _) => "use `http-request del-header`",
        ("reqdeny" | "reqideny", _) => "use `http-request deny` with a condition",
        ("reqtarpit" | "reqitarpit", _) => "use `http-request tarpit` with a condition",
        ("reqsetbe" | "reqisetbe", _) => "use `use_backend` with a condition",
        ("reqrep" | "reqirep", _) => "use `http-request replace-path`, `replace-uri` or `replace-header`",
        ("rspadd", _) => "use `http-response add-header`",
        ("rspdel" | "rspidel", _) => "use `http-response del-header`",
        ("rspdeny" | "rspideny", _) => "use `http-response deny` with a condition",
        ("rsprep" | "rspirep", _) => "use `http-response replace-header`",
        _ => return None,
    };
    Some(message)
}

/// The first words of a line, in lower case: no keyword has more than three, and `no` may stand before them.
fn words(line: &Line) -> Vec<String> {
    line.as_str().split_ascii_whitespace().take(4).map(str::to_ascii_lowercase).collect()
}

/// Whether it is a directive that HAProxy's reader of files takes before it looks at keywords.
fn is_conditional(word: &str) -> bool {
    matches!(word, ".if" | ".elif" | ".else" | ".endif" | ".diag" | ".notice" | ".warning" | ".alert")
}

fn without_no(words: &[String]) -> &[String] {
    match words {
        [no, rest @ ..] if no == "no" => rest,
        _ => words,
    }
}

fn place(words: &[String]) -> Option<Place> {
    let words = without_no(words);
    (1..=words.len()).rev().find_map(|count| PLACES.get(words[..count].join(" ").as_str()).copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line {
        Line::parse(text).unwrap()
    }

    /// `F`, `B` or `FB`, and `?` for an unknown keyword.
    fn places(text: &str) -> String {
        let split = split(&[line(text)]);
        for kept in split.frontend.iter().chain(&split.backend).chain(&split.unknown) {
            assert_eq!(kept.as_str(), text.trim());
        }
        ["F", "B", "?"]
            .into_iter()
            .zip([&split.frontend, &split.backend, &split.unknown])
            .filter_map(|(letter, lines)| (!lines.is_empty()).then_some(letter))
            .collect()
    }

    #[test]
    fn a_line_goes_where_haproxy_takes_it() {
        for (text, expected) in [
            ("mode http", "FB"),
            ("bind :80", "F"),
            ("balance roundrobin", "B"),
            ("server a 10.0.0.1:80", "B"),
            ("timeout client 1m", "F"),
            ("timeout server 1m", "B"),
            ("timeout http-request 5s", "FB"),
            ("option httplog", "F"),
            ("option httpchk GET /", "B"),
            ("option forwardfor", "FB"),
            ("http-request set-header X y", "FB"),
            ("http-check expect status 200", "B"),
            ("http-check brand-new", "B"),
            ("use_backend x if y", "F"),
            ("stats uri /", "FB"),
            ("tcp-request connection accept", "F"),
            ("tcp-request content accept", "FB"),
            ("capture request header Host len 9", "F"),
            // Allowed in both, by some of the versions at least, and without effect in one of them.
            ("option abortonclose", "B"),
            ("option tcplog", "F"),
            // Newer than Synapse's list.
            ("retry-on all-retryable-errors", "B"),
            ("http-after-response del-header X", "FB"),
            ("option idle-close-on-response", "F"),
            ("option http-drop-response-trailers", "FB"),
        ] {
            assert_eq!(places(text), expected, "{text}");
        }
    }

    #[test]
    fn words_are_matched_whole() {
        for text in
            ["timeout clientx 1m", "option httplogger", "modes http", "option", "timeout", "stats socket x"]
        {
            assert_eq!(places(text), "FB?", "{text}");
        }
    }

    #[test]
    fn blanks_case_and_no_do_not_matter() {
        assert_eq!(places("timeout        client  1m"), "F");
        assert_eq!(places("TimeOut\tClient 1m"), "F");
        assert_eq!(places("no option dontlognull"), "F");
        assert_eq!(places("no  option  redispatch"), "B");
        assert_eq!(places("no"), "FB?");
    }

    #[test]
    fn what_may_stand_once_in_a_file_is_not_doubled() {
        assert_eq!(places("id 5"), "F");
        assert_eq!(places("guid web"), "F");
        assert_eq!(places("stick-table type ip size 1m"), "B");
    }

    #[test]
    fn comments_conditions_and_empty_lines_are_not_unknown() {
        assert_eq!(places("# the web"), "FB");
        assert_eq!(places(".if defined(X)"), "FB");
        assert_eq!(places(".iffy"), "FB?");
        assert_eq!(places(""), "FB");
    }

    #[test]
    fn a_removed_keyword_names_its_successor() {
        for (text, word) in [
            ("appsession JSESSIONID len 52", "cookie"),
            ("block if bad", "http-request deny"),
            ("clitimeout 5", "timeout client"),
            ("timeout  srvtimeout 5", "timeout server"),
            ("reqirep ^a b", "replace-header"),
            ("rspidel ^x", "http-response del-header"),
            ("redispatch", "option redispatch"),
            ("option forceclose", "option httpclose"),
            ("no option http-tunnel", "keep-alive"),
            ("mode health", "http-request return"),
        ] {
            assert!(removed(&line(text)).unwrap_or_default().contains(word), "{text}");
        }
    }

    #[test]
    fn what_haproxy_still_takes_is_not_removed() {
        for text in [
            "option redispatch",
            "option httpclose",
            "mode http",
            "timeout client 5",
            "dispatch :80",
            "",
            "no",
        ] {
            assert_eq!(removed(&line(text)), None, "{text}");
        }
        let known = PLACES.keys().filter(|keyword| removed(&line(keyword)).is_some());
        assert_eq!(known.count(), 0);
    }
}
