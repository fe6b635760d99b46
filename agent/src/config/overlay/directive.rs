//! Which lines of HAProxy's language a registry may write.
//!
//! A list of what is allowed, with the form of each: what is not here is refused. Whoever may write into the registry of a
//! service gets no power beyond that service: no line runs, loads, reads, writes, logs to or listens at anything, evaluates an
//! expression, or names another section. And each is such that HAProxy takes it wherever the service stands, in any version
//! from 2.6 to 3.4: one service's settings must not keep the others from being served.

#[cfg(test)]
pub(super) mod tests;

use haproxy_render::Line;

use super::{
    topic::Topic,
    word::{duration, few, hex, ipv4_network, name, number, statuses, token, uri},
};
use crate::config::report::quoted;

/// Longest line, in bytes, and most words. HAProxy takes 64 words.
const MAX_BYTES: usize = 512;
const MAX_WORDS: usize = 32;

/// A line that a registry may write: words with single blanks between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Directive {
    line: Line,
    /// The mode that it states, if it states one: whether it may is the service's affair.
    mode: Option<&'static str>,
}

/// Why a line is refused.
enum Refusal {
    /// The directive is none of those that are allowed.
    Denied(&'static str),
    /// What follows it has to be this.
    Form(&'static str),
}

impl Directive {
    /// Reads one line. The error says which directive it is and why it is refused; values are not repeated.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_BYTES {
            return Err(format!("the line has more than {MAX_BYTES} bytes"));
        }
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        if words.len() > MAX_WORDS {
            return Err(format!("the line has more than {MAX_WORDS} words"));
        }
        // Before anything else: quotes, backslashes, `$` and `#` can make other words of these than are judged here.
        if !words.iter().all(|word| word.bytes().all(plain)) {
            let allowed =
                "only letters, digits and _ . : @ / + = ~ ! % * , ( ) ? & - may come from a registry";
            return Err(format!("{}: {allowed}", named(&words)));
        }
        judge(&words).map_err(|refusal| match refusal {
            Refusal::Denied(reason) => format!("{}: a registry may not use it: {reason}", named(&words)),
            Refusal::Form(expected) => format!("{}: expected {expected}", named(&words)),
        })?;
        let mode = match words[..] {
            ["mode", "http"] => Some("http"),
            ["mode", _] => Some("tcp"),
            _ => None,
        };
        Ok(Self { line: Line::parse(&words.join(" ")).map_err(|error| error.to_string())?, mode })
    }

    pub(super) fn line(&self) -> &Line {
        &self.line
    }

    pub(super) fn mode(&self) -> Option<&'static str> {
        self.mode
    }

    /// What it sets; `None` if it adds to what is there.
    pub(super) fn topic(&self) -> Option<Topic<'_>> {
        Topic::of(&self.line)
    }
}

fn plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_.:@/+=~!%*,()?&-".contains(&byte)
}

/// The directive as people call it: its first word, and the second where that is part of the name.
fn named(words: &[&str]) -> String {
    let long = ["option", "no", "timeout", "http-request", "http-response", "http-check", "tcp-check"];
    let count = if words.first().is_some_and(|first| long.contains(first)) { 2 } else { 1 };
    quoted(&words.iter().take(count).copied().collect::<Vec<_>>().join(" "))
}

const DURATION: Refusal = Refusal::Form("a duration as 500, 2s or 1m, below 24 days");
const NUMBER: Refusal = Refusal::Form("a number from 1 to 2147483647");
const NOTHING: Refusal = Refusal::Form("nothing behind it");

