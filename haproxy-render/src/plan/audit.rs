//! A look at a process that never has all of what it says in memory.

use std::collections::{BTreeMap, HashMap};

use super::planner::Draft;
use super::repair::Inspection;
use super::running::{self, Found, Usage};
use super::setting::Setting;
use super::stat;
use super::transition::Transition;
use super::{Leaving, Planner, Query, Repair, Stranger, Unreadable};
use crate::document::Document;
use crate::line::Line;
use crate::name::Name;
use crate::server::Server;

/// As [`Planner::repair`], with what HAProxy answers taken in line by line as it comes: of a process of 100,000 servers the answers
/// have 40 MB. At any time this holds the servers of one backend, and what is to be put right.
///
/// ```
/// use haproxy_render::{Document, plan::{Audit, Capabilities, Leaving, Plan, Planner, Version}};
///
/// let planner = Planner::new(Capabilities::of(Version::parse("2.6.12")?));
/// let (document, leaving) = (Document::default(), Leaving::default());
/// let mut audit = planner.audit(&document, &leaving);
/// let asked: Vec<String> = Audit::QUESTIONS.iter().map(ToString::to_string).collect();
/// assert_eq!(asked, ["show stat -1 4 -1", "show servers state"]);
/// audit.hear(0, "# pxname,svname,scur,slim,bck,cookie,check_rise,check_fall,")?;
/// audit.hear(0, "own,a,0,,0,,,,")?;
/// audit.hear(1, "1")?;
/// audit.hear(1, "# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight \
///     srv_check_state srv_agent_state srv_port")?;
/// audit.hear(1, "3 own 1 a 10.0.0.1 2 0 1 1 0 0 80")?;
/// assert_eq!(audit.finish()?.plan, Plan::Nothing);
/// # Ok::<(), haproxy_render::plan::Unreadable>(())
/// ```
#[derive(Debug)]
pub struct Audit<'a> {
    planner: &'a Planner,
    document: &'a Document,
    leaving: &'a Leaving,
    inherited: Vec<&'a Line>,
    /// The place of its service in the document, for each backend.
    places: HashMap<&'a str, usize>,
    stat: stat::Lines,
    state: running::Lines,
    /// The backend of which the statistics come.
    expected: Option<Expected<'a>>,
    /// What the statistics tell that is not as it should be, by the places of the services: all else need not be known.
    unusual: HashMap<usize, HashMap<Name, Usage>>,
    /// The backend of which the servers come, and those that have.
    current: Option<(usize, BTreeMap<Name, Found>)>,
    /// What was found, for each service whose backend is complete.
    found: Vec<Option<(Transition, Vec<Stranger>)>>,
    still: Leaving,
}

/// What a backend should have.
#[derive(Debug)]
struct Expected<'a> {
    place: usize,
    name: &'a Name,
    setting: Setting<'a>,
    servers: HashMap<&'a str, &'a Server>,
}

impl Planner {
    /// Begins to look at what a process says that should run `document`; `leaving` are the servers that it should have besides.
    pub fn audit<'a>(&'a self, document: &'a Document, leaving: &'a Leaving) -> Audit<'a> {
        let backends = document.services.iter().map(|service| service.backend.name.as_str());
        Audit {
            planner: self,
            document,
            leaving,
            inherited: document.inherited(),
            places: backends.zip(0..).collect(),
            stat: stat::Lines::default(),
            state: running::Lines::default(),
            expected: None,
            unusual: HashMap::new(),
            current: None,
            found: document.services.iter().map(|_| None).collect(),
            still: leaving.clone(),
        }
    }
}

