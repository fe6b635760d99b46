//! The command line itself.

use e2e::Dir;

use crate::program::run;

#[tokio::test]
async fn it_tells_its_version() {
    let outcome = run(&Dir::new("usage"), ["--version"]).await;
    assert_eq!(outcome.code, Some(0));
    assert_eq!(outcome.stdout, concat!("synapse-rs ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[tokio::test]
async fn help_names_the_commands_and_the_exit_codes() {
    let outcome = run(&Dir::new("usage"), ["--help"]).await;
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    let codes = "Exit codes:\n  0  success\n  1  failure\n  2  wrong command line or configuration\n  3  `plan`: something is to do; `status`: it is not ready\n";
    assert!(outcome.stdout.contains(codes), "{}", outcome.stdout);
    for command in ["run", "check", "doctor", "plan", "schema", "render", "services", "status"] {
        assert!(outcome.stdout.contains(&format!("\n  {command} ")), "{command}: {}", outcome.stdout);
    }
}

#[tokio::test]
async fn a_wrong_command_line_is_told_apart_from_a_failure() {
    let dir = Dir::new("usage");
    for wrong in
        [&["--bogus"][..], &["frobnicate"], &["run", "--twice"], &["check", "--log-format", "xml"], &["-c"]]
    {
        let outcome = run(&dir, wrong).await;
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{wrong:?}");
        assert!(outcome.stderr.starts_with("error: "), "{}", outcome.stderr);
    }
}
