//! Whatever lies about where a configuration should be.

use std::fs;

use proptest::{collection::vec, prelude::*};

use super::*;

/// One thing in the directory.
#[derive(Debug, Clone)]
enum Thing {
    File(Vec<u8>),
    Directory,
    Link(String),
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop_oneof![
        Just("services:\n"),
        Just("  web: "),
        Just("discovery: {method: base}\n"),
        Just("{"),
        Just("}"),
        Just("\n"),
        Just("haproxy: {port: 1}\n"),
        Just("<%= ENV['A'] %>"),
        Just("<%="),
        Just("- a\n"),
        Just("&a "),
        Just("*a "),
        Just("default_servers: [{host: a, port: 1}]\n"),
        Just("\u{feff}"),
        Just("load_test_concurrency: 3\n"),
        Just("é"),
        Just("\0"),
        Just("\r"),
        Just(": "),
        Just("\""),
    ];
    let text = vec(pieces, 0..9).prop_map(|pieces| pieces.concat().into_bytes());
    prop_oneof![8 => text, 1 => vec(any::<u8>(), 0..40)]
}

fn thing() -> impl Strategy<Value = Thing> {
    prop_oneof![
        8 => content().prop_map(Thing::File),
        1 => Just(Thing::Directory),
        1 => "(\\.\\./main\\.yaml|b\\.yaml|nowhere|\\.|/dev/null)".prop_map(Thing::Link),
    ]
}

fn name() -> impl Strategy<Value = String> {
    let stem = prop_oneof![
        Just("a"),
        Just("b"),
        Just("b.c"),
        Just(""),
        Just("."),
        Just("ü"),
        Just("x\ny"),
        Just("a b"),
        Just("-")
    ];
    let end = prop_oneof![5 => Just(".yaml"), 4 => Just(".json"), 1 => Just(".yml"), 1 => Just(".YAML"), 1 => Just("~")];
    (stem, end).prop_map(|(stem, end)| format!("{stem}{end}"))
}

impl Thing {
    fn make(&self, site: &Site, name: &str) {
        let path = site.path("conf.d").join(name);
        // Two of one name: the first is there.
        _ = match self {
            Self::File(content) if !path.exists() => fs::write(path, content),
            Self::File(_) => Ok(()),
            Self::Directory => fs::create_dir(path),
            Self::Link(to) => symlink(to, path),
        };
    }
}

proptest! {
    #[test]
    fn no_tree_of_files_makes_it_panic(things in vec((name(), thing()), 0..7), main in prop_oneof![2 => Just(Vec::new()), 1 => content()]) {
        let site = Site::split("");
        if !main.is_empty() {
            let mut text = fs::read(site.path("main.yaml")).unwrap();
            text.extend(main);
            fs::write(site.path("main.yaml"), text).unwrap();
        }
        for (name, thing) in &things {
            thing.make(&site, name);
        }
        let loader = site.loader();
        let first = loader.load();
        prop_assert!(!loader.changed(&first.fingerprint));
        let second = loader.load();
        prop_assert_eq!(&first.fingerprint, &second.fingerprint);
        match (first.config, second.config) {
            (Ok(first), Ok(second)) => {
                prop_assert_eq!(served(&first), served(&second));
                prop_assert_eq!(first.warnings(), second.warnings());
            }
            (Err(first), Err(second)) => {
                prop_assert_eq!(first.to_string(), second.to_string());
                if let LoadError::Wrong(report) = first {
                    for line in report.lines() {
                        prop_assert!(!line.contains(['\n', '\r', '\0']), "{line:?}");
                        prop_assert!(line.contains("main.yaml:") || line.contains("conf.d/"), "{line:?}");
                    }
                }
            }
            (first, second) => prop_assert!(false, "{:?}, and then {:?}", first.is_ok(), second.is_ok()),
        }
    }
}
