//! etcd over its JSON gateway.

use std::collections::HashSet;
use std::io::{Error, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::http::{Connection, late};

/// Longest wait for an answer: quorum may be on its way.
const DEADLINE: Duration = Duration::from_secs(10);
/// What etcd allows by default in one transaction.
const TRANSACTION: usize = 128;

/// A client of one etcd member: JSON over one plain HTTP connection that is kept and, when it breaks, made anew.
///
/// Requests are sent one after the other. A process of `etcdctl` a request would take 20 to 40 ms more for each.
#[derive(Debug)]
pub struct Gateway {
    address: SocketAddr,
    connection: Mutex<Option<Connection>>,
    token: Mutex<Option<String>>,
}

impl Gateway {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, connection: Mutex::new(None), token: Mutex::new(None) }
    }

    /// Sends `body` to a method of etcd's API, such as `/v3/kv/put`, and returns the answer.
    ///
    /// # Errors
    /// No connection, no answer within 10 s, or a refusal, whose text is the error's. A request that is sent over a
    /// kept connection which turns out to be closed is sent a second time, so it may be carried out twice.
    pub async fn call(&self, method: &str, body: &Value) -> std::io::Result<Value> {
        let token = self.token.lock().await.clone();
        let authorization = token.map(|token| format!("Authorization: {token}"));
        let headers: Vec<&str> = authorization.iter().map(String::as_str).collect();
        let body = body.to_string();
        let asked = async {
            let mut kept = self.connection.lock().await;
            // Taken out: a future dropped half way leaves no half-read connection behind.
            if let Some(mut connection) = kept.take() {
                match connection.request("POST", method, &headers, &body).await {
                    // What cannot be understood would not be understood better a second time.
                    Err(error) if error.kind() != ErrorKind::InvalidData => {}
                    response => {
                        *kept = Some(connection).filter(Connection::is_reusable);
                        return response;
                    }
                }
            }
            let mut connection = Connection::open(self.address).await?;
            let response = connection.request("POST", method, &headers, &body).await?;
            *kept = Some(connection).filter(Connection::is_reusable);
            Ok(response)
        };
        let response = timeout(DEADLINE, asked).await.unwrap_or_else(|_| Err(late("etcd's answer")))?;
        if response.status != 200 {
            return Err(Error::other(format!(
                "{method}: status {}: {}",
                response.status,
                response.body.trim()
            )));
        }
        serde_json::from_str(&response.body).map_err(|error| Error::new(ErrorKind::InvalidData, error))
    }

    /// Sends all further requests as `user`.
    ///
    /// # Errors
    /// As [`call`](Self::call); a wrong password is a refusal.
    pub async fn authenticate(&self, user: &str, password: &str) -> std::io::Result<()> {
        let answer =
            self.call("/v3/auth/authenticate", &json!({ "name": user, "password": password })).await?;
        let token = answer["token"].as_str().ok_or_else(|| Error::other("an answer without a token"))?;
        *self.token.lock().await = Some(token.to_owned());
        Ok(())
    }

    /// Writes a key, bound to a lease unless that is 0, and returns the store's revision after it.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub async fn put(&self, key: &str, value: &str, lease: i64) -> std::io::Result<i64> {
        let answer = self
            .call(
                "/v3/kv/put",
                &json!({ "key": encode(key), "value": encode(value), "lease": lease.to_string() }),
            )
            .await?;
        revision(&answer)
    }

    /// Writes many keys, in transactions of up to 128; of two values for a key the later one stays.
    ///
    /// # Errors
    /// As [`call`](Self::call). Earlier transactions stand.
    pub async fn put_many<K: AsRef<str>, V: AsRef<str>>(
        &self,
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> std::io::Result<()> {
        let (mut operations, mut keys) = (Vec::new(), HashSet::new());
        for (key, value) in pairs {
            let (key, value) = (encode(key.as_ref()), encode(value.as_ref()));
            // etcd refuses a transaction that writes a key twice.
            if operations.len() == TRANSACTION || keys.contains(&key) {
                self.transact(std::mem::take(&mut operations)).await?;
                keys.clear();
            }
            operations.push(json!({ "requestPut": { "key": key, "value": value } }));
            keys.insert(key);
        }
        if operations.is_empty() { Ok(()) } else { self.transact(operations).await }
    }

    async fn transact(&self, operations: Vec<Value>) -> std::io::Result<()> {
        self.call("/v3/kv/txn", &json!({ "success": operations })).await.map(drop)
    }

    /// Deletes a key and returns how many there were: 0 or 1.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub async fn delete(&self, key: &str) -> std::io::Result<i64> {
        let answer = self.call("/v3/kv/deleterange", &json!({ "key": encode(key) })).await?;
        integer(&answer["deleted"])
    }

    /// Deletes all keys that begin with `prefix`, in one revision, and returns how many there were.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub async fn delete_prefix(&self, prefix: &str) -> std::io::Result<i64> {
        let body = json!({ "key": encode(prefix), "range_end": range_end(prefix) });
        integer(&self.call("/v3/kv/deleterange", &body).await?["deleted"])
    }

    /// The value of a key, if it exists.
    ///
    /// # Errors
    /// As [`call`](Self::call); a value that is not UTF-8 is an error too.
    pub async fn get(&self, key: &str) -> std::io::Result<Option<String>> {
        let answer = self.call("/v3/kv/range", &json!({ "key": encode(key) })).await?;
        let Some(found) = answer["kvs"].get(0) else { return Ok(None) };
        // The gateway leaves out what is empty.
        decode(found["value"].as_str().unwrap_or_default()).map(Some)
    }

    /// How many keys begin with `prefix`.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub async fn count(&self, prefix: &str) -> std::io::Result<i64> {
        let body = json!({ "key": encode(prefix), "range_end": range_end(prefix), "count_only": true });
        integer(&self.call("/v3/kv/range", &body).await?["count"])
    }

    /// The store's revision.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub async fn revision(&self) -> std::io::Result<i64> {
        revision(&self.call("/v3/kv/range", &json!({ "key": encode("revision"), "count_only": true })).await?)
    }

    /// Forgets all revisions before the present one, which is returned: who watches from an earlier one is told so.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub async fn compact(&self) -> std::io::Result<i64> {
        let revision = self.revision().await?;
        self.call("/v3/kv/compaction", &json!({ "revision": revision.to_string(), "physical": true }))
            .await?;
        Ok(revision)
    }

    /// A new lease of `ttl` seconds, which nobody keeps alive; the answer is its number.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub async fn grant(&self, ttl: u32) -> std::io::Result<i64> {
        integer(&self.call("/v3/lease/grant", &json!({ "TTL": ttl.to_string() })).await?["ID"])
    }

    /// Ends a lease: its keys are deleted at once.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub async fn revoke(&self, lease: i64) -> std::io::Result<()> {
        self.call("/v3/lease/revoke", &json!({ "ID": lease.to_string() })).await.map(drop)
    }
}

