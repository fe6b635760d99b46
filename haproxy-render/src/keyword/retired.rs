//! Lines that HAProxy takes no more, or not for long, and what stands for them today.

use super::{removed, without_no, words};
use crate::line::Line;

/// A line that not every HAProxy from 2.6 on takes, and what to write instead.
///
/// `Display` is a sentence for the operator: `HAProxy does not take this line any more: use …`, or, where a supported version still
/// takes it, `HAProxy after 3.0 refuses this line or warns of it: use …`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retired {
    /// The last version whose manual has the line; `None` if none from 2.6 on takes it.
    pub last: Option<&'static str>,
    /// What to write instead.
    pub instead: &'static str,
}

impl std::fmt::Display for Retired {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.last {
            None => write!(f, "HAProxy does not take this line any more: {}", self.instead),
            Some(last) => {
                write!(f, "HAProxy after {last} refuses this line or warns of it: {}", self.instead)
            }
        }
    }
}

const DISPATCH: &str = "use `server` with the same address";
const TRANSPARENT: &str = "use `server NAME 0.0.0.0`, which connects to where the client meant to go";
const INVALID_HTTP: &str =
    "use `option accept-unsafe-violations-in-http-request` or `-response` from HAProxy 3.2 on";
const NO_PROCESSES: &str = "leave it out: HAProxy is one process with threads";

/// What is to be said of a line of a `defaults`, `frontend`, `listen` or `backend` section; `None` for a line that all versions
/// take, and for one that none is known to take.
///
/// ```
/// use haproxy_render::{Line, keyword};
///
/// let of = |text| Line::parse(text).map(|line| keyword::retired(&line));
/// assert_eq!(of("reqadd X-Via:\\ us")?.unwrap().last, None);
/// assert_eq!(of("bind-process 1")?.unwrap().last, Some("2.6"));
/// assert_eq!(of("mode http")?, None);
/// # Ok::<(), haproxy_render::InvalidLine>(())
/// ```
pub fn retired(line: &Line) -> Option<Retired> {
    if let Some(instead) = removed(line) {
        return Some(Retired { last: None, instead });
    }
    let (last, instead) = match two(line) {
        (first, _) if first == "bind-process" => ("2.6", NO_PROCESSES),
        (first, _) if first == "dispatch" => ("3.4", DISPATCH),
        (first, _) if first == "transparent" => ("3.4", TRANSPARENT),
        (first, second) if first == "option" => match second.as_str() {
            "transparent" => ("3.4", TRANSPARENT),
            "accept-invalid-http-request" | "accept-invalid-http-response" => ("3.0", INVALID_HTTP),
            _ => return None,
        },
        _ => return None,
    };
    Some(Retired { last: Some(last), instead })
}

/// As [`retired`], of a line of the `global` section.
///
/// ```
/// use haproxy_render::{Line, keyword};
///
/// let line = Line::parse("nbproc 4")?;
/// assert!(keyword::retired_from_global(&line).is_some_and(|retired| retired.instead.contains("nbthread")));
/// # Ok::<(), haproxy_render::InvalidLine>(())
/// ```
pub fn retired_from_global(line: &Line) -> Option<Retired> {
    let (first, second) = two(line);
    let (last, instead) = match (first.as_str(), second.as_str()) {
        ("nbproc", _) => (None, "leave it out, or use `nbthread`: HAProxy is one process with threads"),
        ("tune.chksize", _) => (None, "use `tune.bufsize`"),
        ("debug", _) => (None, "start HAProxy with `-d`"),
        ("stats", "bind-process") => (Some("2.6"), NO_PROCESSES),
        _ => return None,
    };
    Some(Retired { last, instead })
}

/// The first two words of a line, without a `no` before them; empty where there are none.
fn two(line: &Line) -> (String, String) {
    let words = words(line);
    let mut words = without_no(&words).iter().cloned();
    (words.next().unwrap_or_default(), words.next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line {
        Line::parse(text).unwrap()
    }

    #[test]
    fn what_some_version_still_takes_names_the_last_one() {
        for (text, last) in [
            ("bind-process 1-2", Some("2.6")),
            ("dispatch 10.0.0.1:80", Some("3.4")),
            ("transparent", Some("3.4")),
            ("no option transparent", Some("3.4")),
            ("option  accept-invalid-http-response", Some("3.0")),
            ("grace 5s", None),
            ("reqadd X:y", None),
        ] {
            assert_eq!(retired(&line(text)).map(|retired| retired.last), Some(last), "{text}");
        }
        for text in ["", "no", "# dispatch", "option httplog", "mode http", "optiontransparent"] {
            assert_eq!(retired(&line(text)), None, "{text}");
        }
    }

    #[test]
    fn the_global_section_has_lines_of_its_own() {
        for (text, last) in [
            ("nbproc 1", None),
            ("tune.chksize 16384", None),
            ("debug", None),
            ("stats bind-process 1", Some("2.6")),
        ] {
            assert_eq!(retired_from_global(&line(text)).map(|retired| retired.last), Some(last), "{text}");
        }
        // `grace` is a keyword of `global` today, and none of a proxy.
        for text in ["grace 5s", "stats socket /run/h.sock", "quiet", "reqadd", ""] {
            assert_eq!(retired_from_global(&line(text)), None, "{text}");
        }
    }

    #[test]
    fn a_sentence_says_which_versions_are_left() {
        let said = |text| retired(&line(text)).unwrap().to_string();
        assert_eq!(said("clitimeout 5"), "HAProxy does not take this line any more: use `timeout client`");
        assert_eq!(
            said("bind-process 1"),
            "HAProxy after 2.6 refuses this line or warns of it: leave it out: HAProxy is one process with threads"
        );
    }
}
