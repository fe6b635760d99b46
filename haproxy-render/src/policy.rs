//! What a registry may say about a server.
//!
//! Two aims: whoever may announce a server gets no power beyond that server, and one odd announcement does not make
//! HAProxy refuse the file, and with it every other service's news.

use crate::number::{Weight, digits};
use crate::option::OptionProblem;
use crate::server_keyword;

const FILE: &str = "it makes HAProxy read a file";
const ELSEWHERE: &str = "it sends traffic or checks elsewhere than to the server's address";
const SECTION: &str =
    "it names another part of the configuration, and fails the whole file if that is missing";
const CLASH: &str = "it fails the whole file, or takes another server's traffic, when two servers share it";
const EXPRESSION: &str = "it evaluates expressions, which can read files and variables";
const OTHERS: &str = "it cuts the connections of other servers";
const STATE: &str = "whether a server is in use is not an option";
const TLS: &str = "whether and how a server proves who it is by TLS is the operator's to say";
const CHECK_TYPE: &str = "it fails the whole file unless it fits the backend's mode and kind of check";
const LOG: &str = "it is for servers of logs";

/// Longest list of protocols, in bytes: `h2,http/1.1` has 11.
const MAX_PROTOCOLS: usize = 64;

/// What the value of an option has to look like.
enum Form {
    /// Anything made of harmless characters; HAProxy draws no bound.
    Any,
    /// A duration as HAProxy writes it, from zero or from above zero.
    Time {
        zero: bool,
    },
    /// A number from `.0` up.
    Number(u32),
    /// A number, or -1 for "no limit".
    Limit,
    Port,
    Weight,
    OneOf(&'static [&'static str], &'static str),
    /// Names of protocols, separated by commas. HAProxy refuses the file for one of more than 255 bytes.
    Protocols,
    /// Some of these, separated by commas.
    SomeOf(&'static [&'static str], &'static str),
}

/// Checks all options of a server, each a keyword and its values: the first that is refused, and why.
pub(crate) fn check<'w>(groups: &[&[&'w str]]) -> Result<(), (&'w str, OptionProblem)> {
    for group in groups {
        one(group).map_err(|problem| (group[0], problem))?;
    }
    let has = |keyword| groups.iter().any(|group| group[0] == keyword);
    // Without a port HAProxy refuses the file.
    if has("agent-check") && !has("agent-port") {
        return Err(("agent-check", OptionProblem::Needs("agent-port")));
    }
    Ok(())
}

fn one(group: &[&str]) -> Result<(), OptionProblem> {
    let [keyword, values @ ..] = group else { return Ok(()) };
    let expected = server_keyword::values(keyword).ok_or(OptionProblem::Unknown)?;
    if let Some(problem) = denied(server_keyword::base(keyword)) {
        return Err(problem);
    }
    if !server_keyword::is_everywhere(keyword) {
        return Err(OptionProblem::NotEverywhere);
    }
    if values.len() < expected {
        return Err(OptionProblem::NoValue);
    }
    match values.iter().find_map(|value| form(keyword).wrong(value)) {
        Some(expected) => Err(OptionProblem::Value(expected)),
        None => Ok(()),
    }
}

fn denied(keyword: &str) -> Option<OptionProblem> {
    let reason = match keyword {
        "id" => return Some(OptionProblem::Id),
        "ca-file" | "crl-file" | "crt" => FILE,
        // `init-addr 10.6.6.6` is an address of its own; `redir` sends browsers wherever it says.
        "addr" | "agent-addr" | "init-addr" | "redir" | "socks4" | "check-via-socks4" | "source"
        | "usesrc" | "namespace" | "resolve-net" | "resolve-opts" | "resolve-prefer" => ELSEWHERE,
        "track" | "healthcheck" | "resolvers" => SECTION,
        "guid" | "cookie" => CLASH,
        "pool-conn-name" | "set-proxy-v2-tlv-fmt" => EXPRESSION,
        // Any of these could undo `verify required`, the one thing that keeps a false announcement from taking traffic;
        // and with a value that the TLS library does not know, or with `ssl` where nobody says whom to trust, HAProxy
        // refuses the whole file.
        "ssl" | "no-ssl" | "check-ssl" | "no-check-ssl" | "verify" | "verifyhost" | "sni" | "sni-auto"
        | "no-sni-auto" | "check-sni" | "check-sni-auto" | "no-check-sni-auto" | "ciphers"
        | "ciphersuites" | "curves" | "sigalgs" | "client-sigalgs" | "force-sslv3" | "force-tlsv10"
        | "force-tlsv11" | "force-tlsv12" | "force-tlsv13" | "no-sslv3" | "no-tlsv10" | "no-tlsv11"
        | "no-tlsv12" | "no-tlsv13" | "ssl-min-ver" | "ssl-max-ver" | "allow-0rtt" | "ktls"
        | "renegotiate" | "no-renegotiate" | "ssl-reuse" | "no-ssl-reuse" | "tls-tickets"
        | "no-tls-tickets" => TLS,
        "proto" | "check-proto" => CHECK_TYPE,
        // Its only value is `shutdown-backup-sessions`.
        "on-marked-up" => OTHERS,
        "enabled" | "disabled" => STATE,
        "log-proto" | "log-bufsize" => LOG,
        _ => return None,
    };
    Some(OptionProblem::Denied(reason))
}

