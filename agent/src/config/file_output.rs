//! Where the files of services are, if they have any.

use std::path::{Path, PathBuf};

use super::{Problem, Section, Value, haproxy::Haproxy, raw, service::Service};
use crate::file_output::{LONGEST, file_name};

/// Reads the section of that name at the top, and what follows from it for the services, as far as there are any without mistakes.
/// `None`: there are no files, or there were problems.
pub(super) fn read(
    root: &Section,
    services: Option<&[Service]>,
    haproxy: &Haproxy,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Problem>,
) -> Option<PathBuf> {
    let services = services.unwrap_or_default();
    if !haproxy.present {
        without_haproxy(root, services, warnings);
    }
    let section = root.section("file_output").filter(|_| root.has("file_output"))?;
    let before = problems.len();
    let directory = section.recover::<raw::FileOutput>(problems)?.output_directory.unwrap_or_default();
    if directory.is_empty() {
        let message =
            "flat file generation requires an output_directory key: name the directory for the files there";
        // Not to who has misspelt it.
        if problems.len() == before {
            problems.push(section.problem_at("output_directory", message));
        }
        return None;
    }
    let directory = PathBuf::from(directory);
    for service in services.iter().filter(|service| service.has_file) {
        let name = service.name.as_str();
        let mut problem = |message: String| {
            let services = root.section("services").unwrap_or_else(|| root.clone());
            problems.push(services.problem_at(name, message));
        };
        let file = file_name(name);
        if file.len() > LONGEST {
            problem(format!(
                "the name of its file would be longer than {LONGEST} bytes: set `file_output: {{disabled: true}}`, or rename it"
            ));
        }
        let path = directory.join(&file);
        for (key, other) in files(root, name, haproxy) {
            if path.components().eq(other.components()) {
                problem(format!("its file in `output_directory` would be that of `{key}`"));
            }
        }
    }
    (problems.len() == before).then_some(directory)
}

/// What else is read or written that a file could take the place of.
fn files(root: &Section, service: &str, haproxy: &Haproxy) -> Vec<(&'static str, PathBuf)> {
    let mut files = Vec::new();
    if let Some(file) = &haproxy.output.file {
        files.push(("haproxy.config_file_path", file.path().to_owned()));
    }
    if let Some(file) = &haproxy.state {
        files.push(("haproxy.state_file_path", file.path().to_owned()));
    }
    // A service that reads its own file would believe itself for ever.
    let discovery =
        ["services", service, "discovery"].into_iter().try_fold(root.clone(), |at, key| at.section(key));
    if let Some(Value::Str(path)) =
        discovery.as_ref().and_then(|found| found.get("path")).map(|node| &node.value)
        && let Some(Value::Str(method)) =
            discovery.as_ref().and_then(|found| found.get("method")).map(|node| &node.value)
        && method.eq_ignore_ascii_case("file")
    {
        files.push(("discovery.path", Path::new(path).to_owned()));
    }
    files
}

/// Tells that what services say of HAProxy is for nobody.
fn without_haproxy(root: &Section, services: &[Service], warnings: &mut Vec<Problem>) {
    let Some(section) = root.section("services") else { return };
    let said = |service: &&Service| {
        section.section(service.name.as_str()).is_some_and(|section| section.has("haproxy"))
    };
    if let Some(first) = services.iter().find(said)
        && let Some(service) = section.section(first.name.as_str())
    {
        let note =
            "has no effect for HAProxy, here and in other services: there is no section `haproxy` at the top";
        warnings.push(service.problem_at("haproxy", note));
    }
}

#[cfg(test)]
mod tests {
    use crate::{Config, Registry};

    const HAPROXY: &str = "haproxy: {config_file_path: /etc/h/haproxy.cfg.json, state_file_path: /etc/h/./state.json, \
                           do_reloads: false, global: [], defaults: []}\n";

    fn problems(text: &str) -> Vec<String> {
        let config = Config::parse(text, None, &Registry::builtin());
        let report = config.map_or_else(|report| report, |config| config.warnings().clone());
        report.problems().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_directory_is_all_that_there_is_to_say() {
        assert_eq!(problems("file_output: {output_directory: /var/lib/x}\n"), Vec::<String>::new());
        let config = "services: {web: {discovery: {method: base}, default_servers: [{host: a, port: 1}], \
                      file_output: {disabled: true}}}\nfile_output: {output_directory: 7}\n";
        assert_eq!(problems(config), Vec::<String>::new());
    }

    #[test]
    fn mistakes_are_told_where_they_stand() {
        let missing =
            "flat file generation requires an output_directory key: name the directory for the files there";
        assert_eq!(problems("file_output: {}\n"), [format!("1:14: file_output: {missing}")]);
        for empty in ["''", "null"] {
            let text = format!("file_output: {{output_directory: {empty}}}\n");
            assert_eq!(problems(&text), [format!("1:33: file_output.output_directory: {missing}")]);
        }
        assert_eq!(
            problems("file_output: {output_directry: /x}\n")[0],
            "1:15: file_output.output_directry: unknown key; did you mean `output_directory`?"
        );
        assert_eq!(
            problems("services: {}\n"),
            ["1:1: no config generators supplied: missing key `haproxy` or `file_output`"]
        );
        let service = "services:\n  web:\n    discovery: {method: base}\n    file_output: {disable: true}\n";
        assert_eq!(
            problems(&format!("{service}file_output: {{output_directory: /x}}\n"))[0],
            "4:19: services.web.file_output.disable: unknown key; did you mean `disabled`?"
        );
    }

    #[test]
    fn a_file_never_takes_the_place_of_another() {
        let long = "a".repeat(251);
        let services = format!(
            "services:\n  state:\n    discovery: {{method: base}}\n    haproxy: {{port: 1}}\n\
             \n  haproxy.cfg:\n    discovery: {{method: base}}\n    haproxy: {{port: 2}}\n\
             \n  web:\n    discovery: {{method: File, path: /etc/h/web.json}}\n    haproxy: {{port: 3}}\n\
             \n  {long}:\n    discovery: {{method: base}}\n    haproxy: {{port: 4}}\n"
        );
        let text =
            |directory: &str| format!("{services}{HAPROXY}file_output: {{output_directory: {directory}}}\n");
        assert_eq!(
            problems(&text("/etc/h/")),
            [
                "3:5: services.state: its file in `output_directory` would be that of `haproxy.state_file_path`".to_owned(),
                "7:5: services.\"haproxy.cfg\": its file in `output_directory` would be that of `haproxy.config_file_path`"
                    .to_owned(),
                "11:5: services.web: its file in `output_directory` would be that of `discovery.path`".to_owned(),
                format!(
                    "15:5: services.\"{}…\": the name of its file would be longer than 255 bytes: set `file_output: \
                     {{disabled: true}}`, or rename it",
                    "a".repeat(60)
                ),
            ]
        );
        assert!(problems(&text("/etc/other")).iter().all(|problem| !problem.contains("would be that of")));
    }

    #[test]
    fn without_haproxy_what_is_said_of_it_is_warned_of_once() {
        let text = "services:\n  a:\n    discovery: {method: file, path: /x}\n\
                    \n  b:\n    discovery: {method: file, path: /x}\n    haproxy: {port: 1}\n\
                    \n  c:\n    discovery: {method: file, path: /x}\n    haproxy: {port: 1}\n\
                    \nfile_output: {output_directory: /y}\n";
        assert_eq!(
            problems(text),
            [
                "7:14: services.b.haproxy: has no effect for HAProxy, here and in other services: there is no section `haproxy` at the top"
            ]
        );
    }
}
