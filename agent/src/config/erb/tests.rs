use proptest::prelude::*;

use super::*;
use crate::{
    Config, Loader, Registry,
    config::{Node, Report, Value, parse},
    discovery::Catalog,
};

/// Some variables.
fn environment(name: &str) -> Option<String> {
    let value = match name {
        "PORT" => "8080",
        "SECRET" => "hunter2-hunter2",
        "HOSTS" => "[a, b]",
        "LINES" => "\n  - one\n  - two",
        "TAG" => "<%= ENV['SECRET'] %>",
        "PIN" => "1.5",
        "EMPTY" => "",
        "É" => "é",
        _ => return None,
    };
    Some(value.to_owned())
}

fn made(text: &str) -> Made<'_> {
    expand(text, Some(&environment))
}

/// The text that comes out; problems and warnings there must not be.
fn text(text: &str) -> String {
    let made = made(text);
    assert_eq!((made.problems, made.warnings), (Vec::new(), Vec::new()), "{text}");
    made.text.into_owned()
}

fn said(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

const HAPROXY: &str = "haproxy: {do_writes: false, do_reloads: false, global: [], defaults: []}\n";

fn load(text: &str) -> Result<Config, Report> {
    let loader = Loader::new("nowhere", Registry::builtin()).with_environment(environment);
    loader.parse(&format!("{text}{HAPROXY}"), "s.yaml")
}

/// What is said of a configuration with mistakes.
fn refused(text: &str) -> Vec<String> {
    load(text).expect_err("it has mistakes").lines().collect()
}

#[test]
fn values_of_the_environment_stand_where_they_are_asked_for() {
    for (asked, expected) in [
        ("<%= ENV['PORT'] %>", "8080"),
        ("<%=ENV[\"PORT\"]%>", "8080"),
        ("<%=\n\tENV [ 'PORT' ]\t-%>", "8080"),
        ("<%= ENV.fetch('PORT') %>", "8080"),
        ("<%= ENV.fetch( \"PORT\" , 'x' ) -%>", "8080"),
        ("<%= ENV.fetch('NO', 'de\\'fa\\\\ult\\n') %>", "de'fa\\ult\\n"),
        ("<%= ENV.fetch('NO', \"de\\\"fault\\n\") %>", "de\"fault\n"),
        ("<%= ENV.fetch('NO', '') %>", ""),
        ("<%= ENV.fetch('NO', 3212) %><%= ENV.fetch('NO', -1) %>", "3212-1"),
        ("<%= ENV.fetch('EMPTY', 'x') %>", ""),
        ("<%= ENV['É'] %>", "é"),
        ("<%# ENV['NO'] %>a<%#\n%>b<%# c -%>", "ab"),
        ("%<x>s <%%= ENV['NO'] %> <%%", "%<x>s <%= ENV['NO'] %> <%"),
        ("<%= ENV.fetch('NO', 'a %%%> b') %>", "a %%%> b"),
        ("a: <%= ENV['HOSTS'] %>\nb:<%= ENV['LINES'] %>\n", "a: [a, b]\nb:\n  - one\n  - two\n"),
    ] {
        assert_eq!(text(asked), expected, "{asked}");
    }
}

#[test]
fn what_comes_from_the_environment_is_text_and_nothing_is_run() {
    assert_eq!(text("<%= ENV['TAG'] %>"), "<%= ENV['SECRET'] %>");
}

#[test]
fn a_variable_that_is_not_set_is_empty_and_warned_of() {
    let made = made("a: 1\nb: é<%= ENV['NO\n'] %>\n");
    assert_eq!(made.text, "a: 1\nb: é\n");
    assert_eq!(
        said(&made.warnings),
        ["2:5: the environment variable \"NO\\n\" is not set: nothing is written here"]
    );
}

#[test]
fn every_other_tag_is_a_problem_at_its_place() {
    const KNOWN: &str = "of ERB only `<%= ENV['NAME'] %>`, `<%= ENV.fetch('NAME') %>` and `<%= ENV.fetch('NAME', 'default') %>` are understood, and `<%%` for `<%`";
    for (tag, message) in [
        ("<% if true %>", KNOWN),
        ("<%- x -%>", KNOWN),
        ("<%= `id` %>", KNOWN),
        ("<%= ENV %>", KNOWN),
        ("<%= ENV['A'] || 'b' %>", KNOWN),
        ("<%= ENV['A'].to_i %>", KNOWN),
        ("<%= ENV.fetch('A', nil) %>", KNOWN),
        ("<%= ENV.fetch('A',) %>", KNOWN),
        ("<%= ENV.fetch('A' %>", KNOWN),
        ("<%= ENV[A] %>", KNOWN),
        ("<%= ENVIRON['A'] %>", KNOWN),
        ("<%=%>", KNOWN),
        ("<%%>", ""),
        ("<%= ENV['A=B'] %>", "no environment variable can have this name"),
        ("<%= ENV[''] %>", "no environment variable can have this name"),
        ("<%= ENV['A] %>", "this text has no end: its quote is missing"),
        (
            "<%= ENV[\"#{x}\"] %>",
            "nothing can be put into a text by `#`: only environment variables are known",
        ),
        ("<%= ENV[\"\\x41\"] %>", "this escape is not understood: write the text in single quotes"),
        ("<%= ENV.fetch('NO') %>", "the environment variable \"NO\" is not set, and there is no default"),
        ("<%= ENV['A']", "this tag has no end: `%>` is missing"),
        ("<%= ENV['A'] %%>", "this tag has no end: `%>` is missing"),
        ("<%", "this tag has no end: `%>` is missing"),
    ] {
        let text = format!("a: 1\n# é {tag}");
        let expected = if message.is_empty() { vec![] } else { vec![format!("2:5: {message}")] };
        assert_eq!(said(&made(&text).problems), expected, "{tag}");
    }
}

#[test]
fn all_wrong_tags_are_told_at_once_and_nothing_else() {
    let text = "<% a %>: <%= ENV['PORT'] %>\n  <%= b %>: [\n";
    let lines = refused(text);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("s.yaml:1:1: of ERB only"), "{lines:?}");
    assert!(lines[1].starts_with("s.yaml:2:3: of ERB only"), "{lines:?}");
}

