//! Several ZooKeeper servers that agree.

use std::fmt::Write as _;
use std::time::Duration;

use super::command::mode;
use super::server::{ATTEMPTS, Member, START};
use super::{Zookeeper, ZookeeperOptions};
use crate::Port;
use crate::wait::Wait;

/// How many members there are.
const SIZE: usize = 3;

/// A running ZooKeeper of three members, numbered from 0.
#[derive(Debug)]
pub struct ZookeeperEnsemble {
    members: Vec<Zookeeper>,
}

impl ZookeeperEnsemble {
    /// Starts three members with default options, and waits until each serves.
    pub async fn start() -> Self {
        Self::start_with(ZookeeperOptions::new()).await
    }

    /// Starts three members, and waits until each serves.
    pub async fn start_with(options: ZookeeperOptions) -> Self {
        let mut failure = String::new();
        for _ in 0..ATTEMPTS {
            match Self::try_start(&options).await {
                Ok(ensemble) => return ensemble,
                Err(log) => failure = log,
            }
        }
        panic!(
            "a ZooKeeper of {SIZE} ended, {ATTEMPTS} times, during its start; its log, the last time:\n{failure}"
        );
    }

    async fn try_start(options: &ZookeeperOptions) -> Result<Self, String> {
        let ports: Vec<[Port; 2]> = (0..SIZE).map(|_| [Port::free(), Port::free()]).collect();
        let mut servers = String::new();
        for (number, [peer, election]) in (1..).zip(&ports) {
            let _ = writeln!(servers, "server.{number}=127.0.0.1:{peer}:{election}");
        }
        let mut members: Vec<Zookeeper> = (1..)
            .zip(ports)
            .map(|(number, ports)| Member { number, servers: servers.clone(), _ports: ports })
            .map(|member| Zookeeper::prepare(options.clone(), Some(member)))
            .collect();
        for member in &mut members {
            member.run();
        }
        for member in &mut members {
            member.became_ready(START).await?;
        }
        Ok(Self { members })
    }

    /// How many members there are, those that are stopped included: three.
    pub fn size(&self) -> usize {
        self.members.len()
    }

    /// The addresses of all members, those that are stopped included, in order.
    pub fn hosts(&self) -> Vec<String> {
        self.members.iter().flat_map(Zookeeper::hosts).collect()
    }

    /// The TLS addresses of all members, which the options must have asked for.
    pub fn tls_hosts(&self) -> Vec<String> {
        self.members.iter().flat_map(Zookeeper::tls_hosts).collect()
    }

    /// A member.
    pub fn member(&self, number: usize) -> &Zookeeper {
        &self.members[number]
    }

    /// A member, to be killed, frozen or started again.
    pub fn member_mut(&mut self, number: usize) -> &mut Zookeeper {
        &mut self.members[number]
    }

    /// The number of the member that leads, waiting for an election to end if there is one. Frozen members slow it down.
    pub async fn leader(&mut self, deadline: Duration) -> usize {
        self.members_that("leader", deadline).await[0]
    }

    /// The numbers of the members that follow, in order, waiting for one at least.
    pub async fn followers(&mut self, deadline: Duration) -> Vec<usize> {
        self.members_that("follower", deadline).await
    }

    /// The members in this mode, waiting for one at least.
    async fn members_that(&mut self, wanted: &str, deadline: Duration) -> Vec<usize> {
        let running: Vec<usize> =
            (0..self.members.len()).filter(|number| self.members[*number].is_running()).collect();
        let what = format!("a ZooKeeper that is {wanted}");
        let mut wait = Wait::new(deadline, &what);
        loop {
            let look = async {
                let (mut found, mut others) = (Vec::new(), Vec::new());
                for &number in &running {
                    match mode(self.members[number].address()).await {
                        Ok(mode) if mode == wanted => found.push(number),
                        Ok(other) | Err(other) => others.push(format!("{number}: {other}")),
                    }
                }
                if found.is_empty() { Err(others.join("; ")) } else { Ok(found) }
            };
            if let Some(found) = wait.look(look).await {
                return found;
            }
        }
    }

    /// Waits until all members serve.
    pub async fn wait_ready(&self, deadline: Duration) {
        for member in &self.members {
            member.wait_ready(deadline).await;
        }
    }

    /// Kills all members (SIGKILL).
    pub async fn kill(&mut self) {
        for member in &mut self.members {
            member.kill().await;
        }
    }

    /// Starts all members again with their data and ports, killing those that run, and waits until each serves.
    pub async fn restart(&mut self) {
        for member in &mut self.members {
            member.resume().await;
        }
        for member in &mut self.members {
            member
                .became_ready(START)
                .await
                .unwrap_or_else(|log| panic!("ZooKeeper ended during its restart: {log}"));
        }
    }

    /// The ids of all sessions, in order, from the first member that runs.
    pub async fn sessions(&mut self) -> Vec<i64> {
        let number = self.running();
        self.members[number].sessions().await
    }

    /// Ends a session, whoever has it and wherever its connection is: see [`Zookeeper::expire`].
    pub async fn expire(&mut self, session: i64) {
        let number = self.running();
        self.members[number].expire(session).await;
    }

    /// The number of the first member that runs.
    fn running(&mut self) -> usize {
        (0..self.members.len())
            .find(|number| self.members[*number].is_running())
            .expect("some member of the ensemble runs")
    }
}
