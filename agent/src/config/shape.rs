//! The `haproxy` section of a service.

use std::num::NonZeroU16;

use haproxy_render::{
    Address, Bind, Line, Name, Section as Extra, Server, ServerId, ServerOptions, directive, keyword,
};

use super::{
    Node, Port, Problem, Section, Value,
    haproxy::{Haproxy, SERVICE_NAME},
    lines::Lines,
    raw::{self, Given},
    service::Findings,
};
use crate::{
    desired::{CookieValue, Order, Shape, reserved_ids},
    template::Template,
};

/// Reads how HAProxy is to serve the service called `name`. `None`: not at all, or there were problems.
pub(super) fn read(
    name: &Name,
    service: &Section,
    raw: &raw::ServiceHaproxy,
    haproxy: &Haproxy,
    found: &mut Findings<'_>,
) -> Option<Shape> {
    if raw.disabled || !haproxy.present {
        return None;
    }
    let none = Section::new(
        Node { value: Value::Map(Vec::new()), ..service.node().clone() },
        service.path().key("haproxy"),
    );
    let section = service.section("haproxy").unwrap_or(none);
    let before = found.problems.len();

    let mut list = |key, texts: &[String]| Lines::new(&section, key).parse(texts, found);
    let listen = keyword::split(&list("listen", &raw.listen));
    let with_listen = |mut own: Vec<Line>, listen: Vec<Line>| {
        own.extend(listen);
        own
    };
    let frontend = with_listen(list("frontend", &raw.frontend), listen.frontend);
    let backend = with_listen(list("backend", &raw.backend), listen.backend);
    let shared_frontend = list("shared_frontend", &raw.shared_frontend);

    let backend_name = raw.backend_name.as_ref().map_or_else(|| Ok(name.clone()), |text| Name::parse(text));
    let backend_name = backend_name
        .map_err(|error| found.problems.push(section.problem_at("backend_name", error.to_string())))
        .ok();
    let frontend_name = Name::parse(&match &raw.frontend_name {
        Some(text) => text.clone(),
        None => haproxy.frontend_name.replace(SERVICE_NAME, name.as_str()),
    });
    let frontend_name = frontend_name
        .map_err(|error| found.problems.push(section.problem_at("frontend_name", error.to_string())))
        .ok();
    let cookie_value = cookie_value(&section, raw, found.problems);
    let bind = bind(&section, raw, haproxy, found);
    let order = order(&section, raw, haproxy.order_seed, found.warnings);
    let options = options(raw.server_options.as_deref().unwrap_or_default())
        .map_err(|error| found.problems.push(section.problem_at("server_options", error)))
        .ok();
    without_effect(&section, raw, haproxy, &listen.unknown, found);
    if found.problems.len() > before {
        return None;
    }
    let mut shape = Shape {
        service: name.clone(),
        cookie: false,
        cookie_value: cookie_value?,
        names_init_addr: false,
        inherited: ServerOptions::none(),
        balance: None,
        frontend,
        has_frontend: !matches!(raw.port, Given::Absent),
        bind,
        frontend_name: frontend_name?,
        backend_name: backend_name?,
        reserved_ids: reserved_ids(&backend),
        backend,
        shared_frontend,
        options: options?,
        asked: None,
        order,
        use_nerve_weights: raw.use_nerve_weights.unwrap_or(haproxy.use_nerve_weights),
        max_server_id: haproxy.max_server_id,
    };
    settle(&mut shape, haproxy);
    Some(shape)
}

/// Sets what follows from the lines of the backend and those that it inherits.
pub(super) fn settle(shape: &mut Shape, haproxy: &Haproxy) {
    let inherited = Extra::inherited(&haproxy.defaults, &haproxy.extra_sections);
    let lines: Vec<Line> = inherited.into_iter().chain(&shape.backend).cloned().collect();
    // HAProxy computes cookies for those servers alone that have none.
    let computed = directive::has_dynamic_cookies(&lines);
    shape.cookie = directive::has_cookie(&lines) && !computed && directive::mode(&lines) == Some("http");
    shape.names_init_addr = directive::sets_init_addr(&lines);
    shape.inherited = directive::written_out(&lines).unwrap_or_default();
    shape.balance = directive::lacks_balance(&lines).then(|| Line::parse(directive::BALANCE).ok()).flatten();
}

pub(super) fn cookie_value(
    section: &Section,
    raw: &raw::ServiceHaproxy,
    problems: &mut Vec<Problem>,
) -> Option<CookieValue> {
    match raw.cookie_value_method.as_deref() {
        None | Some("name") => Some(CookieValue::Name),
        Some("hash") => Some(CookieValue::Hash),
        Some(other) => {
            let message = format!("expected `name` or `hash`, not {other:?}");
            problems.push(section.problem_at("cookie_value_method", message));
            None
        }
    }
}

