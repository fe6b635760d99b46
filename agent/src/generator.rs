//! Generator configuration: what a registry says about how a service is to be served.

use discovery_core::{Rejected, Rejection, Settings, printable};
use tracing::{info, warn};

use crate::{
    config::{self, Haproxy, Problem},
    desired::Shape,
};

/// What the registry of one service says last about how it is to be served, and what became of that.
///
/// Nothing that is said is fatal, and nothing half used: the service's own section stands alone until what is said is right as a
/// whole.
#[derive(Debug, Default)]
pub(crate) struct Generator {
    said: Option<Settings>,
    shape: Option<Shape>,
    refused: Rejected,
}

/// What an entry of the status is called.
const ENTRY: &str = "generator configuration";
/// How much of what is wrong is logged, in characters.
const LOGGED: usize = 1000;

impl Generator {
    /// Takes over what is said now. Nothing happens, and nothing is logged, while that is what was said before: then it returns
    /// `false`.
    pub(crate) fn follow(
        &mut self,
        said: Option<&Settings>,
        service: &config::Service,
        haproxy: &Haproxy,
    ) -> bool {
        if self.said.as_ref() == said {
            return false;
        }
        self.said = said.cloned();
        let name = service.name.as_str();
        let used = self.shape.take().is_some();
        let mut refused = Vec::new();
        if let Some(said) = said {
            let (mut unknown, mut names) = (0usize, String::new());
            for generator in said.generators().filter(|generator| *generator != "haproxy") {
                if generator == "file_output" {
                    refused.push("file_output: a registry may not have files written".to_owned());
                } else {
                    unknown += 1;
                    // A few are enough to see what they are.
                    if unknown <= 5 {
                        names.push_str(if unknown == 1 { "" } else { ", " });
                        names.push_str(&printable(generator, 60));
                    }
                }
            }
            if unknown > 0 {
                warn!(service = name, generators = unknown, %names, "ignoring generator configuration for other programs");
            }
            match said.generator("haproxy").map_or(Ok(None), |json| service.overlaid(json, haproxy)) {
                Ok(shape) => self.shape = shape,
                Err(problems) => refused.push(one_line(&problems)),
            }
        }
        for error in &refused {
            warn!(service = name, %error, "refusing generator configuration of the registry; the service's own stands");
        }
        match (&self.shape, used) {
            (Some(_), _) => info!(service = name, "using generator configuration of the registry"),
            (None, true) => info!(service = name, "no more using generator configuration of the registry"),
            (None, false) => {}
        }
        self.refused = refused.iter().map(|reason| Rejection::new(ENTRY, reason)).collect();
        true
    }

    /// How HAProxy is to serve the service, if not as its own section says.
    pub(crate) fn shape(&self) -> Option<&Shape> {
        self.shape.as_ref()
    }

    /// What is said and not used, and why.
    pub(crate) fn refused(&self) -> &Rejected {
        &self.refused
    }
}

/// All problems in one line that is fit for a log. Positions are left out: the registry's text was not written so.
fn one_line(problems: &[Problem]) -> String {
    let each: Vec<_> =
        problems.iter().map(|problem| format!("{}: {}", problem.path, problem.message)).collect();
    // The status may have room for the first only: then the number tells that there are more.
    let count = if each.len() == 1 { String::new() } else { format!("{} problems: ", each.len()) };
    printable(&format!("{count}{}", each.join("; ")), LOGGED)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Config, Registry};

    fn config() -> Config {
        let text = json!({
            "services": { "web": { "discovery": { "method": "base" } } },
            "haproxy": { "do_writes": false, "do_reloads": false, "global": [], "defaults": [] },
        });
        Config::parse(&text.to_string(), None, &Registry::builtin()).unwrap()
    }

    fn settings(text: &str) -> Option<Settings> {
        Settings::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn what_was_said_before_is_not_read_again() {
        let Config { services, haproxy, .. } = config();
        let mut generator = Generator::default();
        let mut follow = |text: &str| generator.follow(settings(text).as_ref(), &services[0], &haproxy);
        assert!(!follow(""));
        assert!(follow(r#"{"haproxy": {"backend": ["retries 2"]}}"#));
        assert!(!follow(r#"{ "haproxy" : {"backend":["retries 2"] } }"#));
        assert!(follow(r#"{"haproxy": {"backend": ["bind :80"]}}"#));
        assert!(!follow(r#"{"haproxy": {"backend": ["bind :80"]}}"#));
        assert!(follow("{}"));
    }

    #[test]
    fn one_entry_names_all_that_is_refused_and_goes_with_it() {
        let Config { services, haproxy, .. } = config();
        let mut generator = Generator::default();
        let mut refused = |text: &str| {
            generator.follow(settings(text).as_ref(), &services[0], &haproxy);
            let named = generator.refused().named().iter();
            let named: Vec<_> = named.map(|one| format!("{}: {}", one.entry(), one.reason())).collect();
            (named, generator.shape().is_some())
        };
        let (named, used) = refused(r#"{"haproxy": {"backend": ["bind :80"], "port": 80}}"#);
        let start = "generator configuration: 2 problems: haproxy.port: a registry may not change it";
        assert!(matches!(&named[..], [one] if one.starts_with(start)), "{named:?}");
        assert!(!used);
        let (named, used) =
            refused(r#"{"file_output": {}, "nginx": {"x": 1}, "haproxy": {"backend": ["retries 2"]}}"#);
        assert_eq!(named, ["generator configuration: file_output: a registry may not have files written"]);
        assert!(used, "one generator's configuration is not another's");
        assert_eq!(refused(""), (Vec::new(), false));
    }
}
