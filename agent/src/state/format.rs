//! The text of a state file.

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use discovery_core::{Endpoint, Record, Rejection, Settings, Snapshot, printable};
use haproxy_render::{Name, ServerId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::synapse;
use crate::desired::KnownIds;

/// What a state file of this program calls itself.
const FORMAT: &str = "synapse-rs state";
/// The newest version that is read, and the one that is written.
const VERSION: u64 = 1;
/// How much is told of what is wrong, in characters.
const SHOWN: usize = 200;

/// What was last known of all services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remembered {
    /// When it was written down.
    pub(crate) written: SystemTime,
    /// By the name of the service.
    pub(crate) services: BTreeMap<String, Entry>,
}

/// What was last known of one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The last good answer of its source, as the source gave it: no rule was applied yet.
    pub(crate) snapshot: Snapshot,
    /// When that was last known to be what the source says.
    pub(crate) confirmed: SystemTime,
    /// The ids that its servers had.
    pub(crate) ids: KnownIds,
}

/// A state file that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parsed {
    pub(crate) remembered: Remembered,
    pub(crate) origin: Origin,
    /// Single entries that were not.
    pub(crate) rejected: Vec<Rejection>,
}

/// Whose format a state file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Ours,
    Synapse,
}

/// Why a text is no state file, and where that shows: line and column, from 1, the column in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unreadable {
    reason: String,
    at: Option<(usize, usize)>,
}

impl fmt::Display for Unreadable {
    /// `LINE:COLUMN: REASON`, or the reason alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((line, column)) = self.at {
            write!(f, "{line}:{column}: ")?;
        }
        f.write_str(&self.reason)
    }
}

impl Unreadable {
    fn new(reason: &str) -> Self {
        Self { reason: printable(reason, SHOWN), at: None }
    }

    /// The same, with the name of the file in front.
    pub(super) fn of(&self, path: impl fmt::Display) -> String {
        let blank = if self.at.is_some() { "" } else { " " };
        format!("{path}:{blank}{self}")
    }

    /// What a reader says of `part`, which stands in `text`.
    fn within(text: &str, part: &str, error: &serde_json::Error) -> Self {
        let full = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        let reason = printable(full.strip_suffix(&place).unwrap_or(&full), SHOWN);
        // A part is a slice of the text: how far into it, the addresses tell.
        let offset = (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
        let before = text.get(..offset).unwrap_or_default();
        let line = before.matches('\n').count();
        let column = match error.line() {
            0 | 1 => before.rsplit('\n').next().map_or(0, str::len),
            _ => 0,
        };
        Self { reason, at: Some((line + error.line().max(1), column + error.column().max(1))) }
    }
}

/// The parts of a map, unread.
pub(super) type Parts<'a> = BTreeMap<String, &'a RawValue>;

/// Reads `part`, which stands in `text`.
pub(super) fn read<'a, T: Deserialize<'a>>(text: &str, part: &'a str) -> Result<T, Unreadable> {
    serde_json::from_str(part).map_err(|error| Unreadable::within(text, part, &error))
}

/// Reads a state file: one of this program or one of Synapse. A text from a stranger does no harm: what becomes an endpoint, an
/// id or a setting of it goes through the checks that a registry's data goes through.
pub(crate) fn parse(data: &[u8]) -> Result<Parsed, Unreadable> {
    let text = std::str::from_utf8(data).map_err(|_| Unreadable::new("it is not UTF-8"))?;
    if text.trim().is_empty() {
        return Err(Unreadable::new("it is empty"));
    }
    let top: Parts<'_> = read(text, text)?;
    // A service of Synapse's may have this name: then it is a map.
    let format = top.get("format").and_then(|format| serde_json::from_str::<String>(format.get()).ok());
    match format {
        None => synapse::parse(text, &top),
        Some(format) if format == FORMAT => ours(text, &top),
        Some(format) => {
            Err(Unreadable::new(&format!("its format is {format:?}, which this program does not know")))
        }
    }
}

/// One service as this program writes it.
#[derive(Deserialize)]
struct Read<'a> {
    confirmed: f64,
    #[serde(borrow)]
    endpoints: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    generators: Option<&'a RawValue>,
    #[serde(default)]
    ids: BTreeMap<String, u32>,
}

