//! The options of a server, as far as a running process can be given them.

use std::fmt::Write;
use std::net::IpAddr;

use super::Capabilities;
use super::reason::Obstacle;
use crate::number::digits;
use crate::server::Server;
use crate::server_keyword::subject;
use crate::word::{groups, harmless, unquoted};

/// Most words of a command. HAProxy takes 64, and what it does with more depends on its version.
const MAX_WORDS: usize = 60;

/// Words of `add server BACKEND/SERVER`.
const BEFORE: usize = 3;

/// What follows `add server BACKEND/SERVER`: words of harmless characters with single blanks between them, not too many.
#[derive(Debug)]
pub(crate) struct Arguments {
    text: String,
    words: usize,
}

impl Arguments {
    /// Those of a server that [inherits nothing](Server::with_defaults). `down`: whether it is to be down until its checks
    /// pass, by `init-state`.
    pub(crate) fn of(server: &Server, capabilities: &Capabilities, down: bool) -> Result<Self, Obstacle> {
        if let Some(name) = server.address().dns() {
            // HAProxy would take the name, and never resolve it.
            return Err(Obstacle::Name(name.as_str().into()));
        }
        let mut arguments = Self { text: format!("{}:{}", server.address(), server.port()), words: 1 };
        let mut option = |words: &[&str]| arguments.option(words, capabilities);
        option(&["id", &server.id().to_string()])?;
        if server.backup() {
            option(&["backup"])?;
        }
        if let Some(cookie) = server.cookie() {
            option(&["cookie", cookie.as_str()])?;
        }
        let words = server.options().words();
        let groups = effective(&words, false);
        for group in &groups {
            option(group)?;
        }
        let given = |keyword: &str| groups.iter().any(|group| group[0] == keyword);
        for (keyword, value) in capabilities.idle_pool() {
            if !given(keyword) {
                option(&[keyword, value])?;
            }
        }
        if down && !given("init-state") {
            option(&["init-state", "fully-down"])?;
        }
        if let Some(weight) = server.weight() {
            option(&["weight", &weight.to_string()])?;
        }
        if arguments.words + BEFORE > MAX_WORDS { Err(Obstacle::Words) } else { Ok(arguments) }
    }

