//! Which image a person means: the start of an id, `latest`, or `latest:DISK`.

use crate::repository::{Id, IndexedRepository, RepositoryError};

use super::catalog::{Catalog, Listed, clock_warning, is_called, own_name};
use super::error::OperationError;

/// The newest image, of the disk that may follow after a colon.
const LATEST: &str = "latest";

/// What `latest` means in a repository of several disks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OfSeveral {
    /// Nothing: what is done with the image cannot be undone.
    Refused,
    /// The newest of all, which is told.
    Newest,
}

/// The image that was meant.
pub(super) struct Meant {
    /// Its snapshot.
    pub(super) id: Id,
    /// Why it may not be the one that was thought of.
    pub(super) doubts: Vec<String>,
}

/// Finds an image in a repository.
///
/// # Errors
/// Refuses `latest` when it does not say which disk it is of, with the list of disks.
pub(super) fn find(
    repo: &IndexedRepository,
    reference: &str,
    of_several: OfSeveral,
) -> Result<Meant, OperationError> {
    let disk = match reference.strip_prefix(LATEST) {
        Some("") => None,
        Some(rest) if rest.starts_with(':') => rest.get(1..),
        _ => return Ok(Meant { id: repo.find_snapshot(reference)?, doubts: Vec::new() }),
    };
    let catalog = Catalog::read(repo)?;
    let disks = catalog.disks();
    let candidates: Vec<&Vec<&Listed>> =
        disks.iter().filter(|of| disk.is_none_or(|name| is_called(of, name))).collect();
    // An image that lacks its manifest may be of any disk: it makes none of them doubtful.
    let is_usable = |disk: &&Vec<&Listed>| disk.iter().any(|image| !image.is_incomplete());
    let usable: Vec<&Vec<&Listed>> = candidates.iter().copied().filter(is_usable).collect();
    let Some(taken) = newest_whole(&usable) else {
        return Err(match disk {
            Some(name) => no_such_disk(name, &disks),
            None => RepositoryError::NoSuchSnapshot { wanted: reference.to_owned() }.into(),
        });
    };
    let mut doubts = Vec::new();
    if usable.len() > 1 {
        match (of_several, disk) {
            (OfSeveral::Newest, None) => doubts.push(taken_of_several(taken, usable.len())),
            _ => return Err(several(disk, &usable, &disks)),
        }
    }
    doubts.extend(usable.iter().filter_map(|disk| clock_warning(disk)));
    doubts.extend(later_but_incomplete(taken, &candidates));
    Ok(Meant { id: taken.file.id, doubts })
}

fn newest_whole<'l>(disks: &[&Vec<&'l Listed>]) -> Option<&'l Listed> {
    let images = disks.iter().flat_map(|disk| disk.iter().copied());
    let whole = images.filter(|image| !image.is_incomplete());
    whole.max_by_key(|image| (image.file.snapshot.time, image.file.id))
}

fn taken_of_several(taken: &Listed, count: usize) -> String {
    format!(
        "the repository holds images of {count} disks, and 'latest' says nothing of which: {} is \
         of {}; --disk names another one",
        taken.name(),
        taken.summary.disk_name
    )
}

/// An image that would have been taken, did it not lack data.
fn later_but_incomplete(taken: &Listed, candidates: &[&Vec<&Listed>]) -> Option<String> {
    let later = |image: &&&Listed| {
        image.is_incomplete() && image.file.snapshot.time > taken.file.snapshot.time
    };
    let image = candidates.iter().flat_map(|disk| disk.iter()).find(later)?;
    Some(format!("{} is newer than {}, but incomplete", image.name(), taken.name()))
}

/// The one disk that goes by a name.
pub(super) fn disk_called<'l>(
    name: &str,
    disks: &[Vec<&'l Listed>],
) -> Result<Vec<&'l Listed>, OperationError> {
    let fitting: Vec<_> = disks.iter().filter(|disk| is_called(disk, name)).collect();
    match fitting[..] {
        [] => Err(no_such_disk(name, disks)),
        [disk] => Ok(disk.clone()),
        _ => Err(several(Some(name), &fitting, disks)),
    }
}

fn several(
    disk: Option<&str>,
    fitting: &[&Vec<&Listed>],
    disks: &[Vec<&Listed>],
) -> OperationError {
    let why = match disk {
        Some(name) => format!("the name {name} fits {} disks in the repository", fitting.len()),
        None => format!(
            "the repository holds images of {} disks, and 'latest' says nothing of which",
            fitting.len()
        ),
    };
    OperationError::refused(why, way_on(fitting.iter().copied(), disks))
}

fn no_such_disk(name: &str, disks: &[Vec<&Listed>]) -> OperationError {
    let why = format!("the repository holds no image that can be used of a disk {name}");
    OperationError::refused(why, way_on(disks.iter(), disks))
}

/// What to say instead, with a line for each disk.
fn way_on<'d, 'l: 'd>(
    fitting: impl Iterator<Item = &'d Vec<&'l Listed>>,
    disks: &[Vec<&Listed>],
) -> String {
    let line = |disk: &Vec<&Listed>| {
        let newest = disk.first()?;
        let name =
            own_name(disk, disks).map(|name| format!("--disk '{name}': ")).unwrap_or_default();
        Some(format!("\n  {name}{}, newest {}", newest.summary.disk_name, newest.name()))
    };
    let lines: String = fitting.filter_map(line).collect();
    format!("say --disk NAME with one of these, or the image's id:{lines}")
}
