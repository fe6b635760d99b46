//! etcd wants to know who asks.

mod etcd_support;

use std::time::Duration;

use e2e::{Dir, Etcd, EtcdOptions};
use etcd_support::{WEB, connect, key, register, registration, section, watch, watch_web, watching};
use serde_json::{Value, json};

const ROOT: &str = "root-s3cret";
const PASSWORD: &str = "hunter2-s3cret";

fn reader() -> Value {
    json!({ "user": "reader", "password": PASSWORD })
}

async fn secured(options: EtcdOptions) -> Etcd {
    let etcd = options.start().await;
    register(&etcd, 1).await;
    etcd.put("/other/db/1", &registration(5432)).await;
    etcd.enable_auth(ROOT, "reader", PASSWORD, "/services/").await;
    etcd
}

async fn as_root(etcd: &Etcd, args: &[&str]) {
    let user = format!("--user=root:{ROOT}");
    // Its own five seconds are too few on a machine that is busy with other tests.
    let flags = [user.as_str(), "--dial-timeout=60s", "--command-timeout=60s"];
    let output = etcd.etcdctl(&[&flags, args].concat()).await;
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn a_user_reads_what_he_may_read() {
    let etcd = secured(EtcdOptions::new()).await;
    let mut web = watch(&etcd.endpoints(), reader());
    web.until_ports([1]).await;
    register(&etcd, 2).await;
    web.until_ports([1, 2]).await;
}

#[tokio::test]
async fn a_wrong_password_and_none_at_all_are_told_without_being_shown() {
    let etcd = secured(EtcdOptions::new()).await;
    let wrong = json!({ "user": "reader", "password": "wr0ng-s3cret" });
    let error = watch(&etcd.endpoints(), wrong).until_failing().await;
    assert!(error.contains("invalid user ID or password"), "{error}");
    assert!(!error.contains("s3cret"), "{error}");
    let error = watch_web(&etcd).until_failing().await;
    assert!(error.contains("user name is empty"), "{error}");
}

#[tokio::test]
async fn a_user_is_not_needed_where_authentication_is_off_and_is_there_when_it_comes_on() {
    let etcd = Etcd::start().await;
    register(&etcd, 1).await;
    let (cluster, prefix) = connect(section(&etcd.endpoints(), WEB, reader()));
    let mut web = watching(&cluster, &prefix);
    web.until_ports([1]).await;
    etcd.enable_auth(ROOT, "reader", PASSWORD, "/services/").await;
    watching(&cluster, &prefix).until_ports([1]).await;
    register(&etcd, 2).await;
    web.until_ports([1, 2]).await;
}

#[tokio::test]
async fn a_denied_prefix_fails_alone_and_recovers_when_it_is_granted() {
    let etcd = secured(EtcdOptions::new()).await;
    let (cluster, prefix) = connect(section(&etcd.endpoints(), WEB, reader()));
    let mut web = watching(&cluster, &prefix);
    let mut db = watching(&cluster, &"/other/db".parse().expect("a prefix"));
    let error = db.until_failing().await;
    assert!(
        error.starts_with("watching /other/db/ in etcd") && error.contains("permission denied"),
        "{error}"
    );
    web.until_ports([1]).await;
    assert!(web.now().health.error().is_none());
    as_root(&etcd, &["role", "grant-permission", "reader", "read", "--prefix=true", "/other/"]).await;
    db.until_ports([5432]).await;
    register(&etcd, 2).await;
    web.until_ports([1, 2]).await;
}

#[tokio::test]
async fn an_expired_token_is_followed_by_another() {
    let ttl = Duration::from_secs(1);
    let etcd = secured(EtcdOptions::new().with_auth_token_ttl(ttl)).await;
    let (cluster, prefix) = connect(section(&etcd.endpoints(), WEB, reader()));
    let mut web = watching(&cluster, &prefix);
    web.until_ports([1]).await;
    for round in 2..4 {
        // A token lives for as long as it is used, so asking whether it has ended would keep it alive: only etcd's clock can end it.
        tokio::time::sleep(ttl * 3).await;
        watching(&cluster, &prefix).until_ports(1..round).await;
        // The harness's own token has expired as well.
        as_root(&etcd, &["put", &key(round), &registration(round)]).await;
        web.until_ports(1..=round).await;
    }
}

#[tokio::test]
async fn a_user_who_is_added_ends_no_watch() {
    let dir = Dir::new("jwt");
    let secret = dir.write("secret", "any bytes will do for an HMAC, but not too few of them");
    // Only tokens of this kind carry the revision of the users' list.
    let jwt = format!("--auth-token=jwt,priv-key={},sign-method=HS256", secret.display());
    let etcd = secured(EtcdOptions::new().with_flag(&jwt)).await;
    let (cluster, prefix) = connect(section(&etcd.endpoints(), WEB, reader()));
    let mut web = watching(&cluster, &prefix);
    web.until_ports([1]).await;
    as_root(&etcd, &["user", "add", "another:pass"]).await;
    watching(&cluster, &prefix).until_ports([1]).await;
    as_root(&etcd, &["put", &key(2), &registration(2)]).await;
    web.until_ports([1, 2]).await;
}
