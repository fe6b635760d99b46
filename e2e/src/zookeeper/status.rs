//! What a ZooKeeper says of itself, parsed.

use std::collections::BTreeMap;
use std::net::SocketAddr;

/// A server's totals since its start: the answer to `srvr`.
///
/// Packets are whatever came on a client's connection: requests, but also session handshakes, pings, and the
/// four-letter word that asks.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ZookeeperStatus {
    /// `standalone`, `leader` or `follower`.
    pub mode: String,
    /// Packets from clients.
    pub received: u64,
    /// Packets to clients: answers and the news of watches.
    pub sent: u64,
    /// Connections that are open, the one that asks included.
    pub connections: u64,
    /// Requests that are not answered yet.
    pub outstanding: u64,
    /// Nodes, ZooKeeper's own (5 of them) included.
    pub nodes: u64,
    /// The last change that this server has seen.
    pub zxid: u64,
}

impl ZookeeperStatus {
    pub(super) fn parse(answer: &str) -> Option<Self> {
        let field = |name: &str| {
            answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).map(str::trim)
        };
        let number = |name: &str| field(name)?.parse().ok();
        Some(Self {
            mode: field("Mode")?.to_owned(),
            received: number("Received")?,
            sent: number("Sent")?,
            connections: number("Connections")?,
            outstanding: number("Outstanding")?,
            nodes: number("Node count")?,
            zxid: u64::from_str_radix(field("Zxid")?.strip_prefix("0x")?, 16).ok()?,
        })
    }
}

/// A server's counters, some hundred of them: the answer to `mntr`.
#[derive(Debug, Clone)]
pub struct ZookeeperCounters {
    values: BTreeMap<String, String>,
}

impl ZookeeperCounters {
    pub(super) fn parse(answer: &str) -> Option<Self> {
        let values: BTreeMap<String, String> = answer
            .lines()
            .filter_map(|line| line.split_once('\t'))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        values.contains_key("zk_server_state").then_some(Self { values })
    }

    /// A counter by ZooKeeper's name for it, such as `zk_watch_count`, which must exist and be a whole number.
    pub fn get(&self, name: &str) -> u64 {
        let value = self.values.get(name).unwrap_or_else(|| panic!("this ZooKeeper has no counter {name}"));
        value.parse().unwrap_or_else(|_| panic!("the counter {name} is no whole number: {value}"))
    }

    /// Watches of all clients of this server, `zk_watch_count`.
    pub fn watches(&self) -> u64 {
        self.get("zk_watch_count")
    }

    /// Ephemeral nodes, `zk_ephemerals_count`.
    pub fn ephemerals(&self) -> u64 {
        self.get("zk_ephemerals_count")
    }

    /// Nodes, ZooKeeper's own (5 of them) included: `zk_znode_count`.
    pub fn nodes(&self) -> u64 {
        self.get("zk_znode_count")
    }

    /// Connections that are open, the one that asks included: `zk_num_alive_connections`.
    pub fn connections(&self) -> u64 {
        self.get("zk_num_alive_connections")
    }

    /// Sessions of the whole ensemble, `zk_global_sessions`.
    pub fn sessions(&self) -> u64 {
        self.get("zk_global_sessions")
    }

    /// Packets from clients, `zk_packets_received`: see [`ZookeeperStatus`].
    pub fn received(&self) -> u64 {
        self.get("zk_packets_received")
    }

    /// Packets to clients, `zk_packets_sent`.
    pub fn sent(&self) -> u64 {
        self.get("zk_packets_sent")
    }
}

/// A client's connection to this server, with a session: a line of the answer to `cons`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ZookeeperConnection {
    /// The client's address.
    pub peer: SocketAddr,
    /// The session's id.
    pub session: i64,
    /// Packets from the client, its handshake and its pings included.
    pub received: u64,
    /// Packets to the client.
    pub sent: u64,
    /// Packets that the client has not taken yet.
    pub queued: u64,
}