#[test]
fn without_an_environment_asking_for_it_is_a_mistake() {
    let text = format!("services: {{}} # <%# fine %>\na: <%= ENV['PORT'] %>\n{HAPROXY}");
    assert_eq!(
        Config::parse(&text, None, &Registry::builtin()).unwrap_err().to_string(),
        "1 problem\n  2:4: the environment is not known here: this text was not loaded from a file"
    );
}

#[test]
fn a_service_can_be_made_of_values() {
    let config = load(
        "services:\n  <%= ENV.fetch('NAME', 'web') %>:\n    discovery: {method: base}\n    default_servers: \
         [{host: <%= ENV.fetch('HOST', 'a') %>, port: <%= ENV['PORT'] %>}]\n    haproxy: {port: <%= ENV['PORT'] %>, \
         listen:<%= ENV.fetch('L', ' [mode http]') %>}\n",
    );
    let text = config.unwrap().render(&Catalog::new(Vec::new()));
    assert!(text.contains("frontend web\n\tmode http\n\tbind localhost:8080\n"), "{text}");
    assert!(text.contains("server a:8080 a:8080"), "{text}");
}

#[test]
fn positions_are_those_of_the_file() {
    // Each line has a value of another length before what is wrong.
    let text = "services: # <%= ENV['SECRET'] %> é\n  a: {x: <%= ENV['PORT'] %>, wrong: <%# é\n %>1, b: <%= ENV['NO'] %>}\n  \
                b:<%= ENV['LINES'] %>\n  c: <%%\n  d: {discovery: {method: base, z: '<%= ENV['É'] %>'}, e: 1}\n";
    let lines = refused(text);
    let places: Vec<_> =
        lines.iter().map(|line| line.splitn(5, ':').skip(1).take(3).collect::<Vec<_>>().join(":")).collect();
    assert_eq!(
        places,
        [
            "2:6: services.a", // missing discovery
            "2:7: services.a.x",
            "2:30: services.a.wrong",
            "3:7: services.a.b",
            "4:5: services.b",
            "5:6: services.c",
            "6:33: services.d.discovery.z",
            "6:56: services.d.e",
        ],
        "{lines:#?}"
    );
}

