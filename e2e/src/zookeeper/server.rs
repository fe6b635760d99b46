//! One ZooKeeper server.

mod configuration;

use std::io;
use std::net::SocketAddr;
use std::process::Output;
use std::time::Duration;

use configuration::key_store;
use rustix::process::Signal;

use super::command::{ANSWER, ask, mode};
use super::options::Tls;
use super::request::ZookeeperRequest;
use super::{ZookeeperConnection, ZookeeperCounters, ZookeeperOptions, ZookeeperStatus, ZookeeperWatches};
use super::{java, session, status};
use crate::process::Process;
use crate::wait::Wait;
use crate::{Dir, Port};

/// How often a server is started anew, with other ports, when it ends during its start.
pub(super) const ATTEMPTS: usize = 5;
/// Longest start, on a machine that is busy with other tests.
pub(super) const START: Duration = Duration::from_secs(30);
/// Longest regular end.
const STOP: Duration = Duration::from_secs(10);

/// A running ZooKeeper with a directory and ports of its own: one server, alone or of a
/// [`ZookeeperEnsemble`](crate::ZookeeperEnsemble).
///
/// What it is asked about itself is a four-letter word on its plain port, which panics if there is no good answer within 10 s.
/// Nodes are the matter of a [`Registrar`](crate::Registrar). Dropping it kills it.
#[derive(Debug)]
pub struct Zookeeper {
    dir: Dir,
    ports: Ports,
    options: ZookeeperOptions,
    member: Option<Member>,
    process: Option<Process>,
}

#[derive(Debug)]
pub(super) struct Ports {
    client: Port,
    tls: Option<Port>,
}

/// What makes a server part of an ensemble.
#[derive(Debug)]
pub(super) struct Member {
    /// From 1.
    pub(super) number: usize,
    /// Lines of `zoo.cfg`.
    pub(super) servers: String,
    /// For the members among themselves; claimed here, written in `servers`.
    pub(super) _ports: [Port; 2],
}

impl Zookeeper {
    /// Starts a server with default options, and waits until it serves.
    pub async fn start() -> Self {
        Self::start_with(ZookeeperOptions::new()).await
    }

    /// Starts a server, and waits until it serves.
    pub async fn start_with(options: ZookeeperOptions) -> Self {
        let mut failure = String::new();
        for _ in 0..ATTEMPTS {
            let mut server = Self::prepare(options.clone(), None);
            server.run();
            match server.became_ready(START).await {
                Ok(()) => return server,
                Err(log) => failure = log,
            }
        }
        panic!("ZooKeeper ended {ATTEMPTS} times during its start; its log, the last time:\n{failure}");
    }

    pub(super) fn prepare(options: ZookeeperOptions, member: Option<Member>) -> Self {
        let ports = Ports { client: Port::free(), tls: options.tls.is_some().then(Port::free) };
        Self { dir: Dir::new("zookeeper"), ports, options, member, process: None }
    }

    /// Starts the process.
    pub(super) fn run(&mut self) {
        let data = self.dir.join("data");
        std::fs::create_dir_all(&data).unwrap_or_else(|error| panic!("making {}: {error}", data.display()));
        if let Some(member) = &self.member {
            self.dir.write("data/myid", member.number.to_string());
        }
        let configuration = self.dir.write("zoo.cfg", self.configuration());
        let flags = self.server_flags();
        let arguments = java::arguments(&flags, java::SERVER, &[&configuration.display().to_string()]);
        self.process = Some(Process::spawn("zookeeper", &java::program(), &arguments, self.dir.path()));
    }

    /// Waits until it serves, or has ended: then its log is the error.
    pub(super) async fn became_ready(&mut self, deadline: Duration) -> Result<(), String> {
        let address = self.address();
        let process = self.process.as_mut().expect("callers start the process first");
        let mut wait = Wait::new(deadline, "ZooKeeper to serve");
        loop {
            if let Some(status) = process.exited() {
                return Err(format!("{status}\n{}", process.log_tail()));
            }
            if wait.look(mode(address)).await.is_some() {
                return Ok(());
            }
        }
    }

    /// Where clients connect without TLS: what a [`Proxy`](crate::Proxy) takes.
    pub fn address(&self) -> SocketAddr {
        self.ports.client.address()
    }

