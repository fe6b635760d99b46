//! From an instance to an endpoint.

use std::{collections::BTreeMap, net::IpAddr, num::NonZeroU16};

use discovery_core::{Endpoint, Host, Rejection};

use crate::{describe::Instance, selector::Address};

/// EC2 keeps `aws:` to itself, so nobody's tag can be taken for one of these.
const ZONE: &str = "aws:availability_zone";
const ID: &str = "aws:instance_id";
const KIND: &str = "aws:instance_type";

/// What an endpoint's labels are bounded to by `discovery-core`: how many, and bytes in each name and value. EC2's own bounds
/// (50 tags, 128 and 256 characters) are within these.
const MAX_LABELS: usize = 256;
const MAX_LABEL: usize = 1024;

/// The text of the address that a service wants, or why the instance has none.
pub(crate) fn address(instance: &Instance, address: Address) -> Result<&str, Rejection> {
    let (text, name) = match address {
        Address::PrivateIp => (&instance.private_ip, "private_ip"),
        Address::PublicIp => (&instance.public_ip, "public_ip"),
        Address::Ipv6 => (&instance.ipv6, "ipv6"),
        Address::PrivateDns => (&instance.private_dns, "private_dns"),
    };
    text.as_deref().ok_or_else(|| reject(instance, format_args!("has no {name}")))
}

/// An instance as one that a service can be reached at.
pub(crate) fn endpoint(instance: &Instance, host: &Host, port: NonZeroU16) -> Result<Endpoint, Rejection> {
    let bare = || Endpoint::new(host.clone(), port.get());
    let by_id = || bare().and_then(|endpoint| endpoint.with_name(&instance.id));
    let named = match &instance.private_dns {
        // A name that an endpoint cannot have is as good as none.
        Some(name) => bare().and_then(|endpoint| endpoint.with_name(name)).or_else(|_| by_id()),
        None => by_id(),
    };
    named.and_then(|endpoint| endpoint.with_labels(labels(instance))).map_err(|error| reject(instance, error))
}

/// A literal address, or why it is none.
pub(crate) fn literal(instance: &Instance, text: &str) -> Result<Host, Rejection> {
    let ip: Result<IpAddr, _> = text.parse();
    let ip = ip.map_err(|_| reject(instance, format_args!("{text:?} is not an IP address")))?;
    Host::try_from(ip).map_err(|error| reject(instance, error))
}

pub(crate) fn reject(instance: &Instance, reason: impl std::fmt::Display) -> Rejection {
    Rejection::new(&instance.id, &reason)
}

/// The tags under their names, and what else is known under names that no tag has. A tag that cannot be a label (a line end in
/// its value, say) is left out: it does not take a running instance out of service.
fn labels(instance: &Instance) -> BTreeMap<String, String> {
    let id = Some(&instance.id);
    let own = [(ZONE, instance.zone.as_ref()), (ID, id), (KIND, instance.kind.as_ref())];
    let own: BTreeMap<_, _> = own
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?.as_str())))
        .filter(|(_, value)| is_label(value))
        .collect();
    let tags = instance.tags.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let tags = tags.filter(|(name, value)| !own.contains_key(name) && is_label(name) && is_label(value));
    let tags: Vec<_> = tags.take(MAX_LABELS - own.len()).collect();
    own.into_iter().chain(tags).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn is_label(text: &str) -> bool {
    text.len() <= MAX_LABEL && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORT: NonZeroU16 = NonZeroU16::new(8080).unwrap();

    fn instance() -> Instance {
        let text = |text: &str| Some(text.to_owned());
        Instance {
            id: "i-1".to_owned(),
            private_dns: text("ip-10-0-0-1.internal"),
            private_ip: text("10.0.0.1"),
            zone: text("eu-west-1a"),
            kind: text("m5.large"),
            tags: BTreeMap::from([("role".to_owned(), "web".to_owned())]),
            ..Instance::default()
        }
    }

    fn made(instance: &Instance) -> Endpoint {
        let text = address(instance, Address::PrivateIp).unwrap();
        endpoint(instance, &literal(instance, text).unwrap(), PORT).unwrap()
    }

    #[test]
    fn an_endpoint_has_the_instances_name_address_and_labels() {
        let made = made(&instance());
        assert_eq!(made.to_string(), "ip-10-0-0-1.internal_10.0.0.1:8080");
        let labels: Vec<_> = made.labels().collect();
        assert_eq!(
            labels,
            [
                ("aws:availability_zone", "eu-west-1a"),
                ("aws:instance_id", "i-1"),
                ("aws:instance_type", "m5.large"),
                ("role", "web"),
            ]
        );
    }

    #[test]
    fn without_a_usable_name_the_instance_id_names_it() {
        for private_dns in [None, Some("x".repeat(129)), Some("a\nb".to_owned())] {
            assert_eq!(made(&Instance { private_dns, ..instance() }).name(), Some("i-1"));
        }
    }

    #[test]
    fn an_instance_without_the_wanted_address_is_skipped_with_the_reason() {
        for (wanted, reason) in [(Address::PublicIp, "has no public_ip"), (Address::Ipv6, "has no ipv6")] {
            assert_eq!(address(&instance(), wanted), Err(Rejection::new("i-1", reason)));
        }
        assert!(literal(&instance(), "10.0.0.1 evil").is_err());
        assert!(literal(&instance(), "0.0.0.0").is_err());
    }

    #[test]
    fn a_tag_that_can_be_no_label_costs_that_tag_alone() {
        let mut instance = instance();
        instance.tags.insert("note".to_owned(), "two\nlines".to_owned());
        instance.tags.insert("long".to_owned(), "x".repeat(MAX_LABEL + 1));
        instance.tags.insert("empty".to_owned(), String::new());
        let made = made(&instance);
        assert_eq!((made.label("note"), made.label("long")), (None, None));
        assert_eq!((made.label("empty"), made.label("role")), (Some(""), Some("web")));
    }

    #[test]
    fn more_tags_than_labels_leave_the_instance_in_service() {
        let mut instance = instance();
        instance.tags.extend((0..1000).map(|i| (format!("t{i}"), String::new())));
        let made = made(&instance);
        assert_eq!(made.labels().count(), MAX_LABELS);
        assert_eq!(made.label("aws:instance_id"), Some("i-1"));
    }

    #[test]
    fn a_tag_cannot_pass_for_what_ec2_knows() {
        let mut instance = instance();
        instance.tags.insert(ZONE.to_owned(), "elsewhere".to_owned());
        assert_eq!(made(&instance).label(ZONE), Some("eu-west-1a"));
    }
}
