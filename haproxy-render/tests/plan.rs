//! Whatever two documents say: the commands that lead from one to the other are commands that HAProxy takes, and a process
//! that has carried them out is like one that was started from the second.
#![allow(clippy::unwrap_used)] // what is unwrapped is constant

mod model;

use std::sync::Arc;

use haproxy_render::plan::{
    Capabilities, Commands, Drain, InitState, Leaving, Plan, Planner, Repair, Running, Strangers, Verdict,
};
use haproxy_render::{Backend, Document, Line, Name, ReadBack, Renderer, Service, directive, render};
use model::document::{Shown, document, frame};
use model::{Haproxy, Version};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

fn versions() -> impl Strategy<Value = Version> {
    select(vec![Version::V2_6, Version::V2_8, Version::V3_0, Version::V3_2])
}

fn planner(version: Version) -> Planner {
    let version = haproxy_render::plan::Version::parse(version.text()).unwrap();
    Planner::new(Capabilities::of(version))
}

/// Chance, spent bit by bit.
#[derive(Clone, Debug)]
struct Luck {
    bits: Vec<bool>,
    at: usize,
}

impl Luck {
    fn next(&mut self) -> bool {
        self.at += 1;
        self.bits.get(self.at % self.bits.len()).copied().unwrap_or_default()
    }
}

fn luck() -> impl Strategy<Value = Luck> {
    vec(any::<bool>(), 31).prop_map(|bits| Luck { bits, at: 0 })
}

/// Carries commands out, and watches what is served meanwhile. False: a server that has to be deleted has connections.
fn carry_out(haproxy: &mut Haproxy, commands: &Commands, watch: &mut dyn FnMut(&Haproxy, &str)) -> bool {
    for step in commands.steps() {
        if let Some((backend, server)) = step.server().filter(|_| step.command().starts_with("enable server"))
        {
            let server = &haproxy.backends[backend.as_str()].servers[server.as_str()];
            assert!(server.is_ready(), "{} comes too early: {haproxy:#?}", step.command());
        }
        let reply = haproxy.execute(step.command());
        match step.judge(&reply) {
            Verdict::Done => watch(haproxy, step.command()),
            Verdict::Busy | Verdict::Pinned if step.is_gate() => return false,
            verdict => panic!("{}: {reply} is {verdict:?}\n{haproxy:#?}", step.command()),
        }
    }
    true
}

fn is_leaving(leaving: &Leaving) -> impl Fn(&str, &str) -> bool {
    |backend, server| {
        leaving
            .iter()
            .any(|departure| (departure.backend().as_str(), departure.server().as_str()) == (backend, server))
    }
}

/// A process that carried out commands has the servers of one that was started from the file, and those that leave.
fn check_is(haproxy: &Haproxy, version: Version, document: &Document, leaving: &Leaving) {
    let fresh = Haproxy::start(version, &render(document));
    assert_eq!(haproxy.lasting(is_leaving(leaving)), fresh.lasting(|_, _| false));
    for departure in leaving.iter() {
        let server = &haproxy.backends[departure.backend().as_str()].servers[departure.server().as_str()];
        assert!(server.maintenance, "{departure:?} takes traffic");
        assert_eq!(server.id, departure.id().get());
    }
}

/// At no moment do fewer servers serve than before or after, but for the one that is being swapped.
struct Watch {
    needed: Vec<(String, usize)>,
}

impl Watch {
    fn new(haproxy: &Haproxy, version: Version, after: &Document, commands: &Commands) -> Self {
        let fresh = Haproxy::start(version, &render(after));
        let swaps = |backend: &str| {
            commands
                .steps()
                .iter()
                .any(|step| step.is_gate() && step.server().is_some_and(|(name, _)| name.as_str() == backend))
        };
        let both = haproxy.backends.keys().filter(|name| fresh.backends.contains_key(*name));
        let needed = both.map(|name| {
            let least = haproxy.serving(name).min(fresh.serving(name));
            let swapped = usize::from(swaps(name) && least > 1);
            (name.clone(), least - swapped)
        });
        Self { needed: needed.collect() }
    }

    fn look(&self, haproxy: &Haproxy, command: &str) {
        for (backend, needed) in &self.needed {
            let serving = haproxy.serving(backend);
            assert!(
                serving >= *needed,
                "{serving} of {backend} serve after {command}, not {needed}: {haproxy:#?}"
            );
        }
    }
}

