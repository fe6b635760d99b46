//! `load_test_concurrency`: one service of the configuration, several times.

use super::{Node, Problem, Section, Value};

/// The key, and the most copies that one service and all of them may have: each has a watcher of its own.
const KEY: &str = "load_test_concurrency";
pub(super) const MAX_EACH: usize = 1000;
pub(super) const MAX: usize = 10_000;

/// How many copies all services may still have.
pub(super) struct Copies {
    left: usize,
}

impl Copies {
    pub(super) fn new() -> Self {
        Self { left: MAX }
    }

    /// What is to be read as services: the one called `name`, or `NAME_0`, `NAME_1`, … with the same section.
    ///
    /// They listen at the same port, as Synapse has them: the system divides connections among them. A `backend_name` or `frontend_name` is numbered
    /// as they are, since HAProxy takes it once.
    pub(super) fn of(
        &mut self,
        name: &str,
        section: Section,
        problems: &mut Vec<Problem>,
        warnings: &mut Vec<Problem>,
    ) -> Vec<(String, Section)> {
        let Some(count) = section.section(KEY).filter(|_| section.has(KEY)) else {
            return vec![(name.to_owned(), section)];
        };
        let count = match count.parse::<usize>() {
            Ok(count) if count <= MAX_EACH => count,
            Ok(_) => {
                problems.push(section.problem_at(KEY, format!("expected an integer from 0 to {MAX_EACH}")));
                return Vec::new();
            }
            Err(found) => {
                problems.extend(found);
                return Vec::new();
            }
        };
        let Some(left) = self.left.checked_sub(count) else {
            let message = format!("all services together have more than {MAX} copies with this one's");
            problems.push(section.problem_at(KEY, message));
            return Vec::new();
        };
        self.left = left;
        if count == 0 {
            warnings.push(section.problem_at(KEY, "the service is made 0 times: not at all"));
        }
        (0..count).map(|index| (format!("{name}_{index}"), numbered(&section, index))).collect()
    }
}

/// The section of one copy.
fn numbered(section: &Section, index: usize) -> Section {
    let mut node = section.node().clone();
    for key in ["backend_name", "frontend_name"] {
        if let Some(name) = inside(&mut node, "haproxy").and_then(|haproxy| inside(haproxy, key))
            && let Some(text) = name.text()
        {
            name.value = Value::Str(format!("{text}_{index}"));
            name.spelling = None;
        }
    }
    Section::new(node, section.path().clone())
}

fn inside<'n>(node: &'n mut Node, key: &str) -> Option<&'n mut Node> {
    match &mut node.value {
        Value::Map(entries) => {
            entries.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.value)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::{Config, Registry, discovery::Catalog};

    const HAPROXY: &str = "haproxy: {do_writes: false, do_reloads: false, global: [], defaults: []}\n";

    /// A service `web` with these keys more.
    fn service(more: &str) -> String {
        format!(
            "  web: {{discovery: {{method: base}}, default_servers: [{{host: 10.0.0.1, port: 80}}], {more}}}\n"
        )
    }

    fn config(services: &str) -> Result<Config, String> {
        let text = format!("services:\n{services}{HAPROXY}");
        Config::parse(&text, None, &Registry::builtin()).map_err(|report| report.to_string())
    }

    fn names(services: &str) -> Vec<String> {
        let config = config(services).unwrap();
        config.services().map(str::to_owned).collect()
    }

    #[test]
    fn a_service_is_made_as_often_as_it_says() {
        for count in ["2", "'2'"] {
            let services = service(&format!("load_test_concurrency: {count}, haproxy: {{port: 81}}"));
            assert_eq!(names(&services), ["web_0", "web_1"]);
        }
        assert_eq!(names(&service("load_test_concurrency: 1")), ["web_0"]);
        assert_eq!(names(&service("load_test_concurrency: null")), ["web"]);
    }

    #[test]
    fn copies_listen_at_one_port_and_have_backends_of_their_own() {
        let listen =
            "load_test_concurrency: 2, haproxy: {port: 81, backend_name: pool, frontend_name: pool-in}";
        let text = config(&service(listen)).unwrap().render(&Catalog::new(Vec::new()));
        let words = ["frontend ", "bind ", "default_backend ", "backend ", "server "];
        let lines: Vec<_> = text
            .lines()
            .map(str::trim)
            .filter(|line| words.iter().any(|word| line.starts_with(word)))
            .collect();
        assert_eq!(
            lines,
            [
                "frontend pool-in_0",
                "bind localhost:81",
                "default_backend pool_0",
                "backend pool_0",
                "server 10.0.0.1:80 10.0.0.1:80 id 1",
                "frontend pool-in_1",
                "bind localhost:81",
                "default_backend pool_1",
                "backend pool_1",
                "server 10.0.0.1:80 10.0.0.1:80 id 1",
            ]
        );
    }

    #[test]
    fn made_0_times_it_is_not_there_and_that_is_said() {
        let services = service("load_test_concurrency: 0");
        assert_eq!(names(&services), Vec::<String>::new());
        assert_eq!(
            config(&services).unwrap().warnings().to_string(),
            "1 problem\n  2:106: services.web.load_test_concurrency: the service is made 0 times: not at all"
        );
    }

    #[test]
    fn what_is_no_number_of_copies_is_a_problem() {
        let problem = |services: &str| config(services).unwrap_err();
        let each = |count: &str| problem(&service(&format!("load_test_concurrency: {count}")));
        let place = "1 problem\n  2:106: services.web.load_test_concurrency: ";
        for count in ["1001", "99999999999"] {
            assert_eq!(each(count), format!("{place}expected an integer from 0 to 1000"));
        }
        assert_eq!(each("many"), format!("{place}expected an integer, 0 or more, found \"many\""));
        assert!(each("-1").starts_with(place));
        let all: String = (0..11)
            .map(|n| service("load_test_concurrency: 1000").replace("web", &format!("w{n}")))
            .collect();
        assert!(
            problem(&all).contains("all services together have more than 10000 copies"),
            "{}",
            problem(&all)
        );
    }

    #[test]
    fn a_mistake_in_a_copied_service_is_told_once() {
        let said = config(&service("load_test_concurrency: 3, haproxy: {port: 0}")).unwrap_err();
        assert_eq!(
            said,
            "1 problem\n  2:125: services.web.haproxy.port: expected a port (1 to 65535), found 0"
        );
    }

    #[test]
    fn a_copy_may_not_have_the_name_of_another_service() {
        for haproxy in ["haproxy: {port: null}", "haproxy: {disabled: true}"] {
            let services = service(&format!("load_test_concurrency: 1, {haproxy}"))
                + &service(haproxy).replace("web", "web_0");
            let said = config(&services).unwrap_err();
            assert_eq!(said, "1 problem\n  3:10: services.web_0: there is a service `web_0` already");
        }
    }
}
