//! What `cargo` is told in the documents.

use std::{collections::BTreeMap, process::Command, sync::LazyLock};

use serde_json::Value;

use crate::page::root;

/// The packages of the workspace, as cargo knows them.
static PACKAGES: LazyLock<BTreeMap<String, Value>> = LazyLock::new(|| {
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    let metadata: Value = serde_json::from_slice(&metadata.stdout).expect("cargo prints JSON");
    let packages = metadata["packages"].as_array().expect("there are packages");
    packages
        .iter()
        .map(|package| (package["name"].as_str().expect("it has a name").to_owned(), package.clone()))
        .collect()
});

const COMMANDS: [&str; 6] = ["bench", "build", "deb", "doc", "run", "test"];
const FLAGS: [&str; 8] = [
    "--release",
    "--locked",
    "--workspace",
    "--all-features",
    "--no-default-features",
    "--no-deps",
    "-q",
    "--offline",
];

/// What is wrong with these words, which stand behind `cargo`.
pub(crate) fn check(words: &[String]) -> Result<(), String> {
    let mut words = words.iter().map(String::as_str).take_while(|word| *word != "--");
    let command = words.next().unwrap_or_default();
    if !COMMANDS.contains(&command) {
        return Err(format!("cargo {command} is not known here"));
    }
    let (mut package, mut features, mut targets) = (None, Vec::new(), Vec::new());
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} has no value"));
        match word {
            "-p" => package = Some(value()?),
            "--features" => features.extend(value()?.split(',')),
            "--bench" | "--example" | "--test" | "--bin" => targets.push((&word[2..], value()?)),
            "--profile" => profile(value()?)?,
            _ if FLAGS.contains(&word) => {}
            // A filter of tests or benchmarks.
            _ if !word.starts_with('-') && matches!(command, "test" | "bench") => {}
            _ => return Err(format!("cargo {command} {word} is not known here")),
        }
    }
    let packages: Vec<&Value> = match package {
        Some(name) => vec![PACKAGES.get(name).ok_or_else(|| format!("there is no package {name}"))?],
        None => PACKAGES.values().collect(),
    };
    for feature in features {
        if !packages.iter().any(|package| package["features"].get(feature).is_some()) {
            return Err(format!("there is no feature {feature}"));
        }
    }
    for (kind, name) in targets {
        let is = |target: &Value| {
            target["name"] == name && target["kind"].as_array().is_some_and(|all| all.contains(&kind.into()))
        };
        let has = |package: &&Value| package["targets"].as_array().is_some_and(|all| all.iter().any(is));
        if !packages.iter().any(has) {
            return Err(format!("there is no {kind} {name}"));
        }
    }
    Ok(())
}

fn profile(name: &str) -> Result<(), String> {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).expect("there is a manifest");
    let ours = manifest.contains(&format!("[profile.{name}]"));
    if ours || name == "release" { Ok(()) } else { Err(format!("there is no profile {name}")) }
}

#[test]
fn a_package_feature_target_or_profile_that_is_not_there_is_found() {
    let told = |line: &str| check(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
    assert_eq!(told("build --release -p synapse-rs --no-default-features --features etcd"), Ok(()));
    for (line, problem) in [
        ("build -p synapse", "there is no package synapse"),
        ("build -p synapse-rs --features consul", "there is no feature consul"),
        ("run -p agent --example nothing", "there is no example nothing"),
        ("build --profile fast", "there is no profile fast"),
        ("build --fast", "cargo build --fast is not known here"),
        ("buidl", "cargo buidl is not known here"),
    ] {
        assert_eq!(told(line), Err(problem.to_owned()), "{line}");
    }
}
