//! What is asked of Docker.

use std::{
    collections::{HashMap, HashSet},
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bollard::{
    API_DEFAULT_VERSION, BollardRequest, Docker,
    errors::Error as ApiError,
    models::ContainerSummary,
    query_parameters::{InspectContainerOptions, ListContainersOptions},
};
use futures_util::{StreamExt, TryStreamExt, stream};
use http_body_util::{BodyExt, Empty};
use hyper::{
    Request,
    body::{Bytes, Incoming},
};
use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};
use tokio::time::timeout;

use crate::{
    api_version::ApiVersion,
    config::DaemonConfig,
    container::{Container, Entry, shown},
    failure::Failure,
    image::is_identifier,
    wire::{Closing, Wire},
};

/// How long one answer may take, connecting included.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);
/// How many containers are looked at one by one at a time.
const AT_ONCE: usize = 8;
/// What is wanted of an entry of the list.
const KEYS: [&str; 10] =
    ["Id", "Names", "Image", "ImageID", "Ports", "Labels", "State", "Status", "NetworkSettings", "Health"];
/// What can make a difference to who serves: containers, and the networks that they are in. `died` is Podman's word.
const EVENTS: &str = "/events?filters=%7B%22type%22%3A%5B%22container%22%2C%22network%22%5D%2C%22event%22%3A%5B\
    %22start%22%2C%22die%22%2C%22died%22%2C%22pause%22%2C%22unpause%22%2C%22health_status%22%2C\
    %22connect%22%2C%22disconnect%22%5D%7D";

/// Asks one Docker. Cloning it costs two reference counts.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    wire: Arc<Wire>,
    /// Containers whose image has lost its name, and what they were started as: that does not change.
    started_as: Arc<Mutex<HashMap<String, String>>>,
}

/// The stream of events. Only that there are any is told, not what they say.
pub(crate) struct Events {
    body: Incoming,
    _closing: Closing,
}

/// What is wanted of a container that is looked at by itself.
#[derive(Deserialize)]
struct Inspected {
    #[serde(rename = "Config")]
    config: InspectedConfig,
}

#[derive(Deserialize)]
struct InspectedConfig {
    #[serde(rename = "Image")]
    image: String,
}

impl Client {
    pub(crate) fn new(daemon: DaemonConfig) -> Self {
        Self { wire: Arc::new(Wire::new(daemon)), started_as: Arc::default() }
    }

    /// A client of the API that speaks through the wire. It neither has a deadline for bodies nor names a version by itself.
    fn docker(&self, version: Option<ApiVersion>) -> Result<Docker, Failure> {
        let wire = Arc::clone(&self.wire);
        let transport = move |request: BollardRequest| {
            let wire = Arc::clone(&wire);
            async move {
                let response = wire.ask(request, version, DEADLINE).await;
                response.map_err(|failure| ApiError::from(io::Error::other(failure)))
            }
        };
        Ok(Docker::connect_with_custom_transport(
            transport,
            Some("http://docker"),
            DEADLINE.as_secs(),
            API_DEFAULT_VERSION,
        )?)
    }

    /// The newest version that both sides speak.
    pub(crate) async fn version(&self) -> Result<ApiVersion, Failure> {
        let version = self.docker(None)?.version().await?;
        ApiVersion::agreed(version.min_api_version.as_deref(), version.api_version.as_deref())
    }

    /// All containers that run, by their identifiers.
    pub(crate) async fn containers(&self, version: ApiVersion) -> Result<Vec<Entry>, Failure> {
        let docker = self.docker(Some(version))?;
        let running = HashMap::from([("status".to_owned(), vec!["running".to_owned()])]);
        let options = ListContainersOptions { filters: Some(running), ..ListContainersOptions::default() };
        let mut entries = match within(docker.list_containers(Some(options))).await? {
            Ok(list) => list.into_iter().filter_map(Container::read).map(Entry::Container).collect(),
            Err(ApiError::JsonDataError { contents, message, .. }) => {
                one_by_one(&contents).ok_or_else(|| Failure::unreadable(&message))?
            }
            Err(error) => return Err(error.into()),
        };
        self.name_images(&docker, &mut entries).await?;
        entries.sort_by(|a, b| key(a).cmp(&key(b)));
        Ok(entries)
    }

    /// Finds out what containers were started as whose image is shown by its identifier: Docker does so as soon as the name belongs
    /// to a newer image, while they go on serving.
    async fn name_images(&self, docker: &Docker, entries: &mut [Entry]) -> Result<(), Failure> {
        let known = || self.started_as.lock().unwrap_or_else(PoisonError::into_inner);
        let mut present = HashSet::new();
        let mut unknown = Vec::new();
        for entry in entries.iter() {
            let Entry::Container(container) = entry else { continue };
            if is_identifier(&container.image, container.image_id.as_deref()) {
                present.insert(container.id.clone());
                if !known().contains_key(&container.id) {
                    unknown.push(container.id.clone());
                }
            }
        }
        known().retain(|id, _| present.contains(id));
        let looked_at = stream::iter(unknown).map(|id| async move {
            let image = started_as(docker, &id).await?;
            Ok::<_, Failure>((id, image))
        });
        let mut looked_at = std::pin::pin!(looked_at.buffer_unordered(AT_ONCE));
        // Kept one by one: those that were found out in spite of a failure need not be asked for again.
        while let Some((id, image)) = looked_at.try_next().await? {
            if let Some(image) = image {
                known().insert(id, image);
            }
        }
        for entry in entries {
            let Entry::Container(container) = entry else { continue };
            if let Some(image) = known().get(&container.id) {
                container.image.clone_from(image);
            }
        }
        Ok(())
    }

