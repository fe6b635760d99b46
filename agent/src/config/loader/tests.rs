mod change;
mod random;

use std::{fs, os::unix::fs::symlink, path::PathBuf};

use tempfile::TempDir;

use super::*;
use crate::discovery::Catalog;

/// The main file of a site, in a directory of its own.
struct Site(TempDir);

const HAPROXY: &str = "haproxy: {do_writes: false, do_reloads: false, global: [], defaults: []}\n";

/// A service of one server.
fn service(host: &str) -> String {
    format!(
        "discovery: {{method: base}}\ndefault_servers: [{{host: {host}, port: 80}}]\nhaproxy: {{port: null}}\n"
    )
}

/// The same, indented.
fn listed(name: &str, host: &str) -> String {
    let lines = service(host);
    let lines: Vec<_> = lines.lines().map(|line| format!("    {line}\n")).collect();
    format!("  {name}:\n{}", lines.concat())
}

impl Site {
    /// With a directory `conf.d`, which the main file names.
    fn split(more: &str) -> Self {
        let site = Self(tempfile::tempdir().unwrap());
        fs::create_dir(site.path("conf.d")).unwrap();
        let directory = site.path("conf.d").display().to_string();
        site.write("main.yaml", &format!("service_conf_dir: {directory}\n{more}{HAPROXY}"));
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn loader(&self) -> Loader {
        Loader::new(self.path("main.yaml"), Registry::builtin())
    }

    fn config(&self) -> Config {
        self.loader().load().config.unwrap_or_else(|error| panic!("{error}: {:?}", self.said()))
    }

    /// Each problem, with the site's directory left out.
    fn said(&self) -> Vec<String> {
        match self.loader().load().config {
            Ok(_) => Vec::new(),
            Err(LoadError::Wrong(report)) => self.plain(&report),
            Err(error) => {
                vec![self.short(&format!("{error}: {}", std::error::Error::source(&error).unwrap()))]
            }
        }
    }

    fn warnings(&self) -> Vec<String> {
        self.plain(self.config().warnings())
    }

    fn plain(&self, report: &Report) -> Vec<String> {
        report.lines().map(|line| self.short(&line)).collect()
    }

    fn short(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.0.path().display()), "")
    }
}

/// The services and the hosts of their servers, in the order of HAProxy's file.
fn served(config: &Config) -> Vec<String> {
    let text = config.render(&Catalog::new(Vec::new()));
    let word = |line: &str| {
        let words: Vec<_> = line.split_ascii_whitespace().take(2).collect();
        matches!(words[..], ["backend" | "server", _]).then(|| words.join(" "))
    };
    text.lines().filter_map(word).collect()
}

#[test]
fn a_directory_adds_services_in_the_order_of_their_names_and_replaces_those_of_the_main_file() {
    let site = Site::split(&format!("services:\n{}{}", listed("z", "10.0.0.1"), listed("b", "10.0.0.2")));
    site.write("conf.d/b.yaml", &service("10.0.0.3"));
    site.write("conf.d/c.d.yaml", &service("10.0.0.4"));
    site.write(
        "conf.d/a.json",
        r#"{"discovery": {"method": "base"}, "default_servers": [{"host": "10.0.0.5", "port": 80}]}"#,
    );
    assert_eq!(
        served(&site.config()),
        [
            "backend z",
            "server 10.0.0.1:80",
            "backend b",
            "server 10.0.0.3:80",
            "backend a",
            "server 10.0.0.5:80",
            "backend c.d",
            "server 10.0.0.4:80",
        ]
    );
    assert_eq!(
        site.warnings(),
        [
            "main.yaml:7:3: services.b: is not used: conf.d/b.yaml replaces it",
            "conf.d/a.json:1:1: services.a.haproxy: there is no `port`: the service has a backend and no frontend",
        ]
    );
}

#[test]
fn services_may_all_be_in_the_directory() {
    for services in ["", "services:\n", "services: {}\n"] {
        let site = Site::split(services);
        site.write("conf.d/web.yaml", &service("10.0.0.1"));
        assert_eq!(served(&site.config()), ["backend web", "server 10.0.0.1:80"], "{services:?}");
    }
    assert_eq!(served(&Site::split("").config()), Vec::<String>::new());
}

