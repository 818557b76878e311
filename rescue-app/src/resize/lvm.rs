//! A physical volume of LVM, made smaller or larger with what is in it.
//!
//! Smaller: the filesystems of its logical volumes first, each by what makes one of its kind smaller, then the
//! volumes, then extents move. Larger: what it has more goes to one logical volume, and that is grown.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use crate::bytes::{Changes, Extent, Extents, Overlay, OverlayRoom, ReadAt, Window, WriteAt};
use crate::container::lvm::{Larger, Moved, OneDevice, Smaller};
use crate::disk::Source;
use crate::inspect;
use crate::layout;
use crate::progress::Cancel;
use crate::volume::{Alone, Coverage, Doubt, Inspection, Kind, PlacedView, Placement, VolumeKeys};

use super::Shrunk;
use super::error::ResizeError;
use super::patchwork::Patchwork;
use super::task::{self, Shrink};

/// How much is copied at once, bytes.
const PIECE: u64 = 1 << 20;

/// What becomes of a logical volume.
struct Volume {
    name: String,
    /// Its extents now, those that it needs, and those that it gets.
    extents: u64,
    least: u64,
    size: u64,
    /// Where its bytes are, of one that may be cut.
    placement: Option<Placement>,
    found: Option<Inspection>,
}

/// Makes it smaller; its bytes, which of them are others than before or elsewhere, and what a person should know.
pub(super) fn shrink(
    disk: &Arc<dyn ReadAt>,
    task: &Shrink,
    room: &OverlayRoom,
    cancel: &Cancel,
) -> Result<Shrunk, ResizeError> {
    let device = Window::new(&**disk, task.start, task.from);
    let group = OneDevice::open(&device).map_err(in_the_way)?;
    let mut volumes = volumes(&group, &device);
    choose(&group, &mut volumes, task.size)?;
    let cuts: Vec<&Volume> = volumes.iter().filter(|volume| volume.size < volume.extents).collect();
    let room = OverlayRoom { memory: room.memory / cuts.len().max(1) as u64, ..room.clone() };
    let mut warnings = Vec::new();
    let mut rewritten = HashMap::new();
    for volume in &cuts {
        let Some(placement) = volume.placement.clone() else { continue };
        let name = format!("{}/{}", group.name(), volume.name);
        let (was, size) = (volume.extents * group.extent(), volume.size * group.extent());
        warnings.push(format!("{name} gets {} MiB instead of {} MiB", size >> 20, was >> 20));
        let bytes = Logical { disk: Arc::clone(disk), start: task.start, placement };
        if let Some(made) = contents(volume, Arc::new(bytes), (size, task), &room, cancel)? {
            warnings.extend(made.warnings.iter().map(|it| format!("{name}: {it}")));
            rewritten.insert(volume.name.clone(), made);
        }
    }
    let sizes = cuts.iter().map(|volume| (volume.name.clone(), volume.size)).collect();
    let smaller = group.resized(task.size, &sizes).map_err(in_the_way)?;
    let (bytes, changed) = put_together(disk, task, group.start(), smaller, &rewritten);
    let bytes: Arc<dyn ReadAt> = Arc::new(bytes);
    let (_, used) = super::judged(&*bytes, task)?;
    Ok(Shrunk { start: task.start, bytes, used, changed, warnings })
}

/// The device as it will be, and which of its bytes are not those that were in the same place.
fn put_together(
    disk: &Arc<dyn ReadAt>,
    task: &Shrink,
    head: u64,
    smaller: Smaller,
    rewritten: &HashMap<String, Shrunk>,
) -> (Patchwork, Extents) {
    let mut made = Patchwork::new(task.size);
    let mut changed = Vec::new();
    made.put(0, head, Arc::clone(disk), task.start);
    for Moved { to, from, len, volume } in smaller.moved {
        let new = volume.and_then(|(name, at)| rewritten.get(&name).map(|new| (new, at)));
        match new {
            Some((new, at)) => {
                let parts = new.changed.within(at, at + len);
                changed.extend(parts.map(|part| (to + (part.start - at), part.len())));
                made.put(to, len, Arc::clone(&new.bytes), at);
            }
            None => made.put(to, len, Arc::clone(disk), task.start + from),
        }
        if to != from {
            changed.push((to, len));
        }
    }
    for (at, bytes) in smaller.written {
        let len = bytes.len() as u64;
        changed.push((at, len));
        made.put(at, len, Arc::new(bytes), 0);
    }
    (made, Extents::from(changed))
}

