//! The configurations of `examples/`.

use std::path::{Path, PathBuf};

use agent::{Config, Loader, Registry, discovery::Catalog};

/// What the configurations are rendered with.
const ENDPOINTS: &str = "endpoints.json";

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(directory().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Name and content of each configuration.
fn configurations() -> Vec<(String, Config)> {
    let entries = std::fs::read_dir(directory()).expect("the examples are there");
    let names = entries.map(|entry| entry.expect("it can be read").file_name().into_string());
    let mut names: Vec<_> = names.map(|name| name.expect("names are plain")).collect();
    names.sort();
    let configurations = names.into_iter().filter(|name| name != "README.md" && name != ENDPOINTS);
    configurations
        .map(|name| if directory().join(&name).is_dir() { format!("{name}/synapse.conf") } else { name })
        .map(|name| {
            // It says where it is read from the root of the repository.
            let services = directory().join("split/conf.d").display().to_string();
            let loader = Loader::new(directory().join(&name), Registry::builtin())
                .with_environment(move |name| (name == "SERVICE_CONF_DIR").then(|| services.clone()));
            match loader.load().config {
                Ok(config) => (name, config),
                Err(error) => panic!("{name}: {error}"),
            }
        })
        .collect()
}

fn catalog() -> Catalog {
    Catalog::parse(&read(ENDPOINTS)).unwrap_or_else(|error| panic!("{ENDPOINTS}: {error}"))
}

#[test]
fn each_is_right_and_only_old_keys_are_warned_of() {
    let configurations = configurations();
    assert!(configurations.len() >= 7, "{configurations:?}");
    for (name, config) in configurations {
        let warnings: Vec<_> = config.warnings().problems().iter().map(ToString::to_string).collect();
        let expected: &[&str] = match name.as_str() {
            "synapse.conf.json" => &[
                "71:29: haproxy.extra_sections.\"listen stats :3212\": HAProxy takes no address in the title of a section any more: written as `listen stats` with a `bind` line",
            ],
            _ => &[],
        };
        assert_eq!(warnings, expected, "{name}");
    }
}

#[test]
fn each_renders_servers_for_all_of_its_services() {
    let catalog = catalog();
    for (_, snapshot) in catalog.services() {
        assert_eq!(snapshot.rejected().total(), 0);
    }
    for (name, config) in configurations() {
        let text = config.render(&catalog);
        let backends = text.split("\n\n").filter(|section| section.starts_with("backend "));
        let idle: Vec<_> = backends.clone().filter(|section| !section.contains("\n\tserver ")).collect();
        // The one service that its file calls otherwise: here endpoints go by the names of the configuration.
        let expected: &[&str] =
            if name == "file.yaml" { &["backend jobs\n\tbalance roundrobin\n\tmode tcp"] } else { &[] };
        assert_eq!(idle.iter().map(|section| section.trim_end()).collect::<Vec<_>>(), expected, "{name}");
        assert_eq!(backends.count(), config.services().count(), "{name}");
    }
}

#[test]
fn each_is_told_of_in_their_readme() {
    let readme = read("README.md");
    for (name, _) in configurations() {
        assert!(readme.contains(&format!("| `{name}` |")), "{name}");
    }
}

#[tokio::test]
async fn live_haproxy_accepts_what_each_renders() {
    let catalog = catalog();
    for (name, config) in configurations() {
        if let Err(rejected) = e2e::Haproxy::check(&config.render(&catalog)).await {
            panic!("{name}: {rejected}");
        }
    }
}

/// What stands between the fences of the README's configuration.
fn of_the_readme() -> String {
    let readme = read("../README.md");
    let (_, rest) = readme.split_once("```yaml\n").expect("the README has a configuration");
    rest.split_once("```").expect("it ends").0.to_owned()
}

#[test]
fn the_one_in_several_files_has_all_services_in_their_order() {
    let (_, config) = configurations()
        .into_iter()
        .find(|(name, _)| name == "split/synapse.conf")
        .expect("there is one in several files");
    assert_eq!(config.services().collect::<Vec<_>>(), ["db", "search", "web"]);
}

#[test]
fn the_configurations_of_the_readme_and_of_the_containers_are_right() {
    for (name, text) in
        [("README.md", of_the_readme()), ("deploy/synapse.yaml", read("../deploy/synapse.yaml"))]
    {
        match Config::parse(&text, Some(name), &Registry::builtin()) {
            Ok(config) => assert!(config.warnings().problems().is_empty(), "{}", config.warnings()),
            Err(report) => panic!("{report}"),
        }
    }
}

#[tokio::test]
async fn live_haproxy_accepts_the_configuration_of_the_readme() {
    let config = Config::parse(&of_the_readme(), None, &Registry::builtin());
    let config = config.unwrap_or_else(|report| panic!("{report}"));
    let registered = r#"{"web": [{"host": "10.0.1.7", "port": 8080, "name": "i-0a1b"}, {"host": "10.0.1.8", "port": 8080}]}"#;
    let catalog = Catalog::parse(registered).expect("it is a catalog");
    if let Err(rejected) = e2e::Haproxy::check(&config.render(&catalog)).await {
        panic!("{rejected}");
    }
}
