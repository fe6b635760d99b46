//! What is answered to whom.

use std::{convert::Infallible, sync::Arc};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{self, HeaderValue},
};
use tokio::sync::{Semaphore, watch};
use tracing::error;

use super::{clock::Clock, metrics, page, report::Report};
use crate::{Status, config::Staleness};

/// How many answers that take work are made at a time.
const AT_WORK: usize = 2;

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=utf-8";
/// The format that every Prometheus reads.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const PATHS: &str = "/ /status /metrics /healthz /readyz\n";

/// Answers requests.
#[derive(Debug)]
pub(super) struct Desk {
    status: Status,
    staleness: watch::Receiver<Staleness>,
    work: Arc<Semaphore>,
    clock: Arc<Clock>,
}

/// What is made of a report.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Readiness,
    Json,
    Metrics { open: bool },
    Page,
}

/// An answer in the making.
struct Answer {
    code: StatusCode,
    content_type: &'static str,
    body: Bytes,
}

impl Answer {
    fn ok(content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self { code: StatusCode::OK, content_type, body: body.into() }
    }

    fn text(code: StatusCode, body: impl Into<Bytes>) -> Self {
        Self { code, content_type: TEXT, body: body.into() }
    }
}

impl Desk {
    pub(super) fn new(status: Status, staleness: watch::Receiver<Staleness>) -> Self {
        Self { status, staleness, work: Arc::new(Semaphore::new(AT_WORK)), clock: Arc::new(Clock::new()) }
    }

    pub(super) async fn answer(
        &self,
        request: &Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        let open = request.headers().get_all(header::ACCEPT).iter().any(|accept| {
            accept.to_str().is_ok_and(|accept| accept.contains("application/openmetrics-text"))
        });
        let answer = match request.uri().path() {
            _ if !reads => Answer::text(StatusCode::METHOD_NOT_ALLOWED, "this is there to be read\n"),
            "/healthz" => self.health(),
            "/readyz" => self.make(Kind::Readiness).await,
            "/status" => self.make(Kind::Json).await,
            "/metrics" => self.make(Kind::Metrics { open }).await,
            "/" => self.make(Kind::Page).await,
            _ => Answer::text(StatusCode::NOT_FOUND, PATHS),
        };
        let mut response = Response::new(Full::new(answer.body));
        *response.status_mut() = answer.code;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(page::POLICY));
        if !reads {
            headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        Ok(response)
    }

    /// Costs nothing, so that whoever decides about this process hears of it however much others ask for.
    fn health(&self) -> Answer {
        if self.status.is_alive() {
            Answer::text(StatusCode::OK, "alive\n")
        } else {
            let body = "the loop that applies gives no sign of life\n";
            Answer::text(StatusCode::SERVICE_UNAVAILABLE, body)
        }
    }

    /// Makes an answer where it keeps nobody waiting: of very many services that takes some milliseconds.
    async fn make(&self, kind: Kind) -> Answer {
        let Ok(permit) = Arc::clone(&self.work).acquire_owned().await else { return unmade() };
        let (status, staleness) = (self.status.clone(), self.staleness.borrow().clone());
        let clock = Arc::clone(&self.clock);
        let made = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let details = matches!(kind, Kind::Json | Kind::Page);
            kind.of(&Report::of(&status, &staleness, clock.read(), details))
        });
        made.await.unwrap_or_else(|error| {
            error!(%error, "showing the status");
            unmade()
        })
    }
}

impl Kind {
    fn of(self, report: &Report) -> Answer {
        match self {
            Self::Readiness if report.ready => Answer::text(StatusCode::OK, "ready\n"),
            Self::Readiness => {
                Answer::text(StatusCode::SERVICE_UNAVAILABLE, report.obstacles.join("\n") + "\n")
            }
            Self::Json => serde_json::to_vec(report).map_or_else(|_| unmade(), |body| Answer::ok(JSON, body)),
            Self::Metrics { open } => {
                let content_type = if open { OPEN_METRICS } else { PROMETHEUS };
                metrics::text(report, open).map_or_else(|_| unmade(), |body| Answer::ok(content_type, body))
            }
            Self::Page => page::html(report).map_or_else(|_| unmade(), |body| Answer::ok(HTML, body)),
        }
    }
}

fn unmade() -> Answer {
    Answer::text(StatusCode::INTERNAL_SERVER_ERROR, "the status can't be shown\n")
}
