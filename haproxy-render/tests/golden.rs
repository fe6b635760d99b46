//! One small document with everything in it, and the exact text that it gives.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU16;
use std::sync::Arc;

use haproxy_render::{
    Address, Backend, Bind, Cookie, Document, Frontend, Line, Name, ReadBack, Section, Server, ServerBuilder,
    ServerId, ServerOptions, Service, Weight, keyword, render,
};

fn lines<const N: usize>(lines: [&str; N]) -> Vec<Line> {
    lines.into_iter().map(|line| Line::parse(line).expect("a constant line is valid")).collect()
}

fn line(text: &str) -> Line {
    Line::parse(text).expect("a constant line is valid")
}

fn name(text: &str) -> Name {
    Name::parse(text).expect("a constant name is valid")
}

fn trusted(text: &str) -> ServerOptions {
    ServerOptions::trusted(text).expect("constant options are valid")
}

fn server(server: &str, address: &str, port: u16, id: u32) -> ServerBuilder {
    Server::builder(
        name(server),
        Address::parse(address).expect("a constant address is valid"),
        NonZeroU16::new(port).expect("not zero"),
        ServerId::new(id).expect("within the range"),
    )
}

fn built(builder: ServerBuilder) -> Server {
    builder.build().expect("a few options fit a line")
}

/// `listen` lines, a cookie, weights, a backup and a server in maintenance.
fn web() -> Service {
    let listen =
        lines(["mode http", "option httpchk GET /health", "timeout client 1m", "cookie SRV insert indirect"]);
    let split = keyword::split(&listen);
    let mut backend = Backend::new(name("web"), split.backend);
    backend.lines.push(line("balance roundrobin"));
    let check = trusted("check inter 2s rise 3 fall 2");
    backend.servers = vec![
        built(
            server("web-1_10.0.0.1:8080", "10.0.0.1", 8080, 1)
                .cookie(Some(Cookie::from(&name("web-1_10.0.0.1:8080"))))
                .options(check.clone())
                .weight(Weight::new(10).ok()),
        ),
        built(
            server("web-2_2001:db8::2:8080", "2001:db8::2", 8080, 4)
                .options(check.clone())
                .options(ServerOptions::untrusted("maxconn 100 weight 20").expect("a registry may say so"))
                .backup(true),
        ),
        built(server("web-3_10.0.0.3:8080", "10.0.0.3", 8080, 3).options(check).disabled(true)),
    ];
    let mut frontend = Frontend::new(name("web"), name("web"));
    frontend.lines = split.frontend;
    frontend.bind = Some(Bind::new(line("localhost"), NonZeroU16::new(28_080)));
    let mut service = Service::new(name("web"), backend);
    service.frontend = Some(frontend);
    service.shared_frontend = lines(["acl is_web path_beg /web", "use_backend web if is_web"]);
    service
}

/// A name that does not resolve, and sections that are called otherwise than the service.
fn database() -> Service {
    let mut backend = Backend::new(name("db.pool"), lines(["mode tcp", "balance leastconn"]));
    backend.servers = vec![built(server("db", "db.invalid", 5432, 1).options(trusted("check")))];
    let mut bind = Bind::new(line(&IpAddr::V6(Ipv6Addr::LOCALHOST).to_string()), NonZeroU16::new(25_432));
    bind.options = line("maxconn 50");
    let mut frontend = Frontend::new(name("database"), name("db.pool"));
    frontend.lines = lines(["mode tcp"]);
    frontend.bind = Some(bind);
    let mut service = Service::new(name("database"), backend);
    service.frontend = Some(frontend);
    service
}

fn document() -> Document {
    let mut document = Document::new(
        lines(["maxconn 1000"]),
        lines([
            "mode http",
            "timeout connect 5s",
            "timeout client  1m",
            "timeout server  1m",
            "option         redispatch",
        ]),
    );
    let stats = Section::new(
        line("listen stats 127.0.0.1:21937"),
        lines(["stats enable", "# for people", "stats uri /"]),
    );
    document.extra_sections = vec![stats.modernised().0];
    // Nobody serves it, and it has no frontend: rules that name it stay valid.
    let empty = Service::new(name("idle"), Backend::new(name("idle"), Vec::new()));
    document.services = vec![Arc::new(web()), Arc::new(database()), Arc::new(empty)];
    document.shared_frontend = Some(lines(["bind 127.0.0.1:28081"]));
    document
}

#[test]
fn a_document_gives_this_text() {
    assert_eq!(render(&document()), include_str!("golden/document.cfg"));
}

#[test]
fn nothing_but_the_sections_is_needed() {
    assert_eq!(render(&Document::default()), include_str!("golden/empty.cfg"));
}

#[test]
fn the_text_is_read_back_as_the_servers_that_it_has() {
    let read = ReadBack::parse(include_str!("golden/document.cfg")).expect("the file is ours");
    for service in document().services {
        assert_eq!(read.backend(&service.backend.name), Some(&service.backend));
    }
}
