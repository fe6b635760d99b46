//! How a server is put together, and its options brought into one form.

use super::{INIT_ADDR, Server};
use crate::name::Cookie;
use crate::number::{Weight, digits};
use crate::option::{InvalidOption, ServerOptions};
use crate::server_keyword;
use crate::word::groups;

/// Collects what a [`Server`] is made of. Made by [`Server::builder`]; each method may be left out.
#[derive(Clone, Debug)]
pub struct ServerBuilder {
    server: Server,
    options: Vec<ServerOptions>,
}

impl Server {
    /// The same server with all that it inherits written out: the options of `default-server` lines, where it does not
    /// say otherwise itself. HAProxy does not apply those to a server that is added at run time.
    ///
    /// `defaults` is what [`directive::default_server`](crate::directive::default_server) says of the lines that apply: those
    /// of the defaults, then those of the backend. Doing it twice changes nothing. Fails when all options together are too
    /// long for a line.
    ///
    /// ```
    /// use std::num::NonZeroU16;
    /// use haproxy_render::{Address, Name, Server, ServerId, ServerOptions};
    ///
    /// let server = Server::builder(
    ///     Name::parse("a")?,
    ///     Address::parse("10.0.0.1")?,
    ///     NonZeroU16::new(8080).unwrap(),
    ///     ServerId::new(1)?,
    /// );
    /// let server = server.options(ServerOptions::trusted("inter 2s")?).build()?;
    /// let whole = server.with_defaults(&ServerOptions::trusted("check inter 5s weight 9")?)?;
    /// assert_eq!(whole.line().to_string(), "server a 10.0.0.1:8080 id 1 check inter 2s weight 9");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_defaults(&self, defaults: &ServerOptions) -> Result<Self, InvalidOption> {
        if defaults.is_empty() {
            return Ok(self.clone());
        }
        let (inherited, own) = (defaults.words(), self.options.words());
        let (inherited, own) = (groups(&inherited), groups(&own));
        let said = |subject: &str| match subject {
            "cookie" => self.cookie.is_some(),
            "backup" => self.backup,
            "disabled" => self.disabled,
            "weight" => self.weight.is_some(),
            "init-addr" => self.needs_init_addr(),
            _ => false,
        };
        // How far the values of an unknown keyword reach is unknown too: nothing is taken out then.
        let known = inherited.iter().chain(&own).all(|group| server_keyword::values(group[0]).is_some());
        let counts = |(at, group): &(usize, &&[&str])| {
            let subject = server_keyword::subject(group[0]);
            let again = |later: &&[&str]| server_keyword::subject(later[0]) == subject;
            !said(subject) && !(known && (inherited[at + 1..].iter().any(again) || own.iter().any(again)))
        };
        let words: Vec<&[&str]> = inherited
            .iter()
            .enumerate()
            .filter(counts)
            .map(|(_, group)| *group)
            .chain(own.iter().copied())
            .collect();
        let mut server = Self::builder(self.name.clone(), self.address.clone(), self.port, self.id)
            .weight(self.weight)
            .backup(self.backup)
            .disabled(self.disabled)
            .inherits_init_addr(self.inherits_init_addr)
            .options(ServerOptions::from_words(&words.concat())?)
            .build()?;
        if self.cookie.is_some() {
            server.cookie.clone_from(&self.cookie);
        }
        Ok(server)
    }
}

impl ServerBuilder {
    pub(super) fn new(server: Server) -> Self {
        Self { server, options: Vec::new() }
    }

    /// Sets the weight. It wins over `weight N` in options, which is dropped.
    pub fn weight(mut self, weight: Option<Weight>) -> Self {
        self.server.weight = weight;
        self
    }

    /// Makes it a backup server.
    pub fn backup(mut self, backup: bool) -> Self {
        self.server.backup = backup;
        self
    }

    /// Sets the value of its cookie. One in the options wins, as the later word does in HAProxy.
    ///
    /// HAProxy below 3.0 can not add a server with a cookie at run time; without a `cookie` directive in its backend
    /// the word has no effect: see [`directive::has_cookie`](crate::directive::has_cookie).
    pub fn cookie(mut self, cookie: Option<Cookie>) -> Self {
        self.server.cookie = cookie;
        self
    }

    /// Puts it into maintenance.
    pub fn disabled(mut self, disabled: bool) -> Self {
        self.server.disabled = disabled;
        self
    }

    /// Adds options after those that were added before; of two that contradict, HAProxy takes the later.
    pub fn options(mut self, options: ServerOptions) -> Self {
        self.options.push(options);
        self
    }

    /// Says that `init-addr` is set by a `default-server` line of the backend or of the defaults: see
    /// [`directive::sets_init_addr`](crate::directive::sets_init_addr).
    ///
    /// Otherwise a server whose address is a DNS name, and whose options have no `init-addr`, is written with
    /// `init-addr last,libc,none`, so that a name which does not resolve can not keep HAProxy from starting.
    pub fn inherits_init_addr(mut self, inherits: bool) -> Self {
        self.server.inherits_init_addr = inherits;
        self
    }

    /// The finished server. Fails when all options together are too long for a line.
    pub fn build(self) -> Result<Server, InvalidOption> {
        let Self { mut server, options } = self;
        server.options = options.iter().try_fold(ServerOptions::none(), |all, options| all.join(options))?;
        let named = server.address.dns().is_some();
        server.inherits_init_addr &= named;
        if server.options.has_fields() {
            settle(&mut server)?;
        }
        Ok(server)
    }
}

/// Moves what options say of a server's fields into the fields. What has no place there (a cookie in quotes) stays as
/// an option, once, and wins over the field as it would in HAProxy.
fn settle(server: &mut Server) -> Result<(), InvalidOption> {
    let options = server.options.clone();
    let words = options.words();
    let mut groups = groups(&words);

    if let Some(last) = take_last(&mut groups, &["cookie"]) {
        server.cookie = last.get(1).and_then(|value| Cookie::parse(value).ok());
        if server.cookie.is_none() {
            groups.push(last);
        }
    }
    if let Some(last) = take_last(&mut groups, &["backup", "no-backup"]) {
        match last[0] {
            "backup" => server.backup = true,
            _ if server.backup => {}
            // May lift a `backup` of `default-server`.
            _ => groups.push(last),
        }
    }
    if let Some(last) = take_last(&mut groups, &["weight"])
        && server.weight.is_none()
    {
        server.weight = last.get(1).and_then(|value| Weight::new(digits(value)?).ok());
        if server.weight.is_none() {
            groups.push(last);
        }
    }
    if let Some(last) = take_last(&mut groups, &["enabled", "disabled"]) {
        match last[0] {
            "disabled" => server.disabled = true,
            _ if server.disabled => {}
            // May lift a `disabled` of `default-server`.
            _ => groups.push(last),
        }
    }
    if server.address.dns().is_some()
        && let Some(last) = take_last(&mut groups, &["init-addr"])
    {
        server.inherits_init_addr = last != ["init-addr", INIT_ADDR];
        if server.inherits_init_addr {
            groups.push(last);
        }
    }
    server.options = ServerOptions::from_words(&groups.concat())?;
    Ok(())
}

/// Removes every option with one of these keywords and returns the last of them.
pub(super) fn take_last<'a, 'w>(groups: &mut Vec<&'a [&'w str]>, keywords: &[&str]) -> Option<&'a [&'w str]> {
    let last = groups.iter().rfind(|group| keywords.contains(&group[0])).copied()?;
    groups.retain(|group| !keywords.contains(&group[0]));
    Some(last)
}
