//! Servers that stay, and servers that go.

use crate::*;

#[test]
fn a_server_that_stays_and_waits_for_its_checks_again_is_held_back() {
    let by = |before: &str, after: &str| {
        let planner = planner("3.2").init_state(InitState::FullyDown);
        commands(&change_by(&planner, &[], &[before], &[after], &Leaving::default()))
    };
    let x = "server x 10.0.0.3:80 id 3 check weight 5";
    assert_eq!(
        by(&format!("{x} disabled"), x),
        [
            "enable health web/x",
            "set server web/x weight 0",
            "enable server web/x",
            "set server web/x health down",
            "set server web/x weight 5",
        ]
    );
    assert_eq!(
        by(x, &x.replace("10.0.0.3", "10.0.0.4")),
        [
            "set server web/x weight 0",
            "set server web/x addr 10.0.0.4 port 80",
            "set server web/x health down",
            "set server web/x weight 5",
        ]
    );
    assert_eq!(by(x, &x.replace("weight 5", "weight 6")), ["set server web/x weight 6"]);
    // Out of use, it can be moved as it is, and waits when it is taken into use.
    let disabled = format!("{x} disabled");
    let elsewhere = x.replace("10.0.0.3", "10.0.0.4");
    assert_eq!(by(&disabled, &format!("{elsewhere} disabled")), ["set server web/x addr 10.0.0.4 port 80"]);
    assert_eq!(
        by(&disabled, &elsewhere),
        [
            "set server web/x addr 10.0.0.4 port 80",
            "enable health web/x",
            "set server web/x weight 0",
            "enable server web/x",
            "set server web/x health down",
            "set server web/x weight 5",
        ]
    );
    assert_eq!(
        by(&format!("{x} disabled"), &x.replace("weight 5", "weight 0")).join(", "),
        "enable health web/x, set server web/x weight 0, enable server web/x, set server web/x health down"
    );
}

#[test]
fn a_server_that_goes_is_out_of_rotation_at_once_and_deleted_later() {
    let plan = change("2.6", &[], &["server x 10.0.0.3:80 id 3 check"], &[]);
    assert_eq!(commands(&plan), ["set server web/x state maint"]);
    let Plan::Commands(commands) = &plan else { unreachable!("it was just seen") };
    let [departure] = commands.departing() else { panic!("one departs") };
    assert_eq!((departure.server().as_str(), departure.id().get()), ("x", 3));
    assert_eq!(commands.leaving().len(), 1);
    // An agent would bring it back.
    let agent = ["server x 10.0.0.3:80 id 3 agent-check agent-port 9"];
    assert_eq!(
        self::commands(&change("2.6", &[], &agent, &[])),
        ["disable agent web/x", "set server web/x state maint"]
    );
    // Whatever the algorithm.
    let fixed = change("2.6", &["balance source"], &["server x 10.0.0.3:80 id 3"], &[]);
    assert_eq!(self::commands(&fixed), ["set server web/x state maint"]);
}

