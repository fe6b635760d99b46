//! The decision table: for each kind of difference, the commands in their order, or the reason for a reload.

#![allow(clippy::unwrap_used)] // what is unwrapped is constant

mod audit;
mod come;
mod reload;
mod repair;
mod stay;

use std::sync::Arc;

use haproxy_render::plan::{
    Capabilities, InitState, Leaving, Plan, Planner, Reload, Running, Step, Strangers, Version,
};
use haproxy_render::{
    Bind, Document, Frontend, Line, Name, ReadBack, Renderer, Section, Service, directive, render,
};

fn line(text: &str) -> Line {
    Line::parse(text).unwrap()
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

/// A service whose backend, `web`, has these lines and servers. Lines of servers are as this project writes them.
fn service(lines: &[&str]) -> Service {
    let text = lines.iter().flat_map(|line| ["\t", line, "\n"]).collect::<String>();
    let file = format!("{}\n\nglobal\n\nbackend web\n{text}", haproxy_render::HEADER);
    let read = ReadBack::parse(&file).unwrap();
    assert_eq!(read.skipped(), 0, "{file}");
    Service::new(name("web"), read.backend(&name("web")).unwrap().clone())
}

fn document(lines: &[&str]) -> Document {
    let mut document = Document::default();
    document.services.push(Arc::new(service(lines)));
    document
}

fn planner(version: &str) -> Planner {
    Planner::new(Capabilities::of(Version::parse(version).unwrap()))
}

fn commands(plan: &Plan) -> Vec<String> {
    match plan {
        Plan::Nothing => Vec::new(),
        Plan::Commands(commands) => texts(commands.steps()),
        plan => panic!("{plan}"),
    }
}

fn texts(steps: &[Step]) -> Vec<String> {
    let gate = |step: &Step| if step.is_gate() { "! " } else { "" };
    steps.iter().map(|step| format!("{}{}", gate(step), step.command())).collect()
}

fn reload(plan: Plan) -> Reload {
    match plan {
        Plan::Reload(reload) => reload,
        plan => panic!("{plan:?}"),
    }
}

fn reasons(plan: Plan) -> Vec<String> {
    reload(plan).reasons().iter().map(ToString::to_string).collect()
}

/// Two steady servers, for those that come and go to have company.
const A: &str = "server a 10.0.0.1:80 id 1";
const B: &str = "server b 10.0.0.2:80 id 2";

/// What becomes of `web` when the line of server `x` changes.
fn change(version: &str, lines: &[&str], before: &[&str], after: &[&str]) -> Plan {
    change_by(&planner(version), lines, before, after, &Leaving::default())
}

fn change_by(planner: &Planner, lines: &[&str], before: &[&str], after: &[&str], leaving: &Leaving) -> Plan {
    let with = |servers: &[&str]| document(&[lines, &[A, B], servers].concat());
    planner.change(&with(before), &with(after), leaving)
}

fn leaving(version: &str, server: &str) -> Leaving {
    let Plan::Commands(commands) = change(version, &[], &[server], &[]) else { panic!("it goes") };
    commands.leaving().clone()
}