impl ZookeeperConnection {
    /// The connections that have a session; the one that asks has none.
    pub(super) fn parse_all(answer: &str) -> Vec<Self> {
        answer.lines().filter_map(Self::parse).collect()
    }

    fn parse(line: &str) -> Option<Self> {
        // As ` /127.0.0.1:51702[1](queued=0,recved=12,sent=12,sid=0x10000b0d5590000,lop=PING,...)`.
        let (peer, rest) = line.trim().strip_prefix('/')?.split_once('[')?;
        let fields: BTreeMap<&str, &str> =
            rest.split_once('(')?.1.split([',', ')']).filter_map(|field| field.split_once('=')).collect();
        Some(Self {
            peer: peer.parse().ok()?,
            session: session(fields.get("sid")?)?,
            received: fields.get("recved")?.parse().ok()?,
            sent: fields.get("sent")?.parse().ok()?,
            queued: fields.get("queued")?.parse().ok()?,
        })
    }
}

/// The watches of this server's clients: the answer to `wchs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ZookeeperWatches {
    /// Connections that watch something.
    pub connections: u64,
    /// Paths that are watched.
    pub paths: u64,
    /// Pairs of a connection and a path that it watches.
    pub watches: u64,
}

impl ZookeeperWatches {
    pub(super) fn parse(answer: &str) -> Option<Self> {
        // As `2 connections watching 3 paths` and `Total watches:4`.
        let (connections, rest) = answer.split_once(" connections watching ")?;
        let (paths, rest) = rest.split_once(" paths")?;
        let watches = rest.split_once("Total watches:")?.1;
        Some(Self {
            connections: connections.trim().parse().ok()?,
            paths: paths.parse().ok()?,
            watches: watches.trim().parse().ok()?,
        })
    }
}

/// The sessions in the answer to `dump`: of the whole ensemble if a leader was asked.
pub(super) fn sessions(answer: &str) -> Vec<i64> {
    let (tracker, _) = answer.split_once("ephemeral nodes dump").unwrap_or((answer, ""));
    let mut sessions: Vec<i64> =
        tracker.lines().filter_map(|line| session(line.split_whitespace().next()?)).collect();
    sessions.sort_unstable();
    sessions.dedup();
    sessions
}

/// A session's id as ZooKeeper writes it, `0x10000b0d5590000`: the bits of a signed number.
pub(super) fn session(text: &str) -> Option<i64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok().map(u64::cast_signed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_without_a_session_is_left_out() {
        let answer = " /127.0.0.1:4242[1](queued=0,recved=7,sent=8,sid=0xf0000b0d5590000,lop=PING,to=30000)\n \
                      /127.0.0.1:4243[0](queued=0,recved=1,sent=0)\n\n";
        let connection = ZookeeperConnection {
            peer: ([127, 0, 0, 1], 4242).into(),
            session: 0x0f00_00b0_d559_0000,
            received: 7,
            sent: 8,
            queued: 0,
        };
        assert_eq!(ZookeeperConnection::parse_all(answer), [connection]);
    }

    #[test]
    fn sessions_of_leaders_followers_and_lone_servers_are_found() {
        let alone = "SessionTracker dump:\nSession Sets (2)/(2):\n1 expire at Sun Nov 22 13:33:30 UTC 2026:\n\t0x10\n\
                     1 expire at Sun Nov 22 13:33:31 UTC 2026:\n\t0xffffffffffffffff\nephemeral nodes dump:\n\
                     Sessions with Ephemerals (1):\n0x20:\n\t/a\n";
        assert_eq!(sessions(alone), [-1, 0x10]);
        let follower =
            "SessionTracker dump:\nGlobal Sessions(2):\n0x10\t10000ms\n0x30\t4000ms\nephemeral nodes dump:\n";
        assert_eq!(sessions(follower), [0x10, 0x30]);
    }
}