    /// Listens to what happens.
    pub(crate) async fn events(&self, version: ApiVersion) -> Result<Events, Failure> {
        let request = Request::get(EVENTS).body(Empty::<Bytes>::new()).map_err(Failure::http)?;
        let (response, closing) = self.wire.listen(request, version).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(Events { body: response.into_body(), _closing: closing });
        }
        Err(Failure::refused(status.as_u16(), status.canonical_reason().unwrap_or_default()))
    }
}

impl Events {
    /// Waits until something happens, or the end. Dropping the future loses nothing.
    pub(crate) async fn heard(&mut self) -> Result<(), Failure> {
        loop {
            match self.body.frame().await {
                None => return Err(Failure::Ended),
                Some(Err(error)) => return Err(Failure::http(error)),
                Some(Ok(frame)) if frame.data_ref().is_some_and(|data| !data.is_empty()) => return Ok(()),
                Some(Ok(_)) => {}
            }
        }
    }
}

/// Waits for one answer, the end of it included.
async fn within<T>(answer: impl Future<Output = T>) -> Result<T, Failure> {
    timeout(DEADLINE, answer).await.map_err(|_| Failure::Late(DEADLINE))
}

/// What a container was started as; `None` if it is gone, or nobody is allowed to look.
async fn started_as(docker: &Docker, id: &str) -> Result<Option<String>, Failure> {
    match within(docker.inspect_container(id, None::<InspectContainerOptions>)).await? {
        Ok(found) => Ok(found.config.and_then(|config| config.image)),
        // All that is wanted of it may be there.
        Err(ApiError::JsonDataError { contents, message, .. }) => {
            let found: Result<Inspected, _> = serde_json::from_str(&contents);
            found.map(|found| Some(found.config.image)).map_err(|_| Failure::unreadable(&message))
        }
        Err(error) => match Failure::from(error) {
            failure if failure.is_refusal() => Ok(None),
            failure => Err(failure),
        },
    }
}

/// Reads a list in which there is something that has not the documented form: what is wanted, entry by entry.
fn one_by_one(list: &str) -> Option<Vec<Entry>> {
    let raw: Vec<&RawValue> = serde_json::from_str(list).ok()?;
    Some(raw.into_iter().filter_map(|entry| read(entry.get())).collect())
}

fn read(entry: &str) -> Option<Entry> {
    let mut map = match serde_json::from_str::<Map<String, Value>>(entry) {
        Ok(map) => map,
        Err(error) => {
            return Some(Entry::Unreadable {
                shown: "an entry".into(),
                image: None,
                reason: error.to_string(),
            });
        }
    };
    map.retain(|key, _| KEYS.contains(&key.as_str()));
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let name = text(map.get("Names").and_then(|names| names.get(0)));
    if text(map.get("State")).is_some_and(|state| state != "running") {
        return None;
    }
    let (id, image) = (text(map.get("Id")).unwrap_or_default(), text(map.get("Image")));
    match ContainerSummary::deserialize(Value::Object(map)) {
        Ok(summary) => Container::read(summary).map(Entry::Container),
        Err(error) => {
            Some(Entry::Unreadable { shown: shown(name.as_deref(), &id), image, reason: error.to_string() })
        }
    }
}

fn key(entry: &Entry) -> (&str, &str) {
    match entry {
        Entry::Container(container) => (&container.id, ""),
        Entry::Unreadable { shown, reason, .. } => (shown, reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_one_entry_costs_that_entry() {
        let list = r#"[
            {"Id": "a", "Image": "app", "Mounts": [{"Type": "of tomorrow"}], "Ports": []},
            {"Id": "b", "Names": ["/b"], "Image": "app", "Ports": [{"PrivatePort": 99999, "Type": "tcp"}]},
            {"Id": "c", "Image": "app", "State": "stopping"},
            {"Id": "d", "Image": "app", "State": "running", "Labels": ["no map"]},
            7
        ]"#;
        let entries = one_by_one(list).unwrap();
        let shown: Vec<_> = entries
            .iter()
            .map(|entry| match entry {
                Entry::Container(container) => format!("container {}", container.id),
                Entry::Unreadable { shown, image, .. } => format!("unreadable {shown} {image:?}"),
            })
            .collect();
        let expected = [
            "container a",
            r#"unreadable b (b) Some("app")"#,
            r#"unreadable d Some("app")"#,
            "unreadable an entry None",
        ];
        assert_eq!(shown, expected);
        assert!(one_by_one("{}").is_none() && one_by_one("[").is_none());
    }
}