impl Audit<'_> {
    /// What to ask, in this order. Statistics come first: what they tell matters where it is not as it should be, which can be seen
    /// without the rest.
    pub const QUESTIONS: [Query; 2] = [Query::Stat, Query::Servers(None)];

    /// Takes in a line that answers a question, by its place among the [questions](Self::QUESTIONS). Blank lines count
    /// for nothing and may be left out.
    ///
    /// # Errors
    /// It is not of the form that it should have. What was found so far is not to be used: half a picture would be taken for the whole.
    pub fn hear(&mut self, question: usize, line: &str) -> Result<(), Unreadable> {
        if question == 0 { self.hear_stat(line) } else { self.hear_server(line) }
    }

    /// What is to be done, once both answers have ended.
    ///
    /// # Errors
    /// One of them lacks its beginning.
    pub fn finish(mut self) -> Result<Repair, Unreadable> {
        self.stat.end()?;
        self.state.end()?;
        self.complete();
        let unseen: Vec<usize> =
            self.places.values().copied().filter(|place| self.found[*place].is_none()).collect();
        for place in unseen {
            self.look(place, BTreeMap::new());
        }
        let (mut draft, mut strangers) = (Draft::default(), Vec::new());
        for (service, found) in self.document.services.iter().zip(self.found) {
            let Some((transition, others)) = found else { continue };
            strangers.extend(others);
            draft.add(&service.backend.name, transition);
        }
        let plan = self.planner.plan(draft, self.document, &self.still);
        Ok(Repair { plan, strangers, leaving: self.still })
    }

    fn hear_stat(&mut self, line: &str) -> Result<(), Unreadable> {
        let Some(row) = self.stat.read(line)? else { return Ok(()) };
        if self.expected.as_ref().is_none_or(|expected| expected.name.as_str() != row.backend()) {
            self.expected = self.expect(row.backend());
        }
        let Some(expected) = &self.expected else { return Ok(()) };
        let Some(server) = expected.servers.get(row.server()) else { return Ok(()) };
        let usage = row.usage()?;
        if !expected.setting.is_usual(server, &usage) {
            self.unusual.entry(expected.place).or_default().insert(server.name().clone(), usage);
        }
        Ok(())
    }

    fn hear_server(&mut self, line: &str) -> Result<(), Unreadable> {
        let Some(row) = self.state.read(line)? else { return Ok(()) };
        let other = |place: usize| self.document.services[place].backend.name.as_str() != row.backend();
        if self.current.as_ref().is_none_or(|(place, _)| other(*place)) {
            self.complete();
            // Statistics are over.
            self.expected = None;
            let Some(place) = self.place(row.backend()) else { return Ok(()) };
            if self.found[place].is_some() {
                return Err(row.wrong("is of a backend that was complete"));
            }
            self.current = Some((place, BTreeMap::new()));
        }
        match &mut self.current {
            Some((_, servers)) => row.add_to(servers),
            None => Ok(()),
        }
    }

    /// The servers of the current backend are all there.
    fn complete(&mut self) {
        if let Some((place, servers)) = self.current.take() {
            self.look(place, servers);
        }
    }

    fn look(&mut self, place: usize, mut servers: BTreeMap<Name, Found>) {
        for (name, usage) in self.unusual.remove(&place).unwrap_or_default() {
            if let Some(found) = servers.get_mut(&name) {
                found.usage = Some(usage);
            }
        }
        let backend = &self.document.services[place].backend;
        let setting = Setting::new(&self.inherited, backend);
        let inspection = Inspection {
            backend,
            found: &servers,
            leaving: self.leaving,
            setting: &setting,
            planner: self.planner,
        };
        inspection.forget_gone(&mut self.still);
        self.found[place] = Some(inspection.plan());
    }
}

impl<'a> Audit<'a> {
    fn place(&self, backend: &str) -> Option<usize> {
        self.places.get(backend).copied()
    }

    fn expect(&self, backend: &str) -> Option<Expected<'a>> {
        let place = self.place(backend)?;
        let backend = &self.document.services[place].backend;
        let setting = Setting::new(&self.inherited, backend);
        let servers = backend.servers.iter().map(|server| (server.name().as_str(), server)).collect();
        Some(Expected { place, name: &backend.name, setting, servers })
    }
}
