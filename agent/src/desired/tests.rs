use serde_json::{Value, json};

use super::*;
use crate::{Config, Registry, fold::Served};

/// How a service is served whose `haproxy` section this is, below these lines of `defaults`.
fn shape(section: &Value, defaults: &[&str], more: &Value) -> Shape {
    let mut haproxy = json!({ "do_writes": false, "do_reloads": false, "global": [], "defaults": defaults });
    for (key, value) in more.as_object().into_iter().flatten() {
        haproxy[key] = value.clone();
    }
    let text = json!({
        "services": { "web": { "discovery": { "method": "base" }, "haproxy": section } },
        "haproxy": haproxy,
    });
    let config = Config::parse(&text.to_string(), None, &Registry::builtin()).unwrap();
    config.services[0].shape.clone().unwrap()
}

fn snapshot(numbers: &[u8]) -> Served {
    let endpoint = |number: &u8| {
        let host = std::net::IpAddr::from([10, 0, 0, *number]).try_into().unwrap();
        Endpoint::new(host, 80).unwrap()
    };
    Served::Known(numbers.iter().map(endpoint).collect())
}

fn backend(shape: &Shape, served: &Served) -> Backend {
    shape.desired(served, &[], &mut KnownIds::new(), None).service.backend
}

fn lines(backend: &Backend) -> Vec<String> {
    let own = backend.lines.iter().map(ToString::to_string);
    own.chain(backend.servers.iter().map(|server| server.line().to_string())).collect()
}

#[test]
fn servers_state_what_they_inherit_and_share_the_text_of_it() {
    let section = json!({ "server_options": "inter 3s", "backend": ["default-server fall 4 weight 7"] });
    let backend = backend(
        &shape(&section, &["default-server check inter 9s", "balance first"], &json!({})),
        &snapshot(&[1, 2]),
    );
    assert_eq!(
        lines(&backend),
        [
            "default-server fall 4 weight 7",
            "server 10.0.0.1:80 10.0.0.1:80 id 1 check fall 4 inter 3s weight 7",
            "server 10.0.0.2:80 10.0.0.2:80 id 2 check fall 4 inter 3s weight 7",
        ]
    );
    let [a, b] = &backend.servers[..] else { panic!("two were asked for") };
    assert!(std::ptr::eq(a.options().as_str(), b.options().as_str()));
}

#[test]
fn what_is_inherited_by_the_last_defaults_section_counts() {
    let more =
        json!({ "extra_sections": { "defaults more": ["default-server check", "balance leastconn"] } });
    let backend = backend(&shape(&json!({}), &["default-server inter 9s"], &more), &snapshot(&[1]));
    assert_eq!(lines(&backend), ["server 10.0.0.1:80 10.0.0.1:80 id 1 check"]);
}

#[test]
fn what_cannot_be_told_is_left_to_haproxy() {
    for inherited in [
        &[".if defined(X)", "default-server check", ".endif", "balance first"][..],
        &["default-server set-proxy-v2-tlv-fmt(0x20) x", "balance first"],
    ] {
        let backend = backend(&shape(&json!({}), inherited, &json!({})), &snapshot(&[1]));
        assert_eq!(lines(&backend), ["server 10.0.0.1:80 10.0.0.1:80 id 1"]);
    }
}

#[test]
fn the_algorithm_is_stated_where_nobody_has() {
    let stated = |listen: &[&str], defaults: &[&str]| {
        let backend = backend(&shape(&json!({ "listen": listen }), defaults, &json!({})), &snapshot(&[]));
        lines(&backend).contains(&"balance roundrobin".to_owned())
    };
    assert!(stated(&[], &[]) && stated(&["mode http"], &["mode tcp"]));
    assert!(!stated(&["balance source"], &[]) && !stated(&[], &["balance source"]));
    assert!(!stated(&["dispatch 10.0.0.1:80"], &[]));
}

#[test]
fn cookies_that_haproxy_computes_are_not_given() {
    let cookie = |line: &str| {
        let section = json!({ "listen": ["mode http", line, "dynamic-cookie-key k"] });
        backend(&shape(&section, &[], &json!({})), &snapshot(&[1])).servers[0].cookie().is_some()
    };
    assert!(cookie("cookie SRV insert") && !cookie("cookie SRV insert dynamic"));
}

#[test]
fn an_id_is_nobody_elses_before_its_holder_is_gone() {
    let shape = shape(&json!({}), &[], &json!({}));
    let mut ids = KnownIds::new();
    let mut held = KnownIds::new();
    let mut serve = |numbers: &[u8], held: &KnownIds| {
        let backend = shape.desired(&snapshot(numbers), &[], &mut ids, Some(held)).service.backend;
        let ids = backend.servers.iter().map(|server| (server.name().clone(), server.id()));
        let ids: KnownIds = ids.collect();
        let numbers: Vec<u32> = ids.values().map(|id| id.get()).collect();
        (ids, numbers)
    };
    let (both, numbers) = serve(&[1, 2], &held);
    assert_eq!(numbers, [1, 2]);
    held.extend(both);
    // One goes and another comes, in one step.
    let (now, numbers) = serve(&[2, 3], &held);
    assert_eq!(numbers, [2, 3]);
    held.extend(now);
    // HAProxy has the first still, which the step before does not know of any more.
    assert_eq!(serve(&[2, 3, 4], &held).1, [2, 3, 4]);
    // Whoever comes back is who it was.
    assert_eq!(serve(&[1, 2, 3, 4], &held).1, [1, 2, 3, 4]);
    // And what is deleted is free.
    held.retain(|name, _| name.as_str() != "10.0.0.1:80");
    assert_eq!(serve(&[2, 3, 4], &held).1, [2, 3, 4]);
    assert_eq!(serve(&[2, 3, 4, 5], &held).1, [2, 3, 4, 1]);
}

#[test]
fn where_ids_are_few_a_server_that_goes_makes_room() {
    let shape = shape(&json!({}), &[], &json!({ "max_server_id": 2 }));
    let mut ids = KnownIds::new();
    let held: KnownIds = shape
        .desired(&snapshot(&[1, 2]), &[], &mut ids, None)
        .service
        .backend
        .servers
        .iter()
        .map(|server| (server.name().clone(), server.id()))
        .collect();
    let desired = shape.desired(&snapshot(&[3, 4]), &[], &mut ids, Some(&held));
    assert_eq!((desired.service.backend.servers.len(), desired.rejected.len()), (2, 0));
}
