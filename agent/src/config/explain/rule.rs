//! What differs by a key or by its absence: a table.

use super::{
    super::{Node, Problem, Section, Value},
    Difference,
    site::{Site, at, first, here, lines, method, text},
};

/// A difference, and where a configuration has it. No place: not at all.
pub(super) struct Rule {
    pub(super) synapse: &'static str,
    pub(super) here: &'static str,
    /// Empty: there is no such thing.
    pub(super) instead: &'static str,
    pub(super) at: fn(&Site) -> Vec<Problem>,
}

impl Rule {
    pub(super) fn apply(&self, site: &Site) -> Option<Difference> {
        let places = (self.at)(site);
        let instead = (!self.instead.is_empty()).then(|| self.instead.into());
        (!places.is_empty()).then(|| Difference {
            places,
            synapse: self.synapse.into(),
            here: self.here.into(),
            instead,
        })
    }
}

/// Whether a registry of this method holds options of servers.
fn holds_options(method: &str) -> bool {
    method.starts_with("zookeeper") || method == "etcd"
}

fn says_more(method: &str) -> bool {
    matches!(method, "zookeeper" | "zookeeper_poll" | "zookeeper_dns" | "zookeeper_dns_poll")
}

/// Whether a source takes generator configuration from its registry.
pub(super) fn takes_settings(method: &str, section: &Section) -> bool {
    let off = text(section, "generator_config_path") == "disabled";
    says_more(method) && !method.ends_with("dns_poll") && !off
}

/// Whether HAProxy is told of servers over its socket.
fn uses_socket(site: &Site) -> bool {
    let there = site.haproxy.has("socket_file_path") || has_stats_socket(site);
    there && site.on("do_socket", true) && site.on("do_writes", true)
}

fn has_stats_socket(site: &Site) -> bool {
    let is = |text: &str| text.split_ascii_whitespace().take(2).eq(["stats", "socket"]);
    site.lines("global").iter().any(|placed| is(placed.line.as_str()))
}

