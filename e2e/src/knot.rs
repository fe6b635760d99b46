//! A DNS server.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Mutex;
use std::time::Duration;

use rustix::process::Signal;
use tokio::net::UdpSocket;

use crate::process::Process;
use crate::wait::Wait;
use crate::{Dir, Port, binary};

/// How often a server is started anew, with another port, when it ends during its start.
const ATTEMPTS: usize = 5;
/// Longest start, and longest change, on a machine that is busy with other tests.
const DEADLINE: Duration = Duration::from_secs(30);
/// Where it listens: the claim on a [`Port`] holds that port for UDP on 127.0.0.1.
const HOST: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// A running Knot, the authority of the zone `example`, on UDP and TCP, with a directory and a port of its own.
///
/// Names are relative to the zone: `web` is `web.example`. What does not exist may be remembered for a second. Dropping it kills
/// it.
#[derive(Debug)]
pub struct Knot {
    dir: Dir,
    port: Port,
    zone: Mutex<Zone>,
    process: Option<Process>,
    frozen: bool,
}

#[derive(Debug, Default)]
struct Zone {
    serial: u32,
    /// By owner and type: the TTL, and the data.
    records: BTreeMap<(String, String), (u32, Vec<String>)>,
}

impl Zone {
    fn text(&self) -> String {
        let mut text = format!(
            "$ORIGIN example.\n@ 1 SOA ns admin {} 3600 600 86400 1\n@ 1 NS ns\nns 1 A {HOST}\n",
            self.serial
        );
        for ((owner, kind), (ttl, data)) in &self.records {
            for one in data {
                let _ = writeln!(text, "{owner} {ttl} {kind} {one}");
            }
        }
        text
    }
}

impl Knot {
    /// Starts a server with an empty zone, and waits until it answers.
    pub async fn start() -> Self {
        let mut failures = Vec::new();
        for _ in 0..ATTEMPTS {
            let zone = Zone { serial: 1, ..Zone::default() };
            let mut knot = Self {
                dir: Dir::new("knot"),
                port: Port::free(),
                zone: zone.into(),
                process: None,
                frozen: false,
            };
            knot.write_zone();
            match knot.run().await {
                Ok(()) => return knot,
                Err(log) => failures.push(log),
            }
        }
        panic!(
            "knotd ended {ATTEMPTS} times during its start; its log, the last time:\n{}",
            failures.swap_remove(ATTEMPTS - 1)
        );
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        (HOST, self.port.number()).into()
    }

    /// Replaces the records of one type that a name has; without `data` it has none then. On return it is answered
    /// so; by a server that is gone or frozen, when it [is there again](Self::restart).
    pub async fn set(&self, owner: &str, kind: &str, ttl: u32, data: &[&str]) {
        self.set_all(&[(owner, kind, ttl, data)]).await;
    }

    /// [`set`](Self::set) for several, in one step.
    pub async fn set_all(&self, sets: &[(&str, &str, u32, &[&str])]) {
        {
            let mut zone = self.zone.lock().expect("nothing panics with the zone in its hands");
            zone.serial += 1;
            for (owner, kind, ttl, data) in sets {
                let key = ((*owner).to_owned(), (*kind).to_owned());
                let data: Vec<_> = data.iter().map(|one| (*one).to_owned()).collect();
                if data.is_empty() {
                    zone.records.remove(&key)
                } else {
                    zone.records.insert(key, (*ttl, data))
                };
            }
        }
        self.write_zone();
        if self.process.is_some() && !self.frozen {
            self.reload().await;
        }
    }

    /// Ends it at once. Nothing happens to one that has ended.
    pub async fn kill(&mut self) {
        self.frozen = false;
        if let Some(mut process) = self.process.take() {
            process.kill_group().await;
        }
    }

    /// Starts it again on its port, with what was set meanwhile, and waits until it answers. Nothing happens to one that runs.
    pub async fn restart(&mut self) {
        if self.process.is_none() {
            self.run().await.unwrap_or_else(|log| panic!("knotd ended during its restart: {log}"));
        }
    }

    /// Stops it in its tracks (SIGSTOP): nothing answers.
    pub async fn freeze(&mut self) {
        self.process.as_mut().expect("only a server that runs can be frozen").freeze().await;
        self.frozen = true;
    }

