//! What depends on the machine: other filesystems, mounts, full disks. A stand-in for one call plays each.

use std::{
    fs,
    io::{self, ErrorKind},
    os::unix::fs::MetadataExt as _,
};

use tempfile::TempDir;

use super::*;
use crate::{Applied, Applier, ApplyError, Check, Command, Pace, Reload};

/// A directory with a live file that holds `old`.
fn live() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("haproxy.cfg");
    fs::write(&path, "old").unwrap();
    (directory, path)
}

fn file(path: &Path, staging: Staging, change: impl FnOnce(&mut disk::Calls)) -> ConfigFile {
    let mut disk = Disk::new(path.to_owned(), staging);
    change(&mut disk.calls);
    ConfigFile::on(disk)
}

async fn write(file: &ConfigFile, text: &str) -> Result<Written, WriteError> {
    file.stage(text.as_bytes().into()).await?.commit().await
}

/// Every name below the directory, without the staging directory itself.
fn names(directory: &TempDir) -> Vec<String> {
    let mut names = Vec::new();
    for path in [directory.path().to_owned(), directory.path().join(".synapse")] {
        let Ok(entries) = fs::read_dir(path) else { continue };
        names.extend(entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()));
    }
    names.retain(|name| name != ".synapse");
    names.sort();
    names
}

fn busy(_: &Path, _: &Path) -> io::Result<()> {
    Err(ErrorKind::ResourceBusy.into())
}

fn denied(_: &Path) -> io::Result<()> {
    Err(ErrorKind::PermissionDenied.into())
}

fn full(_: &fs::File) -> io::Result<()> {
    Err(ErrorKind::StorageFull.into())
}

/// Another filesystem for every candidate that does not lie in the live file's directory itself.
fn crosses_unless_hidden(from: &Path, to: &Path) -> io::Result<()> {
    if from.parent() == to.parent() { fs::rename(from, to) } else { Err(ErrorKind::CrossesDevices.into()) }
}

fn crosses(_: &Path, _: &Path) -> io::Result<()> {
    Err(ErrorKind::CrossesDevices.into())
}

/// Another filesystem for every candidate outside of the staging directory.
fn crosses_unless_staged(from: &Path, to: &Path) -> io::Result<()> {
    if from.parent().is_some_and(|parent| parent.ends_with(".synapse")) {
        fs::rename(from, to)
    } else {
        Err(ErrorKind::CrossesDevices.into())
    }
}

