//! How long it takes to render 1,000 services of 100 servers: all of them, and when one has changed.
//!
//! `cargo bench -p haproxy-render`
#![allow(missing_docs)] // `criterion_group!` makes a function that can have no documentation

use std::hint::black_box;
use std::num::NonZeroU16;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use haproxy_render::{
    Address, Backend, Bind, Document, Frontend, Line, Name, ReadBack, Renderer, Server, ServerId,
    ServerOptions, Service, render,
};

const SERVICES: usize = 1_000;
const SERVERS: u32 = 100;

fn line(text: &str) -> Line {
    Line::parse(text).expect("a constant line is valid")
}

fn service(number: usize, options: &ServerOptions) -> Arc<Service> {
    let name = Name::parse(&format!("service-{number}")).expect("a number makes a name");
    let port = NonZeroU16::new(8080).expect("8080 is not zero");
    let mut backend =
        Backend::new(name.clone(), vec![line("balance roundrobin"), line("option httpchk GET /health")]);
    backend.servers = (1..=SERVERS)
        .map(|id| {
            let address = Address::parse(&format!("10.{}.{}.{id}", number / 256, number % 256));
            let server =
                Name::parse(&format!("node-{number}-{id}_10.0.0.{id}:8080")).expect("numbers make a name");
            Server::builder(
                server,
                address.expect("small numbers make an address"),
                port,
                ServerId::new(id).expect("ids start at 1"),
            )
            .options(options.clone())
            .build()
            .expect("the options are few")
        })
        .collect();
    let mut frontend = Frontend::new(name.clone(), name.clone());
    frontend.lines = vec![line("timeout client 1m")];
    frontend.bind = Some(Bind::new(line("localhost"), NonZeroU16::new(20_000)));
    let mut service = Service::new(name, backend);
    service.frontend = Some(frontend);
    Arc::new(service)
}

fn benchmark(criterion: &mut Criterion) {
    let options = ServerOptions::trusted("check inter 2s rise 3 fall 2").expect("constant options are valid");
    let mut document = Document::new(vec![line("daemon")], vec![line("mode http")]);
    document.services = (0..SERVICES).map(|number| service(number, &options)).collect();
    let text = render(&document);

    let mut group = criterion.benchmark_group("1000 services of 100 servers");
    group.sample_size(20);
    group.bench_function("all", |bencher| bencher.iter(|| render(black_box(&document))));
    let mut renderer = Renderer::default();
    renderer.render(&document);
    group.bench_function("one changed", |bencher| {
        bencher.iter(|| {
            document.services[SERVICES / 2] = service(SERVICES / 2, &options);
            renderer.render(black_box(&document))
        });
    });
    group.bench_function("read back", |bencher| bencher.iter(|| ReadBack::parse(black_box(&text))));
    group.finish();
}

criterion_group!(benches, benchmark);
criterion_main!(benches);
