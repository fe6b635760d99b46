//! The paths that are written.

use std::{
    fs::{self, Metadata},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use rustix::fs::{Access, AtFlags, CWD, accessat, statvfs};

use super::{Finding, Topic};

/// Less space than this is worth a warning, in bytes: a file of 100,000 servers has 10 MB.
const LITTLE: u64 = 16 * 1024 * 1024;

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stands {
    Nothing,
    File { writable: bool },
    Other,
}

/// What stands at the staging directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Staging {
    Nothing,
    Directory { writable: bool, same_filesystem: bool },
    Other,
}

/// A file to be replaced, behind all links, and the places around it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    path: PathBuf,
    /// `None`: there is no such directory, for this reason.
    directory: Result<PathBuf, String>,
    directory_writable: bool,
    stands: Stands,
    /// A mount of its own can't be replaced.
    mounted: bool,
    staging: Staging,
    /// Bytes that are free.
    free: Option<u64>,
}

/// The file that HAProxy reads, and where it lies while it is checked.
pub(super) fn of_file(path: &Path, candidate: Option<&Path>) -> Vec<Finding> {
    let place = Place::look(path);
    let mut findings = judge(&place, candidate.is_some());
    if let Some(candidate) = candidate {
        findings.push(of_candidate(candidate, &place));
    }
    findings
}

/// The state file, which is replaced as a whole or not at all.
pub(super) fn of_state(path: &Path) -> Vec<Finding> {
    let place = Place::look(path);
    let mut findings = judge(&place, false);
    if place.directory.is_ok()
        && !place.directory_writable
        && findings.iter().all(|finding| finding.remedy.is_none())
    {
        findings = vec![error(path, "its directory can't be written by this user", OWN)];
    }
    findings
}

/// A directory that files are written to: one that is not there yet is made, if its own directory allows.
pub(super) fn of_directory(path: &Path) -> Finding {
    match fs::metadata(path) {
        Ok(found) if !found.is_dir() => {
            error(path, "is there, and no directory", "move it away, or correct the path")
        }
        Ok(_) if may_write(path) => {
            Finding::ok(Topic::File, shown(path), "is a directory that can be written")
        }
        Ok(_) => error(path, "can't be written by this user", OWN),
        Err(_) if path.ancestors().skip(1).find(|above| above.exists()).is_some_and(may_write) => {
            Finding::ok(Topic::File, shown(path), "does not exist yet, and can be created")
        }
        Err(_) => error(path, "does not exist, and this user may not create it", OWN),
    }
}

/// The directory of a Unix socket; nothing is said where it can be entered.
pub(super) fn of_socket(path: &Path) -> Option<Finding> {
    let directory = parent(path);
    match fs::metadata(directory) {
        Ok(found) if !found.is_dir() => Some(error(
            path,
            &format!("{} is no directory", directory.display()),
            "correct the path of the socket",
        )),
        Ok(_) if !allowed(directory, Access::EXEC_OK) => {
            let remedy = "give this user the right to enter it: a group in common with HAProxy, say";
            Some(error(path, &format!("this user may not enter {}", directory.display()), remedy))
        }
        Ok(_) => None,
        Err(cause) => {
            let remedy = "create it: HAProxy does not (`RuntimeDirectory=` of its unit does)";
            Some(error(path, &format!("its directory {}: {cause}", directory.display()), remedy))
        }
    }
}

const OWN: &str =
    "give the directory to the user of this program (`chown`), or run it as the user that owns it";

impl Place {
    fn look(path: &Path) -> Self {
        // A dangling link: what it points to would be created.
        let target = fs::canonicalize(path)
            .or_else(|_| fs::read_link(path).map(|next| parent(path).join(next)))
            .unwrap_or_else(|_| path.to_owned());
        let directory = fs::canonicalize(parent(&target)).map_err(|cause| cause.to_string());
        let metadata = directory.as_ref().ok().and_then(|directory| fs::metadata(directory).ok());
        let staging = directory
            .as_ref()
            .map_or(Staging::Nothing, |directory| staging(&directory.join(".synapse"), metadata.as_ref()));
        Self {
            path: path.to_owned(),
            directory_writable: directory.as_ref().is_ok_and(|directory| may_write(directory)),
            stands: match fs::metadata(&target) {
                Ok(found) if found.is_file() => Stands::File { writable: allowed(&target, Access::WRITE_OK) },
                Ok(_) => Stands::Other,
                Err(_) => Stands::Nothing,
            },
            mounted: fs::read_to_string("/proc/self/mountinfo")
                .is_ok_and(|mounts| is_mount(&mounts, &target)),
            staging,
            free: directory.as_ref().ok().and_then(|directory| {
                let filesystem = statvfs(directory).ok()?;
                Some(filesystem.f_bavail.saturating_mul(filesystem.f_frsize))
            }),
            directory,
        }
    }
}

