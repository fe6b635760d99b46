//! ZooKeeper with access control: digest, SASL, TLS.

mod zk_support;

use e2e::{Certificates, Dir, Proxy, Registrar, RegistrarOptions, Zookeeper, ZookeeperOptions};
use serde_json::{Value, json};
use zk_support::{over_both_clients, register, watch};

over_both_clients!(
    a_user_reads_what_is_his_after_each_reconnect_too,
    a_node_that_may_not_be_read_is_told_and_read_once_it_may,
    a_server_that_takes_no_question_of_strangers_is_told_who_asks,
);

const PASSWORD: &str = "hunter2-secret";

fn reader() -> Value {
    json!({ "user": "reader", "password": PASSWORD })
}

async fn a_user_reads_what_is_his_after_each_reconnect_too(client: &str) {
    let zookeeper = Zookeeper::start().await;
    let mut proxy = Proxy::start(zookeeper.address()).await;
    let options = RegistrarOptions::new().with_auth("writer", "w").with_reader("reader", PASSWORD);
    let registrar = Registrar::connect_with(&zookeeper.hosts(), options).await;
    register(&registrar, [1]).await;
    let mut web = watch(client, &[proxy.address().to_string()], reader());
    web.until_ports([1]).await;
    for port in 2..5 {
        proxy.cut().await;
        web.until_failing().await;
        proxy.heal().await;
        register(&registrar, [port]).await;
        web.until_ports(1..=port).await;
    }
}

async fn a_node_that_may_not_be_read_is_told_and_read_once_it_may(client: &str) {
    let zookeeper = Zookeeper::start().await;
    let options = RegistrarOptions::new().with_auth("writer", "w").with_reader("reader", PASSWORD);
    let registrar = Registrar::connect_with(&zookeeper.hosts(), options).await;
    register(&registrar, [1]).await;
    for more in [json!({}), json!({ "user": "reader", "password": "wrong" })] {
        let mut web = watch(client, &zookeeper.hosts(), more);
        let error = web.until_failing().await;
        assert!(error.contains("/nerve/services/web") && error.contains("read"), "{error}");
        assert!(!error.contains(PASSWORD) && !error.contains("wrong"), "{error}");
        assert!(web.now().snapshot.is_none());
    }
    let mut web = watch(client, &zookeeper.hosts(), reader());
    web.until_ports([1]).await;
}

async fn a_server_that_takes_no_question_of_strangers_is_told_who_asks(client: &str) {
    let options = ZookeeperOptions::new()
        .with_property("zookeeper.enforce.auth.enabled=true")
        .with_property("zookeeper.enforce.auth.schemes=digest");
    let mut zookeeper = options.start().await;
    let options = RegistrarOptions::new().with_auth("writer", "w").with_reader("reader", PASSWORD);
    let registrar = Registrar::connect_with(&zookeeper.hosts(), options).await;
    register(&registrar, [1]).await;
    watch(client, &zookeeper.hosts(), json!({})).until_failing().await;
    let mut web = watch(client, &zookeeper.hosts(), reader());
    web.until_ports([1]).await;
    zookeeper.kill().await;
    web.until_failing().await;
    zookeeper.restart().await;
    register(&registrar, [2]).await;
    web.until_ports([1, 2]).await;
}

fn tls(certificates: &Certificates, more: Value) -> Value {
    let mut section = json!({ "tls": { "ca": certificates.ca() } });
    if let (Value::Object(tls), Value::Object(more)) = (&mut section["tls"], more) {
        tls.extend(more);
    }
    section
}

const CLIENT: &str = "zookeeper-client";

#[tokio::test]
async fn certificates_are_shown_and_checked_both_ways() {
    let certificates = Certificates::generate();
    let mut zookeeper = ZookeeperOptions::new().with_mutual_tls(&certificates).start().await;
    let registrar = Registrar::connect(&zookeeper.hosts()).await;
    register(&registrar, [1]).await;
    let ours = json!({ "certificate": certificates.client_certificate(), "key": certificates.client_key() });
    let mut web = watch(CLIENT, &zookeeper.tls_hosts(), tls(&certificates, ours));
    web.until_ports([1]).await;
    register(&registrar, [2]).await;
    web.until_ports([1, 2]).await;

    watch(CLIENT, &zookeeper.tls_hosts(), tls(&certificates, json!({}))).until_failing().await;

    zookeeper.kill().await;
    web.until_failing().await;
    zookeeper.restart().await;
    web.until_ports([1, 2]).await;
}

#[tokio::test]
async fn a_server_of_another_authority_or_another_name_is_not_believed() {
    let certificates = Certificates::generate();
    let zookeeper = ZookeeperOptions::new().with_tls(&certificates).start().await;
    let registrar = Registrar::connect(&zookeeper.hosts()).await;
    register(&registrar, [1]).await;
    let port = zookeeper.tls_address().port();
    // The certificate has this name, too; and not this address.
    watch(CLIENT, &[format!("localhost:{port}")], tls(&certificates, json!({}))).until_ports([1]).await;
    let error =
        watch(CLIENT, &[format!("127.0.0.2:{port}")], tls(&certificates, json!({}))).until_failing().await;
    assert!(error.contains("connecting to 127.0.0.2"), "{error}");
    let other = Certificates::generate();
    let mut stranger = watch(CLIENT, &zookeeper.tls_hosts(), tls(&other, json!({})));
    let error = stranger.until_failing().await;
    assert!(error.contains("InvalidCertificate"), "{error}");
    assert!(stranger.now().snapshot.is_none());
}

#[tokio::test]
async fn certificates_that_appear_later_are_read_then() {
    let certificates = Certificates::generate();
    let zookeeper = ZookeeperOptions::new().with_tls(&certificates).start().await;
    let registrar = Registrar::connect(&zookeeper.hosts()).await;
    register(&registrar, [1]).await;
    let dir = Dir::new("tls");
    let ca = dir.join("ca.pem");
    let mut web = watch(CLIENT, &zookeeper.tls_hosts(), json!({ "tls": { "ca": ca } }));
    let error = web.until_failing().await;
    assert!(error.contains("ca.pem") && error.contains("No such file"), "{error}");
    std::fs::copy(certificates.ca(), ca).expect("copying a file");
    web.until_ports([1]).await;
}

#[tokio::test]
async fn sasl_says_who_we_are_after_each_reconnect_too() {
    let certificates = Certificates::generate();
    let options = ZookeeperOptions::new().with_sasl("reader", PASSWORD).with_tls(&certificates);
    let mut zookeeper = options.start().await;
    let publisher = RegistrarOptions::new().with_auth("writer", "w").with_sasl_reader("reader");
    let registrar = Registrar::connect_with(&zookeeper.hosts(), publisher).await;
    register(&registrar, [1]).await;
    let sasl = |password: &str| json!({ "sasl": { "user": "reader", "password": password } });
    let mut both = tls(&certificates, json!({}));
    both["sasl"] = sasl(PASSWORD)["sasl"].clone();
    for (hosts, more) in [(zookeeper.hosts(), sasl(PASSWORD)), (zookeeper.tls_hosts(), both)] {
        watch(CLIENT, &hosts, more).until_ports([1]).await;
    }
    let error = watch(CLIENT, &zookeeper.hosts(), sasl("wrong")).until_failing().await;
    assert!(!error.contains("wrong"), "{error}");

    let mut web = watch(CLIENT, &zookeeper.hosts(), sasl(PASSWORD));
    web.until_ports([1]).await;
    zookeeper.kill().await;
    web.until_failing().await;
    zookeeper.restart().await;
    register(&registrar, [2]).await;
    web.until_ports([1, 2]).await;
}
