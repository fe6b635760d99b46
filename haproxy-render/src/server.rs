//! One server of a backend, and the one place that puts it into words.

use std::fmt;
use std::num::NonZeroU16;

use crate::address::Address;
use crate::name::{Cookie, Name};
use crate::number::{ServerId, Weight, digits};
use crate::option::ServerOptions;
use crate::word::groups;

mod builder;

pub use builder::ServerBuilder;
use builder::take_last;

/// What keeps a DNS name that does not resolve from stopping HAProxy at its start: use the last known address, or ask
/// the resolver, or start without an address.
const INIT_ADDR: &str = "last,libc,none";

/// One `server` line: who it is, where it is, and its options.
///
/// A server is canonical: what its options say of `weight`, `backup`, `cookie` or `disabled` is found in those fields
/// and no longer in [`options`](Self::options), so that two servers are equal when HAProxy treats them alike, and a
/// reader of a field sees what HAProxy will see.
///
/// ```
/// use std::num::NonZeroU16;
/// use haproxy_render::{Address, Name, Server, ServerId, ServerOptions, Weight};
///
/// let server = Server::builder(
///     Name::parse("a")?,
///     Address::parse("10.0.0.1")?,
///     NonZeroU16::new(8080).unwrap(),
///     ServerId::new(1)?,
/// )
/// .options(ServerOptions::trusted("check inter 2s weight 3")?)
/// .options(ServerOptions::untrusted("backup")?)
/// .build()?;
///
/// assert_eq!(server.line().to_string(), "server a 10.0.0.1:8080 id 1 backup check inter 2s weight 3");
/// assert_eq!(server.weight(), Some(Weight::new(3)?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Server {
    name: Name,
    address: Address,
    port: NonZeroU16,
    id: ServerId,
    weight: Option<Weight>,
    backup: bool,
    cookie: Option<Cookie>,
    disabled: bool,
    pub(crate) options: ServerOptions,
    /// Whether a DNS name is written without `init-addr`. Always false for an IP address, and where options have one.
    inherits_init_addr: bool,
}

impl Server {
    /// Starts a server with what every server has.
    ///
    /// The id has to be unique within the backend: see [`Ids`](crate::Ids).
    pub fn builder(name: Name, address: Address, port: NonZeroU16, id: ServerId) -> ServerBuilder {
        let server = Self {
            name,
            address,
            port,
            id,
            weight: None,
            backup: false,
            cookie: None,
            disabled: false,
            options: ServerOptions::none(),
            inherits_init_addr: false,
        };
        ServerBuilder::new(server)
    }

    /// Its name, unique within its backend.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Where it is.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The port that takes traffic.
    pub fn port(&self) -> NonZeroU16 {
        self.port
    }

    /// Its id, unique within its backend.
    pub fn id(&self) -> ServerId {
        self.id
    }

    /// Its weight; `None` leaves it to `default-server` or to HAProxy, whose default is 1.
    pub fn weight(&self) -> Option<Weight> {
        self.weight
    }

    /// Whether it takes traffic only when no other server can.
    pub fn backup(&self) -> bool {
        self.backup
    }

    /// The value that ties a client to it.
    pub fn cookie(&self) -> Option<&Cookie> {
        self.cookie.as_ref()
    }

    /// Whether it starts in maintenance.
    pub fn disabled(&self) -> bool {
        self.disabled
    }

    /// All else.
    pub fn options(&self) -> &ServerOptions {
        &self.options
    }

    /// The same server under another id.
    pub fn with_id(mut self, id: ServerId) -> Self {
        self.id = id;
        self
    }

    /// The same server, in maintenance or not.
    pub fn with_disabled(mut self, disabled: bool) -> Self {
        self.disabled = disabled;
        if disabled && self.options.contains("enabled") {
            // Without `enabled` there is one word less: nothing that could be refused.
            self.options = without(&self.options, "enabled").unwrap_or(self.options);
        }
        self
    }

