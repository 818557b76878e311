//! The rules that keep data safe, checked before anything is read or written.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::statfs::statfs;

use crate::console;
use crate::disk::{self, Disk, DiskKind, ForeignFile, Source, Sysfs, Use};

use super::error::OperationError;

/// A source must not change under the reader, nor hold the repository it is stored in. That a program
/// has an image file open is allowed when a person says so with `in_use`, and when it only reads.
pub(super) fn source_is_free(disk: &Disk, repo: &Path, in_use: bool) -> Result<(), OperationError> {
    if holds(disk, repo) {
        return Err(OperationError::refused(
            format!(
                "the repository {} is on {}, the disk to capture",
                console::path(repo),
                disk.identity()
            ),
            "choose a repository on another disk",
        ));
    }
    let harmless = |found: &&Use| match found {
        Use::Open { writes, .. } => in_use || !writes,
        _ => false,
    };
    not_in_use(disk, disk.uses.iter().find(|found| !harmless(found))).map_err(
        |refusal| match disk
            .uses
            .iter()
            .any(|found| matches!(found, Use::Open { writes: true, .. }))
        {
            true => with_way_on(refusal, "--in-use captures it all the same, as after a power cut"),
            false => refusal,
        },
    )?;
    match foreign_file(disk) {
        Some(found) if !found.is_readable() => Err(OperationError::refused(
            format!(
                "{} is a {} file, not a disk byte by byte",
                console::path(&disk.path),
                found.name
            ),
            found.next_step(&disk.path),
        )),
        _ => Ok(()),
    }
}

/// A refusal with another way on.
fn with_way_on(refusal: OperationError, way: &str) -> OperationError {
    match refusal {
        OperationError::Refused { why, next } => {
            OperationError::refused(why, format!("{next}; or {way}"))
        }
        other => other,
    }
}

/// What a capture has to warn of, when a person said that the source may be in use.
pub(super) fn source_in_use(disk: &Disk) -> Option<String> {
    let open = disk.uses.iter().find(|found| matches!(found, Use::Open { writes: true, .. }))?;
    Some(format!(
        "{open}: what it writes during the capture leaves filesystems in the image as after a power \
         cut, or damaged"
    ))
}

/// What is to be said of a source that is read although its file is not only the disk.
pub(super) fn remark_on_source(disk: &Disk) -> Option<String> {
    let found = foreign_file(disk).filter(|found| found.is_readable())?;
    Some(format!(
        "{} is a {}: its footer, the last 512 bytes, is captured as if it were the disk's",
        console::path(&disk.path),
        found.name
    ))
}

/// What an image file is if it is no plain one.
fn foreign_file(disk: &Disk) -> Option<ForeignFile> {
    let file = (disk.kind == DiskKind::ImageFile).then(|| Source::open(&disk.path).ok())??;
    ForeignFile::recognise(&file)
}

/// On the boot medium everything but what was mounted from a disk lies in memory: an image there
/// would be gone with the power. On any other system such a folder is somebody's own choice.
pub(super) fn place_lasts(repo: &Path, in_memory: bool) -> Result<(), OperationError> {
    if in_memory || lasts(repo) {
        return Ok(());
    }
    Err(OperationError::refused(
        format!(
            "{} lies in this machine's memory: images there are gone when it is switched off",
            console::path(repo)
        ),
        "mount a disk and name a folder on it, or say --in-memory if that is what you want",
    ))
}

/// Whether what is at `path` outlasts the power.
pub(super) fn lasts(path: &Path) -> bool {
    !Sysfs::host().is_boot_medium() || !lies_in_memory(path)
}

/// Whether `path`, or the nearest folder above it that exists, is on a filesystem that lives in
/// memory only (Linux `include/uapi/linux/magic.h`: `TMPFS_MAGIC`, `RAMFS_MAGIC`).
fn lies_in_memory(path: &Path) -> bool {
    const IN_MEMORY: [i128; 2] = [0x0102_1994, 0x8584_58f6];
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let existing = absolute.ancestors().find_map(|folder| statfs(folder).ok());
    // The type is signed where pointers are short, and the number has its highest bit set.
    existing.is_some_and(|place| {
        IN_MEMORY.contains(&(i128::from(place.filesystem_type().0) & 0xffff_ffff))
    })
}

/// A target must be free, not the boot medium, not the store of its own image, and must be named
/// by something that stays the same over a restart.
pub(super) fn target_is_expendable(
    disk: &Disk,
    repo: &Path,
    erase: Option<&str>,
) -> Result<(), OperationError> {
    if holds(disk, repo) {
        return Err(OperationError::refused(
            format!("{} holds the repository {}", disk.identity(), console::path(repo)),
            "choose another disk",
        ));
    }
    disk_is_expendable(disk, erase)
}

/// What is asked of every disk that is to be overwritten, whatever with.
pub(super) fn disk_is_expendable(disk: &Disk, erase: Option<&str>) -> Result<(), OperationError> {
    if disk.boot_medium {
        return Err(OperationError::refused(
            format!("{} is the medium Lifeboat was started from", disk.identity()),
            "choose another disk",
        ));
    }
    not_in_use(disk, disk.uses.first())?;
    if let Some(found) = foreign_file(disk) {
        return Err(OperationError::refused(
            format!(
                "{} is a {} file: a disk that is written over it byte by byte destroys it",
                console::path(&disk.path),
                found.name
            ),
            "name a new file with --size, or a block device",
        ));
    }
    match erase {
        Some(name) if !names(disk, name) => Err(wrong_name(disk, name)),
        Some(name) if disk.kind == DiskKind::Device => is_alone(disk, name, &disk::list()?),
        _ => Ok(()),
    }
}

