//! What is read of a state file, and what is written.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use discovery_core::{Endpoint, Settings, Snapshot};
use haproxy_render::{Name, ServerId};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::format::{Entry, Origin, Parsed, Remembered, parse};
use crate::desired::KnownIds;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn ids<const N: usize>(ids: [(&str, u32); N]) -> KnownIds {
    let id = |(name, id): (&str, u32)| (Name::parse(name).unwrap(), ServerId::new(id).unwrap());
    ids.into_iter().map(id).collect()
}

fn read(value: &Value) -> Result<Parsed, String> {
    parse(value.to_string().as_bytes()).map_err(|error| error.to_string())
}

/// What was rejected, as `ENTRY: REASON`.
fn rejected(parsed: &Parsed) -> Vec<String> {
    parsed.rejected.iter().map(|one| format!("{}: {}", one.entry(), one.reason())).collect()
}

fn shown(parsed: &Parsed, service: &str) -> String {
    format!("{:?}", parsed.remembered.services[service].snapshot)
}

/// A file of ours with this as its service `web`.
fn with_web(web: &Value) -> Value {
    json!({ "format": "synapse-rs state", "version": 1, "written": 10.5, "services": { "web": web } })
}

#[test]
fn a_file_says_who_it_is_of_what_version_and_what_it_knows() {
    let endpoint = Endpoint::new("10.0.0.1".parse().unwrap(), 80).unwrap().with_weight(Some(7));
    let settings = Settings::parse(br#"{"haproxy":{"listen":["retries 2"]}}"#).unwrap();
    let entry = Entry {
        snapshot: Snapshot::new([endpoint]).with_settings(settings),
        confirmed: UNIX_EPOCH + Duration::from_millis(1_760_000_000_123),
        ids: ids([("10.0.0.1:80", 3)]),
    };
    let remembered = Remembered { written: at(1_760_000_060), services: [("web".to_owned(), entry)].into() };
    let text = String::from_utf8(remembered.to_json()).unwrap();
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        value,
        json!({
            "format": "synapse-rs state",
            "version": 1,
            "written": 1_760_000_060.0,
            "services": {
                "web": {
                    "confirmed": 1_760_000_000.123,
                    "endpoints": [{ "host": "10.0.0.1", "port": 80, "weight": 7 }],
                    "generators": { "haproxy": { "listen": ["retries 2"] } },
                    "ids": { "10.0.0.1:80": 3 },
                },
            },
        })
    );
    assert!(text.ends_with("}\n") && text.contains("\n  \"services\": {\n"), "people look at it: {text}");
}

#[test]
fn synapses_file_is_read_without_those_that_had_left() {
    let parsed = read(&json!({
        "web": {
            "i-1_10.0.0.1:80": {
                "name": "i-1", "host": "10.0.0.1", "port": 80, "id": 4, "weight": 9, "labels": null,
                "haproxy_server_options": "check", "haproxy_server_id": 12, "timestamp": 1000, "enabled": true,
            },
            "10.0.0.2:80": { "host": "10.0.0.2", "port": "80", "timestamp": 1000, "labels": { "az": "a" } },
            "10.0.0.3:80": { "host": "10.0.0.3", "port": 80, "timestamp": 940, "haproxy_server_id": 2 },
            "watcher_config_for_generator": { "haproxy": { "listen": ["mode tcp"] } },
        },
        // A service may be called anything.
        "format": { "x": { "host": "10.0.0.4", "port": 80, "timestamp": 900 } },
        "gone": {},
    }))
    .unwrap();
    assert_eq!((parsed.origin, rejected(&parsed)), (Origin::Synapse, vec![]));
    assert_eq!(
        shown(&parsed, "web"),
        r#"[i-1_10.0.0.1:80 id=4 weight=9 options="check", 10.0.0.2:80 labels={"az": "a"}]"#
    );
    let web = &parsed.remembered.services["web"];
    assert_eq!((web.confirmed, &web.ids), (at(1000), &ids([("i-1_10.0.0.1:80", 12), ("10.0.0.3:80", 2)])));
    assert_eq!(shown(&parsed, "format"), "[10.0.0.4:80]");
    assert_eq!(parsed.remembered.written, at(1000));
    assert!(!parsed.remembered.services.contains_key("gone"));
}

