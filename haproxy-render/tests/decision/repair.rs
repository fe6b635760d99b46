//! What somebody else has changed.

use crate::*;

pub(crate) const HEADER: &str = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight \
    srv_check_state srv_agent_state srv_port\n";

/// What has to be done about `web` with server `a`, when the process says this of it.
fn repair(planner: &Planner, server: &str, rows: &[&str], stat: &[&str]) -> haproxy_render::plan::Repair {
    let state = format!("{HEADER}{}\n", rows.join("\n"));
    let stat = format!("# pxname,svname,scur,slim,bck,check_rise,check_fall,cookie\n{}\n", stat.join("\n"));
    let running = Running::parse(&state, Some(&stat), [&name("web")]).unwrap();
    let (document, leaving) = (document(&["mode http", B, server]), Leaving::default());
    let repair = planner.repair(&document, &running, &leaving);
    // Line by line it is the same.
    assert_eq!(audit::audit(planner, &document, &leaving, &stat, &state), Ok(repair.clone()));
    repair
}

const B_RUNS: &str = "3 web 2 b 10.0.0.2 2 0 1 1 0 0 80";

#[test]
fn what_somebody_has_changed_is_set_right() {
    let server = "server a 10.0.0.1:80 id 1 check weight 5";
    for (row, expected) in [
        ("3 web 1 a 10.0.0.1 2 0 5 5 6 0 80", vec![]),
        ("3 web 1 a 10.0.0.1 0 0 5 5 6 0 80", vec![]),
        ("3 web 1 a 10.0.0.1 2 0 5 1 6 0 80", vec![]),
        ("3 web 1 a 10.0.0.1 2 4 5 5 6 0 80", vec![]),
        ("3 web 1 a 10.0.0.1 2 0 6 5 6 0 80", vec!["set server web/a weight 5"]),
        ("3 web 1 a 10.0.0.1 0 1 5 5 14 0 80", vec!["enable health web/a", "enable server web/a"]),
        ("3 web 1 a 10.0.0.1 2 8 5 5 6 0 80", vec!["enable health web/a", "enable server web/a"]),
        ("3 web 1 a 10.0.0.1 2 0 5 5 2 0 80", vec!["enable health web/a"]),
        ("3 web 1 a 10.0.0.9 2 0 5 5 6 0 80", vec!["set server web/a addr 10.0.0.1 port 80"]),
        ("3 web 1 a 10.0.0.1 2 0 5 5 6 0 81", vec!["set server web/a addr 10.0.0.1 port 80"]),
        ("3 web 1 a - 2 0 5 5 6 0 80", vec!["set server web/a addr 10.0.0.1 port 80"]),
    ] {
        let repair = repair(&planner("3.0"), server, &[B_RUNS, row], &[]);
        assert_eq!(commands(&repair.plan), expected, "{row}");
    }
    for (row, respect) in [
        ("3 web 9 a 10.0.0.1 2 0 5 5 6 0 80", "id"),
        ("3 web 1 a 10.0.0.1 2 0 5 5 0 0 80", "check"),
        ("3 web 1 a 10.0.0.1 2 0 5 5 6 22 80", "agent-check"),
    ] {
        let repair = repair(&planner("3.0"), server, &[B_RUNS, row], &[]);
        assert!(commands(&repair.plan).contains(&"! del server web/a".to_owned()), "{row}");
        assert_eq!(repair.plan.changes()[0].to_string(), format!("~ web/a {respect}"));
    }
    let missing = repair(&planner("3.0"), server, &[B_RUNS], &[]);
    assert_eq!(
        commands(&missing.plan),
        ["add server web/a 10.0.0.1:80 id 1 check weight 5", "enable health web/a", "enable server web/a"]
    );
    let disabled = repair(
        &planner("3.0"),
        &format!("{server} disabled"),
        &[B_RUNS, "3 web 1 a 10.0.0.1 2 0 5 5 6 0 80"],
        &[],
    );
    assert_eq!(commands(&disabled.plan), ["set server web/a state maint"]);
    assert_eq!(disabled.plan.changes()[0].to_string(), "~ web/a disabled");
}

