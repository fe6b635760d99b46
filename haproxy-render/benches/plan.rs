//! How long it takes to plan: one change among 1,000 services of 100 servers, arrivals by the thousand, and the search for
//! what somebody else has changed.
//!
//! `cargo bench -p haproxy-render --bench plan`
#![allow(missing_docs)] // `criterion_group!` makes a function that can have no documentation

use std::fmt::Write;
use std::hint::black_box;
use std::num::NonZeroU16;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use haproxy_render::plan::{Capabilities, Leaving, Plan, Planner, Running, Version};
use haproxy_render::{
    Address, Backend, Document, Line, Name, Renderer, Server, ServerId, ServerOptions, Service, Weight,
};

fn line(text: &str) -> Line {
    Line::parse(text).expect("a constant line is valid")
}

fn server(service: usize, id: u32, options: &ServerOptions) -> Server {
    let address = Address::parse(&format!("10.{}.{}.{}", service / 256, service % 256, id % 250 + 1));
    Server::builder(
        Name::parse(&format!("node-{service}-{id}_10.0.0.1:8080")).expect("numbers make a name"),
        address.expect("small numbers make an address"),
        NonZeroU16::new(8080).expect("8080 is not zero"),
        ServerId::new(id).expect("ids start at 1"),
    )
    .options(options.clone())
    .build()
    .expect("the options are few")
}

fn service(number: usize, servers: u32, options: &ServerOptions) -> Arc<Service> {
    let name = Name::parse(&format!("service-{number}")).expect("a number makes a name");
    let mut backend =
        Backend::new(name.clone(), vec![line("balance roundrobin"), line("option httpchk GET /health")]);
    backend.servers = (1..=servers).map(|id| server(number, id, options)).collect();
    Arc::new(Service::new(name, backend))
}

fn document(services: usize, servers: u32, options: &ServerOptions) -> Document {
    let defaults = vec![line("mode http"), line("default-server inter 2s")];
    let mut document = Document::new(vec![line("daemon")], defaults);
    document.services = (0..services).map(|number| service(number, servers, options)).collect();
    document
}

/// The same with another service in the middle.
fn with(document: &Document, edit: impl FnOnce(&mut Service)) -> Document {
    let mut document = document.clone();
    let at = document.services.len() / 2;
    edit(Arc::make_mut(&mut document.services[at]));
    document
}

/// What a process that runs this says of itself.
fn state(document: &Document) -> String {
    let mut text = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight \
                    srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state \
                    srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl \
                    srv_check_port srv_check_addr srv_agent_addr srv_agent_port\n"
        .to_owned();
    for (number, service) in document.services.iter().enumerate() {
        for server in &service.backend.servers {
            let (backend, name, id, address) =
                (&service.backend.name, server.name(), server.id(), server.address());
            writeln!(
                text,
                "{number} {backend} {id} {name} {address} 2 0 1 1 7 6 3 4 6 0 0 1 - 8080 - 0 0 - - 0"
            )
            .expect("a `String` takes any text");
        }
    }
    text
}

fn steps(plan: &Plan) -> usize {
    match plan {
        Plan::Commands(commands) => commands.steps().len(),
        plan => panic!("not commands: {plan}"),
    }
}

fn benchmark(criterion: &mut Criterion) {
    let options = ServerOptions::trusted("check inter 2s rise 3 fall 2").expect("constant options are valid");
    let planner = Planner::new(Capabilities::of(Version::parse("2.6").expect("a version")));
    let leaving = Leaving::default();
    let plan =
        |before: &Document, after: &Document| planner.change(black_box(before), black_box(after), &leaving);

    let before = document(1_000, 100, &options);
    let mut group = criterion.benchmark_group("1000 services of 100 servers");
    group.sample_size(20);
    let weighed = with(&before, |service| {
        let old = &service.backend.servers[50];
        let weight = Weight::new(5).ok();
        service.backend.servers[50] =
            Server::builder(old.name().clone(), old.address().clone(), old.port(), old.id())
                .options(old.options().clone())
                .weight(weight)
                .build()
                .expect("the options are few");
    });
    assert_eq!(steps(&plan(&before, &weighed)), 1);
    group.bench_function("one weight", |bencher| bencher.iter(|| plan(&before, &weighed)));
    let replaced = with(&before, |service| service.backend.servers[50] = server(500, 101, &options));
    assert_eq!(steps(&plan(&before, &replaced)), 4);
    group.bench_function("one server for another", |bencher| bencher.iter(|| plan(&before, &replaced)));
    let mut renderer = Renderer::default();
    renderer.revision(&before);
    group.bench_function("one server for another, with the revision", |bencher| {
        bencher.iter(|| {
            let after = with(&before, |service| service.backend.servers[50] = server(500, 101, &options));
            let revision = renderer.revision(&after);
            (plan(&before, &after), revision)
        });
    });
    let text = state(&before);
    let names: Vec<Name> = before.services.iter().map(|service| service.backend.name.clone()).collect();
    group.bench_function("read back", |bencher| {
        bencher.iter(|| Running::parse(black_box(&text), None, &names));
    });
    let running = Running::parse(&text, None, &names).expect("it is of HAProxy's form");
    assert_eq!(planner.repair(&before, &running, &leaving).plan, Plan::Nothing);
    group.bench_function("nothing to repair", |bencher| {
        bencher.iter(|| planner.repair(black_box(&before), black_box(&running), &leaving));
    });
    group.finish();

    let mut group = criterion.benchmark_group("arrivals");
    group.sample_size(20);
    for (name, services, servers) in
        [("1 x 1000", 1, 1_000), ("1 x 10000", 1, 10_000), ("100 x 100", 100, 100)]
    {
        let (before, after) = (document(services, 0, &options), document(services, servers, &options));
        assert_eq!(steps(&plan(&before, &after)), 3 * services * servers as usize);
        group.bench_function(name, |bencher| bencher.iter(|| plan(&before, &after)));
    }
    group.finish();
}

criterion_group!(benches, benchmark);
criterion_main!(benches);