#[test]
fn a_bad_entry_costs_that_entry() {
    let parsed = read(&with_web(&json!({
        "confirmed": 9,
        "endpoints": [
            { "host": "10.0.0.1", "port": 80 },
            { "host": "10.0.0.2\n\tserver evil 10.6.6.6:80", "port": 80 },
            7,
        ],
        "generators": [1],
        "ids": { "10.0.0.1:80": 3, "a b": 4, "c": 0 },
        "later": "versions may say more",
    })))
    .unwrap();
    assert_eq!(shown(&parsed, "web"), "[10.0.0.1:80]");
    let web = &parsed.remembered.services["web"];
    assert_eq!((&web.ids, web.snapshot.settings()), (&ids([("10.0.0.1:80", 3)]), None));
    let rejected = rejected(&parsed);
    let entries: Vec<_> = rejected.iter().map(|one| one.split(": ").next().unwrap()).collect();
    assert_eq!(
        entries,
        ["web.endpoints[1]", "web.endpoints[2]", "web.generators", "web.ids.a b", "web.ids.c"],
        "{rejected:#?}"
    );

    let parsed = read(&json!({ "web": {
        "a": { "host": "10.0.0.1", "port": 80, "timestamp": 5 },
        "b": { "host": "x y", "port": 80, "timestamp": 5 },
        "c": { "host": "10.0.0.2", "port": 80, "timestamp": -1 },
        "d": [],
    } }))
    .unwrap();
    assert_eq!(shown(&parsed, "web"), "[10.0.0.1:80]");
    assert_eq!(parsed.rejected.len(), 3, "{:#?}", parsed.rejected);
}

#[test]
fn what_nobody_understands_is_not_nobody() {
    let parsed = read(&with_web(&json!({ "confirmed": 9, "endpoints": [{ "host": "" }] }))).unwrap();
    assert!(parsed.remembered.services.is_empty() && parsed.rejected.len() == 1, "{parsed:?}");
    let parsed = read(&with_web(&json!({ "confirmed": 9, "endpoints": [] }))).unwrap();
    assert_eq!(shown(&parsed, "web"), "[]");
}

#[test]
fn what_is_wrong_with_a_file_is_said_with_its_place() {
    let ours = |more: &str| format!("{{\"format\": \"synapse-rs state\",\n {more}}}");
    for (text, said) in [
        (String::new(), "it is empty"),
        ("{\"web\": {\n  \"a\": {\"ho".to_owned(), "2:11: EOF while parsing a string"),
        ("[]".to_owned(), "1:1: invalid type: sequence, expected a map"),
        ("{}\n{}".to_owned(), "2:1: trailing characters"),
        ("{\"web\":\n  7}".to_owned(), "2:3: invalid type: integer `7`, expected a map"),
        ("{\"format\": \"else\"}".to_owned(), "its format is \"else\", which this program does not know"),
        (ours("\"written\": 1"), "it has no `version`"),
        (
            ours("\"version\": 2, \"written\": 1, \"services\": 7"),
            "it is of version 2; this program reads version 1",
        ),
        (
            ours("\"version\":\n \"1\", \"written\": 1, \"services\": {}"),
            "3:4: invalid type: string \"1\", expected u64",
        ),
        (ours("\"version\": 1, \"written\": -1, \"services\": {}"), "`written` is no time"),
    ] {
        let error = parse(text.as_bytes()).expect_err(&text).to_string();
        assert_eq!(error, said, "{text}");
    }
    assert_eq!(parse(b"{\"\xff\": {}}").unwrap_err().to_string(), "it is not UTF-8");
    let late = ours("\"version\": 1, \"written\": 1, \"services\": {\n\"web\": {\"confirmed\": true}}");
    assert_eq!(
        rejected(&parse(late.as_bytes()).unwrap()),
        ["web: 3:25: invalid type: boolean `true`, expected f64"]
    );
}

#[test]
fn hostile_files_are_refused_in_few_words() {
    let deep = format!("{{\"web\": {}{}}}", "[".repeat(500_000), "]".repeat(500_000));
    let deep_ours = with_web(&json!({ "confirmed": 1, "endpoints": [], "generators": "DEEP" }));
    let deep_ours = deep_ours
        .to_string()
        .replace("\"DEEP\"", &format!("{{\"haproxy\": {}{}}}", "[".repeat(500_000), "]".repeat(500_000)));
    let long = format!("{{\"web\": \"{}\u{1b}[31m\"}}", "x".repeat(1_000_000));
    for text in [deep, deep_ours, long] {
        match parse(text.as_bytes()) {
            Ok(parsed) => assert!(parsed.rejected.iter().all(|one| one.reason().len() < 1000)),
            Err(error) => {
                let shown = error.to_string();
                assert!(shown.len() < 1000 && !shown.contains('\u{1b}'), "{shown}");
            }
        }
    }
}

