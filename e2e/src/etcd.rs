//! One etcd server.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Output;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use crate::gateway::{Gateway, encode, range_end};
use crate::process::Process;
use crate::wait::Wait;
use crate::{Dir, EtcdOptions, Port, binary, http};

/// How often a server is started anew, with other ports, when it ends during its start.
pub(crate) const ATTEMPTS: usize = 5;
/// Longest start, on a machine that is busy with other tests.
pub(crate) const START: Duration = Duration::from_secs(30);
/// Longest regular end.
const STOP: Duration = Duration::from_secs(10);

/// A running etcd with a directory and ports of its own: one member, alone or of an [`EtcdCluster`](crate::EtcdCluster).
///
/// What changes keys goes through etcd's JSON [`Gateway`] and panics when etcd refuses or does not answer within
/// 10 s; [`gateway`](Self::gateway) has the same as `Result`s. Dropping it kills it.
#[derive(Debug)]
pub struct Etcd {
    name: String,
    dir: Dir,
    ports: Ports,
    options: EtcdOptions,
    initial_cluster: String,
    process: Option<Process>,
    gateway: Gateway,
}

#[derive(Debug)]
pub(crate) struct Ports {
    client: Port,
    /// Where the harness talks to a member whose clients need TLS.
    plain: Option<Port>,
    peer: Port,
}

impl Ports {
    pub(crate) fn free(options: &EtcdOptions) -> Self {
        let plain = options.tls.is_some().then(Port::free);
        Self { client: Port::free(), plain, peer: Port::free() }
    }

    pub(crate) fn peer_url(&self) -> String {
        format!("http://{}", self.peer.address())
    }

    fn plain(&self) -> SocketAddr {
        self.plain.as_ref().unwrap_or(&self.client).address()
    }
}

impl Etcd {
    /// Starts a server of one member with default options, and waits until it serves.
    pub async fn start() -> Self {
        Self::start_with(EtcdOptions::new()).await
    }

    /// Starts a server of one member, and waits until it serves.
    pub async fn start_with(options: EtcdOptions) -> Self {
        let mut failures = Vec::new();
        for _ in 0..ATTEMPTS {
            let ports = Ports::free(&options);
            let initial_cluster = format!("alone={}", ports.peer_url());
            let mut etcd = Self::prepare("alone", ports, options.clone(), initial_cluster);
            etcd.run("new");
            match etcd.became_ready(START).await {
                Ok(()) => return etcd,
                Err(log) => failures.push(log),
            }
        }
        panic!(
            "etcd ended {ATTEMPTS} times during its start; its log, the last time:\n{}",
            failures.swap_remove(ATTEMPTS - 1)
        );
    }

    pub(crate) fn prepare(name: &str, ports: Ports, options: EtcdOptions, initial_cluster: String) -> Self {
        let gateway = Gateway::new(ports.plain());
        Self {
            name: name.to_owned(),
            dir: Dir::new("etcd"),
            ports,
            options,
            initial_cluster,
            process: None,
            gateway,
        }
    }

    /// Starts the process; `state` is `new`, or `existing` for a member that joins.
    pub(crate) fn run(&mut self, state: &str) {
        let program = binary::find("etcd", "etcd-server");
        let client = self.endpoint();
        let peer = self.ports.peer_url();
        let listen = match &self.ports.plain {
            Some(plain) => format!("{client},http://{}", plain.address()),
            None => client.clone(),
        };
        let mut flags = vec![
            format!("--name={}", self.name),
            format!("--data-dir={}", self.dir.join("data").display()),
            format!("--listen-client-urls={listen}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster={}", self.initial_cluster),
            format!("--initial-cluster-state={state}"),
            "--log-level=warn".to_owned(),
        ];
        if !self.options.fsync {
            flags.push("--unsafe-no-fsync".to_owned());
        }
        if let Some(tls) = &self.options.tls {
            flags.push(format!("--cert-file={}", tls.certificate.display()));
            flags.push(format!("--key-file={}", tls.key.display()));
            if tls.client_certificate.is_some() {
                flags.push("--client-cert-auth".to_owned());
                flags.push(format!("--trusted-ca-file={}", tls.ca.display()));
            }
        }
        flags.extend(self.options.flags.iter().cloned());
        self.process = Some(Process::spawn("etcd", &program, &flags, self.dir.path()));
    }

    /// Waits until it serves, or has ended: then its log is the error.
    pub(crate) async fn became_ready(&mut self, deadline: Duration) -> Result<(), String> {
        let address = self.ports.plain();
        let process = self.process.as_mut().expect("callers start the process first");
        let mut wait = Wait::new(deadline, "etcd to serve");
        loop {
            if let Some(status) = process.exited() {
                return Err(format!("{status}\n{}", process.log_tail()));
            }
            if let Some(()) = wait.look(health(address)).await {
                return Ok(());
            }
        }
    }

