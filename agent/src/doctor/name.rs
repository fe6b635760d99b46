//! Whether HAProxy tells frontends and backends of one name apart.

use std::collections::HashSet;

use haproxy_render::{Name, plan::Version};

use super::{Finding, Topic, line};
use crate::{config::Config, output::FRONTEND_NAME};

/// From here on HAProxy refuses a frontend that is called as a backend is; the one before warns of it.
const REFUSES: Version = Version::new(3, 3);
const WARNS: Version = Version::new(3, 2);
/// How many services are named.
const NAMED: usize = 3;

/// `version`: what HAProxy says of itself.
pub(super) fn examine(config: &Config, version: &str) -> Option<Finding> {
    let parsed = Version::parse(version).ok().filter(|version| *version >= WARNS)?;
    let services = alike(config);
    let (first, rest) = services.split_at(services.len().min(NAMED));
    let mut names = first.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
    match rest.len() {
        0 if first.is_empty() => return None,
        0 => {}
        more => names = format!("{names} and {more} more"),
    }
    let subject = format!("HAProxy {}", line(version));
    Some(if parsed >= REFUSES {
        let text = format!("refuses a frontend that is called as a backend is, as it is with {names}");
        Finding::error(Topic::Haproxy, subject, text, FRONTEND_NAME)
    } else {
        let text = format!(
            "warns of a frontend that is called as a backend is, as it is with {names}; from 3.3 on it refuses the file"
        );
        Finding::warning(Topic::Haproxy, subject, text, FRONTEND_NAME)
    })
}

/// The services whose frontend is called as a backend is, of whatever service.
fn alike(config: &Config) -> Vec<&Name> {
    let shapes =
        || config.services.iter().filter_map(|service| Some((&service.name, service.shape.as_ref()?)));
    let backends: HashSet<_> = shapes().map(|(_, shape)| &shape.backend_name).collect();
    let alike = shapes().filter(|(_, shape)| shape.has_frontend && backends.contains(&shape.frontend_name));
    alike.map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Registry, doctor::Severity};

    fn found(haproxy: &str, version: &str) -> Option<(Severity, String)> {
        let text = format!(
            "services: {{a: {{discovery: {{method: base}}, haproxy: {{port: 1}}}}, \
             b: {{discovery: {{method: base}}, haproxy: {{port: 2, frontend_name: c}}}}, \
             c: {{discovery: {{method: base}}, haproxy: {{}}}}}}\n\
             haproxy: {{do_writes: false, do_reloads: false, global: [], defaults: [], {haproxy}}}\n"
        );
        let config = Config::parse(&text, None, &Registry::builtin()).unwrap();
        let finding = examine(&config, version)?;
        assert!(finding.remedy.unwrap().contains("frontend_name: \"%{name}-in\""));
        Some((finding.severity, finding.text))
    }

    #[test]
    fn names_that_haproxy_takes_for_one_are_told_before_it_refuses_them() {
        let refused = "refuses a frontend that is called as a backend is, as it is with a, b";
        assert_eq!(found("", "3.3.0-1"), Some((Severity::Error, refused.to_owned())));
        assert_eq!(found("", "3.4.2").map(|(severity, _)| severity), Some(Severity::Error));
        assert_eq!(found("", "3.2.26-1").map(|(severity, _)| severity), Some(Severity::Warning));
        for version in ["2.6.12-1+deb12u4", "3.0.11", "of tomorrow"] {
            assert_eq!(found("", version), None, "{version}");
        }
    }

    #[test]
    fn frontends_with_names_of_their_own_are_nothing_to_tell_of() {
        // The frontend of b is still called as the backend of c is.
        let (_, text) = found("frontend_name: '%{name}-in'", "3.3.0").unwrap();
        assert!(text.ends_with(" as it is with b"), "{text}");
    }
}
