//! etcd over TLS.

mod etcd_support;

use e2e::{Certificates, EtcdOptions};
use etcd_support::{register, watch};
use serde_json::{Value, json};

fn client(certificates: &Certificates, server_name: &str) -> Value {
    json!({ "tls": {
        "ca": certificates.ca(),
        "certificate": certificates.client_certificate(),
        "key": certificates.client_key(),
        "server_name": server_name,
    }})
}

#[tokio::test]
async fn certificates_are_shown_and_checked_both_ways() {
    let certificates = Certificates::generate();
    let etcd = EtcdOptions::new().with_mutual_tls(&certificates).start().await;
    register(&etcd, 1).await;
    let mut web = watch(&[etcd.address().to_string()], client(&certificates, "localhost"));
    web.until_ports([1]).await;
    register(&etcd, 2).await;
    web.until_ports([1, 2]).await;

    let anonymous = json!({ "tls": { "ca": certificates.ca() } });
    watch(&etcd.endpoints(), anonymous).until_failing().await;
}

#[tokio::test]
async fn a_server_of_another_authority_is_not_believed() {
    let certificates = Certificates::generate();
    let etcd = EtcdOptions::new().with_tls(&certificates).start().await;
    let other = Certificates::generate();
    let error = watch(&etcd.endpoints(), json!({ "tls": { "ca": other.ca() } })).until_failing().await;
    assert!(error.contains("invalid peer certificate"), "{error}");
    let error = watch(&etcd.endpoints(), json!({})).until_failing().await;
    assert!(error.contains("invalid peer certificate"), "the system does not know the authority: {error}");
}

#[tokio::test]
async fn a_server_of_another_name_is_not_believed() {
    let certificates = Certificates::generate();
    let etcd = EtcdOptions::new().with_tls(&certificates).start().await;
    let error = watch(&etcd.endpoints(), client(&certificates, "etcd.example")).until_failing().await;
    assert!(error.contains("certificate not valid for name"), "{error}");
}

#[tokio::test]
async fn files_that_appear_later_are_read_then() {
    let certificates = Certificates::generate();
    let etcd = EtcdOptions::new().with_tls(&certificates).start().await;
    register(&etcd, 1).await;
    let dir = e2e::Dir::new("tls");
    let ca = dir.join("ca.pem");
    let mut web = watch(&etcd.endpoints(), json!({ "tls": { "ca": ca } }));
    let error = web.until_failing().await;
    assert!(error.contains("ca.pem") && error.contains("No such file"), "{error}");
    std::fs::copy(certificates.ca(), ca).expect("copying a file");
    web.until_ports([1]).await;
}