#[test]
fn a_server_that_stays_is_told_what_is_new() {
    let x = "server x 10.0.0.3:80 id 3 check maxconn 5 weight 5";
    for (after, expected) in [
        (x.replace("weight 5", "weight 0"), vec!["set server web/x weight 0"]),
        (x.replace(" weight 5", ""), vec!["set server web/x weight 1"]),
        (x.replace("weight 5", "weight 5 disabled"), vec!["set server web/x state maint"]),
        (x.replace(".3:80", ".4:80"), vec!["set server web/x addr 10.0.0.4 port 80"]),
        (x.replace(".3:80", ".3:81"), vec!["set server web/x addr 10.0.0.3 port 81"]),
        (x.replace("10.0.0.3:80", "[::1]:81"), vec!["set server web/x addr ::1 port 81"]),
        (x.replace("maxconn 5", "maxconn 6"), vec!["set maxconn server web/x 6"]),
        (x.replace(" maxconn 5", ""), vec!["set maxconn server web/x 0"]),
        (x.replace("check", "no-ssl check"), vec![]),
        (
            x.replace(".3:80", ".4:80").replace("maxconn 5 weight 5", "maxconn 6 weight 6 disabled"),
            vec![
                "set server web/x state maint",
                "set maxconn server web/x 6",
                "set server web/x addr 10.0.0.4 port 80",
                "set server web/x weight 6",
            ],
        ),
    ] {
        assert_eq!(commands(&change("2.6", &[], &[x], &[&after])), expected, "{after}");
    }
    let disabled = format!("{x} disabled");
    assert_eq!(
        commands(&change("2.6", &[], &[&disabled], &[x])),
        ["enable health web/x", "enable server web/x"]
    );
    assert_eq!(
        commands(&change("2.6", &[], &[&disabled], &[&x.replace("weight 5", "weight 6")])),
        ["enable health web/x", "set server web/x weight 6", "enable server web/x"]
    );
}

#[test]
fn what_adds_comes_before_what_takes_away() {
    let x = |number: u32, rest: &str| format!("server x{number} 10.0.1.{number}:80 id {number}0 {rest}");
    let before = [x(1, "weight 9"), x(2, "weight 9"), x(3, "weight 9"), x(4, "check")];
    let after =
        [x(1, "weight 0"), x(2, "weight 9 disabled"), x(3, "weight 8"), x(4, "check inter 9s"), x(5, "")];
    let before: Vec<&str> = before.iter().map(|line| line.trim_end()).collect();
    let after: Vec<&str> = after.iter().map(|line| line.trim_end()).collect();
    assert_eq!(
        commands(&change("3.0", &[], &before, &after)),
        [
            "add server web/x5 10.0.1.5:80 id 50",
            "enable server web/x5",
            "set server web/x3 weight 8",
            "set server web/x4 state maint",
            "! del server web/x4",
            "add server web/x4 10.0.1.4:80 id 40 check inter 9s",
            "enable health web/x4",
            "enable server web/x4",
            "set server web/x1 weight 0",
            "set server web/x2 state maint",
        ]
    );
}

#[test]
fn any_other_option_takes_a_new_server() {
    let swap = [
        "set server web/x state maint",
        "! del server web/x",
        "add server web/x 10.0.0.3:80 id 3 check inter 3s",
        "enable health web/x",
        "enable server web/x",
    ];
    let plan = change(
        "3.0",
        &[],
        &["server x 10.0.0.3:80 id 3 check"],
        &["server x 10.0.0.3:80 id 3 check inter 3s"],
    );
    assert_eq!(commands(&plan), swap);
    let Plan::Commands(done) = &plan else { unreachable!("it was just seen") };
    assert!(done.leaving().is_empty() && done.departing().is_empty());
    for (before, after) in [
        ("id 3", "id 4"),
        ("id 3 backup", "id 3"),
        ("id 3 cookie a", "id 3 cookie b"),
        ("id 3 check", "id 3"),
        ("id 3 maxconn 9 minconn 2", "id 3 maxconn 8 minconn 2"),
        ("id 3 maxconn x", "id 3"),
        ("id 3 agent-check agent-port 9", "id 3 agent-check agent-port 9 weight 4"),
    ] {
        let server = |rest: &str| format!("server x 10.0.0.3:80 {rest}");
        let plan = commands(&change("3.0", &[], &[&server(before)], &[&server(after)]));
        assert!(plan.contains(&"! del server web/x".to_owned()), "{before} -> {after}: {plan:?}");
    }
    for option in [
        "check port 9",
        "check addr 10.0.0.9",
        "agent-check agent-port 9 agent-addr 10.0.0.9",
        "hash-key addr",
        "track web/a",
    ] {
        let server = |address: &str| format!("server x {address}:80 id 3 {option}");
        let plan = commands(&change("3.0", &[], &[&server("10.0.0.3")], &[&server("10.0.0.4")]));
        assert!(plan.contains(&"! del server web/x".to_owned()), "{option}: {plan:?}");
    }
}

