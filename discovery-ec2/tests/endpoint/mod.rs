//! An EC2 for tests: answers `DescribeInstances` over HTTP as EC2's query API does, goes wrong as told, and counts what it is
//! asked. It hands out roles too, as STS does, and credentials, as an instance's metadata and a container's agent do.
//!
//! It knows the filters `instance-state-name`, `tag:NAME` and `tag-key`, with `*` in values, and lets every instance pass any
//! other. It checks no signatures.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "it is a test's, and a panic in it a failed test")]

pub(crate) mod issuer;
mod reply;
mod role;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use reply::{error, write_instance};
pub(crate) use role::Assumed;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep},
};

/// One instance.
#[derive(Debug, Clone)]
pub(crate) struct Instance {
    /// `i-1`
    pub(crate) id: String,
    /// `running`, `stopped`, …
    pub(crate) state: String,
    pub(crate) private_ip: Option<String>,
    pub(crate) public_ip: Option<String>,
    pub(crate) private_dns: String,
    pub(crate) tags: BTreeMap<String, String>,
}

impl Instance {
    /// A running instance with an address of its own for each number below 65,536.
    pub(crate) fn numbered(number: u16, tags: &[(&str, &str)]) -> Self {
        let [high, low] = number.to_be_bytes();
        Self {
            id: format!("i-{number:05}"),
            state: "running".to_owned(),
            private_ip: Some(format!("10.0.{high}.{low}")),
            public_ip: None,
            private_dns: format!("ip-10-0-{high}-{low}.ec2.internal"),
            tags: tags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        }
    }
}

/// How questions are answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Rightly.
    #[default]
    Good,
    /// With an error of EC2's: HTTP status, code, message.
    Refuses(u16, &'static str, &'static str),
    /// The same, but only for pages after the first.
    RefusesLaterPages(u16, &'static str, &'static str),
    /// With this HTTP status and this body.
    Says(u16, &'static str),
    /// With the first half of the right answer, as if that were all of it.
    Cuts,
    /// Rightly, but it hangs up in the middle.
    HangsUp,
    /// Not at all, and the connection stays open.
    Freezes,
    /// With blanks, without end.
    Floods,
}

/// One question.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) at: Instant,
    /// Filters by name.
    pub(crate) filters: BTreeMap<String, Vec<String>>,
    /// Which page; 0 is the first.
    pub(crate) page: usize,
    pub(crate) max_results: usize,
    /// The id of the key that signed it, and for which region.
    pub(crate) key_id: String,
    pub(crate) region: String,
}

#[derive(Debug, Default)]
struct State {
    instances: Vec<Instance>,
    mood: Mood,
    /// Fewer instances a page than asked for; 0 is as many as asked for.
    per_page: usize,
    /// Rotate the order with each chain of pages.
    shuffles: bool,
    asked: Vec<Asked>,
    assumed: Vec<Assumed>,
    /// How many keys containers were given.
    given: usize,
}

/// A running endpoint. Dropping it stops it.
#[derive(Debug)]
pub(crate) struct Endpoint {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    server: Option<JoinHandle<()>>,
}

impl Endpoint {
    /// Listens on a port of its own.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::<Mutex<State>>::default();
        let server = Some(tokio::spawn(serve(listener, Arc::clone(&state))));
        Self { address, state, server }
    }

    /// Closes the port and all connections.
    pub(crate) async fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            server.abort();
            let _ = server.await;
        }
    }

    /// Listens on the same port again, if it does not.
    pub(crate) async fn restart(&mut self) {
        if self.server.is_some() {
            return;
        }
        let deadline = Instant::now() + Duration::from_secs(10);
        let listener = loop {
            match TcpListener::bind(self.address).await {
                Ok(listener) => break listener,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            sleep(Duration::from_millis(20)).await;
        };
        self.server = Some(tokio::spawn(serve(listener, Arc::clone(&self.state))));
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
    }

    /// Replaces all instances.
    pub(crate) fn hold(&self, instances: impl IntoIterator<Item = Instance>) {
        self.change(|state| state.instances = instances.into_iter().collect());
    }

    pub(crate) fn mood(&self, mood: Mood) {
        self.change(|state| state.mood = mood);
    }

    pub(crate) fn per_page(&self, most: usize) {
        self.change(|state| state.per_page = most);
    }

    /// Lists the instances in another order in each answer.
    pub(crate) fn shuffle(&self) {
        self.change(|state| state.shuffles = true);
    }

    /// Everything it was asked until now.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.state.lock().unwrap().asked.clone()
    }

    /// The roles that it was asked for until now.
    pub(crate) fn assumed(&self) -> Vec<Assumed> {
        self.state.lock().unwrap().assumed.clone()
    }

    /// How many pages it was asked for until now.
    pub(crate) fn requests(&self) -> usize {
        self.state.lock().unwrap().asked.len()
    }

    /// How many first pages it was asked for until now.
    pub(crate) fn chains(&self) -> usize {
        self.state.lock().unwrap().asked.iter().filter(|asked| asked.page == 0).count()
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        if let Some(server) = &self.server {
            server.abort();
        }
    }
}

async fn serve(listener: TcpListener, state: Arc<Mutex<State>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(converse(stream, Arc::clone(&state)));
    }
}

