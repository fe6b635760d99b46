//! The agent inside another program, with a discovery method of that program's own.
//!
//!     cargo run -p agent --example embed -- /tmp/haproxy.cfg
//!
//! The program knows who serves `web`: here a list that grows by one server a second. It publishes what it knows through a
//! channel, and the method `ours` is a watcher of that channel. After three servers it ends, as another would at Ctrl-C.

use std::{error::Error, net::IpAddr, time::Duration};

use agent::{
    Agent, Config, Registry, Source,
    discovery::{Endpoint, Snapshot, WatchError, Watcher},
};
use async_trait::async_trait;
use tokio::sync::watch;

/// What the program publishes, as a source of the agent.
struct Published {
    news: watch::Receiver<Snapshot>,
    told: bool,
}

#[async_trait]
impl Watcher for Published {
    /// The first call answers at once, each further one when there is news. A call that is dropped loses nothing: what was
    /// told is noted after the last await.
    async fn next(&mut self) -> Result<Snapshot, WatchError> {
        if self.told {
            let changed = self.news.changed().await;
            changed.map_err(|error| WatchError::new("waiting for the program").because(error))?;
        }
        self.told = true;
        Ok(self.news.borrow_and_update().clone())
    }
}

/// The keys of the method: none.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Ours {}

fn server(number: u8) -> Result<Endpoint, Box<dyn Error>> {
    Ok(Endpoint::new(IpAddr::from([10, 0, 0, number]).try_into()?, 8080)?)
}

/// The program: HAProxy's configuration goes to `path`, how many servers there are to `tell`.
pub(crate) async fn program(path: &str, tell: impl Fn(usize)) -> Result<(), Box<dyn Error>> {
    let (publish, news) = watch::channel(Snapshot::new([server(1)?]));

    // A method has a section of keys to check, and makes a watcher for each service that names it.
    let registry = Registry::builtin().with("ours", move |section| {
        let Ours {} = section.parse()?;
        let news = news.clone();
        Ok(Source::new(move |_context| Published { news: news.clone(), told: false }))
    });
    let text = format!(
        "services:
  web: {{discovery: {{method: ours}}, haproxy: {{port: 3213, listen: [mode http]}}}}
haproxy:
  config_file_path: {path:?}
  reload_command: [\"true\"]
  restart_interval: 0
  global: [maxconn 1000]
  defaults: [timeout connect 1s, timeout client 10s, timeout server 10s]
"
    );
    let agent = Agent::new(Config::parse(&text, Some("embedded"), &registry)?);

    // The agent runs until this future is ready. What it spawned ends with it; HAProxy goes on serving.
    let mut status = agent.status();
    let stop = async move {
        for number in 2..=3 {
            status.changed().await;
            tell(status.services()[0].servers);
            tokio::time::sleep(Duration::from_secs(1)).await;
            publish.send_modify(|known| {
                *known = known.iter().cloned().chain(server(number)).collect();
            });
        }
        status.changed().await;
        tell(status.services()[0].servers);
    };
    agent.run(stop).await;
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
#[allow(clippy::print_stdout, reason = "a program for a terminal")]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: embed FILE")?;
    program(&path, |servers| println!("servers of web: {servers}")).await
}
