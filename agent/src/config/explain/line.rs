//! What differs by a line of HAProxy's.

use std::collections::BTreeMap;

use haproxy_render::{Line, Section as Extra, keyword};

use super::{
    super::{Problem, Section},
    Difference,
    site::{Placed, Site, at, lines},
};

/// Keywords that HAProxy has, and of which Synapse's list, of 1.5 and 1.6, has not even a beginning (which is all that it compares): it
/// drops such `listen` lines.
const DROPPED: [&str; 27] = [
    "http-after-response",
    "http-error",
    "http-check connect",
    "http-check send",
    "http-check set-var",
    "http-check unset-var",
    "http-check comment",
    "tcp-check set-var",
    "tcp-check unset-var",
    "tcp-request session",
    "retry-on",
    "use-fcgi-app",
    "filter",
    "error-log-format",
    "hash-balance-factor",
    "clitcpka-cnt",
    "clitcpka-idle",
    "clitcpka-intvl",
    "srvtcpka-cnt",
    "srvtcpka-idle",
    "srvtcpka-intvl",
    "option httpslog",
    "option h1-case-adjust-bogus-client",
    "option h1-case-adjust-bogus-server",
    "option idle-close-on-response",
    "option disable-h2-upgrade",
    "option http-restrict-req-hdr-names",
];

/// Lines that are the same to all who have them are one difference.
type Found = BTreeMap<(String, String, Option<String>), Vec<Problem>>;

pub(super) fn differences(site: &Site) -> Vec<Difference> {
    let mut found = Found::new();
    let lists = |section: &Section, keys: &[&str]| {
        keys.iter().flat_map(|key| lines(section, key)).collect::<Vec<_>>()
    };
    for placed in site.lines("global") {
        retired(placed.place, keyword::retired_from_global(&placed.line), &mut found);
    }
    for placed in lists(&site.haproxy, &["defaults", "shared_frontend"]) {
        retired(placed.place, keyword::retired(&placed.line), &mut found);
    }
    for service in &site.services {
        for placed in lists(&service.haproxy, &["frontend", "backend", "listen", "shared_frontend"]) {
            retired(placed.place, keyword::retired(&placed.line), &mut found);
        }
        for placed in lines(&service.haproxy, "listen") {
            listen(placed, &mut found);
        }
    }
    for (title, section) in site.extras() {
        if title.starts_with("listen") || title.starts_with("frontend") || title.starts_with("backend") {
            for placed in lines(&section, &title) {
                retired(placed.place, keyword::retired(&placed.line), &mut found);
            }
        }
        old_title(&title, &section, &mut found);
    }
    let difference = |((synapse, here, instead), places): ((String, String, Option<String>), _)| Difference {
        places,
        synapse: synapse.into(),
        here: here.into(),
        instead: instead.map(Into::into),
    };
    found.into_iter().map(difference).collect()
}

fn note(found: &mut Found, place: Problem, synapse: &str, here: &str, instead: Option<&str>) {
    let key = (synapse.to_owned(), here.to_owned(), instead.map(str::to_owned));
    found.entry(key).or_default().push(place);
}

fn retired(place: Problem, retired: Option<keyword::Retired>, found: &mut Found) {
    let Some(keyword::Retired { last, instead, .. }) = retired else { return };
    match last {
        None => {
            let here = "refuses the configuration: no HAProxy from 2.6 on takes the line";
            note(found, place, "writes the line", here, Some(instead));
        }
        Some(last) => {
            let here =
                format!("writes it as well, with a warning: HAProxy after {last} refuses it or warns of it");
            note(found, place, "writes the line", &here, Some(instead));
        }
    }
}

/// A line that is to be divided between frontend and backend.
fn listen(Placed { line, place }: Placed, found: &mut Found) {
    const DROPS: &str = "does not know the keyword, and drops the line with a warning";
    let split = keyword::split(std::slice::from_ref(&line));
    let words: Vec<String> = line.as_str().split_ascii_whitespace().map(str::to_ascii_lowercase).collect();
    let is = |keyword: &str| {
        words.iter().map(String::as_str).take(keyword.split(' ').count()).eq(keyword.split(' '))
    };
    if keyword::removed(&line).is_some() {
        // Told already: it is refused.
    } else if !split.unknown.is_empty() {
        let here =
            "does not know it either, and writes the line to frontend and backend: HAProxy's check will tell";
        note(found, place, DROPS, here, Some("put it under `frontend` or `backend`"));
    } else if DROPPED.iter().any(|keyword| is(keyword)) {
        note(found, place, DROPS, "writes the line where HAProxy takes it", None);
    } else if let Some(only) = one_section(&line) {
        let here = format!("writes the line to the {only} alone: HAProxy refuses it in both, or warns of it");
        note(found, place, "writes the line to frontend and backend", &here, None);
    }
}

/// The section to which a line goes that Synapse writes to both.
fn one_section(line: &Line) -> Option<&'static str> {
    let words: Vec<&str> = line.as_str().split_ascii_whitespace().take(2).collect();
    matches!(words[..], ["id", ..] | ["option", "tcplog"]).then_some("frontend")
}

fn old_title(title: &str, section: &Section, found: &mut Found) {
    let Ok(parsed) = Line::parse(title) else { return };
    let (extra, rewritten) = Extra::new(parsed, Vec::new()).modernised();
    if let (true, Some(place)) = (rewritten, at(section, title)) {
        let bind = extra.lines.first().map(Line::as_str).unwrap_or_default();
        let here = format!("writes `{}` with a line `{bind}`", extra.title);
        let instead = "that title and line, which both take";
        note(
            found,
            place,
            "writes the title as it is, which HAProxy refuses since 1.7",
            &here,
            Some(instead),
        );
    }
}