/// Answers one request after the other on one connection.
async fn converse(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    let mut read = Vec::new();
    while let Some((head, body)) = request(&mut stream, &mut read).await {
        let (mood, reply) = {
            let mut state = state.lock().unwrap();
            (state.mood.clone(), answer(&mut state, &head, &body))
        };
        if mood == Mood::Freezes {
            std::future::pending::<()>().await;
        }
        if mood == Mood::Floods {
            return flood(stream).await;
        }
        let (status, body) = reply;
        let head = format!(
            "HTTP/1.1 {status} Whatever\r\nContent-Type: text/xml;charset=UTF-8\r\n\
             X-Aws-Ec2-Metadata-Token-Ttl-Seconds: 60\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let sent = if mood == Mood::HangsUp { &body[..body.len() / 2] } else { &body[..] };
        let whole = [head.as_bytes(), sent.as_bytes()].concat();
        if stream.write_all(&whole).await.is_err() || mood == Mood::HangsUp {
            return;
        }
    }
}

async fn flood(mut stream: TcpStream) {
    let head = b"HTTP/1.1 200 Whatever\r\nContent-Type: text/xml\r\nConnection: close\r\n\r\n";
    let mut sent = stream.write_all(head).await;
    let blanks = vec![b' '; 1 << 16];
    while sent.is_ok() {
        sent = stream.write_all(&blanks).await;
    }
}

/// Reads one request: head and body.
async fn request(stream: &mut TcpStream, read: &mut Vec<u8>) -> Option<(String, String)> {
    let end = loop {
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(read).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(read[..end].to_vec()).ok()?;
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(0, |(_, value)| value.trim().parse().unwrap());
    while read.len() < end + length {
        if stream.read_buf(read).await.ok()? == 0 {
            return None;
        }
    }
    let body = String::from_utf8(read[end..end + length].to_vec()).ok()?;
    read.drain(..end + length);
    Some((head, body))
}

fn answer(state: &mut State, head: &str, body: &str) -> (u16, String) {
    if let Some(answer) = issuer::answer(head, &mut state.given) {
        return answer;
    }
    let fields: BTreeMap<String, String> = body
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect();
    match fields.get("Action").map(String::as_str) {
        Some("DescribeInstances") => {}
        Some("AssumeRole" | "AssumeRoleWithWebIdentity") => {
            let assumed = Assumed::read(&fields, key_id(head));
            let answer = assumed.answer();
            state.assumed.push(assumed);
            return answer;
        }
        _ => return error(400, "InvalidAction", "this endpoint does nothing of the kind"),
    }
    let asked = question(&fields, head);
    let (page, max_results) = (asked.page, asked.max_results);
    let filters = asked.filters.clone();
    let chains = state.asked.iter().filter(|asked| asked.page == 0).count();
    state.asked.push(asked);
    match state.mood {
        Mood::Refuses(status, code, message) => return error(status, code, message),
        Mood::RefusesLaterPages(status, code, message) if page > 0 => return error(status, code, message),
        Mood::Says(status, body) => return (status, body.to_owned()),
        _ => {}
    }
    let mut found: Vec<_> = state.instances.iter().filter(|instance| passes(instance, &filters)).collect();
    if state.shuffles && !found.is_empty() {
        // All pages of one chain have one order.
        let order = if page == 0 { chains } else { chains - 1 };
        let middle = order * 7 % found.len();
        found.rotate_left(middle);
    }
    let per_page = if state.per_page == 0 { max_results } else { state.per_page.min(max_results) };
    let shown = found.iter().skip(page * per_page).take(per_page);
    let mut xml = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<DescribeInstancesResponse \
         xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>r-1</requestId><reservationSet>",
    );
    for instance in shown {
        write_instance(&mut xml, instance);
    }
    xml.push_str("</reservationSet>");
    if (page + 1) * per_page < found.len() {
        write!(xml, "<nextToken>page-{}</nextToken>", page + 1).unwrap();
    }
    xml.push_str("</DescribeInstancesResponse>");
    if state.mood == Mood::Cuts {
        xml.truncate(xml.len() / 2);
    }
    (200, xml)
}

fn question(fields: &BTreeMap<String, String>, head: &str) -> Asked {
    let mut filters = BTreeMap::new();
    for number in 1.. {
        let Some(name) = fields.get(&format!("Filter.{number}.Name")) else { break };
        let values = (1..).map_while(|value| fields.get(&format!("Filter.{number}.Value.{value}")).cloned());
        filters.insert(name.clone(), values.collect());
    }
    Asked {
        at: Instant::now(),
        filters,
        page: fields.get("NextToken").map_or(0, |token| token.trim_start_matches("page-").parse().unwrap()),
        max_results: fields.get("MaxResults").map_or(usize::MAX, |most| most.parse().unwrap()),
        key_id: key_id(head),
        region: scope(head, 2),
    }
}

fn key_id(head: &str) -> String {
    scope(head, 0)
}

/// A part of what a request was signed with: `ID/DATE/REGION/SERVICE/…`.
fn scope(head: &str, part: usize) -> String {
    let part = head.split_once("Credential=").and_then(|(_, rest)| rest.split('/').nth(part));
    part.unwrap_or_default().to_owned()
}

fn passes(instance: &Instance, filters: &BTreeMap<String, Vec<String>>) -> bool {
    filters.iter().all(|(name, values)| {
        let fits = |text: &str| values.iter().any(|value| glob(value, text));
        match name.as_str() {
            "instance-state-name" => fits(&instance.state),
            "tag-key" => instance.tags.keys().any(|name| fits(name)),
            other => other
                .strip_prefix("tag:")
                .is_none_or(|name| instance.tags.get(name).is_some_and(|value| fits(value))),
        }
    })
}

fn glob(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => text.strip_prefix(before).is_some_and(|rest| {
            rest.char_indices().map(|(at, _)| at).chain([rest.len()]).any(|at| glob(after, &rest[at..]))
        }),
    }
}

/// Undoes the encoding of forms.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            other => other,
        });
    }
    String::from_utf8(bytes).unwrap()
}
