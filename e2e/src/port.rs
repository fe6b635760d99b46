//! Ports that nobody else takes.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, bind, socket, sockopt};

use crate::listener::silence;
use crate::wait_until;

/// First port handed out: above what system services use.
const LOWEST: u16 = 10_000;
/// Used when the kernel does not say where its own choices begin (its default on Linux).
const EPHEMERAL: u16 = 32_768;
/// Longest wait for a port of somebody's choice: as long as the test that has it may take.
const TAKEN: Duration = Duration::from_mins(3);

/// How many ports this process has tried.
static TRIED: AtomicU16 = AtomicU16::new(0);

/// A TCP port on 127.0.0.1 that was free a moment ago, claimed for as long as the value lives.
///
/// Two things take a port between the moment it is found free and the moment a server binds it. Outgoing
/// connections: so ports come from below the range the kernel picks those from. Other tests, in this process or
/// another: so the *UDP* port of the same number is held meanwhile, which the kernel gives to one process only and
/// takes back when that dies, and which is in no TCP server's way.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _claim: UdpSocket,
    /// Keeps outgoing connections away, where the number is one that they could get.
    _hold: Option<OwnedFd>,
}

impl Port {
    /// Claims a port that nothing listens on, on any address of this machine.
    pub fn free() -> Self {
        let (start, count) = range();
        // Each process begins elsewhere, so that they rarely try the same ports.
        #[allow(clippy::cast_possible_truncation, reason = "any sixteen bits of the process id will do")]
        let offset = (std::process::id() as u16).wrapping_mul(41);
        for _ in 0..count {
            let step = TRIED.fetch_add(1, Ordering::Relaxed);
            let number = start + offset.wrapping_add(step) % count;
            if let Some(port) = Self::claim(number) {
                return port;
            }
        }
        panic!("no free port from {start} to {}", start + count - 1);
    }

    /// Claims this one, for servers that listen on all addresses and let others share their port (`SO_REUSEPORT`, as HAProxy
    /// does). Waits, at most three minutes, for another test that has it.
    pub async fn exactly(number: u16) -> Self {
        wait_until(TAKEN, &format!("port {number} to be free"), async || {
            let port = Self::claim(number).ok_or("somebody has it")?;
            let hold = hold(number).map_err(|error| error.to_string())?;
            Ok(Self { _hold: Some(hold), ..port })
        })
        .await
    }

    /// The number, 1024 or more.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// The port on 127.0.0.1.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.number).into()
    }

    fn claim(number: u16) -> Option<Self> {
        let claim = UdpSocket::bind((Ipv4Addr::LOCALHOST, number)).ok()?;
        // The wildcard address conflicts with a listener on any address.
        silence(TcpListener::bind((Ipv4Addr::UNSPECIFIED, number)).ok()?);
        Some(Self { number, _claim: claim, _hold: None })
    }
}

/// Writes the number.
impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number.fmt(f)
    }
}

/// A socket that has the port on all addresses without listening: servers that share ports can, outgoing connections get others.
fn hold(number: u16) -> rustix::io::Result<OwnedFd> {
    let held = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    sockopt::set_socket_reuseaddr(&held, true)?;
    sockopt::set_socket_reuseport(&held, true)?;
    bind(&held, &SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, number))?;
    Ok(held)
}

/// First port and how many, all below the kernel's ephemeral range.
fn range() -> (u16, u16) {
    let first_ephemeral = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .ok()
        .and_then(|text| text.split_whitespace().next()?.parse().ok())
        .unwrap_or(EPHEMERAL);
    // A machine configured to use nearly everything for outgoing connections: be content with being unlikely.
    let end = if first_ephemeral > LOWEST + 1_000 { first_ephemeral } else { EPHEMERAL };
    (LOWEST, end - LOWEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_claims_have_the_same_port() {
        let ports: Vec<Port> = (0..200).map(|_| Port::free()).collect();
        let distinct: BTreeSet<u16> = ports.iter().map(Port::number).collect();
        assert_eq!(distinct.len(), 200);
    }

    #[test]
    fn a_claimed_port_can_be_listened_on_and_is_not_handed_out() {
        let port = Port::free();
        let _listener = TcpListener::bind(port.address()).unwrap();
        assert!(Port::claim(port.number()).is_none());
    }

    #[tokio::test]
    async fn a_port_of_ones_choice_is_kept_from_outgoing_connections() {
        let number = Port::free().number();
        let port = Port::exactly(number).await;
        assert!(Port::claim(number).is_none());
        let outgoing = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        bind(&outgoing, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, number)).unwrap_err();
        // What HAProxy does.
        let server = hold(number).unwrap();
        rustix::net::listen(&server, 1).unwrap();
        std::net::TcpStream::connect(port.address()).unwrap();
    }

    #[test]
    fn a_port_that_somebody_listens_on_is_not_free() {
        let port = Port::free();
        let number = port.number();
        let listener = TcpListener::bind(port.address()).unwrap();
        drop(port);
        assert!(Port::claim(number).is_none());
        drop(listener);
    }
}
