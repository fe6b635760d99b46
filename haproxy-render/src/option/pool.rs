//! Options of many servers that are alike, kept once.

use std::collections::HashSet;

use super::ServerOptions;
use crate::server::Server;

/// Has servers with equal options share one text. Hundreds of thousands of servers rarely have more than a few.
///
/// It holds on to every text that it was shown: to be dropped when the servers are made.
///
/// ```
/// use std::num::NonZeroU16;
/// use haproxy_render::{Address, Name, OptionPool, Server, ServerId, ServerOptions};
///
/// let mut pool = OptionPool::default();
/// let mut server = |name| -> Result<Server, Box<dyn std::error::Error>> {
///     let place = (Address::parse("10.0.0.1")?, NonZeroU16::MIN, ServerId::MIN);
///     let server = Server::builder(Name::parse(name)?, place.0, place.1, place.2);
///     Ok(pool.share(server.options(ServerOptions::trusted("check inter 2s")?).build()?))
/// };
/// let (a, b) = (server("a")?, server("b")?);
/// assert!(std::ptr::eq(a.options().as_str(), b.options().as_str()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct OptionPool(HashSet<ServerOptions>);

impl OptionPool {
    /// The same server, with the text of the first server that had its options.
    pub fn share(&mut self, mut server: Server) -> Server {
        match self.0.get(server.options()) {
            Some(known) => server.options.clone_from(known),
            None => _ = self.0.insert(server.options.clone()),
        }
        server
    }
}