fn in_the_way(doubt: Doubt) -> ResizeError {
    ResizeError::io("understanding its volume group", io::Error::other(doubt.to_string()))
}

fn volumes(group: &OneDevice, device: &dyn ReadAt) -> Vec<Volume> {
    let each = group.volumes().map(|inside| {
        let bytes = inside.extents * group.extent();
        let found = inside.placement.as_ref().map(|placement| {
            let view = PlacedView { container: device, others: &[], placement };
            inspect::inspect_trusting(&view, &Alone, &VolumeKeys::new())
        });
        let least = found.as_ref().map_or(bytes, |found| found.needs(bytes));
        Volume {
            name: inside.name.to_owned(),
            extents: inside.extents,
            least: least.div_ceil(group.extent()).min(inside.extents),
            size: inside.extents,
            placement: inside.placement,
            found,
        }
    });
    each.collect()
}

/// Takes of each volume what is too much, in proportion to what of it can go.
fn choose(group: &OneDevice, volumes: &mut [Volume], size: u64) -> Result<(), ResizeError> {
    let mut excess = group.allocated().saturating_sub(group.capacity(size));
    let mut spare: u64 = volumes.iter().map(|volume| volume.extents - volume.least).sum();
    if excess > spare {
        let words =
            format!("its logical volumes need {} more bytes", (excess - spare) * group.extent());
        return Err(in_the_way(Doubt::because(words)));
    }
    for volume in volumes {
        let own = volume.extents - volume.least;
        // What was taken of the others was rounded down: the last one takes the rest.
        let part = u128::from(excess) * u128::from(own) / u128::from(spare.max(1));
        let last = u64::from(spare == own);
        let part = u64::try_from(part).unwrap_or(own).max(excess * last).min(own);
        volume.size = volume.extents - part;
        excess -= part;
        spare -= own;
    }
    Ok(())
}

/// What a volume holds once it has `size` bytes; `None` when that is what its first bytes are.
fn contents(
    volume: &Volume,
    bytes: Arc<dyn ReadAt>,
    (size, task): (u64, &Shrink),
    room: &OverlayRoom,
    cancel: &Cancel,
) -> Result<Option<Shrunk>, ResizeError> {
    let Some(Inspection { filesystem: Some(found), coverage, .. }) = &volume.found else {
        return Ok(None);
    };
    if found.kind == Kind::Swap && *coverage == Coverage::HeaderOnly {
        let reading = |error| ResizeError::io("reading its swap space", error);
        let patches = layout::swap_patches(&*bytes, found, size).map_err(reading)?;
        let mut made = Patchwork::new(size);
        made.put(0, size, bytes, 0);
        let mut changed = Extents::new();
        for patch in patches {
            let len = patch.bytes.len() as u64;
            changed = changed.union(&Extents::of(patch.offset, patch.offset + len));
            made.put(patch.offset, len, Arc::new(patch.bytes), 0);
        }
        let (bytes, used): (Arc<dyn ReadAt>, _) = (Arc::new(made), changed.clone());
        return Ok(Some(Shrunk { start: 0, bytes, used, changed, warnings: Vec::new() }));
    }
    if found.size <= size {
        return Ok(None);
    }
    let from = bytes.size();
    let task = task::inside(found, (from, size), task).ok_or_else(|| {
        in_the_way(Doubt::because(format!(
            "the {} of {} cannot get smaller",
            found.kind, volume.name
        )))
    })?;
    super::shrink(&task, bytes, (0, 512), room.clone(), cancel).map(Some)
}

/// Gives a physical volume all of the device `path`, and what that has more to a logical volume.
pub(super) fn grow_device(path: &Path, room: OverlayRoom) -> Result<(), ResizeError> {
    let writing = |error| ResizeError::io("writing to the physical volume", error);
    let device = Source::open(path).map_err(|error| {
        ResizeError::io("opening the physical volume", io::Error::other(error.to_string()))
    })?;
    let size = device.size();
    let made: Arc<dyn WriteAt> = Arc::new(Overlay::new(device, room.clone()));
    let metadata = grow(&made, room)?;
    let file = File::options().write(true).open(path).map_err(writing)?;
    // The volume first: a filesystem that does not fill it is as good as before. The rest from the end: the
    // superblock of a filesystem, which says that it is larger, is at its start.
    let Changes { data, zero } = made.changes_within(0, size);
    for parts in [metadata, data.union(&zero)] {
        for part in parts.iter().rev() {
            copy(&*made, part, &file).map_err(writing)?;
        }
        file.sync_all().map_err(writing)?;
    }
    Ok(())
}

