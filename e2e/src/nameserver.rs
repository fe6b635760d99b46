//! A nameserver that does what a test tells it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::JoinHandle;

use crate::Port;
use crate::listener::Listener;

/// Where it listens: the claim on a [`Port`] holds that port for UDP on 127.0.0.1.
const HOST: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
/// The type of A records.
const A: u16 = 1;

/// What a [`Nameserver`] says, whatever the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Says {
    /// These addresses, for a second; other types have no records.
    Addresses(Vec<Ipv4Addr>),
    /// These, too many for UDP: there is a part only, and the rest over TCP.
    OverTcp(Vec<Ipv4Addr>),
    /// A part only, over TCP too.
    Cut,
    /// This response code (2: SERVFAIL, 3: NXDOMAIN, 5: REFUSED) and nothing else.
    Code(u8),
    /// Nothing.
    Nothing,
    /// The header of an answer, and noise behind it.
    Noise,
    /// An address that answers a question that somebody else had.
    WrongId,
    /// An address that answers another question.
    WrongName,
    /// That other nameservers know.
    Referral,
    /// An alias of the name for itself.
    Circle,
}

/// A nameserver on UDP and TCP: tasks of the current runtime, which end when it is dropped.
#[derive(Debug)]
pub struct Nameserver {
    port: Port,
    state: Arc<Mutex<State>>,
    udp: JoinHandle<()>,
    _tcp: Listener,
}

#[derive(Debug)]
struct State {
    says: Says,
    udp: usize,
    tcp: usize,
}

impl Nameserver {
    /// Starts one.
    pub async fn start(says: Says) -> Self {
        let port = Port::free();
        let address = SocketAddr::from((HOST, port.number()));
        let state = Arc::new(Mutex::new(State { says, udp: 0, tcp: 0 }));
        let socket = UdpSocket::bind(address).await;
        let socket =
            socket.unwrap_or_else(|error| panic!("listening on {address} (UDP) for a test: {error}"));
        let udp = tokio::spawn(serve_udp(socket, Arc::clone(&state)));
        let shared = Arc::clone(&state);
        let tcp = Listener::start(address, move |stream| serve_tcp(stream, Arc::clone(&shared))).await;
        Self { port, state, udp, _tcp: tcp }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        (HOST, self.port.number()).into()
    }

    /// Says something else from now on.
    pub fn says(&self, says: Says) {
        self.lock().says = says;
    }

    /// How many questions came over UDP, and how many over TCP.
    pub fn asked(&self) -> (usize, usize) {
        let state = self.lock();
        (state.udp, state.tcp)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics with the state in its hands")
    }
}

impl Drop for Nameserver {
    fn drop(&mut self) {
        self.udp.abort();
    }
}

async fn serve_udp(socket: UdpSocket, state: Arc<Mutex<State>>) {
    let mut buffer = [0; 4096];
    loop {
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else { continue };
        let says = {
            let mut state = state.lock().expect("nothing panics with the state in its hands");
            state.udp += 1;
            state.says.clone()
        };
        if let Some(answer) = answers(&buffer[..length], &says, true) {
            // Whoever asked may be gone.
            let _ = socket.send_to(&answer, client).await;
        }
    }
}

async fn serve_tcp(mut stream: TcpStream, state: Arc<Mutex<State>>) -> std::io::Result<()> {
    loop {
        let length = stream.read_u16().await?;
        let mut question = vec![0; length.into()];
        stream.read_exact(&mut question).await?;
        let says = {
            let mut state = state.lock().expect("nothing panics with the state in its hands");
            state.tcp += 1;
            state.says.clone()
        };
        if let Some(answer) = answers(&question, &says, false) {
            let length = u16::try_from(answer.len()).expect("a test's answer fits into a message");
            stream.write_all(&[&length.to_be_bytes()[..], &answer].concat()).await?;
        }
    }
}

/// The answers to a message, none or one.
fn answers(message: &[u8], says: &Says, udp: bool) -> Option<Vec<u8>> {
    let (id, question) = (message.get(..2)?, question(message)?);
    let kind = u16::from_be_bytes(question.get(question.len() - 4..question.len() - 2)?.try_into().ok()?);
    let some = [Ipv4Addr::new(10, 66, 66, 66)];
    let addresses = |addresses: &[Ipv4Addr]| if kind == A { records(addresses) } else { Vec::new() };
    let plain = |records: &[Vec<u8>]| whole(id, 0, 0, question, records, &[]);
    Some(match says {
        Says::Nothing => return None,
        Says::OverTcp(list) if udp => {
            whole(id, TRUNCATED, 0, question, &addresses(&list[..1.min(list.len())]), &[])
        }
        Says::Addresses(list) | Says::OverTcp(list) => plain(&addresses(list)),
        Says::Cut => whole(id, TRUNCATED, 0, question, &addresses(&some), &[]),
        Says::Code(code) => whole(id, 0, *code, question, &[], &[]),
        Says::Noise => [&whole(id, 0, 0, question, &addresses(&some), &[])[..20], &[0xc0; 30]].concat(),
        Says::WrongId => whole(&[!id[0], !id[1]], 0, 0, question, &addresses(&some), &[]),
        Says::WrongName => {
            let other = [&b"\x05wrong"[..], question].concat();
            whole(id, 0, 0, &other, &addresses(&some), &[])
        }
        Says::Referral => {
            let names = record(2, b"\x02ns\x05other\0");
            whole(id, 0, 0, question, &[], &[names])
        }
        Says::Circle => plain(&[record(5, &[0xc0, 12])]),
    })
}

/// The flag of an answer that is a part only.
const TRUNCATED: u8 = 2;

/// The name, type and class that are asked for.
fn question(message: &[u8]) -> Option<&[u8]> {
    let mut end = 12;
    loop {
        match *message.get(end)? {
            0 => break,
            length => end += usize::from(length) + 1,
        }
    }
    message.get(12..end + 5)
}

fn records(addresses: &[Ipv4Addr]) -> Vec<Vec<u8>> {
    addresses.iter().map(|address| record(A, &address.octets())).collect()
}

/// A record of the name that is asked for, for a second.
fn record(kind: u16, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).expect("a test's record is short");
    [&[0xc0, 12][..], &kind.to_be_bytes(), &[0, 1, 0, 0, 0, 1], &length.to_be_bytes(), data].concat()
}

fn whole(
    id: &[u8],
    flags: u8,
    code: u8,
    question: &[u8],
    answers: &[Vec<u8>],
    authorities: &[Vec<u8>],
) -> Vec<u8> {
    let count =
        |records: &[Vec<u8>]| u16::try_from(records.len()).expect("a test's answer is short").to_be_bytes();
    let header =
        [id, &[0x81 | flags, 0x80 | code, 0, 1], &count(answers), &count(authorities), &[0, 0]].concat();
    [header, question.to_vec(), answers.concat(), authorities.concat()].concat()
}
