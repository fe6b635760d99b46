//! What the lines of a backend mean for its servers.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::directive;
use crate::document::Backend;
use crate::line::Line;
use crate::option::ServerOptions;
use crate::word::{scan, unquoted};

/// What a backend's lines, and those that it inherits, say that matters to changes at run time.
#[derive(Debug)]
pub(crate) struct Setting<'a> {
    /// Why servers can neither be added nor have their weights changed, if they can't: the lines that say so.
    pub(crate) fixed: Option<Box<str>>,
    /// What servers inherit, or what is wrong with it.
    pub(crate) defaults: Result<ServerOptions, String>,
    /// Whether servers have cookies that HAProxy computes.
    pub(crate) dynamic_cookies: bool,
    /// Whether cookies count.
    pub(crate) http: bool,
    /// The names of the servers that the operator has written.
    own: HashSet<Cow<'a, str>>,
    /// Whether the operator has servers of which the names are not known.
    own_unknown: bool,
}

impl<'a> Setting<'a> {
    pub(crate) fn new(inherited: &[&'a Line], backend: &'a Backend) -> Self {
        let mut setting = Self {
            fixed: None,
            defaults: directive::default_server(inherited.iter().copied().chain(&backend.lines))
                .map_err(|error| error.to_string()),
            dynamic_cookies: false,
            http: false,
            own: HashSet::new(),
            own_unknown: false,
        };
        let mut mode = Cow::Borrowed("tcp");
        let mut balance: Vec<Cow<'_, str>> = Vec::new();
        let mut consistent = false;
        let mut unclear = None;
        for line in inherited.iter().copied().chain(&backend.lines) {
            let Some(words) = words(line) else {
                unclear = line.as_str().split_ascii_whitespace().next().or(unclear);
                continue;
            };
            let word = |at: usize| words.get(at).map_or("", |word| &**word);
            match word(0) {
                // Conditions are HAProxy's to decide.
                first if first.starts_with('.') => unclear = Some(".if"),
                "mode" => mode = words.get(1).cloned().unwrap_or_default(),
                "balance" => balance.clone_from(&words),
                "hash-type" => consistent = word(1) == "consistent",
                "cookie" => setting.dynamic_cookies = words.iter().any(|word| word == "dynamic"),
                _ => {}
            }
        }
        for line in &backend.lines {
            setting.note_own(line);
        }
        setting.http = mode == "http";
        let algorithm = balance.get(1).map(|word| word.split('(').next().unwrap_or_default());
        let dynamic = match algorithm {
            None => balance.is_empty(),
            Some("roundrobin" | "leastconn" | "random" | "first") => true,
            Some("source" | "uri" | "url_param" | "hdr" | "rdp-cookie" | "hash") => consistent,
            Some(_) => false,
        };
        setting.fixed = if let Some(first) = unclear {
            Some(format!("what follows \"{first}\"").into())
        } else if !matches!(&*mode, "http" | "tcp") {
            Some(format!("mode {mode}").into())
        } else {
            (!dynamic).then(|| balance.join(" ").into())
        };
        setting
    }

    /// Whether a server of this name may be the operator's.
    pub(crate) fn may_be_own(&self, server: &str) -> bool {
        self.own_unknown || self.own.contains(server)
    }

    fn note_own(&mut self, line: &'a Line) {
        let Some(words) = words(line) else {
            self.own_unknown = true;
            return;
        };
        match words.first().map(|word| &**word) {
            Some("server") => match words.get(1) {
                Some(name) if !name.contains('$') => {
                    self.own.insert(name.clone());
                }
                _ => self.own_unknown = true,
            },
            // Its servers are called by prefixes and numbers, as many as somebody says.
            Some("server-template") => self.own_unknown = true,
            Some(first) if first.starts_with('.') => self.own_unknown = true,
            _ => {}
        }
    }
}

/// The words of a line without their quotes; `None` where HAProxy alone knows what they are.
fn words(line: &Line) -> Option<Vec<Cow<'_, str>>> {
    scan(line.as_str()).ok()?.into_iter().map(unquoted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Name;

    fn setting<T>(inherited: &[&str], lines: &[&str], ask: impl FnOnce(&Setting<'_>) -> T) -> T {
        let parse = |texts: &[&str]| texts.iter().map(|text| Line::parse(text).unwrap()).collect::<Vec<_>>();
        let inherited = parse(inherited);
        let backend = Backend::new(Name::parse("web").unwrap(), parse(lines));
        ask(&Setting::new(&inherited.iter().collect::<Vec<_>>(), &backend))
    }

    fn fixed(lines: &[&str]) -> Option<String> {
        setting(&[], lines, |setting| setting.fixed.as_deref().map(str::to_owned))
    }

    #[test]
    fn servers_come_and_go_with_dynamic_algorithms() {
        for balance in [
            "",
            "balance roundrobin",
            "balance leastconn",
            "balance first",
            "balance random",
            "balance random(2) # two",
            "balance \"roundrobin\"",
        ] {
            assert_eq!(fixed(&[balance]), None, "{balance}");
            assert_eq!(fixed(&["mode http", balance]), None, "{balance}");
        }
        for balance in
            ["source", "uri whole", "url_param user", "hdr(host)", "rdp-cookie", "rdp-cookie(x)", "hash src"]
        {
            let balance = format!("balance {balance}");
            assert_eq!(fixed(&[&balance]), Some(balance.clone()));
            assert_eq!(fixed(&["hash-type map-based", &balance]), Some(balance.clone()));
            assert_eq!(fixed(&["hash-type consistent sdbm", &balance]), None, "{balance}");
        }
        for balance in ["balance static-rr", "balance", "balance sticky", "balance $ALGO", "balance new-one"]
        {
            assert_eq!(fixed(&[balance]), Some(balance.to_owned()));
            assert_eq!(fixed(&["hash-type consistent", balance]), Some(balance.to_owned()));
        }
    }

    #[test]
    fn what_is_not_understood_is_taken_for_static() {
        assert_eq!(fixed(&["mode log"]), Some("mode log".to_owned()));
        assert_eq!(fixed(&["balance roundrobin", ".if defined(X)"]), Some("what follows \".if\"".to_owned()));
        assert_eq!(fixed(&["balance \"$X\""]), Some("what follows \"balance\"".to_owned()));
        assert_eq!(fixed(&["balance \"roundrobin"]), Some("what follows \"balance\"".to_owned()));
    }

    #[test]
    fn a_backend_inherits_and_has_the_last_word() {
        let ask =
            |inherited: &[&str], lines: &[&str]| setting(inherited, lines, |setting| setting.fixed.is_none());
        assert!(!ask(&["balance source"], &[]));
        assert!(ask(&["balance source"], &["balance leastconn"]));
        assert!(ask(&["hash-type consistent"], &["balance source"]));
        assert!(!ask(&["hash-type consistent"], &["balance source", "hash-type map-based"]));
        assert!(setting(&["mode http"], &[], |setting| setting.http));
        assert!(!setting(&["mode http"], &["mode tcp"], |setting| setting.http));
        assert!(!setting(&[], &[], |setting| setting.http));
        let defaults = setting(&["default-server check inter 2s"], &["default-server inter 3s"], |setting| {
            setting.defaults.as_ref().unwrap().to_string()
        });
        assert_eq!(defaults, "check inter 2s inter 3s");
        assert!(setting(&["default-server check \""], &[], |setting| setting.defaults.is_err()));
        assert!(setting(&[], &["cookie S insert dynamic"], |setting| setting.dynamic_cookies));
        assert!(
            !setting(&["cookie S insert dynamic"], &["cookie S insert"], |setting| setting.dynamic_cookies)
        );
    }

    #[test]
    fn the_operators_servers_are_known() {
        let own = |lines: &[&str], server: &str| setting(&[], lines, |setting| setting.may_be_own(server));
        assert!(own(&["server a 10.0.0.1:80", "server  \"b\" 10.0.0.2:80"], "a"));
        assert!(own(&["server a 10.0.0.1:80", "server  \"b\" 10.0.0.2:80"], "b"));
        assert!(!own(&["server a 10.0.0.1:80", "# server c", "default-server check"], "c"));
        for unclear in [
            "server-template web 1-5 a:80",
            "server \"$X\" a:80",
            "server $X a:80",
            "server",
            ".if X",
            "x \"",
        ] {
            assert!(own(&[unclear], "anything"), "{unclear}");
        }
    }
}
