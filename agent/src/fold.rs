//! From what a source said to what is to be served: a pure function.

use std::num::NonZeroU16;

use discovery_core::{
    Snapshot,
    transform::{self, Defaults, LabelFilter, NoLeader, WhenEmpty},
};

/// What becomes of the endpoints of one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) defaults: Snapshot,
    pub(crate) when_defaults: Defaults,
    pub(crate) port: Option<NonZeroU16>,
    pub(crate) backup_port: Option<NonZeroU16>,
    pub(crate) filters: Vec<LabelFilter>,
    pub(crate) elect_leader: bool,
    pub(crate) when_empty: WhenEmpty,
}

/// What is to be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Served {
    /// These, and nobody else.
    Known(Snapshot),
    /// Nothing that can be gone by has been heard since the start: those who were served before it, or else these.
    Unheard(Snapshot),
}

/// The outcome of a fold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Folded {
    pub(crate) served: Served,
    /// What the next fold is given as `previous`.
    pub(crate) last_good: Option<Snapshot>,
    /// What the source said is believed, and says enough by itself: worth remembering beyond the life of this program.
    pub(crate) believed: bool,
    /// Why nobody is elected, where a leader should be.
    pub(crate) no_leader: Option<NoLeader>,
}

/// Folds what the source said last (`None`: nothing yet) and the last good answer before it.
pub(crate) fn fold(rules: &Rules, said: Option<&Snapshot>, previous: Option<&Snapshot>) -> Folded {
    let filtered = |snapshot: &Snapshot| transform::labelled(snapshot, &rules.filters);
    let defaults = filtered(&rules.defaults);

    let mut believed = false;
    let (served, last_good): (fn(Snapshot) -> Served, _) = match said {
        None => (Served::Unheard, defaults),
        Some(said) => {
            let found = found(rules, said);
            // Entries that nobody understands are not "nobody".
            let unreadable = said.is_empty() && said.rejected().total() > 0;
            let nobody = !defaults.is_empty() || rules.when_empty == WhenEmpty::Accept;
            believed = !found.is_empty() || (nobody && !unreadable);
            if !found.is_empty() {
                (Served::Known, found)
            } else if unreadable && previous.is_none() {
                (Served::Unheard, transform::with_defaults(&found, &defaults, Defaults::WhenEmpty))
            } else if unreadable {
                (Served::Known, transform::last_good(previous, found, rules.when_empty))
            } else if !defaults.is_empty() {
                (Served::Known, transform::with_defaults(&found, &defaults, Defaults::WhenEmpty))
            } else if previous.is_none() && rules.when_empty == WhenEmpty::Keep {
                (Served::Unheard, found)
            } else {
                (Served::Known, transform::last_good(previous, found, rules.when_empty))
            }
        }
    };
    // Only what is known is remembered: folding the same answer again must not turn a stand-in into the last good answer.
    let remembered = match served(last_good.clone()) {
        Served::Known(known) if !known.is_empty() => Some(known),
        Served::Known(_) | Served::Unheard(_) => previous.cloned(),
    };
    if !rules.elect_leader {
        return Folded { served: served(last_good), last_good: remembered, believed, no_leader: None };
    }
    match transform::leader(&last_good) {
        Ok(leader) => Folded { served: served(leader), last_good: remembered, believed, no_leader: None },
        // Whoever led before the start may go on leading until the source has spoken; after that, nobody is nobody.
        Err(reason) => Folded {
            served: served(Snapshot::default()),
            last_good: remembered,
            believed,
            no_leader: Some(reason),
        },
    }
}

/// What the source said, as the service wants it.
fn found(rules: &Rules, said: &Snapshot) -> Snapshot {
    let mut found = transform::available(said);
    if rules.when_defaults == Defaults::Always {
        found = transform::with_defaults(&found, &rules.defaults, Defaults::Always);
    }
    if let Some(port) = rules.port {
        found = transform::with_port(&found, port);
    }
    if let Some(port) = rules.backup_port {
        found = transform::with_backups(&found, port);
    }
    transform::labelled(&found, &rules.filters)
}

#[cfg(test)]
mod tests {
    use discovery_core::{Endpoint, Rejection, transform::Condition};

    use super::*;

    fn endpoint(port: u16) -> Endpoint {
        Endpoint::new("10.0.0.1".parse().unwrap(), port).unwrap()
    }

    fn ports<const N: usize>(ports: [u16; N]) -> Snapshot {
        ports.into_iter().map(endpoint).collect()
    }

    fn rules() -> Rules {
        Rules {
            defaults: Snapshot::default(),
            when_defaults: Defaults::WhenEmpty,
            port: None,
            backup_port: None,
            filters: Vec::new(),
            elect_leader: false,
            when_empty: WhenEmpty::Keep,
        }
    }

    fn endpoints(served: &Served) -> &[Endpoint] {
        let (Served::Known(snapshot) | Served::Unheard(snapshot)) = served;
        snapshot.endpoints()
    }

    fn served(rules: &Rules, said: Option<&Snapshot>, previous: Option<&Snapshot>) -> Served {
        fold(rules, said, previous).served
    }

    #[test]
    fn before_the_first_answer_what_was_served_goes_on_or_else_the_defaults() {
        assert_eq!(served(&rules(), None, None), Served::Unheard(ports([])));
        let with_defaults = Rules { defaults: ports([9]), ..rules() };
        assert_eq!(served(&with_defaults, None, None), Served::Unheard(ports([9])));
    }

