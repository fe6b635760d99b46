//! Servers that come.

use crate::*;

#[test]
fn a_new_server_is_added_and_then_enabled() {
    for (version, server, expected) in [
        (
            "2.6",
            "server x 10.0.0.3:80 id 3 check weight 5",
            vec![
                "add server web/x 10.0.0.3:80 id 3 check pool-max-conn -1 pool-purge-delay 5s weight 5",
                "enable health web/x",
                "enable server web/x",
            ],
        ),
        (
            "3.0",
            "server x [2001:db8::1]:80 id 3 backup cookie c",
            vec!["add server web/x [2001:db8::1]:80 id 3 backup cookie c", "enable server web/x"],
        ),
        (
            "3.0",
            "server x 10.0.0.3:80 id 3 agent-check agent-port 9 check",
            vec![
                "add server web/x 10.0.0.3:80 id 3 agent-check agent-port 9 check",
                "enable health web/x",
                "enable agent web/x",
                "enable server web/x",
            ],
        ),
        ("3.0", "server x 10.0.0.3:80 id 3 check disabled", vec!["add server web/x 10.0.0.3:80 id 3 check"]),
    ] {
        assert_eq!(commands(&change(version, &[], &[], &[server])), expected);
    }
}

#[test]
fn new_servers_get_their_cookies_before_any_of_them_serves() {
    let lines = ["cookie S insert dynamic"];
    let new = ["server x 10.0.0.3:80 id 3", "server y 10.0.0.4:80 id 4"];
    let plan = commands(&change("2.8", &lines, &[], &new));
    assert_eq!(
        plan[2..],
        ["enable dynamic-cookie backend web", "enable server web/x", "enable server web/y"]
    );
    assert_eq!(commands(&change("3.0", &lines, &[], &new)).len(), 4);
    assert_eq!(commands(&change("2.8", &lines, &new, &[])).len(), 2);
}

#[test]
fn a_server_that_waits_for_its_checks_is_held_back_by_every_version() {
    let held = |version: &str, server: &str| {
        let planner = planner(version).init_state(InitState::FullyDown);
        commands(&change_by(&planner, &[], &[], &[server], &Leaving::default()))
    };
    assert_eq!(
        held("3.0", "server x 10.0.0.3:80 id 3 check weight 5"),
        [
            "add server web/x 10.0.0.3:80 id 3 check weight 5",
            "enable health web/x",
            "set server web/x weight 0",
            "enable server web/x",
            "set server web/x health down",
            "set server web/x weight 5",
        ]
    );
    assert_eq!(
        held("3.2", "server x 10.0.0.3:80 id 3 check"),
        [
            "add server web/x 10.0.0.3:80 id 3 check init-state fully-down",
            "enable health web/x",
            "enable server web/x",
        ]
    );
    // Without checks it would wait for ever.
    assert_eq!(
        held("3.2", "server x 10.0.0.3:80 id 3"),
        ["add server web/x 10.0.0.3:80 id 3", "enable server web/x"]
    );
    assert_eq!(
        held("3.0", "server x 10.0.0.3:80 id 3"),
        ["add server web/x 10.0.0.3:80 id 3", "enable server web/x"]
    );
    // What gets no traffic need not be told so again.
    assert_eq!(
        held("3.0", "server x 10.0.0.3:80 id 3 check weight 0").last().unwrap(),
        "set server web/x health down"
    );
    assert_eq!(held("3.0", "server x 10.0.0.3:80 id 3 check disabled").len(), 1);
}

#[test]
fn who_takes_the_id_of_one_that_goes_waits_for_that() {
    let plan = change("3.0", &[], &["server x 10.0.0.3:80 id 3"], &["server y 10.0.0.4:80 id 3"]);
    assert_eq!(
        commands(&plan),
        [
            "set server web/x state maint",
            "! del server web/x",
            "add server web/y 10.0.0.4:80 id 3",
            "enable server web/y",
        ]
    );
    let Plan::Commands(done) = &plan else { unreachable!("it was just seen") };
    assert!(done.leaving().is_empty());
    // Who stays does not give its id away by commands.
    let plan = change(
        "3.0",
        &[],
        &["server x 10.0.0.3:80 id 3"],
        &["server x 10.0.0.3:80 id 4", "server y 10.0.0.4:80 id 3"],
    );
    assert_eq!(reasons(plan), ["server web/y: its id 3 belongs to another server"]);
}

