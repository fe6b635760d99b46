//! Asking an agent that runs.

use std::{io, time::Duration};

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{Request, StatusCode, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use serde::de::Error as _;
use thiserror::Error;
use tokio::{net::TcpStream, time::timeout};

use super::report::Report;

/// How long an answer may take, and how long it may be, in bytes.
const WITHIN: Duration = Duration::from_secs(10);
const LONGEST: usize = 64 * 1024 * 1024;

/// Why the status of an agent is not known.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AskError {
    /// Nobody can be reached there.
    #[error("connecting to {address}")]
    Connect {
        /// Where: a host and a port.
        address: String,
        /// Why not.
        source: io::Error,
    },
    /// Whoever is there does not speak HTTP.
    #[error("asking for the status")]
    Ask(#[from] hyper::Error),
    /// It has something else to say.
    #[error("there is no status: the answer is {0}")]
    Refused(StatusCode),
    /// The answer was cut off, or is too long.
    #[error("reading the status")]
    Read(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It is none.
    #[error("understanding the status")]
    Understand(#[from] serde_json::Error),
    /// It took too long.
    #[error("no answer within {WITHIN:?}")]
    Silent,
}

/// Asks the agent that serves its status at `address` (`HOST:PORT`) for it. Takes ten seconds at most.
///
/// # Errors
///
/// It can't be had: see [`AskError`].
pub async fn ask(address: &str) -> Result<Report, AskError> {
    timeout(WITHIN, exchange(address)).await.map_err(|_| AskError::Silent)?
}

async fn exchange(address: &str) -> Result<Report, AskError> {
    let connect = |source| AskError::Connect { address: address.to_owned(), source };
    let stream = TcpStream::connect(address).await.map_err(connect)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get("/status").header(header::HOST, address).body(Empty::<Bytes>::new());
    let request = request.map_err(|error| AskError::Read(error.into()))?;
    let answer = async {
        let response = sender.send_request(request).await?;
        if response.status() != StatusCode::OK {
            return Err(AskError::Refused(response.status()));
        }
        let body = Limited::new(response.into_body(), LONGEST).collect().await.map_err(AskError::Read)?;
        let report: Report = serde_json::from_slice(&body.to_bytes())?;
        // Everything may be missing in it but that: so it is somebody else's.
        if report.version.is_empty() {
            return Err(serde_json::Error::custom("it does not say a version").into());
        }
        Ok(report)
    };
    tokio::pin!(connection, answer);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        ended = &mut connection => {
            // The connection ends with the answer, which may not have been looked at.
            ended?;
            answer.await
        }
    }
}
