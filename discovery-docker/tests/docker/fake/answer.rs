//! What it answers.

use std::io;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    sync::broadcast::{self, error::RecvError},
};

use super::{
    Mood, Shared, Telling,
    request::{number, parts, path},
};

/// Answers all requests of a connection.
pub(crate) async fn all<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, shared: &Shared) -> io::Result<()> {
    while let Some(path) = path(&mut stream).await? {
        let _ = shared.frozen.subscribe().wait_for(|frozen| !frozen).await;
        let (mood, telling) = {
            let mut state = shared.state();
            state.requests.push_back(path.clone());
            if state.requests.len() > 1000 {
                state.requests.pop_front();
            }
            (state.mood.clone(), state.telling)
        };
        if parts(&path).1 == "/events" && version_is_spoken(&path, shared).is_ok() {
            // Before it says that it listens, which real ones do a moment later.
            let events = shared.events.subscribe();
            return tell(&mut stream, shared, telling, events).await;
        }
        match mood {
            Mood::Well => stream.write_all(&whole(&path, shared)).await?,
            Mood::Refuses(status, body) => stream.write_all(&response(status, body.as_bytes())).await?,
            Mood::Says(bytes) => {
                stream.write_all(&bytes).await?;
                return stream.shutdown().await;
            }
            Mood::Truncates => {
                let answer = whole(&path, shared);
                stream.write_all(&answer[..answer.len() - 10]).await?;
                return stream.shutdown().await;
            }
            Mood::Endless => {
                let head =
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
                stream.write_all(head.as_bytes()).await?;
                let piece = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
                loop {
                    stream.write_all(piece.as_bytes()).await?;
                }
            }
            Mood::Silent => std::future::pending().await,
            Mood::Slow => {
                for byte in whole(&path, shared) {
                    stream.write_all(&[byte]).await?;
                    tokio::task::yield_now().await;
                }
            }
        }
    }
    Ok(())
}

fn response(status: u16, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status} Status\r\nApi-Version: 1.41\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn refused(status: u16, message: &str) -> Vec<u8> {
    response(status, json!({ "message": message }).to_string().as_bytes())
}

fn version_is_spoken(path: &str, shared: &Shared) -> Result<(), String> {
    let (oldest, newest) = shared.state().versions;
    match parts(path).0 {
        Some(version) if Some(version) > number(newest) => {
            Err(format!("client version is too new. Maximum supported API version is {newest}"))
        }
        Some(version) if Some(version) < number(oldest) => {
            Err(format!("client version is too old. Minimum supported API version is {oldest}"))
        }
        Some(_) | None => Ok(()),
    }
}

fn whole(path: &str, shared: &Shared) -> Vec<u8> {
    if let Err(message) = version_is_spoken(path, shared) {
        return refused(400, &message);
    }
    let (version, path, query) = parts(path);
    let mut state = shared.state();
    match (path, version) {
        ("/version", _) => {
            let (oldest, newest) = state.versions;
            let version = json!({
                "Platform": {"Name": "Docker Engine - Community"}, "Components": [], "Version": "20.10.5",
                "ApiVersion": newest, "MinAPIVersion": oldest, "GitCommit": "363e9a8", "GoVersion": "go1.15.9",
                "Os": "linux", "Arch": "amd64", "KernelVersion": "5.10.0", "BuildTime": "2021-03-02T20:18:20Z",
            });
            response(200, version.to_string().as_bytes())
        }
        (_, None) => refused(400, "this program is to name the version that it speaks"),
        ("/containers/json", _) => {
            let only_running = query.contains("filters=%7B%22status%22%3A%5B%22running%22%5D%7D");
            let wanted =
                |one: &&Value| !only_running || one["State"] == "running" || !one["State"].is_string();
            let list: Vec<_> = state.listed().iter().filter(wanted).collect();
            response(200, json!(list).to_string().as_bytes())
        }
        (path, _) => {
            let id = path.strip_prefix("/containers/").and_then(|rest| rest.strip_suffix("/json"));
            match state.inspected.iter().find(|one| id.is_some() && one["Id"].as_str() == id) {
                Some(found) => response(200, found.to_string().as_bytes()),
                None => refused(404, "No such container"),
            }
        }
    }
}

async fn tell<S: AsyncWrite + Unpin>(
    stream: &mut S,
    shared: &Shared,
    telling: Telling,
    mut events: broadcast::Receiver<String>,
) -> io::Result<()> {
    if telling == Telling::Refuses {
        return stream.write_all(&refused(403, "not allowed")).await;
    }
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await?;
    loop {
        let event = match telling {
            Telling::Floods => "nonsense".repeat(100),
            Telling::Well | Telling::Refuses | Telling::Nothing | Telling::HalfOf => {
                match events.recv().await {
                    Ok(event) => event,
                    Err(RecvError::Lagged(_)) => continue,
                    Err(RecvError::Closed) => return Ok(()),
                }
            }
        };
        let _ = shared.frozen.subscribe().wait_for(|frozen| !frozen).await;
        match telling {
            Telling::Nothing => {}
            Telling::HalfOf => {
                let half = &event[..event.len() / 2];
                stream.write_all(format!("{:x}\r\n{half}\r\n", half.len()).as_bytes()).await?;
                return stream.shutdown().await;
            }
            Telling::Well | Telling::Refuses | Telling::Floods => {
                shared.state().flooded += usize::from(telling == Telling::Floods);
                stream.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).await?;
            }
        }
    }
}
