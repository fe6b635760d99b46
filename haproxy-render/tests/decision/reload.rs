//! What takes a reload, and what need not wait for it.

use crate::*;

#[test]
fn a_server_that_haproxy_never_deletes_can_not_be_replaced() {
    let x = "server x 10.0.0.3:80 id 3 resolvers dns";
    let plan = change("3.0", &[], &[x], &[&format!("{x} check")]);
    assert_eq!(reasons(plan), ["server web/x: a server that uses resolvers can not be deleted at run time"]);
    let plan = change("3.0", &[], &[x], &["server y 10.0.0.3:80 id 3"]);
    assert_eq!(reasons(plan), ["server web/y: its id 3 belongs to another server"]);
    let gone = leaving("3.0", x);
    let plan = change_by(&planner("3.0"), &[], &[], &["server y 10.0.0.3:80 id 3"], &gone);
    assert_eq!(reasons(plan), ["server web/y: its id 3 belongs to another server"]);
}

#[test]
fn what_a_server_can_not_be_told_is_a_reason() {
    for (lines, before, after, reason) in [
        (vec!["balance source"], "", "server x 10.0.0.3:80 id 3", "backend web: balance source is static"),
        (
            vec!["balance static-rr"],
            "server x 10.0.0.3:80 id 3",
            "server x 10.0.0.3:80 id 3 weight 2",
            "backend web: balance static-rr is static",
        ),
        (
            vec!["balance source"],
            "server x 10.0.0.3:80 id 3",
            "server x 10.0.0.3:80 id 3 check",
            "backend web: balance source is static",
        ),
        (vec!["mode log"], "", "server x 10.0.0.3:80 id 3", "backend web: mode log is static"),
        (
            vec![],
            "",
            "server x db.example:80 id 3",
            "server web/x: its address \"db.example\" is a name, which is not resolved at run time",
        ),
        (
            vec![],
            "server x 10.0.0.3:80 id 3",
            "server x db.example:80 id 3",
            "server web/x: its address \"db.example\" is a name, which is not resolved at run time",
        ),
        (
            vec![],
            "",
            "server x 10.0.0.3:80 id 3 max-reuse 5",
            "server web/x: HAProxy 2.6 does not take option \"max-reuse\" at run time",
        ),
        (
            vec![],
            "",
            "server x 10.0.0.3:80 id 3 cookie c",
            "server web/x: HAProxy 2.6 does not take option \"cookie\" at run time",
        ),
        (
            vec!["default-server sni \"str(a"],
            "",
            "server x 10.0.0.3:80 id 3",
            "backend web: what its servers inherit is not understood: server option \"\\\"str(a\": \
             its quote or backslash would swallow what follows",
        ),
    ] {
        let before: Vec<&str> = Some(before).into_iter().filter(|line| !line.is_empty()).collect();
        assert_eq!(reasons(change("2.6", &lines, &before, &[after])), [reason]);
    }
    // What makes no difference to a server needs no reload, whatever else is static.
    let x = "server x 10.0.0.3:80 id 3";
    let disabled = format!("{x} disabled");
    assert_eq!(
        commands(&change("2.6", &["balance source"], &[x], &[&disabled])),
        ["set server web/x state maint"]
    );
    assert_eq!(
        commands(&change("2.6", &["balance source"], &[x], &["server x 10.0.0.4:80 id 3"])),
        ["set server web/x addr 10.0.0.4 port 80"]
    );
}

#[test]
fn all_but_servers_takes_a_reload() {
    let old = document(&[A]);
    let changed = |edit: fn(&mut Document)| {
        let mut new = old.clone();
        edit(&mut new);
        reasons(planner("3.4").change(&old, &new, &Leaving::default()))
    };
    assert_eq!(changed(|new| new.global.push(line("daemon"))), ["section global changed"]);
    assert_eq!(changed(|new| new.defaults.push(line("mode tcp"))), ["section defaults changed"]);
    assert_eq!(
        changed(|new| new.extra_sections.push(Section::new(line("listen stats"), vec![]))),
        ["section \"listen stats\" changed"]
    );
    assert_eq!(changed(|new| new.shared_frontend = Some(vec![])), ["frontend shared-frontend changed"]);
    assert_eq!(
        changed(
            |new| Arc::make_mut(&mut new.services[0]).frontend = Some(Frontend::new(name("f"), name("web")))
        ),
        ["frontend of service web changed"]
    );
    assert_eq!(
        changed(|new| Arc::make_mut(&mut new.services[0]).backend.lines.push(line("mode tcp"))),
        ["backend web: its lines changed"]
    );
    assert_eq!(changed(|new| new.services.clear()), ["backend web is gone"]);
    assert_eq!(
        changed(|new| {
            let mut other = service(&[]);
            other.backend.name = name("other");
            new.services.insert(0, Arc::new(other));
        }),
        ["backend other is new"]
    );
}

