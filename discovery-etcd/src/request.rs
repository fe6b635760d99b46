//! What we tell the server on the watch stream.

use std::time::Duration;

use etcd_client::{WatchOptions, WatchRequestSender};
use tokio::{sync::mpsc, time::sleep};

use crate::failure::{Failure, Kind};

/// What is written to the watch stream.
pub(crate) enum Request {
    Watch { id: i64, from: Vec<u8>, to: Option<Vec<u8>>, start: Option<i64> },
    Cancel(i64),
}

/// Writes to the watch stream in order, apart from those who read: a server that takes nothing must not keep us from hearing it.
pub(crate) async fn write(
    mut stream: WatchRequestSender,
    mut queue: mpsc::UnboundedReceiver<Request>,
) -> Failure {
    while let Some(request) = queue.recv().await {
        let written = match request {
            Request::Watch { id, from, to, start } => {
                let mut options = WatchOptions::new().with_watch_id(id);
                if let Some(to) = to {
                    options = options.with_range(to);
                }
                if let Some(start) = start {
                    options = options.with_start_revision(start);
                }
                stream.watch(from, Some(options)).await
            }
            Request::Cancel(id) => stream.cancel(id).await,
        };
        if written.is_err() {
            // Why it ended is what reading it says; should that be silent, this is not.
            sleep(Duration::from_secs(1)).await;
            return Failure::new(Kind::Connection, "writing to the watch stream", "it is closed");
        }
    }
    std::future::pending().await
}
