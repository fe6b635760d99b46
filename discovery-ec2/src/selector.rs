//! Which instances one service wants.

use std::{collections::BTreeSet, fmt};

use serde::Deserialize;
use thiserror::Error;

use crate::{
    describe::Instance,
    filter::{Condition, Filters, MAX_VALUES, RUNNING, STATE},
};

/// How many filters a question can have; one is for the state.
const MAX_FILTERS: usize = 49;
/// The longest name or value, in characters (`FilterLimitExceeded`).
const MAX_LENGTH: usize = 255;

/// Which instances one service wants, and under which of their addresses.
///
/// An instance must be running, have all tags, and pass all filters. Several values of one tag or filter mean any of them. In
/// values, `*` stands for any characters and `?` for one, as EC2 has it, unless after a backslash; names are taken literally.
/// Upper and lower case differ.
///
/// Filters on tags, `tag-key`, `availability-zone`, `image-id`, `instance-id`, `instance-type`, `ip-address`,
/// `private-dns-name`, `private-ip-address`, `subnet-id` and `vpc-id` are judged here, so that one question answers any number
/// of services. A selector with any other filter, or with a `?`, gets a question of its own: only EC2 can judge it.
///
/// Bounds, which are EC2's: 49 filters, 199 values in all of them, 255 characters in each.
#[derive(Clone)]
pub struct Selector {
    filters: Filters,
    conditions: Vec<Condition>,
    address: Address,
}

/// Under which of its addresses an instance is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Address {
    /// The private IPv4 address.
    #[default]
    PrivateIp,
    /// The public IPv4 address.
    PublicIp,
    /// The first IPv6 address of the primary network interface.
    Ipv6,
    /// What the private DNS name resolves to on this machine: the lowest IPv4 address, or else the lowest IPv6 address.
    PrivateDns,
}

/// Why something is not a [`Selector`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidSelector {
    /// A tag or filter without a name.
    #[error("a tag or filter has an empty name")]
    NoName,
    /// A tag or filter without values.
    #[error("`{0}` has no value")]
    NoValue(String),
    /// A tag or filter that was there already.
    #[error("`{0}` is asked for twice: list its values in one place")]
    Twice(String),
    /// Only running instances can serve.
    #[error("`instance-state-name` is not to be set: only running instances are served")]
    State,
    /// More filters than EC2 takes.
    #[error("there are more than {MAX_FILTERS} tags and filters")]
    TooMany,
    /// More values than EC2 takes.
    #[error("there are more than {} values in all tags and filters together", MAX_VALUES - 1)]
    TooManyValues,
    /// A name or value that is longer than EC2 takes.
    #[error("a name or value of `{0}` is longer than {MAX_LENGTH} characters")]
    TooLong(String),
    /// A control character.
    #[error("a name or value of a tag or filter has a control character")]
    Control,
}

impl Selector {
    /// Wants the instances that have this tag with one of these values.
    ///
    /// ```
    /// use discovery_ec2::Selector;
    ///
    /// let web = Selector::tag("role", ["web"])?.and_tag("env", ["prod", "stage-*"])?;
    /// assert_eq!(web.to_string(), "tag:env=prod,stage-* tag:role=web");
    /// # Ok::<(), discovery_ec2::InvalidSelector>(())
    /// ```
    pub fn tag<V: Into<String>>(
        name: &str,
        values: impl IntoIterator<Item = V>,
    ) -> Result<Self, InvalidSelector> {
        Self::filter(format!("tag:{name}"), values)
    }

    /// Wants the instances that pass one of EC2's filters, by the name it has in `DescribeInstances`.
    pub fn filter<V: Into<String>>(
        name: impl Into<String>,
        values: impl IntoIterator<Item = V>,
    ) -> Result<Self, InvalidSelector> {
        let all = Self { filters: Filters::default(), conditions: Vec::new(), address: Address::default() };
        all.and_filter(name, values)
    }

    /// Wants only those that have this tag with one of these values.
    pub fn and_tag<V: Into<String>>(
        self,
        name: &str,
        values: impl IntoIterator<Item = V>,
    ) -> Result<Self, InvalidSelector> {
        self.and_filter(format!("tag:{name}"), values)
    }

    /// Wants only those that pass this filter too.
    pub fn and_filter<V: Into<String>>(
        mut self,
        name: impl Into<String>,
        values: impl IntoIterator<Item = V>,
    ) -> Result<Self, InvalidSelector> {
        let name: String = name.into();
        let values: BTreeSet<String> = values.into_iter().map(Into::into).collect();
        let too_long = |text: &String| text.chars().count() > MAX_LENGTH;
        if name.is_empty() || name == "tag:" {
            return Err(InvalidSelector::NoName);
        }
        if std::iter::once(&name).chain(&values).any(|text| text.chars().any(char::is_control)) {
            return Err(InvalidSelector::Control);
        }
        if too_long(&name) || values.iter().any(too_long) {
            return Err(InvalidSelector::TooLong(name.chars().take(50).collect()));
        }
        if name == STATE {
            return Err(InvalidSelector::State);
        }
        if values.is_empty() {
            return Err(InvalidSelector::NoValue(name));
        }
        self.conditions.push(Condition::new(&name, &values));
        if !self.filters.add(name.clone(), values) {
            return Err(InvalidSelector::Twice(name));
        }
        if self.conditions.len() > MAX_FILTERS {
            return Err(InvalidSelector::TooMany);
        }
        if self.filters.values() >= MAX_VALUES {
            return Err(InvalidSelector::TooManyValues);
        }
        Ok(self)
    }

