//! What a section's lines say about a few things that a renderer has to know.
//!
//! Words are compared whole and without regard to case; of several lines HAProxy takes the last, and so do these.

use crate::line::Line;
use crate::option::{InvalidOption, ServerOptions};
use crate::server_keyword::base;
use crate::word::groups;

/// The words of a line up to a comment. Quotes are not looked into: none of the directives here needs any.
fn words(line: &Line) -> impl Iterator<Item = &str> {
    line.as_str().split('#').next().unwrap_or_default().split_ascii_whitespace()
}

/// The value of the last line that starts with `keyword`: its second word.
fn last<'a>(lines: &'a [Line], keyword: &str) -> Option<&'a str> {
    lines.iter().rev().find_map(|line| {
        let mut words = words(line);
        words.next().filter(|first| first.eq_ignore_ascii_case(keyword))?;
        words.next()
    })
}

/// Whether a `cookie NAME …` line is there: without one, in the backend or in the defaults, the `cookie` of a server
/// has no effect, and below HAProxy 3.0 it keeps the server from being added at run time.
pub fn has_cookie(lines: &[Line]) -> bool {
    last(lines, "cookie").is_some()
}

/// The value of `mode`: `http`, `tcp`, …
pub fn mode(lines: &[Line]) -> Option<&str> {
    last(lines, "mode")
}

/// The algorithm of `balance`: `roundrobin`, `leastconn`, `hdr(host)`, …
pub fn balance(lines: &[Line]) -> Option<&str> {
    last(lines, "balance")
}

/// Whether the `cookie` line has HAProxy compute the servers' cookies (`dynamic`). It does so only for servers that have none.
pub fn has_dynamic_cookies(lines: &[Line]) -> bool {
    let cookie = |line: &&Line| words(line).next().is_some_and(|first| first.eq_ignore_ascii_case("cookie"));
    lines.iter().rfind(cookie).is_some_and(|line| words(line).skip(2).any(|word| word == "dynamic"))
}

/// The line that states the algorithm that HAProxy took without being told up to 3.2, and Synapse's users with it. From 3.3
/// on it is `random`.
pub const BALANCE: &str = "balance roundrobin";

/// Whether a backend leaves the algorithm to HAProxy, and can say it: [`BALANCE`] may stand before its own lines.
///
/// To be asked of the lines that it inherits and then of its own. `false` where something else than an algorithm decides
/// (`dispatch`, `option transparent`, with which HAProxy refuses or ignores `balance`), and in modes other than `http` and
/// `tcp`.
///
/// ```
/// use haproxy_render::{Line, directive};
///
/// let lines = |texts: &[&str]| texts.iter().map(|text| Line::parse(text)).collect::<Result<Vec<_>, _>>();
/// assert!(directive::lacks_balance(&lines(&["mode http", "option httpchk"])?));
/// assert!(!directive::lacks_balance(&lines(&["mode http", "balance leastconn"])?));
/// # Ok::<(), haproxy_render::InvalidLine>(())
/// ```
pub fn lacks_balance<'a>(lines: impl IntoIterator<Item = &'a Line>) -> bool {
    let mut by_algorithm = true;
    for line in lines {
        let mut words = words(line);
        let first = words.next().unwrap_or_default();
        match (first, words.next().unwrap_or_default()) {
            ("balance" | "dispatch" | "transparent", _) | ("option", "transparent" | "http_proxy") => {
                return false;
            }
            ("mode", mode) => by_algorithm = matches!(mode, "http" | "tcp"),
            _ => {}
        }
    }
    by_algorithm
}

/// Whether a `default-server` line sets `init-addr`, so that servers need not.
///
/// To be asked of the backend's lines and of the defaults': a backend inherits.
pub fn sets_init_addr(lines: &[Line]) -> bool {
    lines.iter().any(|line| {
        let mut words = words(line);
        words.next().is_some_and(|first| first.eq_ignore_ascii_case("default-server"))
            && words.any(|word| word.eq_ignore_ascii_case("init-addr"))
    })
}