#[test]
fn what_editors_and_packages_leave_behind_is_not_read() {
    let site = Site::split("");
    for name in [
        ".web.yaml",
        ".#web.yaml",
        ".web.yaml.swp",
        "web.yaml~",
        "#web.yaml#",
        "web.yaml.bak",
        "web.yaml.dpkg-old",
        "web.json.rpmsave",
        "web.JSON",
        "yaml",
        "README",
    ] {
        site.write(&format!("conf.d/{name}"), "{");
    }
    fs::create_dir(site.path("conf.d/more.d")).unwrap();
    site.write("conf.d/more.d/web.yaml", "{");
    assert_eq!(site.warnings(), Vec::<String>::new());
}

#[test]
fn yml_is_warned_of_by_name_and_not_read() {
    let site = Site::split("");
    site.write("conf.d/web.yml", "{");
    assert_eq!(
        site.warnings(),
        [
            "conf.d/web.yml:1:1: is not read: of a service conf dir `*.json` and `*.yaml` are; call it \"web.yaml\""
        ]
    );
}

#[test]
fn of_json_and_yaml_for_one_service_yaml_counts() {
    let site = Site::split("");
    site.write("conf.d/web.json", "{\"no\": 1}");
    site.write("conf.d/web.yaml", &service("10.0.0.1"));
    assert_eq!(served(&site.config()), ["backend web", "server 10.0.0.1:80"]);
    assert_eq!(
        site.warnings(),
        ["conf.d/web.json:1:1: is not used: conf.d/web.yaml is for the same service"]
    );
}

#[test]
fn each_problem_names_its_own_file() {
    let site = Site::split("services:\n  web: {discovery: {method: base}, haproxi: {}}\nother: 1\n");
    site.write("conf.d/api.yaml", "# one\ndiscovery:\n  method: base\n  labels: x\nhaproxy: {port: http}\n");
    site.write("conf.d/bad.json", "{\n\n  \"a\": [1,\n}\n");
    site.write("conf.d/empty.yaml", "");
    site.write("conf.d/latin.yaml", "");
    fs::write(site.path("conf.d/latin.yaml"), b"a: 1\nb: \xe9\n").unwrap();
    fs::create_dir(site.path("conf.d/dir.yaml")).unwrap();
    symlink("nowhere", site.path("conf.d/gone.yaml")).unwrap();
    site.write("conf.d/twice.yaml", "a: 1\nb: 2\na: 3\n");
    assert_eq!(
        site.said(),
        [
            "main.yaml:3:36: services.web.haproxi: unknown key; did you mean `haproxy`?",
            "main.yaml:4:1: other: unknown key; known keys are `services`, `haproxy`, `file_output`, `statsd`, `agent`, `status`",
            "conf.d/api.yaml:4:3: services.api.discovery.labels: unknown key",
            "conf.d/api.yaml:5:17: services.api.haproxy.port: expected a port (1 to 65535), found \"http\"",
            "conf.d/bad.json:3:8: mismatched bracket '[' closed by '}'",
            "conf.d/dir.yaml:1:1: cannot be read: it is not a file",
            "conf.d/empty.yaml:1:1: the document is empty",
            "conf.d/gone.yaml:1:1: cannot be read: No such file or directory (os error 2)",
            "conf.d/latin.yaml:1:1: cannot be read: line 2 is not UTF-8",
            "conf.d/twice.yaml:3:1: the key \"a\" is given twice in this map, first on line 1",
        ]
    );
}

#[test]
fn services_in_two_files_that_clash_are_told_by_the_place_of_the_second() {
    let site = Site::split("");
    site.write("conf.d/a.yaml", &service("10.0.0.1").replace("null", "81"));
    site.write("conf.d/b.yaml", &format!("# below\n{}", service("10.0.0.1").replace("null", "81")));
    assert_eq!(site.said(), ["conf.d/b.yaml:2:1: services.b: service `a` already listens at localhost:81"]);
}

#[test]
fn a_directory_that_can_not_be_read_is_told_where_it_is_named() {
    let site = Site(tempfile::tempdir().unwrap());
    let said = |value: &str| {
        site.write("main.yaml", &format!("services: {{}}\nservice_conf_dir: {value}\n{HAPROXY}"));
        site.said()
    };
    let nowhere = site.path("nowhere").display().to_string();
    assert_eq!(
        said(&nowhere),
        ["main.yaml:2:19: service_conf_dir: service conf dir does not exist: nowhere"]
    );
    for value in ["[a]", "''", "{}"] {
        assert_eq!(
            said(value),
            ["main.yaml:2:19: service_conf_dir: expected the path of a directory"],
            "{value}"
        );
    }
    let file = site.path("main.yaml").display().to_string();
    assert_eq!(
        said(&file),
        [
            "main.yaml:2:19: service_conf_dir: service conf dir cannot be read: main.yaml: Not a directory (os error 20)"
        ]
    );
    assert_eq!(said("null"), Vec::<String>::new());
}