    /// Changes under which address instances are reached.
    #[must_use]
    pub fn with_address(mut self, address: Address) -> Self {
        self.address = address;
        self
    }

    /// Under which address instances are reached.
    pub fn address(&self) -> Address {
        self.address
    }

    pub(crate) fn filters(&self) -> &Filters {
        &self.filters
    }

    /// Whether only EC2 can judge all of it.
    pub(crate) fn is_foreign(&self) -> bool {
        self.conditions.iter().any(Condition::is_foreign)
    }

    /// Whether an instance is wanted, as far as that can be judged here.
    pub(crate) fn wants(&self, instance: &Instance) -> bool {
        instance.state.as_deref() == Some(RUNNING)
            && self.conditions.iter().all(|condition| condition.passes(instance))
    }
}

impl PartialEq for Selector {
    fn eq(&self, other: &Self) -> bool {
        (&self.filters, self.address) == (&other.filters, other.address)
    }
}

impl Eq for Selector {}

impl fmt::Display for Selector {
    /// `NAME=VALUE,VALUE NAME=VALUE`, sorted.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (name, values)) in self.filters.iter().enumerate() {
            let separator = if place == 0 { "" } else { " " };
            write!(f, "{separator}{name}=")?;
            for (place, value) in values.iter().enumerate() {
                write!(f, "{}{value}", if place == 0 { "" } else { "," })?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Selector({self} by {:?})", self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(state: &str, tags: &[(&str, &str)]) -> Instance {
        let tags = tags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Instance { id: "i-1".to_owned(), state: Some(state.to_owned()), tags, ..Instance::default() }
    }

    #[test]
    fn key_and_value_must_be_of_the_same_tag() {
        let selector = Selector::tag("role", ["web"]).unwrap();
        assert!(selector.wants(&instance("running", &[("role", "web"), ("env", "prod")])));
        assert!(!selector.wants(&instance("running", &[("role", "db"), ("env", "web")])));
    }

    #[test]
    fn all_tags_must_match_and_one_value_of_each_is_enough() {
        let selector = Selector::tag("role", ["web", "api"]).unwrap().and_tag("env", ["prod-*"]).unwrap();
        assert!(selector.wants(&instance("running", &[("role", "api"), ("env", "prod-eu")])));
        assert!(!selector.wants(&instance("running", &[("role", "api")])));
        assert!(!selector.wants(&instance("running", &[("role", "api"), ("env", "stage")])));
    }

    #[test]
    fn only_running_instances_are_wanted() {
        let selector = Selector::tag("role", ["web"]).unwrap();
        for state in ["pending", "stopping", "stopped", "shutting-down", "terminated", ""] {
            assert!(!selector.wants(&instance(state, &[("role", "web")])), "{state}");
        }
        let stateless = Instance { state: None, ..instance("", &[("role", "web")]) };
        assert!(!selector.wants(&stateless));
    }

    #[test]
    fn a_filter_that_is_not_known_here_makes_a_selector_foreign() {
        let known = Selector::tag("role", ["web"]).unwrap().and_filter("vpc-id", ["vpc-1"]).unwrap();
        assert!(!known.is_foreign());
        assert!(known.and_filter("instance.group-name", ["default"]).unwrap().is_foreign());
    }

    #[test]
    fn what_ec2_would_not_take_is_refused_with_the_reason() {
        let web = || Selector::tag("role", ["web"]).unwrap();
        let none: [&str; 0] = [];
        assert_eq!(Selector::tag("", ["web"]), Err(InvalidSelector::NoName));
        assert_eq!(Selector::filter("", ["web"]), Err(InvalidSelector::NoName));
        assert_eq!(Selector::tag("role", none), Err(InvalidSelector::NoValue("tag:role".to_owned())));
        assert_eq!(web().and_filter("tag:role", ["x"]), Err(InvalidSelector::Twice("tag:role".to_owned())));
        assert_eq!(web().and_filter("instance-state-name", ["stopped"]), Err(InvalidSelector::State));
        assert_eq!(web().and_tag("env", ["a\nb"]), Err(InvalidSelector::Control));
        assert!(matches!(web().and_tag("env", ["x".repeat(256)]), Err(InvalidSelector::TooLong(_))));
        let many: Vec<_> = (0..199).map(|i| i.to_string()).collect();
        assert_eq!(web().and_tag("env", many.clone()), Err(InvalidSelector::TooManyValues));
        assert!(Selector::tag("env", many).is_ok());
        let wide = (0..48).try_fold(web(), |all, i| all.and_tag(&i.to_string(), ["x"])).unwrap();
        assert_eq!(wide.and_tag("more", ["x"]), Err(InvalidSelector::TooMany));
    }

    #[test]
    fn an_empty_value_is_a_value() {
        let selector = Selector::tag("canary", [""]).unwrap();
        assert!(selector.wants(&instance("running", &[("canary", "")])));
        assert!(!selector.wants(&instance("running", &[])));
    }
}
