//! Synapse's metrics of ZooKeeper.

use discovery_zk::Deed;

use super::Statsd;
use crate::meter::ZooKeeper;

impl Statsd {
    pub(super) fn zookeeper(&self, cluster: &str, deed: ZooKeeper<'_>) {
        let deed = match deed {
            ZooKeeper::Joined { service, alone } => {
                let metric = if alone {
                    "synapse.watcher.zk.client.created"
                } else {
                    "synapse.watcher.zk.client.reused"
                };
                return self.count(metric, 1, &[("zk_cluster", cluster), ("service_name", service)]);
            }
            ZooKeeper::Driver(deed) => deed,
        };
        let of = |path| [("zk_cluster", cluster), ("zk_path", path)];
        match deed {
            Deed::Connected { took } => {
                self.time("synapse.watcher.zk.connect.elapsed_time", took, &[("zk_cluster", cluster)]);
            }
            Deed::Lost => self.count("synapse.watcher.zk.session.expired", 1, &[("zk_cluster", cluster)]),
            Deed::Listed { path, took, found } => {
                self.time("synapse.watcher.zk.children.elapsed_time", took, &of(path));
                if !found {
                    self.count("synapse.watcher.zk.children.failed", 1, &of(path));
                }
            }
            Deed::Watched { path, took } => {
                self.time("synapse.watcher.zk.watch.elapsed_time", took, &of(path));
            }
            Deed::Read { path, took, failed } => {
                self.time("synapse.watcher.zk.get.elapsed_time", took, &of(path));
                if failed {
                    self.count("synapse.watcher.zk.get_child_failed", 1, &of(path));
                }
            }
            Deed::ReadSettings { path, took, failed } => {
                self.time("synapse.watcher.zk.get.elapsed_time", took, &of(path));
                if failed {
                    self.count("synapse.watcher.zk.get_config_failed", 1, &of(path));
                }
            }
            Deed::Discovered { path, took } => {
                self.count("synapse.watcher.zk.discovery", 1, &of(path));
                self.time("synapse.watcher.zk.discovery.elapsed_time", took, &of(path));
            }
            // What later versions may tell is none of Synapse's metrics.
            _ => {}
        }
    }
}

/// What Synapse calls an ensemble: the first of its servers, sorted, without its domain and a number at its end.
pub(crate) fn cluster<S: ToString>(servers: impl IntoIterator<Item = S>) -> String {
    let first = servers.into_iter().map(|server| server.to_string()).min().unwrap_or_default();
    let token = first.split('.').next().unwrap_or_default();
    match token.trim_end_matches(|c: char| c.is_ascii_digit()) {
        "" => first,
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::cluster;

    #[test]
    fn an_ensemble_is_called_as_synapse_calls_it() {
        for (servers, name) in [
            (&["zk2.example:2181", "zk1.example:2181"][..], "zk"),
            (&["10.0.0.2:2181", "10.0.0.1:2181"], "10.0.0.1:2181"),
            (&["zk-main12:2181"], "zk-main12:"),
            (&["zk"], "zk"),
            (&[], ""),
        ] {
            assert_eq!(cluster(servers), name, "{servers:?}");
        }
    }
}
