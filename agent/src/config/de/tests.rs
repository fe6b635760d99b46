use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::IpAddr;
use std::num::NonZeroU16;

use proptest::prelude::*;
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error, Visitor};

use crate::config::{KeyPath, from_node, parse};

fn read<T: DeserializeOwned>(text: &str) -> T {
    from_node(&parse(text).unwrap(), &KeyPath::root())
        .unwrap_or_else(|problems| panic!("{text}: {problems:?}"))
}

fn mistakes<T: DeserializeOwned + Debug>(text: &str) -> Vec<String> {
    let problems = from_node::<T>(&parse(text).unwrap(), &KeyPath::root()).unwrap_err();
    problems.iter().map(ToString::to_string).collect()
}

/// A port, as a type with its own words.
#[derive(Debug, PartialEq)]
struct Port(u16);

impl<'de> Deserialize<'de> for Port {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PortVisitor;
        impl Visitor<'_> for PortVisitor {
            type Value = Port;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a port (1 to 65535)")
            }
            fn visit_u64<E: Error>(self, port: u64) -> Result<Port, E> {
                let port = u16::try_from(port).ok().filter(|port| *port > 0);
                port.map(Port).ok_or_else(|| E::invalid_value(serde::de::Unexpected::Other("port"), &self))
            }
        }
        deserializer.deserialize_u16(PortVisitor)
    }
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Order {
    Asc,
    Desc,
    NoShuffle,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Check {
    Tcp,
    Http { uri: String, port: Option<u16> },
    Exec(Vec<String>),
    Pair(u8, u8),
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Server {
    host: String,
    port: Port,
    #[serde(default)]
    weight: Option<u8>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Discovery {
    tag_name: String,
    #[serde(alias = "hosts")]
    endpoints: Vec<String>,
    #[serde(default)]
    check_interval: f64,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Service {
    discovery: Discovery,
    #[serde(default)]
    default_servers: Vec<Server>,
    #[serde(default)]
    order: Option<Order>,
    #[serde(default)]
    password: Option<u16>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    services: BTreeMap<String, Service>,
    #[serde(default)]
    do_writes: bool,
}

#[derive(Debug, Deserialize)]
#[serde(try_from = "RawRange")]
struct Range {
    #[allow(dead_code)]
    low: u8,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRange {
    low: u8,
    high: u8,
    #[serde(default)]
    note: String,
}

impl TryFrom<RawRange> for Range {
    type Error = String;
    fn try_from(raw: RawRange) -> Result<Self, String> {
        let _ = raw.note;
        if raw.low < raw.high {
            Ok(Self { low: raw.low })
        } else {
            Err("`low` must be below `high`".to_owned())
        }
    }
}

#[test]
fn digits_are_numbers_where_numbers_are_wanted() {
    assert_eq!(read::<Vec<u16>>("['80', 80, 80.0, ' 80 ', 8e1]"), [80; 5]);
    assert_eq!(read::<Vec<i64>>("['-5', -5, -5.0]"), [-5; 3]);
    assert_eq!(read::<Vec<f64>>("['1.5', 1.5]"), [1.5; 2]);
    assert_eq!(read::<Vec<f64>>("['2', 2, '2.0']"), [2.0; 3]);
    assert_eq!(read::<Port>("'50001'"), Port(50001));
    assert_eq!(read::<i128>("-9223372036854775808"), i128::from(i64::MIN));
    assert_eq!(read::<u64>("18446744073709551615"), u64::MAX);
    assert_eq!(read::<NonZeroU16>("'1'").get(), 1);
}

#[test]
fn scalars_are_strings_where_strings_are_wanted_as_they_were_written() {
    assert_eq!(
        read::<Vec<String>>("[80, 1.10, true, 0x1F, 012, yes, -0.50]"),
        ["80", "1.10", "true", "0x1F", "012", "yes", "-0.50"]
    );
}

#[test]
fn the_spellings_of_booleans_are_booleans_where_booleans_are_wanted() {
    assert_eq!(read::<Vec<bool>>("[true, 'true', True, yes, 'ON', on]"), [true; 6]);
    assert_eq!(read::<Vec<bool>>("[false, 'False', no, off]"), [false; 4]);
}

#[test]
fn one_value_is_a_list_of_one_and_null_an_empty_list_or_map() {
    assert_eq!(read::<Vec<String>>("mode http"), ["mode http"]);
    assert_eq!(read::<Vec<u16>>("'80'"), [80]);
    assert_eq!(read::<Vec<Server>>("{host: a, port: 1}")[0].host, "a");
    assert_eq!(read::<Vec<Server>>("~"), []);
    assert_eq!(read::<BTreeMap<String, u8>>("~"), BTreeMap::new());
    assert_eq!(read::<Document>("services:\n"), Document { services: BTreeMap::new(), do_writes: false });
    assert_eq!(read::<Option<Vec<u8>>>("~"), None);
    assert_eq!(read::<Option<Vec<u8>>>("3"), Some(vec![3]));
    assert_eq!(read::<Option<String>>("~"), None);
}

#[test]
fn a_list_of_one_is_made_once_so_that_recursive_types_end() {
    #[derive(Debug, Deserialize)]
    struct Tree(#[allow(dead_code)] Vec<Tree>);
    assert!(from_node::<Tree>(&parse("[[], [[]]]").unwrap(), &KeyPath::root()).is_ok());
    assert_eq!(mistakes::<Tree>("x"), ["1:1: expected a list, found \"x\""]);
    assert_eq!(mistakes::<Vec<Vec<String>>>("x"), ["1:1: expected a list, found \"x\""]);
}

#[test]
fn every_form_of_an_enum_is_read() {
    assert_eq!(
        read::<Vec<Check>>("[tcp, {tcp: ~}, {http: {uri: /x, port: '80'}}, {exec: ls}, {pair: [1, '2']}]"),
        [
            Check::Tcp,
            Check::Tcp,
            Check::Http { uri: "/x".to_owned(), port: Some(80) },
            Check::Exec(vec!["ls".to_owned()]),
            Check::Pair(1, 2),
        ]
    );
    assert_eq!(read::<Order>("no_shuffle"), Order::NoShuffle);
}

#[test]
fn keys_of_maps_may_be_numbers_or_variants() {
    #[derive(Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
    #[serde(rename_all = "lowercase")]
    enum Zone {
        A,
        B,
    }
    assert_eq!(read::<BTreeMap<u16, String>>("80: a"), BTreeMap::from([(80, "a".to_owned())]));
    assert_eq!(read::<BTreeMap<Zone, u8>>("{a: 1, b: 2}"), BTreeMap::from([(Zone::A, 1), (Zone::B, 2)]));
    assert_eq!(
        mistakes::<BTreeMap<u16, String>>("80: a\nweb: b\n70000: c"),
        [
            "2:1: web: a key here must be an integer from 0 to 65535",
            "3:1: 70000: a key here must be an integer from 0 to 65535",
        ]
    );
}

#[test]
fn nothing_is_cut_rounded_or_guessed() {
    assert_eq!(
        mistakes::<Vec<u16>>(
            "[70000, -1, 1.5, '080', x, '', ~, true, [1], {a: 1}, '1e3', 99999999999999999999]"
        ),
        [
            "1:2: [0]: expected an integer from 0 to 65535, found 70000",
            "1:9: [1]: expected an integer from 0 to 65535, found -1",
            "1:13: [2]: expected an integer from 0 to 65535, found 1.5",
            "1:18: [3]: expected an integer from 0 to 65535, found \"080\"",
            "1:25: [4]: expected an integer from 0 to 65535, found \"x\"",
            "1:28: [5]: expected an integer from 0 to 65535, found \"\"",
            "1:32: [6]: expected an integer from 0 to 65535, found null",
            "1:35: [7]: expected an integer from 0 to 65535, found true",
            "1:41: [8]: expected an integer from 0 to 65535, found a list",
            "1:46: [9]: expected an integer from 0 to 65535, found a map",
            "1:54: [10]: expected an integer from 0 to 65535, found \"1e3\"",
            "1:61: [11]: expected an integer from 0 to 65535, found 99999999999999999999",
        ]
    );
}

#[test]
fn what_is_expected_is_said_in_words_for_people() {
    let one = |problems: Vec<String>| problems.join("|");
    assert_eq!(one(mistakes::<bool>("1")), "1:1: expected true or false, found 1");
    assert_eq!(one(mistakes::<f64>("a")), "1:1: expected a number, found \"a\"");
    assert_eq!(one(mistakes::<f64>("'inf'")), "1:1: expected a number, found \"inf\"");
    assert_eq!(one(mistakes::<f64>("'01.5'")), "1:1: expected a number, found \"01.5\"");
    assert_eq!(one(mistakes::<String>("[a]")), "1:1: expected a string, found a list");
    assert_eq!(one(mistakes::<String>("~")), "1:1: expected a string, found null");
    assert_eq!(one(mistakes::<Server>("x")), "1:1: expected a map, found \"x\"");
    assert_eq!(one(mistakes::<BTreeMap<String, u8>>("[a]")), "1:1: expected a map, found a list");
    assert_eq!(one(mistakes::<NonZeroU16>("0")), "1:1: expected an integer from 1 to 65535, found 0");
    assert_eq!(one(mistakes::<i8>("200")), "1:1: expected an integer from -128 to 127, found 200");
    assert_eq!(one(mistakes::<u64>("-1")), "1:1: expected an integer, 0 or more, found -1");
    assert_eq!(one(mistakes::<Port>("0")), "1:1: expected a port (1 to 65535), found 0");
    assert_eq!(one(mistakes::<Port>("abc")), "1:1: expected a port (1 to 65535), found \"abc\"");
    assert_eq!(one(mistakes::<(u8, u8)>("[1, 2, 3]")), "1:1: expected a list of 2, found 3 items");
    assert_eq!(one(mistakes::<[u8; 2]>("[1]")), "1:1: expected a list of 2, found 1 item");
    assert_eq!(one(mistakes::<Check>("{pair: [1]}")), "1:8: pair: expected a list of 2, found 1 item");
    assert_eq!(one(mistakes::<Check>("{http: 1}")), "1:8: http: expected a map, found 1");
    assert_eq!(one(mistakes::<(u8, u8)>("1")), "1:1: expected a list of 2, found 1");
    assert_eq!(one(mistakes::<IpAddr>("x")), "1:1: invalid IP address syntax");
    assert_eq!(one(mistakes::<()>("1")), "1:1: expected null, found 1");
    assert_eq!(one(mistakes::<char>("ab")), "1:1: expected a single character, found \"ab\"");
}

#[test]
fn a_value_that_is_none_of_the_known_ones_names_them() {
    assert_eq!(mistakes::<Order>("dsc"), ["1:1: unknown value \"dsc\"; did you mean `desc`?"]);
    assert_eq!(
        mistakes::<Order>("random"),
        ["1:1: expected one of `asc`, `desc`, `no_shuffle`, found \"random\""]
    );
    assert_eq!(
        mistakes::<Order>("[asc]"),
        ["1:1: expected one of `asc`, `desc`, `no_shuffle`, found a list"]
    );
    assert_eq!(mistakes::<Check>("{htp: {}}"), ["1:2: htp: unknown value \"htp\"; did you mean `http`?"]);
    assert_eq!(
        mistakes::<Vec<Check>>("- http: {uri: [], prt: 1}\n- pair: [1, x]\n- {tcp: 1}\n- {a: 1, b: 2}"),
        [
            "1:15: [0].http.uri: expected a string, found a list",
            "1:19: [0].http.prt: unknown key; did you mean `port`?",
            "2:13: [1].pair[1]: expected an integer from 0 to 255, found \"x\"",
            "3:9: [2].tcp: expected nothing, found 1",
            "4:3: [3]: expected one of `tcp`, `http`, `exec`, `pair`, found a map",
        ]
    );
}

#[test]
fn an_unknown_key_gets_a_suggestion_or_the_list_of_known_keys() {
    let unknown = |key: &str| mistakes::<Server>(&format!("{{host: a, port: 1, {key}: 1}}"));
    for (key, meant) in [("wieght", "weight"), ("Weight", "weight"), ("hots", "host"), ("prt", "port")] {
        if meant == "weight" {
            assert_eq!(unknown(key), [format!("1:20: {key}: unknown key; did you mean `{meant}`?")]);
        } else {
            assert!(unknown(key)[0].ends_with(&format!("did you mean `{meant}`?")), "{key}");
        }
    }
    assert_eq!(unknown("zone"), ["1:20: zone: unknown key; known keys are `host`, `port`, `weight`"]);
    assert!(unknown(&"x".repeat(500))[0].contains("unknown key; known keys are"));
}

#[test]
fn every_mistake_of_a_file_comes_at_once_with_its_place() {
    let text = r#"{
  // é: comments do not move anything
  "services": {
    "s1": {"discovery": {"tag_nme": "é", "endpoints": "a:1"}},
    "s2": {
      "discovery": {"tag_name": "t", "hosts": {"a": 1}, "check_interval": "soon"},
      "default_servers": [{"host": "a", "port": 1}, {"host": "b", "port": 70000, "wait": 1}, {"port": []}],
      "order": "down"
    },
    "s3": {},
    "s4": {"discovery": {"tag_name": [], "check_interval": 1}},
    "s5": "none"
  },
  "do_write": maybe,
  "do_writes": maybe
}"#;
    assert_eq!(
        mistakes::<Document>(text),
        [
            "4:26: services.s1.discovery.tag_nme: unknown key; did you mean `tag_name`?",
            "6:47: services.s2.discovery.hosts: expected a string, or a list of them, found a map",
            "6:75: services.s2.discovery.check_interval: expected a number, found \"soon\"",
            "7:75: services.s2.default_servers[1].port: expected a port (1 to 65535), found 70000",
            "7:82: services.s2.default_servers[1].wait: unknown key; known keys are `host`, `port`, `weight`",
            "7:94: services.s2.default_servers[2]: missing key `host`",
            "7:103: services.s2.default_servers[2].port: expected a port (1 to 65535), found a list",
            "8:16: services.s2.order: expected one of `asc`, `desc`, `no_shuffle`, found \"down\"",
            "10:11: services.s3: missing key `discovery`",
            "11:25: services.s4.discovery: missing key `endpoints`",
            "11:38: services.s4.discovery.tag_name: expected a string, found a list",
            "12:11: services.s5: expected a map, found \"none\"",
            "14:3: do_write: unknown key; did you mean `do_writes`?",
            "15:16: do_writes: expected true or false, found \"maybe\"",
        ]
    );
}

#[test]
fn several_missing_keys_are_all_reported_at_the_opening_of_their_map() {
    assert_eq!(
        mistakes::<BTreeMap<String, Discovery>>("web:\n  check_interval: 1\ndb: {}\n"),
        [
            "2:3: web: missing key `endpoints`",
            "2:3: web: missing key `tag_name`",
            "3:5: db: missing key `endpoints`",
            "3:5: db: missing key `tag_name`",
        ]
    );
}

#[test]
fn a_key_that_is_missing_only_because_its_value_is_wrong_is_not_reported_twice() {
    assert_eq!(mistakes::<Service>("discovery: 5"), ["1:12: discovery: expected a map, found 5"]);
    assert_eq!(
        mistakes::<Discovery>("{tag_name: a, hosts: [[]]}"),
        ["1:23: hosts[0]: expected a string, found a list"]
    );
    assert_eq!(mistakes::<Discovery>("{tag_nam: a, endpoint: b}").len(), 2);
}

#[test]
fn one_setting_under_two_names_is_reported_at_the_second() {
    assert_eq!(
        mistakes::<Discovery>("tag_name: a\nendpoints: b\nhosts: c\n"),
        ["3:1: hosts: sets `endpoints` a second time, under another name"]
    );
}

#[test]
fn the_words_of_a_type_itself_are_reported_at_its_value() {
    assert_eq!(mistakes::<Range>("{low: 2, high: 1}"), ["1:1: `low` must be below `high`"]);
    assert_eq!(
        mistakes::<BTreeMap<String, Range>>(
            "a: {low: 2, high: 1}\nb: {low: 1, high: 2}\nc: {low: 3, high: 3, zzz: 1}"
        ),
        [
            "1:4: a: `low` must be below `high`",
            "3:4: c: `low` must be below `high`",
            "3:22: c.zzz: unknown key; known keys are `low`, `high`, `note`",
        ]
    );
}

#[test]
fn what_a_type_says_of_values_that_were_patched_is_not_reported() {
    // Read as 1 and 1, the range would be empty: that is not what the user wrote.
    assert_eq!(
        mistakes::<BTreeMap<String, Range>>("a: {low: x, high: 1}"),
        ["1:10: a.low: expected an integer from 0 to 255, found \"x\""]
    );
}

#[test]
fn secrets_are_never_shown() {
    #[derive(Debug, Deserialize)]
    #[allow(dead_code)]
    struct Login {
        auth_token: Order,
        secret_id: u8,
        tokens: Vec<u8>,
        key: Quoting,
    }
    #[derive(Debug)]
    struct Quoting;
    impl<'de> Deserialize<'de> for Quoting {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let text = String::deserialize(deserializer)?;
            Err(D::Error::custom(format!("cannot use {text}")))
        }
    }
    assert_eq!(
        mistakes::<Service>("{discovery: {tag_name: a, endpoints: b}, password: hunter2}"),
        ["1:52: password: expected an integer from 0 to 65535, found a string"]
    );
    assert_eq!(
        mistakes::<Login>("auth_token: dsc\nsecret_id: 4711\ntokens: [hunter2]\nkey: hunter3\n"),
        [
            "1:13: auth_token: expected one of `asc`, `desc`, `no_shuffle`, found something else",
            "2:12: secret_id: expected an integer from 0 to 255, found a number",
            "3:10: tokens[0]: expected an integer from 0 to 255, found a string",
            "4:6: key: invalid value",
        ]
    );
}

#[test]
fn a_shown_value_is_one_short_line() {
    assert_eq!(
        mistakes::<u8>(&format!("\"a\\n\\e[31m{}\"", "é".repeat(200))),
        [format!("1:1: expected an integer from 0 to 255, found \"a\\n\\u{{1b}}[31m{}…\"", "é".repeat(53))]
    );
}

#[test]
fn columns_count_characters_and_paths_begin_at_the_base() {
    let tree = parse("{\"grün\": \"日本\", \"port\": x}").unwrap();
    let base = KeyPath::root().key("services").key("a.b");
    let problems = from_node::<BTreeMap<String, u8>>(&tree, &base).unwrap_err();
    let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "1:10: services.\"a.b\".\"grün\": expected an integer from 0 to 255, found \"日本\""
                .replace("\"grün\"", "grün"),
            "1:24: services.\"a.b\".port: expected an integer from 0 to 255, found \"x\"".to_owned(),
        ]
    );
}

#[test]
fn mistakes_beyond_a_hundred_are_left_for_the_next_time() {
    let text = format!("[{}]", vec!["x"; 500].join(", "));
    assert_eq!(mistakes::<Vec<u8>>(&text).len(), 100);
}

/// Text of trees that are close to a `Document`, right and wrong.
fn documents() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::{Value, json};
    let keys = || {
        prop::sample::select(vec![
            "services",
            "discovery",
            "tag_name",
            "hosts",
            "endpoints",
            "default_servers",
            "host",
            "port",
            "weight",
            "order",
            "password",
            "do_writes",
            "check_interval",
            "x",
            "http",
            "low",
            "high",
        ])
    };
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(vec!["", "80", "asc", "dsc", "tcp", "x", "-1"]).prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(keys(), inner, 0..6).prop_map(|map| json!(map)),
        ]
    })
}

