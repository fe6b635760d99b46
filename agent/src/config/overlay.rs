//! What a registry says about how a service is to be served, laid over what the operator says.

mod directive;
#[cfg(test)]
mod tests;
mod topic;
mod word;

use haproxy_render::{Line, directive as lines_of, keyword};

use self::{directive::Directive, topic::Topic};
use super::{
    KeyPath, Problem, Section, Service,
    haproxy::Haproxy,
    lines::Lines,
    parse,
    raw::{self, Given},
    shape,
};
use crate::{desired::Shape, template::Template};

/// Most lines under one key.
const MAX_LINES: usize = 100;

impl Service {
    /// How HAProxy is to serve the service when the generator configuration `json`, which a registry has for `haproxy`, is laid
    /// over the service's own section. `None` when that changes nothing because there is nothing in it, or because the service
    /// is not served at all.
    ///
    /// It is read by the code that reads the section of the file. The operator's word stays: lines and options of the registry
    /// stand behind those of the section, and take the place only of lines that set the same (`balance`, `timeout server`).
    /// What opens sockets, reaches other services or is not known to be harmless is refused, unless it says what the section
    /// says.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, never empty: none of it is used then.
    pub(crate) fn overlaid(&self, json: &str, haproxy: &Haproxy) -> Result<Option<Shape>, Vec<Problem>> {
        let Some(own) = &self.shape else { return Ok(None) };
        let root = KeyPath::root().key("haproxy");
        let node = parse(json).map_err(|error| {
            vec![Problem::new(error.line, error.column, &root, format!("cannot be read: {}", error.message))]
        })?;
        let section = Section::new(node, root);
        let raw = section.parse::<raw::ServiceHaproxy>()?;
        if section.node().entries().is_empty() {
            return Ok(None);
        }
        let mut problems = Vec::new();
        self.refuse(&section, &raw, haproxy, &mut problems);

        let mut list = |key, texts: &[String], place| directives(&section, key, texts, place, &mut problems);
        let frontend = list("frontend", &raw.frontend, Place::Frontend);
        let backend = list("backend", &raw.backend, Place::Backend);
        let listen = list("listen", &raw.listen, Place::Either);
        let (mut shape, defaults) = (own.clone(), &haproxy.defaults);
        for (lines, told, place) in
            [(&mut shape.frontend, frontend, Place::Frontend), (&mut shape.backend, backend, Place::Backend)]
        {
            let mut told: Vec<_> = told
                .into_iter()
                .chain(listen.iter().filter(|told| place.takes(told.line())).cloned())
                .collect();
            // HAProxy refuses the file if an answer is expected before all of the question is there.
            told.sort_by_key(|told| !told.line().as_str().starts_with("http-check send "));
            let mode = lines_of::mode(lines).or_else(|| lines_of::mode(defaults)).unwrap_or("tcp");
            if let Some(other) = told.iter().filter_map(Directive::mode).find(|other| *other != mode) {
                // HAProxy refuses the whole file if a frontend and a backend that belong together differ.
                let message = format!("`mode {other}`: the service is served in mode {mode}");
                problems.push(section.problem(message));
            }
            *lines = laid_over(lines, &told);
        }

        if raw.cookie_value_method.is_some()
            && let Some(cookie_value) = shape::cookie_value(&section, &raw, &mut problems)
        {
            shape.cookie_value = cookie_value;
        }
        if raw.backend_order.is_some() {
            // Another word is no mistake, here as in the file.
            shape.order = shape::order(&section, &raw, haproxy.order_seed, &mut Vec::new());
        }
        if let Some(text) = &raw.server_options {
            match options(own, text) {
                Ok(template) => shape.asked = Some(template),
                Err(message) => problems.push(section.problem_at("server_options", message)),
            }
        }
        shape::settle(&mut shape, haproxy);
        if problems.is_empty() { Ok(Some(shape)) } else { Err(problems) }
    }

