//! Several sockets.

use super::{
    address::{InvalidAddress, SocketAddress},
    client::{Limits, Socket},
    error::SocketError,
    process::Process,
};

/// Several sockets, of one HAProxy or of more than one (Synapse's list in `socket_file_path`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sockets(Vec<Socket>);

/// Who is behind several sockets.
#[derive(Debug)]
#[non_exhaustive]
pub struct Survey {
    /// Each process once, with the first of its sockets of the highest level: changes have to be made once a process, not
    /// once a socket.
    pub reached: Vec<(Socket, Process)>,
    /// The sockets where nobody answered.
    pub failed: Vec<SocketError>,
}

impl Sockets {
    /// Reads a list of addresses; one that is named twice counts once.
    ///
    /// # Errors
    /// The first that is no address, or an empty list.
    pub fn parse<'a>(
        texts: impl IntoIterator<Item = &'a str>,
        limits: Limits,
    ) -> Result<Self, InvalidAddress> {
        let mut addresses: Vec<SocketAddress> = Vec::new();
        for text in texts {
            let address = SocketAddress::parse(text)?;
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        if addresses.is_empty() {
            return Err(InvalidAddress::Empty);
        }
        Ok(Self(addresses.into_iter().map(|address| Socket::new(address).with_limits(limits)).collect()))
    }

    /// The sockets, in the order of the list.
    pub fn iter(&self) -> impl Iterator<Item = &Socket> {
        self.0.iter()
    }

    /// Asks who is there, one socket after the other.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection; nothing was changed.
    pub async fn survey(&self) -> Survey {
        let mut survey = Survey { reached: Vec::new(), failed: Vec::new() };
        for socket in &self.0 {
            match socket.process().await {
                Ok(process) => survey.add(socket, process),
                Err(error) => survey.failed.push(error),
            }
        }
        survey
    }
}

impl Survey {
    fn add(&mut self, socket: &Socket, process: Process) {
        let known = self.reached.iter_mut().find(|(_, known)| known.identity == process.identity);
        match known {
            None => self.reached.push((socket.clone(), process)),
            Some(known) if process.level.rank() > known.1.level.rank() => *known = (socket.clone(), process),
            Some(_) => {}
        }
    }
}