#[test]
fn a_server_without_checks_that_was_said_to_be_down_is_up_again() {
    let down = |server: &str, row: &str| commands(&repair(&planner("3.0"), server, &[B_RUNS, row], &[]).plan);
    assert_eq!(down(A, "3 web 1 a 10.0.0.1 0 0 1 1 0 0 80"), ["set server web/a health up"]);
    assert_eq!(
        down(A, "3 web 1 a 10.0.0.1 0 8 1 1 0 0 80"),
        ["enable server web/a", "set server web/a health up"]
    );
    assert_eq!(down(A, "3 web 1 a 10.0.0.1 0 1 1 1 0 0 80"), ["enable server web/a"]);
    assert!(down(A, "3 web 1 a 10.0.0.1 0 2 1 1 0 0 80").is_empty());
    assert!(down("server a 10.0.0.1:80 id 1 track web/b", "3 web 1 a 10.0.0.1 0 0 1 1 0 0 80").is_empty());
    assert!(down("server a 10.0.0.1:80 id 1 disabled", "3 web 1 a 10.0.0.1 0 5 1 1 0 0 80").is_empty());
}

#[test]
fn what_an_agent_says_is_left_alone() {
    let server = "server a 10.0.0.1:80 id 1 agent-check agent-port 9 weight 5";
    let row = |row: &str| commands(&repair(&planner("3.0"), server, &[B_RUNS, row], &[]).plan);
    assert!(row("3 web 1 a 10.0.0.1 2 0 2 5 0 22 80").is_empty());
    assert!(row("3 web 1 a 10.0.0.1 0 1 5 5 0 22 80").is_empty());
    assert!(row("3 web 1 a 10.0.0.1 2 8 5 5 0 22 80").is_empty());
    assert_eq!(row("3 web 1 a 10.0.0.1 2 0 5 5 0 18 80"), ["enable agent web/a"]);
}

#[test]
fn statistics_tell_more() {
    let server = "server a 10.0.0.1:80 id 1 backup cookie c check rise 4 maxconn 9";
    let row = "3 web 1 a 10.0.0.1 2 0 1 1 6 0 80";
    let found = |stat: &str| repair(&planner("3.0"), server, &[B_RUNS, row], &[stat]).plan;
    assert_eq!(found("web,a,0,9,1,4,3,c"), Plan::Nothing);
    assert_eq!(commands(&found("web,a,0,8,1,4,3,c")), ["set maxconn server web/a 9"]);
    assert_eq!(commands(&found("web,a,0,,1,4,3,c")), ["set maxconn server web/a 9"]);
    for (stat, respect) in [
        ("web,a,0,9,0,4,3,c", "backup"),
        ("web,a,0,9,1,4,3,d", "cookie"),
        ("web,a,0,9,1,4,3,", "cookie"),
        ("web,a,0,9,1,2,3,c", "rise or fall"),
        ("web,a,0,9,1,4,2,c", "rise or fall"),
    ] {
        let plan = found(stat);
        assert!(commands(&plan).contains(&"! del server web/a".to_owned()), "{stat}");
        assert_eq!(plan.changes()[0].to_string(), format!("~ web/a {respect}"));
    }
}

