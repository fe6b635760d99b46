//! What somebody else has changed, found while the answers come.

use haproxy_render::plan::{Audit, Repair, Unreadable};

use crate::repair::HEADER;
use crate::*;

const STAT: &str = "# pxname,svname,scur,slim,bck,check_rise,check_fall,cookie\n";

/// What is found in these two answers.
pub(crate) fn audit(
    planner: &Planner,
    document: &Document,
    leaving: &Leaving,
    stat: &str,
    state: &str,
) -> Result<Repair, Unreadable> {
    let mut audit = planner.audit(document, leaving);
    for (question, answer) in [stat, state].iter().enumerate() {
        for line in answer.lines() {
            audit.hear(question, line)?;
        }
    }
    audit.finish()
}

/// Three backends of a server each.
fn three() -> Document {
    let mut document = Document::default();
    for backend in ["one", "two", "three"] {
        let mut service = service(&["balance roundrobin", "server a 10.0.0.1:80 id 1 maxconn 5"]);
        service.name = name(backend);
        service.backend.name = name(backend);
        document.services.push(Arc::new(service));
    }
    document
}

fn found(stat: &[&str], state: &[&str]) -> Result<Repair, Unreadable> {
    let (stat, state) = (format!("{STAT}{}\n", stat.join("\n")), format!("{HEADER}{}\n", state.join("\n")));
    audit(&planner("3.0"), &three(), &Leaving::default(), &stat, &state)
}

#[test]
fn what_is_wrong_is_found_in_each_backend_wherever_it_comes() {
    // In HAProxy's order, with one of somebody else between them, and without any server of the last.
    let repair = found(
        &["two,a,0,5,0,,,", "other,a,0,5,0,,,", "one,a,0,7,0,,,", "one,unknown,0,7,0,,,"],
        &[
            "4 two 1 a 10.0.0.1 2 0 9 1 0 0 80",
            "4 two 2 x 10.0.0.2 2 0 1 1 0 0 80",
            "5 other 1 a 10.0.0.1 2 0 9 1 0 0 80",
            "3 one 1 a 10.0.0.1 2 0 1 1 0 0 80",
        ],
    )
    .unwrap();
    assert_eq!(
        commands(&repair.plan),
        [
            "set maxconn server one/a 5",
            "set server two/a weight 1",
            "set server two/x state maint",
            "add server three/a 10.0.0.1:80 id 1 maxconn 5",
            "enable server three/a"
        ]
    );
}

#[test]
fn a_reload_for_one_backend_is_a_reload_for_all() {
    // In `two` there is nobody else to serve while `a` is replaced.
    let state = ["one 1 a 10.0.0.1 2 0 9 1 0 0 80", "two 2 a 10.0.0.1 2 0 1 1 0 0 80"];
    let state = state.map(|row| format!("3 {row}"));
    let repair = found(&[], &state.each_ref().map(String::as_str)).unwrap();
    assert_eq!(
        reasons(repair.plan),
        ["backend two: 1 of its servers would be out of service for a moment, and too few others serve"]
    );
}

#[test]
fn too_many_commands_are_counted_over_all_backends() {
    let rows = ["one", "two", "three"].map(|backend| format!("3 {backend} 1 a 10.0.0.1 2 0 9 1 0 0 80"));
    let state = format!("{HEADER}{}\n", rows.join("\n"));
    let most =
        |max| audit(&planner("3.0").max_steps(max), &three(), &Leaving::default(), STAT, &state).unwrap();
    assert_eq!(commands(&most(3).plan).len(), 3);
    assert_eq!(reasons(most(2).plan), ["it would take 3 commands"]);
}

#[test]
fn half_an_answer_is_none() {
    let row = |backend: &str, server: &str| format!("3 {backend} 1 {server} 10.0.0.1 2 0 1 1 0 0 80");
    let all = [row("one", "a"), row("two", "a"), row("three", "a")];
    let good: Vec<&str> = all.iter().map(String::as_str).collect();
    assert_eq!(found(&["one,a,0,5,0,,,"], &good).unwrap().plan, Plan::Nothing);
    for (stat, state, problem) in [
        (vec!["one,a,0"], good.clone(), "show stat: line 2 lacks a field"),
        (vec!["one,a,0,x,0,,,"], good.clone(), "show stat: line 2 has a wrong limit"),
        (vec![], [&good[..], &["3 one 1"]].concat(), "line 6 has another number of fields"),
        (vec![], [&good[..], &good[2..]].concat(), "line 6 has a server that was there before"),
        (vec![], [&good[..], &good[..1]].concat(), "line 6 is of a backend that was complete"),
    ] {
        let error = found(&stat, &state).unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    }
    for (stat, state) in
        [("", HEADER), (STAT, ""), (STAT, "1\n"), (STAT, "Permission denied\n"), ("Unknown\n", HEADER)]
    {
        let heard = audit(&planner("3.0"), &three(), &Leaving::default(), stat, state);
        assert!(heard.is_err(), "{stat:?} {state:?}");
    }
    assert_eq!(Audit::QUESTIONS.len(), 2);
}