    fn option(&mut self, words: &[&str], capabilities: &Capabilities) -> Result<(), Obstacle> {
        let keyword = words[0];
        if !capabilities.takes(keyword) {
            return Err(Obstacle::Option(keyword.into(), capabilities.version().into()));
        }
        let plain = |word: &str| word.bytes().all(harmless) && !word.is_empty();
        let plain: Option<Vec<_>> =
            words.iter().map(|word| unquoted(word).filter(|word| plain(word))).collect();
        let plain = plain.ok_or_else(|| Obstacle::Characters(keyword.into()))?;
        if names_a_host(&plain) {
            return Err(Obstacle::Resolves(keyword.into()));
        }
        for word in &plain {
            write!(self.text, " {word}").expect("a `String` takes any text");
        }
        self.words += plain.len();
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn new(text: &str) -> Self {
        Self { text: text.to_owned(), words: 0 }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

/// Whether the option has a host name where HAProxy takes an address. At run time it is not resolved.
fn names_a_host(words: &[impl AsRef<str>]) -> bool {
    let is_ip = |text: &str| text.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    let is_source = |text: &str| {
        is_ip(text)
            || text.rsplit_once(':').is_some_and(|(host, _)| host.is_empty() || host == "*" || is_ip(host))
    };
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    match words[..] {
        ["addr" | "agent-addr", value] => !is_ip(value),
        ["source", value, ref rest @ ..] => {
            let by_keyword = |value: &str| {
                matches!(value, "client" | "clientip") || value.starts_with("hdr_ip(") || is_source(value)
            };
            let rest_resolves =
                rest.chunks(2).any(|pair| matches!(pair, ["usesrc", value] if !by_keyword(value)));
            !(value == "*" || is_source(value)) || rest_resolves
        }
        _ => false,
    }
}

/// The options that make a difference: of two about one thing the later, and none that only says what holds anyway.
/// `named`: whether the server's address is a name.
fn effective<'a, 'w>(words: &'a [&'w str], named: bool) -> Vec<&'a [&'w str]> {
    let groups = groups(words);
    let later = |at: usize| {
        let this = subject(groups[at][0]);
        groups[at + 1..].iter().any(|group| subject(group[0]) == this)
    };
    let last: Vec<&[&str]> = (0..groups.len()).filter(|&at| !later(at)).map(|at| groups[at]).collect();
    let given = |keyword: &str| last.iter().any(|group| group[0].starts_with(keyword));
    let idle = |keyword: &str| match keyword {
        // What a server that says nothing does.
        "enabled"
        | "no-agent-check"
        | "no-backup"
        | "no-check"
        | "no-send-proxy"
        | "no-send-proxy-v2"
        | "no-send-proxy-v2-ssl"
        | "no-send-proxy-v2-ssl-cn"
        | "no-ssl"
        | "no-tfo"
        | "ssl-reuse"
        | "stick" => true,
        // Without these, checks do as the traffic does.
        "no-check-ssl" => !last.iter().any(|group| group[0] == "ssl"),
        "no-check-send-proxy" => !given("send-proxy"),
        // An address that is known is not looked for.
        "init-addr" | "resolve-net" | "resolve-opts" | "resolve-prefer" | "resolvers" => !named,
        _ => false,
    };
    last.iter().copied().filter(|group| !idle(group[0])).collect()
}

/// Whether it has an option; not whether another one lifts it.
pub(crate) fn has(server: &Server, keyword: &str) -> bool {
    !server.options().is_empty() && server.options().contains(keyword)
}

/// Whether it has health checks.
pub(crate) fn is_checked(server: &Server) -> bool {
    is_on(server, "check")
}

/// Whether an agent says how it is: it may change its weight and put it into maintenance.
pub(crate) fn has_agent(server: &Server) -> bool {
    is_on(server, "agent-check")
}

fn is_on(server: &Server, keyword: &str) -> bool {
    let words = server.options().words();
    let groups = groups(&words);
    groups.iter().rfind(|group| subject(group[0]) == keyword).is_some_and(|group| group[0] == keyword)
}

/// Whether a server with this option is one that HAProxy never deletes at run time.
pub(crate) fn is_pinned(server: &Server) -> bool {
    has(server, "resolvers")
}

/// How many connections it may have at once, 0 for any number; `None` if that is more than a number says.
pub(crate) fn maxconn(server: &Server) -> Option<u32> {
    value(server, "maxconn", 0).filter(|_| !has(server, "minconn"))
}

/// The number that follows an option; `None` if it is none.
pub(crate) fn value(server: &Server, keyword: &str, default: u32) -> Option<u32> {
    let words = server.options().words();
    match groups(&words).iter().rfind(|group| group[0] == keyword) {
        Some(group) => digits(&unquoted(group.get(1)?)?),
        None => Some(default),
    }
}

/// Whether two servers differ in nothing that has to be said when a server is added, but for address, weight and `maxconn`.
pub(crate) fn same_make(a: &Server, b: &Server) -> bool {
    if (a.id(), a.backup(), a.cookie()) != (b.id(), b.backup(), b.cookie()) {
        return false;
    }
    if a.options() == b.options() {
        return true;
    }
    let named = a.address().dns().is_some() || b.address().dns().is_some();
    let (a, b) = (a.options().words(), b.options().words());
    let (a, b) = (effective(&a, named), effective(&b, named));
    let counts = |group: &&&[&str]| group[0] != "maxconn";
    a.iter().filter(counts).eq(b.iter().filter(counts))
}

/// Whether two servers may have as many connections.
pub(crate) fn same_limit(a: &Server, b: &Server) -> bool {
    let limit = |server: &Server| {
        let words = server.options().words();
        groups(&words).iter().rfind(|group| group[0] == "maxconn").copied().map(<[&str]>::concat)
    };
    a.options() == b.options() || limit(a) == limit(b)
}

/// Whether `set server … addr` makes the server what it would be if it had been added with the new address.
pub(crate) fn can_move(server: &Server) -> bool {
    // A check elsewhere stays where it is told to be; the place on the ring that an address gives is taken when it is added.
    ["addr", "port", "agent-addr", "hash-key", "resolvers", "track"]
        .iter()
        .all(|keyword| !has(server, keyword))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use super::*;
    use crate::plan::Version;
    use crate::{Address, Cookie, Name, ServerId, ServerOptions, Weight};

    fn server(address: &str, options: &str) -> Server {
        let options = ServerOptions::trusted(options).unwrap();
        Server::builder(
            Name::parse("a").unwrap(),
            Address::parse(address).unwrap(),
            NonZeroU16::new(80).unwrap(),
            ServerId::MIN,
        )
        .options(options)
        .build()
        .unwrap()
    }

    fn arguments(version: &str, options: &str) -> Result<String, String> {
        let capabilities = Capabilities::of(Version::parse(version).unwrap());
        Arguments::of(&server("10.0.0.1", options), &capabilities, false)
            .map(|arguments| arguments.text.strip_prefix("10.0.0.1:80 id 1").unwrap().trim_start().to_owned())
            .map_err(|obstacle| obstacle.to_string())
    }

    #[test]
    fn all_of_a_server_is_said() {
        let server = Server::builder(
            Name::parse("a").unwrap(),
            Address::parse("::1").unwrap(),
            NonZeroU16::new(80).unwrap(),
            ServerId::MAX,
        )
        .options(ServerOptions::trusted("check inter 2s").unwrap())
        .backup(true)
        .cookie(Cookie::parse("c").ok())
        .weight(Weight::new(3).ok())
        .build()
        .unwrap();
        let said = |version: &str, down| {
            let capabilities = Capabilities::of(Version::parse(version).unwrap());
            Arguments::of(&server, &capabilities, down).unwrap().text
        };
        let text = "[::1]:80 id 2147483647 backup cookie c check inter 2s weight 3";
        assert_eq!(said("3.0", false), text);
        assert_eq!(said("3.2", true), text.replace(" weight", " init-state fully-down weight"));
    }

    #[test]
    fn an_old_haproxy_is_told_to_keep_connections() {
        assert_eq!(arguments("2.6", "").unwrap(), "pool-max-conn -1 pool-purge-delay 5s");
        assert_eq!(arguments("2.8", "pool-max-conn 9").unwrap(), "pool-max-conn 9 pool-purge-delay 5s");
        assert_eq!(arguments("3.0", "").unwrap(), "");
    }

    #[test]
    fn only_what_makes_a_difference_is_said() {
        for (options, expected) in [
            ("check inter 2s inter 3s", "check inter 3s"),
            ("ssl verify none no-ssl", "verify none"),
            ("check no-check", ""),
            ("no-check check", "check"),
            ("enabled no-backup no-agent-check no-send-proxy stick", ""),
            ("init-addr none resolvers dns resolve-prefer ipv4", ""),
            ("no-check-ssl no-check-send-proxy", ""),
            ("source 10.0.0.1 usesrc clientip interface lo", "source 10.0.0.1 usesrc clientip interface lo"),
            ("source *", "source *"),
            ("source :1024-2048 addr ::1", "source :1024-2048 addr ::1"),
            ("source [::1]:1024", "source [::1]:1024"),
            ("sni \"str(a)\" alpn 'h2,http/1.1'", "sni str(a) alpn h2,http/1.1"),
        ] {
            assert_eq!(arguments("3.0", options).as_deref(), Ok(expected), "{options}");
        }
    }

    #[test]
    fn what_can_not_be_said_is_an_obstacle() {
        for (version, options, expected) in [
            ("3.0", "max-reuse 5", "HAProxy 3.0 does not take option \"max-reuse\" at run time"),
            ("2.6", "cookie a", "HAProxy 2.6 does not take option \"cookie\" at run time"),
            ("3.0", "init-state down", "HAProxy 3.0 does not take option \"init-state\" at run time"),
            ("3.0", "no-such", "HAProxy 3.0 does not take option \"no-such\" at run time"),
            ("3.0", "ssl no-check-ssl", "HAProxy 3.0 does not take option \"no-check-ssl\" at run time"),
            (
                "3.0",
                "send-proxy-v2 no-check-send-proxy",
                "HAProxy 3.0 does not take option \"no-check-send-proxy\" at run time",
            ),
            (
                "3.0",
                "sni \"str(a b)\"",
                "the value of option \"sni\" has characters that a command can not carry",
            ),
            (
                "3.0",
                "agent-send a;b",
                "the value of option \"agent-send\" has characters that a command can not carry",
            ),
            (
                "3.0",
                "agent-send \"$A\"",
                "the value of option \"agent-send\" has characters that a command can not carry",
            ),
            (
                "3.0",
                "agent-send <<",
                "the value of option \"agent-send\" has characters that a command can not carry",
            ),
            ("3.0", "addr localhost", "option \"addr\" has a name, which is not resolved at run time"),
            (
                "3.0",
                "source me.example:80",
                "option \"source\" has a name, which is not resolved at run time",
            ),
            (
                "3.0",
                "source 10.0.0.1 usesrc me",
                "option \"source\" has a name, which is not resolved at run time",
            ),
        ] {
            assert_eq!(arguments(version, options), Err(expected.to_owned()), "{options}");
        }
        let capabilities = Capabilities::of(Version::parse("3.0").unwrap());
        let named = Arguments::of(&server("db.example", ""), &capabilities, false).unwrap_err();
        assert_eq!(
            named.to_string(),
            "its address \"db.example\" is a name, which is not resolved at run time"
        );
    }

    #[test]
    fn the_longest_command_has_sixty_words() {
        // 47 words of options, none of them twice: what a server can have.
        let many: Vec<String> = (0..23).map(|number| format!("set-proxy-v2-tlv-fmt({number}) a")).collect();
        let options = ServerOptions::trusted(&format!("tfo {}", many.join(" "))).unwrap();
        let longest = |cookie: Option<Cookie>| {
            let place = Address::parse("10.0.0.1").unwrap();
            Server::builder(Name::parse("a").unwrap(), place, NonZeroU16::MIN, ServerId::MIN)
                .options(options.clone())
                .backup(true)
                .cookie(cookie)
                .weight(Weight::new(5).ok())
                .build()
                .unwrap()
        };
        let new = Capabilities::of(Version::parse("3.2").unwrap());
        let words = Arguments::of(&longest(Cookie::parse("c").ok()), &new, true).unwrap().words;
        assert_eq!(words + BEFORE, MAX_WORDS);
        assert!(longest(None).with_defaults(&ServerOptions::trusted("check").unwrap()).is_err());
    }

    #[test]
    fn two_servers_are_of_one_make_when_they_are_added_alike() {
        let same = |a, b| same_make(&server("10.0.0.1", a), &server("10.0.0.2", b));
        assert!(same("check", "check") && same("check inter 2s", "check inter 1s inter 2s"));
        assert!(same("maxconn 5 check", "check maxconn 7") && same("check maxconn 5", "check"));
        assert!(same("no-ssl", "") && same("weight 4", "weight 5"));
        assert!(!same("check", "") && !same("check inter 2s", "check inter 3s"));
        assert!(!same("backup", "") && !same("cookie a", "cookie b") && !same("cookie a", ""));
        assert!(!same_make(&server("10.0.0.1", ""), &server("10.0.0.1", "").with_id(ServerId::MAX)));
    }

    #[test]
    fn the_last_word_on_a_matter_counts() {
        assert!(is_checked(&server("10.0.0.1", "no-check check")));
        assert!(!is_checked(&server("10.0.0.1", "check no-check")));
        assert!(!is_checked(&server("10.0.0.1", "agent-send check")));
        assert!(has_agent(&server("10.0.0.1", "agent-check agent-port 1")));
        assert_eq!(maxconn(&server("10.0.0.1", "maxconn 5 maxconn \"6\"")), Some(6));
        assert_eq!(maxconn(&server("10.0.0.1", "check")), Some(0));
        assert_eq!(maxconn(&server("10.0.0.1", "maxconn x")), None);
        assert_eq!(maxconn(&server("10.0.0.1", "maxconn 9 minconn 2")), None);
    }
}