/// Deletes some of the servers that leave.
fn delete_some(haproxy: &mut Haproxy, leaving: &mut Leaving, luck: &mut Luck) {
    for departure in leaving.clone().iter() {
        if luck.next() {
            continue;
        }
        let mut ask = |drain| {
            let step = departure.step(drain);
            let reply = haproxy.execute(step.command());
            step.judge(&reply)
        };
        let verdict = match ask(Drain::Waiting) {
            Verdict::Busy if luck.next() => {
                assert_eq!(ask(Drain::Over), Verdict::Done);
                ask(Drain::Waiting)
            }
            verdict => verdict,
        };
        match verdict {
            Verdict::Done => assert!(leaving.remove(departure.backend(), departure.server())),
            Verdict::Busy | Verdict::Pinned => {}
            Verdict::Refused => panic!("{departure:?} can not be deleted"),
        }
    }
}

fn connect(haproxy: &mut Haproxy, luck: &mut Luck) {
    for backend in haproxy.backends.values_mut() {
        for server in backend.servers.values_mut() {
            server.connections = u32::from(luck.next() && luck.next());
        }
    }
}

fn documents() -> impl Strategy<Value = Vec<Shown>> {
    // Most of the time all documents are of one version of the program that makes them.
    let kinds = prop_oneof![
        2 => Just((false, false)),
        4 => Just((true, true)),
        1 => Just((false, true)),
        1 => Just((true, false)),
    ];
    (frame(), kinds, 1..5_usize).prop_flat_map(|(frame, (first, rest), count)| {
        (document(&frame, first), vec(document(&frame, rest), count)).prop_map(|(first, mut rest)| {
            rest.insert(0, first);
            rest
        })
    })
}

