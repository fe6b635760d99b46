//! An etcd that says what a test tells it to say.

use std::{net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use etcd_client::proto::{
    PbCompactionRequest, PbCompactionResponse, PbDeleteRequest, PbDeleteResponse, PbEvent, PbKeyValue,
    PbKvServer, PbKvService, PbPutRequest, PbPutResponse, PbRangeRequest, PbRangeResponse,
    PbRangeStreamResponse, PbResponseHeader, PbTxnRequest, PbTxnResponse, PbWatchRequest,
    PbWatchRequestUnion, PbWatchResponse, PbWatchServer, PbWatchService,
};
use futures_util::{Stream, stream};
use tokio::{net::TcpListener, sync::mpsc, time::timeout};
use tonic::{Request, Response, Status, Streaming, transport::Server};

/// The longest wait for what must happen.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// What is answered to a request for keys; `None` is no answer at all.
pub(crate) type Answer = Option<Result<PbRangeResponse, Status>>;
type Ranges = dyn Fn(&PbRangeRequest) -> Answer + Send + Sync;
type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// A server. It ends with the test's runtime.
pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    /// The watch streams that were opened; each is played by hand.
    pub(crate) streams: mpsc::UnboundedReceiver<Played>,
}

/// The server's end of one watch stream. Dropping it closes the stream.
pub(crate) struct Played {
    requests: Streaming<PbWatchRequest>,
    answers: mpsc::UnboundedSender<PbWatchResponse>,
}

/// A watch that was asked for.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) id: i64,
    pub(crate) key: String,
    pub(crate) start: i64,
    /// It is of one key, as that by which a stream is asked whether it lives.
    pub(crate) probe: bool,
}

impl Scripted {
    /// Answers requests for keys with what `ranges` says.
    pub(crate) async fn start(ranges: impl Fn(&PbRangeRequest) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let incoming = stream::unfold(listener, async |listener| {
            let accepted = listener.accept().await.map(|(stream, _)| stream);
            Some((accepted, listener))
        });
        let (opened, streams) = mpsc::unbounded_channel();
        let server = Server::builder()
            .add_service(PbKvServer::new(Keys(Arc::new(ranges))))
            .add_service(PbWatchServer::new(Watches(opened)));
        tokio::spawn(server.serve_with_incoming(Box::pin(incoming)));
        Self { address, streams }
    }

    /// The next watch stream that is opened.
    pub(crate) async fn stream(&mut self) -> Played {
        timeout(DEADLINE, self.streams.recv()).await.expect("a watch stream").unwrap()
    }

    /// Whether no other watch stream was opened.
    pub(crate) fn no_other_stream(&mut self) -> bool {
        self.streams.try_recv().is_err()
    }
}

impl Played {
    /// The next watch that is asked for. Cancellations are passed over.
    pub(crate) async fn asked(&mut self) -> Option<Asked> {
        loop {
            let request = self.requests.message().await.ok().flatten()?;
            if let Some(PbWatchRequestUnion::CreateRequest(create)) = request.request_union {
                return Some(Asked {
                    id: create.watch_id,
                    key: String::from_utf8(create.key).unwrap(),
                    start: create.start_revision,
                    probe: create.range_end.is_empty(),
                });
            }
        }
    }

    /// The next that is no probe; probes are answered.
    pub(crate) async fn watch(&mut self) -> Asked {
        let next = async {
            loop {
                let asked = self.asked().await.expect("the client keeps the stream open");
                if !asked.probe {
                    return asked;
                }
                self.created(asked.id);
            }
        };
        timeout(DEADLINE, next).await.expect("a watch to be asked for")
    }

    pub(crate) fn say(&self, answer: PbWatchResponse) {
        // The client may have left.
        let _ = self.answers.send(answer);
    }

    pub(crate) fn created(&self, id: i64) {
        self.say(PbWatchResponse { watch_id: id, created: true, ..PbWatchResponse::default() });
    }

    /// A key was written.
    pub(crate) fn put(&self, id: i64, pair: PbKeyValue) {
        let event = PbEvent { kv: Some(pair), ..PbEvent::default() };
        self.say(PbWatchResponse { watch_id: id, events: vec![event], ..PbWatchResponse::default() });
    }

    /// Answers everything from now on, for as long as the client keeps the stream open.
    pub(crate) fn obey(mut self) {
        tokio::spawn(async move {
            while let Some(asked) = self.asked().await {
                self.created(asked.id);
            }
        });
    }
}

/// A key that was written once, at this revision.
pub(crate) fn pair(key: &str, value: &str, revision: i64) -> PbKeyValue {
    PbKeyValue {
        key: key.into(),
        value: value.into(),
        version: 1,
        create_revision: revision,
        mod_revision: revision,
        ..PbKeyValue::default()
    }
}

/// The answer to a request for keys.
#[allow(clippy::unnecessary_wraps, reason = "an answer may also be none")]
pub(crate) fn page(revision: i64, pairs: impl IntoIterator<Item = PbKeyValue>, more: bool) -> Answer {
    let kvs: Vec<_> = pairs.into_iter().collect();
    let header = PbResponseHeader { cluster_id: 1, revision, ..PbResponseHeader::default() };
    let count = i64::try_from(kvs.len()).unwrap();
    Some(Ok(PbRangeResponse { header: Some(header), kvs, more, count }))
}

struct Keys(Arc<Ranges>);

fn never<T>() -> Result<T, Status> {
    Err(Status::unimplemented("no source writes"))
}

#[tonic::async_trait]
impl PbKvService for Keys {
    type RangeStreamStream = Answers<PbRangeStreamResponse>;

    async fn range(&self, request: Request<PbRangeRequest>) -> Result<Response<PbRangeResponse>, Status> {
        match (self.0)(request.get_ref()) {
            Some(answer) => answer.map(Response::new),
            None => std::future::pending().await,
        }
    }

    async fn range_stream(
        &self,
        _: Request<PbRangeRequest>,
    ) -> Result<Response<Self::RangeStreamStream>, Status> {
        never()
    }

    async fn put(&self, _: Request<PbPutRequest>) -> Result<Response<PbPutResponse>, Status> {
        never()
    }

    async fn delete_range(&self, _: Request<PbDeleteRequest>) -> Result<Response<PbDeleteResponse>, Status> {
        never()
    }

    async fn txn(&self, _: Request<PbTxnRequest>) -> Result<Response<PbTxnResponse>, Status> {
        never()
    }

    async fn compact(
        &self,
        _: Request<PbCompactionRequest>,
    ) -> Result<Response<PbCompactionResponse>, Status> {
        never()
    }
}

struct Watches(mpsc::UnboundedSender<Played>);

#[tonic::async_trait]
impl PbWatchService for Watches {
    type WatchStream = Answers<PbWatchResponse>;

    async fn watch(
        &self,
        request: Request<Streaming<PbWatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let (answers, said) = mpsc::unbounded_channel();
        // A test that has ended opens no more streams.
        let _ = self.0.send(Played { requests: request.into_inner(), answers });
        let said = stream::unfold(said, async |mut said| said.recv().await.map(|answer| (Ok(answer), said)));
        Ok(Response::new(Box::pin(said)))
    }
}