    /// The line of the file, without indent and line feed:
    /// `server NAME ADDRESS:PORT id N [backup] [cookie C] [OPTIONS] [init-addr …] [weight W] [disabled]`.
    pub fn line(&self) -> impl fmt::Display {
        fmt::from_fn(move |f| {
            write!(f, "server {} {}", self.name.as_str(), self.arguments())?;
            f.write_str(if self.disabled { " disabled" } else { "" })
        })
    }

    /// All words but the name and `disabled`: what the file's `server NAME` and the socket's `add server BACKEND/NAME`
    /// have in common. A server is in maintenance after `add server` in any case.
    ///
    /// Only words that are [plain](ServerOptions::is_plain) may go to the socket.
    pub fn arguments(&self) -> impl fmt::Display {
        fmt::from_fn(move |f| {
            write!(f, "{}:{} id {}", self.address, self.port, self.id)?;
            if self.backup {
                f.write_str(" backup")?;
            }
            if let Some(cookie) = &self.cookie {
                f.write_str(" cookie ")?;
                f.write_str(cookie.as_str())?;
            }
            if !self.options.is_empty() {
                f.write_str(" ")?;
                f.write_str(self.options.as_str())?;
            }
            if self.needs_init_addr() {
                write!(f, " init-addr {INIT_ADDR}")?;
            }
            match self.weight {
                Some(weight) => write!(f, " weight {weight}"),
                None => Ok(()),
            }
        })
    }

    fn needs_init_addr(&self) -> bool {
        // A canonical server's options have an `init-addr` only with `inherits_init_addr`, or for an IP address.
        self.address.dns().is_some() && !self.inherits_init_addr
    }

    /// Reads a line that [`line`](Self::line) wrote; `None` for any other, even if HAProxy would read it alike.
    pub(crate) fn read(line: &str) -> Option<Self> {
        let rest = line.strip_prefix("server ")?;
        let (name, rest) = rest.split_once(' ')?;
        let (target, rest) = rest.split_once(" id ")?;
        let (id, options) = rest.split_once(' ').unwrap_or((rest, ""));
        let (address, port) = target.rsplit_once(':')?;
        let server = Self::builder(
            Name::parse(name).ok()?,
            Address::parse(address).ok()?,
            NonZeroU16::new(digits(port)?.try_into().ok()?)?,
            ServerId::new(digits(id)?).ok()?,
        )
        // Options that lack an `init-addr` in the file are those of a server that was written without one.
        .inherits_init_addr(true)
        .options(ServerOptions::trusted(options).ok()?)
        .build()
        .ok()?;
        let same = server.line().to_string() == line;
        same.then_some(server)
    }
}