#[test]
fn a_frontend_that_changes_is_noticed() {
    let mut old = document(&[A]);
    let mut frontend = Frontend::new(name("f"), name("web"));
    frontend.bind = Some(Bind::new(line("127.0.0.1"), None));
    Arc::make_mut(&mut old.services[0]).frontend = Some(frontend);
    let mut new = old.clone();
    let bind =
        Arc::make_mut(&mut new.services[0]).frontend.as_mut().and_then(|frontend| frontend.bind.as_mut());
    bind.unwrap().options = line("maxconn 5");
    assert_eq!(
        reasons(planner("3.0").change(&old, &new, &Leaving::default())),
        ["frontend of service web changed"]
    );
}

#[test]
fn lines_in_the_shared_frontend_count_where_there_is_one() {
    let mut other = service(&[]);
    other.backend.name = name("other");
    other.shared_frontend = vec![line("acl b path /b")];
    let mut old = document(&[A]);
    Arc::make_mut(&mut old.services[0]).shared_frontend = vec![line("acl a path /a")];
    old.services.push(Arc::new(other));
    let mut new = old.clone();
    Arc::make_mut(&mut new.services[0]).shared_frontend[0] = line("acl a path /c");
    let mut turned = old.clone();
    turned.services.reverse();
    let change = |old: &Document, new: &Document| planner("3.0").change(old, new, &Leaving::default());
    assert_eq!(change(&old, &new), Plan::Nothing);
    assert_eq!(change(&old, &turned), Plan::Nothing);
    for document in [&mut old, &mut new, &mut turned] {
        document.shared_frontend = Some(vec![line("bind :80")]);
    }
    assert_eq!(reasons(change(&old, &new)), ["frontend shared-frontend changed"]);
    assert_eq!(reasons(change(&old, &turned)), ["frontend shared-frontend changed"]);
    assert_eq!(change(&old, &old.clone()), Plan::Nothing);
}

#[test]
fn services_are_known_by_their_backends_wherever_they_stand() {
    let named = |backend: &str, servers: &[&str]| {
        let mut service = service(servers);
        service.backend.name = name(backend);
        Arc::new(service)
    };
    let of = |services: Vec<Arc<Service>>| {
        let mut document = Document::default();
        document.services = services;
        document
    };
    let (one, two, three) = (named("one", &[A]), named("two", &[A]), named("three", &[A]));
    let before = of(vec![Arc::clone(&one), Arc::clone(&two), three]);
    let after = of(vec![one, named("three", &[A, B]), two]);
    assert_eq!(
        commands(&planner("3.0").change(&before, &after, &Leaving::default())),
        ["add server three/b 10.0.0.2:80 id 2", "enable server three/b"]
    );
}

#[test]
fn the_section_that_changed_is_named() {
    let sections = |titles: &[(&str, &str)]| {
        let mut document = document(&[]);
        let section = |(title, rest): &(&str, &str)| Section::new(line(title), vec![line(rest)]);
        document.extra_sections = titles.iter().map(section).collect();
        document
    };
    let old = sections(&[("listen a", "1"), ("listen b", "1")]);
    for (new, title) in [
        (sections(&[("listen a", "1"), ("listen b", "2")]), "listen b"),
        (sections(&[("listen a", "2"), ("listen b", "1")]), "listen a"),
        (sections(&[("listen a", "1")]), "listen b"),
        (sections(&[("listen a", "1"), ("listen b", "1"), ("listen c", "1")]), "listen c"),
    ] {
        let plan = planner("3.0").change(&old, &new, &Leaving::default());
        assert_eq!(reasons(plan), [format!("section \"{title}\" changed")]);
    }
}

#[test]
fn the_revision_is_no_difference() {
    let old = document(&[A]);
    let mut new = old.clone();
    new.revision = Some(Renderer::default().revision(&new));
    assert_ne!(render(&old), render(&new));
    assert_eq!(planner("3.0").change(&old, &new, &Leaving::default()), Plan::Nothing);
    assert_eq!(Renderer::default().revision(&old), Renderer::default().revision(&new));
}

#[test]
fn an_old_haproxy_is_reloaded() {
    for (planner, version) in [(planner("2.5"), "2.5"), (Planner::new(Capabilities::none()), "unknown")] {
        let plan = change_by(&planner, &[], &[], &["server x 10.0.0.3:80 id 3"], &Leaving::default());
        let reload = reload(plan);
        assert_eq!(
            reload.reasons()[0].to_string(),
            format!("HAProxy {version} can't add and delete servers at run time")
        );
        assert!(reload.meanwhile().is_none());
        assert_eq!(reload.changes()[0].to_string(), "+ web/x 10.0.0.3:80");
    }
}

