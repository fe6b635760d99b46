//! A configuration file on a real filesystem.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink},
    path::{Path, PathBuf},
};

use haproxy_runtime::{ConfigFile, How, Prepared, Staging, Step, WriteError, Written};
use tempfile::TempDir;

fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("haproxy.cfg");
    (directory, path)
}

fn open(path: &Path) -> ConfigFile {
    ConfigFile::open(path, Staging::Beside).unwrap()
}

async fn write(file: &ConfigFile, text: &str) -> Result<Written, WriteError> {
    file.stage(text.as_bytes().into()).await?.commit().await
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

#[tokio::test]
async fn a_new_file_can_be_read_by_everybody() {
    let (_directory, path) = place();
    assert_eq!(write(&open(&path), "text\n").await.unwrap().how, How::Rename);
    assert_eq!(fs::read_to_string(&path).unwrap(), "text\n");
    assert_eq!(mode(&path), 0o644);
}

#[tokio::test]
async fn the_mode_of_the_old_file_is_kept() {
    let (_directory, path) = place();
    fs::write(&path, "old").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    write(&open(&path), "new").await.unwrap();
    assert_eq!(mode(&path), 0o640);
}

#[tokio::test]
async fn the_owner_of_the_old_file_is_kept_as_far_as_permitted() {
    let (_directory, path) = place();
    fs::write(&path, "old").unwrap();
    // Only root may give a file away; everybody else's file has the right owner anyway.
    let _ = chown(&path, Some(4242), Some(4243));
    let before = fs::metadata(&path).unwrap();
    write(&open(&path), "new").await.unwrap();
    let after = fs::metadata(&path).unwrap();
    assert_eq!((after.uid(), after.gid()), (before.uid(), before.gid()));
    assert_ne!(after.ino(), before.ino());
}

#[tokio::test]
async fn the_target_of_a_link_is_replaced_and_the_link_stays() {
    let (directory, path) = place();
    let real = directory.path().join("real");
    fs::create_dir(&real).unwrap();
    symlink("real/b.cfg", directory.path().join("a.cfg")).unwrap();
    symlink("a.cfg", &path).unwrap();
    let file = open(&path);
    // At first the link leads nowhere yet.
    for text in ["one", "two"] {
        write(&file, text).await.unwrap();
        assert!(fs::symlink_metadata(&path).unwrap().is_symlink());
        assert!(fs::symlink_metadata(real.join("b.cfg")).unwrap().is_file());
        assert_eq!(fs::read_to_string(real.join("b.cfg")).unwrap(), text);
    }
    // Followed anew each time.
    fs::remove_file(&path).unwrap();
    symlink("real/c.cfg", &path).unwrap();
    write(&file, "three").await.unwrap();
    assert_eq!(fs::read_to_string(real.join("c.cfg")).unwrap(), "three");
    assert_eq!(fs::read_to_string(real.join("b.cfg")).unwrap(), "two");
}

#[tokio::test]
async fn links_in_a_circle_are_an_error() {
    let (directory, path) = place();
    symlink("other.cfg", &path).unwrap();
    symlink("haproxy.cfg", directory.path().join("other.cfg")).unwrap();
    assert_eq!(write(&open(&path), "new").await.unwrap_err().step(), Step::Resolve);
}

#[tokio::test]
async fn equal_text_is_recognised() {
    let (_directory, path) = place();
    let file = open(&path);
    assert!(!file.holds((*b"text").into()).await.unwrap(), "there is no file");
    fs::write(&path, "text").unwrap();
    assert!(file.holds((*b"text").into()).await.unwrap());
    for other in ["texT", "tex", "text\n", ""] {
        assert!(!file.holds(other.as_bytes().into()).await.unwrap(), "{other:?}");
    }
}

#[tokio::test]
async fn a_leftover_candidate_is_replaced_and_never_followed() {
    let (directory, path) = place();
    let victim = directory.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    let file = open(&path);
    file.prepare().await.unwrap();
    symlink(&victim, directory.path().join(".synapse/haproxy.cfg")).unwrap();
    write(&file, "new").await.unwrap();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    assert!(fs::symlink_metadata(&path).unwrap().is_file());
    assert_eq!(fs::read_to_string(&path).unwrap(), "new");
}

#[tokio::test]
async fn a_staging_directory_that_is_a_link_is_refused() {
    let (directory, path) = place();
    let elsewhere = tempfile::tempdir().unwrap();
    symlink(elsewhere.path(), directory.path().join(".synapse")).unwrap();
    assert_eq!(write(&open(&path), "new").await.unwrap_err().step(), Step::Prepare);
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn only_regular_files_are_replaced() {
    let (directory, path) = place();
    fs::create_dir(&path).unwrap();
    assert_eq!(write(&open(&path), "new").await.unwrap_err().step(), Step::Resolve);

    let live = directory.path().join("live.cfg");
    let candidate = directory.path().join("candidate");
    fs::create_dir(&candidate).unwrap();
    let file = ConfigFile::open(&live, Staging::At(candidate.clone())).unwrap();
    assert_eq!(write(&file, "new").await.unwrap_err().step(), Step::Clear);
    assert!(candidate.is_dir() && !live.exists());
}

#[tokio::test]
async fn a_candidate_that_is_the_live_file_is_refused() {
    let (directory, path) = place();
    ConfigFile::open(&path, Staging::At(path.clone())).unwrap_err();

    fs::write(&path, "old").unwrap();
    symlink(directory.path(), directory.path().join("again")).unwrap();
    let roundabout = directory.path().join("again/haproxy.cfg");
    let file = ConfigFile::open(&path, Staging::At(roundabout)).unwrap();
    assert_eq!(write(&file, "new").await.unwrap_err().step(), Step::Stage);
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
}

#[test]
fn a_path_without_a_name_is_refused() {
    for path in ["", "/", ".."] {
        assert_eq!(ConfigFile::open(path, Staging::Beside).unwrap_err().step(), Step::Resolve, "{path:?}");
    }
}

#[tokio::test]
async fn a_missing_directory_is_an_error_that_names_it() {
    let (directory, _) = place();
    let path = directory.path().join("missing/haproxy.cfg");
    let error = write(&open(&path), "new").await.unwrap_err();
    assert_eq!(error.to_string(), format!("finding the file behind {path:?}"));
}

#[tokio::test]
async fn preparing_tells_a_new_staging_directory_from_an_old_one() {
    let (_directory, path) = place();
    let seen = |prepared: Prepared| (prepared.created, prepared.staged, prepared.reload_pending);
    assert_eq!(seen(open(&path).prepare().await.unwrap()), (true, true, false));
    assert_eq!(seen(open(&path).prepare().await.unwrap()), (false, true, false));
}

#[tokio::test]
async fn a_reload_that_is_due_is_known_to_the_next_process() {
    let (_directory, path) = place();
    open(&path).stage((*b"new").into()).await.unwrap().commit_before_reload().await.unwrap();
    assert!(open(&path).prepare().await.unwrap().reload_pending);
    open(&path).clear_reload_pending().await.unwrap();
    assert!(!open(&path).prepare().await.unwrap().reload_pending);
    // Nothing to forget is fine.
    open(&path).clear_reload_pending().await.unwrap();
}

#[tokio::test]
async fn a_dropped_candidate_is_removed_and_a_kept_one_stays() {
    let (directory, path) = place();
    let file = open(&path);
    let staged = file.stage((*b"new").into()).await.unwrap();
    let candidate = staged.candidate().unwrap().to_owned();
    assert_eq!(candidate, fs::canonicalize(directory.path()).unwrap().join(".synapse/haproxy.cfg"));
    assert_eq!(fs::read_to_string(&candidate).unwrap(), "new");
    drop(staged);
    assert!(!candidate.exists());

    assert_eq!(file.stage((*b"kept").into()).await.unwrap().keep(), Some(candidate.clone()));
    assert_eq!(fs::read_to_string(&candidate).unwrap(), "kept");
    assert!(!path.exists());
    write(&file, "next").await.unwrap();
    assert!(!candidate.exists());
}

#[tokio::test]
async fn writes_through_two_handles_take_turns() {
    let (_directory, path) = place();
    let file = open(&path);
    let first = file.stage((*b"first").into()).await.unwrap();
    let other = file.clone();
    let second = tokio::spawn(async move { write(&other, "second").await });
    tokio::task::yield_now().await;
    first.commit().await.unwrap();
    second.await.unwrap().unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "second");
}
