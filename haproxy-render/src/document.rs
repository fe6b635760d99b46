//! What a configuration says, as a value.

use std::net::Ipv6Addr;
use std::num::NonZeroU16;
use std::sync::Arc;

use crate::line::Line;
use crate::name::Name;
use crate::plan::Revision;
use crate::server::Server;

/// A whole configuration of HAProxy: what [`render`](crate::render) turns into a file.
///
/// Fields are public because their types hold all there is to hold: any document can be rendered, and nothing in it
/// can add a line or a word. Whether HAProxy accepts it is for `haproxy -c` to say; in particular, no two sections of
/// one kind may have one name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Document {
    /// Lines of the `global` section.
    pub global: Vec<Line>,
    /// What the process that runs this document says when it is asked for its [`Revision`]; `None` for no such stamp. See
    /// [`Renderer::revision`](crate::Renderer::revision).
    pub revision: Option<Revision>,
    /// Lines of the `defaults` section.
    pub defaults: Vec<Line>,
    /// Sections of the user's own, written after `defaults` in this order.
    pub extra_sections: Vec<Section>,
    /// Services, written in this order. They are shared so that one that did not change is known by its pointer.
    pub services: Vec<Arc<Service>>,
    /// First lines of `frontend shared-frontend`, which comes last and takes the
    /// [`shared_frontend`](Service::shared_frontend) lines of all services; `None` for no such frontend.
    pub shared_frontend: Option<Vec<Line>>,
}

/// A section of the user's own: a title, as `listen stats`, and its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Section {
    /// The first line of the section, keyword and name.
    pub title: Line,
    /// The lines below it.
    pub lines: Vec<Line>,
}

/// One service: a frontend that local clients talk to, and the backend with the servers that answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Service {
    /// What the user calls it. Not written to the file; sections have names of their own.
    pub name: Name,
    /// Its own frontend, if it has one.
    pub frontend: Option<Frontend>,
    /// Its backend, written even without servers, so that rules that name it stay valid.
    pub backend: Backend,
    /// Its lines in the shared frontend.
    pub shared_frontend: Vec<Line>,
}

/// A `frontend` section.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Frontend {
    /// The section's name.
    pub name: Name,
    /// The user's lines, written first.
    pub lines: Vec<Line>,
    /// Where it listens; `None` if the user's lines say so.
    pub bind: Option<Bind>,
    /// The backend that gets what the user's rules do not send elsewhere.
    pub default_backend: Name,
}

/// A `backend` section.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backend {
    /// The section's name.
    pub name: Name,
    /// The user's lines, written first.
    ///
    /// They should state `balance`: HAProxy's default changed in 3.3.
    pub lines: Vec<Line>,
    /// The servers, written in this order. Names and ids have to be unique.
    pub servers: Vec<Server>,
}

/// A `bind` line: `bind ADDRESS[:PORT] [OPTIONS]`, from the user's own configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bind {
    /// An address, a host name, `*`, or whatever else HAProxy listens on. An IPv6 address is written in brackets.
    pub address: Line,
    /// The port, unless the address needs none (a path) or has it.
    pub port: Option<NonZeroU16>,
    /// What follows, as `ssl crt /etc/ssl/site.pem`; may be empty.
    pub options: Line,
}

impl Document {
    /// A document of these two sections, for the caller to add to.
    pub fn new(global: Vec<Line>, defaults: Vec<Line>) -> Self {
        Self { global, defaults, ..Self::default() }
    }

    /// The lines of the `defaults` sections that the services' backends and frontends inherit from, in the order in which
    /// they apply: of the last `defaults` section before them, after those that it names by `from`.
    pub fn inherited(&self) -> Vec<&Line> {
        Section::inherited(&self.defaults, &self.extra_sections)
    }
}

impl Section {
    /// As [`Document::inherited`], of a document with these lines of `defaults` and these sections.
    pub fn inherited<'a>(defaults: &'a [Line], sections: &'a [Self]) -> Vec<&'a Line> {
        let Some(last) = sections.iter().rposition(Self::is_defaults) else {
            return defaults.iter().collect();
        };
        // Every step of the chain goes towards the start of the file: it ends.
        let mut chain = vec![last];
        let mut at = last;
        while let Some(parent) = sections[at].parent() {
            let named = |section: &Self| section.is_defaults() && section.name() == Some(parent);
            match sections[..at].iter().rposition(named) {
                Some(parent) => at = parent,
                None => break,
            }
            chain.push(at);
        }
        chain.iter().rev().flat_map(|&at| &sections[at].lines).collect()
    }

    fn words(&self) -> impl Iterator<Item = &str> {
        self.title.as_str().split('#').next().unwrap_or_default().split_ascii_whitespace()
    }

    fn is_defaults(&self) -> bool {
        self.words().next() == Some("defaults")
    }

    /// The section's name; a `defaults` section may have none.
    fn name(&self) -> Option<&str> {
        self.words().nth(1).filter(|word| *word != "from")
    }

    /// The section that it inherits from: `defaults NAME from PARENT`.
    fn parent(&self) -> Option<&str> {
        self.words().skip_while(|word| *word != "from").nth(1)
    }

