//! The lines of each event.

use std::{collections::BTreeMap, num::NonZeroU16, time::Duration};

use super::{METRICS, Statsd};
use crate::{
    config,
    meter::{Event, Tell as _},
};

const MS: Duration = Duration::from_millis(1);

fn listening<const N: usize>(rates: [(&str, f64); N]) -> Statsd {
    let statsd = Statsd::default();
    let sample_rate = rates.map(|(metric, rate)| (metric.to_owned(), rate)).into();
    let (host, port) = ("localhost".to_owned(), NonZeroU16::MIN);
    statsd.configure(Some(&config::Statsd { host, port, sample_rate }));
    statsd
}

fn lines(event: Event<'_>) -> Vec<String> {
    let statsd = listening([]);
    statsd.tell(event);
    statsd.queue.take().into()
}

#[test]
fn the_program_and_its_loop_are_told_as_by_synapse() {
    for (event, line) in [
        (Event::Started, "synapse.start:1|c"),
        (Event::Stopped, "synapse.stop:1|c|#stop_avenue:clean,stop_location:main_loop"),
        (Event::SourcesStarted { took: 7 * MS }, "synapse.watchers.start.time:7|ms"),
        (Event::Update, "synapse.config.update:1|c"),
        (Event::UpdateFailed { output: "haproxy" }, "synapse.config.update_failed:1|c|#config_name:haproxy"),
        (Event::Turn { took: 1500 * MS }, "synapse.main_loop.elapsed_time:1500|ms"),
        (Event::Checked { well: true, times: 1 }, "synapse.haproxy.check_config:1|c|#result:success"),
        (Event::Checked { well: false, times: 2 }, "synapse.haproxy.check_config:2|c|#result:failure"),
        (Event::ReloadFailed { times: 3 }, "synapse.haproxy.reload_failed:3|c"),
    ] {
        assert_eq!(lines(event), [line]);
    }
}

#[test]
fn sources_are_told_as_by_synapse() {
    let (service, entries) = ("web", 2);
    for (event, expected) in [
        (
            Event::SourceStarted { service, method: "etcd" },
            &["synapse.watcher.start:1|c|#start_result:success,watcher_name:web"][..],
        ),
        (
            Event::SourceStarted { service, method: "multi" },
            &[
                "synapse.watcher.start:1|c|#start_result:success,watcher_name:web",
                "synapse.watcher.multi.start:1|c|#service_name:web",
            ],
        ),
        (
            Event::SourceStopped { service, method: "multi" },
            &[
                "synapse.watcher.stop:1|c|#stop_avenue:clean,stop_location:main_loop,watcher_name:web",
                "synapse.watcher.multi.stop:1|c|#service_name:web",
            ],
        ),
        (
            Event::Pulse { service, well: true },
            &["synapse.watcher.ping.count:1|c|#watcher_name:web,ping_result:success"],
        ),
        (
            Event::Pulse { service, well: false },
            &["synapse.watcher.ping.count:1|c|#watcher_name:web,ping_result:failure"],
        ),
        (
            Event::SourceFailed { service, method: "etcd", times: 2 },
            &["synapse.retry:2|c|#op:retry_after_sleep,service_name:web"],
        ),
        (
            Event::SourceFailed { service, method: "dns", times: 1 },
            &[
                "synapse.retry:1|c|#op:retry_after_sleep,service_name:web",
                "synapse.watcher.dns.resolve_failed:1|c|#service_name:web",
            ],
        ),
        (
            Event::Refused { service, method: "zookeeper_poll", entries },
            &["synapse.watcher.zk.parse_child_failed:2|c|#service_name:web"],
        ),
        (Event::Refused { service, method: "etcd", entries }, &[]),
        (
            Event::Switched { service, resolver: "sequential", to: "spare" },
            &[
                "synapse.watcher.multi.resolver.sequential.switch:1|c|#result:success,watcher:spare,service_name:web",
            ],
        ),
        (
            Event::Switched { service, resolver: "toggle", to: "spare" },
            &[
                "synapse.watcher.multi.resolver.s3_toggle.switch:1|c|#result:success,watcher:spare,service_name:web",
            ],
        ),
    ] {
        assert_eq!(lines(event), expected, "{event:?}");
    }
}