fn form(keyword: &str) -> Form {
    const PROXY_V2: &[&str] =
        &["ssl", "cert-cn", "ssl-cipher", "cert-sig", "cert-key", "crc32c", "unique-id", "authority"];
    const ON_ERROR: &[&str] = &["fastinter", "fail-check", "sudden-death", "mark-down"];
    match keyword {
        "inter" | "fastinter" | "downinter" | "agent-inter" => Form::Time { zero: false },
        "slowstart" | "pool-purge-delay" | "tcp-ut" => Form::Time { zero: true },
        "rise" | "fall" | "error-limit" => Form::Number(1),
        "maxconn" | "minconn" | "maxqueue" | "pool-low-conn" => Form::Number(0),
        "pool-max-conn" | "max-reuse" => Form::Limit,
        "port" | "agent-port" => Form::Port,
        "weight" => Form::Weight,
        "observe" => Form::OneOf(&["layer4", "layer7"], "layer4 or layer7"),
        "on-error" => Form::OneOf(ON_ERROR, "fastinter, fail-check, sudden-death or mark-down"),
        "on-marked-down" => Form::OneOf(&["shutdown-sessions"], "shutdown-sessions"),
        "ws" => Form::OneOf(&["auto", "h1", "h2"], "auto, h1 or h2"),
        "alpn" | "check-alpn" | "npn" => Form::Protocols,
        "proxy-v2-options" => Form::SomeOf(PROXY_V2, "a list of HAProxy's proxy-v2-options"),
        _ => Form::Any,
    }
}

impl Form {
    /// What was expected, if `value` is not that.
    fn wrong(&self, value: &str) -> Option<&'static str> {
        let (right, expected) = match self {
            Self::Any => (true, ""),
            Self::Time { zero } => {
                let least = u128::from(!zero);
                (
                    micros(value).is_some_and(|micros| micros >= least),
                    "a duration as 500, 2s or 1m, below 24 days",
                )
            }
            Self::Number(least) => {
                let expected = if *least == 0 { "a number" } else { "a number above zero" };
                // HAProxy keeps these in signed integers.
                (
                    digits(value).is_some_and(|number| (*least..=i32::MAX.unsigned_abs()).contains(&number)),
                    expected,
                )
            }
            Self::Limit => {
                (value == "-1" || Self::Number(0).wrong(value).is_none(), "a number, or -1 for no limit")
            }
            Self::Port => {
                (digits(value).is_some_and(|port| (1..=65535).contains(&port)), "a port from 1 to 65535")
            }
            Self::Weight => {
                (digits(value).is_some_and(|weight| Weight::new(weight).is_ok()), "a number from 0 to 256")
            }
            Self::Protocols => (
                value.len() <= MAX_PROTOCOLS && value.split(',').all(|protocol| !protocol.is_empty()),
                "protocols separated by commas, at most 64 characters in all",
            ),
            Self::OneOf(values, expected) => (values.contains(&value), *expected),
            Self::SomeOf(values, expected) => {
                (value.split(',').all(|part| values.contains(&part)), *expected)
            }
        };
        (!right).then_some(expected)
    }
}

/// A duration of HAProxy's in microseconds; milliseconds without a unit. `None` from 24 days on, which HAProxy refuses.
fn micros(value: &str) -> Option<u128> {
    let unit = value.find(|char: char| !char.is_ascii_digit()).unwrap_or(value.len());
    let factor: u128 = match &value[unit..] {
        "us" => 1,
        "" | "ms" => 1_000,
        "s" => 1_000_000,
        "m" => 60_000_000,
        "h" => 3_600_000_000,
        "d" => 86_400_000_000,
        _ => return None,
    };
    let micros = u128::from(digits(&value[..unit])?) * factor;
    (micros < 24 * 86_400_000_000).then_some(micros)
}

#[cfg(test)]
mod tests {
    use crate::ServerOptions;

    fn refused(text: &str) -> String {
        ServerOptions::untrusted(text).expect_err(text).to_string()
    }

