//! An HAProxy that answers, and then does not.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tokio::time::{advance, pause, resume};

use crate::{
    fake::{Does, Fake},
    site::{endpoints, until},
    visit::{Place, Said},
};

const SERVERS: &str = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight \
    srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state \
    bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr \
    srv_agent_port\n";
const STAT: &str = "# pxname,svname,scur,slim,act,bck,cookie,type,check_rise,check_fall,\n";

/// What an HAProxy answers that has just been started from the file at `path`.
pub(crate) fn started_from(path: &Path, command: &str) -> Does {
    Does::Says(match command {
        "show info" => {
            "Name: HAProxy\nVersion: 3.0.5\nPid: 7\nUptime_sec: 9\nStopping: 0\nStart_time_sec: 9\n"
                .to_owned()
        }
        "get var proc.synapse_rev" => {
            let file = std::fs::read_to_string(path).unwrap_or_default();
            let rest = file.split_once("proc.synapse_rev str(").map(|(_, rest)| rest);
            let revision = rest.and_then(|rest| rest.split_once(')')).map(|(revision, _)| revision);
            revision.map_or_else(
                || "Variable not found.\n".to_owned(),
                |revision| format!("proc.synapse_rev: type=str value=<{revision}>"),
            )
        }
        "show cli level" => "admin\n".to_owned(),
        "show servers state" => SERVERS.to_owned(),
        "show stat -1 4 -1" => STAT.to_owned(),
        _ => String::new(),
    })
}

/// HAProxy is looked at once a minute.
pub(crate) async fn a_minute_later() {
    pause();
    advance(Duration::from_secs(61)).await;
    resume();
}

/// A site with nobody, its HAProxy, and whether that hangs.
fn hangable() -> (Arc<AtomicBool>, Place, Fake) {
    let (hangs, place) =
        (Arc::new(AtomicBool::new(false)), Place::new([("web", Said::Answer(endpoints([])))]));
    let (hanging, path) = (Arc::clone(&hangs), place.site.path());
    let fake =
        Fake::start(
            move |command| {
                if hanging.load(Ordering::SeqCst) { Does::Hangs } else { started_from(&path, command) }
            },
        );
    let place = place
        .set(&["haproxy", "defaults"], json!(["balance roundrobin"]))
        .set(&["haproxy", "socket_file_path"], json!(fake.path()));
    (hangs, place, fake)
}

#[tokio::test]
async fn a_haproxy_that_hangs_at_a_change_stands_between_as_soon_as_that_is_over() {
    let (hangs, place, _fake) = hangable();
    let place =
        place.set(&["haproxy", "do_reloads"], json!(true)).set(&["haproxy", "reload_command"], json!("true"));
    let (running, visitor) = place.start().await;
    visitor.until("/status", |reply| reply.body.contains("\"revision\":\"")).await;
    visitor.until_ready().await;
    let before: Value = serde_json::from_str(&visitor.get("/status").await.body).unwrap();
    let reloads = before["output"]["counters"]["reloads"].clone();
    hangs.store(true, Ordering::SeqCst);
    place.say("web", Said::Answer(endpoints([1])));
    // Together with the reload that was made of the change, and not by the look of each minute.
    let output =
        |body: &str| serde_json::from_str::<Value>(body).expect("the status is JSON")["output"].clone();
    let told =
        visitor.until("/status", |reply| output(&reply.body)["counters"]["reloads"] != reloads).await.body;
    assert!(output(&told)["haproxy"]["trouble"].is_string(), "{told}");
    let hung = visitor.until("/readyz", |reply| reply.code == 503).await.body;
    assert!(hung.starts_with("haproxy: it takes no commands: "), "{hung}");
    running.stop().await;
}

#[tokio::test]
async fn a_haproxy_that_hangs_stands_between_until_it_answers_again() {
    let (hangs, place, _fake) = hangable();
    let (running, visitor) = place.start().await;
    until("the file to be written", || place.site.file().contains("proc.synapse_rev")).await;
    a_minute_later().await;
    visitor.until_ready().await;
    let found = visitor.until("/status", |reply| reply.body.contains("\"revision\":\"")).await.body;
    assert!(found.contains("\"version\":\"3.0.5\"") && found.contains("\"pid\":7"), "{found}");
    assert_eq!(visitor.metric("synapse_haproxy_up").await, Some(1.0));
    assert_eq!(visitor.metric("synapse_haproxy_info{version=\"3.0.5\"}").await, Some(1.0));

    hangs.store(true, Ordering::SeqCst);
    a_minute_later().await;
    let hung = visitor.until("/readyz", |reply| reply.code == 503).await.body;
    assert!(hung.starts_with("haproxy: it takes no commands: ") && hung.lines().count() == 1, "{hung}");
    assert_eq!(visitor.metric("synapse_haproxy_up").await, Some(0.0));
    // It is no reason to doubt this process.
    assert_eq!(visitor.get("/healthz").await.code, 200);

    hangs.store(false, Ordering::SeqCst);
    a_minute_later().await;
    visitor.until_ready().await;
    assert_eq!(visitor.metric("synapse_haproxy_up").await, Some(1.0));
    running.stop().await;
}