#[test]
fn servers_are_swapped_one_by_one_while_as_many_others_serve() {
    let x =
        |number: u32, options: &str| format!("server x{number} 10.0.1.{number}:80 id {number}0 {options}");
    let (one, two) = (x(1, "check"), x(2, "check"));
    let (uno, due) = (x(1, "check inter 9s"), x(2, "check inter 9s"));
    let plan = commands(&change("3.0", &[], &[&one, &two], &[&uno, &due]));
    let of = |server: &str| plan.iter().rposition(|step| step.contains(server)).unwrap();
    let first = |server: &str| plan.iter().position(|step| step.contains(server)).unwrap();
    assert!(of("web/x1") < first("web/x2"), "{plan:?}");

    let outage = |planner: &Planner, before: &[&str], after: &[&str]| {
        reasons(planner.change(&document(before), &document(after), &Leaving::default()))
    };
    let message = |count| {
        format!(
            "backend web: {count} of its servers would be out of service for a moment, and too few others serve"
        )
    };
    let up = planner("3.0");
    assert_eq!(outage(&up, &[&one], &[&uno]), [message(1)]);
    assert_eq!(outage(&up, &[A, &one, &two], &[A, &uno, &due]), [message(2)]);
    // Neither a backup nor one that is about to go serves for another.
    assert_eq!(outage(&up, &[&format!("{A} backup"), &one], &[&format!("{A} backup"), &uno]), [message(1)]);
    assert_eq!(outage(&up, &[A, &one], &[&uno]), [message(1)]);
    assert_eq!(outage(&up, &[A, &one], &[&format!("{A} disabled"), &uno]), [message(1)]);
    assert_eq!(outage(&up, &[A, &one], &[&format!("{A} weight 0"), &uno]), [message(1)]);
    assert_eq!(outage(&up, &[&format!("{A} disabled"), &one], &[A, &uno]), [message(1)]);

    let fits = |planner: &Planner, before: &[&str], after: &[&str]| {
        !commands(&planner.change(&document(before), &document(after), &Leaving::default())).is_empty()
    };
    assert!(fits(&up, &[A, &one], &[A, &uno]));
    assert!(fits(&up, &[A, &one], &[&format!("{A} weight 7"), &uno]));
    // One that comes serves at once, or after its checks.
    assert!(fits(&up, &[&one], &[&uno, A]));
    let down = planner("3.0").init_state(InitState::FullyDown);
    assert_eq!(outage(&down, &[&one], &[&uno, A]), [message(1)]);
    // Who takes no traffic is not missed.
    assert!(fits(&up, &[&format!("{one} disabled")], &[&format!("{uno} disabled")]));
    assert!(fits(&up, &[&format!("{one} weight 0")], &[&format!("{uno} weight 0")]));
    assert!(fits(&up, &[A, &one.replace("check", "backup")], &[A, &uno.replace("check", "backup check")]));
    assert_eq!(
        outage(&up, &[&one.replace("check", "backup")], &[&uno.replace("check", "backup check")]),
        [message(1)]
    );
}

#[test]
fn the_order_of_servers_matters_to_static_algorithms_alone() {
    let order = |lines: &[&str], before: &[&str], after: &[&str]| {
        planner("2.6").change(
            &document(&[lines, before].concat()),
            &document(&[lines, after].concat()),
            &Leaving::default(),
        )
    };
    assert_eq!(order(&["balance roundrobin"], &[A, B], &[B, A]), Plan::Nothing);
    assert_eq!(
        reasons(order(&["balance source"], &[A, B], &[B, A])),
        ["backend web: the order of its servers changed"]
    );
    let c = "server c 10.0.0.3:80 id 3";
    assert_eq!(commands(&order(&["balance source"], &[A, B, c], &[A, c])), ["set server web/b state maint"]);
}