pub(crate) fn encode(text: &str) -> String {
    BASE64_STANDARD.encode(text)
}

fn decode(text: &str) -> std::io::Result<String> {
    let bytes = BASE64_STANDARD.decode(text).map_err(|error| Error::new(ErrorKind::InvalidData, error))?;
    String::from_utf8(bytes).map_err(|error| Error::new(ErrorKind::InvalidData, error))
}

/// The key after all that begin with `prefix`; etcd reads a lone zero byte as "no end".
pub(crate) fn range_end(prefix: &str) -> String {
    let mut end = prefix.as_bytes().to_vec();
    // UTF-8 has no byte 255, so the last byte can always be counted up.
    match end.last_mut() {
        Some(last) => *last += 1,
        None => end.push(0),
    }
    BASE64_STANDARD.encode(end)
}

/// The gateway writes 64-bit integers as strings, and leaves out zeroes.
pub(crate) fn integer(value: &Value) -> std::io::Result<i64> {
    match value {
        Value::Null => Ok(0),
        Value::String(text) => text.parse().map_err(|error| Error::new(ErrorKind::InvalidData, error)),
        other => {
            other.as_i64().ok_or_else(|| Error::new(ErrorKind::InvalidData, format!("not a number: {other}")))
        }
    }
}

fn revision(answer: &Value) -> std::io::Result<i64> {
    integer(&answer["header"]["revision"])
}
