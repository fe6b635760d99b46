//! What would become of the files, without touching any.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use discovery_core::Snapshot;

use super::{
    board::Wanted,
    directory::{Directory, FileError},
};
use crate::{fold::Served, output::chain};

/// What would become of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Made,
    Rewritten,
    Removed,
}

/// What a run would do now with the files of a directory: with those of services, of each of which it is known who is served and
/// whether its source has said so, or nothing, and with those that it finds there. Sorted by service.
///
/// # Errors
///
/// Why that can't be told, in words.
pub(crate) async fn preview<'a>(
    directory: &Path,
    services: impl Iterator<Item = (&'a str, Option<(&'a Served, bool)>)>,
) -> Result<Vec<(PathBuf, Fate)>, String> {
    let wanted: BTreeMap<String, Option<Wanted>> = services
        .map(|(service, known)| {
            (service.to_owned(), known.and_then(|(served, heard)| Wanted::of(served, heard)))
        })
        .collect();
    look(directory, wanted).await.map_err(|error| chain(&error))
}

async fn look(
    directory: &Path,
    wanted: BTreeMap<String, Option<Wanted>>,
) -> Result<Vec<(PathBuf, Fate)>, FileError> {
    let directory = Directory::look(directory.to_owned()).await?;
    let services: BTreeSet<&String> = directory.services().iter().chain(wanted.keys()).collect();
    let mut found = Vec::new();
    for service in services {
        let fate = match wanted.get(service) {
            None => directory.removes(service).await?.then_some(Fate::Removed),
            Some(None) => None,
            Some(Some(wanted)) => fate(&directory, service, wanted).await?,
        };
        found.extend(fate.map(|fate| (directory.file(service), fate)));
    }
    Ok(found)
}

async fn fate(directory: &Directory, service: &str, wanted: &Wanted) -> Result<Option<Fate>, FileError> {
    if !directory.has(service).await? {
        return Ok(Some(Fate::Made));
    }
    let rewritten = |snapshot: &Snapshot| directory.differs(service, snapshot.clone());
    Ok(match wanted {
        Wanted::These(snapshot) => rewritten(snapshot).await?.map(|_| Fate::Rewritten),
        Wanted::OrElse(_) => None,
    })
}
