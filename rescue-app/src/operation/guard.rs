//! The rules that keep data safe, checked before anything is read or written.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::statfs::statfs;

use crate::console;
use crate::disk::{Busy, Disk, DiskError, DiskKind, Object, Source, Sysfs, Use};
use crate::import::ForeignFile;
use crate::store::FileKind;

use super::consent::{self, Words};
use super::error::OperationError;
use super::safety::{self, TooSmall};

/// A disk is not captured into a repository that is on it.
pub(super) fn repository_is_elsewhere(disk: &Disk, repo: &Path) -> Result<(), OperationError> {
    if !holds(disk, repo)? {
        return Ok(());
    }
    Err(OperationError::refused(
        format!(
            "the repository {} is on {}, the disk to capture",
            console::path(repo),
            disk.identity()
        ),
        "choose a repository on another disk",
    ))
}

/// A source must not change under the reader; for `in_use` see [`safety::source_refusal`].
pub(super) fn source_is_free(disk: &Disk, in_use: bool) -> Result<(), OperationError> {
    if let Some(busy) = safety::source_refusal(disk, in_use) {
        let refused = refused(disk, &busy);
        return Err(match disk.uses.iter().any(can_be_shared) {
            true => with_way_on(refused, "--in-use captures it all the same, as after a power cut"),
            false => refused,
        });
    }
    Ok(())
}

/// Whether it is a use that a person may say not to mind.
fn can_be_shared(found: &Use) -> bool {
    matches!(found, Use::Open { writes: true, .. } | Use::Claimed { .. })
}

