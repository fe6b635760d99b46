//! A server as a test wants it.

use std::num::NonZeroU16;

use fastrand::Rng;
use haproxy_render::{Address, Cookie, Server, ServerId, ServerOptions, Weight};

use crate::site::name;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spec {
    pub(crate) name: String,
    pub(crate) id: u32,
    /// The last number of its address.
    pub(crate) host: u8,
    pub(crate) port: u16,
    pub(crate) weight: Option<u32>,
    pub(crate) disabled: bool,
    pub(crate) maxconn: Option<u32>,
    pub(crate) make: Make,
}

/// What can't be changed: another of its name takes its place.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Make {
    /// Seconds between checks, rise, fall.
    pub(crate) check: Option<[u8; 3]>,
    pub(crate) backup: bool,
    pub(crate) cookie: Option<String>,
    /// An option that no version takes at run time.
    pub(crate) non_stick: bool,
}

impl Spec {
    pub(crate) fn server(&self) -> Server {
        let mut options = Vec::new();
        if let Some([inter, rise, fall]) = self.make.check {
            options.push(format!("check inter {inter}s rise {rise} fall {fall}"));
        }
        options.extend(self.maxconn.map(|maxconn| format!("maxconn {maxconn}")));
        options.extend(self.make.non_stick.then(|| "non-stick".to_owned()));
        let address = Address::parse(&format!("127.0.0.{}", self.host)).unwrap();
        let port = NonZeroU16::new(self.port).unwrap();
        Server::builder(name(&self.name), address, port, ServerId::new(self.id).unwrap())
            .weight(self.weight.map(|weight| Weight::new(weight).unwrap()))
            .backup(self.make.backup)
            .cookie(self.make.cookie.as_deref().map(|cookie| Cookie::parse(cookie).unwrap()))
            .disabled(self.disabled)
            .options(ServerOptions::trusted(&options.join(" ")).unwrap())
            .build()
            .unwrap()
    }

    /// Whether it takes a reload to make `old` into this; `None`: there is no such server.
    pub(crate) fn takes_reload(&self, old: Option<&Self>, takes_cookies: bool) -> bool {
        let only_said = |old: &Self| old.make == self.make && old.maxconn.is_some() == self.maxconn.is_some();
        let refused = self.make.non_stick || (self.make.cookie.is_some() && !takes_cookies);
        refused && !old.is_some_and(only_said)
    }
}

impl Make {
    /// Another one; one of `cookies` has a cookie, of zero none. What always takes a reload is rare.
    pub(crate) fn random(rng: &mut Rng, name: &str, cookies: u8) -> Self {
        let mut number = |to: u8| rng.u8(1..=to);
        let check = [number(60), number(9), number(9)];
        Self {
            check: (number(3) > 1).then_some(check),
            backup: number(4) == 1,
            cookie: (cookies > 0 && number(cookies) == 1).then(|| format!("c-{name}-{}", number(200))),
            non_stick: number(80) == 1,
        }
    }
}