fn staging(path: &Path, beside: Option<&Metadata>) -> Staging {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Staging::Directory {
            writable: may_write(path),
            same_filesystem: beside.is_none_or(|beside| beside.dev() == found.dev()),
        },
        Ok(_) => Staging::Other,
        Err(_) => Staging::Nothing,
    }
}

/// `checked`: there is a candidate elsewhere.
fn judge(place: &Place, checked: bool) -> Vec<Finding> {
    let Place { path, .. } = place;
    if let Err(cause) = &place.directory {
        let text = format!("its directory {}: {cause}", parent(path).display());
        return vec![error(path, &text, "create the directory, or correct the path")];
    }
    if place.stands == Stands::Other {
        return vec![error(path, "is there, and no file", "move it away, or correct the path")];
    }
    let in_place = !place.directory_writable || place.mounted;
    let mut findings = Vec::new();
    match place.stands {
        Stands::Nothing if !place.directory_writable => {
            return vec![error(
                path,
                "does not exist, and this user may not create it in its directory",
                OWN,
            )];
        }
        Stands::File { writable: false } if in_place => {
            return vec![error(path, "can't be written by this user, nor be replaced in its directory", OWN)];
        }
        Stands::File { .. } if in_place => {
            let text = "can only be overwritten, not replaced: a reader may see half of it";
            let remedy =
                if place.mounted { "mount the directory that it is in, not the file alone" } else { OWN };
            findings.push(Finding::warning(Topic::File, shown(path), text, remedy));
        }
        Stands::Nothing => {
            findings.push(Finding::ok(Topic::File, shown(path), "does not exist yet, and can be created"));
        }
        _ => findings.push(Finding::ok(Topic::File, shown(path), "can be replaced in one step")),
    }
    let beside = place.directory.as_deref().unwrap_or(Path::new("")).join(".synapse");
    match place.staging {
        Staging::Other => findings.push(error(
            &beside,
            "is there, and no directory",
            "move it away: candidates are staged in it",
        )),
        Staging::Directory { writable: false, .. } => {
            findings.push(error(&beside, "can't be written by this user", OWN));
        }
        Staging::Directory { same_filesystem: false, .. } if !checked => {
            let text = "is on another filesystem than the file that is staged in it, which can't be renamed from there";
            findings.push(error(&beside, text, "unmount it, or mount the whole directory"));
        }
        _ => {}
    }
    if let Some(free) = place.free.filter(|free| *free < LITTLE) {
        let text = format!("its filesystem has {} KiB left", free / 1024);
        findings.push(Finding::warning(
            Topic::File,
            shown(path),
            text,
            "make room: a full disk keeps the file as it is",
        ));
    }
    findings
}

fn of_candidate(candidate: &Path, live: &Place) -> Finding {
    let place = Place::look(candidate);
    if let Some(wrong) =
        judge(&place, true).into_iter().find(|finding| finding.severity == super::Severity::Error)
    {
        return wrong;
    }
    let device = |place: &Place| Some(fs::metadata(place.directory.as_ref().ok()?).ok()?.dev());
    if device(&place) == device(live) {
        Finding::ok(Topic::File, shown(candidate), "can be written, on the filesystem of the live file")
    } else {
        let text = "is on another filesystem than the live file: it is copied, not renamed";
        let remedy = "name a path on the same filesystem in `candidate_config_file_path`";
        Finding::warning(Topic::File, shown(candidate), text, remedy)
    }
}

/// Whether something is mounted right there, by the list of the kernel.
fn is_mount(mounts: &str, path: &Path) -> bool {
    let point = |line: &str| line.split(' ').nth(4).map(|point| point.replace("\\040", " "));
    mounts.lines().filter_map(point).any(|point| Path::new(&point) == path)
}

fn may_write(directory: &Path) -> bool {
    allowed(directory, Access::WRITE_OK | Access::EXEC_OK)
}