#[cfg(feature = "zk")]
#[test]
fn zookeeper_is_told_as_by_synapse() {
    use discovery_zk::Deed;

    use crate::meter::ZooKeeper;

    let (path, took) = ("/services/web", 5 * MS);
    let tags = "|#zk_cluster:zk,zk_path:/services/web";
    let driver = |deed| Event::ZooKeeper { cluster: "zk", deed: ZooKeeper::Driver(deed) };
    let joined =
        |alone| Event::ZooKeeper { cluster: "zk", deed: ZooKeeper::Joined { service: "web", alone } };
    for (event, expected) in [
        (joined(true), vec!["client.created:1|c|#zk_cluster:zk,service_name:web".to_owned()]),
        (joined(false), vec!["client.reused:1|c|#zk_cluster:zk,service_name:web".to_owned()]),
        (driver(Deed::Connected { took }), vec!["connect.elapsed_time:5|ms|#zk_cluster:zk".to_owned()]),
        (driver(Deed::Lost), vec!["session.expired:1|c|#zk_cluster:zk".to_owned()]),
        (driver(Deed::Listed { path, took, found: true }), vec![format!("children.elapsed_time:5|ms{tags}")]),
        (
            driver(Deed::Listed { path, took, found: false }),
            vec![format!("children.elapsed_time:5|ms{tags}"), format!("children.failed:1|c{tags}")],
        ),
        (driver(Deed::Watched { path, took }), vec![format!("watch.elapsed_time:5|ms{tags}")]),
        (driver(Deed::Read { path, took, failed: false }), vec![format!("get.elapsed_time:5|ms{tags}")]),
        (
            driver(Deed::Read { path, took, failed: true }),
            vec![format!("get.elapsed_time:5|ms{tags}"), format!("get_child_failed:1|c{tags}")],
        ),
        (
            driver(Deed::ReadSettings { path, took, failed: true }),
            vec![format!("get.elapsed_time:5|ms{tags}"), format!("get_config_failed:1|c{tags}")],
        ),
        (
            driver(Deed::Discovered { path, took }),
            vec![format!("discovery:1|c{tags}"), format!("discovery.elapsed_time:5|ms{tags}")],
        ),
    ] {
        let expected: Vec<_> = expected.iter().map(|line| format!("synapse.watcher.zk.{line}")).collect();
        assert_eq!(lines(event), expected, "{event:?}");
    }
}

#[test]
fn all_that_is_sent_is_in_the_list_of_what_is() {
    let source = include_str!("line.rs").to_owned() + include_str!("zookeeper.rs");
    let code = source.split_once("];").expect("the list comes first").1;
    let sent: std::collections::BTreeSet<_> =
        code.split('"').filter(|text| text.starts_with("synapse.")).collect();
    assert_eq!(sent, METRICS.into_iter().collect());
}

#[test]
fn a_tag_is_one_tag_whatever_somebody_calls_his_service() {
    let long = "x".repeat(1000);
    for (service, tag) in [("a,b|c#d\ne é", "a_b_c_d_e__"), (long.as_str(), &long[..160])] {
        let expected = format!("synapse.watcher.ping.count:1|c|#watcher_name:{tag},ping_result:success");
        assert_eq!(lines(Event::Pulse { service, well: true }), [expected]);
    }
}

#[test]
fn a_share_is_sent_and_says_which() {
    let statsd = listening([("synapse.start", 0.25), ("synapse.stop", 0.0), ("synapse.config.update", 1.0)]);
    for _ in 0..4000 {
        statsd.tell(Event::Started);
        statsd.tell(Event::Stopped);
    }
    statsd.tell(Event::Update);
    let mut counted = BTreeMap::<_, usize>::new();
    for line in statsd.queue.take() {
        *counted.entry(line).or_default() += 1;
    }
    assert_eq!(counted.remove("synapse.config.update:1|c"), Some(1));
    let share = counted.remove("synapse.start:1|c|@0.25").expect("a quarter of them");
    assert!((700..1300).contains(&share), "{share} of 4000");
    assert!(counted.is_empty(), "{counted:?}");
}

#[test]
fn nothing_is_queued_while_nobody_is_to_have_it() {
    let statsd = Statsd::default();
    assert!(!statsd.listens());
    statsd.tell(Event::Started);
    assert!(statsd.queue.take().is_empty());
}
