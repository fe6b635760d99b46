//! Questions to EC2: what is sent, and what of it can be judged here.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    describe::Instance,
    pattern::{Pattern, escape},
};

/// How many values all filters of a question can have together (`FilterLimitExceeded`).
pub(crate) const MAX_VALUES: usize = 200;

/// The state of the instances that are asked for, in every question.
pub(crate) const STATE: &str = "instance-state-name";
pub(crate) const RUNNING: &str = "running";

/// Filters by name, each with the values that it allows. An instance must pass all filters; one of a filter's values is enough.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Filters(BTreeMap<String, BTreeSet<String>>);

impl Filters {
    /// Adds a filter. Returns whether there was none of that name.
    pub(crate) fn add(&mut self, name: String, values: BTreeSet<String>) -> bool {
        self.0.insert(name, values).is_none()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &BTreeSet<String>)> {
        self.0.iter().map(|(name, values)| (name.as_str(), values))
    }

    /// How many values there are in all filters.
    pub(crate) fn values(&self) -> usize {
        self.0.values().map(BTreeSet::len).sum()
    }

    /// The names of the tags that an instance must have a certain value of.
    fn tags(&self) -> impl Iterator<Item = &str> {
        self.0.keys().filter_map(|name| name.strip_prefix("tag:"))
    }

    /// The same for running instances alone.
    pub(crate) fn running(&self) -> Self {
        let mut all = self.clone();
        all.add(STATE.to_owned(), BTreeSet::from([RUNNING.to_owned()]));
        all
    }

    /// The question whose answer has every running instance that any of these ask for, and as few others as can be said in
    /// one question.
    pub(crate) fn superset(all: &[&Self]) -> Self {
        let mut common = Self::default();
        let Some((first, others)) = all.split_first() else { return common.running() };
        let mut shared: Vec<(&str, BTreeSet<String>)> = first
            .iter()
            .filter(|(name, _)| others.iter().all(|other| other.0.contains_key(*name)))
            .map(|(name, _)| {
                (name, all.iter().filter_map(|one| one.0.get(name)).flatten().cloned().collect())
            })
            .collect();
        // Tags first, and those with the fewest values: they leave the most out for the least.
        shared.sort_by_key(|(name, values)| (!name.starts_with("tag:"), values.len()));
        for (name, values) in shared {
            if common.values() + values.len() < MAX_VALUES {
                common.add(name.to_owned(), values);
            }
        }
        if common.tags().next().is_none() && !common.0.contains_key(TAG_KEY) {
            let names = Self::tag_of_each(all).unwrap_or_default();
            if !names.is_empty() && common.values() + names.len() < MAX_VALUES {
                common.add(TAG_KEY.to_owned(), names);
            }
        }
        common.running()
    }

    /// Names of tags of which each of these needs one, as patterns; `None` when one of them needs no tag.
    fn tag_of_each(all: &[&Self]) -> Option<BTreeSet<String>> {
        let mut wanted: BTreeMap<&str, usize> = BTreeMap::new();
        for name in all.iter().flat_map(|one| one.tags()) {
            *wanted.entry(name).or_default() += 1;
        }
        let most_wanted = |one: &&Self| one.tags().max_by_key(|name| wanted.get(name)).map(escape);
        all.iter().map(most_wanted).collect()
    }

    /// Whether an answer to this question has every running instance that `wanted` asks for.
    pub(crate) fn covers(&self, wanted: &Self) -> bool {
        self.iter().all(|(name, allowed)| {
            name == STATE
                || wanted.0.get(name).is_some_and(|values| values.is_subset(allowed))
                || (name == TAG_KEY && wanted.tags().any(|tag| allowed.contains(&escape(tag))))
        })
    }
}

const TAG_KEY: &str = "tag-key";

/// One filter, ready to judge.
#[derive(Debug, Clone)]
pub(crate) struct Condition {
    subject: Subject,
    patterns: Vec<Pattern>,
}

/// What of an instance a filter is about.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Subject {
    Tag(String),
    TagKey,
    Zone,
    Image,
    Id,
    Kind,
    PublicIp,
    PrivateDns,
    PrivateIp,
    Subnet,
    Vpc,
    /// A filter that only EC2 can judge.
    Foreign,
}

impl Condition {
    pub(crate) fn new(name: &str, values: &BTreeSet<String>) -> Self {
        let subject = match name {
            TAG_KEY => Subject::TagKey,
            "availability-zone" => Subject::Zone,
            "image-id" => Subject::Image,
            "instance-id" => Subject::Id,
            "instance-type" => Subject::Kind,
            "ip-address" => Subject::PublicIp,
            "private-dns-name" => Subject::PrivateDns,
            "private-ip-address" => Subject::PrivateIp,
            "subnet-id" => Subject::Subnet,
            "vpc-id" => Subject::Vpc,
            other => other.strip_prefix("tag:").map_or(Subject::Foreign, |tag| Subject::Tag(tag.to_owned())),
        };
        Self { subject, patterns: values.iter().map(|value| Pattern::parse(value)).collect() }
    }

