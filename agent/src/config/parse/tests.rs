use std::fmt::Write;

use proptest::prelude::*;

use super::*;

/// Kind, text and position of every value, one a line.
fn outline(text: &str) -> Vec<String> {
    fn walk(node: &Node, name: &str, lines: &mut Vec<String>) {
        let shown = node
            .text()
            .map_or_else(|| format!("{:?}", node.value), |text| format!("{:?} {text:?}", node.value));
        lines.push(format!("{name}{shown} {}:{}", node.line, node.column));
        for entry in node.entries() {
            walk(&entry.value, &format!("{}({}:{}) ", entry.key, entry.line, entry.column), lines);
        }
        if let Value::Seq(items) = &node.value {
            for item in items {
                walk(item, "- ", lines);
            }
        }
    }
    let mut lines = Vec::new();
    walk(&parse(text).unwrap(), "", &mut lines);
    lines
}

fn error(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

#[test]
fn json_with_comments_keeps_the_positions_of_the_file() {
    let text = "// head\n{ /* é */ \"a\": \"http://x\", # c\r\n\t\"b\": [1,\n\t// two\n\t2,],\n}\n";
    assert_eq!(
        outline(text),
        [
            "map of 2 2:1",
            "a(2:11) string \"http://x\" 2:16",
            "b(3:2) list of 2 3:7",
            "- number \"1\" 3:8",
            "- number \"2\" 5:2",
        ]
    );
}

#[test]
fn yaml_keeps_the_positions_of_the_file() {
    assert_eq!(
        outline("a: x\nb:\n  - 1\n  - c: 2.5\nd:\n"),
        [
            "map of 3 1:1",
            "a(1:1) string \"x\" 1:4",
            "b(2:1) list of 2 3:3",
            "- number \"1\" 3:5",
            "- map of 1 4:5",
            "c(4:5) number \"2.5\" 4:8",
            "d(5:1) null 5:2",
        ]
    );
}

#[test]
fn columns_count_characters() {
    assert_eq!(
        outline("{\"grün\": \"日本\", \"b\": 1}")[1..],
        ["grün(1:2) string \"日本\" 1:10", "b(1:16) number \"1\" 1:21"]
    );
}

#[test]
fn what_editors_and_web_pages_add_is_no_content() {
    let plain = parse("{\"a\": [1, 2]}").unwrap();
    for text in [
        "\u{feff}{\"a\": [1, 2]}",
        "{\r\n  \"a\": [1,\r\n 2]\r\n}\r\n",
        "{\u{a0}\"a\":\u{a0}[1,\u{a0}2]\u{a0}}",
        "{\n\t\t\"a\":\t[1,\t2]\n}",
        "\u{feff}a:\r\n\u{a0}\u{a0}- 1\r\n  -\u{a0}2\r\n",
        "---\na: [1, 2]\n...\n",
        "[\n\n// only one\n]",
    ] {
        assert_eq!(parse(text).unwrap().same_as(&plain), !text.starts_with('['), "{text:?}");
    }
    assert_eq!(outline("\u{feff}{\"a\": 1}")[0], "map of 1 1:1");
}

#[test]
fn scalars_are_what_they_look_like_and_nothing_that_readers_disagree_on() {
    let shown = outline("[12, -5, 1.5, 1e3, 0x1F, 0o17, true, False, null, ~, '80', 'true']");
    let kinds: Vec<_> = shown[1..].iter().map(|line| line.split(' ').nth(1).unwrap()).collect();
    let expected = "number number number number number number boolean boolean null null string string";
    assert_eq!(kinds, expected.split(' ').collect::<Vec<_>>());
    for text in [
        "012",
        "1_000",
        "yes",
        "no",
        "on",
        "Off",
        ".inf",
        "1e999",
        "2024-01-01",
        "1.2.3",
        "12:30",
        "18446744073709551615",
        "99999999999999999999999999999999999999999999",
        "10.0.0.0/8",
    ] {
        assert!(matches!(parse(text).unwrap().value, Value::Str(_) | Value::Float(_)), "{text}");
    }
    assert!(
        matches!(&parse("18446744073709551615").unwrap().value, Value::Str(digits) if digits == "18446744073709551615")
    );
    assert!(matches!(parse("0x1F").unwrap().value, Value::Int(31)));
    assert!(matches!(parse("0o17").unwrap().value, Value::Int(15)));
}

#[test]
fn escapes_of_json_are_understood() {
    let tree = parse(r#"["\ud83d\ude00\/\u0041\n"]"#).unwrap();
    assert!(tree.same_as(&parse("[\"😀/A\\n\"]").unwrap()));
}

#[test]
fn anchors_aliases_and_merge_keys_point_at_their_use() {
    assert_eq!(
        outline("a: &x {k: 1}\nb:\n  <<: *x\n  z: 2\nc: *x\n"),
        [
            "map of 3 1:1",
            "a(1:1) map of 1 1:7",
            "k(1:8) number \"1\" 1:11",
            "b(2:1) map of 2 3:3",
            "z(4:3) number \"2\" 4:6",
            "k(3:7) number \"1\" 3:7",
            "c(5:1) map of 1 5:4",
            "k(5:4) number \"1\" 5:4",
        ]
    );
}

#[test]
fn an_empty_document_says_so() {
    for text in ["", "  \n\n", "# nothing\n", "\u{feff}", "---\n", "\u{a0}\n", "// nothing\n/* at all */"] {
        assert_eq!(error(text), "1:1: the document is empty", "{text:?}");
    }
}

#[test]
fn a_key_given_twice_names_both_places() {
    assert_eq!(
        error("{\n  \"a\": {\"port\": 1,\n    \"port\": 2}\n}"),
        "3:5: the key \"port\" is given twice in this map, first on line 2"
    );
    assert_eq!(error("a: 1\nb: 2\na: 3\n"), "3:1: the key \"a\" is given twice in this map, first on line 1");
}

#[test]
fn a_key_is_text() {
    assert_eq!(error("~: 1"), "1:1: a key must be text, found null");
    assert_eq!(error("a:\n  null: 1"), "2:3: a key must be text, found null");
    assert_eq!(error("? [a, b]\n: 1"), "1:3: a key must be text, found a list or a map");
    assert_eq!(error("{{a: 1}: 2}"), "1:2: a key must be text, found a list or a map");
    assert_eq!(outline("80: a\ntrue: b\n")[1..], ["80(1:1) string \"a\" 1:5", "true(2:1) string \"b\" 2:7"]);
}

#[test]
fn broken_text_is_reported_where_it_breaks() {
    for (text, expected) in [
        ("{\"a\": 1 \"b\": 2}", "1:12: expected `,` or `}` before this"),
        ("{\"a\": [1,2}", "1:7: mismatched bracket '[' closed by '}'"),
        ("{\n  \"é\": \"x\n}", "2:8: this quote is never closed"),
        ("a:\n\t b: 1", "2:3: YAML is indented with spaces, not with tabs"),
        ("a: *nope", "1:4: alias references unknown anchor"),
        ("a: 1\n---\nb: 2\n", "3:1: a second document begins here: a configuration is one document"),
        ("{\"a\": 1} /* open", "1:10: this comment has no end: `*/` is missing"),
    ] {
        assert_eq!(error(text), expected);
    }
}

#[test]
fn nesting_is_bounded_well_before_the_stack_is() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(parse(&nested(MAX_DEPTH)).is_ok());
    assert_eq!(error(&nested(MAX_DEPTH + 1)), format!("1:{}: nested deeper than 32 levels", MAX_DEPTH + 1));
    assert!(error(&"[".repeat(100_000)).ends_with(": nested deeper than 32 levels"));
    assert!(error(&"{a: ".repeat(10_000)).ends_with(": nested deeper than 32 levels"));
    let mut steps = String::new();
    for level in 0..500 {
        writeln!(steps, "{}a:", " ".repeat(level)).unwrap();
    }
    assert!(error(&steps).contains("deeper"));
}

#[test]
fn aliases_that_unfold_without_bound_are_refused() {
    let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..12 {
        let below = vec![format!("*a{}", level - 1); 9].join(",");
        writeln!(bomb, "a{level}: &a{level} [{below}]").unwrap();
    }
    assert!(error(&bomb).ends_with("more than a configuration can need"), "{}", error(&bomb));
    let wide = format!("a: &a [{}]\nb: [{}]\n", vec!["x"; 10_000].join(","), ["*a"; 200].join(","));
    assert!(error(&wide).ends_with("more than a configuration can need"), "{}", error(&wide));
    assert_eq!(error("a: &a [*a]"), "1:8: this alias stands inside what it refers to");
}

#[test]
fn thousands_of_services_may_share_one_anchor() {
    let mut text = "defaults: &d {check_interval: 5, server_options: check}\nservices:\n".to_owned();
    for service in 0..3000 {
        writeln!(text, "  s{service}:\n    <<: *d\n    port: {}", 10_000 + service).unwrap();
    }
    let tree = parse(&text).unwrap();
    let last = tree.get("services").and_then(|services| services.get("s2999")).unwrap();
    assert_eq!(last.get("port").unwrap().text().unwrap(), "12999");
    assert_eq!(last.get("server_options").unwrap().text().unwrap(), "check");
}

#[test]
fn a_file_of_the_fork_from_2015_is_read() {
    let text = include_str!("../../../tests/fixtures/clay.synapse.conf.json");
    let tree = parse(text).unwrap();
    let service = tree.get("services").and_then(|services| services.get("myservice")).unwrap();
    let interval = service.get("discovery").and_then(|discovery| discovery.get("check_interval")).unwrap();
    assert_eq!((interval.text().unwrap().as_ref(), interval.line, interval.column), ("120.0", 10, 27));
    let port = service.get("haproxy").and_then(|haproxy| haproxy.get("server_port_override")).unwrap();
    assert_eq!((port.text().unwrap().as_ref(), port.line), ("50001", 17));
    let stats = tree.get("haproxy").and_then(|haproxy| haproxy.get("extra_sections")).unwrap();
    assert_eq!(stats.entries()[0].key, "listen stats :1937");
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in ".{0,200}") {
        let _ = parse(&text);
    }

    #[test]
    fn no_text_of_its_own_signs_makes_the_parser_panic(
        text in "[\\[\\]{}:,\"'/*#&!|>\\\\%@`?~<=\\-+ \t\n\r\u{a0}\u{feff}0-9a-cxeé日]{0,80}"
    ) {
        if let Err(error) = parse(&text) {
            prop_assert!(error.line >= 1 && error.column >= 1 && !error.message.is_empty());
        }
    }

    #[test]
    fn a_string_of_json_survives_whatever_it_holds(text in "[\x00-\x1f\\P{C}]{0,60}") {
        let json = serde_json::json!({ "before": 1, "k": text }).to_string();
        let tree = parse(&json).unwrap();
        prop_assert_eq!(tree.get("k").unwrap().text().unwrap(), text);
    }
}
