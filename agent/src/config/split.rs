//! `service_conf_dir`: services in files of their own.

use std::{
    collections::HashMap,
    ffi::OsStr,
    path::{Path, PathBuf},
};

use super::{
    Entry, KeyPath, Node, Problem, Value,
    draft::Draft,
    erb::Environment,
    fingerprint::{Allowed, Fingerprint},
    parse::MAX_BYTES,
    report::quoted,
};

/// The key of the directory.
pub(super) const KEY: &str = "service_conf_dir";
/// Most files that a directory may have for us.
const MAX_FILES: usize = 50_000;

/// Takes `service_conf_dir` out of the tree, and puts the services of its files in.
pub(super) fn join(root: &mut Node, draft: &mut Draft, environment: &Environment, seen: &mut Fingerprint) {
    let Value::Map(entries) = &mut root.value else { return };
    let Some(at) = entries.iter().position(|entry| entry.key == KEY) else { return };
    let key = entries.remove(at);
    if matches!(key.value.value, Value::Null) {
        return;
    }
    let problem =
        |message: String| Problem::new(key.value.line, key.value.column, &KeyPath::root().key(KEY), message);
    let Some(written) = key.value.text().filter(|text| !text.is_empty() && !text.contains('\0')) else {
        draft.problems.push(problem("expected the path of a directory".to_owned()));
        return;
    };
    let directory = at_home(&written, environment);
    let names = match seen.list(&directory, MAX_FILES) {
        Ok(names) => names,
        Err(error) => {
            let directory = shown(&directory);
            draft.problems.push(problem(match error.kind() {
                std::io::ErrorKind::NotFound => format!("service conf dir does not exist: {directory}"),
                _ => format!("service conf dir cannot be read: {directory}: {error}"),
            }));
            return;
        }
    };
    let mut files: Vec<_> =
        names.iter().filter_map(|name| Some(ServiceFile::new(&directory, name.to_str()?))).collect();
    if files.len() < names.len() {
        draft.problems.push(problem("a file in it has a name that is not UTF-8".to_owned()));
    }
    files.sort_by(|a, b| (&a.service, &a.path).cmp(&(&b.service, &b.path)));
    let read = read(&files, draft, environment, seen);
    put(read, entries, (key.line, key.column), draft);
}

/// A leading `~` is the home directory of who runs the program; any other path that is not absolute is one from where it runs.
fn at_home(written: &str, environment: &Environment) -> PathBuf {
    let inside = written.strip_prefix("~/").or((written == "~").then_some(""));
    match (inside, environment("HOME")) {
        (Some(inside), Some(home)) => Path::new(&home).join(inside),
        _ => PathBuf::from(written),
    }
}

/// A path as messages show it: on one line.
fn shown(path: &Path) -> String {
    let text = path.display().to_string();
    let escaped = |c: char| if c.is_control() { c.escape_debug().to_string() } else { c.to_string() };
    text.chars().map(escaped).collect()
}

/// A file of the directory.
struct ServiceFile {
    path: PathBuf,
    /// What messages call it.
    name: String,
    service: String,
    ignored: bool,
}

impl ServiceFile {
    fn new(directory: &Path, name: &str) -> Self {
        let path = directory.join(name);
        let service = path.file_stem().and_then(OsStr::to_str).unwrap_or(name).to_owned();
        Self { name: shown(&path), ignored: path.extension() == Some(OsStr::new("yml")), service, path }
    }
}

/// A service that was read.
struct Read<'f> {
    file: &'f ServiceFile,
    value: Node,
}

/// The services of the files, in the order of their names. Of two of one name the second counts.
fn read<'f>(
    files: &'f [ServiceFile],
    draft: &mut Draft,
    environment: &Environment,
    seen: &mut Fingerprint,
) -> Vec<Read<'f>> {
    let mut services: Vec<Read<'f>> = Vec::with_capacity(files.len());
    let mut left = MAX_BYTES;
    for file in files {
        let about = |message: String| Problem::new(1, 1, &KeyPath::root(), message).in_file(&file.name);
        if file.ignored {
            let meant = quoted(&format!("{}.yaml", file.service));
            draft.warnings.push(about(format!(
                "is not read: of a service conf dir `*.json` and `*.yaml` are; call it {meant}"
            )));
            continue;
        }
        let text = match seen.read(&file.path, Allowed::File, left) {
            Ok(text) => text,
            Err(error) => {
                draft.problems.push(about(format!("cannot be read: {error}")));
                continue;
            }
        };
        left = left.saturating_sub(text.len());
        let Some(value) = draft.tree(Some(&file.name), &text, Some(environment)) else { continue };
        match services.last_mut().filter(|last| last.file.service == file.service) {
            Some(last) => {
                let message = format!("is not used: {} is for the same service", file.name);
                draft.warnings.push(Problem::new(1, 1, &KeyPath::root(), message).in_file(&last.file.name));
                *last = Read { file, value };
            }
            None => services.push(Read { file, value }),
        }
    }
    services
}

/// Puts services into the tree: in place of those of the same names, the others behind them.
fn put(services: Vec<Read<'_>>, entries: &mut Vec<Entry>, at: (u32, u32), draft: &mut Draft) {
    let (line, column) = at;
    if services.is_empty() {
        return;
    }
    let place = entries.iter().position(|entry| entry.key == "services").unwrap_or_else(|| {
        let value = Node::new(Value::Null, line, column);
        entries.push(Entry { key: "services".to_owned(), line, column, value });
        entries.len() - 1
    });
    let list = &mut entries[place].value;
    if matches!(list.value, Value::Null) {
        list.value = Value::Map(Vec::new());
    }
    // Whoever reads what is no map says so.
    let Value::Map(known) = &mut list.value else { return };
    let places: HashMap<String, usize> =
        known.iter().enumerate().map(|(place, entry)| (entry.key.clone(), place)).collect();
    for Read { file, value } in services {
        let entry = Entry { key: file.service.clone(), line: value.line, column: value.column, value };
        match places.get(&file.service) {
            Some(place) => {
                let old = std::mem::replace(&mut known[*place], entry);
                let path = KeyPath::root().key("services").key(&file.service);
                let message = format!("is not used: {} replaces it", file.name);
                draft.warnings.push(Problem::new(old.line, old.column, &path, message));
            }
            None => known.push(entry),
        }
    }
}
