//! Servers on their way out.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Step;
use crate::name::Name;
use crate::number::{ServerId, digits};
use crate::server::Server;

/// How long to wait after a server's connections were ended before it is deleted. Old versions of HAProxy are not safe
/// against both at once.
pub const SHUTDOWN_PAUSE: Duration = Duration::from_millis(50);

/// The servers of a process that were put into maintenance for good and are not deleted yet.
///
/// They hold on to their names and ids, so whoever chooses ids has to [reserve](crate::Ids::reserved) those. A process that
/// was started from the file has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leaving {
    backends: BTreeMap<Name, BTreeMap<Name, Departure>>,
}

/// A server that is in maintenance for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Departure {
    backend: Name,
    server: Name,
    id: ServerId,
    /// What it was, if it was one of ours: it may come back.
    pub(crate) was: Option<Server>,
}

/// How long a server has been on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drain {
    /// Its connections may still end by themselves.
    Waiting,
    /// They have had their time.
    Over,
}

impl Leaving {
    /// All of them, in order of their backends and names.
    pub fn iter(&self) -> impl Iterator<Item = &Departure> {
        self.backends.values().flat_map(BTreeMap::values)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.backends.values().map(BTreeMap::len).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.backends.is_empty()
    }

    /// The ids that are taken in a backend, for [`Ids::reserved`](crate::Ids::reserved).
    pub fn ids(&self, backend: &Name) -> impl Iterator<Item = ServerId> {
        self.of(backend).map(|departure| departure.id)
    }

    /// Forgets one that was deleted. Returns whether it was there.
    pub fn remove(&mut self, backend: &Name, server: &Name) -> bool {
        let Some(servers) = self.backends.get_mut(backend) else { return false };
        let removed = servers.remove(server).is_some();
        if servers.is_empty() {
            self.backends.remove(backend);
        }
        removed
    }

    /// All of them as text, one a line: backend, server and id. [`parse`](Self::parse) reads it.
    pub fn lines(&self) -> String {
        let line = |one: &Departure| format!("{} {} {}\n", one.backend, one.server, one.id);
        self.iter().map(line).collect()
    }

    /// Reads what [`lines`](Self::lines) has written; `None` if it is anything else. What the servers were is not told by it: one that
    /// comes back is made anew.
    pub fn parse(lines: &str) -> Option<Self> {
        let mut leaving = Self::default();
        for line in lines.lines() {
            let mut words = line.split(' ');
            let (backend, server) = (Name::parse(words.next()?).ok()?, Name::parse(words.next()?).ok()?);
            let id = digits(words.next()?).and_then(|id| ServerId::new(id).ok())?;
            if words.next().is_some() {
                return None;
            }
            leaving.insert(Departure::of_stranger(&backend, &server, id));
        }
        Some(leaving)
    }

    pub(crate) fn insert(&mut self, departure: Departure) {
        let servers = self.backends.entry(departure.backend.clone()).or_default();
        servers.insert(departure.server.clone(), departure);
    }

    pub(crate) fn of(&self, backend: &Name) -> impl Iterator<Item = &Departure> {
        self.backends.get(backend).into_iter().flat_map(BTreeMap::values)
    }

    pub(crate) fn get(&self, backend: &Name, server: &Name) -> Option<&Departure> {
        self.backends.get(backend)?.get(server)
    }
}

impl Departure {
    /// A server of ours.
    pub(crate) fn of(backend: &Name, server: &Server) -> Self {
        Self {
            backend: backend.clone(),
            server: server.name().clone(),
            id: server.id(),
            was: Some(server.clone()),
        }
    }

    /// A server by somebody else.
    pub(crate) fn of_stranger(backend: &Name, server: &Name, id: ServerId) -> Self {
        Self { backend: backend.clone(), server: server.clone(), id, was: None }
    }

    /// The backend that it is still in.
    pub fn backend(&self) -> &Name {
        &self.backend
    }

    /// Its name.
    pub fn server(&self) -> &Name {
        &self.server
    }

    /// Its id.
    pub fn id(&self) -> ServerId {
        self.id
    }

    /// What brings it to its end.
    ///
    /// - [`Drain::Waiting`]: tries to delete it. [`Verdict::Busy`](super::Verdict::Busy) means that it has connections: again
    ///   later. [`Verdict::Done`](super::Verdict::Done): [`remove`](Leaving::remove) it from those that leave.
    ///   [`Verdict::Pinned`](super::Verdict::Pinned): ask no more; it stays in maintenance, and among those that leave, until
    ///   the next reload.
    /// - [`Drain::Over`]: ends its connections, once. [`SHUTDOWN_PAUSE`] later, go on as before.
    pub fn step(&self, drain: Drain) -> Step {
        match drain {
            Drain::Waiting => Step::delete(&self.backend, &self.server),
            Drain::Over => Step::shut_down(&self.backend, &self.server),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn departure(backend: &str, server: &str, id: u32) -> Departure {
        Departure::of_stranger(&name(backend), &name(server), ServerId::new(id).unwrap())
    }

    #[test]
    fn who_leaves_holds_its_id() {
        let mut leaving = Leaving::default();
        for departure in [departure("web", "b", 2), departure("web", "a", 7), departure("db", "a", 1)] {
            leaving.insert(departure);
        }
        assert_eq!((leaving.len(), leaving.is_empty()), (3, false));
        assert_eq!(leaving.ids(&name("web")).map(ServerId::get).collect::<Vec<_>>(), [7, 2]);
        assert_eq!(leaving.ids(&name("other")).count(), 0);
        let all: Vec<&str> = leaving.iter().map(|departure| departure.server().as_str()).collect();
        assert_eq!(all, ["a", "a", "b"]);
        assert!(leaving.remove(&name("web"), &name("a")) && !leaving.remove(&name("web"), &name("a")));
        assert!(leaving.remove(&name("web"), &name("b")) && leaving.remove(&name("db"), &name("a")));
        assert!(leaving.is_empty() && !leaving.remove(&name("db"), &name("a")));
    }

    #[test]
    fn who_leaves_can_be_written_down() {
        let mut leaving = Leaving::default();
        for departure in [departure("web", "b", 2), departure("web", "a_10.0.0.1:80", 7)] {
            leaving.insert(departure);
        }
        assert_eq!(leaving.lines(), "web a_10.0.0.1:80 7\nweb b 2\n");
        assert_eq!(Leaving::parse(&leaving.lines()), Some(leaving));
        assert_eq!(Leaving::parse(""), Some(Leaving::default()));
        for wrong in
            ["web", "web a", "web a 0", "web a +1", "web a 1 2", "web  a 1", "w/b a 1", "web a 1\n\n"]
        {
            assert_eq!(Leaving::parse(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn connections_are_waited_for_and_then_ended() {
        let departure = departure("web", "a", 7);
        assert_eq!(departure.step(Drain::Waiting).command(), "del server web/a");
        assert_eq!(departure.step(Drain::Over).command(), "shutdown sessions server web/a");
    }
}
