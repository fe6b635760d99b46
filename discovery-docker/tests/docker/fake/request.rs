//! What it is asked.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// The path of the next request, its query with it; `None` at the end.
pub(crate) async fn path<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Option<String>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).await? == 0 {
            return Ok(None);
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.to_ascii_lowercase().contains("\r\nhost: "), "HTTP/1.1 requires a host: {head}");
    let path = head.strip_prefix("GET ").and_then(|rest| rest.split_once(" HTTP/1.1\r\n"));
    Ok(Some(path.unwrap_or_else(|| panic!("nothing but reading is asked for: {head}")).0.to_owned()))
}

/// The version of a path, its rest, and its query.
pub(crate) fn parts(path: &str) -> (Option<(u16, u16)>, &str, &str) {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let versioned = path.strip_prefix("/v").and_then(|rest| {
        let (version, _) = rest.split_once('/')?;
        Some((number(version)?, &rest[version.len()..]))
    });
    match versioned {
        Some((version, rest)) => (Some(version), rest, query),
        None => (None, path, query),
    }
}

/// A version as it can be compared.
pub(crate) fn number(version: &str) -> Option<(u16, u16)> {
    let (major, minor) = version.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