/// Whether `name` is the disk's for good. The path of a file that does not exist yet counts too,
/// and that of a disk that tells neither serial number nor WWN: it has no better name.
fn names(disk: &Disk, name: &str) -> bool {
    let same_path = || std::path::absolute(name).is_ok_and(|path| path == disk.path);
    disk.matches_identity(name) || only_has_a_path(disk) && same_path()
}

/// A name that another attached disk has too, as those behind USB bridges of one make, is no consent.
fn is_alone(disk: &Disk, name: &str, attached: &[Disk]) -> Result<(), OperationError> {
    let others: Vec<&Disk> =
        attached.iter().filter(|other| other.path != disk.path && names(other, name)).collect();
    if others.is_empty() {
        return Ok(());
    }
    let also: Vec<String> = others
        .iter()
        .map(|other| format!("{} at {}", other.identity(), console::path(&other.path)))
        .collect();
    let own = disk
        .wwn
        .iter()
        .cloned()
        .chain(disk.by_id_names())
        .find(|own| !others.iter().any(|other| other.matches_identity(own)));
    Err(OperationError::refused(
        format!(
            "--erase {name} names not only {} at {}, but also {}",
            disk.identity(),
            console::path(&disk.path),
            also.join(" and ")
        ),
        own.map_or_else(
            || {
                "detach the other for as long as this takes: nothing else tells them apart"
                    .to_owned()
            },
            |own| format!("say --erase {own}, which only the first one is"),
        ),
    ))
}

fn only_has_a_path(disk: &Disk) -> bool {
    disk.kind == DiskKind::ImageFile || disk.serial.is_none() && disk.wwn.is_none()
}

/// What `--erase` has to say for this disk.
fn consent(disk: &Disk) -> String {
    let name = disk.serial.clone().or_else(|| disk.wwn.clone());
    name.filter(|_| !only_has_a_path(disk)).unwrap_or_else(|| console::path(&disk.path))
}

fn wrong_name(disk: &Disk, name: &str) -> OperationError {
    let expected = consent(disk);
    OperationError::refused(
        format!("--erase {name} does not name {} ({})", disk.identity(), console::path(&disk.path)),
        format!("if this is the disk to erase, say --erase {expected}"),
    )
}

fn not_in_use(disk: &Disk, found: Option<&Use>) -> Result<(), OperationError> {
    let Some(found) = found else { return Ok(()) };
    let (what, next) = match found {
        Use::Mounted { device, mountpoint } => (
            format!("{} is mounted at {}", console::path(device), console::path(mountpoint)),
            format!("unmount it: umount {}", console::path(mountpoint)),
        ),
        Use::Swap { device } => (
            format!("{} is used as swap space", console::path(device)),
            format!("switch it off: swapoff {}", console::path(device)),
        ),
        Use::Holder { device, holder } => (
            format!("{} is in use by {}", console::path(device), console::path(holder)),
            "close what uses it (LVM, LUKS, RAID or a loop device)".to_owned(),
        ),
        Use::Open { .. } => {
            (found.to_string(), "shut the machine down, or end that program".to_owned())
        }
    };
    Err(OperationError::refused(format!("{} cannot be used: {what}", disk.identity()), next))
}

/// Whether `path`, or the nearest folder above it that exists, lies on `disk`.
fn holds(disk: &Disk, path: &Path) -> bool {
    let Some(existing) = path.ancestors().find_map(|folder| fs::canonicalize(folder).ok()) else {
        return false;
    };
    mounts_of(disk).any(|mountpoint| same_filesystem(&mountpoint, &existing))
}

fn mounts_of(disk: &Disk) -> impl Iterator<Item = PathBuf> + '_ {
    disk.uses.iter().filter_map(|found| match found {
        Use::Mounted { mountpoint, .. } => Some(mountpoint.clone()),
        _ => None,
    })
}

fn same_filesystem(a: &Path, b: &Path) -> bool {
    match (fs::metadata(a), fs::metadata(b)) {
        (Ok(a), Ok(b)) => a.dev() == b.dev(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::Transport;

    fn disk(path: &str, model: &str, serial: &str, wwn: Option<&str>) -> Disk {
        Disk {
            path: path.into(),
            kind: DiskKind::Device,
            model: Some(model.to_owned()),
            serial: Some(serial.to_owned()),
            wwn: wwn.map(ToOwned::to_owned),
            size: 1 << 30,
            logical_sector: 512,
            physical_sector: 512,
            transport: Transport::Usb,
            removable: false,
            read_only: true,
            boot_medium: false,
            uses: Vec::new(),
        }
    }

    #[test]
    fn a_serial_number_that_two_disks_have_is_no_consent() {
        let one = disk("/dev/sda", "Bridge", "DD56", Some("naa.500a"));
        let other = disk("/dev/sdb", "Bridge", "DD56", None);
        let attached = [one.clone(), other.clone(), disk("/dev/sdc", "Stick", "77", None)];
        assert!(is_alone(&one, "naa.500a", &attached).is_ok());
        assert!(is_alone(&attached[2], "77", &attached).is_ok());
        let refused = is_alone(&one, "DD56", &attached).unwrap_err().to_string();
        assert!(refused.contains("also Bridge (DD56) at /dev/sdb"), "{refused}");
        assert!(refused.contains("say --erase naa.500a"), "{refused}");
        let refused = is_alone(&other, "DD56", &attached).unwrap_err().to_string();
        assert!(refused.contains("detach the other"), "{refused}");
    }

    #[test]
    fn what_lies_in_memory_is_known() {
        assert!(lies_in_memory(Path::new("/dev/shm/not/there/yet")));
        assert!(!lies_in_memory(Path::new(env!("CARGO_MANIFEST_DIR"))));
    }
}
