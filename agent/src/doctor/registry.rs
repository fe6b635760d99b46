//! The registries: who answers, and how soon.

use std::{collections::BTreeMap, time::Duration};

use discovery_core::{Observed, WatchError};
use tokio::time::{Instant, sleep};

use super::{Finding, Topic, count, line};
use crate::{config::Config, registry::Origin, sources::Sources};

/// How often one looks who has answered.
const EVERY: Duration = Duration::from_millis(10);
/// So many services are named in a line.
const NAMED: usize = 5;

/// One source, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    /// The service, with the name of the part.
    pub(super) service: String,
    /// `None`: it does not say.
    pub(super) origin: Option<Origin>,
    pub(super) method: String,
    pub(super) answer: Result<Answer, String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) after: Duration,
    pub(super) endpoints: usize,
    pub(super) rejected: usize,
}

pub(super) async fn examine(config: &Config, sources: Sources, wait: Duration) -> Vec<Finding> {
    let began = Instant::now();
    let views = sources.views();
    let _running = sources.start();
    let views = views.borrow().clone();
    let end = began + wait;
    let look = || {
        let mut asked = Vec::new();
        for (service, view) in config.services.iter().zip(views.iter()) {
            let children =
                view.children.as_ref().map(discovery_core::multi::View::children).unwrap_or_default();
            let method = &view.method;
            if children.is_empty() {
                let origin = service.source.origin().cloned();
                asked.push(one(view.service.to_string(), origin, method, &view.observed.borrow(), began));
            }
            for child in children {
                let origin = service.source.origin_of(&child.name).cloned();
                asked.push(one(
                    format!("{} ({})", view.service, child.name),
                    origin,
                    method,
                    &child.observed,
                    began,
                ));
            }
        }
        asked
    };
    let mut asked = look();
    while asked.iter().any(|one| one.answer.is_err()) && Instant::now() < end {
        sleep(EVERY).await;
        let now = look();
        // What was first said counts: it may be confirmed again and again.
        for (old, new) in asked.iter_mut().zip(now) {
            if old.answer.is_err() {
                *old = new;
            }
        }
    }
    findings(&asked, wait)
}

fn one(service: String, origin: Option<Origin>, method: &str, seen: &Observed, began: Instant) -> Asked {
    let answer = match (&seen.snapshot, seen.health.error()) {
        (Some(snapshot), _) => Ok(Answer {
            after: seen.confirmed.unwrap_or(began).saturating_duration_since(began),
            endpoints: snapshot.len(),
            rejected: snapshot.rejected().total(),
        }),
        (None, error) => Err(error.map(WatchError::chain).unwrap_or_default()),
    };
    Asked { service, origin, method: method.to_owned(), answer }
}

/// One line for each place that is asked as somebody, and one for each error there.
pub(super) fn findings(asked: &[Asked], wait: Duration) -> Vec<Finding> {
    let mut places: BTreeMap<String, Vec<&Asked>> = BTreeMap::new();
    for one in asked {
        let place = match &one.origin {
            Some(Origin { place, account: Some(account) }) => format!("{place}, as {account}"),
            Some(Origin { place, account: None }) => place.clone(),
            // What discovers nothing, or says nothing about itself.
            None if one.answer.is_ok() => continue,
            None => format!("the source of {} (`{}`)", one.service, one.method),
        };
        places.entry(place).or_default().push(one);
    }
    let mut findings = Vec::new();
    for (place, asked) in places {
        let answers: Vec<_> = asked.iter().filter_map(|one| one.answer.as_ref().ok()).collect();
        if let Some(first) = answers.iter().map(|answer| answer.after).min() {
            let endpoints: usize = answers.iter().map(|answer| answer.endpoints).sum();
            let text = format!(
                "first answer after {} ms; {}, {}",
                first.as_millis(),
                count(answers.len(), "service"),
                count(endpoints, "endpoint")
            );
            findings.push(Finding::ok(Topic::Registry, &place, text));
        }
        let rejected: usize = answers.iter().map(|answer| answer.rejected).sum();
        if rejected > 0 {
            let text = format!("{} could not be used", count(rejected, "registration"));
            let remedy = "`synapse-rs services` names them and says why";
            findings.push(Finding::warning(Topic::Registry, &place, text, remedy));
        }
        let mut errors: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for one in asked {
            if let Err(error) = &one.answer {
                errors.entry(error).or_default().push(&one.service);
            }
        }
        for (error, services) in errors {
            let text = if error.is_empty() {
                format!("no answer within {wait:?} for {}", named(&services))
            } else {
                format!("no answer for {}: {}", named(&services), line(error))
            };
            findings.push(Finding::error(Topic::Registry, &place, text, remedy(error)));
        }
    }
    findings
}

