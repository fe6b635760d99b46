//! A configuration in several files, with values of the environment.

use e2e::Dir;

use crate::program::{outcome, run, run_with_input, synapse};

const MAIN: &str = "\
service_conf_dir: conf.d
haproxy:
  do_writes: false
  do_reloads: false
  global: [maxconn <%= ENV.fetch('MAXCONN', 7) %>]
  defaults: []
";

const WEB: &str = "\
discovery: {method: base}
default_servers: [{host: 10.0.0.1, port: 80}]
haproxy: {port: 3213, listen: [mode http]}
";

fn site() -> Dir {
    let dir = Dir::new("split");
    std::fs::create_dir(dir.join("conf.d")).expect("the directory is new");
    dir.write("synapse.conf", MAIN);
    dir.write("conf.d/web.yaml", WEB);
    dir
}

#[tokio::test]
async fn services_are_found_in_a_directory_seen_from_where_the_program_runs() {
    let dir = site();
    let fine = run(&dir, ["check", "-c", "synapse.conf"]).await;
    let said = "configuration is fine: 1 service\n";
    assert_eq!((fine.code, fine.stdout.as_str(), fine.stderr.as_str()), (Some(0), said, ""));
    let piped = run_with_input(&dir, ["check", "-c", "-"], MAIN).await;
    assert_eq!((piped.code, piped.stdout.as_str()), (Some(0), said), "{}", piped.stderr);
    std::fs::create_dir(dir.join("elsewhere")).unwrap();
    let elsewhere =
        outcome(synapse(&dir).current_dir(dir.join("elsewhere")).args(["check", "-c", "../synapse.conf"]))
            .await;
    assert_eq!(elsewhere.code, Some(2));
    assert_eq!(
        elsewhere.stderr,
        "../synapse.conf: 1 problem\n  ../synapse.conf:1:19: service_conf_dir: service conf dir does not exist: conf.d\n"
    );
}

#[tokio::test]
async fn mistakes_and_warnings_name_the_file_that_they_are_in() {
    let dir = site();
    dir.write("conf.d/api.json", "{\n  \"discovery\": {\"method\": \"base\"},\n  \"haproxi\": {}\n}\n");
    dir.write("conf.d/old.yml", WEB);
    let wrong = run(&dir, ["check", "-c", "synapse.conf"]).await;
    assert_eq!(wrong.code, Some(2));
    assert_eq!(
        wrong.stderr,
        "synapse.conf: 1 problem\n  conf.d/api.json:3:3: services.api.haproxi: unknown key; did you mean `haproxy`?\n"
    );
    std::fs::remove_file(dir.join("conf.d/api.json")).unwrap();
    let warned = run(&dir, ["check", "-c", "synapse.conf"]).await;
    assert_eq!(warned.code, Some(0));
    assert_eq!(
        warned.logged(),
        [
            "WARN conf.d/old.yml:1:1: is not read: of a service conf dir `*.json` and `*.yaml` are; call it \"old.yaml\"",
        ]
    );
}

#[tokio::test]
async fn values_come_from_the_environment_of_the_program() {
    let dir = site();
    for (value, expected) in [(None, "\tmaxconn 7\n"), (Some("99"), "\tmaxconn 99\n")] {
        let mut command = synapse(&dir);
        command.args(["render", "-c", "synapse.conf"]).env_remove("MAXCONN");
        if let Some(value) = value {
            command.env("MAXCONN", value);
        }
        let rendered = outcome(&mut command).await;
        assert_eq!(rendered.code, Some(0), "{}", rendered.stderr);
        assert!(rendered.stdout.contains(expected), "{}", rendered.stdout);
    }
}

#[tokio::test]
async fn a_secret_of_the_environment_is_in_no_message() {
    let dir = site();
    dir.write("synapse.conf", format!("{MAIN}  restart_interval: <%= ENV['SECRET'] %>\n"));
    let outcome =
        outcome(synapse(&dir).args(["check", "-c", "synapse.conf"]).env("SECRET", "hunter2-hunter2")).await;
    assert_eq!(outcome.code, Some(2));
    assert_eq!(
        outcome.stderr,
        "synapse.conf: 1 problem\n  synapse.conf:7:21: haproxy.restart_interval: expected a number, found a string\n"
    );
}

#[tokio::test]
async fn what_differs_from_synapse_is_explained_for_all_files() {
    let dir = site();
    dir.write("conf.d/web.yaml", WEB.replace("mode http", "reqidel ^X"));
    let outcome = run(&dir, ["check", "--explain", "synapse.conf"]).await;
    assert_eq!(outcome.code, Some(2));
    let place = "services.web.haproxy.listen[0] (conf.d/web.yaml:3:32)";
    assert!(outcome.stdout.contains(place), "{}", outcome.stdout);
    assert!(
        outcome.stderr.starts_with("synapse.conf: 1 problem\n  conf.d/web.yaml:3:32: "),
        "{}",
        outcome.stderr
    );
}