#[test]
fn who_comes_back_while_it_leaves_is_welcome() {
    let x = "server x 10.0.0.3:80 id 3 check agent-check agent-port 9 weight 5";
    let gone = leaving("3.0", x);
    assert_eq!(gone.ids(&name("web")).map(haproxy_render::ServerId::get).collect::<Vec<_>>(), [3]);
    let back = |server: &str| change_by(&planner("3.0"), &[], &[], &[server], &gone);
    let plan = back(x);
    assert_eq!(commands(&plan), ["enable health web/x", "enable agent web/x", "enable server web/x"]);
    let Plan::Commands(done) = &plan else { unreachable!("it was just seen") };
    assert!(done.leaving().is_empty());
    let Plan::Commands(asleep) = back(&format!("{x} disabled")) else { panic!("it leaves no more") };
    assert!(asleep.steps().is_empty() && asleep.leaving().is_empty());
    assert_eq!(
        commands(&back(&x.replace(".3:80", ".4:80"))),
        [
            "set server web/x addr 10.0.0.4 port 80",
            "enable health web/x",
            "enable agent web/x",
            "enable server web/x",
        ]
    );
    // As another, it waits until the old one is gone.
    for again in ["server x 10.0.0.3:80 id 3", "server y 10.0.0.3:80 id 3"] {
        let Plan::Commands(done) = back(again) else { panic!("it takes the old one's place") };
        assert!(done.leaving().is_empty() && done.departing().is_empty(), "{again}");
    }
    assert_eq!(
        commands(&back("server x 10.0.0.3:80 id 3")),
        ["! del server web/x", "add server web/x 10.0.0.3:80 id 3", "enable server web/x"]
    );
    assert_eq!(
        commands(&back("server y 10.0.0.3:80 id 3")),
        ["! del server web/x", "add server web/y 10.0.0.3:80 id 3", "enable server web/y"]
    );
    assert_eq!(
        commands(&change_by(
            &planner("3.0"),
            &[],
            &["server y 10.0.0.3:80 id 9"],
            &["server y 10.0.0.3:80 id 3"],
            &gone
        )),
        [
            "set server web/y state maint",
            "! del server web/y",
            "! del server web/x",
            "add server web/y 10.0.0.3:80 id 3",
            "enable server web/y",
        ]
    );
}

#[test]
fn who_makes_room_for_one_that_stays_leaves_no_more() {
    let gone = leaving("3.0", "server x 10.0.0.3:80 id 3");
    let y = |id: u32| format!("server y 10.0.0.3:80 id {id}");
    let Plan::Commands(done) = change_by(&planner("3.0"), &[], &[&y(9)], &[&y(3)], &gone) else {
        panic!("it takes the id of one that left")
    };
    assert!(done.leaving().is_empty() && done.departing().is_empty());
}

#[test]
fn one_that_left_and_one_that_goes_make_room_for_another() {
    let gone = leaving("3.0", "server x 10.0.0.3:80 id 3");
    let plan = change_by(
        &planner("3.0"),
        &[],
        &["server y 10.0.0.4:80 id 5"],
        &["server x 10.0.0.3:80 id 5"],
        &gone,
    );
    assert_eq!(
        commands(&plan),
        [
            "set server web/y state maint",
            "! del server web/y",
            "! del server web/x",
            "add server web/x 10.0.0.3:80 id 5",
            "enable server web/x",
        ]
    );
    let Plan::Commands(done) = &plan else { unreachable!("it was just seen") };
    assert!(done.leaving().is_empty() && done.departing().is_empty());
}

#[test]
fn nobody_is_waited_for_twice() {
    let gone = leaving("3.0", "server x 10.0.0.3:80 id 3");
    let plan = change_by(
        &planner("3.0"),
        &[],
        &[],
        &["server x 10.0.0.3:80 id 4 check", "server y 10.0.0.3:80 id 3"],
        &gone,
    );
    assert_eq!(reasons(plan), ["server web/y: its id 3 belongs to another server"]);
}

#[test]
fn what_servers_inherit_is_said_to_new_ones() {
    let mut before = document(&["default-server inter 2s", A]);
    before.defaults = vec![line("default-server check inter 9s weight 4"), line("balance leastconn")];
    let mut after = document(&["default-server inter 2s", A, "server x 10.0.0.3:80 id 3 rise 5"]);
    after.defaults.clone_from(&before.defaults);
    assert_eq!(
        commands(&planner("3.0").change(&before, &after, &Leaving::default())),
        [
            "add server web/x 10.0.0.3:80 id 3 check inter 2s rise 5 weight 4",
            "enable health web/x",
            "enable server web/x",
        ]
    );
    // Writing it out is not a change.
    let mut whole = after.clone();
    let service = Arc::make_mut(&mut whole.services[0]);
    let defaults =
        directive::default_server(after.inherited().into_iter().chain(&service.backend.lines.clone()))
            .unwrap();
    for server in &mut service.backend.servers {
        *server = server.with_defaults(&defaults).unwrap();
    }
    assert_ne!(render(&whole), render(&after));
    assert_eq!(planner("3.0").change(&after, &whole, &Leaving::default()), Plan::Nothing);
}