fn named(services: &[&str]) -> String {
    let named = services.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    match services.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

/// What to do, by what the error says of itself: each registry's client has words of its own.
fn remedy(error: &str) -> &'static str {
    let error = error.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| error.contains(word));
    if says(&["authenticat", "password", "unauthorized", "credential", "auth failed", "authfailed", "noauth"])
    {
        "correct the user and the password (or keys) in the `discovery` section, or have the registry know them"
    } else if says(&[
        "permission denied",
        "access denied",
        "not permitted",
        "forbidden",
        "unauthorizedoperation",
    ]) {
        "give this user the right to read what the `discovery` section names"
    } else if says(&["certificate", "tls", "handshake"]) {
        "correct the section `tls`: the authority that has signed the server's certificate, and the name in it"
    } else if says(&["no such file", "not found: the file"]) {
        "create the file, or correct `path` in the `discovery` section"
    } else if says(&["refused", "unreachable", "no route"]) {
        "start the registry, or correct its address in the `discovery` section: nobody listens there"
    } else if says(&["resolve", "lookup", "name or service", "dns"]) {
        "correct the name in the `discovery` section, or the nameservers of this machine"
    } else {
        "see whether the registry runs and can be reached from this machine (firewall, network, address in the `discovery` section)"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Severity;

    fn asked(service: &str, account: Option<&str>, answer: Result<(u64, usize), &str>) -> Asked {
        Asked {
            service: service.to_owned(),
            origin: Some(Origin { place: "etcd at a:2379".to_owned(), account: account.map(str::to_owned) }),
            method: "etcd".to_owned(),
            answer: answer.map_err(str::to_owned).map(|(after, endpoints)| Answer {
                after: Duration::from_millis(after),
                endpoints,
                rejected: 0,
            }),
        }
    }

    fn shown(asked: &[Asked]) -> Vec<(Severity, String)> {
        let findings = findings(asked, Duration::from_secs(5));
        findings.iter().map(|finding| (finding.severity, finding.to_string())).collect()
    }

    #[test]
    fn services_of_one_connection_share_a_line_with_the_quickest_answer() {
        let one = [asked("web", None, Ok((30, 2))), asked("db", None, Ok((12, 1)))];
        let expected = "etcd at a:2379: first answer after 12 ms; 2 services, 3 endpoints";
        assert_eq!(shown(&one), [(Severity::Ok, expected.to_owned())]);
        let other = [asked("web", None, Ok((30, 2))), asked("db", Some("user \"u\""), Ok((12, 1)))];
        let expected = [
            "etcd at a:2379: first answer after 30 ms; 1 service, 2 endpoints",
            "etcd at a:2379, as user \"u\": first answer after 12 ms; 1 service, 1 endpoint",
        ];
        assert_eq!(shown(&other).into_iter().map(|(_, text)| text).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn an_error_names_its_services_beside_those_that_answered() {
        let names = ["a", "b", "c", "d", "e", "f", "g"];
        let mut all: Vec<_> = names.iter().map(|name| asked(name, None, Err("connection refused"))).collect();
        all.push(asked("web", None, Ok((3, 0))));
        let shown = shown(&all);
        assert_eq!(shown[0].0, Severity::Ok);
        let error = "etcd at a:2379: no answer for a, b, c, d, e and 2 more: connection refused";
        assert_eq!(shown[1], (Severity::Error, error.to_owned()));
    }

    #[test]
    fn silence_is_an_error_and_errors_fit_a_line() {
        let silent = shown(&[asked("web", None, Err(""))]);
        assert_eq!(silent, [(Severity::Error, "etcd at a:2379: no answer within 5s for web".to_owned())]);
        let hostile = format!("x\u{1b}[31m\n\n{}", "y".repeat(10_000));
        let (_, text) = shown(&[asked("web", None, Err(&hostile))]).remove(0);
        assert!(text.len() < 1000 && !text.contains(['\u{1b}', '\n']), "{text}");
    }

    #[test]
    fn what_says_nothing_of_itself_is_named_only_if_it_fails() {
        let unnamed = |answer| Asked { origin: None, ..asked("web", None, answer) };
        assert_eq!(shown(&[unnamed(Ok((1, 1)))]), []);
        let expected = "the source of web (`etcd`): no answer for web: oh";
        assert_eq!(shown(&[unnamed(Err("oh"))]), [(Severity::Error, expected.to_owned())]);
    }

    #[test]
    fn the_remedy_goes_by_what_went_wrong() {
        for (error, expected) in [
            ("authenticating: etcdserver: authentication failed, invalid user ID or password", "password"),
            ("reading /x: no such file or directory", "create the file"),
            ("connecting to a:1: Connection refused (os error 111)", "start the registry"),
            ("invalid peer certificate: UnknownIssuer", "section `tls`"),
            ("etcdserver: permission denied", "the right to read"),
            ("who knows", "see whether"),
        ] {
            assert!(remedy(error).contains(expected), "{error}: {}", remedy(error));
        }
    }
}
