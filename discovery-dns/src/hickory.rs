//! Questions over the network.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use hickory_resolver::{
    NameServerPool, PoolContext, TlsConfig,
    config::{ConnectionConfig, NameServerConfig, ResolverOpts},
    net::{
        DnsError, NetError, NoRecords,
        runtime::TokioRuntimeProvider,
        xfer::{DnsHandle, FirstAnswer},
    },
    proto::{
        op::{DnsRequestOptions, Query, ResponseCode},
        rr::{Name, RecordType},
    },
};
use tokio::time::timeout;

use crate::exchange::{Exchange, Refusal, Response};

/// More than this many nameservers were in use over time: the connections of all are let go.
const POOLS: usize = 64;

type Pool = NameServerPool<TokioRuntimeProvider>;

/// Hickory's connections, one pool for each nameserver: a pool of several stops at the first that refuses.
#[derive(Default)]
pub(crate) struct Hickory {
    pools: Mutex<HashMap<(SocketAddr, Duration), Pool>>,
}

impl Hickory {
    fn pool(&self, nameserver: SocketAddr, within: Duration) -> Result<Pool, NetError> {
        // A pool is only ever put there or taken out whole.
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.get(&(nameserver, within)) {
            return Ok(pool.clone());
        }
        let [mut udp, mut tcp] = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
        (udp.port, tcp.port) = (nameserver.port(), nameserver.port());
        let config = NameServerConfig::new(nameserver.ip(), true, vec![udp, tcp]);
        let mut options = ResolverOpts::default();
        options.timeout = within;
        let context = Arc::new(PoolContext::new(options, TlsConfig::new()?));
        let pool = Pool::from_config([config], context, TokioRuntimeProvider::default());
        if pools.len() >= POOLS {
            pools.clear();
        }
        pools.insert((nameserver, within), pool.clone());
        Ok(pool)
    }
}

#[async_trait]
impl Exchange for Hickory {
    async fn ask(
        &self,
        nameserver: SocketAddr,
        name: &Name,
        kind: RecordType,
        within: Duration,
    ) -> Result<Response, Refusal> {
        let useless = |error: NetError| Refusal::Useless(error.to_string());
        let pool = self.pool(nameserver, within).map_err(useless)?;
        let mut options = DnsRequestOptions::default();
        let silent = || Refusal::Silent(format!("does not answer within {within:?}"));
        // Over UDP and, if that was cut, over TCP: each has its time.
        let asking = async {
            loop {
                let query = Query::query(name.clone(), kind);
                let answer = pool.lookup(query, options).first_answer().await;
                let code = match &answer {
                    Err(NetError::Dns(DnsError::ResponseCode(code))) => *code,
                    _ => break answer,
                };
                // What servers that are older than EDNS say to it.
                let older = matches!(code, ResponseCode::FormErr | ResponseCode::NotImp);
                if !(older && options.use_edns) {
                    break answer;
                }
                options.use_edns = false;
            }
        };
        match timeout(2 * within, asking).await {
            Err(_) | Ok(Err(NetError::Timeout)) => Err(silent()),
            Ok(Err(NetError::Io(error))) => Err(Refusal::Silent(format!("cannot be reached: {error}"))),
            Ok(Err(NetError::NoConnections)) => Err(Refusal::Silent("cannot be reached".to_owned())),
            Ok(Err(NetError::Dns(DnsError::NoRecordsFound(none)))) => Ok(nobody(&none)),
            Ok(Err(NetError::Dns(DnsError::ResponseCode(code)))) => {
                Err(Refusal::Useless(format!("answers {}", said(code))))
            }
            Ok(Err(NetError::Truncated)) => {
                Err(Refusal::Useless("answers with a part only, over TCP too".into()))
            }
            Ok(Err(error)) => Err(Refusal::Useless(format!("answers what cannot be read: {error}"))),
            Ok(Ok(message)) => match message.response_code {
                code @ (ResponseCode::NoError | ResponseCode::NXDomain) => {
                    let negative_ttl = message.negative_ttl();
                    let answers = message.into_message().answers;
                    let exists = code == ResponseCode::NoError;
                    Ok(Response { exists, answers, negative_ttl, refers: false })
                }
                code => Err(Refusal::Useless(format!("answers {}", said(code)))),
            },
        }
    }
}

fn nobody(none: &NoRecords) -> Response {
    let exists = none.response_code != ResponseCode::NXDomain;
    Response {
        exists,
        answers: Vec::new(),
        negative_ttl: none.negative_ttl,
        refers: exists && none.soa.is_none() && none.ns.is_some(),
    }
}

/// The code as the tools of the field write it.
fn said(code: ResponseCode) -> String {
    match code {
        ResponseCode::ServFail => "SERVFAIL".to_owned(),
        ResponseCode::Refused => "REFUSED".to_owned(),
        ResponseCode::FormErr => "FORMERR".to_owned(),
        ResponseCode::NotImp => "NOTIMP".to_owned(),
        ResponseCode::NotAuth => "NOTAUTH".to_owned(),
        other => other.to_string(),
    }
}