#[test]
fn a_plan_says_what_it_does() {
    let plan = change(
        "3.0",
        &[],
        &["server x 10.0.0.3:80 id 3"],
        &["server x 10.0.0.4:80 id 3 weight 5 disabled", "server y 10.0.0.5:80 id 5"],
    );
    assert_eq!(plan.to_string(), "5 commands");
    let changes: Vec<String> = plan.changes().iter().map(ToString::to_string).collect();
    assert_eq!(
        changes,
        ["~ web/x address 10.0.0.3:80 -> 10.0.0.4:80, weight 1 -> 5, disabled", "+ web/y 10.0.0.5:80"]
    );
    assert_eq!(Plan::Nothing.to_string(), "nothing to do");
    assert_eq!(change("3.0", &[], &["server x 10.0.0.3:80 id 3"], &[]).to_string(), "1 command");
    let mut after = Document::default();
    after.global.push(line("a"));
    after.defaults.push(line("a"));
    after.extra_sections.push(Section::new(line("listen a"), vec![]));
    after.shared_frontend = Some(vec![]);
    let plan = planner("3.0").change(&document(&[]), &after, &Leaving::default());
    assert_eq!(
        plan.to_string(),
        "reload: section global changed; section defaults changed; section \"listen a\" changed; and 2 more reasons"
    );
}

#[test]
fn options_are_the_same_whether_a_server_states_or_inherits_them() {
    let lines = ["default-server check inter 2s weight 3"];
    let (inherits, states) =
        ("server x 10.0.0.3:80 id 3 inter 5s", "server x 10.0.0.3:80 id 3 check inter 5s weight 3");
    assert_eq!(change("2.6", &lines, &[inherits], &[states]), Plan::Nothing);
    assert_eq!(change("2.6", &lines, &[states], &[inherits]), Plan::Nothing);
    // What is told of is what there is besides.
    let y = "server y 10.0.0.4:80 id 4";
    let plan = change("2.6", &lines, &[inherits], &[states, y]);
    let told: Vec<_> = plan.changes().iter().map(ToString::to_string).collect();
    assert_eq!(told, ["+ web/y 10.0.0.4:80"]);
    let plan = change("2.6", &lines, &[inherits], &[&states.replace("5s", "6s")]);
    let told: Vec<_> = plan.changes().iter().map(ToString::to_string).collect();
    assert_eq!(told, ["~ web/x options \"check inter 5s\" -> \"check inter 6s\""]);
}

#[test]
fn stating_the_algorithm_that_there_is_changes_the_file_alone() {
    let plan = |version: &str, before: &[&str], after: &[&str]| {
        planner(version).change(
            &document(&[before, &[A]].concat()),
            &document(&[after, &[A]].concat()),
            &Leaving::default(),
        )
    };
    for version in ["2.6", "2.8", "3.0", "3.2"] {
        assert_eq!(plan(version, &["mode http"], &["balance roundrobin", "mode http"]), Plan::Nothing);
    }
    let lines = "backend web: its lines changed";
    // There, it was another.
    assert_eq!(reasons(plan("3.3", &[], &["balance roundrobin"])), [lines]);
    for (before, after) in [
        (vec!["balance source"], vec!["balance roundrobin", "balance source"]),
        (vec![], vec!["balance leastconn"]),
        (vec!["mode http"], vec!["mode http", "balance roundrobin"]),
        (vec!["mode http"], vec!["balance roundrobin", "mode tcp"]),
        (vec!["balance roundrobin"], vec![]),
    ] {
        assert_eq!(reasons(plan("3.0", &before, &after)), [lines], "{after:?}");
    }
    let inherits = |lines: &[&str]| {
        let mut document = document(&[lines, &[A]].concat());
        document.defaults.push(line("balance leastconn"));
        document
    };
    let plan = planner("3.0").change(&inherits(&[]), &inherits(&["balance roundrobin"]), &Leaving::default());
    assert_eq!(reasons(plan), [lines]);
}
