//! Where images live, and where new ones could: every partition of every disk, looked at
//! read-only.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::bytes::free_space;
use crate::console;
use crate::disk::mount::{
    Mounted, can_mount_read_only, can_mount_read_write, mount_read_only, mount_read_write,
};
use crate::disk::remount::{self, Remounted};
use crate::disk::{self, Disk, DiskKind, Source, Use};
use crate::inspect;
use crate::progress::{Cancel, Control};
use crate::volume::Scrutiny;

use super::error::OperationError;
use super::search::{self, FoundRepository, Limited, Mounted as MountedFolders, Unmounted};
use super::stick::is_stick_data;
use super::survey::{Survey, Volume, survey_disk};

/// Folder under which places are mounted.
const MOUNT_ROOT: &str = "/run/lifeboat/places";

/// A filesystem that holds repositories or could hold one.
#[derive(Clone, Debug, Serialize)]
pub struct Place {
    /// Its block device.
    pub device: PathBuf,
    /// The disk it is on.
    pub disk: Disk,
    /// What is on it.
    pub volume: Volume,
    /// Free bytes, by its own count.
    pub free: Option<u64>,
    /// Repositories found.
    pub repositories: Vec<FoundRepository>,
    /// Whether it can be mounted for writing.
    pub writable: bool,
    /// Why it could not be looked into.
    pub problem: Option<String>,
    /// Where it is mounted already.
    pub mounted_at: Option<PathBuf>,
}

/// What is to be done at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// Nothing is written.
    Read,
    /// Images are stored or removed.
    Write,
}

/// A place that is mounted for as long as this lives.
#[derive(Debug)]
pub(super) struct OpenPlace {
    root: PathBuf,
    _mounted: Option<Mounted>,
    _remounted: Option<Remounted>,
}

impl OpenPlace {
    /// Where its files are.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }
}

/// Looks at every partition of these disks by our own readers. What they do not know, and what
/// there is a doubt about, is mounted for it, read-only and without replaying a journal. The data partition
/// of the stick that Lifeboat was started from comes first.
///
/// # Errors
/// Only that it was asked to stop.
pub fn find_places(surveys: &[Survey], control: Control<'_>) -> Result<Vec<Place>, OperationError> {
    let mut places = Vec::new();
    for survey in surveys {
        for volume in &survey.volumes {
            places.extend(look(survey, volume, control.cancel));
            if control.cancel.is_requested() {
                return Err(OperationError::Cancelled);
            }
        }
    }
    places.sort_by_key(|place| !is_stick_data(&place.disk, &place.volume));
    Ok(places)
}

fn look(survey: &Survey, volume: &Volume, cancel: &Cancel) -> Option<Place> {
    let mut place = place(survey, volume)?;
    if place.mounted_at.is_some() || look_unmounted(&mut place, cancel).is_none() {
        look_mounted(&mut place, cancel);
    }
    Some(place)
}

/// The place on a partition, or on a disk without a table, by its device. What is on it is not looked at.
///
/// # Errors
/// When there is no filesystem there that the kernel mounts.
pub(super) fn place_on(device: &Path) -> Result<Place, OperationError> {
    let refused = |why: &str| {
        OperationError::refused(
            format!("there are no images on {}: {why}", console::path(device)),
            "look at the partitions with `lifeboat disks`",
        )
    };
    let real = device.canonicalize().map_err(|error| refused(&error.to_string()))?;
    let holds =
        |disk: &&Disk| real.as_os_str().as_bytes().starts_with(disk.path.as_os_str().as_bytes());
    for disk in disk::list()?.iter().filter(holds) {
        let survey = survey_disk(&disk.path, None)?;
        let mut found = survey.volumes.iter().filter_map(|volume| place(&survey, volume));
        if let Some(place) = found.find(|place| place.device == real) {
            return Ok(place);
        }
    }
    Err(refused("it is no partition with a filesystem that can be mounted here"))
}

/// The data partition of the stick that Lifeboat was started from. What is on it is not looked at.
///
/// # Errors
/// When there is none.
pub(super) fn place_on_stick() -> Result<Place, OperationError> {
    for disk in disk::list()?.iter().filter(|disk| disk.boot_medium) {
        let survey = survey_disk(&disk.path, None)?;
        let mut volumes = survey.volumes.iter();
        let data = volumes.find(|volume| is_stick_data(&survey.disk, volume));
        if let Some(place) = data.and_then(|volume| place(&survey, volume)) {
            return Ok(place);
        }
    }
    Err(OperationError::refused(
        "Lifeboat was not started from a stick with a data partition",
        "name another place with --repo; or make the partition: `lifeboat make-stick DISK --data-only`",
    ))
}

fn place(survey: &Survey, volume: &Volume) -> Option<Place> {
    let kind = kind_name(volume)?;
    if survey.disk.kind != DiskKind::Device || !can_mount_read_only(&kind) {
        return None;
    }
    let device = match volume.partition {
        Some(number) => survey.disk.partition_path(number)?,
        None => survey.disk.path.clone(),
    };
    let mounted_at = mounted_at(&survey.disk, &device);
    Some(Place {
        mounted_at,
        device,
        disk: survey.disk.clone(),
        volume: volume.clone(),
        free: None,
        repositories: Vec::new(),
        writable: can_mount_read_write(&kind)
            && (!survey.disk.boot_medium || is_stick_data(&survey.disk, volume)),
        problem: None,
    })
}

