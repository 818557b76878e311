//! Where images live, and where new ones could: every partition of every disk, looked at
//! read-only.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::console;
use crate::disk::mount::{
    Mounted, can_mount_read_only, can_mount_read_write, mount_read_only, mount_read_write,
};
use crate::disk::remount::{self, Remounted};
use crate::disk::{self, Disk, DiskKind, Use};

use super::access::is_repository;
use super::error::OperationError;
use super::event::Control;
use super::survey::{Survey, Volume};

/// Folder under which places are mounted.
const MOUNT_ROOT: &str = "/run/lifeboat/places";

/// How many folders deep repositories are looked for; the root itself is depth 0.
const DEPTH: usize = 2;

/// Folders looked into at most on one place: a system disk has thousands that hold none.
const FOLDERS_MAX: usize = 5000;

/// A filesystem that holds repositories or could hold one.
#[derive(Clone, Debug, Serialize)]
pub struct Place {
    /// Its block device.
    pub device: PathBuf,
    /// The disk it is on.
    pub disk: Disk,
    /// What is on it.
    pub volume: Volume,
    /// Free bytes.
    pub free: Option<u64>,
    /// Repositories found, as paths below its root.
    pub repositories: Vec<PathBuf>,
    /// Whether it can be mounted for writing.
    pub writable: bool,
    /// Why it could not be looked into.
    pub problem: Option<String>,
    /// Where it is mounted already.
    pub mounted_at: Option<PathBuf>,
    /// Whether that mount takes no writes as it is.
    pub mounted_read_only: bool,
}

/// A place that is mounted for as long as this lives.
#[derive(Debug)]
pub struct OpenPlace {
    root: PathBuf,
    _mounted: Option<Mounted>,
    _remounted: Option<Remounted>,
}

impl OpenPlace {
    /// Where its files are.
    pub fn root(&self) -> &Path {
        &self.root
    }
}

/// Looks at every partition of these disks, mounting one after another read-only, without
/// replaying a journal.
///
/// # Errors
/// Only that it was asked to stop.
pub fn find_places(surveys: &[Survey], control: Control<'_>) -> Result<Vec<Place>, OperationError> {
    let mut places = Vec::new();
    for survey in surveys {
        for volume in &survey.volumes {
            if control.cancel.is_requested() {
                return Err(OperationError::Cancelled);
            }
            places.extend(look(survey, volume));
        }
    }
    Ok(places)
}

fn look(survey: &Survey, volume: &Volume) -> Option<Place> {
    let kind = kind_name(volume)?;
    if survey.disk.kind != DiskKind::Device || !can_mount_read_only(&kind) {
        return None;
    }
    let device = match volume.partition {
        Some(number) => survey.disk.partition_path(number)?,
        None => survey.disk.path.clone(),
    };
    let mounted_at = mounted_at(&survey.disk, &device);
    let mut place = Place {
        mounted_read_only: mounted_at.as_deref().is_some_and(remount::is_read_only),
        mounted_at,
        device,
        disk: survey.disk.clone(),
        volume: volume.clone(),
        free: None,
        repositories: Vec::new(),
        writable: can_mount_read_write(&kind) && !survey.disk.boot_medium,
        problem: None,
    };
    match open_place(&place, false) {
        Ok(open) => {
            place.repositories = repositories_below(open.root());
            place.free = nix::sys::statvfs::statvfs(open.root())
                .ok()
                .map(|stat| stat.blocks_available() * stat.fragment_size());
        }
        Err(error) => place.problem = Some(error.to_string()),
    }
    Some(place)
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
pub fn open_place(place: &Place, write: bool) -> Result<OpenPlace, OperationError> {
    let now = disk::open(&place.disk.path, None)?;
    if let Some(root) = mounted_at(&now, &place.device) {
        let remounted = if write { make_writable(place, &root)? } else { None };
        return Ok(OpenPlace { root, _mounted: None, _remounted: remounted });
    }
    let kind = kind_name(&place.volume).unwrap_or_default();
    let name = place.device.file_name().unwrap_or_default();
    // Two menus, on the screen and on the serial line, do not share their mounts.
    let dir = Path::new(MOUNT_ROOT).join(std::process::id().to_string()).join(name);
    let mounted = if write {
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

/// Repositories in `root` and the folders below it, as paths relative to it, sorted.
fn repositories_below(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut level = vec![PathBuf::new()];
    let mut looked_at = 0;
    for depth in 0..=DEPTH {
        let mut next = Vec::new();
        for folder in level {
            looked_at += 1;
            if is_repository(&root.join(&folder)) {
                found.push(folder);
            } else if depth < DEPTH && looked_at < FOLDERS_MAX {
                next.extend(subfolders(root, &folder));
            }
        }
        level = next;
    }
    found.sort();
    found
}

fn subfolders(root: &Path, folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(root.join(folder)) else { return Vec::new() };
    let folders = entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| folder.join(entry.file_name()));
    folders.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(root: &Path, folder: &str) {
        for name in ["data", "index", "keys", "snapshots"] {
            fs::create_dir_all(root.join(folder).join(name)).unwrap();
        }
        fs::write(root.join(folder).join("config"), "x").unwrap();
    }

    #[test]
    fn repositories_are_found_two_folders_deep() {
        let root = tempfile::tempdir().unwrap();
        repository(root.path(), "images");
        repository(root.path(), "a/b");
        repository(root.path(), "a/b/c/d");
        fs::create_dir_all(root.path().join("config/data")).unwrap();
        let found = repositories_below(root.path());
        assert_eq!(found, [PathBuf::from("a/b"), PathBuf::from("images")]);
    }

    #[test]
    fn a_place_that_is_a_repository_itself() {
        let root = tempfile::tempdir().unwrap();
        repository(root.path(), "");
        assert_eq!(repositories_below(root.path()), [PathBuf::new()]);
    }
}