fn judge(words: &[&str]) -> Result<(), Refusal> {
    let form = |right: bool, otherwise: Refusal| if right { Ok(()) } else { Err(otherwise) };
    match words {
        ["mode", rest @ ..] => form(matches!(rest, ["http" | "tcp"]), Refusal::Form("http or tcp")),
        ["balance", rest @ ..] => form(balance(rest), Refusal::Form("an algorithm of HAProxy")),
        ["hash-type", rest @ ..] => form(hash_type(rest), Refusal::Form("a method, a function, a modifier")),
        ["fullconn" | "maxconn", rest @ ..] => form(matches!(rest, [n] if number(n, 1)), NUMBER),
        ["rate-limit", rest @ ..] => form(matches!(rest, ["sessions", n] if number(n, 1)), NUMBER),
        ["retries", rest @ ..] => {
            form(matches!(rest, [n] if few(n) || *n == "0"), Refusal::Form("a number from 0 to 100"))
        }
        ["retry-on", rest @ ..] => form(retry_on(rest), Refusal::Form("failures that HAProxy can retry")),
        ["http-reuse", rest @ ..] => {
            let right = matches!(rest, ["never" | "safe" | "aggressive" | "always"]);
            form(right, Refusal::Form("never, safe, aggressive or always"))
        }
        ["timeout", rest @ ..] => timeout(rest),
        ["cookie", rest @ ..] => form(cookie(rest), Refusal::Form("a name and options that go together")),
        ["no", "option", name] if SWITCHES.contains(name) => Ok(()),
        ["option", name, rest @ ..] => option(name, rest),
        ["http-check", rest @ ..] => http_check(rest),
        ["tcp-check", rest @ ..] => tcp_check(rest),
        ["http-request" | "http-response", "set-header" | "add-header", rest @ ..] => {
            let right = matches!(rest, [header, text] if name(header) && !text.contains('%'));
            form(right, Refusal::Form("the name of a header and one word without `%`"))
        }
        ["http-request" | "http-response", "del-header", rest @ ..] => {
            form(matches!(rest, [header] if name(header)), Refusal::Form("the name of a header"))
        }
        _ => Err(Refusal::Denied(why_denied(words))),
    }
}

/// Why a directive is not allowed, where there is more to say than that it is not.
fn why_denied(words: &[&str]) -> &'static str {
    let words = words.strip_prefix(&["no"]).unwrap_or(words);
    let Some(first) = words.first() else { return "it is no directive" };
    match *first {
        "bind" | "crt" => "where this machine listens is the operator's to say",
        "external-check" => "it runs a command",
        "option" if words.get(1) == Some(&"external-check") => "it runs a command",
        "errorfile" | "errorfiles" | "load-server-state-from-file" | "server-state-file-name" => {
            "it makes HAProxy read a file"
        }
        "log" | "log-format" | "log-format-sd" | "log-tag" | "email-alert" | "capture" => {
            "what is logged, and where to, is the operator's to say"
        }
        "server" | "server-template" | "dispatch" | "use-server" | "source" | "default-server" => {
            "servers are announced one by one, and their options are `server_options`"
        }
        "use_backend" | "default_backend" | "id" | "guid" | "stick-table" | "stick" | "filter"
        | "use-fcgi-app" | "persist" | "declare" => "it names, or clashes with, other parts of the file",
        "stats" | "monitor" | "monitor-uri" => "what HAProxy shows of itself is the operator's to say",
        "disabled" | "enabled" => "whether HAProxy serves the service is the operator's to say",
        "acl"
        | "redirect"
        | "tcp-request"
        | "tcp-response"
        | "http-request"
        | "http-response"
        | "http-after-response"
        | "http-error"
        | "unique-id-format"
        | "unique-id-header"
        | "force-persist"
        | "ignore-persist" => "it can evaluate expressions, which can read files and variables",
        _ => "it is not among the directives for it",
    }
}

fn balance(words: &[&str]) -> bool {
    match words {
        ["roundrobin" | "static-rr" | "leastconn" | "first" | "source" | "random" | "rdp-cookie"] => true,
        ["uri", options @ ..] => {
            let mut rest = options;
            loop {
                rest = match rest {
                    [] => return true,
                    ["whole" | "path-only", after @ ..] => after,
                    ["len" | "depth", count, after @ ..] if number(count, 1) => after,
                    _ => return false,
                };
            }
        }
        ["url_param", parameter] | ["url_param", parameter, "check_post"] => name(parameter),
        [one] | [one, "use_domain_only"] => {
            let inside = |function: &str| one.strip_prefix(function)?.strip_prefix('(')?.strip_suffix(')');
            inside("hdr").is_some_and(name)
                || words.len() == 1
                    && (inside("random").is_some_and(few) || inside("rdp-cookie").is_some_and(name))
        }
        _ => false,
    }
}

