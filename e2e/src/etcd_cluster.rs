//! Several etcd servers that agree.

use std::time::Duration;

use serde_json::{Value, json};

use crate::etcd::{ATTEMPTS, Etcd, Ports, START, done};
use crate::wait::Wait;
use crate::{EtcdOptions, Gateway};

/// A running etcd cluster. Members are numbered from 0 in the order in which they joined.
#[derive(Debug)]
pub struct EtcdCluster {
    members: Vec<Etcd>,
    options: EtcdOptions,
    /// How many members there ever were: names are not used twice.
    named: usize,
}

impl EtcdCluster {
    /// Starts `size` members with default options, and waits until each serves.
    pub async fn start(size: usize) -> Self {
        Self::start_with(size, EtcdOptions::new()).await
    }

    /// Starts `size` members, and waits until each serves.
    pub async fn start_with(size: usize, options: EtcdOptions) -> Self {
        assert!(size > 0, "a cluster has members");
        let mut failure = String::new();
        for _ in 0..ATTEMPTS {
            match Self::try_start(size, &options).await {
                Ok(cluster) => return cluster,
                Err(log) => failure = log,
            }
        }
        panic!(
            "an etcd of {size} ended, {ATTEMPTS} times, during its start; its log, the last time:\n{failure}"
        );
    }

    async fn try_start(size: usize, options: &EtcdOptions) -> Result<Self, String> {
        let ports: Vec<Ports> = (0..size).map(|_| Ports::free(options)).collect();
        let initial = ports
            .iter()
            .enumerate()
            .map(|(number, ports)| format!("member{number}={}", ports.peer_url()))
            .collect::<Vec<_>>()
            .join(",");
        let mut members: Vec<Etcd> = ports
            .into_iter()
            .enumerate()
            .map(|(number, ports)| {
                Etcd::prepare(&format!("member{number}"), ports, options.clone(), initial.clone())
            })
            .collect();
        for member in &mut members {
            member.run("new");
        }
        for member in &mut members {
            member.became_ready(START).await?;
        }
        Ok(Self { members, options: options.clone(), named: size })
    }

    /// How many members there are, those that are stopped included.
    pub fn size(&self) -> usize {
        self.members.len()
    }

    /// The URLs of all members, those that are stopped included.
    pub fn endpoints(&self) -> Vec<String> {
        self.members.iter().map(Etcd::endpoint).collect()
    }

    /// A member: reading and writing through it works if it runs and there is a quorum.
    pub fn member(&self, number: usize) -> &Etcd {
        &self.members[number]
    }

    /// A member, to be killed, frozen or started again.
    pub fn member_mut(&mut self, number: usize) -> &mut Etcd {
        &mut self.members[number]
    }

    /// The number of the member that leads, waiting for an election to end if there is one. Frozen members slow it down.
    pub async fn leader(&mut self, deadline: Duration) -> usize {
        let running: Vec<usize> =
            (0..self.members.len()).filter(|number| self.members[*number].is_running()).collect();
        let mut wait = Wait::new(deadline, "an etcd leader");
        loop {
            let leader = async {
                let mut seen = Vec::new();
                for &number in &running {
                    match self.members[number].gateway().call("/v3/maintenance/status", &json!({})).await {
                        // The gateway leaves out a leader of 0, which is nobody.
                        Ok(status) if status["leader"] == status["header"]["member_id"] => return Ok(number),
                        Ok(status) => seen.push(format!("{number} follows {}", status["leader"])),
                        Err(error) => seen.push(format!("{number}: {error}")),
                    }
                }
                Err(seen.join("; "))
            };
            if let Some(number) = wait.look(leader).await {
                return number;
            }
        }
    }

    /// Waits until all members serve and know a leader.
    pub async fn wait_ready(&self, deadline: Duration) {
        for member in &self.members {
            member.wait_ready(deadline).await;
        }
    }

    /// Writes a key through the first member that runs; returns the revision.
    pub async fn put(&mut self, key: &str, value: &str) -> i64 {
        let number = self.running(None);
        self.members[number].put(key, value).await
    }

    /// Takes a member out of the cluster's list and kills it; those after it move up by one number.
    pub async fn member_remove(&mut self, number: usize) {
        let by = self.running(Some(number));
        let gateway = self.members[by].gateway();
        let peer = self.members[number].peer_url();
        let list = done("member list", gateway.call("/v3/cluster/member/list", &json!({})).await);
        let member = list["members"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|member| member["peerURLs"][0] == peer.as_str())
            .unwrap_or_else(|| panic!("no member with the peer URL {peer} in {list}"));
        let id = &member["ID"];
        insist(gateway, "/v3/cluster/member/remove", &json!({ "ID": id })).await;
        let mut removed = self.members.remove(number);
        removed.kill().await;
    }

    /// Starts a new member, with new ports and an empty directory, and waits until it serves; returns its number.
    pub async fn member_add(&mut self) -> usize {
        let ports = Ports::free(&self.options);
        let peer = ports.peer_url();
        let by = self.running(None);
        let gateway = self.members[by].gateway();
        insist(gateway, "/v3/cluster/member/add", &json!({ "peerURLs": [peer] })).await;
        let name = format!("member{}", self.named);
        self.named += 1;
        let mut initial: Vec<String> =
            self.members.iter().map(|m| format!("{}={}", m.name(), m.peer_url())).collect();
        initial.push(format!("{name}={peer}"));
        let mut member = Etcd::prepare(&name, ports, self.options.clone(), initial.join(","));
        member.run("existing");
        member.became_ready(START).await.unwrap_or_else(|log| panic!("the new etcd member ended: {log}"));
        self.members.push(member);
        self.members.len() - 1
    }

    /// The number of the first member that runs and is not `except`.
    fn running(&mut self, except: Option<usize>) -> usize {
        (0..self.members.len())
            .find(|number| Some(*number) != except && self.members[*number].is_running())
            .expect("some member of the cluster runs")
    }
}

/// Calls until etcd agrees: it refuses to change its members until all have been connected for some seconds.
async fn insist(gateway: &Gateway, method: &str, body: &Value) {
    let what = format!("etcd to agree to {method}");
    let mut wait = Wait::new(START, &what);
    while wait
        .look(async { gateway.call(method, body).await.map_err(|error| error.to_string()) })
        .await
        .is_none()
    {}
}
