//! `schema`.

use e2e::Dir;

use crate::program::run;

#[tokio::test]
async fn the_schema_is_printed_without_a_configuration_and_has_the_methods_of_the_build() {
    let outcome = run(&Dir::new("schema"), ["schema"]).await;
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    let schema: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let methods =
        schema["$defs"]["discovery"]["properties"]["method"]["anyOf"][0]["enum"].as_array().unwrap();
    for method in ["base", "dns", "etcd", "file", "multi", "zookeeper"] {
        assert!(methods.iter().any(|known| known == method), "{method}: {methods:?}");
    }
}