#[test]
fn a_cookie_is_compared_where_it_counts() {
    let found = |lines: &[&str], server: &str, cookie: &str| {
        let rows = format!("{HEADER}{B_RUNS}\n3 web 1 a 10.0.0.1 2 0 1 1 0 0 80");
        let stat =
            format!("# pxname,svname,scur,slim,bck,check_rise,check_fall,cookie\nweb,a,0,,0,,,{cookie}\n");
        let running = Running::parse(&rows, Some(&stat), [&name("web")]).unwrap();
        let document = document(&[lines, &[B, server]].concat());
        planner("3.0").repair(&document, &running, &Leaving::default()).plan
    };
    let with = format!("{A} cookie c");
    assert_ne!(found(&["mode http"], A, "c"), Plan::Nothing);
    assert_ne!(found(&["mode http"], &with, ""), Plan::Nothing);
    assert_eq!(found(&["mode http"], &with, "c"), Plan::Nothing);
    assert_eq!(found(&["mode http"], A, ""), Plan::Nothing);
    // HAProxy's own.
    assert_eq!(found(&["mode http", "cookie S insert dynamic"], A, "0123"), Plan::Nothing);
    assert_ne!(found(&["mode http", "cookie S insert dynamic"], &with, "0123"), Plan::Nothing);
    // One in quotes is not understood here.
    assert_eq!(found(&["mode http"], &format!("{A} cookie \"c;d\""), "c;d"), Plan::Nothing);
    assert_eq!(found(&["mode tcp"], &with, ""), Plan::Nothing);
}

#[test]
fn servers_are_swapped_while_as_many_others_serve() {
    let look = |b: &str, a: &str| {
        let running = format!("{HEADER}{b}\n{a}");
        let running = Running::parse(&running, None, [&name("web")]).unwrap();
        planner("3.0").repair(&document(&[A, B]), &running, &Leaving::default()).plan
    };
    let wrong = "3 web 9 a 10.0.0.1 2 0 1 1 0 0 80";
    let outage =
        ["backend web: 1 of its servers would be out of service for a moment, and too few others serve"];
    assert_eq!(commands(&look(B_RUNS, wrong)).len(), 4);
    assert_eq!(reasons(look("3 web 2 b 10.0.0.2 0 0 1 1 0 0 80", wrong)), outage);
    assert_eq!(reasons(look("3 web 2 b 10.0.0.2 0 1 1 1 0 0 80", wrong)), outage);
    assert_eq!(reasons(look("3 web 2 b 10.0.0.2 2 1 1 1 0 0 80", wrong)), outage);
    // Who takes no traffic is not missed.
    let down = "3 web 2 b 10.0.0.2 0 0 1 1 0 0 80";
    assert_eq!(commands(&look(down, "3 web 9 a 10.0.0.1 0 0 1 1 0 0 80")).len(), 5);
    assert_eq!(commands(&look(down, "3 web 9 a 10.0.0.1 0 1 1 1 0 0 80")).len(), 4);
}

#[test]
fn an_old_haproxy_is_told_what_it_understands() {
    let look = |rows: &[&str]| repair(&planner("2.5"), A, rows, &[]).plan;
    let unsupported = ["HAProxy 2.5 can't add and delete servers at run time"];
    assert_eq!(
        commands(&look(&[B_RUNS, "3 web 1 a 10.0.0.1 2 0 7 1 0 0 80"])),
        ["set server web/a weight 1"]
    );
    let a = "3 web 1 a 10.0.0.1 2 0 1 1 0 0 80";
    for rows in [
        &[a, B_RUNS, "3 web 7 x 10.0.0.7 2 0 1 1 0 0 80"][..],
        &[B_RUNS, "3 web 9 a 10.0.0.1 2 0 1 1 0 0 80"],
    ] {
        let plan = look(rows);
        assert!(
            reload(plan.clone()).reasons().iter().any(|reason| reason.to_string() == unsupported[0]),
            "{plan}"
        );
        assert!(reload(plan).meanwhile().is_none());
    }
}

#[test]
fn a_stranger_goes_or_is_named() {
    let rows = [B_RUNS, "3 web 1 a 10.0.0.1 2 0 1 1 0 0 80", "3 web 7 x 10.0.0.7 2 0 1 1 0 22 80"];
    let gone = repair(&planner("3.0"), A, &rows, &[]);
    assert_eq!(commands(&gone.plan), ["disable agent web/x", "set server web/x state maint"]);
    let Plan::Commands(done) = &gone.plan else { unreachable!("it was just seen") };
    assert_eq!(done.departing().len(), 1);
    assert_eq!(gone.plan.changes()[0].to_string(), "- web/x");
    let named = repair(&planner("3.0").strangers(Strangers::Report), A, &rows, &[]);
    assert_eq!(named.plan, Plan::Nothing);
    assert_eq!(named.strangers.iter().map(ToString::to_string).collect::<Vec<_>>(), ["web/x"]);
}