pub(super) const RULES: &[Rule] = &[
    Rule {
        synapse: "refuses the file: `do_socket` is true unless said otherwise, and then `socket_file_path` is required",
        here: "uses the socket of a `stats socket` line in `global`; without one, each change is a reload",
        instead: "`do_socket: false`",
        at: |site| {
            let absent = !site.haproxy.has("do_socket") && !site.haproxy.has("socket_file_path");
            if absent && !site.haproxy.node().entries().is_empty() {
                vec![here(&site.haproxy)]
            } else {
                Vec::new()
            }
        },
    },
    Rule {
        synapse: "enables and disables servers that HAProxy has; a server that is new is a reload",
        here: "adds, changes and deletes servers without a reload; connections to one that leaves may go on for `drain_timeout` (300 s)",
        instead: "`do_socket: false`: each change is a reload",
        at: |site| {
            let key = if site.haproxy.has("socket_file_path") { "socket_file_path" } else { "global" };
            if uses_socket(site) { site.key(key) } else { Vec::new() }
        },
    },
    Rule {
        synapse: "writes `global` as it is",
        here: "adds a `stats socket` line for `socket_file_path`, with `mode 600 level admin expose-fd listeners`",
        instead: "a `stats socket` line of your own: then none is added",
        at: |site| {
            let path = site.haproxy.has("socket_file_path");
            if path && uses_socket(site) && !has_stats_socket(site) { site.key("global") } else { Vec::new() }
        },
    },
    Rule {
        synapse: "talks to the socket whether it writes the file or not",
        here: "leaves the socket alone while `do_writes` is false: what HAProxy is told has to be in its file, too",
        instead: "",
        at: |site| {
            let unused = !site.on("do_writes", true) && site.on("do_socket", true);
            if unused { site.key("socket_file_path") } else { Vec::new() }
        },
    },
    Rule {
        synapse: "waits for the command however long it takes",
        here: "ends it after 30 s, puts the last good file back, and tries again",
        instead: "`reload_timeout`, in seconds, for a command that takes longer",
        at: |site| {
            let given = ["reload_timeout", "master_socket_path"].iter().any(|key| site.haproxy.has(key));
            if given || !site.on("do_reloads", true) { Vec::new() } else { site.key("reload_command") }
        },
    },
    Rule {
        synapse: "keeps the file when the check fails, and reloads HAProxy all the same",
        here: "keeps the file, reloads nothing, and tries again; a check that takes longer than 30 s (`check_timeout`) has failed",
        instead: "",
        at: |site| if site.on("do_checks", false) { site.key("check_command") } else { Vec::new() },
    },
    Rule {
        synapse: "writes each file there first, and moves it into place",
        here: "takes no notice of it without `do_checks`: files are staged in `.synapse/` beside `config_file_path`, where no watcher of the directory sees them",
        instead: "",
        at: |site| {
            if site.on("do_checks", false) { Vec::new() } else { site.key("candidate_config_file_path") }
        },
    },
    Rule {
        synapse: "keeps servers that have left in HAProxy's file, `disabled`, for `state_file_ttl`, so that their return takes no reload",
        here: "does not: they return over the socket, or by a reload with `do_socket: false`. The file's format is another; one of Synapse's is read, and a copy kept beside it",
        instead: "",
        at: |site| site.key("state_file_path"),
    },
    Rule {
        synapse: "shuffles with a seed that is drawn at each start",
        here: "shuffles by the host's name: in the same order after each start, in another on each host",
        instead: "`server_order_seed`, or `backend_order`",
        at: |site| {
            let seeded = site.haproxy.has("server_order_seed");
            if seeded { Vec::new() } else { site.services(super::site::Service::is_shuffled) }
        },
    },
    Rule {
        synapse: "shuffles by this seed with Ruby's generator: one server more can move all others",
        here: "shuffles by it otherwise: whoever stays keeps its place relative to the others",
        instead: "",
        at: |site| {
            let any = site.served().any(super::site::Service::is_shuffled);
            if any { site.key("server_order_seed") } else { Vec::new() }
        },
    },
    Rule {
        synapse: "`no_shuffle` is the order in which the registry lists servers",
        here: "it is the order of their addresses",
        instead: "",
        at: |site| {
            let of = |service: &super::site::Service| text(&service.haproxy, "backend_order") == "no_shuffle";
            let found = site.services.iter().filter(|service| of(service));
            found.filter_map(|service| at(&service.haproxy, "backend_order")).collect()
        },
    },
    Rule {
        synapse: "writes `cookie NAME` on each server line",
        here: "does not without a `cookie` line for the backend: it has no effect, and before HAProxy 3.0 it turns every new server into a reload",
        instead: "",
        at: |site| {
            site.services(|service| {
                let own: Vec<_> =
                    ["listen", "backend"].iter().flat_map(|key| lines(&service.haproxy, key)).collect();
                let tcp = own.iter().any(|placed| placed.line.as_str() == "mode tcp");
                !tcp && !site.has_line(service, "cookie")
            })
        },
    },
    Rule {
        synapse: "leaves the algorithm to HAProxy: `roundrobin` up to 3.2, `random` after that",
        here: "writes `balance roundrobin`",
        instead: "a `balance` line, in `defaults` or in the service",
        at: |site| {
            let other = ["balance", "dispatch", "transparent"];
            site.services(|service| !other.iter().any(|word| site.has_line(service, word)))
        },
    },
    Rule {
        synapse: "leaves it to HAProxy what servers inherit",
        here: "writes it on each server line, too: one that is added to a running HAProxy inherits nothing",
        instead: "",
        at: |site| {
            let own = site.services.iter().flat_map(|service| {
                ["listen", "backend"].iter().flat_map(|key| lines(&service.haproxy, key)).collect::<Vec<_>>()
            });
            let all = site.lines("defaults").into_iter().chain(own);
            all.filter(|placed| first(&placed.line) == "default-server").map(|placed| placed.place).collect()
        },
    },
    Rule {
        synapse: "0.18 does not know it. Clay.io's fork does, and calls servers `HOST:PORT_NAME`",
        here: "they are called `NAME_HOST:PORT`: names in statistics and the values of cookies are others",
        instead: "",
        at: |site| {
            site.services.iter().filter_map(|service| at(&service.haproxy, "server_backup_port")).collect()
        },
    },
    Rule {
        synapse: "puts nothing for the name of an endpoint that has none",
        here: "does not serve that endpoint: the option would take the next word for its value",
        instead: "`%{host}`, which each has",
        at: |site| {
            let named = |options: String| options.contains("%{name}") || options.contains("%<name>s");
            let found =
                site.services.iter().filter(|service| named(text(&service.haproxy, "server_options")));
            found.filter_map(|service| at(&service.haproxy, "server_options")).collect()
        },
    },
    Rule {
        synapse: "while some have no id, elects nobody once and serves all of them for the next 30 s",
        here: "elects nobody, always",
        instead: "",
        at: |site| {
            site.services.iter().filter_map(|service| at(&service.section, "leader_election")).collect()
        },
    },
    Rule {
        synapse: "compares the value with its type: the number 1 is not the text \"1\"",
        here: "compares labels as texts: both are",
        instead: "",
        at: untyped,
    },
    Rule {
        synapse: "writes what registrations have for `haproxy_server_options` into HAProxy's file, whatever it is",
        here: "takes only options that are known to be harmless; a registration with another is not served, and the log says why",
        instead: "`server_options` for the others: the configuration is trusted",
        at: |site| site.discoveries_for_haproxy(|method, _| holds_options(method)),
    },
    Rule {
        synapse: "puts the generator configuration of the registry in the place of the whole `haproxy` section",
        here: "lays it over the section, line by line, and takes only what is known to be harmless",
        instead: "`generator_config_path: disabled`, for none at all",
        at: |site| site.discoveries_for_haproxy(takes_settings),
    },
    Rule {
        synapse: "makes the path if it is not there",
        here: "waits for it, and needs no right to write",
        instead: "",
        at: |site| site.discoveries(|method, _| says_more(method), Some("path")),
    },
    Rule {
        synapse: "gives up after `max_attempts` or `max_delay`, and ends",
        here: "never gives up: the two have no effect",
        instead: "",
        at: |site| {
            let bounded = |method: &str, section: &Section| {
                let policy = section.section("retry_policy");
                says_more(method)
                    && policy.is_some_and(|policy| policy.has("max_attempts") || policy.has("max_delay"))
            };
            site.discoveries(bounded, Some("retry_policy"))
        },
    },
    Rule {
        synapse: "pauses for this long, if the last change is less than that ago",
        here: "pauses for a random time up to this",
        instead: "",
        at: |site| site.discoveries(|method, _| says_more(method), Some("discovery_jitter")),
    },
    Rule {
        synapse: "serves members of a server set whatever their `status` is",
        here: "serves those that are `ALIVE`",
        instead: "",
        at: |site| {
            let set = |_: &str, section: &Section| {
                section.section("decode").is_some_and(|decode| method(&decode) == "serverset")
            };
            site.discoveries(set, Some("decode"))
        },
    },
    Rule {
        synapse: "asks at this interval, whatever the TTL",
        here: "asks when the TTL is over, or at this interval if that is sooner or there is no TTL",
        instead: "",
        at: |site| {
            let dns = |method: &str, _: &_| matches!(method, "dns" | "zookeeper_dns" | "zookeeper_dns_poll");
            site.discoveries(dns, Some("check_interval"))
        },
    },
    Rule {
        synapse: "finds instances with the key on one tag and the value on any",
        here: "finds instances with the value on that tag",
        instead: "",
        at: |site| site.discoveries(|method, _| method == "ec2tag", Some("tag_name")),
    },
    Rule {
        synapse: "gives each watcher of several these keys of the service, and the whole none",
        here: "they hold once, for all watchers together",
        instead: "",
        at: |site| {
            let keys =
                ["default_servers", "use_previous_backends", "backend_port_override", "leader_election"];
            let several = site.services.iter().filter(|service| service.is_multi());
            several.flat_map(|service| keys.iter().filter_map(|key| at(&service.section, key))).collect()
        },
    },
];

/// The values of label filters that are no text.
fn untyped(site: &Site) -> Vec<Problem> {
    let mut places = Vec::new();
    let mut look = |filter: &Section| {
        if let Some(Node { value: Value::Bool(_) | Value::Int(_) | Value::Float(_), .. }) =
            filter.get("value")
        {
            places.extend(at(filter, "value"));
        }
    };
    for section in site.services.iter().flat_map(|service| &service.discoveries) {
        if let Some(filter) = section.section("label_filter") {
            look(&filter);
        }
        let Some(filters) = section.section("label_filters") else { continue };
        let Value::Seq(items) = &filters.node().value else { continue };
        for (index, item) in items.iter().enumerate() {
            look(&Section::new(item.clone(), filters.path().index(index)));
        }
    }
    places
}
