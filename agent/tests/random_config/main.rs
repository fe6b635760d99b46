//! Random configurations and random answers of registries: nothing panics, equal input gives equal bytes, and HAProxy takes every
//! file whose user's lines it takes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod answer;
#[allow(dead_code, reason = "shared with another test, which needs all of it")]
#[path = "../golden_files/haproxy.rs"]
mod haproxy;
mod site;

use agent::{Config, Registry, discovery::Catalog};
use proptest::{prelude::*, test_runner::TestRunner};
use serde_json::{Value, json};

use crate::site::{in_order, without_servers};

fn read(text: &str) -> Result<Config, agent::config::Report> {
    Config::parse(text, None, &Registry::builtin())
}

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() })
}

/// What every configuration has to hold. Whether it was one at all.
fn holds(config: &Value, catalog: &Catalog) -> Result<bool, TestCaseError> {
    let text = in_order(config, false);
    let parsed = match read(&text) {
        Ok(parsed) => parsed,
        Err(report) => {
            prop_assert!(!report.problems().is_empty());
            prop_assert_eq!(report.to_string(), read(&text).unwrap_err().to_string());
            return Ok(false);
        }
    };
    let rendered = parsed.render(catalog);
    prop_assert_eq!(&parsed.render(catalog), &rendered, "rendered twice");
    prop_assert_eq!(&read(&text).unwrap().render(catalog), &rendered, "read twice");
    let reversed = read(&in_order(config, true)).map_err(|report| TestCaseError::fail(report.to_string()))?;
    prop_assert_eq!(&reversed.render(catalog), &rendered, "with its keys the other way round");
    prop_assert!(rendered.ends_with('\n') && !rendered.ends_with("\n\n"), "{}", rendered);
    prop_assert!(!rendered.contains(['\r', '\0']));
    let explained = agent::config::explain(&agent::config::parse(&text).unwrap(), None);
    prop_assert!(explained.differences().iter().all(|one| !one.places.is_empty()));
    Ok(true)
}

#[test]
fn equal_input_gives_equal_bytes_whatever_it_is() {
    let mut read = 0;
    let strategy = (site::site(), answer::catalog());
    for _ in 0..300 {
        let mut runner = runner(1);
        let outcome = std::cell::Cell::new(false);
        let result = runner.run(&strategy, |(config, catalog)| {
            outcome.set(holds(&config, &catalog)?);
            Ok(())
        });
        result.unwrap_or_else(|error| panic!("{error}"));
        read += usize::from(outcome.get());
    }
    assert!(read > 150, "{read} of 300 are configurations: the others test little");
}

#[test]
fn whatever_stands_in_place_of_a_value_is_read_or_refused() {
    let strategy = (site::site(), answer::catalog(), any::<prop::sample::Index>(), site::anything());
    runner(400)
        .run(&strategy, |(mut config, catalog, at, other)| {
            let places = site::places(&config);
            *config.pointer_mut(&places[at.index(places.len())]).unwrap() = other;
            holds(&config, &catalog).map(drop)
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn no_text_makes_reading_panic() {
    let texts = prop_oneof!["\\PC{0,200}", "[\\[\\]{}:,&*!|>'\"#%@ \n\t0-9a-z<=-]{0,120}"];
    runner(400)
        .run(&texts, |text| {
            let outcome = read(&text).map(|config| config.render(&Catalog::new(Vec::new())));
            prop_assert!(
                outcome.is_ok_and(|text| text.ends_with('\n'))
                    || !read(&text).unwrap_err().problems().is_empty()
            );
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn live_haproxy_takes_each_file_whose_own_lines_it_takes() {
    const CASES: u32 = 150;
    let (mut taken, mut strategy) = (0, (site::site(), answer::catalog()));
    for _ in 0..CASES {
        let counted = std::cell::Cell::new(false);
        let result = runner(1).run(&strategy, |(config, catalog)| {
            let (Ok(with), Ok(without)) =
                (read(&config.to_string()), read(&without_servers(&config).to_string()))
            else {
                return Ok(());
            };
            let nobody = Catalog::parse(&json!({ "a": [], "b": [], "c": [] }).to_string()).unwrap();
            if !haproxy::check(&without.render(&nobody)).taken() {
                return Ok(());
            }
            counted.set(true);
            let text = with.render(&catalog);
            let said = haproxy::check(&text);
            prop_assert!(said.taken(), "{}\n{}", said, text);
            Ok(())
        });
        result.unwrap_or_else(|error| panic!("{error}"));
        taken += u32::from(counted.get());
        strategy = (site::site(), answer::catalog());
    }
    assert!(taken > CASES / 3, "{taken} of {CASES} have lines that HAProxy takes: the others test nothing");
}
