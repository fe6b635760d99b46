//! Listening, for as long as somebody wants that.

use std::{convert::Infallible, future::pending, net::SocketAddr, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{Instant, sleep, timeout},
};
use tracing::{debug, error, info, warn};

use super::{answer::Desk, guests::Guests};
use crate::{
    Status,
    config::{Staleness, Window},
    window::WindowStatus,
};

/// How long the head of a request may take.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
/// How long a connection may take, its request and the answer: for readers that are slow.
const ALL_WITHIN: Duration = Duration::from_secs(30);
/// How long the head of a request may be, in bytes and in fields.
const HEAD_BYTES: usize = 16 * 1024;
const HEAD_FIELDS: usize = 64;
/// How soon an address that is taken is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(10);
/// After a failure to accept: there are no file descriptors left, say.
const BREATH: Duration = Duration::from_millis(100);

/// Serves what `status` shows where `wanted` says, as long as that says it, judged as `settings` has it. Where it listens is told to
/// `shown`. Returns when nobody can want anything any more.
///
/// One place after the other: the one before is left before the next is tried, which may be a part of it.
pub(crate) async fn serve(
    status: Status,
    mut wanted: watch::Receiver<Option<Window>>,
    settings: watch::Receiver<Staleness>,
    shown: watch::Sender<Option<WindowStatus>>,
) {
    let desk = Arc::new(Desk::new(status, settings));
    loop {
        let window = wanted.borrow_and_update().clone();
        shown.send_replace(None);
        let serving = async {
            match window {
                Some(window) => serve_at(window.listen, &desk, &shown).await,
                None => pending().await,
            }
        };
        tokio::select! {
            changed = wanted.changed() => if changed.is_err() { return },
            never = serving => match never {},
        }
    }
}

async fn serve_at(
    wanted: SocketAddr,
    desk: &Arc<Desk>,
    shown: &watch::Sender<Option<WindowStatus>>,
) -> Infallible {
    let mut told = false;
    let listener = loop {
        match TcpListener::bind(wanted).await {
            Ok(listener) => break listener,
            Err(cause) => {
                if !told {
                    error!(%wanted, error = %cause, again = ?AGAIN_AFTER, "the status can't be served here; everything else goes on");
                    told = true;
                }
                let error = Some(cause.to_string());
                shown.send_replace(Some(WindowStatus { wanted, listening: None, error }));
                sleep(AGAIN_AFTER).await;
            }
        }
    };
    let listening = listener.local_addr().ok();
    info!(address = %listening.unwrap_or(wanted), "serving the status");
    shown.send_replace(Some(WindowStatus { wanted, listening, error: None }));
    let (mut guests, mut complained) = (Guests::default(), None::<Instant>);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => guests.welcome(guest(stream, Arc::clone(desk))),
            Err(error) => {
                // Ten times a second is how often it is tried, not how often somebody wants to read of it.
                if complained.is_none_or(|at| at.elapsed() >= AGAIN_AFTER) {
                    warn!(%error, "nobody who asks for the status can be answered; trying on");
                    complained = Some(Instant::now());
                }
                sleep(BREATH).await;
            }
        }
    }
}

/// One connection, which is one request: whoever asks again connects again.
async fn guest(stream: TcpStream, desk: Arc<Desk>) {
    let answer = service_fn(|request| {
        let desk = Arc::clone(&desk);
        async move { desk.answer(&request).await }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEAD_FIELDS)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), answer);
    match timeout(ALL_WITHIN, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "a request for the status"),
        Err(_) => debug!("a request for the status has taken too long"),
    }
}
