//! What is read from a section, and what is refused.

use discovery_core::Backoff;

use super::*;

fn read(json: &str) -> Result<ZkConfig, String> {
    serde_json::from_str(json).map_err(|error| error.to_string())
}

fn with(rest: &str) -> Result<ZkConfig, String> {
    read(&format!(r#"{{"hosts": ["zk1", "zk2:2182"], "path": "/web", {rest}}}"#))
}

fn polled(rest: &str) -> Result<Node, String> {
    let json = format!(r#"{{"hosts": "zk1", "path": "/web" {rest}}}"#);
    let config: ZkPollConfig = serde_json::from_str(&json).map_err(|error| error.to_string())?;
    Ok(config.into_parts().1)
}

#[test]
fn everything_but_hosts_and_path_has_a_default() {
    let (ensemble, node) = read(r#"{"hosts": ["zk1"], "path": "/web/"}"#).unwrap().into_parts();
    assert_eq!(node, Node::new("/web".parse().unwrap(), Decode::Nerve));
    assert_eq!(node.settings(), Some(node.path()));
    assert_eq!(ensemble, EnsembleConfig::new(["zk1:2181".parse().unwrap()]).unwrap());
    assert_eq!((ensemble.client(), ensemble.retry()), (Client::ZookeeperAsync, None));
}

#[test]
fn all_that_synapse_has_is_read() {
    let config = with(
        r#""decode": {"method": "serverset", "endpoint_name": "http"}, "generator_config_path": "/conf",
            "retry_policy": {"max_attempts": 3, "max_delay": 60, "base_interval": 1, "max_interval": 5},
            "discovery_jitter": 7.5"#,
    );
    let (ensemble, node) = config.unwrap().into_parts();
    assert_eq!(*node.decode(), Decode::ServerSet { endpoint_name: Some("http".to_owned()) });
    assert_eq!(node.settings().map(Path::as_str), Some("/conf"));
    assert_eq!((node.jitter(), node.every()), (Duration::from_millis(7500), Duration::ZERO));
    let retry = Backoff::new(Duration::from_secs(1), Duration::from_secs(5)).unwrap();
    assert_eq!(ensemble.retry(), Some(retry));
}

#[test]
fn a_jitter_that_synapse_ignores_is_ignored_and_told() {
    for (written, jitter, ignored) in [
        ("120", 120, None),
        ("0", 0, None),
        ("120.1", 0, Some(Ignored::Jitter)),
        ("1e300", 0, Some(Ignored::Jitter)),
        ("-1", 0, Some(Ignored::Jitter)),
    ] {
        let config = with(&format!(r#""discovery_jitter": {written}"#)).unwrap();
        assert_eq!(config.ignored(), ignored, "{written}");
        assert_eq!(config.node().jitter(), Duration::from_secs(jitter), "{written}");
    }
}

#[test]
fn decode_is_a_map_or_a_name() {
    let set = Decode::ServerSet { endpoint_name: None };
    for (written, decode) in [
        ("null", &Decode::Nerve),
        ("{}", &Decode::Nerve),
        (r#""nerve""#, &Decode::Nerve),
        (r#"{"method": "nerve"}"#, &Decode::Nerve),
        (r#""serverset""#, &set),
        (r#"{"method": "serverset"}"#, &set),
    ] {
        assert_eq!(with(&format!(r#""decode": {written}"#)).unwrap().node().decode(), decode, "{written}");
    }
}

#[test]
fn a_chroot_is_put_before_every_path() {
    let config = r#"{"hosts": "zk1,zk2/smartstack", "path": "/web", "generator_config_path": "/conf"}"#;
    let (ensemble, node) = read(config).unwrap().into_parts();
    assert_eq!(
        (node.path().as_str(), node.settings().map(Path::as_str)),
        ("/smartstack/web", Some("/smartstack/conf"))
    );
    let plain = read(r#"{"hosts": ["zk2", "zk1"], "path": "/web", "generator_config_path": "disabled"}"#);
    let (other, node) = plain.unwrap().into_parts();
    assert_eq!((node.path().as_str(), node.settings()), ("/web", None));
    assert_eq!(ensemble, other);
}

#[test]
fn equal_ensembles_are_shared_whatever_is_watched_there() {
    let one = with(r#""discovery_jitter": 1"#).unwrap();
    let other = read(r#"{"hosts": ["zk2:2182", "zk1:2181", "zk1"], "path": "/db", "decode": "serverset"}"#);
    assert_eq!(*one.ensemble(), *other.unwrap().ensemble());
    for rest in [
        r#""user": "u", "password": "p""#,
        r#""session_timeout": 30"#,
        r#""retry_policy": {"base_interval": 1}"#,
    ] {
        assert_ne!(one.ensemble(), with(rest).unwrap().ensemble(), "{rest}");
    }
}

#[test]
fn a_retry_policy_that_says_nothing_of_pauses_changes_none() {
    assert_eq!(with(r#""retry_policy": {"max_attempts": 10}"#).unwrap().ensemble().retry(), None);
    let half = with(r#""retry_policy": {"max_interval": 2}"#).unwrap();
    let pauses = Backoff::new(Duration::from_millis(500), Duration::from_secs(2)).unwrap();
    assert_eq!(half.ensemble().retry(), Some(pauses));
}

#[test]
fn a_poll_has_an_interval() {
    assert_eq!(polled("").unwrap().every(), Duration::from_mins(1));
    for (written, every) in [("0", 0), ("30", 30_000), ("0.5", 500), ("86400", 86_400_000)] {
        let node = polled(&format!(r#", "polling_interval_sec": {written}"#)).unwrap();
        assert_eq!(node.every(), Duration::from_millis(every));
    }
    for (written, reason) in [("86401", "polling_interval_sec >= 0"), ("-1", "not a number of seconds")] {
        let error = polled(&format!(r#", "polling_interval_sec": {written}"#)).unwrap_err();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn a_user_is_a_digest() {
    let config = with(r#""user": "u", "password": "p:w""#).unwrap();
    let [auth] = config.ensemble().auth() else { panic!("one") };
    assert_eq!((auth.scheme.as_str(), auth.credentials.reveal()), ("digest", "u:p:w"));
}

#[test]
fn what_makes_no_sense_is_refused_with_the_reason() {
    for (json, reason) in [
        (r#"{"path": "/a"}"#, "missing or invalid zookeeper host"),
        (r#"{"hosts": [], "path": "/a"}"#, "missing or invalid zookeeper host"),
        (r#"{"hosts": "zk1"}"#, "invalid zookeeper path"),
        (r#"{"hosts": "zk1", "path": "a"}"#, "it does not begin with /"),
    ] {
        let error = read(json).unwrap_err();
        assert!(error.contains(reason), "{json}: {error}");
    }
    let long = format!(r#""generator_config_path": "/{}""#, "x".repeat(2000));
    for (rest, reason) in [
        (r#""decode": {"method": "thrift"}"#, "unknown variant `thrift`"),
        (r#""decode": "thrift""#, "unknown variant `thrift`"),
        (r#""decode": 1"#, "expected nerve, serverset, or a map"),
        (r#""decode": {"endpoint_name": "http"}"#, "`endpoint_name` needs `method: serverset`"),
        (r#""decode": {"methd": "nerve"}"#, "unknown field `methd`"),
        (r#""generator_config_path": "disable""#, "it does not begin with /"),
        (long.as_str(), "longer than 1024 bytes"),
        (r#""retry_policy": {"max_attempts": 0}"#, "`max_attempts` must be greater than 0"),
        (r#""retry_policy": {"max_delay": 0}"#, "`max_delay` is not longer than 0 s"),
        (r#""retry_policy": {"base_interval": 0}"#, "`base_interval` is not longer than 0 s"),
        (r#""retry_policy": {"base_interval": 90}"#, "or longer than `max_interval`"),
        (r#""retry_policy": {"max_interval": 3601}"#, "or that one is longer than 3600 s"),
        (r#""retry_policy": {"base_interval": -1}"#, "not a number of seconds"),
        (r#""retry_policy": {"attempts": 1}"#, "unknown field `attempts`"),
        (r#""discovery_jitter": "5 s""#, "expected f64"),
        (r#""polling_interval_sec": 60"#, "is for the method `zookeeper_poll`"),
        (r#""user": "u""#, "`user` and `password` go together"),
        (r#""user": "u:v", "password": "p""#, "has a colon in it"),
        (r#""session_timeout": 1"#, "`session_timeout` is not from 2 s to 600 s"),
        (r#""request_timeout": 0"#, "`request_timeout` is not longer than 0 s"),
        (r#""connect_timeout": 3601"#, "`connect_timeout` is not longer than 0 s and at most 3600 s"),
        (r#""tls": {}"#, "missing field `ca`"),
        (r#""tls": {"ca": "a", "key": "k"}"#, "`certificate` and `key` go together"),
        (r#""tls": {"ca": "a"}, "client": "zookeeper-async""#, "need the client `zookeeper-client`"),
        (r#""sasl": {"user": "u", "password": "p", "mechanism": "gssapi"}"#, "unknown variant `gssapi`"),
        (r#""hots": "zk1""#, "unknown field `hots`"),
    ] {
        let error = with(rest).unwrap_err();
        assert!(error.contains(reason), "{rest}: {error}");
    }
}

const DEMANDING: [(&str, &str); 3] = [
    (r#""tls": {"ca": "ca.pem", "certificate": "c.pem", "key": "k.pem"}"#, "`tls`"),
    (r#""sasl": {"mechanism": "digest-md5", "user": "u", "password": "p"}"#, "`sasl`"),
    (r#""client": "zookeeper-client""#, "`client: zookeeper-client`"),
];

#[test]
#[cfg(feature = "zk-tls")]
fn tls_and_sasl_choose_the_client_that_can_do_them() {
    for (rest, _) in DEMANDING {
        assert_eq!(with(rest).unwrap().ensemble().client(), Client::ZookeeperClient, "{rest}");
    }
}

#[test]
#[cfg(not(feature = "zk-tls"))]
fn what_this_build_cannot_do_is_refused_with_the_name_of_the_feature() {
    for (rest, what) in DEMANDING {
        let error = with(rest).unwrap_err();
        assert!(error.contains(what) && error.contains("the feature `zk-tls`"), "{rest}: {error}");
    }
}

#[test]
fn passwords_are_never_shown() {
    let config = with(r#""user": "u", "password": "hunter2""#).unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
    for rest in [
        r#""password": "hunter2""#,
        r#""user": "u:", "password": "hunter2""#,
        r#""user": "u", "password": ["hunter2"]"#,
        r#""sasl": {"user": "u", "password": {"hunter2": 1}}"#,
        r#""sasl": {"password": "hunter2"}"#,
    ] {
        let error = with(rest).unwrap_err();
        assert!(!error.contains("hunter"), "{error}");
    }
}