    /// A section with this title and these lines.
    pub fn new(title: Line, lines: Vec<Line>) -> Self {
        Self { title, lines }
    }

    /// Turns `listen NAME ADDRESS:PORT`, which HAProxy refuses since 1.7, into `listen NAME` with a first line
    /// `bind ADDRESS:PORT`; `frontend` alike. The flag tells whether the title was of that kind, so that the caller can
    /// warn; any other section comes back as it was.
    ///
    /// ```
    /// use haproxy_render::{Line, Section};
    ///
    /// let old = Section::new(Line::parse("listen stats :1937")?, vec![Line::parse("stats enable")?]);
    /// let (new, rewritten) = old.modernised();
    /// assert!(rewritten);
    /// assert_eq!((new.title.as_str(), new.lines[0].as_str()), ("listen stats", "bind :1937"));
    /// # Ok::<(), haproxy_render::InvalidLine>(())
    /// ```
    pub fn modernised(mut self) -> (Self, bool) {
        let mut words = self.title.as_str().split_ascii_whitespace();
        let old = match (words.next(), words.next(), words.next()) {
            (Some(kind @ ("listen" | "frontend")), Some(name), Some(address)) if address.contains(':') => {
                // Options followed the address, as they follow it on a `bind` line.
                let bind: Vec<&str> = ["bind", address].into_iter().chain(words).collect();
                Some((format!("{kind} {name}"), bind.join(" ")))
            }
            _ => None,
        };
        let lines = old.and_then(|(title, bind)| Some((Line::parse(&title).ok()?, Line::parse(&bind).ok()?)));
        match lines {
            Some((title, bind)) => {
                self.title = title;
                self.lines.insert(0, bind);
                (self, true)
            }
            None => (self, false),
        }
    }
}

impl Service {
    /// A service with this backend and no frontend, for the caller to add to.
    pub fn new(name: Name, backend: Backend) -> Self {
        Self { name, frontend: None, backend, shared_frontend: Vec::new() }
    }
}

impl Frontend {
    /// A frontend that sends everything to `default_backend`, for the caller to add to.
    pub fn new(name: Name, default_backend: Name) -> Self {
        Self { name, lines: Vec::new(), bind: None, default_backend }
    }
}

impl Backend {
    /// A backend without servers.
    pub fn new(name: Name, lines: Vec<Line>) -> Self {
        Self { name, lines, servers: Vec::new() }
    }
}

impl Bind {
    /// A `bind` line without options.
    pub fn new(address: Line, port: Option<NonZeroU16>) -> Self {
        Self { address, port, options: Line::empty() }
    }

    /// The line as it is written.
    pub(crate) fn line(&self) -> String {
        let host = match self.address.as_str().parse::<Ipv6Addr>() {
            Ok(ip) => format!("[{ip}]"),
            Err(_) => self.address.to_string(),
        };
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        let blank = if self.options.as_str().is_empty() { "" } else { " " };
        format!("bind {host}{port}{blank}{}", self.options.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backends_inherit_from_the_last_defaults_before_them() {
        let line = |text: &str| Line::parse(text).unwrap();
        let section = |title: &str| Section::new(line(title), vec![line(&format!("# of {title}"))]);
        let inherited = |titles: &[&str]| {
            let mut document = Document::new(Vec::new(), vec![line("# first")]);
            document.extra_sections = titles.iter().map(|title| section(title)).collect();
            document.inherited().into_iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(inherited(&["listen stats", "userlist defaults"]), ["# first"]);
        assert_eq!(inherited(&["defaults a", "listen stats"]), ["# of defaults a"]);
        assert_eq!(
            inherited(&[
                "defaults a",
                "defaults b from a",
                "defaults",
                "defaults c from b",
                "listen d from a"
            ]),
            ["# of defaults a", "# of defaults b from a", "# of defaults c from b"]
        );
        assert_eq!(
            inherited(&["defaults a from b", "defaults b from a"]),
            ["# of defaults a from b", "# of defaults b from a"]
        );
        assert_eq!(inherited(&["defaults from x"]), ["# of defaults from x"]);
    }

    fn modernised(title: &str) -> Option<(String, String)> {
        let section = Section::new(Line::parse(title).unwrap(), Vec::new());
        let (new, rewritten) = section.clone().modernised();
        assert_eq!(rewritten, new != section);
        rewritten.then(|| (new.title.to_string(), new.lines[0].to_string()))
    }

    #[test]
    fn an_address_in_a_title_becomes_a_bind_line() {
        for (title, new, bind) in [
            ("listen stats :1937", "listen stats", "bind :1937"),
            ("listen  stats\t10.0.0.1:80,:81", "listen stats", "bind 10.0.0.1:80,:81"),
            ("listen stats [::]:80 ssl crt a", "listen stats", "bind [::]:80 ssl crt a"),
            ("frontend web *:80", "frontend web", "bind *:80"),
        ] {
            assert_eq!(modernised(title), Some((new.to_owned(), bind.to_owned())), "{title}");
        }
    }

    #[test]
    fn titles_of_today_stay() {
        for title in
            ["listen stats", "listen a:80", "listen a from base", "backend web :80", "userlist u", ""]
        {
            assert_eq!(modernised(title), None, "{title}");
        }
    }
}