fn hash_type(words: &[&str]) -> bool {
    let function = |word: &str| matches!(word, "sdbm" | "djb2" | "wt6" | "crc32");
    match words {
        ["map-based" | "consistent"] => true,
        ["map-based" | "consistent", by] | ["map-based" | "consistent", by, "avalanche"] => function(by),
        _ => false,
    }
}

fn retry_on(words: &[&str]) -> bool {
    let failure = |word: &&str| {
        matches!(
            *word,
            "conn-failure"
                | "empty-response"
                | "junk-response"
                | "response-timeout"
                | "0rtt-rejected"
                | "all-retryable-errors"
                | "401"
                | "403"
                | "404"
                | "408"
                | "425"
                | "500"
                | "501"
                | "502"
                | "503"
                | "504"
        )
    };
    words == ["none"] || (!words.is_empty() && words.iter().all(failure))
}

fn timeout(words: &[&str]) -> Result<(), Refusal> {
    const KINDS: &[&str] = &[
        "check",
        "client",
        "client-fin",
        "connect",
        "http-keep-alive",
        "http-request",
        "queue",
        "server",
        "server-fin",
        "tarpit",
        "tunnel",
    ];
    match words {
        [kind, time] if KINDS.contains(kind) && duration(time) => Ok(()),
        [kind, ..] if KINDS.contains(kind) => Err(DURATION),
        _ => Err(Refusal::Form("client, server, connect or another timeout of HAProxy")),
    }
}

fn cookie(words: &[&str]) -> bool {
    let [cookie, options @ ..] = words else { return false };
    let (mut kinds, mut inserts, mut indirect, mut preserve) = (0, false, false, false);
    let mut rest = options;
    loop {
        rest = match rest {
            [] => break,
            [kind @ ("insert" | "rewrite" | "prefix"), after @ ..] => {
                (kinds, inserts) = (kinds + 1, *kind == "insert");
                after
            }
            ["indirect", after @ ..] => {
                indirect = true;
                after
            }
            ["preserve", after @ ..] => {
                preserve = true;
                after
            }
            ["nocache" | "postonly" | "httponly" | "secure", after @ ..] => after,
            ["maxidle" | "maxlife", time, after @ ..] if duration(time) => after,
            ["domain", domain, after @ ..] if name(domain) => after,
            _ => return false,
        };
    }
    let rewrites = options.contains(&"rewrite");
    name(cookie) && kinds <= 1 && !(rewrites && indirect) && (!preserve || inserts || indirect)
}

/// Options without a value that can be taken back by `no option`.
const SWITCHES: &[&str] = &[
    "abortonclose",
    "allbackups",
    "clitcpka",
    "dontlognull",
    "http-ignore-probes",
    "http-keep-alive",
    "http-no-delay",
    "http-pretend-keepalive",
    "http-server-close",
    "httpclose",
    "idle-close-on-response",
    "log-health-checks",
    "prefer-last-server",
    "redispatch",
    "srvtcpka",
    "tcp-smart-accept",
    "tcp-smart-connect",
];

