//! What an earlier run of this program left.

use std::{io, path::Path};

use haproxy_render::{ReadBack, ReadBackLines};
use tokio::{
    fs::{File, read_to_string},
    io::{AsyncBufReadExt as _, BufReader},
};
use tracing::warn;

use crate::config;

/// How much of the file is read at a time, in bytes.
const PIECE: usize = 64 * 1024;

/// Reads the file that HAProxy runs, as an earlier run of this program wrote it, or somebody else.
pub(crate) async fn read_back(output: &config::Output) -> Option<ReadBack> {
    let path = output.file.as_ref()?.path();
    // Whoever wrote it: what is served now is not to end because this program starts.
    let read = match read_ours(path).await {
        Ok(None) => read_to_string(path).await.map(|text| ReadBack::parse_foreign(&text)),
        Ok(Some(read)) => Ok(read),
        Err(error) => Err(error),
    };
    match read {
        Ok(read) => Some(read),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            warn!(path = %path.display(), %error, "reading what HAProxy runs now; beginning with nothing");
            None
        }
    }
}

/// A file of our own, which is never in memory as a whole; `None` for any other.
async fn read_ours(path: &Path) -> io::Result<Option<ReadBack>> {
    let mut file = BufReader::with_capacity(PIECE, File::open(path).await?);
    let (mut line, mut lines) = (String::new(), ReadBackLines::default());
    while file.read_line(&mut line).await? > 0 {
        if !lines.take(&line) {
            return Ok(None);
        }
        line.clear();
    }
    Ok(lines.finish())
}