#[test]
fn a_tilde_is_the_home_directory() {
    let site = Site::split("");
    site.write("conf.d/web.yaml", &service("10.0.0.1"));
    for (value, home) in
        [("~/conf.d", site.path("")), ("'~'", site.path("conf.d")), ("~/", site.path("conf.d"))]
    {
        site.write("main.yaml", &format!("service_conf_dir: {value}\n{HAPROXY}"));
        let home = home.display().to_string();
        let loader = site.loader().with_environment(move |name| (name == "HOME").then(|| home.clone()));
        assert_eq!(loader.load().config.unwrap().services().collect::<Vec<_>>(), ["web"], "{value}");
    }
}

#[test]
fn a_text_alone_has_no_directory() {
    let report =
        Config::parse(&format!("service_conf_dir: /tmp\n{HAPROXY}"), None, &Registry::builtin()).unwrap_err();
    assert_eq!(
        report.to_string(),
        "1 problem\n  1:19: service_conf_dir: only a configuration that is loaded from files has it; this text was not"
    );
    let site = Site::split("");
    site.write("conf.d/web.yaml", &service("10.0.0.1"));
    let text = fs::read_to_string(site.path("main.yaml")).unwrap();
    assert_eq!(site.loader().parse(&text, "<stdin>").unwrap().services().collect::<Vec<_>>(), ["web"]);
}

#[test]
fn a_main_file_that_can_not_be_read_is_named() {
    let site = Site(tempfile::tempdir().unwrap());
    assert_eq!(site.said(), ["reading main.yaml: No such file or directory (os error 2)"]);
    fs::write(site.path("main.yaml"), b"a: 1\n\xff").unwrap();
    assert_eq!(site.said(), ["reading main.yaml: line 2 is not UTF-8"]);
    fs::remove_file(site.path("main.yaml")).unwrap();
    fs::create_dir(site.path("main.yaml")).unwrap();
    assert_eq!(site.said(), ["reading main.yaml: Is a directory (os error 21)"]);
}

#[test]
fn a_file_without_end_is_refused() {
    let config = Loader::new("/dev/zero", Registry::builtin()).load().config;
    let Err(LoadError::Read { source, .. }) = config else { panic!("{config:?}") };
    assert_eq!(source.kind(), io::ErrorKind::FileTooLarge);
}

#[test]
fn nothing_shows_what_is_in_a_file() {
    let site = Site::split("");
    site.write("conf.d/web.yaml", &format!("{}# hunter2\n", service("10.0.0.1")));
    let loader = site.loader();
    let shown = format!("{loader:?} {:?}", loader.load());
    assert!(shown.contains("web.yaml") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn a_loader_can_be_shared_between_threads() {
    fn shareable<T: Send + Sync + 'static>() {}
    shareable::<Loader>();
    shareable::<Fingerprint>();
    shareable::<Loaded>();
}

#[test]
fn what_differs_from_synapse_is_told_with_its_file_and_without_secrets() {
    let site = Site::split("");
    site.write(
        "conf.d/web.yaml",
        &format!(
            "# {}\n{}",
            "<%= ENV['A'] %>",
            service("10.0.0.1").replace("null", "81, listen: ['reqidel <%= ENV[\"A\"] %>']")
        ),
    );
    let loader = site.loader().with_environment(|name| (name == "A").then(|| "hunter2-hunter2".to_owned()));
    let told = site.short(&loader.explain().unwrap().to_string());
    assert!(told.contains("services.web.haproxy.listen[0] (conf.d/web.yaml:4:30)"), "{told}");
    assert!(!told.contains("hunter2"), "{told}");
    let text = fs::read_to_string(site.path("main.yaml")).unwrap();
    assert_eq!(
        loader.explain_text(&text, "<stdin>").unwrap().differences(),
        loader.explain().unwrap().differences()
    );
    assert!(loader.explain_text("<% x %>", "<stdin>").is_err());
    fs::remove_file(site.path("main.yaml")).unwrap();
    assert!(matches!(loader.explain(), Err(LoadError::Read { .. })));
}
