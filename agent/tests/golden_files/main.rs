//! The files that the configurations of `golden/` give, byte for byte, and what HAProxy says of them. `golden/README.md` says how to
//! write them anew.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod haproxy;
mod pairs;

use std::{
    fs,
    path::{Path, PathBuf},
};

use agent::{Config, Registry, discovery::Catalog};

/// One directory of `golden/`.
struct Case {
    directory: PathBuf,
    text: String,
    catalog: Catalog,
}

impl Case {
    fn name(&self) -> String {
        self.directory.file_name().unwrap().to_string_lossy().into_owned()
    }

    fn config(&self) -> Config {
        Config::parse(&self.text, None, &Registry::builtin())
            .unwrap_or_else(|report| panic!("{}: {report}", self.name()))
    }

    /// Each file that comes of it, and what it holds; `None` for a file that is not there.
    fn files(&self) -> [(PathBuf, Option<String>); 2] {
        let config = self.config();
        let warnings: Vec<_> = config.warnings().problems().iter().map(ToString::to_string).collect();
        let file = |name| self.directory.join(name);
        [
            (file("haproxy.cfg"), Some(config.render(&self.catalog))),
            (file("warnings.txt"), Some(warnings.join("\n") + "\n").filter(|warnings| warnings != "\n")),
        ]
    }
}

/// All directories, in order.
fn cases() -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let entries = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    let mut directories: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    directories.sort();
    let case = |directory: PathBuf| {
        let text = fs::read_to_string(directory.join("synapse.yaml")).unwrap();
        let endpoints = fs::read_to_string(directory.join("endpoints.json")).unwrap();
        Case { text, catalog: Catalog::parse(&endpoints).unwrap(), directory }
    };
    directories.into_iter().map(case).collect()
}

#[allow(clippy::disallowed_methods, reason = "a test is a program of its own: its environment configures it")]
fn to_be_written() -> bool {
    std::env::var("GOLDEN").is_ok_and(|value| value == "write")
}

#[test]
fn each_configuration_gives_its_file_byte_for_byte() {
    let mut differing = Vec::new();
    for case in cases() {
        for (path, expected) in case.files() {
            if to_be_written() {
                match expected {
                    Some(text) => fs::write(path, text).unwrap(),
                    None => drop(fs::remove_file(path)),
                }
            } else if fs::read_to_string(&path).ok() != expected {
                differing.push(format!("{}\n{}", path.display(), expected.unwrap_or_default()));
            }
        }
    }
    assert!(differing.is_empty(), "GOLDEN=write writes these anew:\n{}", differing.join("\n"));
}

#[test]
fn rendering_again_gives_the_same_bytes() {
    for case in cases() {
        let config = case.config();
        assert_eq!(config.render(&case.catalog), config.render(&case.catalog), "{}", case.name());
        assert_eq!(config.render(&case.catalog), case.config().render(&case.catalog), "{}", case.name());
    }
}

#[test]
fn every_two_settings_meet_in_some_file() {
    let trees: Vec<_> = cases()
        .iter()
        .map(|case| {
            let endpoints = fs::read_to_string(case.directory.join("endpoints.json")).unwrap();
            let parse = |text: &str| agent::config::parse(text).unwrap();
            (parse(&case.text), parse(&endpoints))
        })
        .collect();
    let missing = pairs::missing(&trees);
    assert!(missing.is_empty(), "no file has these together:\n{}", missing.join("\n"));
}

#[test]
fn live_haproxy_takes_every_file() {
    let mut refused = Vec::new();
    for case in cases() {
        let said = haproxy::check(&case.config().render(&case.catalog));
        if !said.fine() {
            refused.push(format!("{}: {said}", case.name()));
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}
