//! HAProxy's configuration from values, and what takes a running HAProxy from one to the next.
//!
//!     cargo run -p haproxy-render --example render

use std::{error::Error, num::NonZeroU16};

use haproxy_render::{
    Address, Backend, Bind, Document, Frontend, Ids, Line, Name, Server, ServerOptions, Service, render,
};

/// The text of `haproxy.cfg` for a service `web` whose servers are these: names and addresses.
pub(crate) fn configuration(servers: &[(&str, &str)]) -> Result<String, Box<dyn Error>> {
    let name = Name::parse("web")?;
    let mut backend = Backend::new(name.clone(), vec![Line::parse("balance roundrobin")?]);
    let names: Result<Vec<_>, _> =
        servers.iter().map(|(name, _)| Name::parse(name).map(|name| (name, None))).collect();
    let ids = Ids::new().assign(names?).ids;
    for (server, address) in servers {
        // A name or an address that could end the line, or be another word of it, is refused here.
        let server = Name::parse(server)?;
        let (id, port) = (ids[&server], NonZeroU16::new(8080).ok_or("a port")?);
        let options = ServerOptions::trusted("check inter 2s")?;
        backend
            .servers
            .push(Server::builder(server, Address::parse(address)?, port, id).options(options).build()?);
    }
    let mut frontend = Frontend::new(name.clone(), name.clone());
    frontend.bind = Some(Bind::new(Line::parse("localhost")?, NonZeroU16::new(3000)));
    let mut service = Service::new(name, backend);
    service.frontend = Some(frontend);
    let mut document = Document::new(vec![Line::parse("maxconn 1000")?], vec![Line::parse("mode http")?]);
    document.services.push(service.into());
    Ok(render(&document))
}

#[allow(clippy::print_stdout, reason = "a program for a terminal")]
fn main() -> Result<(), Box<dyn Error>> {
    print!("{}", configuration(&[("web-1", "10.0.0.1"), ("web-2", "10.0.0.2")])?);
    Ok(())
}
