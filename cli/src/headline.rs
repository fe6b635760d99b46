//! How the program is doing, in one line.

use std::{fmt, time::Duration};

use agent::{Ago, Status};
use tokio::time::Instant;

/// How many services are named before the rest is counted.
const NAMED: usize = 3;
/// How much of an error is shown: the log has all of it.
const ERROR_LENGTH: usize = 300;

/// What somebody who asks in passing should know.
#[derive(Debug, Default)]
pub(crate) struct Headline {
    services: usize,
    /// Those whose source has not answered yet.
    silent: Vec<String>,
    /// Those whose source answers no more.
    failing: Vec<String>,
    applied: bool,
    /// How long ago something was changed.
    changed: Option<Duration>,
    /// Why HAProxy, or its file, is not up to date.
    error: Option<String>,
}

impl Headline {
    /// How it is now.
    pub(crate) fn of(status: &Status) -> Self {
        let (services, output) = (status.services(), status.output());
        let names = |chosen: &dyn Fn(&agent::ServiceStatus) -> bool| {
            services.iter().filter(|service| chosen(service)).map(|service| service.service.clone()).collect()
        };
        let behind = output.behind.as_ref().and_then(|behind| behind.error.as_ref());
        Self {
            services: services.len(),
            silent: names(&|service| service.snapshot.is_none()),
            failing: names(&|service| service.snapshot.is_some() && service.health.error().is_some()),
            applied: output.applied.is_some(),
            changed: output.changed.map(|at| Instant::now().saturating_duration_since(at)),
            error: output.error.or_else(|| behind.map(|_| "its file can't be written".to_owned())),
        }
    }

    /// Whether an apply has been brought to its end, well or not.
    pub(crate) fn is_settled(&self) -> bool {
        self.applied || self.error.is_some()
    }
}

impl fmt::Display for Headline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.services == 1 { "" } else { "s" };
        if !self.is_settled() {
            write!(f, "starting with {} service{plural}", self.services)?;
            return listed(f, "waiting for", &self.silent);
        }
        if let Some(error) = &self.error {
            // One line, whatever HAProxy's own words look like.
            let words = error.split_whitespace().collect::<Vec<_>>().join(" ");
            let cut: String = words.chars().take(ERROR_LENGTH).collect();
            write!(f, "HAProxy is not up to date: {cut}; ")?;
        }
        write!(f, "serving {} service{plural}", self.services)?;
        listed(f, "no answer yet for", &self.silent)?;
        listed(f, "no contact to the registry of", &self.failing)?;
        match self.changed {
            Some(ago) => write!(f, "; last change {} ago", Ago(ago)),
            None => f.write_str("; nothing changed since the start"),
        }
    }
}

/// Some names, if there are any.
pub(crate) fn listed(f: &mut impl fmt::Write, what: &str, names: &[String]) -> fmt::Result {
    if names.is_empty() {
        return Ok(());
    }
    write!(f, "; {what} {}", names.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", "))?;
    match names.len().saturating_sub(NAMED) {
        0 => Ok(()),
        more => write!(f, " and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn before_the_first_apply_it_says_what_is_waited_for() {
        let headline = Headline { services: 2, silent: names(&["web"]), ..Headline::default() };
        assert!(!headline.is_settled());
        assert_eq!(headline.to_string(), "starting with 2 services; waiting for web");
    }

    #[test]
    fn all_is_well_in_a_few_words() {
        let changed = Some(Duration::from_millis(3500));
        let headline = Headline { services: 12, applied: true, changed, ..Headline::default() };
        assert!(headline.is_settled());
        assert_eq!(headline.to_string(), "serving 12 services; last change 3 s ago");
    }

    #[test]
    fn what_is_wrong_is_named_and_what_is_too_much_is_counted() {
        let headline = Headline {
            services: 9,
            silent: names(&["a"]),
            failing: names(&["b", "c", "d", "e", "f"]),
            applied: true,
            ..Headline::default()
        };
        assert_eq!(
            headline.to_string(),
            "serving 9 services; no answer yet for a; no contact to the registry of b, c, d and 2 more; nothing \
             changed since the start"
        );
    }

    #[test]
    fn an_error_comes_first_and_stays_in_its_line() {
        let error = Some(format!("no\nREADY=1\t{}", "x".repeat(1000)));
        let headline = Headline { services: 1, error, ..Headline::default() };
        assert!(headline.is_settled());
        let text = headline.to_string();
        assert!(text.starts_with("HAProxy is not up to date: no READY=1 xxx"), "{text}");
        assert!(text.ends_with("x; serving 1 service; nothing changed since the start"), "{text}");
        assert!(text.len() < 400 && !text.contains('\n'), "{text}");
    }
}
