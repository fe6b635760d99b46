use super::*;

fn selector() -> Selector {
    Selector::new(["app".parse().unwrap()], NonZeroU16::new(80).unwrap())
}

fn at(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn binding(private: u16, public: u16, ip: &str) -> Binding {
    Binding { private, public, at: Some(at(ip)) }
}

fn container(bindings: &[Binding]) -> Container {
    let id = "0123456789abcdef".to_owned();
    Container {
        shown: id.clone(),
        id,
        image: "app:1".into(),
        bindings: bindings.to_vec(),
        ..Container::default()
    }
}

fn tcp(host: &str) -> Server {
    let host: Host = host.parse().unwrap();
    let daemon = DaemonConfig::Tcp { host: host.clone(), port: NonZeroU16::new(4243).unwrap(), tls: None };
    Server::new(daemon, Some(host))
}

fn socket() -> Server {
    Server::new(DaemonConfig::Socket("/var/run/docker.sock".into()), None)
}

/// The endpoint, or why there is none.
fn told(selector: &Selector, server: &Server, container: Container) -> String {
    let snapshot = selector.snapshot(server, &[Entry::Container(container)]);
    match (snapshot.endpoints(), snapshot.rejected().named()) {
        ([endpoint], []) => format!("{endpoint:?}"),
        ([], [rejection]) => rejection.reason().to_owned(),
        ([], []) => "not wanted".to_owned(),
        _ => panic!("{snapshot:?}"),
    }
}

#[test]
fn an_endpoint_is_what_synapse_makes_of_it() {
    let server = tcp("docker1").with_name("one").unwrap();
    assert_eq!(told(&selector(), &server, container(&[binding(80, 32768, "0.0.0.0")])), "one_docker1:32768");
    let unsaid = Binding { private: 80, public: 32768, at: None };
    assert_eq!(told(&selector(), &server, container(&[unsaid])), "one_docker1:32768");
}

#[test]
fn through_a_socket_a_port_is_where_docker_has_published_it() {
    for (ip, expected) in [
        ("0.0.0.0", "127.0.0.1:32768"),
        ("::", "[::1]:32768"),
        ("127.0.0.1", "127.0.0.1:32768"),
        ("10.0.0.5", "10.0.0.5:32768"),
        ("2001:db8::5", "[2001:db8::5]:32768"),
    ] {
        assert_eq!(told(&selector(), &socket(), container(&[binding(80, 32768, ip)])), expected);
    }
}

#[test]
fn of_several_bindings_one_is_used_and_always_the_same() {
    let all = [
        binding(80, 3, "127.0.0.1"),
        binding(80, 4, "10.0.0.5"),
        binding(80, 6, "::"),
        binding(80, 5, "0.0.0.0"),
        binding(80, 7, "0.0.0.0"),
        binding(443, 1, "0.0.0.0"),
    ];
    for (left, expected) in [(6, ":5"), (3, "[::1]:6"), (2, "10.0.0.5:4"), (1, "127.0.0.1:3")] {
        let mut some = all[..left].to_vec();
        for _ in 0..some.len() {
            some.rotate_left(1);
            let told = told(&selector(), &socket(), container(&some));
            assert!(told.ends_with(expected), "{some:?}: {told}");
        }
    }
}

#[test]
fn what_is_not_published_where_it_can_be_reached_is_told() {
    let none = container(&[binding(8080, 32768, "0.0.0.0")]);
    assert_eq!(told(&selector(), &socket(), none), "port 80/tcp is not published");
    let mut host = container(&[]);
    host.networks.insert("host".into(), None);
    assert!(told(&selector(), &socket(), host.clone()).contains("`address: container` finds it"));
    let own = container(&[binding(80, 1, "127.0.0.1")]);
    let reason = "port 80/tcp is published for its own host only, at 127.0.0.1";
    assert_eq!(told(&selector(), &tcp("10.0.0.5"), own.clone()), reason);
    assert_eq!(told(&selector(), &tcp("localhost"), own.clone()), "localhost:1");
    let named = Server::new(socket().daemon().clone(), Some("10.0.0.5".parse().unwrap()));
    assert_eq!(told(&selector(), &named, own), "127.0.0.1:1", "nobody listens at 10.0.0.5:1");
    let six = container(&[binding(80, 1, "::1")]);
    assert_eq!(told(&selector(), &tcp("127.0.0.1"), six), "[::1]:1");
    let inside = selector().at(Place::Container { network: None });
    assert_eq!(told(&inside, &socket(), host.clone()), "127.0.0.1:80");
    assert_eq!(told(&inside, &tcp("docker1"), host), "docker1:80");
}

#[test]
fn a_container_has_its_own_address_in_the_network_that_is_named_or_the_only_one() {
    let mut both = container(&[]);
    both.networks = BTreeMap::from([
        ("back".into(), Some(at("172.18.0.2"))),
        ("front".into(), Some(at("2001:db8::2"))),
        ("none".into(), None),
    ]);
    let named = |network: &str| selector().at(Place::Container { network: Some(network.into()) });
    let unnamed = selector().at(Place::Container { network: None });
    assert_eq!(told(&named("back"), &tcp("docker1"), both.clone()), "172.18.0.2:80");
    assert_eq!(told(&named("front"), &socket(), both.clone()), "[2001:db8::2]:80");
    for network in ["none", "other"] {
        let expected = format!("it has no address in the network `{network}`");
        assert_eq!(told(&named(network), &socket(), both.clone()), expected);
    }
    let several = "it is in several networks (back, front): name one of them under `network`";
    assert_eq!(told(&unnamed, &socket(), both.clone()), several);
    both.networks.remove("front");
    assert_eq!(told(&unnamed, &socket(), both.clone()), "172.18.0.2:80");
    both.networks.remove("back");
    assert_eq!(told(&unnamed, &socket(), both), "it has no address in any network");
}

#[test]
fn only_containers_of_the_image_with_the_labels_are_wanted() {
    let labels = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let picky = selector().with_labels(labels(&[("env", "prod"), ("tier", "")]));
    let mut one = container(&[binding(80, 1, "0.0.0.0")]);
    assert_eq!(told(&picky, &socket(), one.clone()), "not wanted");
    one.labels = labels(&[("env", "prod"), ("tier", "x")]);
    assert_eq!(told(&picky, &socket(), one.clone()), "not wanted");
    one.labels = labels(&[("env", "prod"), ("tier", ""), ("more", "1")]);
    assert!(told(&picky, &socket(), one.clone()).contains("labels={"));
    one.image = "other:1".into();
    assert_eq!(told(&picky, &socket(), one), "not wanted");
    let several = Selector::new(["a:1".parse().unwrap(), "b".parse().unwrap()], NonZeroU16::MIN);
    assert!(several.covers("a:1") && several.covers("b:7") && !several.covers("a:2"));
}

#[test]
fn labels_that_no_endpoint_can_have_are_left_out() {
    let mut wordy = container(&[binding(80, 1, "0.0.0.0")]);
    wordy.labels = (0..300).map(|n| (format!("l{n:03}"), String::new())).collect();
    wordy.labels.extend([("a".to_owned(), "x".repeat(2000)), ("b".to_owned(), "two\nlines".to_owned())]);
    let snapshot = selector().snapshot(&socket(), &[Entry::Container(wordy)]);
    let [endpoint] = snapshot.endpoints() else { panic!("{snapshot:?}") };
    assert_eq!(endpoint.labels().count(), 256);
    assert_eq!(endpoint.labels().next(), Some(("l000", "")));
}

#[test]
fn one_that_is_not_healthy_takes_no_traffic_unless_that_is_ignored() {
    for (health, available) in [(Health::Fine, true), (Health::Starting, false), (Health::Unhealthy, false)] {
        let mut one = container(&[binding(80, 1, "0.0.0.0")]);
        one.health = health;
        let told_as = told(&selector(), &socket(), one.clone());
        assert_eq!(!told_as.contains("unavailable"), available, "{health:?}");
        assert_eq!(told(&selector().ignoring_health(true), &socket(), one), "127.0.0.1:1");
    }
}

#[test]
fn what_cannot_be_read_is_told_to_the_services_that_may_want_it() {
    let unreadable = |image: Option<&str>| Entry::Unreadable {
        shown: "web".into(),
        image: image.map(str::to_owned),
        reason: "a reason".into(),
    };
    for (image, total) in [(None, 1), (Some("app:2"), 1), (Some("db"), 0)] {
        assert_eq!(selector().snapshot(&socket(), &[unreadable(image)]).rejected().total(), total);
    }
}