    /// Whether only EC2 can judge it.
    pub(crate) fn is_foreign(&self) -> bool {
        self.subject == Subject::Foreign || self.patterns.iter().any(Pattern::is_foreign)
    }

    /// Whether an instance passes; `true` when only EC2 can tell.
    pub(crate) fn passes(&self, instance: &Instance) -> bool {
        let fits = |text: &str| self.patterns.iter().any(|pattern| pattern.fits(text));
        let optional = |text: &Option<String>| text.as_deref().is_some_and(fits);
        match &self.subject {
            Subject::Tag(name) => instance.tags.get(name).is_some_and(|value| fits(value)),
            Subject::TagKey => instance.tags.keys().any(|name| fits(name)),
            Subject::Zone => optional(&instance.zone),
            Subject::Image => optional(&instance.image),
            Subject::Id => fits(&instance.id),
            Subject::Kind => optional(&instance.kind),
            Subject::PublicIp => optional(&instance.public_ip),
            Subject::PrivateDns => optional(&instance.private_dns),
            Subject::PrivateIp => optional(&instance.private_ip),
            Subject::Subnet => optional(&instance.subnet),
            Subject::Vpc => optional(&instance.vpc),
            Subject::Foreign => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filters(written: &[(&str, &[&str])]) -> Filters {
        let mut filters = Filters::default();
        for (name, values) in written {
            assert!(
                filters.add((*name).to_owned(), values.iter().map(|value| (*value).to_owned()).collect())
            );
        }
        filters
    }

    fn shown(filters: &Filters) -> String {
        let one = |(name, values): (&str, &BTreeSet<String>)| {
            format!("{name}={}", values.iter().map(String::as_str).collect::<Vec<_>>().join(","))
        };
        filters.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    fn asked(all: &[&Filters]) -> String {
        let question = Filters::superset(all);
        for one in all {
            assert!(question.covers(one), "{question:?} {one:?}");
        }
        shown(&question)
    }

    #[test]
    fn one_service_is_asked_for_by_its_own_filters() {
        let one = filters(&[("tag:role", &["web"]), ("vpc-id", &["vpc-1"])]);
        assert_eq!(asked(&[&one]), "instance-state-name=running tag:role=web vpc-id=vpc-1");
    }

    #[test]
    fn services_that_share_a_tags_name_are_asked_for_by_all_its_values() {
        let web = filters(&[("tag:role", &["web"]), ("tag:env", &["prod"])]);
        let db = filters(&[("tag:role", &["db", "db-*"]), ("subnet-id", &["s-1"])]);
        assert_eq!(asked(&[&web, &db]), "instance-state-name=running tag:role=db,db-*,web");
    }

    #[test]
    fn services_with_different_tags_are_asked_for_by_the_fewest_names() {
        let one = filters(&[("tag:a", &["1"]), ("tag:role", &["web"])]);
        let two = filters(&[("tag:role", &["db"])]);
        let three = filters(&[("tag:star*", &["x"])]);
        assert_eq!(asked(&[&one, &two, &three]), r"instance-state-name=running tag-key=role,star\*");
    }

    #[test]
    fn a_service_without_a_tag_widens_the_question() {
        let tagged = filters(&[("tag:role", &["web"])]);
        let untagged = filters(&[("vpc-id", &["vpc-1"])]);
        assert_eq!(asked(&[&tagged, &untagged]), "instance-state-name=running");
    }

    #[test]
    fn a_question_never_has_more_values_than_ec2_takes() {
        let many: Vec<_> = (0..250).map(|i| filters(&[("tag:role", &[&format!("r{i}")])])).collect();
        assert_eq!(asked(&many.iter().collect::<Vec<_>>()), "instance-state-name=running tag-key=role");
        let names: Vec<_> = (0..250).map(|i| filters(&[(&format!("tag:t{i}"), &["x"])])).collect();
        assert_eq!(asked(&names.iter().collect::<Vec<_>>()), "instance-state-name=running");
        let some: Vec<_> = (0..199).map(|i| filters(&[("tag:role", &[&format!("r{i}")])])).collect();
        assert_eq!(Filters::superset(&some.iter().collect::<Vec<_>>()).values(), MAX_VALUES);
    }

    #[test]
    fn an_answer_covers_only_what_was_asked_for() {
        let question = filters(&[("tag:role", &["web", "db"]), (STATE, &[RUNNING])]);
        for (wanted, covered) in [
            (filters(&[("tag:role", &["web"])]), true),
            (filters(&[("tag:role", &["web"]), ("tag:env", &["x"])]), true),
            (filters(&[("tag:role", &["web", "cache"])]), false),
            (filters(&[("tag:Role", &["web"])]), false),
            (filters(&[("vpc-id", &["vpc-1"])]), false),
        ] {
            assert_eq!(question.covers(&wanted), covered, "{wanted:?}");
        }
        let by_name = filters(&[(TAG_KEY, &["role"])]);
        assert!(by_name.covers(&filters(&[("tag:role", &["cache"])])));
        assert!(!by_name.covers(&filters(&[("tag:env", &["x"])])));
    }

    /// Filters on tags, on all tags' names and on something else, with few names and values, so that they meet.
    fn any_filters() -> impl Strategy<Value = Filters> {
        let name = proptest::sample::select(vec!["tag:a", "tag:b", r"tag:c*", TAG_KEY, "vpc-id"]);
        let values = proptest::collection::btree_set("[ab*]{0,2}", 1..3);
        proptest::collection::btree_map(name.prop_map(str::to_owned), values, 1..4).prop_map(Filters)
    }

    fn any_instance() -> impl Strategy<Value = Instance> {
        let name = proptest::sample::select(vec!["a", "b", "c*", "cd"]);
        let tags = proptest::collection::btree_map(name.prop_map(str::to_owned), "[ab]{0,2}", 0..4);
        (tags, proptest::option::of("[ab]{1,2}")).prop_map(|(tags, vpc)| Instance {
            id: "i-1".to_owned(),
            vpc,
            tags,
            ..Instance::default()
        })
    }

    fn wants(filters: &Filters, instance: &Instance) -> bool {
        let mut known = filters.iter().filter(|(name, _)| *name != STATE);
        known.all(|(name, values)| Condition::new(name, values).passes(instance))
    }

    proptest! {
        #[test]
        fn one_question_for_many_leaves_out_nobody_whom_any_of_them_wants(
            all in proptest::collection::vec(any_filters(), 1..5),
            instances in proptest::collection::vec(any_instance(), 1..20),
        ) {
            let question = Filters::superset(&all.iter().collect::<Vec<_>>());
            prop_assert!(question.values() <= MAX_VALUES);
            for one in &all {
                prop_assert!(question.covers(one), "{:?} {:?}", question, one);
                for instance in &instances {
                    prop_assert!(!wants(one, instance) || wants(&question, instance), "{:?} {:?}", question, instance);
                }
            }
        }
    }

    fn passes(name: &str, values: &[&str], instance: &Instance) -> bool {
        Condition::new(name, &values.iter().map(|value| (*value).to_owned()).collect()).passes(instance)
    }

    #[test]
    fn a_filter_that_can_be_judged_here_is_judged_as_ec2_does() {
        let text = |text: &str| Some(text.to_owned());
        let instance = Instance {
            id: "i-1".to_owned(),
            private_dns: text("ip-10-0-0-1.internal"),
            private_ip: text("10.0.0.1"),
            public_ip: text("1.2.3.4"),
            zone: text("eu-west-1a"),
            kind: text("m5.large"),
            image: text("ami-1"),
            vpc: text("vpc-1"),
            subnet: text("subnet-1"),
            tags: BTreeMap::from([("role".to_owned(), "web".to_owned())]),
            ..Instance::default()
        };
        for (name, fits, other) in [
            ("tag:role", "we*", "db"),
            ("tag-key", "role", "web"),
            ("availability-zone", "eu-west-1a", "eu-west-1b"),
            ("image-id", "ami-*", "ami-2"),
            ("instance-id", "i-1", "i-2"),
            ("instance-type", "m5.*", "t3.*"),
            ("ip-address", "1.2.3.4", "1.2.3.5"),
            ("private-dns-name", "*.internal", "x"),
            ("private-ip-address", "10.0.*", "10.1.*"),
            ("subnet-id", "subnet-1", "subnet"),
            ("vpc-id", "vpc-1", "vpc-2"),
        ] {
            assert!(passes(name, &[fits], &instance), "{name}");
            assert!(passes(name, &[other, fits], &instance), "{name}");
            assert!(!passes(name, &[other], &instance), "{name}");
        }
        assert!(!passes("tag:Role", &["web"], &instance));
        assert!(!passes("ip-address", &["*"], &Instance::default()));
    }

    #[test]
    fn other_filters_are_left_to_ec2() {
        let values = BTreeSet::from(["default".to_owned()]);
        assert!(Condition::new("instance.group-name", &values).is_foreign());
        assert!(Condition::new("tag:role", &BTreeSet::from(["we?".to_owned()])).is_foreign());
        assert!(!Condition::new("tag:role", &values).is_foreign());
        assert!(passes("instance.group-name", &["x"], &Instance::default()));
    }
}
