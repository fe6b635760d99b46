//! From a server's name to its addresses.

use std::{io, net::SocketAddr};

use async_trait::async_trait;

use crate::address::Address;

/// Looks names up: the seam for tests without a resolver.
#[async_trait]
pub(crate) trait Resolve: Send + Sync {
    /// Every address of a server, in any order.
    async fn resolve(&self, server: &Address) -> io::Result<Vec<SocketAddr>>;
}

/// The system's resolver.
#[derive(Debug)]
pub(crate) struct Hosts;

#[async_trait]
impl Resolve for Hosts {
    async fn resolve(&self, server: &Address) -> io::Result<Vec<SocketAddr>> {
        let port = server.port().get();
        if let Some(ip) = server.host().ip() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        let mut addresses: Vec<_> =
            tokio::net::lookup_host((server.host().to_string(), port)).await?.collect();
        addresses.sort_unstable();
        addresses.dedup();
        Ok(addresses)
    }
}
