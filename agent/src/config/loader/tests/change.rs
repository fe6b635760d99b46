//! Whether a configuration has changed.

use std::{
    fs,
    io::{self, Write as _},
    os::{fd::AsRawFd as _, unix::fs::symlink},
    time::{Duration, SystemTime},
};

use super::*;

/// What happens to a site.
type Change = fn(&Site);

#[test]
fn every_change_of_what_was_read_is_noticed() {
    let changes: [(&str, Change); 10] = [
        ("the main file", |site| site.write("main.yaml", &format!("# more\n{HAPROXY}"))),
        ("same size, at once", |site| site.write("conf.d/web.yaml", &service("10.0.0.9"))),
        ("a file more", |site| site.write("conf.d/new.json", "{}")),
        ("a file less", |site| fs::remove_file(site.path("conf.d/web.yaml")).unwrap()),
        ("another name", |site| {
            fs::rename(site.path("conf.d/web.yaml"), site.path("conf.d/w.yaml")).unwrap();
        }),
        ("no directory", |site| fs::rename(site.path("conf.d"), site.path("conf.e")).unwrap()),
        ("no main file", |site| fs::remove_file(site.path("main.yaml")).unwrap()),
        ("another file under the name", |site| {
            site.write("next", &service("10.0.0.9"));
            fs::rename(site.path("next"), site.path("conf.d/web.yaml")).unwrap();
        }),
        ("what is warned of", |site| site.write("conf.d/old.yml", "")),
        ("a directory in its place", |site| {
            fs::remove_file(site.path("conf.d/web.yaml")).unwrap();
            fs::create_dir(site.path("conf.d/web.yaml")).unwrap();
        }),
    ];
    for (what, change) in changes {
        let site = Site::split("");
        site.write("conf.d/web.yaml", &service("10.0.0.1"));
        let loader = site.loader();
        let before = loader.load().fingerprint;
        assert!(!loader.changed(&before), "{what}");
        change(&site);
        assert!(loader.changed(&before), "{what}");
        let after = loader.load().fingerprint;
        assert!(!loader.changed(&after), "{what}");
        assert_ne!(before, after, "{what}");
    }
}

#[test]
fn what_says_the_same_is_no_change() {
    let site = Site::split("");
    site.write("conf.d/web.yaml", &service("10.0.0.1"));
    let loader = site.loader();
    let before = loader.load().fingerprint;
    site.write("conf.d/web.yaml", &service("10.0.0.1"));
    site.write("next", &fs::read_to_string(site.path("main.yaml")).unwrap());
    fs::rename(site.path("next"), site.path("main.yaml")).unwrap();
    site.write("conf.d/.web.yaml.swp", "x");
    site.write("conf.d/web.yaml~", "x");
    assert!(!loader.changed(&before));
    assert_eq!(before, loader.load().fingerprint);
}

#[test]
fn a_file_that_was_left_alone_for_long_is_not_read_again() {
    let site = Site(tempfile::tempdir().unwrap());
    let path = site.path("main.yaml");
    site.write("main.yaml", HAPROXY);
    // A clock that is ahead of the file's by an hour: what it was last changed at is long ago.
    let later = SystemTime::now() + Duration::from_hours(1);
    let mut fingerprint = Fingerprint::default();
    fingerprint.read_at(&path, Allowed::Anything, MAX_BYTES, later).unwrap();
    let stamped = fingerprint.clone();
    assert!(stamped.trusts_its_stamps());
    assert!(!stamped.changed());
    let fresh = site.loader().load().fingerprint;
    assert!(!fresh.trusts_its_stamps(), "what was written just now may be written again within one tick");
    assert!(!fresh.changed());
}

#[test]
fn what_is_wrong_is_no_change_until_somebody_mends_it() {
    let site = Site::split("");
    site.write("conf.d/web.yaml", "discovery: {");
    let loader = site.loader();
    let bad = loader.load();
    assert!(bad.config.is_err());
    assert!(!loader.changed(&bad.fingerprint));
    site.write("conf.d/web.yaml", &service("10.0.0.1"));
    assert!(loader.changed(&bad.fingerprint));
    assert!(loader.load().config.is_ok());

    fs::remove_file(site.path("main.yaml")).unwrap();
    let gone = loader.load();
    assert!(gone.config.is_err() && !loader.changed(&gone.fingerprint));
    fs::remove_dir_all(site.path("conf.d")).unwrap();
    assert!(!loader.changed(&gone.fingerprint), "nobody has read it");
    site.write("main.yaml", HAPROXY);
    assert!(loader.changed(&gone.fingerprint));
}

#[test]
fn a_volume_of_kubernetes_changes_when_its_link_does() {
    let site = Site(tempfile::tempdir().unwrap());
    let version = |name: &str, host: &str| {
        fs::create_dir_all(site.path(name).join("conf.d")).unwrap();
        let directory = site.path("conf.d").display().to_string();
        fs::write(site.path(name).join("main.yaml"), format!("service_conf_dir: {directory}\n{HAPROXY}"))
            .unwrap();
        fs::write(site.path(name).join("web.yaml"), service(host)).unwrap();
    };
    version("..1", "10.0.0.1");
    symlink("..1", site.path("..data")).unwrap();
    fs::create_dir(site.path("conf.d")).unwrap();
    symlink("..data/main.yaml", site.path("main.yaml")).unwrap();
    symlink("../..data/web.yaml", site.path("conf.d/web.yaml")).unwrap();
    let loader = site.loader();
    let before = loader.load();
    assert_eq!(served(&before.config.unwrap()), ["backend web", "server 10.0.0.1:80"]);

    let swap = |to: &str| {
        symlink(to, site.path("..next")).unwrap();
        fs::rename(site.path("..next"), site.path("..data")).unwrap();
    };
    version("..2", "10.0.0.1");
    swap("..2");
    assert!(!loader.changed(&before.fingerprint), "the same in another place");
    version("..3", "10.0.0.2");
    swap("..3");
    assert!(loader.changed(&before.fingerprint));
    assert_eq!(served(&loader.load().config.unwrap()), ["backend web", "server 10.0.0.2:80"]);
}

#[test]
fn a_pipe_is_read_once_and_never_asked_again() {
    let (read, mut write) = io::pipe().unwrap();
    let path = format!("/dev/fd/{}", read.as_raw_fd());
    write.write_all(HAPROXY.as_bytes()).unwrap();
    drop(write);
    let loader = Loader::new(path, Registry::builtin());
    let Loaded { config, fingerprint } = loader.load();
    assert!(config.is_ok(), "{config:?}");
    assert!(!loader.changed(&fingerprint));
    drop(read);
}

#[test]
fn a_pipe_in_the_directory_keeps_nobody_waiting() {
    let site = Site::split("");
    let made = std::process::Command::new("mkfifo").arg(site.path("conf.d/web.yaml")).status().unwrap();
    assert!(made.success());
    assert_eq!(site.said(), ["conf.d/web.yaml:1:1: cannot be read: it is not a file"]);
    let loader = site.loader();
    assert!(!loader.changed(&loader.load().fingerprint));
}