#[test]
fn too_many_commands_are_a_reload() {
    let servers: Vec<String> = (3..9).map(|id| format!("server x{id} 10.0.0.{id}:80 id {id}")).collect();
    let servers: Vec<&str> = servers.iter().map(String::as_str).collect();
    let by = |max| change_by(&planner("3.0").max_steps(max), &[], &[], &servers, &Leaving::default());
    assert_eq!(commands(&by(12)).len(), 12);
    let reload = reload(by(11));
    assert_eq!(reload.reasons()[0].to_string(), "it would take 12 commands");
    assert!(reload.meanwhile().is_none());
}

#[test]
fn what_need_not_wait_for_a_reload_does_not() {
    let before = document(&[A, B, "server x 10.0.0.3:80 id 3"]);
    let after = document(&[A, "server y 10.0.0.4:80 id 4 max-reuse 2", "server z 10.0.0.5:80 id 5"]);
    let reload = reload(planner("3.0").change(&before, &after, &Leaving::default()));
    let meanwhile = reload.meanwhile().unwrap();
    assert_eq!(
        texts(meanwhile.commands().steps()),
        [
            "add server web/z 10.0.0.5:80 id 5",
            "enable server web/z",
            "set server web/b state maint",
            "set server web/x state maint",
        ]
    );
    assert_eq!(meanwhile.document(), &document(&[A, "server z 10.0.0.5:80 id 5"]));
    let changes = |changes: &[haproxy_render::plan::Change]| {
        changes.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(changes(meanwhile.commands().changes()), ["+ web/z 10.0.0.5:80", "- web/b", "- web/x"]);
    assert_eq!(
        changes(reload.changes()),
        ["+ web/y 10.0.0.4:80", "+ web/z 10.0.0.5:80", "- web/b", "- web/x"]
    );
}

#[test]
fn nobody_goes_before_a_reload_if_nobody_else_serves_until_then() {
    let named = ["server y db.example:80 id 4 init-addr last,libc,none"];
    let plan = planner("3.0").change(&document(&[A]), &document(&named), &Leaving::default());
    assert!(reload(plan).meanwhile().is_none());
    let plan = planner("3.0").change(
        &document(&[A, B]),
        &document(&[&[B], &named[..]].concat()),
        &Leaving::default(),
    );
    assert_eq!(texts(reload(plan).meanwhile().unwrap().commands().steps()), ["set server web/a state maint"]);
    // Where it is not understood what servers are, they count.
    let unclear = "default-server sni \"str(a";
    let plan = planner("3.0").change(&document(&[unclear, A]), &document(&[unclear, B]), &Leaving::default());
    assert!(reload(plan).meanwhile().is_none());
}

#[test]
fn a_reload_elsewhere_does_not_hold_servers_up() {
    let mut after = document(&[A, B]);
    after.global.push(line("maxconn 9"));
    Arc::make_mut(&mut after.services[0]).shared_frontend.push(line("acl a path /a"));
    let mut before = document(&[A]);
    before.revision = Some(Renderer::default().revision(&before));
    let reload = reload(planner("3.0").change(&before, &after, &Leaving::default()));
    let meanwhile = reload.meanwhile().unwrap();
    assert_eq!(
        texts(meanwhile.commands().steps()),
        ["add server web/b 10.0.0.2:80 id 2", "enable server web/b"]
    );
    assert_eq!(meanwhile.document(), &document(&[A, B]));
    // From there, the rest is due.
    let rest = planner("3.0").change(meanwhile.document(), &after, meanwhile.commands().leaving());
    assert_eq!(reasons(rest), ["section global changed"]);
}

#[test]
fn the_last_one_that_serves_does_so_until_the_reload() {
    let with = |servers: &[&str]| document(servers);
    let x = "server x 10.0.0.3:80 id 3";
    let named = "server y db.example:80 id 4 init-addr last,libc,none";
    for taken_away in [format!("{x} weight 0"), format!("{x} disabled")] {
        let plan = planner("3.0").change(&with(&[x]), &with(&[named, &taken_away]), &Leaving::default());
        assert!(reload(plan).meanwhile().is_none(), "{taken_away}");
    }
    // With company, it need not.
    let plan = planner("3.0").change(
        &with(&[x, A]),
        &with(&[named, &format!("{x} weight 0"), A]),
        &Leaving::default(),
    );
    let reload = reload(plan);
    assert_eq!(texts(reload.meanwhile().unwrap().commands().steps()), ["set server web/x weight 0"]);
}