/// What the `default-server` lines among these say together, later ones last: for
/// [`Server::with_defaults`](crate::Server::with_defaults).
///
/// To be asked of the lines of the defaults and then of the backend, in one go: a backend inherits, and adds to what it
/// inherits. Fails on a line that HAProxy would not take, and on more options than a server can have.
///
/// ```
/// use haproxy_render::{Line, directive};
///
/// let lines = ["default-server inter 2s # slow", "balance leastconn", "default-server check inter 5s"];
/// let lines = lines.map(|line| Line::parse(line).unwrap());
/// assert_eq!(directive::default_server(&lines)?.as_str(), "inter 2s check inter 5s");
/// # Ok::<(), haproxy_render::InvalidOption>(())
/// ```
pub fn default_server<'a>(lines: impl IntoIterator<Item = &'a Line>) -> Result<ServerOptions, InvalidOption> {
    lines.into_iter().try_fold(ServerOptions::none(), |all, line| {
        let text = line.as_str();
        let (first, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
        if !first.eq_ignore_ascii_case("default-server") {
            return Ok(all);
        }
        all.join(&ServerOptions::trusted(rest)?)
    })
}

/// What servers inherit by these lines, if all of it can be written out on their own lines, too, without a change of meaning;
/// `None` where HAProxy alone knows (conditions, lines that it would not take), or where an option that is there twice would
/// count twice.
///
/// To be asked as [`default_server`].
pub fn written_out<'a>(lines: impl IntoIterator<Item = &'a Line>) -> Option<ServerOptions> {
    let lines: Vec<&Line> = lines.into_iter().collect();
    if lines.iter().any(|line| line.as_str().starts_with('.')) {
        return None;
    }
    let options = default_server(lines).ok()?;
    let words = options.words();
    let adds_up = groups(&words).iter().any(|group| base(group[0]) == "set-proxy-v2-tlv-fmt");
    (!adds_up).then_some(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(lines: &[&str]) -> Vec<Line> {
        lines.iter().map(|line| Line::parse(line).unwrap()).collect()
    }

    #[test]
    fn words_are_compared_whole() {
        assert!(has_cookie(&lines(&["mode http", "cookie\tSRV insert"])));
        assert!(!has_cookie(&lines(&[
            "dynamic-cookie-key x",
            "cookies SRV",
            "# cookie SRV",
            "cookie",
            "cookie # x"
        ])));
        assert_eq!(mode(&lines(&["modem tcp"])), None);
    }

    #[test]
    fn the_last_line_counts() {
        assert_eq!(mode(&lines(&["mode http", "balance first", "mode  tcp # not http"])), Some("tcp"));
        assert_eq!(
            balance(&lines(&["balance source", "balance hdr(host) use_domain_only"])),
            Some("hdr(host)")
        );
        assert_eq!(balance(&[]), None);
    }

    #[test]
    fn default_server_lines_add_up() {
        let all = |texts: &[&str]| default_server(&lines(texts)).map(|options| options.to_string());
        assert_eq!(
            all(&["default-server\tcheck  inter 2s", "server a b:1 weight 2", "default-server # none"]),
            Ok("check inter 2s".to_owned())
        );
        assert_eq!(all(&["default-server", "default-servers check"]), Ok(String::new()));
        assert!(all(&["default-server sni \"str(a)"]).is_err());
        assert!(all(&["default-server id 5"]).is_err());
    }

    #[test]
    fn only_a_backend_that_leaves_the_algorithm_to_haproxy_lacks_it() {
        let lacks = |texts: &[&str]| lacks_balance(&lines(texts));
        assert!(lacks(&[]) && lacks(&["mode http", "# balance source"]) && lacks(&["mode log", "mode tcp"]));
        for stated in
            ["balance source", "dispatch 10.0.0.1:80", "option transparent", "transparent", "mode log"]
        {
            assert!(!lacks(&["mode http", stated]), "{stated}");
        }
        assert!(!lacks(&["balance first", "mode tcp"]), "what is inherited is stated");
        assert!(Line::parse(BALANCE).is_ok_and(|line| !lacks_balance([&line])));
    }

    #[test]
    fn dynamic_cookies_are_those_of_the_last_cookie_line() {
        assert!(has_dynamic_cookies(&lines(&["cookie S insert dynamic"])));
        assert!(!has_dynamic_cookies(&lines(&["cookie S insert dynamic", "cookie S insert # dynamic"])));
        assert!(!has_dynamic_cookies(&lines(&["cookie dynamic insert", "dynamic-cookie-key dynamic"])));
    }

    #[test]
    fn what_can_not_stand_on_each_server_line_is_not_written_out() {
        let out = |texts: &[&str]| written_out(&lines(texts)).map(|options| options.to_string());
        assert_eq!(
            out(&["default-server check", "default-server inter 2s"]),
            Some("check inter 2s".to_owned())
        );
        assert_eq!(out(&["balance first"]), Some(String::new()));
        assert_eq!(out(&[".if defined(X)", "default-server check", ".endif"]), None);
        assert_eq!(out(&["default-server sni \"a"]), None);
        assert_eq!(out(&["default-server set-proxy-v2-tlv-fmt(0x20) %[src]"]), None);
    }

    #[test]
    fn init_addr_counts_only_on_default_server() {
        assert!(sets_init_addr(&lines(&["default-server inter 2s init-addr none", "default-server fall 2"])));
        assert!(!sets_init_addr(&lines(&[
            "server a b:80 init-addr none",
            "default-server fall 2 # init-addr none"
        ])));
    }
}