fn config() -> ProptestConfig {
    let config = ProptestConfig::default();
    ProptestConfig { cases: 2 * config.cases, failure_persistence: None, ..config }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn commands_lead_from_any_document_to_any_other(
        version in versions(),
        documents in documents(),
        mut luck in luck(),
    ) {
        let planner = planner(version);
        let mut haproxy = Haproxy::start(version, &render(&documents[0]));
        let mut leaving = Leaving::default();
        for pair in documents.windows(2) {
            let [before, after] = pair else { unreachable!("windows are of two") };
            connect(&mut haproxy, &mut luck);
            let plan = planner.change(before, after, &leaving);
            let reloads = match &plan {
                Plan::Nothing => false,
                Plan::Commands(commands) => {
                    let watch = Watch::new(&haproxy, version, after, commands);
                    let done = carry_out(&mut haproxy, commands, &mut |haproxy, command| watch.look(haproxy, command));
                    leaving = commands.leaving().clone();
                    !done
                }
                Plan::Reload(reload) => {
                    prop_assert!(!reload.reasons().is_empty());
                    if let Some(meanwhile) = reload.meanwhile() {
                        let done = carry_out(&mut haproxy, meanwhile.commands(), &mut |_, _| {});
                        if done {
                            check_is(&haproxy, version, meanwhile.document(), meanwhile.commands().leaving());
                        }
                        for service in &after.services {
                            let name = service.backend.name.as_str();
                            let fresh = Haproxy::start(version, &render(after));
                            let old = Haproxy::start(version, &render(before));
                            if done && old.backends.contains_key(name) && old.serving(name) > 0 && fresh.serving(name) > 0 {
                                prop_assert!(haproxy.serving(name) > 0, "nobody serves {} until the reload", name);
                            }
                        }
                    }
                    true
                }
                plan => panic!("{plan:?}"),
            };
            if reloads {
                haproxy = Haproxy::start(version, &render(after));
                leaving = Leaving::default();
            }
            check_is(&haproxy, version, after, &leaving);
            delete_some(&mut haproxy, &mut leaving, &mut luck);
        }
    }

    #[test]
    fn a_server_that_waits_for_its_checks_gets_no_traffic_before(
        version in versions(),
        documents in documents(),
    ) {
        let planner = planner(version).init_state(InitState::FullyDown);
        let mut haproxy = Haproxy::start(version, &render(&documents[0]));
        let mut leaving = Leaving::default();
        for pair in documents.windows(2) {
            let [before, after] = pair else { unreachable!("windows are of two") };
            let was = haproxy.clone();
            // A server is the same as long as it is at the same place, and up.
            let up = |haproxy: &Haproxy, backend: &str, server: &str| {
                let server = haproxy.backends[backend].servers.get(server)?;
                let up = !server.maintenance && !server.stopped;
                up.then(|| (server.check.is_some(), server.address.clone(), server.port))
            };
            if let Plan::Commands(commands) = planner.change(before, after, &leaving) {
                let mut watch = |haproxy: &Haproxy, command: &str| {
                    for (name, backend) in &haproxy.backends {
                        for server in backend.servers.keys() {
                            let Some(now) = up(haproxy, name, server) else { continue };
                            let known = up(&was, name, server) == Some(now.clone());
                            let serves = backend.servers[server].serves();
                            assert!(known || !now.0 || !serves, "{name}/{server} serves after {command}");
                        }
                    }
                };
                if carry_out(&mut haproxy, &commands, &mut watch) {
                    leaving = commands.leaving().clone();
                    check_is(&haproxy, version, after, &leaving);
                    // Checks pass.
                    for server in haproxy.backends.values_mut().flat_map(|backend| backend.servers.values_mut()) {
                        server.stopped = false;
                    }
                    continue;
                }
            }
            haproxy = Haproxy::start(version, &render(after));
            leaving = Leaving::default();
        }
    }

    #[test]
    fn a_process_that_is_as_it_should_be_is_left_alone(version in versions(), documents in documents()) {
        let document = &documents[0];
        let haproxy = Haproxy::start(version, &render(document));
        let repair = planner(version).repair(document, &read_back(&haproxy, document, true), &Leaving::default());
        prop_assert_eq!(&audit(&planner(version), &haproxy, document, &Leaving::default()), &repair);
        prop_assert_eq!(repair.plan, Plan::Nothing);
        prop_assert!(repair.strangers.is_empty() && repair.leaving.is_empty());
    }

    #[test]
    fn servers_that_have_written_out_what_they_inherit_are_the_same(version in versions(), documents in documents()) {
        let document = &documents[0];
        let mut whole = document.0.clone();
        for service in &mut whole.services {
            let lines = document.inherited().into_iter().chain(&service.backend.lines);
            let defaults = directive::default_server(lines).expect("the lines are right");
            for server in &mut Arc::make_mut(service).backend.servers {
                *server = server.with_defaults(&defaults).expect("the options are few");
                prop_assert_eq!(&server.with_defaults(&defaults), &Ok(server.clone()));
            }
        }
        let lasting = |document: &Document| Haproxy::start(version, &render(document)).lasting(|_, _| false);
        prop_assert_eq!(lasting(document), lasting(&whole));
        prop_assert_eq!(planner(version).change(document, &whole, &Leaving::default()), Plan::Nothing);
    }

    #[test]
    fn the_file_of_an_earlier_version_is_taken_over_as_it_is(
        version in versions(),
        earlier in frame().prop_flat_map(|frame| document(&frame, false)),
    ) {
        let mut wanted = earlier.0.clone();
        for service in &mut wanted.services {
            let backend = &mut Arc::make_mut(service).backend;
            let lines: Vec<_> = earlier.inherited().into_iter().chain(&backend.lines).cloned().collect();
            let defaults = directive::written_out(&lines).expect("the lines are plain");
            for server in &mut backend.servers {
                *server = server.with_defaults(&defaults).expect("the options are few");
            }
            if directive::lacks_balance(&lines) {
                backend.lines.insert(0, Line::parse(directive::BALANCE).unwrap());
            }
        }
        let read = ReadBack::document(&render(&earlier), &wanted).expect("it is understood");
        prop_assert_eq!(planner(version).change(&read, &wanted, &Leaving::default()), Plan::Nothing);
        // And with what is new besides, only that is told of.
        let mut more = wanted.clone();
        let Some(first) = more.services.first_mut() else { return Ok(()) };
        let backend = &mut Arc::make_mut(first).backend;
        let Some(gone) = backend.servers.pop() else { return Ok(()) };
        let plan = planner(version).change(&read, &more, &Leaving::default());
        prop_assert_eq!(plan.changes().len(), 1, "{:?}", plan.changes());
        prop_assert_eq!(&plan.changes()[0].server, gone.name());
    }

    #[test]
    fn what_runs_is_told_from_its_file_whatever_is_wanted_now(
        (was, is) in (frame(), frame()).prop_flat_map(|(was, is)| (document(&was, false), document(&is, false))),
    ) {
        let text = render(&was);
        let read = ReadBack::document(&text, &is).expect("it is understood");
        prop_assert_eq!(render(&read), text);
        let with_servers = |document: &Document| {
            let backends = document.services.iter().map(|service| &service.backend);
            let servers = backends.filter(|backend| !backend.servers.is_empty());
            servers.map(|backend| (backend.name.clone(), backend.servers.clone())).collect::<Vec<_>>()
        };
        prop_assert_eq!(with_servers(&read), with_servers(&was));
    }

    #[test]
    fn a_document_is_the_same_as_itself(version in versions(), documents in documents()) {
        let again: Document = {
            let mut again = documents[0].0.clone();
            again.services = again.services.iter().map(|service| Arc::new((**service).clone())).collect();
            again
        };
        let planner = planner(version);
        prop_assert_eq!(planner.change(&documents[0], &documents[0].0.clone(), &Leaving::default()), Plan::Nothing);
        prop_assert_eq!(planner.change(&documents[0], &again, &Leaving::default()), Plan::Nothing);
        prop_assert_eq!(Renderer::default().revision(&documents[0]), Renderer::default().revision(&again));
    }

    #[test]
    fn what_somebody_else_has_changed_is_undone(
        version in versions(),
        documents in documents(),
        meddling in vec(meddling(), 0..6),
        with_stat in any::<bool>(),
        removes in any::<bool>(),
    ) {
        let document = &documents[0];
        let mut haproxy = Haproxy::start(version, &render(document));
        for (backend, server, what) in &meddling {
            meddle(&mut haproxy, *backend, *server, what);
        }
        let strangers = if removes { Strangers::Remove } else { Strangers::Report };
        let planner = planner(version).strangers(strangers);
        let repair = planner.repair(document, &read_back(&haproxy, document, with_stat), &Leaving::default());
        if with_stat {
            prop_assert_eq!(&audit(&planner, &haproxy, document, &Leaving::default()), &repair);
        }
        let count = |haproxy: &Haproxy| {
            haproxy.backends.values().flat_map(|backend| backend.servers.keys()).filter(|name| name.starts_with("stranger")).count()
        };
        match &repair.plan {
            Plan::Reload(reload) => {
                if let Some(meanwhile) = reload.meanwhile() {
                    carry_out(&mut haproxy, meanwhile.commands(), &mut |_, _| {});
                }
                return Ok(());
            }
            Plan::Nothing => {}
            Plan::Commands(commands) => {
                let done = carry_out(&mut haproxy, commands, &mut |_, _| {});
                prop_assert!(done);
            }
            plan => panic!("{plan:?}"),
        }
        let mut leaving = match &repair.plan {
            Plan::Commands(commands) => commands.leaving().clone(),
            _ => repair.leaving.clone(),
        };
        prop_assert_eq!(repair.strangers.len(), if removes { 0 } else { count(&haproxy) });
        prop_assert_eq!(leaving.len(), if removes { count(&haproxy) } else { 0 });
        let lasting = {
            let known = is_leaving(&leaving);
            haproxy.lasting(|backend, server| known(backend, server) || server.starts_with("stranger"))
        };
        let fresh = Haproxy::start(version, &render(document)).lasting(|_, _| false);
        if with_stat {
            prop_assert_eq!(lasting, fresh);
        } else {
            prop_assert_eq!(lasting.len(), fresh.len());
        }
        let all = haproxy.backends.values().flat_map(|backend| &backend.servers);
        for (_, server) in all.filter(|(name, _)| !name.starts_with("stranger")) {
            prop_assert!(!server.stopped || server.check.is_some() || server.agent.is_some() || server.maintenance || server.said_disabled);
        }
        // Once is enough.
        let again = planner.repair(document, &read_back(&haproxy, document, with_stat), &leaving);
        prop_assert_eq!(again.plan, Plan::Nothing);
        // And who left is forgotten when it is gone.
        delete_some(&mut haproxy, &mut leaving, &mut Luck { bits: vec![false], at: 0 });
        let last = planner.repair(document, &read_back(&haproxy, document, with_stat), &leaving);
        prop_assert_eq!(audit(&planner, &haproxy, document, &leaving).leaving, last.leaving.clone());
        prop_assert_eq!(last.plan, Plan::Nothing);
        prop_assert!(last.leaving.is_empty());
    }

    #[test]
    fn any_reply_is_read_without_harm(lines in vec("[ -~\\n\"]{0,40}", 0..8), header in any::<bool>()) {
        let model = Haproxy::start(Version::V2_6, "backend web\n\tserver a 10.0.0.1:80 id 1\n");
        let (state, stat) = (model.show_servers_state(), model.show_stat());
        let prefix = |text: &str| if header { text.to_owned() } else { String::new() };
        let web = Name::parse("web").unwrap();
        let state = format!("{}{}", prefix(&state), lines.join(" "));
        let stat = format!("{}{}", prefix(&stat), lines.join(","));
        drop(Running::parse(&state, Some(&stat), [&web]));
        drop(Running::parse(&model.show_servers_state(), Some(&stat), [&web]));
        let (planner, leaving) = (planner(Version::V2_6), Leaving::default());
        let mut document = Document::default();
        document.services.push(Arc::new(Service::new(web.clone(), Backend::new(web, Vec::new()))));
        let mut audit = planner.audit(&document, &leaving);
        let mut all = stat.lines().map(|line| (0, line)).chain(state.lines().map(|line| (1, line)));
        if all.all(|(question, line)| audit.hear(question, line).is_ok()) {
            drop(audit.finish());
        }
        drop(haproxy_render::plan::Process::parse(&lines.join("\n")));
        drop(haproxy_render::plan::Revision::read(&lines.join("")));
        drop(haproxy_render::plan::Version::parse(&lines.join("")));
    }
}

