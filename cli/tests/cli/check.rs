//! `check`.

use e2e::{Dir, Port};

use crate::program::{COUNTED, outcome, run, run_with_input, site, synapse, write_site};

const FINE: &str = "configuration is fine: 2 services\n";

#[tokio::test]
async fn a_good_configuration_is_fine() {
    let dir = Dir::new("check");
    write_site(&dir, COUNTED);
    let outcome = run(&dir, ["check", "-c", "synapse.yaml"]).await;
    assert_eq!((outcome.code, outcome.stdout.as_str(), outcome.stderr.as_str()), (Some(0), FINE, ""));
}

#[tokio::test]
async fn keys_without_effect_are_warned_of_and_no_mistake() {
    let dir = Dir::new("check");
    write_site(&dir, &format!("{COUNTED}  state_file_ttl: 60\nstatsd: {{sample_rate: {{other: 1}}}}\n"));
    let outcome = run(&dir, ["check", "-c", "synapse.yaml"]).await;
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), FINE));
    assert_eq!(
        outcome.logged(),
        [
            "WARN synapse.yaml:14:19: haproxy.state_file_ttl: has no effect without `state_file_path`",
            "WARN synapse.yaml:15:31: statsd.sample_rate.other: has no effect: no such metric is sent",
        ]
    );
}

#[tokio::test]
async fn it_touches_nothing_and_connects_nowhere() {
    let dir = Dir::new("check");
    // A registry that would take a connection, and would be seen to.
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let registry = listener.local_addr().unwrap();
    dir.write(
        "synapse.yaml",
        format!(
            "services:\n  web:\n    discovery: {{method: etcd, endpoints: ['{registry}'], prefix: /web}}\n    \
             haproxy: {{port: 3213}}\n  absent:\n    discovery: {{method: file, path: nowhere.yaml}}\n    \
             haproxy: {{port: 3214}}\nhaproxy:\n  config_file_path: haproxy.cfg\n  do_checks: true\n  \
             candidate_config_file_path: candidate.cfg\n  check_command: touch checked\n  \
             reload_command: touch reloaded\n  global: []\n  defaults: []\n"
        ),
    );
    let outcome = run(&dir, ["check", "-c", "synapse.yaml"]).await;
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), FINE), "{}", outcome.stderr);
    let left: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["synapse.yaml"]);
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn without_a_configuration_it_says_how_to_name_one() {
    let outcome = run(&Dir::new("check"), ["check"]).await;
    assert_eq!(outcome.code, Some(2));
    assert_eq!(
        outcome.stderr,
        "synapse-rs: no configuration: name one with -c FILE, or set SYNAPSE_CONFIG\n"
    );
}

#[tokio::test]
async fn the_environment_can_name_it_and_the_command_line_wins() {
    let dir = Dir::new("check");
    write_site(&dir, COUNTED);
    let from_environment = outcome(synapse(&dir).arg("check").env("SYNAPSE_CONFIG", "synapse.yaml")).await;
    assert_eq!((from_environment.code, from_environment.stdout.as_str()), (Some(0), FINE));
    let both =
        outcome(synapse(&dir).args(["check", "-c", "synapse.yaml"]).env("SYNAPSE_CONFIG", "nowhere")).await;
    assert_eq!(both.code, Some(0), "{}", both.stderr);
}

#[tokio::test]
async fn standard_input_is_read_and_named() {
    let dir = Dir::new("check");
    let good = run_with_input(&dir, ["check", "-c", "-"], &site(COUNTED)).await;
    assert_eq!((good.code, good.stdout.as_str()), (Some(0), FINE), "{}", good.stderr);
    let bad = run_with_input(&dir, ["check", "-c", "-"], "{}").await;
    assert_eq!(bad.code, Some(2));
    assert_eq!(
        bad.stderr,
        "<stdin>: 1 problem\n  <stdin>:1:1: no config generators supplied: missing key `haproxy` or `file_output`\n"
    );
}

#[tokio::test]
async fn an_unreachable_registry_is_no_mistake() {
    let dir = Dir::new("check");
    let nobody = Port::free();
    let config = site(COUNTED).replace(
        "{method: file, path: endpoints.yaml}",
        &format!("{{method: etcd, host: 127.0.0.1, port: {nobody}, path: /web}}"),
    );
    dir.write("synapse.yaml", config);
    let outcome = run(&dir, ["check", "-c", "synapse.yaml"]).await;
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), FINE));
}

#[tokio::test]
async fn what_differs_from_synapse_is_explained() {
    let dir = Dir::new("check");
    dir.write("site.yaml", include_str!("../../../agent/tests/fixtures/smartstack.yaml"));
    let outcome = run(&dir, ["check", "--explain", "site.yaml"]).await;
    let expected = include_str!("../../../agent/tests/fixtures/smartstack.explained.txt");
    assert_eq!(outcome.stdout, expected.replacen("synapse.yaml", "site.yaml", 1));

    write_site(&dir, &format!("{COUNTED}  do_socket: false\n  server_order_seed: 1\n"));
    let arguments = ["check", "--explain", "-c", "synapse.yaml"];
    let outcome = run(&dir, arguments).await;
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    let told = "\nhaproxy.server_order_seed (15:22)\n  Synapse: shuffles by this seed with Ruby's generator";
    assert!(outcome.stdout.contains(told), "{}", outcome.stdout);
}

#[tokio::test]
async fn mistakes_are_told_after_what_differs() {
    let dir = Dir::new("check");
    dir.write("synapse.yaml", "haproxy: {do_writes: false, do_reloads: false, do_socket: false, global: [nbproc 2], defaults: []}\n");
    let outcome = run(&dir, ["check", "--explain", "synapse.yaml"]).await;
    assert_eq!(outcome.code, Some(2));
    assert!(
        outcome.stdout.contains("\nhaproxy.global[0] (1:75)\n  Synapse: writes the line\n"),
        "{}",
        outcome.stdout
    );
    assert!(outcome.stderr.contains("HAProxy does not take this line any more"), "{}", outcome.stderr);
}

#[tokio::test]
async fn the_file_to_check_may_stand_behind_the_command() {
    let dir = Dir::new("check");
    write_site(&dir, COUNTED);
    let outcome = run(&dir, ["check", "synapse.yaml"]).await;
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), FINE), "{}", outcome.stderr);
}