fn without(options: &ServerOptions, keyword: &str) -> Option<ServerOptions> {
    let words = options.words();
    let mut groups = groups(&words);
    take_last(&mut groups, &[keyword]);
    ServerOptions::from_words(&groups.concat()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder(address: &str) -> ServerBuilder {
        Server::builder(
            Name::parse("a").unwrap(),
            Address::parse(address).unwrap(),
            NonZeroU16::new(80).unwrap(),
            ServerId::MIN,
        )
    }

    fn options(text: &str) -> ServerOptions {
        ServerOptions::trusted(text).unwrap()
    }

    fn line(builder: ServerBuilder) -> String {
        builder.build().unwrap().line().to_string()
    }

    #[test]
    fn words_stand_in_one_order() {
        let all = builder("::1")
            .disabled(true)
            .weight(Weight::new(5).ok())
            .options(options("check inter 2s"))
            .cookie(Cookie::parse("c").ok())
            .backup(true);
        assert_eq!(line(all), "server a [::1]:80 id 1 backup cookie c check inter 2s weight 5 disabled");
        assert_eq!(line(builder("10.0.0.1")), "server a 10.0.0.1:80 id 1");
    }

    #[test]
    fn a_given_weight_replaces_those_in_options() {
        let server = || builder("10.0.0.1").options(options("weight 3 check")).options(options("weight 4"));
        assert_eq!(line(server()), "server a 10.0.0.1:80 id 1 check weight 4");
        assert_eq!(line(server().weight(Some(Weight::MAX))), "server a 10.0.0.1:80 id 1 check weight 256");
        let odd = || builder("10.0.0.1").options(options("weight \"3\" check"));
        assert_eq!(line(odd()), "server a 10.0.0.1:80 id 1 check weight \"3\"");
        assert_eq!(line(odd().weight(Weight::new(0).ok())), "server a 10.0.0.1:80 id 1 check weight 0");
    }

    #[test]
    fn the_fields_tell_what_options_say() {
        let server = builder("10.0.0.1")
            .options(options("disabled backup cookie x enabled disabled weight 0"))
            .build()
            .unwrap();
        assert!(server.disabled() && server.backup() && server.options().is_empty());
        assert_eq!(server.cookie().unwrap().as_str(), "x");
        assert_eq!(server.weight().unwrap().get(), 0);
        assert_eq!(
            server,
            builder("10.0.0.1")
                .disabled(true)
                .backup(true)
                .cookie(Cookie::parse("x").ok())
                .weight(Weight::new(0).ok())
                .build()
                .unwrap()
        );
    }

    #[test]
    fn an_option_that_lifts_a_default_is_kept() {
        assert_eq!(
            line(builder("10.0.0.1").options(options("enabled check no-backup"))),
            "server a 10.0.0.1:80 id 1 check no-backup enabled"
        );
        let server = builder("10.0.0.1").options(options("enabled check")).build().unwrap();
        assert_eq!(server.with_disabled(true).line().to_string(), "server a 10.0.0.1:80 id 1 check disabled");
    }

    #[test]
    fn the_value_of_another_option_is_left_alone() {
        assert_eq!(
            line(builder("10.0.0.1").weight(Weight::new(2).ok()).options(options("agent-send weight check"))),
            "server a 10.0.0.1:80 id 1 agent-send weight check weight 2"
        );
    }

    #[test]
    fn a_name_that_does_not_resolve_can_not_stop_haproxy() {
        let init = "server a db.example:80 id 1 check init-addr last,libc,none weight 2";
        assert_eq!(line(builder("db.example").options(options("check weight 2"))), init);
        assert_eq!(
            line(builder("db.example").options(options("init-addr last,libc,none check weight 2"))),
            init
        );
        assert_eq!(
            line(builder("db.example").options(options("init-addr none check"))),
            "server a db.example:80 id 1 check init-addr none"
        );
        assert_eq!(line(builder("db.example").inherits_init_addr(true)), "server a db.example:80 id 1");
        assert_eq!(line(builder("10.0.0.1").inherits_init_addr(true)), line(builder("10.0.0.1")));
    }

    #[test]
    fn only_a_line_of_our_own_making_is_read() {
        for line in [
            "server a 10.0.0.1:80 id 1",
            "server a [::1]:80 id 1 backup cookie c check inter 2s weight 5 disabled",
            "server a db.example:80 id 1 check init-addr last,libc,none",
            "server a db.example:80 id 1 check init-addr none",
            "server a db.example:80 id 1",
        ] {
            assert_eq!(Server::read(line).unwrap().line().to_string(), line);
        }
        for foreign in [
            "",
            "server",
            "server ",
            "server a",
            "server a 10.0.0.1:80",
            "server a 10.0.0.1:80 check",
            "server a 10.0.0.1:80 check id 1",
            "server  a 10.0.0.1:80 id 1",
            "server a 10.0.0.1:80 id 01",
            "server a 10.0.0.1:080 id 1",
            "server a 10.0.0.1:80 id 1 ",
            "server a 10.0.0.1:80 id 1 check backup",
            "server a 10.0.0.1:0 id 1",
            "server a 10.0.0.1 id 1",
            "server a ::1:80 id 1",
            "server é 1.1.1.1:1 id 1",
            "server a 10.0.0.1:80 id 1 \"",
            "bind :80",
            "server a 10.0.0.1:80 id 1 id 2",
        ] {
            assert_eq!(Server::read(foreign), None, "{foreign:?}");
        }
    }

    #[test]
    fn too_many_options_together_are_refused() {
        let many = || options(&"check ".repeat(30));
        let refused = builder("10.0.0.1").options(many()).options(many()).build().unwrap_err();
        assert_eq!(refused.problem(), crate::OptionProblem::Words);
    }
}