#[test]
fn a_text_that_is_no_yaml_because_of_a_value_is_told_at_its_tag() {
    for (text, expected) in [
        ("a: 1\nb: <%= ENV.fetch('X', 'c: d') %> # hm\n", "s.yaml:2:4: "),
        (
            "a: 1\na<%= ENV['EMPTY'] %>: 2\n",
            "s.yaml:2:1: the key \"a\" is given twice in this map, first on line 1",
        ),
        (
            "a: 1\nb:<%= ENV['LINES'] %>\nb: 2\n",
            "s.yaml:3:1: the key \"b\" is given twice in this map, first on line 2",
        ),
    ] {
        let lines = refused(text);
        assert!(lines.len() == 1 && lines[0].starts_with(expected), "{lines:?}");
    }
}

#[test]
fn no_message_shows_a_value() {
    for wrong in [
        "<%= ENV['SECRET'] %>: {}",
        "services: <%= ENV['SECRET'] %>",
        "services: {a: <%= ENV['SECRET'] %>}",
        "services: {a: {discovery: {method: <%= ENV['SECRET'] %>}}}",
        "services: {a: {discovery: {method: 'x<%= ENV['SECRET'] %>'}}}",
        "services: {a: {discovery: {method: base}, haproxy: {port: <%= ENV['SECRET'] %>}}}",
        "services: {a: {discovery: {method: base}, haproxy: {port: null, backend_name: 'a <%= ENV['SECRET'] %>'}}}",
        "services: {a: {discovery: {method: base}, haproxy: {port: null, cookie_value_method: <%= ENV['SECRET'] %>}}}",
        "services: {a: {discovery: {method: base}, haproxy: {port: null, server_options: '50% <%= ENV['SECRET'] %>'}}}",
        "services: {a: {discovery: {method: base}, haproxy: {port: null, server_options: '%{<%= ENV['SECRET'] %>}'}}}",
        "services: {a: {discovery: {method: base}, haproxy: {port: null, bind_options: \"<%= ENV['SECRET'] %>\\nx\"}}}",
        "services: {a: {discovery: {method: base}, default_servers: [{host: 'x <%= ENV['SECRET'] %>', port: 1}]}}",
        "services: {a: {discovery: {method: base}, leader_election: &x <%= ENV['SECRET'] %>, keep_default_servers: *x}}",
        "services: {a: {discovery: {method: base}, leader_election: |\n    <%= ENV['SECRET'] %>\n}}",
        "agent: {startup_wait: <%= ENV['SECRET'] %>}",
        "service_conf_dir: /nowhere/<%= ENV['SECRET'] %>",
        "a: <%= ENV['SECRET'] %>\n<%= ENV['SECRET'] %>: b: c",
        "a<%= ENV['SECRET'] %>: 1\na<%= ENV['SECRET'] %>: 1",
        "a: *<%= ENV['SECRET'] %>",
        "a: !<%= ENV['SECRET'] %> b",
    ] {
        let Err(report) = load(&format!("{wrong}\n")) else { panic!("{wrong}") };
        let lines: Vec<_> = report.lines().collect();
        // Keys lead to the place of a mistake: whoever makes one of a secret sees it there.
        let messages = lines
            .iter()
            .filter(|line| !line.contains(": unknown key"))
            .filter(|line| line.contains("hunter2"));
        assert_eq!(messages.collect::<Vec<_>>(), Vec::<&String>::new(), "{wrong}");
    }
}

#[test]
fn what_has_a_short_value_in_it_is_not_shown_at_all() {
    for port in ["<%= ENV['PIN'] %>", "x<%= ENV['PIN'] %>"] {
        let lines = refused(&format!(
            "services: {{a: {{discovery: {{method: base}}, haproxy: {{port: {port}}}}}}}\n"
        ));
        let kind = if port.starts_with('x') { "a string" } else { "a number" };
        let expected = format!("services.a.haproxy.port: expected a port (1 to 65535), found {kind}");
        assert!(lines[0].ends_with(&expected), "{lines:?}");
    }
}

#[test]
fn ports_and_switches_are_shown() {
    let text =
        "services:\n  a: &a {discovery: {method: base}, haproxy: {port: <%= ENV['PORT'] %>}}\n  b: *a\n";
    let lines = refused(text);
    assert!(lines[0].ends_with("service `a` already listens at localhost:8080"), "{lines:?}");
}

