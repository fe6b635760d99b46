//! Any text is parsed without a panic, and what is accepted comes out as it went in.

mod strategy;

use std::collections::BTreeSet;

use haproxy_render::{
    Address, Cookie, Ids, Line, Name, Section, ServerId, ServerOptions, directive, keyword,
};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn accepted_words_come_out_as_they_went_in(text in prop_oneof![strategy::hostile(), any::<String>()]) {
        if let Ok(name) = Name::parse(&text) {
            prop_assert_eq!(name.as_str(), &text);
            prop_assert_eq!(Cookie::from(&name), Cookie::parse(&text).expect("a name is a cookie value"));
        }
        if let Ok(cookie) = Cookie::parse(&text) {
            prop_assert_eq!(cookie.as_str(), &text);
        }
        if let Ok(address) = Address::parse(&text) {
            prop_assert_eq!(Address::parse(&address.to_string()), Ok(address));
        }
        if let Ok(line) = Line::parse(&text) {
            // A backslash makes the blank behind it a part of the word.
            let kept = line.as_str().strip_prefix(text.trim());
            prop_assert!(matches!(kept, Some("" | " " | "\t")), "{:?}", line);
            prop_assert_eq!(Line::parse(line.as_str()), Ok(line));
        }
    }

    #[test]
    fn accepted_options_are_read_again_as_themselves(text in prop_oneof![strategy::hostile(), any::<String>()]) {
        if let Ok(options) = ServerOptions::trusted(&text) {
            prop_assert_eq!(ServerOptions::trusted(options.as_str()), Ok(options));
        }
        if let Ok(options) = ServerOptions::untrusted(&text) {
            prop_assert!(options.is_plain());
            prop_assert_eq!(ServerOptions::untrusted(options.as_str()), Ok(options.clone()));
            prop_assert_eq!(ServerOptions::trusted(options.as_str()), Ok(options));
        }
        let (id, rest) = ServerOptions::split_id(&text);
        prop_assert!(id.is_some() || rest == text);
        prop_assert_eq!(ServerOptions::split_id(&rest).0, None);
    }

    #[test]
    fn a_registry_can_not_use_what_it_may_not(
        before in "(check )?",
        denied in prop::sample::select(vec![
            "addr", "agent-addr", "ca-file", "check-proto", "check-via-socks4", "cookie", "crl-file", "crt", "disabled", "enabled",
            "guid", "healthcheck", "id", "init-addr", "log-bufsize", "log-proto", "namespace", "on-marked-up",
            "pool-conn-name", "redir", "resolve-net", "resolve-opts", "resolve-prefer", "resolvers",
            "set-proxy-v2-tlv-fmt(0x20)", "sni", "socks4", "source", "ssl", "track", "usesrc", "verify",
        ]),
        blank in "[ \t\n]{1,3}",
        after in "[a-z0-9./]{0,5}",
    ) {
        let text = format!("{before}{denied}{blank}{after}");
        let refused = ServerOptions::untrusted(&text).expect_err("a denied option is refused");
        prop_assert_eq!(refused.word(), denied);
    }

    #[test]
    fn every_line_of_a_listen_section_is_kept(lines in prop::collection::vec(strategy::line(), 0..8)) {
        let split = keyword::split(&lines);
        for line in &lines {
            prop_assert!(split.frontend.contains(line) || split.backend.contains(line));
            keyword::removed(line);
        }
        directive::sets_init_addr(&lines);
        directive::mode(&lines);
        directive::balance(&lines);
        directive::has_cookie(&lines);
    }

    #[test]
    fn a_modern_title_stays(title in strategy::line(), lines in strategy::lines()) {
        let (section, _) = Section::new(title, lines).modernised();
        prop_assert_eq!(section.clone().modernised(), (section, false));
    }

    #[test]
    fn an_id_stays_with_a_living_server(
        first in servers(),
        second in servers(),
        max in 1..40_u32,
        reserved in prop::collection::vec(1..10_u32, 0..3),
    ) {
        let id = |id| ServerId::new(id).expect("above zero");
        let ids = Ids::new().max(id(max));
        let before = ids.assign(first).ids;
        let reserved: BTreeSet<_> = reserved.into_iter().map(id).filter(|id| !before.values().any(|had| had == id)).collect();
        let ids = ids.previous(before.clone()).reserved(reserved.clone());
        let after = ids.assign(second.clone());

        let unique: BTreeSet<_> = after.ids.values().collect();
        prop_assert_eq!(unique.len(), after.ids.len());
        for (name, want) in &second {
            let (had, has) = (before.get(name), after.ids.get(name));
            prop_assert_eq!(has.is_none(), after.left_out.contains(name));
            if let Some(has) = has {
                prop_assert!(!reserved.contains(has));
                // It keeps what it had, or got what it asked for, or is new and within the bound.
                prop_assert!(had == Some(has) || want.as_ref() == Some(has) || (had.is_none() && has.get() <= max));
            }
            prop_assert!(had.is_none() || has.is_some());
        }
        let mut shuffled = second;
        shuffled.reverse();
        prop_assert_eq!(ids.assign(shuffled), after);
    }
}

/// Servers of different names from a small set, some of which ask for an id.
fn servers() -> impl Strategy<Value = Vec<(Name, Option<ServerId>)>> {
    let id = prop::option::weighted(0.3, (1..60_u32).prop_map(|id| ServerId::new(id).expect("above zero")));
    prop::collection::btree_map(0..30_u8, id, 0..20).prop_map(|servers| {
        let named = |number| Name::parse(&format!("s{number}")).expect("a number makes a name");
        servers.into_iter().map(|(number, id)| (named(number), id)).collect()
    })
}