    /// Refuses the keys that are the operator's alone, where they say something else than the service's own section.
    fn refuse(
        &self,
        section: &Section,
        asked: &raw::ServiceHaproxy,
        haproxy: &Haproxy,
        problems: &mut Vec<Problem>,
    ) {
        const LISTENS: &str = "where this machine listens is the operator's to say";
        const PORTS: &str = "where the endpoints listen is the operator's to say";
        let own = &*self.own;
        let or = |given: &Option<String>, default: &str| given.clone().unwrap_or_else(|| default.to_owned());
        let address = |raw: &raw::ServiceHaproxy| or(&raw.bind_address, &haproxy.bind_address);
        let options = |raw: &raw::ServiceHaproxy| or(&raw.bind_options, "");
        let name = |raw: &raw::ServiceHaproxy| or(&raw.backend_name, self.name.as_str());
        let weights = |raw: &raw::ServiceHaproxy| raw.use_nerve_weights.unwrap_or(haproxy.use_nerve_weights);
        let same_port = match (&asked.port, &own.port) {
            (Given::Value(asked), Given::Value(own)) => asked == own,
            (Given::Null, Given::Null) | (Given::Absent, _) => true,
            (Given::Null | Given::Value(_), _) => false,
        };
        for (key, same, reason) in [
            ("disabled", !asked.disabled, "whether HAProxy serves the service is the operator's to say"),
            ("port", same_port, LISTENS),
            ("bind_address", address(asked) == address(own), LISTENS),
            ("bind_options", options(asked) == options(own), LISTENS),
            ("backend_name", name(asked) == name(own), "it could be another service's"),
            ("frontend_name", asked.frontend_name == own.frontend_name, "it could be another service's"),
            (
                "use_nerve_weights",
                weights(asked) == weights(own),
                "whether weights count is the operator's to say",
            ),
            ("shared_frontend", asked.shared_frontend == own.shared_frontend, "all services share it"),
            ("server_port_override", asked.server_port_override == own.server_port_override, PORTS),
            ("server_backup_port", asked.server_backup_port == own.server_backup_port, PORTS),
        ] {
            if section.get(key).is_some() && !same {
                let message = format!("a registry may not change it: {reason}");
                problems.push(section.problem_at(key, message));
            }
        }
    }
}

/// Where a line may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Frontend,
    Backend,
    Either,
}

impl Place {
    fn takes(self, line: &Line) -> bool {
        let split = keyword::split(std::slice::from_ref(line));
        match self {
            Self::Frontend => !split.frontend.is_empty(),
            Self::Backend => !split.backend.is_empty(),
            Self::Either => true,
        }
    }
}

/// Reads the lines under one key. A text of several lines is as many lines; empty ones are dropped.
fn directives(
    section: &Section,
    key: &str,
    texts: &[String],
    place: Place,
    problems: &mut Vec<Problem>,
) -> Vec<Directive> {
    let lines = Lines::new(section, key);
    let mut told = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        for part in text.lines().filter(|part| !part.trim().is_empty()) {
            if told.len() == MAX_LINES {
                problems.push(lines.problem(index, format!("more than {MAX_LINES} lines")));
                return told;
            }
            match Directive::parse(part) {
                Ok(directive) if place.takes(directive.line()) => told.push(directive),
                Ok(_) => {
                    problems.push(lines.problem(index, "HAProxy does not take this line in such a section"));
                }
                Err(message) => problems.push(lines.problem(index, message)),
            }
        }
    }
    told
}

/// The operator's lines, without those that a told one takes the place of, and what is told behind them.
fn laid_over(own: &[Line], told: &[Directive]) -> Vec<Line> {
    let replaced = |line: &&Line| {
        let topic = Topic::of(line);
        let by = |told: &Directive| told.topic().zip(topic).is_some_and(|(told, own)| told.replaces(own));
        told.iter().any(by)
    };
    let mut lines: Vec<Line> = own.iter().filter(|line| !replaced(line)).cloned().collect();
    for told in told {
        // What adds to the rest, and is in the section already, would be done twice.
        if told.topic().is_some() || !lines.contains(told.line()) {
            lines.push(told.line().clone());
        }
    }
    lines
}

/// Reads options that are asked of all servers, as those that one server asks for itself.
fn options(own: &Shape, text: &str) -> Result<Template, String> {
    let template = Template::parse(text).map_err(|error| error.to_string())?;
    if template.needs_name() {
        return Err("`%{name}`: not every endpoint has a name".to_owned());
    }
    shape::judge_asked(&own.options, &template)?;
    Ok(template)
}