    /// Lets it go on after [`freeze`](Self::freeze), with what was set meanwhile. Nothing happens to one that is not frozen.
    pub async fn thaw(&mut self) {
        if !std::mem::take(&mut self.frozen) {
            return;
        }
        if let Some(process) = &mut self.process {
            process.signal(Signal::CONT);
            self.reload().await;
        }
    }

    fn write_zone(&self) {
        let text = self.zone.lock().expect("nothing panics with the zone in its hands").text();
        self.dir.write("example.zone", text);
    }

    fn config(&self) -> String {
        let dir = self.dir.path().display();
        format!(
            "server:\n  rundir: \"{dir}\"\n  listen: {HOST}@{}\n  pidfile: \"{dir}/knot.pid\"\n\
             \x20 udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\n\
             control:\n  listen: \"{dir}/knot.sock\"\n\
             database:\n  storage: \"{dir}/db\"\n\
             log:\n  - target: stderr\n    any: info\n\
             zone:\n  - domain: example.\n    storage: \"{dir}\"\n    file: example.zone\n\
             \x20   zonefile-sync: -1\n    zonefile-load: whole\n    journal-content: none\n",
            self.port,
        )
    }

    /// Starts the process and waits until it answers, or has ended: then its log is the error.
    async fn run(&mut self) -> Result<(), String> {
        std::fs::create_dir_all(self.dir.join("db")).expect("making a directory in a temporary one");
        let config = self.dir.write("knot.conf", self.config());
        let arguments = ["-c".to_owned(), config.display().to_string()];
        let program = binary::find("knotd", "knot");
        let mut process = Process::spawn("knotd", &program, &arguments, self.dir.path());
        let mut wait = Wait::new(DEADLINE, "knotd to answer");
        loop {
            if let Some(status) = process.exited() {
                return Err(format!("{status}\n{}", process.log_tail()));
            }
            if wait.look(serial(self.address())).await.is_some() {
                self.process = Some(process);
                return Ok(());
            }
        }
    }

    /// Has the zone read again, and waits until the server answers with it.
    async fn reload(&self) {
        let config = self.dir.join("knot.conf");
        let program = binary::find("knotc", "knot");
        let output = tokio::process::Command::new(&program)
            .arg("-c")
            .arg(config)
            .args(["-b", "zone-reload", "example."])
            .env_clear()
            .kill_on_drop(true)
            .output();
        let output = output.await.unwrap_or_else(|error| panic!("running {}: {error}", program.display()));
        assert!(output.status.success(), "knotc: {}", String::from_utf8_lossy(&output.stderr));
        let wanted = self.zone.lock().expect("nothing panics with the zone in its hands").serial;
        let mut wait = Wait::new(DEADLINE, "knotd to serve the zone");
        let served = async || match serial(self.address()).await {
            Ok(found) if found >= wanted => Ok(()),
            Ok(found) => Err(format!("serial {found} instead of {wanted}")),
            Err(error) => Err(error),
        };
        while wait.look(served()).await.is_none() {}
    }
}

/// The serial of the zone that the server answers with.
async fn serial(server: SocketAddr) -> Result<u32, String> {
    let ask = async {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        socket.connect(server).await?;
        // One question, of the SOA of `example.`.
        socket.send(b"\x07\x07\0\0\0\x01\0\0\0\0\0\0\x07example\0\0\x06\0\x01").await?;
        let mut answer = [0; 512];
        let length = socket.recv(&mut answer).await?;
        Ok(answer[..length].to_vec())
    };
    let answered = tokio::time::timeout(Duration::from_secs(1), ask).await;
    let answer =
        answered.map_err(|_| "no answer".to_owned())?.map_err(|error: std::io::Error| error.to_string())?;
    // The record is the first answer and ends in five numbers, of which the serial is the first; no other section has any.
    let known = answer.get(3).is_some_and(|flags| flags % 16 == 0) && answer.get(7) == Some(&1);
    let owned = known.then(|| soa_serial(&answer)).flatten();
    owned.ok_or_else(|| format!("an answer without the zone: {answer:02x?}"))
}

/// Behind the question of 25 bytes stands the record: its owner as a pointer (2), ten bytes, and the data.
fn soa_serial(answer: &[u8]) -> Option<u32> {
    let length = usize::from(u16::from_be_bytes(answer.get(35..37)?.try_into().ok()?));
    let data = answer.get(37..37 + length)?;
    let numbers = data.get(length.checked_sub(20)?..)?;
    Some(u32::from_be_bytes(numbers[..4].try_into().ok()?))
}