fn bind(
    section: &Section,
    raw: &raw::ServiceHaproxy,
    haproxy: &Haproxy,
    found: &mut Findings<'_>,
) -> Option<Bind> {
    let port = match raw.port {
        Given::Absent => return None,
        Given::Null => None,
        Given::Value(Port(port)) => Some(port),
    };
    let mut line = |key: &str, text: &str| {
        Line::parse(text)
            .map_err(|error| found.problems.push(section.problem_at(key, error.to_string())))
            .ok()
    };
    let address = line("bind_address", raw.bind_address.as_deref().unwrap_or(&haproxy.bind_address));
    let options = line("bind_options", raw.bind_options.as_deref().unwrap_or_default());
    let mut bind = Bind::new(address?, port);
    bind.options = options?;
    Some(bind)
}

pub(super) fn order(
    section: &Section,
    raw: &raw::ServiceHaproxy,
    seed: Option<u64>,
    warnings: &mut Vec<Problem>,
) -> Order {
    match raw.backend_order.as_deref() {
        None | Some("shuffle") => Order::Shuffled(seed),
        Some("asc") => Order::Ascending,
        Some("desc") => Order::Descending,
        Some("no_shuffle") => Order::AsDiscovered,
        Some(other) => {
            let remark = format!(
                "{other:?} means `shuffle`, as in Synapse: known are `asc`, `desc`, `no_shuffle` and `shuffle`"
            );
            warnings.push(section.problem_at("backend_order", remark));
            Order::Shuffled(seed)
        }
    }
}

/// Reads `server_options`, and refuses what HAProxy could take from no server, or would take for something else.
fn options(text: &str) -> Result<Template, String> {
    let template = Template::parse(text).map_err(|error| error.to_string())?;
    let filled = ServerOptions::trusted(&sample(&template)).map_err(|error| error.to_string())?;
    places_are_values(&filled)?;
    Ok(template)
}

/// Judges what a registry asks of all servers of a service, by itself and behind the service's `own` options.
pub(super) fn judge_asked(own: &Template, asked: &Template) -> Result<(), String> {
    let text = |error: &dyn std::error::Error| error.to_string();
    let asked = ServerOptions::untrusted(&sample(asked)).map_err(|error| text(&error))?;
    places_are_values(&asked)?;
    let own = ServerOptions::trusted(&sample(own)).map_err(|error| text(&error))?;
    let name = Name::parse(NAME).map_err(|error| text(&error))?;
    let address = Address::parse(HOST).map_err(|error| text(&error))?;
    let id = ServerId::new(1).map_err(|error| text(&error))?;
    let server = Server::builder(name, address, PORT, id).options(own).options(asked).build();
    server.map(drop).map_err(|error| format!("behind the service's own options: {error}"))
}

/// An endpoint whose parts are told from anything else that options may have.
const HOST: &str = "192.0.2.1";
const PORT: NonZeroU16 = NonZeroU16::new(65_533).expect("it is not 0");
const NAME: &str = "name-of-an-endpoint";

fn sample(template: &Template) -> String {
    template.fill(HOST, PORT.get(), NAME)
}

/// A place is for a value. Where HAProxy expects an option, whoever registers could name one.
fn places_are_values(filled: &ServerOptions) -> Result<(), String> {
    if [HOST, &PORT.to_string(), NAME].iter().any(|place| filled.contains(place)) {
        return Err("`%{host}`, `%{port}` and `%{name}` can be values of options, not options".to_owned());
    }
    Ok(())
}

/// Names what stands there and does nothing, or not what it may seem to do.
fn without_effect(
    section: &Section,
    raw: &raw::ServiceHaproxy,
    haproxy: &Haproxy,
    unknown: &[Line],
    found: &mut Findings<'_>,
) {
    for line in unknown {
        let keyword = line.as_str().split_ascii_whitespace().next().unwrap_or_default();
        let remark = format!(
            "`{keyword}` is no keyword of HAProxy 2.6 to 3.4 known here: written to frontend and backend as it is"
        );
        found.warnings.push(section.problem_at("listen", remark));
    }
    let shared = !raw.shared_frontend.is_empty();
    if shared && haproxy.shared_frontend.is_none() {
        let remark = "has no effect: the top-level `haproxy` section has no `shared_frontend`";
        found.warnings.push(section.problem_at("shared_frontend", remark));
    }
    if matches!(raw.port, Given::Absent) && !(shared && haproxy.shared_frontend.is_some()) {
        let remark = "there is no `port`: the service has a backend and no frontend";
        found.warnings.push(section.problem(remark));
    }
}