fn endpoints() -> impl Strategy<Value = Endpoint> {
    let labels = proptest::collection::btree_map("[a-z]{1,5}", "[^\\p{Cc}]{0,5}", 0..3);
    let numbers = (1u16.., proptest::option::of(any::<u64>()), proptest::option::of(any::<u32>()));
    (any::<[u8; 4]>(), numbers, "[a-z\" \\\\]{0,9}", "[a-z0-9 ]{0,9}", labels, any::<(bool, bool)>())
        .prop_filter_map(
            "an address that can be reached",
            |(ip, (port, id, weight), name, options, labels, (backup, up))| {
                let host = std::net::IpAddr::from(ip).try_into().ok()?;
                let endpoint = Endpoint::new(host, port).ok()?.with_name(&name).ok()?;
                let endpoint = endpoint.with_server_options(&options).ok()?.with_labels(labels).ok()?;
                Some(endpoint.with_id(id).with_weight(weight).with_backup(backup).with_available(up))
            },
        )
}

fn entries() -> impl Strategy<Value = Entry> {
    let known = proptest::collection::btree_map("[a-z0-9:._-]{1,12}", 1u32..=65_535, 0..5);
    let settings = proptest::option::of("[a-z ]{0,9}");
    (proptest::collection::vec(endpoints(), 0..6), 0u64..4_000_000_000_000, known, settings).prop_map(
        |(endpoints, confirmed, known, said)| {
            let settings = said.map(|said| json!({ "haproxy": { "server_options": said } }).to_string());
            let settings = settings.and_then(|text| Settings::parse(text.as_bytes()).unwrap());
            let ids =
                known.into_iter().map(|(name, id)| (Name::parse(&name).unwrap(), ServerId::new(id).unwrap()));
            Entry {
                snapshot: Snapshot::new(endpoints).with_settings(settings),
                confirmed: UNIX_EPOCH + Duration::from_millis(confirmed),
                ids: ids.collect(),
            }
        },
    )
}

/// Text that comes close to a state file.
fn nearly() -> impl Strategy<Value = String> {
    let words = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\n",
        "7",
        "-1",
        "1e400",
        "null",
        "true",
        "\"web\"",
        "\"format\"",
        "\"synapse-rs state\"",
        "\"version\"",
        "\"written\"",
        "\"services\"",
        "\"confirmed\"",
        "\"endpoints\"",
        "\"generators\"",
        "\"ids\"",
        "\"host\"",
        "\"10.0.0.1\"",
        "\"port\"",
        "\"timestamp\"",
        "\"haproxy_server_id\"",
        "\"a\\nb\"",
        "\"\\ud800\"",
    ];
    proptest::collection::vec(proptest::sample::select(words.to_vec()), 0..60)
        .prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn what_is_written_is_read_as_the_same(
        services in proptest::collection::btree_map("[^\\p{Cc}]{0,8}", entries(), 0..5),
        written in 0u64..4_000_000_000_000,
    ) {
        let written = UNIX_EPOCH + Duration::from_millis(written);
        let remembered = Remembered { written, services };
        let parsed = parse(&remembered.to_json()).unwrap();
        prop_assert_eq!(parsed, Parsed { remembered, origin: Origin::Ours, rejected: Vec::new() });
    }

    #[test]
    fn a_file_that_was_cut_off_is_refused(entry in entries(), cut in any::<prop::sample::Index>()) {
        let text = Remembered { written: at(1), services: [("web".to_owned(), entry)].into() }.to_json();
        // Without the last line feed it is whole.
        prop_assert!(parse(&text[..cut.index(text.len() - 1)]).is_err());
    }

    #[test]
    fn nothing_makes_it_panic(data in proptest::collection::vec(any::<u8>(), 0..300), nearly in nearly()) {
        let _ = parse(&data);
        let _ = parse(nearly.as_bytes());
    }

    #[test]
    fn damage_makes_it_neither_panic_nor_lie(
        entry in entries(), place in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut text = Remembered { written: at(1), services: [("web".to_owned(), entry)].into() }.to_json();
        let place = place.index(text.len());
        text[place] = byte;
        if let Ok(parsed) = parse(&text) {
            for endpoint in parsed.remembered.services.values().flat_map(|entry| &entry.snapshot) {
                prop_assert!(!endpoint.to_string().contains(char::is_control));
            }
        }
    }
}