    #[test]
    fn an_empty_answer_is_believed_only_where_the_service_says_so() {
        let (one, none) = (ports([1]), ports([]));
        let folded = fold(&rules(), Some(&one), None);
        assert_eq!(served(&rules(), Some(&none), folded.last_good.as_ref()), Served::Known(one.clone()));
        let accept = Rules { when_empty: WhenEmpty::Accept, ..rules() };
        assert_eq!(served(&accept, Some(&none), Some(&one)), Served::Known(none.clone()));
        assert_eq!(served(&accept, Some(&none), None), Served::Known(none.clone()));
    }

    #[test]
    fn an_empty_first_answer_leaves_what_was_served_before_the_start() {
        assert_eq!(served(&rules(), Some(&ports([])), None), Served::Unheard(ports([])));
    }

    #[test]
    fn entries_that_nobody_understands_are_not_nobody() {
        let unreadable = ports([]).with_rejected([Rejection::new("a", "bad")]);
        let rules = Rules { when_empty: WhenEmpty::Accept, defaults: ports([9]), ..rules() };
        let folded = fold(&rules, Some(&unreadable), Some(&ports([1])));
        assert_eq!(endpoints(&folded.served), ports([1]).endpoints());
        assert!(matches!(served(&rules, Some(&unreadable), None), Served::Unheard(_)));
    }

    #[test]
    fn what_is_worth_remembering_is_what_serves_by_itself() {
        let believed = |rules: &Rules, said: Option<&Snapshot>| fold(rules, said, Some(&ports([7]))).believed;
        let (one, none) = (ports([1]), ports([]));
        let unreadable = ports([]).with_rejected([Rejection::new("a", "bad")]);
        assert!(believed(&rules(), Some(&one)));
        assert!(!believed(&rules(), None) && !believed(&rules(), Some(&none)));
        let accept = Rules { when_empty: WhenEmpty::Accept, ..rules() };
        assert!(believed(&accept, Some(&none)) && !believed(&accept, Some(&unreadable)));
        let with_defaults = Rules { defaults: ports([9]), ..rules() };
        assert!(believed(&with_defaults, Some(&none)) && !believed(&with_defaults, Some(&unreadable)));
        let led = Rules { elect_leader: true, ..rules() };
        assert!(believed(&led, Some(&one)), "who answers is heard, whoever may lead");
    }

    #[test]
    fn folding_the_same_answer_again_changes_nothing() {
        let unreadable = ports([]).with_rejected([Rejection::new("a", "bad")]);
        let rules = Rules { defaults: ports([9]), ..rules() };
        for said in [None, Some(&ports([])), Some(&ports([1])), Some(&unreadable)] {
            let once = fold(&rules, said, None);
            assert_eq!(fold(&rules, said, once.last_good.as_ref()), once, "{said:?}");
        }
    }

    #[test]
    fn defaults_that_step_in_keep_their_own_ports_and_kept_ones_do_not() {
        let port = NonZeroU16::new(80);
        let when_empty = Rules { defaults: ports([9]), port, ..rules() };
        assert_eq!(served(&when_empty, Some(&ports([])), None), Served::Known(ports([9])));
        let always = Rules { when_defaults: Defaults::Always, ..when_empty };
        assert_eq!(served(&always, Some(&ports([1])), None), Served::Known(ports([80])));
    }

    #[test]
    fn filters_hold_for_defaults_too() {
        let filters =
            vec![LabelFilter { label: "az".into(), value: "a".into(), condition: Condition::Equals }];
        let rules = Rules { defaults: ports([9]), filters, when_empty: WhenEmpty::Accept, ..rules() };
        assert_eq!(served(&rules, Some(&ports([1])), None), Served::Known(ports([])));
    }

    #[test]
    fn backups_come_on_the_overridden_port() {
        let rules = Rules { port: NonZeroU16::new(80), backup_port: NonZeroU16::new(90), ..rules() };
        let Served::Known(both) = served(&rules, Some(&ports([1])), None) else {
            panic!("an answer was given")
        };
        let shown: Vec<_> = both.into_iter().map(|e| (e.port().get(), e.backup())).collect();
        assert_eq!(shown, [(80, false), (90, true)]);
    }

    #[test]
    fn a_backup_does_not_lead_in_place_of_its_twin() {
        let rules = Rules { elect_leader: true, backup_port: NonZeroU16::new(1), ..rules() };
        let with_id: Snapshot = [endpoint(80).with_id(Some(7))].into_iter().collect();
        let led = fold(&rules, Some(&with_id), None);
        let shown: Vec<_> = endpoints(&led.served).iter().map(|e| (e.port().get(), e.backup())).collect();
        assert_eq!(shown, [(80, false)]);
    }

    #[test]
    fn without_ids_nobody_leads_whatever_was_before() {
        let rules = Rules { elect_leader: true, ..rules() };
        let with_ids: Snapshot =
            [(1, 7), (2, 3)].map(|(p, id)| endpoint(p).with_id(Some(id))).into_iter().collect();
        let led = fold(&rules, Some(&with_ids), None);
        assert_eq!(endpoints(&led.served)[0].port().get(), 2);
        let mixed = fold(&rules, Some(&ports([1, 2])), led.last_good.as_ref());
        assert_eq!(mixed.served, Served::Known(ports([])));
        assert_eq!(mixed.no_leader, Some(NoLeader::WithoutId { without: 2, of: 2 }));
    }

    #[test]
    fn the_leader_of_the_last_good_answer_leads_through_an_empty_one() {
        let rules = Rules { elect_leader: true, ..rules() };
        let with_ids: Snapshot =
            [(1, 7), (2, 3)].map(|(p, id)| endpoint(p).with_id(Some(id))).into_iter().collect();
        let led = fold(&rules, Some(&with_ids), None);
        let empty = fold(&rules, Some(&ports([])), led.last_good.as_ref());
        assert_eq!(empty.served, led.served);
    }
}