#[test]
fn parts_of_a_value_are_hidden_where_they_are_quoted() {
    let values = ["user:hunter2".to_owned(), "x\"y".to_owned(), "abc".to_owned()];
    for (message, shown) in [
        ("found \"user:hunter2\"", "found \"…\""),
        ("found user:hunter2", "found …"),
        ("`hunter2` is unknown; `hunter` too", "`…` is unknown; `…` too"),
        ("`http-request`, not \"hunter2…\"", "`http-request`, not \"…\""),
        ("`abc`, or abcd", "`…`, or abcd"),
        ("a \"b", "a \"b"),
        ("nothing", "nothing"),
    ] {
        assert_eq!(masked(message, &values), shown);
    }
}

#[test]
fn what_values_make_of_a_text_is_bounded() {
    let long = |_: &str| Some("x".repeat(1024 * 1024));
    let text = "<%= ENV['A'] %>".repeat(100);
    let made = expand(&text, Some(&long));
    assert_eq!(
        said(&made.problems),
        ["1:961: with the values of the environment the text is larger than 64 MiB"]
    );
    assert!(made.text.len() < 70 * 1024 * 1024);
    assert_eq!(said(&expand(&"<% %>".repeat(100_000), None).problems).len(), MAX_PROBLEMS);
}

/// Pieces of which tags, and what is nearly one, are made.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("<%"),
        Just("%>"),
        Just("<%="),
        Just("-%>"),
        Just("<%#"),
        Just("<%%"),
        Just("%"),
        Just(" "),
        Just("\n"),
        Just("ENV"),
        Just(".fetch("),
        Just("['PORT']"),
        Just("['NO']"),
        Just("['SECRET']"),
        Just("'"),
        Just("\""),
        Just(")"),
        Just("é"),
        Just("\r\n"),
        Just("\\"),
        Just("#{"),
        Just("<%= ENV['LINES'] %>"),
        Just("<%= ENV['PORT'] %>"),
        Just("a: "),
        Just("- "),
        Just("{"),
        Just("}"),
        Just(","),
        Just("[b]: "),
        Just("\u{a0}"),
        Just("\u{feff}"),
        Just("|\n "),
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_text_makes_it_panic_and_every_place_is_in_the_file(text in pieces()) {
        let made = made(&text);
        let lines: Vec<_> = text.split('\n').collect();
        let inside = |line: u32, column: u32| {
            let line = lines.get(usize::try_from(line).unwrap() - 1);
            column > 0 && line.is_some_and(|line| usize::try_from(column).unwrap() <= line.chars().count() + 1)
        };
        for problem in made.problems.iter().chain(&made.warnings) {
            prop_assert!(inside(problem.line, problem.column), "{problem}");
        }
        if made.problems.is_empty() {
            for line in 0..8 {
                for column in 0..12 {
                    let (line, column) = made.places.of(line, column);
                    prop_assert!(text.is_empty() || !text.contains("<%") || inside(line, column), "{line}:{column}");
                }
            }
        }
        _ = load(&text);
    }

    #[test]
    fn a_text_without_tags_stays_as_it_is(text in "[^<]{0,40}") {
        let made = made(&text);
        prop_assert_eq!(&*made.text, text.as_str());
        prop_assert_eq!(made.places.of(7, 9), (7, 9));
    }

    #[test]
    fn a_value_moves_nothing(before in "[a-z]{0,6}", value in "[a-z0-9]{1,9}", after in 0_usize..9) {
        // The same tree with and without a tag: all but the tag's value stands where it would stand without tags of other lengths.
        let tag = "<%= ENV['V'] %>";
        let text = format!("{before}k:\n  - '{tag}'\n  - [{tag}x, {}y]\nz: 1\n", " ".repeat(after));
        let made = expand(&text, Some(&move |_: &str| Some(value.clone())));
        let plain = parse(&text.replace(tag, &"v".repeat(tag.len()))).unwrap();
        let node = parse::parse_made(&made.text, &made.places).unwrap();
        prop_assert_eq!(outline(&node), outline(&plain));
    }
}

/// Where everything stands.
fn outline(node: &Node) -> Vec<(u32, u32)> {
    let mut places = vec![(node.line, node.column)];
    for entry in node.entries() {
        places.push((entry.line, entry.column));
        places.extend(outline(&entry.value));
    }
    if let Value::Seq(items) = &node.value {
        places.extend(items.iter().flat_map(outline));
    }
    places
}