#[test]
fn the_operators_own_servers_are_let_be() {
    let running = |rows: &[&str]| {
        Running::parse(&format!("{HEADER}{}", rows.join("\n")), None, [&name("web")]).unwrap()
    };
    let own = document(&["server\town 10.0.0.9:80", A]);
    let rows = ["3 web 1 a 10.0.0.1 2 0 1 1 0 0 80", "3 web 9 own 10.0.0.9 0 1 7 1 0 0 80"];
    let repair = planner("3.0").repair(&own, &running(&rows), &Leaving::default());
    assert_eq!((repair.plan, repair.strangers), (Plan::Nothing, vec![]));
    // And those in backends that are not ours are not even looked at.
    let other = running(&["4 other 1 x 10.0.0.1 2 0 1 1 0 0 80"]);
    let repair = planner("3.0").repair(&Document::default(), &other, &Leaving::default());
    assert_eq!((repair.plan, repair.strangers), (Plan::Nothing, vec![]));
}

#[test]
fn who_leaves_stays_out_and_is_forgotten_once_it_is_gone() {
    let running = |rows: &[&str]| {
        Running::parse(&format!("{HEADER}{}", rows.join("\n")), None, [&name("web")]).unwrap()
    };
    let gone = leaving("3.0", "server x 10.0.0.3:80 id 3");
    let here = document(&[A, B]);
    let rows = ["3 web 1 a 10.0.0.1 2 0 1 1 0 0 80", B_RUNS];
    let look = |x: &str| {
        let rows = [&rows[..], &[x]].concat();
        planner("3.0").repair(&here, &running(&rows), &gone)
    };
    let waits = look("3 web 3 x 10.0.0.3 0 1 1 1 0 0 80");
    assert_eq!((waits.plan, waits.leaving.len()), (Plan::Nothing, 1));
    let back = look("3 web 3 x 10.0.0.3 2 0 1 1 0 0 80");
    assert_eq!(commands(&back.plan), ["set server web/x state maint"]);
    assert_eq!(back.plan.changes()[0].to_string(), "- web/x");
    assert_eq!(back.leaving.len(), 1);
    let Plan::Commands(done) = &back.plan else { unreachable!("it was just seen") };
    assert!(done.departing().is_empty());
    let deleted = planner("3.0").repair(&here, &running(&rows), &gone);
    assert_eq!((deleted.plan, deleted.leaving.len()), (Plan::Nothing, 0));
}

#[test]
fn what_can_not_be_set_right_by_commands_takes_a_reload() {
    let rows = [B_RUNS];
    let missing = |server: &str| reasons(repair(&planner("3.0"), server, &rows, &[]).plan);
    assert_eq!(
        missing("server a 10.0.0.1:80 id 1 max-reuse 5"),
        ["server web/a: HAProxy 3.0 does not take option \"max-reuse\" at run time"]
    );
    let alone =
        Running::parse(&format!("{HEADER}3 web 9 a 10.0.0.1 2 0 1 1 0 0 80"), None, [&name("web")]).unwrap();
    let outage = planner("3.0").repair(&document(&[A]), &alone, &Leaving::default());
    assert_eq!(
        reasons(outage.plan),
        ["backend web: 1 of its servers would be out of service for a moment, and too few others serve"]
    );
    let fixed = planner("3.0").repair(
        &document(&["balance source", "server a 10.0.0.1:80 id 1 weight 5"]),
        &Running::parse(&format!("{HEADER}3 web 1 a 10.0.0.1 2 0 1 1 0 0 80"), None, [&name("web")]).unwrap(),
        &Leaving::default(),
    );
    assert_eq!(reasons(fixed.plan), ["backend web: balance source is static"]);
}