#[tokio::test]
async fn a_file_that_is_a_mount_is_overwritten_in_place() {
    let (directory, path) = live();
    let inode = fs::metadata(&path).unwrap().ino();
    let file = file(&path, Staging::Beside, |calls| calls.rename = busy);
    for text in ["longer than before", "new"] {
        let written = write(&file, text).await.unwrap();
        assert_eq!(written, Written { bytes: text.len() as u64, how: How::InPlace });
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
    assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
    assert_eq!(names(&directory), ["haproxy.cfg"]);
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_leaves_overwriting() {
    let (directory, path) = live();
    let file = file(&path, Staging::Beside, |calls| calls.make_directory = denied);
    let prepared = file.prepare().await.unwrap();
    assert_eq!(prepared, Prepared { created: false, staged: false, reload_pending: false });
    let staged = file.stage((*b"new").into()).await.unwrap();
    assert_eq!(staged.candidate(), None);
    // Without a place for the note, the commit still goes on.
    assert_eq!(staged.commit_before_reload().await.unwrap().how, How::InPlace);
    assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    assert_eq!(names(&directory), ["haproxy.cfg"]);
}

#[test]
fn a_note_that_cannot_be_made_says_why() {
    let (_directory, path) = live();
    for kind in [ErrorKind::PermissionDenied, ErrorKind::ReadOnlyFilesystem] {
        let mut disk = Disk::new(path.clone(), Staging::Beside);
        disk.calls.make_directory = match kind {
            ErrorKind::PermissionDenied => denied,
            _ => |_| Err(ErrorKind::ReadOnlyFilesystem.into()),
        };
        assert_eq!(disk.note(&Target::behind(&path).unwrap()).unwrap_err().kind(), kind);
    }
}

#[tokio::test]
async fn a_candidate_on_another_filesystem_goes_live_through_the_staging_directory() {
    let (directory, path) = live();
    let elsewhere = tempfile::tempdir().unwrap();
    let candidate = elsewhere.path().join("candidate");
    let file = file(&path, Staging::At(candidate.clone()), |calls| calls.rename = crosses_unless_staged);
    assert_eq!(write(&file, "new").await.unwrap().how, How::Rename);
    assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    assert!(!candidate.exists());
    assert_eq!(names(&directory), ["haproxy.cfg"]);
}

#[tokio::test]
async fn a_staging_directory_on_another_filesystem_is_gone_round_by_a_hidden_file() {
    let (directory, path) = live();
    let file = file(&path, Staging::Beside, |calls| calls.rename = crosses_unless_hidden);
    assert_eq!(write(&file, "new").await.unwrap().how, How::Rename);
    assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    assert_eq!(names(&directory), ["haproxy.cfg"]);
}

#[tokio::test]
async fn a_file_that_no_filesystem_reaches_is_overwritten_in_place() {
    let (directory, path) = live();
    let file = file(&path, Staging::Beside, |calls| calls.rename = crosses);
    assert_eq!(write(&file, "new").await.unwrap().how, How::InPlace);
    assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    assert_eq!(names(&directory), ["haproxy.cfg"]);
}

#[tokio::test]
async fn shared_memory_as_the_place_of_candidates_works() {
    let (directory, path) = live();
    let other = tempfile::tempdir_in("/dev/shm").unwrap();
    let device = |path: &Path| fs::metadata(path).unwrap().dev();
    let candidate = other.path().join("candidate");
    // Where both are one filesystem, the stand-in plays the second one.
    let same = device(other.path()) == device(directory.path());
    let file = file(&path, Staging::At(candidate.clone()), |calls| {
        if same {
            calls.rename = crosses_unless_staged;
        }
    });
    let refused =
        (file.disk.calls.rename)(Path::new(other.path()), &path.with_file_name("probe")).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::CrossesDevices);

    assert_eq!(write(&file, "new").await.unwrap(), Written { bytes: 3, how: How::Rename });
    assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    assert!(!candidate.exists());
    assert_eq!(names(&directory), ["haproxy.cfg"]);
}

#[tokio::test]
async fn a_private_file_is_nobody_elses_to_read_whatever_it_was_before() {
    let (directory, path) = live();
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    assert_ne!(mode(&path), 0o600);
    write(&ConfigFile::private(&path).unwrap(), "new").await.unwrap();
    assert_eq!((fs::read_to_string(&path).unwrap().as_str(), mode(&path)), ("new", 0o600));
    let other = directory.path().join("other");
    write(&ConfigFile::private(&other).unwrap(), "first").await.unwrap();
    assert_eq!(mode(&other), 0o600);
}

#[tokio::test]
async fn a_published_file_is_everybodys_to_read_whatever_it_was_before() {
    use std::os::unix::fs::PermissionsExt as _;
    let (directory, path) = live();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    write(&ConfigFile::published(&path).unwrap(), "new").await.unwrap();
    let mode = fs::metadata(&path).unwrap().mode() & 0o7777;
    assert_eq!((mode, fs::read_to_string(&path).unwrap().as_str()), (0o644, "new"));
    assert_eq!(names(&directory), ["haproxy.cfg"]);
    assert!(ConfigFile::published("/").is_err());
}

#[tokio::test]
async fn a_published_file_is_never_written_through_a_link() {
    let (directory, path) = live();
    let link = directory.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let error = write(&ConfigFile::published(&link).unwrap(), "new").await.unwrap_err();
    assert_eq!(error.step(), Step::Resolve);
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
}

#[tokio::test]
async fn a_published_file_that_cannot_be_replaced_is_left_as_it_was() {
    let (directory, path) = live();
    let changes: [fn(&mut disk::Calls); 3] =
        [|calls| calls.sync = full, |calls| calls.rename = busy, |calls| calls.make_directory = denied];
    for change in changes {
        let mut disk = Disk::published(path.clone());
        change(&mut disk.calls);
        write(&ConfigFile::on(disk), "new").await.unwrap_err();
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(names(&directory), ["haproxy.cfg"]);
    }
}

#[tokio::test]
async fn a_private_file_that_cannot_be_replaced_is_left_as_it_was() {
    let usual = disk::Calls::default();
    for calls in [disk::Calls { rename: busy, ..usual }, disk::Calls { make_directory: denied, ..usual }] {
        let (directory, path) = live();
        let mut disk = Disk::private(path.clone());
        disk.calls = calls;
        let error = write(&ConfigFile::on(disk), "new").await.unwrap_err();
        assert_eq!(error.step(), Step::Replace);
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(names(&directory), ["haproxy.cfg"]);
    }
}

#[tokio::test]
async fn a_full_disk_leaves_the_old_file_and_no_candidate() {
    let (directory, path) = live();
    let file = file(&path, Staging::Beside, |calls| calls.sync = full);
    let error = file.stage((*b"new").into()).await.unwrap_err();
    assert_eq!(error.step(), Step::Stage);
    assert_eq!(error.path(), fs::canonicalize(directory.path()).unwrap().join(".synapse/haproxy.cfg"));
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    assert_eq!(names(&directory), ["haproxy.cfg"]);
}

#[tokio::test]
async fn a_full_disk_while_overwriting_puts_the_old_text_back() {
    let (directory, path) = live();
    let file = file(&path, Staging::Beside, |calls| {
        calls.make_directory = denied;
        calls.sync = full;
    });
    for text in ["longer than before", "x"] {
        let error = write(&file, text).await.unwrap_err();
        assert_eq!((error.step(), fs::read_to_string(&path).unwrap().as_str()), (Step::Overwrite, "old"));
    }
    assert_eq!(names(&directory), ["haproxy.cfg"]);
}

#[tokio::test]
async fn a_failed_commit_takes_its_note_and_its_candidate_back() {
    let (directory, path) = live();
    let file = file(&path, Staging::Beside, |calls| calls.rename = |_, _| Err(ErrorKind::Other.into()));
    let staged = file.stage((*b"new").into()).await.unwrap();
    assert_eq!(staged.commit_before_reload().await.unwrap_err().step(), Step::Replace);
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    assert_eq!(names(&directory), ["haproxy.cfg"]);
}

#[tokio::test]
async fn a_failed_commit_keeps_the_note_of_an_earlier_one() {
    let (directory, path) = live();
    write(&file(&path, Staging::Beside, |_| {}), "first").await.unwrap();
    let marker = directory.path().join(".synapse/haproxy.cfg.reload-pending");
    fs::write(&marker, "").unwrap();
    let file = file(&path, Staging::Beside, |calls| calls.rename = |_, _| Err(ErrorKind::Other.into()));
    file.stage((*b"new").into()).await.unwrap().commit_before_reload().await.unwrap_err();
    assert!(marker.exists());
}

#[tokio::test]
async fn a_write_dropped_half_way_leaves_whole_text_and_no_candidate() {
    /// Closed while a future is dropped, so that the disk is surely at work then.
    static GATE: Mutex<()> = Mutex::const_new(());
    fn gated(file: &fs::File) -> io::Result<()> {
        let _open = GATE.blocking_lock();
        file.sync_all()
    }
    let moment = Duration::from_millis(5);
    let (directory, path) = live();
    let file = file(&path, Staging::Beside, |calls| calls.sync = gated);

    let closed = GATE.lock().await;
    timeout(moment, file.stage((*b"new").into())).await.unwrap_err();
    drop(closed);
    // Takes its turn behind the abandoned write, so what that leaves behind is all there is.
    assert!(file.holds((*b"old").into()).await.unwrap());
    assert_eq!(names(&directory), ["haproxy.cfg"]);

    let staged = file.stage((*b"new").into()).await.unwrap();
    let closed = GATE.lock().await;
    timeout(moment, staged.commit()).await.unwrap_err();
    drop(closed);
    assert!(file.holds((*b"new").into()).await.unwrap());
    assert_eq!(names(&directory), ["haproxy.cfg"]);
}

#[tokio::test]
async fn what_cannot_be_checked_does_not_go_live() {
    let (_directory, path) = live();
    let file = file(&path, Staging::Beside, |calls| calls.make_directory = denied);
    let check = Check::new(Command::shell("true").unwrap(), Duration::from_secs(30));
    let mut applier = Applier::new(Pace::default()).with_file(file).with_check(check);
    let error = applier.apply("new").await.unwrap_err();
    assert!(matches!(&error, ApplyError::NoCandidate { path: named } if *named == path), "{error:?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    assert_eq!(applier.counters().check_failures, 1);
}

#[tokio::test]
async fn a_write_that_never_happened_makes_no_reload_due() {
    let (_directory, path) = live();
    let file = file(&path, Staging::Beside, |calls| calls.rename = |_, _| Err(ErrorKind::Other.into()));
    let reload = Reload::new(Command::shell("true").unwrap(), Duration::from_secs(30));
    let mut applier = Applier::new(Pace::default()).with_file(file).with_reload(reload);
    assert!(matches!(applier.apply("new").await.unwrap_err(), ApplyError::Write(_)));
    assert!(!applier.reload_pending());
    assert_eq!(applier.apply("old").await.unwrap(), Applied::Unchanged);
    assert_eq!(applier.counters().reloads, 0);
}