/// What else holds a device than what [`source_is_free`] sees is found by claiming it; `in_use` says
/// to read it all the same.
pub(super) fn open_source(disk: &Disk, in_use: bool) -> Result<Source, OperationError> {
    match Source::claim(&disk.path) {
        Err(DiskError::Claimed { .. }) if in_use => Ok(Source::open(&disk.path)?),
        Err(claimed @ DiskError::Claimed { .. }) => Err(OperationError::refused(
            format!("{} cannot be used: {claimed}", disk.identity()),
            "end what uses it ('lsns -t mnt' shows mount namespaces); or --in-use captures it all the \
             same, as after a power cut",
        )),
        opened => Ok(opened?),
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
    let open = disk.uses.iter().find(|found| can_be_shared(found))?;
    Some(format!(
        "{open}: what it writes during the capture leaves filesystems in the image as after a power \
         cut, or damaged"
    ))
}

/// What is to be said of a source that is read as it stands although it ends like a VHD of fixed size.
pub(super) fn remark_on_source(disk: &Disk) -> Option<String> {
    let found = foreign_file(disk).filter(|found| found.is_footer_alone())?;
    Some(format!(
        "{} ends as a {} does, but not in order: these 512 bytes are captured as if they were the disk's",
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

/// A target must not be the store of its own image; `judge` asks the rest of it: [`disk_is_expendable`],
/// [`file_is_expendable`].
pub(super) fn target_is_expendable(
    disk: &Disk,
    words: &Words,
    repo: Option<&Path>,
    judge: impl FnOnce(&Disk, &Words) -> Result<(), OperationError>,
) -> Result<(), OperationError> {
    if let Some(repo) = repo {
        if holds(disk, repo)? {
            return Err(OperationError::refused(
                format!("{} holds the repository {}", disk.identity(), console::path(repo)),
                "choose another disk",
            ));
        }
        is_outside(disk, repo)?;
    }
    judge(disk, words)
}

/// A disk is not written over itself, nor over what it lies on, nor onto a part of it.
pub(super) fn is_another_disk(target: &Disk, source: &Disk) -> Result<(), OperationError> {
    if !holds(target, &source.path)? && !holds(source, &target.path)? {
        return Ok(());
    }
    Err(OperationError::refused(
        format!(
            "{} and {} are not two disks: writing to the one changes the other",
            console::path(&source.path),
            console::path(&target.path)
        ),
        "choose another target",
    ))
}

/// A target has room for what needs `needed` bytes.
pub(super) fn has_room(target: &Disk, needed: u64) -> Result<(), OperationError> {
    let small = TooSmall::judge(target.size, needed);
    small.map_or(Ok(()), |small| Err(too_small(target, small, "")))
}

/// Refuses a target that is too small; `more` says what was tried to make do with less.
pub(super) fn too_small(target: &Disk, small: TooSmall, more: &str) -> OperationError {
    OperationError::refused(
        format!("{} {small}{more}", target.identity()),
        "choose a disk at least as large as that",
    )
}

/// What is asked of every disk that is to be overwritten, whatever with: it is free, not the boot medium, not a
/// file that holds a disk in another way, and named by something that stays the same over a restart.
pub(super) fn disk_is_expendable(
    disk: &Disk,
    words: &Words,
    erase: Option<&str>,
) -> Result<(), OperationError> {
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
    file_is_expendable(disk, words, erase)
}

/// What is asked of a stick that gets a partition besides what Lifeboat is started from, which stays.
pub(super) fn stick_can_be_added_to(
    disk: &Disk,
    words: &Words,
    erase: Option<&str>,
) -> Result<(), OperationError> {
    disk_is_expendable(&disk.apart_from_the_medium(), words, erase)
}

/// A disk is not written over with a file that is on it.
pub(super) fn file_is_elsewhere(disk: &Disk, file: &Path) -> Result<(), OperationError> {
    if !holds(disk, file)? {
        return Ok(());
    }
    Err(OperationError::refused(
        format!("{} is on {}, the disk to write", console::path(file), disk.identity()),
        "choose another disk",
    ))
}

/// What is asked of a file that is replaced as a whole, whatever is in it.
pub(super) fn file_is_expendable(
    disk: &Disk,
    words: &Words,
    erase: Option<&str>,
) -> Result<(), OperationError> {
    if let Some(busy) = safety::target_refusal(disk) {
        return Err(refused(disk, &busy));
    }
    erase.map_or(Ok(()), |name| consent::check(disk, words, name))
}

/// What speaks against a disk, with the way on.
fn refused(disk: &Disk, busy: &Busy) -> OperationError {
    let name = disk.identity();
    match busy {
        Busy::BootMedium => OperationError::refused(
            format!("{name} is the medium Lifeboat was started from"),
            "choose another disk",
        ),
        Busy::Used(found) => {
            OperationError::refused(format!("{name} cannot be used: {found}"), found.way_out())
        }
    }
}

/// Whether writing to `disk` would change what is at `path`, or at the nearest folder above it that
/// exists.
fn holds(disk: &Disk, path: &Path) -> Result<bool, OperationError> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let existing = absolute.ancestors().find(|folder| folder.exists());
    Ok(existing.map(|existing| disk.holds(existing)).transpose()?.unwrap_or(false))
}

/// A file in the repository's own folder, by whatever path, is the repository's or would be taken for
/// it; so is one that is a file of the repository under another name.
fn is_outside(disk: &Disk, repo: &Path) -> Result<(), OperationError> {
    let folders = folders_of(repo);
    let own: Vec<Object> = folders.iter().filter_map(|folder| Object::at(folder)).collect();
    for file in disk.files() {
        let inside = real_folder(&file)
            .ancestors()
            .filter_map(Object::at)
            .any(|folder| own.contains(&folder));
        if inside || is_file_of(&folders, &file) {
            return Err(OperationError::refused(
                format!(
                    "{} is in the folder of the repository {}",
                    console::path(&file),
                    console::path(repo)
                ),
                "name a file outside of it, or another disk",
            ));
        }
    }
    Ok(())
}

/// The folder that a file lies in, or will.
fn real_folder(file: &Path) -> PathBuf {
    let real = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let parent = real.parent().unwrap_or(Path::new("/"));
    fs::canonicalize(parent).unwrap_or_else(|_| parent.to_owned())
}

/// The folders of a repository: a bind mount may show each of them elsewhere.
fn folders_of(repo: &Path) -> Vec<PathBuf> {
    let mut folders = vec![repo.to_owned()];
    folders.extend(FileKind::FOLDERS.map(|kind| repo.join(kind.folder())));
    let packs = fs::read_dir(repo.join(FileKind::Pack.folder())).into_iter().flatten().flatten();
    folders.extend(packs.map(|entry| entry.path()));
    folders
}

/// Whether a file with several names has one of them in `folders`.
fn is_file_of(folders: &[PathBuf], file: &Path) -> bool {
    let Ok(meta) = fs::metadata(file) else { return false };
    if meta.nlink() < 2 {
        return false;
    }
    let entries = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    let mut files = entries.filter_map(|entry| entry.metadata().ok());
    files.any(|found| Object::of(&found) == Object::of(&meta))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_in_memory_is_known() {
        assert!(lies_in_memory(Path::new("/dev/shm/not/there/yet")));
        assert!(!lies_in_memory(Path::new(env!("CARGO_MANIFEST_DIR"))));
    }
}