fn option(option: &str, rest: &[&str]) -> Result<(), Refusal> {
    let form =
        |right: bool, expected: &'static str| if right { Ok(()) } else { Err(Refusal::Form(expected)) };
    match (option, rest) {
        ("redispatch", [count]) => {
            form(number(count.strip_prefix('-').unwrap_or(count), 0), "a number, or nothing")
        }
        (option, []) if SWITCHES.contains(&option) => Ok(()),
        (
            "tcpka" | "httplog" | "tcplog" | "tcp-check" | "ssl-hello-chk" | "redis-check" | "ldap-check",
            [],
        ) => Ok(()),
        ("httpchk", _) => {
            let right = match rest {
                [] => true,
                [path] => uri(path),
                [method, path] | [method, path, "HTTP/1.0" | "HTTP/1.1"] => token(method) && uri(path),
                _ => false,
            };
            form(right, "a method, a path that begins with `/`, HTTP/1.0 or HTTP/1.1, each optional")
        }
        ("mysql-check", _) => {
            let right = match rest {
                [] => true,
                ["user", user] | ["user", user, "post-41" | "pre-41"] => name(user),
                _ => false,
            };
            form(right, "nothing, or `user` and a name")
        }
        ("pgsql-check", _) => form(matches!(rest, ["user", user] if name(user)), "`user` and a name"),
        ("smtpchk", _) => {
            let right = rest.is_empty() || matches!(rest, ["HELO" | "EHLO", domain] if name(domain));
            form(right, "nothing, or HELO or EHLO and a domain")
        }
        ("forwardfor" | "originalto", _) => {
            form(forwarded(rest, option == "forwardfor"), "`except` a network, `header` a name, `if-none`")
        }
        ("http-restrict-req-hdr-names", _) => {
            form(matches!(rest, ["preserve" | "delete" | "reject"]), "preserve, delete or reject")
        }
        (option, _) if SWITCHES.contains(&option) => Err(NOTHING),
        _ => Err(Refusal::Denied(why_denied(&["option", option]))),
    }
}

/// What may follow `option forwardfor`, with `if-none`, and `option originalto`, without.
fn forwarded(mut rest: &[&str], if_none: bool) -> bool {
    loop {
        rest = match rest {
            [] => return true,
            ["except", network, after @ ..] if ipv4_network(network) => after,
            ["header", header, after @ ..] if name(header) => after,
            ["if-none", after @ ..] if if_none => after,
            _ => return false,
        };
    }
}

fn http_check(words: &[&str]) -> Result<(), Refusal> {
    match words {
        ["disable-on-404" | "send-state"] => Ok(()),
        ["expect", rest @ ..] => {
            let right = match rest.strip_prefix(&["!"]).unwrap_or(rest) {
                ["status", list] => list.split(',').all(statuses),
                ["string", _] => true,
                _ => false,
            };
            let expected = "`status` and a list as 200,301-308, or `string` and a word";
            if right { Ok(()) } else { Err(Refusal::Form(expected)) }
        }
        ["send", rest @ ..] if !rest.is_empty() => {
            let mut rest = rest;
            loop {
                rest = match rest {
                    [] => return Ok(()),
                    ["meth", method, after @ ..] if token(method) => after,
                    ["uri", path, after @ ..] if uri(path) => after,
                    ["ver", "HTTP/1.0" | "HTTP/1.1", after @ ..] => after,
                    ["hdr", header, text, after @ ..] if name(header) && !text.contains('%') => after,
                    _ => {
                        return Err(Refusal::Form(
                            "`meth`, `uri`, `ver` or `hdr` with their values, no `%` in a header",
                        ));
                    }
                };
            }
        }
        ["connect", ..] => Err(Refusal::Denied("checks go to the servers, as they are announced")),
        _ => {
            Err(Refusal::Denied("of `http-check`, only `expect`, `send`, `disable-on-404` and `send-state`"))
        }
    }
}

fn tcp_check(words: &[&str]) -> Result<(), Refusal> {
    let right = match words {
        ["send", _] => true,
        ["send-binary", bytes] => hex(bytes),
        ["expect", rest @ ..] => match rest.strip_prefix(&["!"]).unwrap_or(rest) {
            ["string", _] => true,
            ["binary", bytes] => hex(bytes),
            _ => false,
        },
        ["connect", ..] => return Err(Refusal::Denied("checks go to the servers, as they are announced")),
        _ => false,
    };
    if right { Ok(()) } else { Err(Refusal::Form("`send`, `send-binary` or `expect` with one value")) }
}