/// `None` when the kernel has to be asked: at any doubt.
fn look_unmounted(place: &mut Place, cancel: &Cancel) -> Option<()> {
    let source = Source::open(&place.device).ok()?;
    let volume = Limited::new(&source, cancel);
    let tree = inspect::files(&volume, Scrutiny::Strict).ok()?;
    let repositories = search::repositories(&mut Unmounted(tree.as_ref()), cancel)?;
    // A name that our reader did not understand is not the kernel's.
    let is_known = |path: &Path| !path.to_string_lossy().contains(char::REPLACEMENT_CHARACTER);
    if !repositories.iter().all(|found| is_known(&found.folder)) {
        return None;
    }
    let found = place.volume.filesystem.as_ref()?;
    place.free = tree.free(found.used).or_else(|| found.size.checked_sub(found.used?));
    place.repositories = repositories;
    Some(())
}

fn look_mounted(place: &mut Place, cancel: &Cancel) {
    if cancel.is_requested() {
        return;
    }
    match open_place(place, Want::Read) {
        Ok(open) => {
            let found = search::repositories(&mut MountedFolders(open.root()), cancel);
            place.repositories = found.unwrap_or_default();
            place.free = free_space(open.root()).ok();
        }
        Err(error) => place.problem = Some(error.to_string()),
    }
}

fn kind_name(volume: &Volume) -> Option<String> {
    Some(volume.filesystem.as_ref()?.kind.to_string().to_lowercase())
}

fn mounted_at(disk: &Disk, device: &Path) -> Option<PathBuf> {
    disk.uses.iter().find_map(|found| match found {
        Use::Mounted { device: mounted, mountpoint } if mounted == device => {
            Some(mountpoint.clone())
        }
        _ => None,
    })
}

/// Mounts a place; for writing only when an image is to be stored there. A filesystem that is
/// mounted by now is used where it is, and made writable for that time if need be.
///
/// # Errors
/// When the disk is gone, or the kernel mounts it not so.
pub(super) fn open_place(place: &Place, want: Want) -> Result<OpenPlace, OperationError> {
    let now = disk::open(&place.disk.path, None)?;
    if let Some(root) = mounted_at(&now, &place.device) {
        let write = want == Want::Write;
        let remounted = if write { make_writable(place, &root)? } else { None };
        return Ok(OpenPlace { root, _mounted: None, _remounted: remounted });
    }
    let kind = kind_name(&place.volume).unwrap_or_default();
    let name = place.device.file_name().unwrap_or_default();
    // Two menus, on the screen and on the serial line, do not share their mounts.
    let dir = Path::new(MOUNT_ROOT).join(std::process::id().to_string()).join(name);
    let mounted = if want == Want::Write {
        mount_read_write(&place.disk.path, &place.device, &kind, &dir)?
    } else {
        mount_read_only(&place.device, &kind, &dir)?
    };
    Ok(OpenPlace { root: dir, _mounted: Some(mounted), _remounted: None })
}

/// For a mount that a person left behind, read-only as every disk of the boot medium is.
fn make_writable(place: &Place, root: &Path) -> Result<Option<Remounted>, OperationError> {
    remount::make_writable(&place.disk.path, root).map_err(|error| {
        let (device, root) = (console::path(&place.device), console::path(root));
        OperationError::refused(
            format!("{device} is mounted read-only at {root}, and that cannot be changed: {error}"),
            format!("unmount it (`umount {root}` in the shell) and do the same again"),
        )
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn repository(root: &Path, folder: &str) {
        for name in ["data", "index", "keys", "snapshots"] {
            fs::create_dir_all(root.join(folder).join(name)).unwrap();
        }
        fs::write(root.join(folder).join("config"), "x").unwrap();
        fs::write(root.join(folder).join("snapshots/one"), "x").unwrap();
    }

    fn found_below(root: &Path) -> Vec<FoundRepository> {
        search::repositories(&mut MountedFolders(root), &Cancel::new()).unwrap()
    }

    fn found(folder: &str) -> FoundRepository {
        FoundRepository { folder: folder.into(), snapshots: Some(1) }
    }

    #[test]
    fn repositories_are_found_two_folders_deep() {
        let root = tempfile::tempdir().unwrap();
        repository(root.path(), "images");
        repository(root.path(), "a/b");
        repository(root.path(), "a/b/c/d");
        fs::create_dir_all(root.path().join("config/data")).unwrap();
        assert_eq!(found_below(root.path()), [found("a/b"), found("images")]);
    }

    #[test]
    fn a_place_that_is_a_repository_itself() {
        let root = tempfile::tempdir().unwrap();
        repository(root.path(), "");
        assert_eq!(found_below(root.path()), [found("")]);
    }
}