fn copy(from: &dyn ReadAt, part: Extent, to: &File) -> io::Result<()> {
    let mut at = part.start;
    while at < part.end {
        let len = (part.end - at).min(PIECE);
        let bytes = from.read_vec(at, usize::try_from(len).unwrap_or_default())?;
        to.write_all_at(&bytes, at)?;
        at += len;
    }
    Ok(())
}

/// Gives a physical volume all of `device`, and what that has more to its largest volume that can grow; where it has
/// its label and metadata.
pub(super) fn grow(device: &Arc<dyn WriteAt>, room: OverlayRoom) -> Result<Extents, ResizeError> {
    let size = device.size();
    let group = OneDevice::open(&**device).map_err(in_the_way)?;
    if group.more(size) == 0 {
        return Ok(Extents::new());
    }
    let (name, kind) = largest(&group, &**device).unzip();
    let Larger { written, placement } = group.grown(size, name.as_deref()).map_err(in_the_way)?;
    let writing = |error| ResizeError::io("writing to the physical volume", error);
    let grown = match (kind, placement) {
        (Some(kind), Some(placement)) => Some((fill(device, kind, &placement, room)?, placement)),
        _ => None,
    };
    for (at, bytes) in &written {
        device.write_at(*at, bytes).map_err(writing)?;
    }
    if let Some((volume, placement)) = grown {
        copy_changes(&*volume, &placement, &**device).map_err(writing)?;
    }
    let written = written.iter().map(|(at, bytes)| (*at, bytes.len() as u64));
    Ok(Extents::from(written.collect::<Vec<_>>()))
}

/// The logical volume with the largest filesystem that can grow.
fn largest(group: &OneDevice, device: &dyn ReadAt) -> Option<(String, Kind)> {
    let volumes = volumes(group, device);
    let growing = volumes.into_iter().filter_map(|volume| {
        let found = volume.found.as_ref().filter(|found| found.coverage == Coverage::Used)?;
        let kind = found.filesystem.as_ref()?.kind;
        task::grower(kind).filter(|_| kind != Kind::Lvm2)?;
        Some((volume.extents, volume.name, kind))
    });
    growing.max_by_key(|(extents, ..)| *extents).map(|(_, name, kind)| (name, kind))
}

/// The volume in its new place, with a filesystem that fills it, on a view.
fn fill(
    device: &Arc<dyn WriteAt>,
    kind: Kind,
    placement: &Placement,
    room: OverlayRoom,
) -> Result<Arc<dyn WriteAt>, ResizeError> {
    let disk: Arc<dyn ReadAt> = Arc::clone(device) as Arc<dyn ReadAt>;
    let volume = Logical { disk, start: 0, placement: placement.clone() };
    let place = Extent { start: 0, end: placement.size() };
    super::grow_view(kind, Arc::new(volume), place, room)
}

/// Writes what changed of a volume to its device.
fn copy_changes(
    volume: &dyn WriteAt,
    placement: &Placement,
    device: &dyn WriteAt,
) -> io::Result<()> {
    let Changes { data, zero } = volume.changes_within(0, volume.size());
    for part in data.union(&zero).iter() {
        let mut at = part.start;
        while at < part.end {
            let end = part.end.min(at + PIECE);
            for piece in placement.pieces(at, end) {
                let to = piece.at.ok_or(io::ErrorKind::InvalidData)?.at;
                let len = usize::try_from(piece.len).unwrap_or_default();
                device.write_at(to, &volume.read_vec(piece.start, len)?)?;
            }
            at = end;
        }
    }
    Ok(())
}

/// The bytes of a logical volume, on a disk.
struct Logical {
    disk: Arc<dyn ReadAt>,
    /// Where the physical volume begins.
    start: u64,
    placement: Placement,
}

impl ReadAt for Logical {
    fn size(&self) -> u64 {
        self.placement.size()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let device = Window::new(&*self.disk, self.start, self.disk.size() - self.start);
        PlacedView { container: &device, others: &[], placement: &self.placement }
            .read_at(offset, buf)
    }
}