    /// The URL clients use: `https` if the options ask for TLS.
    pub fn endpoint(&self) -> String {
        let scheme = if self.options.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address())
    }

    /// [`endpoint`](Self::endpoint), as a list.
    pub fn endpoints(&self) -> Vec<String> {
        vec![self.endpoint()]
    }

    /// Where clients connect: what a [`Proxy`](crate::Proxy) takes.
    pub fn address(&self) -> SocketAddr {
        self.ports.client.address()
    }

    /// The JSON gateway of this member.
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// Where its data and its log `etcd.log` are.
    pub fn dir(&self) -> &Dir {
        &self.dir
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn peer_url(&self) -> String {
        self.ports.peer_url()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| process.exited().is_none())
    }

    /// Waits until this member serves and knows a leader.
    pub async fn wait_ready(&self, deadline: Duration) {
        let address = self.ports.plain();
        let mut wait = Wait::new(deadline, "etcd to serve");
        while wait.look(health(address)).await.is_none() {}
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
                "etcd still runs {STOP:?} after SIGTERM:\n{}",
                process.log_tail()
            );
        }
    }

    /// Starts it again with the same data and ports, killing it first if it runs, and waits until it serves.
    ///
    /// A member of a cluster serves only once there is a quorum: use [`resume`](Self::resume) for several.
    pub async fn restart(&mut self) {
        self.resume().await;
        self.became_ready(START).await.unwrap_or_else(|log| panic!("etcd ended during its restart: {log}"));
    }

    /// As [`restart`](Self::restart), without the waiting.
    pub async fn resume(&mut self) {
        self.kill().await;
        // What is in the data directory counts; "existing" would matter to an empty one only.
        self.run("new");
    }

    /// Removes all data of a server that was stopped: the next start begins with an empty store at revision 1.
    pub fn wipe(&mut self) {
        assert!(self.process.is_none(), "an etcd that runs cannot be wiped");
        let data = self.dir.join("data");
        std::fs::remove_dir_all(&data).unwrap_or_else(|error| panic!("removing {}: {error}", data.display()));
    }

    /// Stops it in its tracks (SIGSTOP): connections stay open, new ones are accepted by the kernel, and nothing answers.
    pub async fn freeze(&mut self) {
        self.process.as_mut().expect("only an etcd that runs can be frozen").freeze().await;
    }

    /// Lets it go on after [`freeze`](Self::freeze).
    pub fn thaw(&mut self) {
        self.process.as_mut().expect("only an etcd that runs can be thawed").signal(Signal::CONT);
    }

    /// Writes a key; returns the revision.
    pub async fn put(&self, key: &str, value: &str) -> i64 {
        done("put", self.gateway.put(key, value, 0).await)
    }

    /// Writes a key that goes `ttl` seconds from now; returns the number of its lease, which nobody keeps alive.
    ///
    /// etcd lengthens leases shorter than its election time-out, 2 s by default.
    pub async fn put_with_lease(&self, key: &str, value: &str, ttl: u32) -> i64 {
        let lease = done("grant", self.gateway.grant(ttl).await);
        done("put", self.gateway.put(key, value, lease).await);
        lease
    }

    /// Writes many keys, quickly.
    pub async fn put_many<K: AsRef<str>, V: AsRef<str>>(&self, pairs: impl IntoIterator<Item = (K, V)>) {
        done("put many", self.gateway.put_many(pairs).await);
    }

    /// Deletes a key, which must exist.
    pub async fn delete(&self, key: &str) {
        let deleted = done("delete", self.gateway.delete(key).await);
        assert_eq!(deleted, 1, "there was no key {key} to delete");
    }

    /// Forgets all revisions before the present one, and returns that.
    pub async fn compact(&self) -> i64 {
        done("compact", self.gateway.compact().await)
    }

    /// Turns authentication on: the user `root` with `root_password`, whom the harness is from now on, and `user`,
    /// who may read what begins with `prefix` and nothing else.
    pub async fn enable_auth(&self, root_password: &str, user: &str, password: &str, prefix: &str) {
        let permission = json!({ "permType": "READ", "key": encode(prefix), "range_end": range_end(prefix) });
        for (method, body) in [
            ("user/add", json!({ "name": "root", "password": root_password })),
            ("user/grant", json!({ "user": "root", "role": "root" })),
            ("role/add", json!({ "name": "reader" })),
            ("role/grant", json!({ "name": "reader", "perm": permission })),
            ("user/add", json!({ "name": user, "password": password })),
            ("user/grant", json!({ "user": user, "role": "reader" })),
            ("enable", json!({})),
        ] {
            done(method, self.gateway.call(&format!("/v3/auth/{method}"), &body).await);
        }
        done("authenticate", self.gateway.authenticate("root", root_password).await);
    }

    /// Runs `etcdctl` (API version 3) against this member and returns what it printed. Any exit status is returned.
    pub async fn etcdctl(&self, args: &[&str]) -> Output {
        let mut flags = vec![format!("--endpoints={}", self.endpoint())];
        if let Some(tls) = &self.options.tls {
            flags.push(format!("--cacert={}", tls.ca.display()));
            if let Some((certificate, key)) = &tls.client_certificate {
                flags.push(format!("--cert={}", certificate.display()));
                flags.push(format!("--key={}", key.display()));
            }
        }
        let program: PathBuf = binary::find("etcdctl", "etcd-client");
        tokio::process::Command::new(&program)
            .args(flags)
            .args(args)
            .env_clear()
            // Version 2 is the default of etcdctl before 3.4.
            .env("ETCDCTL_API", "3")
            .env("PATH", binary::search_path())
            .kill_on_drop(true)
            .output()
            .await
            .unwrap_or_else(|error| panic!("running {}: {error}", program.display()))
    }
}

/// `Ok` if the member serves and knows a leader.
async fn health(address: SocketAddr) -> Result<(), String> {
    match http::get(address, "/health").await {
        Ok(response) if response.status == 200 && response.body.contains("true") => Ok(()),
        Ok(response) => Err(format!("status {}: {}", response.status, response.body.trim())),
        Err(error) => Err(error.to_string()),
    }
}

/// The result of something that a scenario cannot go on without.
pub(crate) fn done<T>(what: &str, result: std::io::Result<T>) -> T {
    result.unwrap_or_else(|error| panic!("etcd: {what}: {error}"))
}
