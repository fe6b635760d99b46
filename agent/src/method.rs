//! The built-in discovery methods.

use std::{path::PathBuf, time::Duration};

use discovery_core::{File, Fixed, Polled, Snapshot};
use serde::Deserialize;

use crate::{
    config::{Problem, Section, seconds},
    registry::Source,
};

/// `base`: nothing is discovered; the service has its `default_servers`.
pub(crate) fn base(section: &Section) -> Result<Source, Vec<Problem>> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Base {}

    let Base {} = section.parse()?;
    Ok(Source::new(|_| Fixed::new(Snapshot::default())))
}

/// `file`: a catalog on disk, read again when it changes.
pub(crate) fn file(section: &Section) -> Result<Source, Vec<Problem>> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Catalog {
        path: PathBuf,
        service: Option<String>,
        check_interval: Option<f64>,
    }

    let Catalog { path, service, check_interval } = section.parse()?;
    let every = match check_interval {
        None => Duration::from_secs(1),
        Some(every) => seconds(every)
            .filter(|every| !every.is_zero())
            .ok_or_else(|| vec![section.problem_at("check_interval", "expected seconds, more than 0")])?,
    };
    if path.as_os_str().is_empty() {
        return Err(vec![section.problem_at("path", "the path is empty")]);
    }
    Ok(Source::new(move |context| {
        let service = service.clone().unwrap_or_else(|| context.service().to_owned());
        // One document may name every service: it is read once for all of them.
        let document = context.shared(path.clone(), |path| (File::new(path, ""), std::future::ready(())));
        Polled::new(document.for_service(service), every)
    }))
}

/// `etcd`: the keys below a prefix.
#[cfg(feature = "etcd")]
pub(crate) fn etcd(section: &Section) -> Result<Source, Vec<Problem>> {
    let (cluster, prefix) = section.parse::<discovery_etcd::EtcdConfig>()?.into_parts();
    Ok(Source::new(move |context| {
        let backoff = context.backoff();
        let cluster = context.shared(cluster.clone(), |config| discovery_etcd::Cluster::new(config, backoff));
        cluster.member(prefix.clone())
    }))
}

/// `ec2tag`: the instances of EC2 that have certain tags.
#[cfg(feature = "ec2")]
pub(crate) fn ec2tag(section: &Section) -> Result<Source, Vec<Problem>> {
    let (region, selector, every) = section.parse::<discovery_ec2::Ec2Config>()?.into_parts();
    let source = Source::new(move |context| {
        let backoff = context.backoff();
        let region = context.shared(region.clone(), |config| discovery_ec2::Region::new(config, backoff));
        let port = context.port().expect("a service without one is refused: the source is `without_ports`");
        region.member(selector.clone(), port, every)
    });
    Ok(source.without_ports())
}
