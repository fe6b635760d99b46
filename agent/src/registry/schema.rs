//! What may stand in the sections of the methods.

use std::sync::Arc;

use super::{Method, Registry};
use crate::config::schema::of;
#[cfg(all(feature = "dns", feature = "zk"))]
use crate::config::schema::with_properties_of;

impl Registry {
    /// Says what may stand in the section of a method that is there: a JSON Schema (draft 2020-12) of the keys that the method reads,
    /// without those that all methods share. It becomes part of [`Config::schema`](crate::Config::schema), widened to
    /// [what the reader takes](crate::config::from_node) beside: what is marked `"x-exact": true` is not.
    #[must_use]
    pub fn with_schema(self, method: &str, schema: serde_json::Value) -> Self {
        self.described(method, move || schema.clone())
    }

    fn described(
        mut self,
        method: &str,
        schema: impl Fn() -> serde_json::Value + Send + Sync + 'static,
    ) -> Self {
        if let Some(method) = self.methods.get_mut(method) {
            method.schema = Some(Arc::new(schema));
        }
        self
    }

    /// The methods, sorted, with what is known of their sections.
    pub(crate) fn schemas(&self) -> impl Iterator<Item = (&str, Option<serde_json::Value>)> {
        let schema = |method: &Method| method.schema.as_ref().map(|schema| schema());
        self.methods.iter().map(move |(name, method)| (name.as_str(), schema(method)))
    }

    pub(super) fn with_builtin_schemas(self) -> Self {
        let registry = self
            .described("base", of::<crate::method::Base>)
            .described("file", of::<crate::method::CatalogFile>)
            .described("multi", || crate::multi::schema(true));
        #[cfg(feature = "etcd")]
        let registry = registry.described("etcd", of::<discovery_etcd::EtcdConfig>);
        #[cfg(feature = "docker")]
        let registry = registry.described("docker", of::<discovery_docker::DockerConfig>);
        #[cfg(feature = "dns")]
        let registry = registry.described("dns", of::<discovery_dns::DnsConfig>);
        #[cfg(feature = "ec2")]
        let registry = registry.described("ec2tag", of::<discovery_ec2::Ec2Config>);
        #[cfg(feature = "zk")]
        let registry = registry
            .described("zookeeper", of::<discovery_zk::ZkConfig>)
            .described("zookeeper_poll", of::<discovery_zk::ZkPollConfig>);
        #[cfg(all(feature = "dns", feature = "zk"))]
        let registry = registry
            .described("zookeeper_dns", || {
                with_properties_of(of::<discovery_zk::ZkConfig>(), &of::<discovery_dns::NamesConfig>())
            })
            .described("zookeeper_dns_poll", || {
                with_properties_of(of::<discovery_zk::ZkPollConfig>(), &of::<discovery_dns::NamesConfig>())
            });
        registry
    }
}