    #[test]
    fn what_describes_the_server_itself_passes() {
        for text in [
            "",
            "check",
            "check inter 2s fastinter 500 rise 3 fall 2 port 8081",
            "weight 0 backup maxconn 100 slowstart 30s",
            "alpn h2,http/1.1 ws h2 max-reuse 5",
            "send-proxy-v2 proxy-v2-options ssl,unique-id",
            "observe layer7 on-error mark-down error-limit 10 on-marked-down shutdown-sessions",
            "agent-check agent-port 9000 agent-inter 5s agent-send hello",
            "pool-max-conn -1 pool-purge-delay 5s",
            "check-alpn http/1.1 npn h2",
        ] {
            assert_eq!(
                ServerOptions::untrusted(text).map(|options| options.to_string()),
                Ok(text.to_owned())
            );
        }
    }

    #[test]
    fn what_reaches_beyond_the_server_is_refused_with_a_reason() {
        for (option, reason) in [
            ("crt /etc/ssl/private/key.pem", "read a file"),
            ("crl-file a", "read a file"),
            ("addr 10.6.6.6", "elsewhere"),
            ("init-addr 10.6.6.6", "elsewhere"),
            ("redir http://evil.example", "elsewhere"),
            ("resolvers x", "names another part"),
            ("source 10.0.0.1 usesrc clientip", "elsewhere"),
            ("namespace x", "elsewhere"),
            ("socks4 10.6.6.6:1080", "elsewhere"),
            ("track web/a", "names another part"),
            ("guid x", "share it"),
            ("cookie a", "share it"),
            ("on-marked-up shutdown-backup-sessions", "other servers"),
            ("set-proxy-v2-tlv-fmt(0x20) %[env(HOME)]", "expressions"),
            ("ssl", "by TLS"),
            ("verify none", "by TLS"),
            ("no-ssl", "by TLS"),
            ("sni str(a),map(/etc/passwd)", "by TLS"),
            ("ciphers x", "by TLS"),
            ("check-proto h2", "kind of check"),
            ("disabled", "in use"),
        ] {
            let message = refused(&format!("check {option}"));
            let word = option.split(' ').next().unwrap();
            assert!(message.starts_with(&format!("server option \"{word}\": ")), "{message}");
            assert!(message.contains(reason), "{message}");
        }
        assert_eq!(refused("check id 5"), "server option \"id\": the id of a server is not an option");
    }

    #[test]
    fn a_value_that_would_fail_the_whole_file_is_refused() {
        for option in [
            "inter x",
            "inter 0",
            "inter 2x",
            "inter 25d",
            "inter 99999999999999999999",
            "inter s",
            "inter -1",
            "rise 0",
            "fall -1",
            "maxconn 4294967296",
            "maxconn +1",
            "port 0",
            "port 70000",
            "weight 257",
            "weight 50%",
            "observe layer8",
            "alpn h2,",
            "alpn ,h2",
            "check-alpn h2,,http/1.1",
            &format!("alpn {}", "a".repeat(65)),
            &format!("npn {}", "a".repeat(300)),
            &format!("check-alpn {}", "a,".repeat(40) + "a"),
            "proxy-v2-options ssl,",
            "pool-max-conn -2",
            "on-marked-down drop",
        ] {
            assert!(refused(option).contains("its value has to be "), "{option}");
        }
    }

    #[test]
    fn what_only_newer_versions_know_is_refused() {
        for option in [
            "idle-ping 5s",
            "init-state down",
            "shard 2",
            "hash-key addr",
            "strict-maxconn",
            "check-reuse-pool",
            "no-check-reuse-pool",
            "check-pool-conn-name x",
            "tcp-md5sig x",
            "cc cubic",
        ] {
            let message = refused(&format!("check {option}"));
            assert!(message.ends_with("not every supported version of HAProxy has this option"), "{message}");
            assert!(ServerOptions::trusted(option).is_ok(), "{option}");
        }
    }

    #[test]
    fn an_agent_check_says_where_its_agent_is() {
        assert_eq!(refused("agent-check"), "server option \"agent-check\": it needs agent-port too");
        assert_eq!(
            refused("agent-check agent-send agent-port").split(": ").nth(1),
            Some("it needs agent-port too")
        );
    }

    #[test]
    fn values_are_counted() {
        assert_eq!(refused("check inter"), "server option \"inter\": its value is missing");
        assert_eq!(refused("check 5"), "server option \"5\": HAProxy has no such server option");
        assert_eq!(refused("inter 2s 3s"), "server option \"3s\": HAProxy has no such server option");
    }

    #[test]
    fn characters_with_a_meaning_are_refused() {
        for char in ['$', ';', '#', '\\', '"', '\'', '<', '|', '\u{1}', '\u{7f}', 'é', '\0', '\u{b}'] {
            assert!(
                refused(&format!("agent-send a{char}b")).contains("may come from a registry"),
                "{char:?}"
            );
        }
    }

    #[test]
    fn a_line_feed_only_separates_words() {
        let options = ServerOptions::untrusted("check\r\ninter 2s").unwrap();
        assert_eq!(options.as_str(), "check inter 2s");
    }
}