/// As the user that writes, not the one that has started it.
pub(super) fn allowed(path: &Path, access: Access) -> bool {
    accessat(CWD, path, access, AtFlags::EACCESS).is_ok()
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn error(path: &Path, text: &str, remedy: &str) -> Finding {
    Finding::error(Topic::File, shown(path), text, remedy)
}

fn shown(path: &Path) -> String {
    super::line(&path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Severity;

    fn place(stands: Stands, directory_writable: bool) -> Place {
        Place {
            path: "/etc/haproxy/haproxy.cfg".into(),
            directory: Ok("/etc/haproxy".into()),
            directory_writable,
            stands,
            mounted: false,
            staging: Staging::Nothing,
            free: Some(1 << 40),
        }
    }

    fn judged(place: &Place) -> Vec<(Severity, String)> {
        judge(place, false).into_iter().map(|finding| (finding.severity, finding.text)).collect()
    }

    #[test]
    fn a_file_that_can_not_be_written_is_an_error() {
        for place in [place(Stands::File { writable: false }, false), place(Stands::Nothing, false)] {
            let findings = judge(&place, false);
            assert_eq!(findings.len(), 1);
            assert_eq!((findings[0].severity, findings[0].remedy.as_deref()), (Severity::Error, Some(OWN)));
        }
    }

    #[test]
    fn a_file_that_can_only_be_overwritten_is_a_warning() {
        let fixed = place(Stands::File { writable: true }, false);
        let mounted = Place { mounted: true, ..place(Stands::File { writable: true }, true) };
        for place in [fixed, mounted] {
            let judged = judged(&place);
            assert!(
                matches!(&judged[..], [(Severity::Warning, text)] if text.starts_with("can only be overwritten"))
            );
        }
    }

    #[test]
    fn what_is_read_only_can_be_replaced_all_the_same() {
        let found = judged(&place(Stands::File { writable: false }, true));
        assert_eq!(found, [(Severity::Ok, "can be replaced in one step".to_owned())]);
    }

    #[test]
    fn a_staging_directory_elsewhere_or_of_somebody_else_is_an_error() {
        for staging in [
            Staging::Other,
            Staging::Directory { writable: false, same_filesystem: true },
            Staging::Directory { writable: true, same_filesystem: false },
        ] {
            let found = judged(&Place { staging, ..place(Stands::Nothing, true) });
            assert_eq!(found.last().unwrap().0, Severity::Error, "{staging:?}");
        }
    }

    #[test]
    fn a_full_disk_is_warned_of() {
        let found = judged(&Place { free: Some(4096), ..place(Stands::Nothing, true) });
        assert_eq!(found[1], (Severity::Warning, "its filesystem has 4 KiB left".to_owned()));
    }

    #[test]
    fn paths_of_this_machine_are_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::write(at("there.cfg"), "").unwrap();
        fs::create_dir(at("directory.cfg")).unwrap();
        std::os::unix::fs::symlink("there.cfg", at("link.cfg")).unwrap();
        std::os::unix::fs::symlink("not-yet.cfg", at("dangling.cfg")).unwrap();
        let first = |name: &str| {
            let finding = of_file(&at(name), None).remove(0);
            (finding.severity, finding.text)
        };
        for name in ["there.cfg", "link.cfg"] {
            assert_eq!(first(name), (Severity::Ok, "can be replaced in one step".to_owned()));
        }
        for name in ["new.cfg", "dangling.cfg"] {
            assert_eq!(first(name), (Severity::Ok, "does not exist yet, and can be created".to_owned()));
        }
        assert_eq!(first("directory.cfg"), (Severity::Error, "is there, and no file".to_owned()));
        assert_eq!(first("missing/h.cfg").0, Severity::Error);
        assert!(!at(".synapse").exists(), "looking has made something");
        fs::write(at(".synapse"), "").unwrap();
        assert_eq!(of_file(&at("there.cfg"), None)[1].severity, Severity::Error);
    }

    #[test]
    fn a_socket_without_a_directory_has_a_remedy_and_one_with_it_needs_none() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(of_socket(&directory.path().join("h.sock")), None);
        let finding = of_socket(&directory.path().join("run/h.sock")).unwrap();
        assert!(finding.remedy.unwrap().starts_with("create it"));
    }

    #[test]
    fn a_directory_for_files_is_there_or_can_be_made() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("file"), "").unwrap();
        let found = |name: &str| {
            let finding = of_directory(&directory.path().join(name));
            (finding.severity, finding.text)
        };
        assert_eq!(found("."), (Severity::Ok, "is a directory that can be written".to_owned()));
        assert_eq!(found("a/b"), (Severity::Ok, "does not exist yet, and can be created".to_owned()));
        assert_eq!(found("file"), (Severity::Error, "is there, and no directory".to_owned()));
    }

    #[test]
    fn a_mount_of_its_own_is_known() {
        let mounts = "36 35 98:0 / /etc/haproxy\\040x/h.cfg rw shared:1 - ext4 /dev/sda rw\n";
        assert!(is_mount(mounts, Path::new("/etc/haproxy x/h.cfg")));
        assert!(!is_mount(mounts, Path::new("/etc/haproxy x")));
    }
}