    /// Where clients connect with TLS, which the options must have asked for.
    pub fn tls_address(&self) -> SocketAddr {
        self.ports.tls.as_ref().expect("this ZooKeeper was started without TLS").address()
    }

    /// [`address`](Self::address), as a list of hosts with their ports.
    pub fn hosts(&self) -> Vec<String> {
        vec![self.address().to_string()]
    }

    /// [`tls_address`](Self::tls_address), as a list of hosts with their ports.
    pub fn tls_hosts(&self) -> Vec<String> {
        vec![self.tls_address().to_string()]
    }

    /// Where its data and its log `zookeeper.log` are.
    pub fn dir(&self) -> &Dir {
        &self.dir
    }

    pub(super) fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| process.exited().is_none())
    }

    /// Waits until it serves: as a member of an ensemble, until there is a quorum.
    pub async fn wait_ready(&self, deadline: Duration) {
        let mut wait = Wait::new(deadline, "ZooKeeper to serve");
        while wait.look(mode(self.address())).await.is_none() {}
    }

    /// Kills it as a power cut would (SIGKILL). Nothing happens to one that has ended.
    pub async fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill_group().await;
        }
    }

    /// Asks it to end (SIGTERM) and waits for that, at most 10 s. It must not be frozen.
    pub async fn terminate(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.signal(Signal::TERM);
            assert!(
                process.wait_exit(STOP).await,
                "ZooKeeper still runs {STOP:?} after SIGTERM:\n{}",
                process.log_tail()
            );
        }
    }

    /// Starts it again with the same data and ports, killing it first if it runs, and waits until it serves.
    ///
    /// Sessions that there were go on, with their whole time-out before them, however long it was stopped. A member of an
    /// ensemble serves only once there is a quorum: use [`resume`](Self::resume) for several.
    pub async fn restart(&mut self) {
        self.resume().await;
        self.became_ready(START)
            .await
            .unwrap_or_else(|log| panic!("ZooKeeper ended during its restart: {log}"));
    }

    /// As [`restart`](Self::restart), without the waiting.
    pub async fn resume(&mut self) {
        self.kill().await;
        self.run();
    }

    /// Removes all data of a server that was stopped, the sessions among them.
    pub fn wipe(&mut self) {
        assert!(self.process.is_none(), "a ZooKeeper that runs cannot be wiped");
        let data = self.dir.join("data");
        std::fs::remove_dir_all(&data).unwrap_or_else(|error| panic!("removing {}: {error}", data.display()));
    }

    /// Stops it in its tracks (SIGSTOP): connections stay open, new ones are accepted by the kernel, and nothing answers.
    pub async fn freeze(&mut self) {
        self.process.as_mut().expect("only a ZooKeeper that runs can be frozen").freeze().await;
    }

    /// Lets it go on after [`freeze`](Self::freeze). What clients sent meanwhile is read before their sessions are judged,
    /// or after: those that were silent for longer than their time-out may or may not have expired.
    pub fn thaw(&mut self) {
        self.process.as_mut().expect("only a ZooKeeper that runs can be thawed").signal(Signal::CONT);
    }

    /// The answer to any four-letter word; [`io::ErrorKind::TimedOut`] after 10 s.
    pub async fn command(&self, word: &str) -> io::Result<String> {
        ask(self.address(), word, ANSWER).await
    }

    /// Its totals. A member without a quorum has none.
    pub async fn status(&self) -> ZookeeperStatus {
        self.parsed("srvr", ZookeeperStatus::parse).await
    }

    /// Its counters. A member without a quorum has none.
    pub async fn counters(&self) -> ZookeeperCounters {
        self.parsed("mntr", ZookeeperCounters::parse).await
    }

    /// The connections of clients that have a session.
    pub async fn connections(&self) -> Vec<ZookeeperConnection> {
        self.parsed("cons", |answer| Some(ZookeeperConnection::parse_all(answer))).await
    }

    /// How much its clients watch.
    pub async fn watches(&self) -> ZookeeperWatches {
        self.parsed("wchs", ZookeeperWatches::parse).await
    }

    /// The ids of all sessions, those without a connection included, in order. Of an ensemble, every member knows them.
    pub async fn sessions(&self) -> Vec<i64> {
        self.parsed("dump", |answer| answer.starts_with("SessionTracker").then(|| status::sessions(answer)))
            .await
    }

    async fn parsed<T>(&self, word: &str, parse: impl Fn(&str) -> Option<T>) -> T {
        let answer =
            self.command(word).await.unwrap_or_else(|error| panic!("asking ZooKeeper {word}: {error}"));
        parse(&answer).unwrap_or_else(|| panic!("unexpected answer of ZooKeeper to {word}: {answer}"))
    }

    /// Ends a session, whoever has it, as if it had expired: its client is disconnected and, when it comes back, told that
    /// the session has expired. On return the session and its ephemeral nodes are gone at this server; other members of an
    /// ensemble follow.
    pub async fn expire(&self, session: i64) {
        let what = format!("the session {session:#x} to end");
        let (mut wait, mut tries) = (Wait::new(ANSWER, &what), 0);
        loop {
            let attempt = async {
                tries += 1;
                match session::close(self.address(), session).await {
                    // Its client was back so soon that ZooKeeper gave the session to that again, before or after it read
                    // the request to close: only another try tells.
                    Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.to_string()),
                    Err(error) if tries == 1 => panic!("{what}: {error}"),
                    Err(_) => session::pass(self.address()).await.map_err(|error| error.to_string()),
                    Ok(()) => Ok(()),
                }
            };
            if wait.look(attempt).await.is_some() {
                return;
            }
        }
    }

    /// All requests since the server was first started, in the order in which it handled them. Once a client has its answer,
    /// the request is among them. The options must have asked for [the log](ZookeeperOptions::with_request_log).
    pub fn requests(&self) -> Vec<ZookeeperRequest> {
        assert!(self.options.request_log, "this ZooKeeper was started without a log of its requests");
        let log = self.dir.join("zookeeper.log");
        let bytes = std::fs::read(&log).unwrap_or_else(|error| panic!("reading {}: {error}", log.display()));
        String::from_utf8_lossy(&bytes).lines().filter_map(ZookeeperRequest::parse).collect()
    }

    /// Runs one command of ZooKeeper's own client (`get /a`, `create /a data`) against this server, over TLS if that is on,
    /// with a client's certificate if that is asked for, and as the SASL user if there is one; it prints what it is told, among
    /// other things. Any exit status is returned. Takes a second.
    pub async fn client(&self, command: &[&str]) -> Output {
        let mut flags = vec!["-Xmx64m".to_owned()];
        let mut server = self.address();
        if let Some(tls) = &self.options.tls {
            server = self.tls_address();
            flags.extend(self.client_tls(tls));
        }
        match &self.options.sasl {
            Some(sasl) => {
                let text = format!(
                    "Client {{\n  org.apache.zookeeper.server.auth.DigestLoginModule required\n  \
                     username=\"{}\"\n  password=\"{}\";\n}};\n",
                    sasl.user, sasl.password
                );
                let path = self.dir.write("client.jaas", text);
                flags.push(format!("-Djava.security.auth.login.config={}", path.display()));
            }
            None => flags.push("-Dzookeeper.sasl.client=false".to_owned()),
        }
        let server = server.to_string();
        let arguments = [&["-server", &server][..], command].concat();
        let program = java::program();
        tokio::process::Command::new(&program)
            .args(java::arguments(&flags, java::CLIENT, &arguments))
            .current_dir(self.dir.path())
            .env_clear()
            .kill_on_drop(true)
            .output()
            .await
            .unwrap_or_else(|error| panic!("running {}: {error}", program.display()))
    }

    fn client_tls(&self, tls: &Tls) -> Vec<String> {
        let mut flags = vec![
            "-Dzookeeper.client.secure=true".to_owned(),
            "-Dzookeeper.clientCnxnSocket=org.apache.zookeeper.ClientCnxnSocketNetty".to_owned(),
            format!("-Dzookeeper.ssl.trustStore.location={}", tls.ca.display()),
            "-Dzookeeper.ssl.trustStore.type=PEM".to_owned(),
        ];
        if let Some((certificate, key)) = &tls.client_certificate {
            let key_store = self.dir.write("client.pem", key_store(key, certificate));
            flags.push(format!("-Dzookeeper.ssl.keyStore.location={}", key_store.display()));
            flags.push("-Dzookeeper.ssl.keyStore.type=PEM".to_owned());
        }
        flags
    }
}
