//! Filesystems that get other sizes: smaller ones before anything is written to a target, larger ones, by
//! the same tools, in their partitions there.
//!
//! ```text
//!  image or disk ──► view: what is read is its own, what is written is kept apart ──► a file (FUSE)
//!                                                                                      ▲
//!                                        the filesystem's check, its resizing tool, its check again
//! ```
//!
//! FAT and exFAT, and an NTFS that its tool refuses, are made smaller by moving their clusters ourselves. What cannot get smaller at
//! all is made anew on a second view, and filled with the files of the first.
//!
//! The source is never written, and the target not touched until all of them have the size that is
//! wanted and are understood by our own reader, whose map then says what is written.

mod btrfs;
mod by_files;
mod error;
mod ext;
mod lvm;
mod mounted;
mod ntfs;
mod patchwork;
mod task;
mod view;
mod xfs;

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::bytes::{Changes, Extent, Extents, Overlay, OverlayRoom, ReadAt, Window, WriteAt};
use crate::filesystem;
use crate::inspect;
use crate::layout;
use crate::progress::Cancel;
use crate::tool::ToolError;
use crate::volume::{Alone, Coverage, Filesystem, Kind, VolumeKeys};

pub use error::ResizeError;
pub use task::{Shrink, grower, is_there};
use view::{Partition, View, Watched};

/// A filesystem that was made smaller.
#[derive(Clone)]
pub(crate) struct Shrunk {
    /// First byte of what it was, in the source.
    pub(crate) start: u64,
    /// Its bytes now.
    pub(crate) bytes: Arc<dyn ReadAt>,
    /// Which of them are used.
    pub(crate) used: Extents,
    /// Which of them may be other than in the source.
    pub(crate) changed: Extents,
    /// What a person should know of it.
    pub(crate) warnings: Vec<String>,
}

/// Makes a filesystem smaller on a view of `disk`, for a partition that will begin at byte `to` of a disk with
/// such sectors. What is written goes into `room`.
///
/// # Errors
/// Any failure of the view or of a program, with its cause, and a result that is not understood; nothing
/// was written anywhere but to the view.
pub(crate) fn shrink(
    task: &Shrink,
    disk: Arc<dyn ReadAt>,
    (to, sector): (u64, u32),
    room: OverlayRoom,
    cancel: &Cancel,
) -> Result<Shrunk, ResizeError> {
    if task.kind == Kind::Lvm2 {
        return lvm::shrink(&disk, task, &room, cancel);
    }
    let show = || View::show(Arc::clone(&disk), task.start, task.from, room.clone());
    let mut warnings = Vec::new();
    let bytes = match task.kind {
        Kind::Ntfs => ntfs::shrink(show, task, cancel)?.end()?,
        Kind::Btrfs => {
            let view = show()?;
            btrfs::shrink(view.file(), task, cancel)?;
            view.end()?
        }
        _ if task.is_moved() => {
            let bytes = Watched::new(Arc::clone(&disk), task.start, task.from, room.clone());
            by_hand(&bytes, task, cancel)?;
            Arc::new(bytes)
        }
        Kind::Xfs => {
            let (view, warning) = by_files::xfs(show()?, &*disk, task, room.clone(), cancel)?;
            warnings.extend(warning);
            view.end()?
        }
        _ => {
            let view = show()?;
            warnings.extend(ext::shrink(view.file(), task, cancel)?);
            view.end()?
        }
    };
    let sector = u64::from(sector);
    let places = (task.start / sector, to / sector);
    if task.kind == Kind::Ntfs {
        ntfs::tell_its_place(&*bytes, task, places)
            .map_err(|error| ResizeError::io("writing its boot sectors", error))?;
    }
    let (found, used) = judged(&*bytes, task)?;
    if task.is_moved() {
        tell_its_place(&*bytes, &found, places)
            .map_err(|error| ResizeError::io("writing its boot sectors", error))?;
    }
    let changed = match task.is_made_anew() {
        true => Extents::of(0, task.size),
        false => {
            let Changes { data, zero } = bytes.changes_within(0, task.size);
            data.union(&zero)
        }
    };
    Ok(Shrunk { start: task.start, bytes, used, changed, warnings })
}

/// Moves the clusters ourselves, of what needs no program to see them.
fn by_hand(bytes: &dyn WriteAt, task: &Shrink, cancel: &Cancel) -> Result<(), ResizeError> {
    let shrunk = match task.kind {
        Kind::ExFat => filesystem::exfat::shrink(bytes, task.size, cancel),
        _ => filesystem::fat::shrink(bytes, task.size, cancel),
    };
    shrunk.map_err(|doubt| match cancel.is_requested() {
        true => ToolError::Cancelled.into(),
        false => ResizeError::InTheWay(doubt.to_string()),
    })
}

/// Writes the sector where its partition begins into the boot sectors, where they told the old one.
fn tell_its_place(bytes: &dyn WriteAt, found: &Filesystem, places: (u64, u64)) -> io::Result<()> {
    let patches = layout::place_patches(bytes, found, places)?;
    patches.iter().try_for_each(|patch| bytes.write_at(patch.offset, &patch.bytes))
}