fn read_back(haproxy: &Haproxy, document: &Document, with_stat: bool) -> Running {
    let names: Vec<&Name> = document.services.iter().map(|service| &service.backend.name).collect();
    let stat = with_stat.then(|| haproxy.show_stat());
    Running::parse(&haproxy.show_servers_state(), stat.as_deref(), names)
        .expect("the model answers as HAProxy does")
}

/// The same look at a process, line by line.
fn audit(planner: &Planner, haproxy: &Haproxy, document: &Document, leaving: &Leaving) -> Repair {
    let mut audit = planner.audit(document, leaving);
    for (question, answer) in [haproxy.show_stat(), haproxy.show_servers_state()].iter().enumerate() {
        for line in answer.lines() {
            audit.hear(question, line).expect("the model answers as HAProxy does");
        }
    }
    audit.finish().expect("both answers are whole")
}

fn meddling() -> impl Strategy<Value = (usize, usize, &'static str)> {
    let what = vec![
        "set server % weight 5",
        "set server % weight 0",
        "set server % state maint",
        "set server % state ready",
        "set server % state drain",
        "set server % addr 10.7.7.7 port 7",
        "set server % health down",
        "set maxconn server % 77",
        "disable health %",
        "disable agent %",
        "del server %",
        "add server %-stranger 10.6.6.6:6 id 600 weight 3",
    ];
    (any::<usize>(), any::<usize>(), select(what))
}

/// Somebody has a hand in one of our backends.
fn meddle(haproxy: &mut Haproxy, backend: usize, server: usize, what: &str) {
    let names: Vec<String> = haproxy.backends.keys().cloned().collect();
    let Some(name) = names.get(backend % names.len().max(1)) else { return };
    if what.starts_with("add") {
        haproxy.execute(&what.replace("%-", &format!("{name}/")));
        return;
    }
    let servers: Vec<_> = haproxy.backends[name].servers.keys().cloned().collect();
    let Some(server) = servers.get(server % servers.len().max(1)) else { return };
    let found = &haproxy.backends[name].servers[server];
    let by_operator = ["own", "other"].contains(&server.as_str());
    // What an agent does is not to be undone; what HAProxy does not tell is not seen.
    let silent = (found.agent.is_some() && !what.contains("agent") && !what.contains("health"))
        || (what.contains("addr") && found.address.parse::<std::net::IpAddr>().is_err())
        || (what.contains("maxconn") && found.option("minconn").is_some());
    if by_operator || silent {
        return;
    }
    if what.starts_with("del") {
        haproxy.execute(&format!("set server {name}/{server} state maint"));
    }
    haproxy.execute(&what.replace('%', &format!("{name}/{server}")));
}