/// A failure has at least one problem, each at a real place, and the same again the next time.
fn check_reading<T: DeserializeOwned>(tree: &crate::config::Node) -> Result<(), TestCaseError> {
    if let Err(problems) = from_node::<T>(tree, &KeyPath::root()) {
        prop_assert!(!problems.is_empty());
        prop_assert!(problems.iter().all(|problem| problem.line >= 1 && problem.column >= 1));
        prop_assert!(problems.iter().all(|problem| problem.message != "cannot be read"));
        prop_assert!(problems.is_sorted());
        prop_assert_eq!(Err(problems), from_node::<T>(tree, &KeyPath::root()).map(|_| ()));
    }
    Ok(())
}

proptest! {
    #[test]
    fn no_tree_makes_reading_panic_or_fail_without_a_reason(json in documents()) {
        let tree = parse(&json.to_string()).unwrap();
        check_reading::<Document>(&tree)?;
        check_reading::<Service>(&tree)?;
        check_reading::<BTreeMap<String, Range>>(&tree)?;
        check_reading::<Vec<Check>>(&tree)?;
        check_reading::<(u8, Option<Order>)>(&tree)?;
        check_reading::<BTreeMap<Order2, Vec<Server>>>(&tree)?;
    }
}

/// Keys that fail.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Order2 {
    Port,
    Host,
}