fn ours(text: &str, top: &Parts<'_>) -> Result<Parsed, Unreadable> {
    let part = |key: &str| top.get(key).ok_or_else(|| Unreadable::new(&format!("it has no `{key}`")));
    let version: u64 = read(text, part("version")?.get())?;
    if version != VERSION {
        let reason = format!("it is of version {version}; this program reads version {VERSION}");
        return Err(Unreadable::new(&reason));
    }
    let written: f64 = read(text, part("written")?.get())?;
    let written = moment(written).ok_or_else(|| Unreadable::new("`written` is no time"))?;
    let parts: Parts<'_> = read(text, part("services")?.get())?;
    let (mut services, mut rejected) = (BTreeMap::new(), Vec::new());
    for (name, raw) in parts {
        match read::<Read<'_>>(text, raw.get()) {
            Ok(service) => {
                services.extend(service.entry(text, &name, &mut rejected).map(|entry| (name, entry)));
            }
            Err(error) => rejected.push(Rejection::new(&name, &error)),
        }
    }
    Ok(Parsed { remembered: Remembered { written, services }, origin: Origin::Ours, rejected })
}

impl Read<'_> {
    /// `None`: what is left of it says nothing.
    fn entry(self, text: &str, service: &str, rejected: &mut Vec<Rejection>) -> Option<Entry> {
        let Some(confirmed) = moment(self.confirmed) else {
            rejected.push(Rejection::new(service, "`confirmed` is no time"));
            return None;
        };
        let written = self.endpoints.len();
        let mut endpoints = Vec::with_capacity(written);
        for (index, raw) in self.endpoints.into_iter().enumerate() {
            match endpoint(text, raw.get()) {
                Ok(endpoint) => endpoints.push(endpoint),
                Err(reason) => {
                    rejected.push(Rejection::new(&format!("{service}.endpoints[{index}]"), &reason));
                }
            }
        }
        // What nobody understands is not "nobody".
        if endpoints.is_empty() && written > 0 {
            return None;
        }
        let settings = self.generators.map_or(Ok(None), |raw| Settings::parse(raw.get().as_bytes()));
        let settings = settings.unwrap_or_else(|error| {
            rejected.push(Rejection::new(&format!("{service}.generators"), &error));
            None
        });
        let mut ids = KnownIds::new();
        for (name, id) in self.ids {
            match known_id(&name, id) {
                Ok((name, id)) => _ = ids.insert(name, id),
                Err(reason) => rejected.push(Rejection::new(&format!("{service}.ids.{name}"), &reason)),
            }
        }
        Some(Entry { snapshot: Snapshot::new(endpoints).with_settings(settings), confirmed, ids })
    }
}

/// An endpoint, held to what a registry's is held to.
pub(super) fn endpoint(text: &str, part: &str) -> Result<Endpoint, String> {
    let record: Record = read(text, part).map_err(|error| error.to_string())?;
    Endpoint::try_from(record).map_err(|error| error.to_string())
}

/// The id of a server.
pub(super) fn known_id(name: &str, id: u32) -> Result<(Name, ServerId), String> {
    let name = Name::parse(name).map_err(|error| error.to_string())?;
    Ok((name, ServerId::new(id).map_err(|error| error.to_string())?))
}

/// Seconds since 1970; `None` for what no clock shows.
pub(super) fn moment(seconds: f64) -> Option<SystemTime> {
    let exact = Duration::try_from_secs_f64(seconds).ok()?;
    // To the millisecond: what lies below is how a fraction happens to be written in binary.
    let whole = Duration::from_millis(u64::try_from(exact.as_micros().saturating_add(500) / 1000).ok()?);
    UNIX_EPOCH.checked_add(whole)
}

#[derive(Serialize)]
struct Whole<'a> {
    format: &'static str,
    version: u64,
    written: f64,
    services: BTreeMap<&'a str, WrittenEntry<'a>>,
}

#[derive(Serialize)]
struct WrittenEntry<'a> {
    confirmed: f64,
    endpoints: Vec<Record>,
    #[serde(skip_serializing_if = "Option::is_none")]
    generators: Option<&'a Settings>,
    ids: BTreeMap<&'a str, u32>,
}

impl Remembered {
    /// The text of it: what [`parse`] reads as the same, times to the millisecond.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        let seconds = |at: SystemTime| at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let rounded = |at: SystemTime| (seconds(at) * 1000.0).round() / 1000.0;
        let services = self.services.iter().map(|(name, entry)| {
            let written = WrittenEntry {
                confirmed: rounded(entry.confirmed),
                endpoints: entry.snapshot.iter().map(Record::from).collect(),
                generators: entry.snapshot.settings(),
                ids: entry.ids.iter().map(|(name, id)| (name.as_str(), id.get())).collect(),
            };
            (name.as_str(), written)
        });
        let whole = Whole {
            format: FORMAT,
            version: VERSION,
            written: rounded(self.written),
            services: services.collect(),
        };
        let mut text = serde_json::to_vec_pretty(&whole)
            .expect("maps with text keys, lists, text, booleans and finite numbers are JSON");
        text.push(b'\n');
        text
    }
}
