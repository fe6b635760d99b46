//! HAProxy, or the command that reloads it, says no.

mod serving_support;

use std::path::Path;

use e2e::{AgentTask, Certificates, Haproxy, HttpBackend};
use serving_support::{Touched, Web, all_answered, key, register, registration, until};

/// Waits until the last apply failed with this, in part.
async fn until_error(agent: &AgentTask, error: &str) {
    until(error, || match agent.status().output().error {
        Some(found) if found.contains(error) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}

async fn until_no_error(agent: &AgentTask) {
    until("no error any more", || agent.status().output().error.map_or(Ok(()), Err)).await;
}

/// A reload command that fails for as long as there is a file at `obstacle`.
fn obstructed(command: &str, obstacle: &Path) -> String {
    format!("test ! -e '{0}' || {{ echo 'there is {0}'; exit 7; }}; {command}", obstacle.display())
}

#[tokio::test]
async fn what_haproxy_refuses_never_goes_live() {
    let mut web = Web::prepare().await;
    let candidate = web.site.haproxy().dir().join("candidate.cfg");
    let authorities = web.site.haproxy().dir().join("authorities.pem");
    web.site.set("/haproxy", "do_checks", true);
    web.site.set("/haproxy", "candidate_config_file_path", candidate.to_str());
    web.site.set("/haproxy", "check_command", Haproxy::check_command(&candidate));
    // A mistake of the operator's that shows as soon as there is a server: HAProxy takes no file that names a missing one.
    web.site.add_service("late", &web.etcd.endpoints());
    let options = format!("ssl ca-file {}", authorities.display());
    web.site.set("/services/late/haproxy", "server_options", options);
    let (agent, traffic) = web.serve().await;
    let (before, touched) = (agent.status().output().counters, Touched::last(&web.site));
    let reloads = web.site.haproxy().reload_commands();

    web.etcd.put("/services/late/blue", &registration(&web.blue)).await;
    until_error(&agent, "authorities.pem").await;
    let error = agent.status().output().error.unwrap_or_default();
    assert!(error.starts_with("checking ") && error.contains(candidate.to_str().unwrap()), "{error}");
    // It is tried again, and other changes wait with it.
    let red = HttpBackend::start("red").await;
    register(&web.etcd, &red).await;
    until("some refusals", || match agent.status().output().counters.check_failures {
        0..3 => Err("fewer than 3".to_owned()),
        _ => Ok(()),
    })
    .await;
    assert_eq!((Touched::last(&web.site), web.site.haproxy().reload_commands()), (touched, reloads));
    assert_eq!(agent.status().output().counters.writes, before.writes);
    web.site.until_serves("web", &["blue", "green"]).await;

    let certificates = Certificates::generate();
    std::fs::copy(certificates.ca(), &authorities).unwrap();
    web.site.until_serves("web", &["blue", "green", "red"]).await;
    until_no_error(&agent).await;
    let after = agent.status().output().counters;
    assert_eq!((after.writes, after.reloads), (before.writes + 1, before.reloads + 1));
    assert_eq!(web.site.server_lines("late").len(), 1);
    all_answered(traffic).await;
}

#[tokio::test]
async fn a_refusal_ends_with_its_cause() {
    let mut web = Web::prepare().await;
    let candidate = web.site.haproxy().dir().join("candidate.cfg");
    web.site.set("/haproxy", "do_checks", true);
    web.site.set("/haproxy", "candidate_config_file_path", candidate.to_str());
    web.site.set("/haproxy", "check_command", Haproxy::check_command(&candidate));
    web.site.add_service("late", &web.etcd.endpoints());
    web.site.set("/services/late", "use_previous_backends", false);
    web.site.set("/services/late/haproxy", "server_options", "ssl ca-file /nowhere/authorities.pem");
    let (agent, traffic) = web.serve().await;
    web.etcd.put("/services/late/blue", &registration(&web.blue)).await;
    until_error(&agent, "authorities.pem").await;
    web.etcd.delete("/services/late/blue").await;
    until_no_error(&agent).await;
    web.etcd.delete(&key("blue")).await;
    web.site.until_serves("web", &["green"]).await;
    all_answered(traffic).await;
}

#[tokio::test]
async fn a_reload_that_fails_is_tried_until_it_succeeds() {
    let mut web = Web::prepare().await;
    let obstacle = web.site.haproxy().dir().join("obstacle");
    let command = obstructed(&web.site.haproxy().reload_command(), &obstacle);
    web.site.set("/haproxy", "reload_command", command);
    let (agent, traffic) = web.serve().await;
    let (before, reloads) = (agent.status().output().counters, web.site.haproxy().reload_commands());
    std::fs::write(&obstacle, "").unwrap();
    let red = HttpBackend::start("red").await;
    register(&web.etcd, &red).await;
    until_error(&agent, "there is").await;
    until("some attempts", || match agent.status().output().counters.reload_failures {
        0..3 => Err("fewer than 3".to_owned()),
        _ => Ok(()),
    })
    .await;
    let error = agent.status().output().error.unwrap_or_default();
    assert!(error.starts_with("reloading HAProxy, attempt ") && error.contains("exit status: 7"), "{error}");
    assert_eq!((web.site.haproxy().reload_commands(), red.requests()), (reloads, 0));
    std::fs::remove_file(&obstacle).unwrap();
    web.site.until_serves("web", &["blue", "green", "red"]).await;
    until_no_error(&agent).await;
    let after = agent.status().output().counters;
    assert_eq!((after.writes, after.reloads), (before.writes + 1, before.reloads + 1));
    assert_eq!(web.site.haproxy().reload_commands(), reloads + 1);
    all_answered(traffic).await;
}

#[tokio::test]
async fn a_reload_that_failed_is_made_good_by_the_next_agent() {
    let mut web = Web::prepare().await;
    let obstacle = web.site.haproxy().dir().join("obstacle");
    let command = obstructed(&web.site.haproxy().reload_command(), &obstacle);
    web.site.set("/haproxy", "reload_command", command);
    let (agent, traffic) = web.serve().await;
    std::fs::write(&obstacle, "").unwrap();
    web.etcd.delete(&key("blue")).await;
    until_error(&agent, "there is").await;
    agent.stop().await;
    // The file is as it should be, HAProxy is not.
    assert_eq!(serving_support::servers(&web.site), ["green"]);
    web.site.until_serves("web", &["blue", "green"]).await;
    std::fs::remove_file(&obstacle).unwrap();
    let _agent = web.site.run_agent();
    web.site.until_serves("web", &["green"]).await;
    all_answered(traffic).await;
}
