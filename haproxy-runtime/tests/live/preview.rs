//! What is told before is what is done then, and telling it changes nothing.

use std::os::unix::fs::MetadataExt as _;

use haproxy_render::{Document, Server, plan::Reason, render};
use haproxy_runtime::{Cause, Course, Deed, Live, Pace, Preview, Progress, Revision};

use crate::site::{By, Echo, Site, changed, document, document_with, server};

/// Everything that a look must leave as it is.
#[derive(Debug, PartialEq)]
struct State {
    /// Names, inodes, times of the last write and lengths.
    files: Vec<(String, u64, i64, i64, u64)>,
    revision: Option<Revision>,
    servers: Vec<String>,
    reloads: usize,
}

async fn state(site: &Site) -> State {
    let mut files = Vec::new();
    let mut left: Vec<_> =
        std::fs::read_dir(site.haproxy.path("")).unwrap().map(|entry| entry.unwrap().path()).collect();
    // What HAProxy itself makes there, it makes when it likes.
    left.retain(|path| {
        let name = path.display().to_string();
        !(name.contains(".sock") || name.contains(".log"))
    });
    while let Some(path) = left.pop() {
        let metadata = path.symlink_metadata().unwrap();
        if metadata.is_dir() {
            left.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        let name = path.display().to_string();
        files.push((name, metadata.ino(), metadata.mtime(), metadata.mtime_nsec(), metadata.len()));
    }
    files.sort();
    let revision = site.haproxy.socket().process().await.unwrap().revision;
    State { files, revision, servers: site.servers().await, reloads: site.reloads() }
}

/// Plans, makes sure that nothing is changed by that, applies, and compares.
async fn foretold_by(site: &Site, wanted: &Document, live: impl Fn() -> Live) -> Preview {
    let before = state(site).await;
    let preview = live().preview(wanted).await.unwrap();
    assert_eq!(state(site).await, before, "looking has changed something: {preview:?}");
    let mut applying = live();
    let deed = match applying.apply(wanted).await.unwrap() {
        Progress::Unchanged => Deed::default(),
        Progress::Changed(deed) => deed,
        other => panic!("{other:?}"),
    };
    assert_eq!((&preview.changes, &preview.repaired), (&deed.changes, &deed.repaired), "{deed}");
    assert_eq!(preview.strangers, deed.strangers);
    let causes = deed.reloaded.as_ref().map(|reload| reload.causes.clone()).unwrap_or_default();
    assert_eq!(preview.causes, causes, "{deed}");
    match preview.course {
        Course::Nothing => assert!(deed.is_nothing(), "{deed}"),
        // The stamp.
        Course::File => {
            assert!(deed.commands <= 1 && deed.reloaded.is_none() && preview.commands.is_empty(), "{deed}");
        }
        Course::Commands => {
            assert!(deed.commands == preview.commands.len() && deed.reloaded.is_none(), "{preview:?} {deed}");
        }
        Course::Reload => {
            assert!(deed.reloaded.is_some() && deed.commands == preview.commands.len(), "{deed}");
        }
        other => panic!("{other:?}"),
    }
    applying.flush().await.unwrap();
    assert_eq!(site.file(), preview.after);
    // Who has never seen them takes servers that leave for somebody else's.
    while let Some(due) = applying.due() {
        tokio::time::sleep_until(due).await;
        applying.tend().await;
    }
    let again = live().preview(wanted).await.unwrap();
    assert_eq!((again.course, again.keeps_file()), (Course::Nothing, true), "{again:?}");
    preview
}

async fn foretold(site: &Site, wanted: &Document) -> Preview {
    foretold_by(site, wanted, || site.live()).await
}

#[tokio::test]
async fn live_what_is_planned_is_what_is_done() {
    let port = Echo::start(b'a').await.port;
    let a = || server("a", port, 1, "");
    let b = |options: &str| server("b", port, 2, options);
    let c = || server("c", port, 3, "check inter 5s");
    let site = Site::start(&document(vec![a()]), By::Master).await;

    // The file of an earlier version, which has no revision.
    let preview = foretold(&site, &document(vec![a()])).await;
    assert_eq!((preview.course, preview.commands.len()), (Course::File, 0));

    let preview = foretold(&site, &document(vec![a(), b(""), c()])).await;
    assert_eq!(preview.course, Course::Commands);
    let begins = [
        "add server web/b ",
        "add server web/c ",
        "enable health web/c",
        "enable server web/b",
        "enable server web/c",
    ];
    assert!(
        preview.commands.iter().zip(begins).all(|(command, begin)| command.starts_with(begin)),
        "{preview:?}"
    );
    assert_eq!(preview.changes[0].to_string(), format!("+ web/b 127.0.0.1:{port}"));

    // Another order: the file alone.
    assert_eq!(foretold(&site, &document(vec![b(""), a(), c()])).await.course, Course::File);
    let preview = foretold(&site, &document(vec![a(), b("weight 3"), c()])).await;
    assert_eq!(preview.commands, ["set server web/b weight 3"]);
    let preview = foretold(&site, &document(vec![a(), c()])).await;
    assert_eq!((preview.commands.len(), preview.departing), (1, vec!["web/b".to_owned()]));

    // Commands can't.
    let with = |servers: Vec<Server>| document_with(servers, &["balance leastconn"]);
    let preview = foretold(&site, &with(vec![a(), b(""), c()])).await;
    assert!(matches!(preview.causes[..], [Cause::Needed(Reason::Lines { .. })]), "{preview:?}");
    let preview = foretold(&site, &with(vec![a(), b("non-stick"), c()])).await;
    assert!(matches!(preview.causes[..], [Cause::Needed(Reason::Server { .. })]), "{preview:?}");
    let preview =
        foretold(&site, &with(vec![a(), server("d", port, 4, "non-stick"), c(), server("e", port, 5, "")]))
            .await;
    assert!(preview.meanwhile.iter().any(|command| command.starts_with("add server web/e ")), "{preview:?}");
    assert_eq!(preview.course, Course::Reload);
}

#[tokio::test]
async fn live_what_somebody_else_has_done_is_planned_as_it_is_put_right() {
    let port = Echo::start(b'a').await.port;
    let (a, b) = (server("a", port, 1, "weight 5"), server("b", port, 2, ""));
    let wanted = document(vec![a.clone(), b.clone()]);
    let site = Site::start(&wanted, By::Master).await;
    changed(&mut site.live(), &wanted).await;

    // In the process.
    site.tell(&[
        "set server web/a weight 9",
        "set server web/b state maint",
        "add server web/x 127.0.0.1:1 id 9",
    ])
    .await;
    let preview = foretold(&site, &wanted).await;
    assert_eq!((preview.course, preview.repaired.len(), preview.changes.len()), (Course::Commands, 3, 0));
    site.tell(&["set server web/a weight 9"]).await;
    let preview = foretold(&site, &document(vec![a.clone(), b.clone(), server("c", port, 3, "")])).await;
    assert_eq!(preview.commands[0], "set server web/a weight 5");
    assert_eq!((preview.repaired.len(), preview.changes.len(), preview.commands.len()), (1, 1, 3));
    let wanted = document(vec![a.clone(), b.clone(), server("c", port, 3, "")]);

    // In the file: what runs can't be told from it.
    site.haproxy.configure(&format!("{}# edited\n", site.file()));
    let preview = foretold(&site, &wanted).await;
    assert_eq!((preview.course, &preview.causes[..]), (Course::Reload, &[Cause::File][..]));
    std::fs::remove_file(site.haproxy.path("haproxy.cfg")).unwrap();
    let preview = foretold(&site, &wanted).await;
    assert_eq!((preview.before, &preview.causes[..]), (None, &[Cause::File][..]));

    // The process runs something else than the file says.
    let other = "set-var proc.synapse_rev str(0123456789abcdef)";
    let text = site.file();
    let mine = text.lines().find(|line| line.contains("proc.synapse_rev")).unwrap().trim();
    site.haproxy.configure(&text.replace(mine, other));
    let preview = foretold(&site, &wanted).await;
    assert!(matches!(preview.causes[..], [Cause::Revision { runs: Some(_) }]), "{preview:?}");
}

#[tokio::test]
async fn live_a_socket_that_is_gone_is_planned_as_a_reload_for_what_the_file_does_not_hold() {
    let port = Echo::start(b'a').await.port;
    let first = document(vec![server("a", port, 1, "")]);
    let site = Site::start(&first, By::Master).await;
    changed(&mut site.live(), &first).await;
    let live = || site.live_at(Pace::new(std::time::Duration::ZERO, 0.0).unwrap(), "nobody.sock");
    let held = foretold_by(&site, &first, live).await;
    assert_eq!((held.course, held.causes.len()), (Course::Nothing, 0));
    let more = document(vec![server("a", port, 1, ""), server("b", port, 2, "")]);
    let preview = foretold_by(&site, &more, live).await;
    assert!(matches!(preview.causes[..], [Cause::Unreachable(_)]), "{preview:?}");
}

#[tokio::test]
async fn live_a_plan_does_not_disturb_who_is_at_work() {
    let port = Echo::start(b'a').await.port;
    let first = document(vec![server("a", port, 1, "")]);
    let site = Site::start(&first, By::Nothing).await;
    let mut live = site.live();
    changed(&mut live, &first).await;
    let second = document(vec![server("a", port, 1, ""), server("b", port, 2, "")]);
    let preview = live.preview(&second).await.unwrap();
    let deed = changed(&mut live, &second).await;
    assert_eq!((preview.commands.len(), preview.changes), (deed.commands, deed.changes));
    assert_ne!(render(&first), site.file());
    assert_eq!(site.reloads(), 0);
}
