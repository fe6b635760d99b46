//! What is said of a configuration with mistakes.

use e2e::Dir;

use crate::program::{assert_fixture, fixture, run};

/// Everything that is said of `text` in a file `name`.
async fn said(name: &str, text: &str) -> String {
    let dir = Dir::new("report");
    dir.write(name, text);
    let outcome = run(&dir, ["check", "-c", name]).await;
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{}", outcome.stderr);
    outcome.stderr
}

#[tokio::test]
async fn all_mistakes_of_a_json_file_come_in_one_report_with_their_places() {
    assert_fixture(&said("synapse.conf.json", &fixture("mistakes.json")).await, "mistakes.json.txt");
}

#[tokio::test]
async fn all_mistakes_of_a_yaml_file_come_in_one_report_with_their_places() {
    assert_fixture(&said("synapse.yaml", &fixture("mistakes.yaml")).await, "mistakes.yaml.txt");
}

#[tokio::test]
async fn every_command_says_the_same_of_them() {
    let dir = Dir::new("report");
    dir.write("synapse.conf.json", fixture("mistakes.json"));
    for command in [&[][..], &["run"], &["run", "--once"], &["render"], &["services", "--json"]] {
        let outcome = run(&dir, command.iter().chain(&["-c", "synapse.conf.json"])).await;
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{command:?}");
        assert_fixture(&outcome.stderr, "mistakes.json.txt");
    }
}

#[tokio::test]
async fn text_that_is_neither_json_nor_yaml_is_reported_where_it_shows() {
    let json = |body: &str| format!("{{\n  \"services\": {{\n    {body}\n  }}\n}}\n");
    for (text, said_of_it) in [
        (json("\"a\": {}\n    \"b\": {}"), "4:5: expected `,` or `}` before this"),
        (json("\"a\": [{}\n    {}]"), "4:5: expected `,` or `]` before this"),
        (json("\"a: {\"b\": 1}"), "3:11: something follows a quoted text: is a quote or a comma missing?"),
        (json("\"a\": {"), "1:1: this `{` is never closed"),
        (json("}"), "5:1: this bracket closes nothing"),
        (json("\"a\": {} /* no end"), "3:13: this comment has no end: `*/` is missing"),
        (json("\"a\": {}, \"a\": {}"), "3:14: the key \"a\" is given twice in this map, first on line 3"),
        ("services:\n\tweb: {}\n".to_owned(), "2:2: YAML is indented with spaces, not with tabs"),
        (
            "services:\n  web:\n    a: 1\n   b: 2\n".to_owned(),
            "4:4: expected a key here: does the indentation match the lines above?",
        ),
        (
            "services: {}\nhaproxy: a: b\n".to_owned(),
            "2:11: a second `:` in one line: text that has one is to be quoted",
        ),
        (
            "a: 1\n---\nb: 1\n".to_owned(),
            "3:1: a second document begins here: a configuration is one document",
        ),
        (String::new(), "1:1: the document is empty"),
        ("hello\n".to_owned(), "1:1: expected a map, found \"hello\""),
    ] {
        assert_eq!(said("conf", &text).await, format!("conf: 1 problem\n  conf:{said_of_it}\n"), "{text}");
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_named() {
    let dir = Dir::new("report");
    dir.write("latin1", b"services: {}\n# caf\xe9\n");
    for (file, said) in [
        ("nowhere", "synapse-rs: reading nowhere: No such file or directory (os error 2)\n"),
        (".", "synapse-rs: reading .: Is a directory (os error 21)\n"),
        ("latin1", "synapse-rs: reading latin1: line 2 is not UTF-8\n"),
    ] {
        let outcome = run(&dir, ["check", "-c", file]).await;
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{file}");
        assert_eq!(outcome.stderr, said);
    }
}
