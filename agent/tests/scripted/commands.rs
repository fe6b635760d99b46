//! An HAProxy that takes commands.

use std::{sync::Arc, time::Duration};

use agent::discovery::testing::Step;
use serde_json::json;
use tokio::time::timeout;

use crate::{
    fake::{Does, Fake, Says},
    site::{Site, endpoints, says, until},
};

const SERVERS: &str = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight \
    srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state \
    bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr \
    srv_agent_port\n";
const STAT: &str = "# pxname,svname,scur,slim,act,bck,cookie,type,check_rise,check_fall,\n";

#[tokio::test]
async fn commands_wait_for_nothing_and_the_file_has_followed_when_the_agent_ends() {
    let process = Says::new(7);
    let fake = Fake::process(&Arc::clone(&process), |command| match command {
        "show servers state" => Does::Says(SERVERS.to_owned()),
        "show stat -1 4 -1" => Does::Says(STAT.to_owned()),
        add if add.starts_with("add server") => Does::Says("New server registered.".to_owned()),
        _ => Does::Says(String::new()),
    });
    let site = Site::new()
        .service("web", || vec![says([])])
        .set(&["haproxy", "defaults"], json!(["balance roundrobin"]))
        .set(&["haproxy", "socket_file_path"], json!(fake.path()))
        // An hour.
        .set(&["agent", "settle"], json!(3600))
        .set(&["agent", "settle_max"], json!(3600));
    site.once().await.unwrap();
    // HAProxy is started from the file.
    let file = site.file();
    let revision = file.split_once("proc.synapse_rev str(").unwrap().1.split_once(')').unwrap().0;
    process.lock().unwrap().revision = Some(revision.to_owned());

    let site = site.service("web", || {
        vec![says([]), Step::Wait(Duration::from_millis(50)), Step::Yield(endpoints([1]))]
    });
    let running = site.start();
    let told = || fake.changes().iter().any(|line| line.starts_with("add server web/10.0.0.1:80 "));
    let told = timeout(Duration::from_secs(30), until("HAProxy to be told", told)).await;
    told.expect("commands wait for an hour");
    let status = running.status.clone();
    running.stop().await;
    assert_eq!(site.served("web"), [1]);
    let output = status.output();
    assert!(output.live.unwrap().by_commands > 0 && output.counters.reloads == 0, "{output:?}");
}
