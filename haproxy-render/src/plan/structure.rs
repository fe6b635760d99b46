//! What only a reload can change.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Capabilities, Reason};
use crate::directive::{BALANCE, lacks_balance};
use crate::document::{Document, Service};
use crate::line::Line;
use crate::name::Name;

/// The services of two documents, side by side.
#[derive(Debug, Default)]
pub(crate) struct Sides<'a> {
    /// Those of one backend that are not the same value: before, after.
    pub(crate) both: Vec<(&'a Arc<Service>, &'a Arc<Service>)>,
    /// Those that were not there before.
    pub(crate) new: Vec<&'a Arc<Service>>,
    /// Those that are there no more.
    pub(crate) gone: Vec<&'a Arc<Service>>,
    /// Whether those that are in both are in another order.
    reordered: bool,
}

impl<'a> Sides<'a> {
    /// Services are known by their backends. Those that are the same [`Arc`] in the same place cost nothing more.
    pub(crate) fn of(before: &'a Document, after: &'a Document) -> Self {
        let mut sides = Self::default();
        let same_place = before.services.len() == after.services.len()
            && before
                .services
                .iter()
                .zip(&after.services)
                .all(|(old, new)| Arc::ptr_eq(old, new) || old.backend.name == new.backend.name);
        if same_place {
            let pairs = before.services.iter().zip(&after.services);
            sides.both = pairs.filter(|(old, new)| !Arc::ptr_eq(old, new)).collect();
            return sides;
        }
        let numbered = before.services.iter().enumerate();
        let mut old: HashMap<&Name, (usize, &Arc<Service>)> =
            numbered.map(|(at, service)| (&service.backend.name, (at, service))).collect();
        let mut last = None;
        for new in &after.services {
            let Some((at, old)) = old.remove(&new.backend.name) else {
                sides.new.push(new);
                continue;
            };
            sides.reordered |= last.is_some_and(|last| at < last);
            last = Some(at);
            if !Arc::ptr_eq(old, new) {
                sides.both.push((old, new));
            }
        }
        sides.gone =
            before.services.iter().filter(|service| old.contains_key(&service.backend.name)).collect();
        sides
    }
}

/// What differs apart from services' own sections.
pub(crate) fn differences(before: &Document, after: &Document, sides: &Sides<'_>) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if before.global != after.global {
        reasons.push(Reason::Global);
    }
    if before.defaults != after.defaults {
        reasons.push(Reason::Defaults);
    }
    if before.extra_sections != after.extra_sections {
        let (old, new) = (&before.extra_sections, &after.extra_sections);
        let at = old.iter().zip(new).take_while(|(old, new)| old == new).count();
        let title = new.get(at).or_else(|| old.get(at)).map_or("", |section| section.title.as_str());
        reasons.push(Reason::Section { title: title.into() });
    }
    if before.shared_frontend != after.shared_frontend || shared_lines_differ(before, after, sides) {
        reasons.push(Reason::SharedFrontend);
    }
    let backend = |service: &Service| service.backend.name.clone();
    reasons.extend(sides.new.iter().map(|service| Reason::NewBackend { backend: backend(service) }));
    reasons.extend(sides.gone.iter().map(|service| Reason::GoneBackend { backend: backend(service) }));
    reasons
}

fn shared_lines_differ(before: &Document, after: &Document, sides: &Sides<'_>) -> bool {
    if after.shared_frontend.is_none() {
        return false;
    }
    if !sides.reordered && sides.new.is_empty() && sides.gone.is_empty() {
        return sides.both.iter().any(|(old, new)| old.shared_frontend != new.shared_frontend);
    }
    let lines = |document: &Document| {
        document.services.iter().flat_map(|service| service.shared_frontend.clone()).collect::<Vec<_>>()
    };
    lines(before) != lines(after)
}

/// What differs in a service's own sections, apart from its servers. `inherited` are the lines that `before` inherits.
pub(crate) fn service<'a>(
    before: &Service,
    after: &Service,
    inherited: impl FnOnce() -> Vec<&'a Line>,
    capabilities: &Capabilities,
) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if before.frontend != after.frontend {
        reasons.push(Reason::Frontend { service: after.name.clone() });
    }
    let (was, is) = (&before.backend.lines, &after.backend.lines);
    // Stating what the process does anyway changes the file alone.
    let stated = |is: &[Line]| {
        is.split_first().is_some_and(|(first, rest)| first.as_str() == BALANCE && rest == was.as_slice())
            && capabilities.takes_turns()
            && lacks_balance(inherited().into_iter().chain(was))
    };
    if was != is && !stated(is) {
        reasons.push(Reason::Lines { backend: after.backend.name.clone() });
    }
    reasons
}