/// Gives a filesystem all of the device that it is on, checked before and after where its tools do that; a physical
/// volume of LVM together with what is in it, for which `room` is used.
///
/// # Errors
/// When a program is missing or fails; the filesystem then has the size that it had.
pub(crate) fn grow(kind: Kind, device: &Path, room: &OverlayRoom) -> Result<(), ResizeError> {
    match kind {
        Kind::Lvm2 => lvm::grow_device(device, room.clone()),
        Kind::Ntfs => Ok(ntfs::grow(device)?),
        Kind::Btrfs => btrfs::grow(device),
        Kind::Xfs => xfs::grow(device),
        _ => Ok(ext::grow(device)?),
    }
}

/// Gives a filesystem all of `place` of `disk`, on a view: its bytes, and what was written to them.
///
/// # Errors
/// Those of [`grow`], and of the view, which is then gone.
pub(crate) fn grow_view(
    kind: Kind,
    disk: Arc<dyn ReadAt>,
    place: Extent,
    room: OverlayRoom,
) -> Result<Arc<dyn WriteAt>, ResizeError> {
    if kind == Kind::Lvm2 {
        let base = Partition { disk, start: place.start, size: place.len() };
        let bytes: Arc<dyn WriteAt> = Arc::new(Overlay::new(base, room.clone()));
        lvm::grow(&bytes, room)?;
        return Ok(bytes);
    }
    let view = View::show(disk, place.start, place.len(), room.clone())?;
    grow(kind, view.file(), &room)?;
    let bytes: Arc<dyn WriteAt> = view.end()?;
    Ok(bytes)
}

/// What it is now, and what of it is used.
fn judged(bytes: &dyn ReadAt, task: &Shrink) -> Result<(Filesystem, Extents), ResizeError> {
    let not_believed = |why: String| ResizeError::NotBelieved { tool: task.tool, why };
    let volume = Window::new(bytes, 0, task.size);
    // ntfsresize marks a volume that was in order, so that Windows checks it: nothing is unwritten in it.
    let found = inspect::inspect_trusting(&volume, &Alone, &VolumeKeys::new());
    match (found.filesystem, found.coverage) {
        (Some(filesystem), Coverage::Used) if filesystem.size <= task.size => {
            Ok((filesystem, found.used))
        }
        (Some(filesystem), Coverage::Used) => {
            Err(not_believed(format!("it has {} bytes, and not {}", filesystem.size, task.size)))
        }
        _ => Err(not_believed(found.warnings.join("; "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::chunks::MIB;
    use crate::tool;

    const SIZE: u64 = 64 * MIB;

    /// An ext4 with 20 MiB behind 30 MiB that nothing uses any more.
    fn ext4() -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let run = |name: &str, args: &[&str]| {
            let mut command = tool::command(name).unwrap();
            command.args(args).arg(path("volume")).current_dir(folder.path());
            tool::run(command, |status| status == 0).unwrap();
        };
        std::fs::create_dir(path("tree")).unwrap();
        std::fs::write(path("tree/filler"), vec![1; 30 << 20]).unwrap();
        std::fs::write(path("kept"), vec![2; 20 << 20]).unwrap();
        std::fs::File::create(path("volume")).unwrap().set_len(SIZE).unwrap();
        run("mke2fs", &["-q", "-F", "-t", "ext4", "-d", "tree"]);
        run("debugfs", &["-w", "-R", "write kept kept"]);
        run("debugfs", &["-w", "-R", "rm filler"]);
        std::fs::read(path("volume")).unwrap()
    }

    fn task() -> Shrink {
        let (number, kind, block) = (Some(1), Kind::Ext4, 1024);
        let (start, from, size) = (0, SIZE, 40 * MIB);
        Shrink {
            number,
            kind,
            start,
            from,
            size,
            tool: "resize2fs",
            scratch: 0,
            block,
            inside: Vec::new(),
        }
    }

    fn try_in(memory: u64, bytes: &Arc<Vec<u8>>, cancel: &Cancel) -> Result<Shrunk, ResizeError> {
        let room = OverlayRoom { memory, folder: None };
        shrink(&task(), Arc::clone(bytes) as Arc<dyn ReadAt>, (0, 512), room, cancel)
    }

    #[test]
    fn the_source_stays_and_what_changes_is_known() {
        let bytes = Arc::new(ext4());
        let before = bytes.to_vec();
        let made = try_in(SIZE, &bytes, &Cancel::new()).unwrap();
        assert!(*bytes == before);
        assert!(made.changed.total() > 15 * MIB && made.used.end() <= 40 * MIB);
        // What did not change is as it was.
        for part in made.used.without(&made.changed).iter() {
            let len = usize::try_from(part.len()).unwrap();
            let at = usize::try_from(part.start).unwrap();
            assert!(made.bytes.read_vec(part.start, len).unwrap() == bytes[at..at + len]);
        }
    }

    #[test]
    fn too_little_room_and_a_wish_to_stop_are_errors() {
        let bytes = Arc::new(ext4());
        let error = try_in(MIB, &bytes, &Cancel::new()).map(drop).unwrap_err();
        assert!(matches!(error, ResizeError::Io { .. } | ResizeError::Tool(_)), "{error}");
        let cancel = Cancel::new();
        cancel.request();
        let error = try_in(SIZE, &bytes, &cancel).map(drop).unwrap_err();
        assert!(matches!(error, ResizeError::Tool(ToolError::Cancelled)), "{error}");
    }
}
