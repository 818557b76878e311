//! A captured disk on a target on which its partitions do not all keep their places and sizes.

use nix::unistd::geteuid;

use crate::bytes::{Extents, ReadAt, is_zero};
use crate::disk::Disk;
use crate::image::chunks::MIB;
use crate::image::manifest::{Manifest, Region};
use crate::layout::{self, Layout, Misfit, Mode, Outside, Wishes};
use crate::operation::error::OperationError;
use crate::operation::format::size as human;
use crate::operation::guard;
use crate::operation::safety::TooSmall;
use crate::resize;
use crate::table::{self, Patch, Position, Role, Room, Scheme};
use crate::transfer::Transfer;
use crate::volume::Kind;

use super::content::Content;
use super::grow::Growth;
use super::scope::is_stored;

/// Bytes that have no place on the target are read up to this many, to say nothing of zeros.
const LOOKED_AT: u64 = 64 * MIB;

/// Disks that are sold as the same size differ by less than a part in so many.
const NEARLY_THE_SAME: u64 = 32;

/// What was tried where a target is too small all the same.
const MOVED_TOGETHER: &str =
    ": partitions are moved together there, and filesystems made as small as can be";

/// The same for a disk without partitions.
const MADE_SMALL: &str = ": the filesystem on it is made as small as can be";

/// What differs from the captured disk.
pub(in crate::operation) struct Relaid {
    /// The partitions as they will be.
    pub(in crate::operation) layout: Layout,
    /// Their table.
    pub(in crate::operation) table: Vec<Patch>,
    /// What lies outside of them.
    outside: Outside,
    /// Size of the target, bytes.
    size: u64,
    /// Whether there are partitions, and not one volume that is all of the disk.
    is_divided: bool,
}

impl Relaid {
    /// The layout of a target that does not take the disk as it was captured, or of which other
    /// sizes are wished; `None` for all others. `wanted` are the partitions that are restored.
    ///
    /// # Errors
    /// Refuses what does not fit, with the least size that would do, and what cannot be moved.
    pub(in crate::operation) fn find(
        target: &Disk,
        content: &Content<'_>,
        wishes: &Wishes,
        wanted: impl Fn(&Region) -> bool,
    ) -> Result<Option<Self>, OperationError> {
        let manifest = content.manifest;
        let fits = target.size >= manifest.disk.size;
        if fits && !wishes.ask_for_sizes() {
            return Ok(Self::grown(target, content, wishes, wanted));
        }
        if manifest.table.scheme == Scheme::None {
            return Self::of_one_volume(target, manifest, wishes).map(Some);
        }
        refuse_unmovable(target, manifest)?;
        let room = table::room(content.disk, &manifest.table, target.size)?;
        let is_wanted = |number| manifest.partition(number).is_some_and(&wanted);
        let parts = layout::parts(manifest, is_wanted);
        let frame = layout::frame(&manifest.table);
        let layout = layout::plan(&parts, frame, room, wishes)
            .map_err(|misfit| refusal(target, room, misfit, manifest))?;
        if fits && layout.is_as_captured(&parts) {
            return Ok(None);
        }
        Self::new(target, content, layout).map(Some)
    }

    /// A larger disk is filled where that can be done and nothing was said of it. Only root can: the tools
    /// get a device, or the kernel mounts one.
    fn grown(
        target: &Disk,
        content: &Content<'_>,
        wishes: &Wishes,
        wanted: impl Fn(&Region) -> bool,
    ) -> Option<Self> {
        let captured = content.manifest.disk.size;
        let is_larger = target.size - captured > captured / NEARLY_THE_SAME;
        let is_whole = content.partitions.is_none();
        if wishes.mode.is_some() || !is_larger || !is_whole || !geteuid().is_root() {
            return None;
        }
        let fit = Wishes { mode: Some(Mode::Fit), ..wishes.clone() };
        let found = Self::find(target, content, &fit, wanted).ok()??;
        let grows = found.grows(content.manifest);
        let can = !grows.is_empty() && grows.iter().all(|growth| resize::is_there(growth.tool));
        can.then_some(found)
    }

    fn new(target: &Disk, content: &Content<'_>, layout: Layout) -> Result<Self, OperationError> {
        let Content { manifest, disk, .. } = content;
        let positions: Vec<Position> = layout.placed.iter().map(|it| it.position).collect();
        let table = table::rewrite(*disk, &manifest.table, &positions, target.size);
        let table = table.map_err(|error| {
            OperationError::refused(
                format!("{}: {error}", target.identity()),
                format!("choose a disk of {} bytes, on which nothing moves", manifest.disk.size),
            )
        })?;
        let written = table.iter().map(|patch| (patch.offset, patch.bytes.len() as u64));
        let written = Extents::from(written.collect::<Vec<_>>());
        let old = table::metadata_extents(*disk, &manifest.table);
        let outside = layout::outside(manifest, &layout, target.size, &written, &old);
        Ok(Self { layout, table, outside, size: target.size, is_divided: true })
    }

    /// A disk without a table: what is on it begins at its first byte, and takes all of it.
    fn of_one_volume(
        target: &Disk,
        manifest: &Manifest,
        wishes: &Wishes,
    ) -> Result<Self, OperationError> {
        if wishes.name_partitions() {
            return Err(OperationError::refused(
                "the captured disk has no partition table, and so no partitions of other sizes",
                "leave out what is said of sizes",
            ));
        }
        let least_of = match wishes.mode {
            Some(Mode::Keep) => layout::least_size,
            _ => layout::shrunk_size,
        };
        let least = manifest.regions.iter().map(least_of).sum();
        if let Some(small) = TooSmall::judge(target.size, least) {
            return Err(guard::too_small(target, small, MADE_SMALL));
        }
        let layout = Layout { placed: Vec::new(), left_out: Vec::new() };
        let behind =
            |region: &Region| region.used.intersection(&Extents::of(target.size, u64::MAX));
        // What is made smaller has nothing there afterwards.
        let kept = manifest.regions.iter().filter(|it| !layout::is_shrunk(it, target.size));
        let dropped = kept.map(behind);
        let dropped = dropped.fold(Extents::new(), |all, part| all.union(&part));
        let outside = Outside { stays: Extents::new(), dropped };
        Ok(Self { layout, table: Vec::new(), outside, size: target.size, is_divided: false })
    }

    /// Where a region goes: its first byte and its size; `None` where it has no place.
    pub(in crate::operation) fn place(&self, region: &Region) -> Option<(u64, u64)> {
        match region.partition {
            Some(number) => self.layout.position(number).map(|it| (it.start, it.size)),
            None => {
                let room = self.size.checked_sub(region.start)?;
                let size = if self.is_divided { room.min(region.size) } else { room };
                (size > 0).then_some((region.start, size))
            }
        }
    }

    /// Which bytes of the source go where.
    pub(in crate::operation) fn transfers(
        &self,
        manifest: &Manifest,
        wanted: impl Fn(&Region) -> bool,
    ) -> Vec<Transfer> {
        let regions = manifest.regions.iter().filter(|region| is_stored(region));
        let transfers = regions.filter_map(|region| {
            let (to, size) = self.place(region)?;
            let end = region.start.saturating_add(size.min(region.size));
            let within = Extents::of(region.start, end);
            let used = match region.partition {
                None if self.is_divided => self.outside.stays.intersection(&within),
                None => region.used.intersection(&within),
                Some(_) if wanted(region) => region.used.intersection(&within),
                Some(_) => return None,
            };
            let is_cut = used != region.used;
            let len = end - region.start;
            Some(Transfer { from: region.start, to, len, used, is_cut })
        });
        transfers.collect()
    }

    /// The filesystems that get the room of a larger partition.
    pub(in crate::operation) fn grows(&self, manifest: &Manifest) -> Vec<Growth> {
        let restored = self.layout.placed.iter().filter(|placed| placed.wanted);
        let partitions = restored.filter_map(|placed| manifest.partition(placed.position.number));
        let whole = manifest.regions.iter().filter(|_| !self.is_divided);
        let growths = partitions.chain(whole).filter_map(|region| {
            let (start, size) = self.place(region).filter(|(_, size)| region.size < *size)?;
            let kind = region.filesystem.as_ref()?.kind;
            let tool = resize::grower(kind).filter(|_| may_grow(kind, region.size, size))?;
            Some(Growth { number: region.partition, start, size, kind, tool })
        });
        growths.collect()
    }

    /// What a person should know of it.
    pub(in crate::operation) fn notices(
        &self,
        manifest: &Manifest,
        disk: &dyn ReadAt,
    ) -> Vec<String> {
        let growths = self.grows(manifest);
        let resized = manifest.regions.iter().filter_map(|region| {
            let (_, size) = self.place(region).filter(|(_, size)| *size != region.size)?;
            let growth = growths.iter().find(|growth| growth.number == region.partition);
            let inside = match region.partition {
                Some(number) if !self.is_wanted(number) => String::new(),
                None if self.is_divided => return None,
                _ => became_of(region, size, growth),
            };
            let (name, before, after) =
                (table::name_of(region.partition), human(region.size), human(size));
            Some(format!("{name} gets {after} instead of {before}{inside}"))
        });
        let left_out = self.layout.left_out.iter().filter(|number| {
            manifest.table.partition(**number).is_some_and(|it| it.role == Role::Extended)
        });
        let left_out = left_out
            .map(|number| format!("partition {number}, an extended one, would be empty and goes"));
        resized.chain(left_out).chain(self.dropped(disk)).collect()
    }

    /// Whether a partition is restored.
    fn is_wanted(&self, number: u32) -> bool {
        self.layout.placed.iter().any(|placed| placed.wanted && placed.position.number == number)
    }

    fn dropped(&self, disk: &dyn ReadAt) -> Option<String> {
        let dropped = &self.outside.dropped;
        let filled = match dropped.total() <= LOOKED_AT {
            true => filled(disk, dropped),
            false => dropped.clone(),
        };
        let first = filled.iter().next()?.start;
        Some(format!(
            "{} outside of partitions, or behind the filesystem in one, from byte {first} on, have no \
             place on the target and are not restored",
            human(filled.total())
        ))
    }
}

/// What becomes of the filesystem in a region that gets `size` bytes.
fn became_of(region: &Region, size: u64, growth: Option<&Growth>) -> String {
    match (growth, &region.filesystem) {
        _ if size < region.size => String::new(),
        (Some(Growth { kind, tool, .. }), _) if !resize::is_there(tool) => {
            format!("; {tool}, which would grow its {kind}, is not installed: that keeps its size")
        }
        (Some(Growth { kind: Kind::Ntfs, tool, .. }), _) => format!(
            "; its NTFS is grown by {tool} afterwards, and Windows checks it at its first start"
        ),
        (Some(Growth { kind, tool, .. }), _) => {
            format!("; its {kind} is grown by {tool} afterwards")
        }
        (None, Some(found)) if found.kind != Kind::Swap => {
            format!("; its {} keeps its size until it is grown with its own tool", found.kind)
        }
        (None, _) => String::new(),
    }
}

/// An XFS keeps the size of its allocation groups: one that grows much more ends with thousands of them,
/// each with blocks of its own (300 MiB grown to 2 TiB have 27,963, and 42 GiB are reserved).
fn may_grow(kind: Kind, from: u64, to: u64) -> bool {
    const MOST: u64 = 64;
    kind != Kind::Xfs || to / MOST <= from
}

/// What of some bytes is not zero, or cannot be read, by the mebibyte.
fn filled(disk: &dyn ReadAt, parts: &Extents) -> Extents {
    let mut filled = Extents::new();
    for part in parts.iter() {
        let mut at = part.start;
        while at < part.end {
            let len = (part.end - at).min(MIB);
            let bytes = disk.read_vec(at, usize::try_from(len).unwrap_or_default());
            if !bytes.is_ok_and(|bytes| is_zero(&bytes)) {
                filled.push(at, at + len);
            }
            at += len;
        }
    }
    filled
}

/// Where readers may see other partitions than these, or something tells their places, none is moved.
fn refuse_unmovable(target: &Disk, manifest: &Manifest) -> Result<(), OperationError> {
    let doubts = &manifest.table.doubts;
    let why = match layout::obstacle(&manifest.table) {
        Some(why) => why.to_owned(),
        None if doubts.is_empty() => return Ok(()),
        None => format!("its table is in doubt: {}", doubts.join("; ")),
    };
    let size = manifest.disk.size;
    Err(OperationError::refused(
        format!(
            "the partitions of the captured disk ({size} bytes) keep their places and sizes ({why}), and \
             {} has {} bytes",
            target.identity(),
            target.size
        ),
        format!("choose a disk of at least {size} bytes, and no other sizes of partitions"),
    ))
}

fn refusal(target: &Disk, room: Room, misfit: Misfit, manifest: &Manifest) -> OperationError {
    match misfit {
        Misfit::Wish(why) => {
            OperationError::refused(why, "look at the partitions with --plan, and ask otherwise")
        }
        Misfit::TooSmall { least_end, fixed } => {
            let sector = u64::from(manifest.table.sector_size);
            let needed = least_end.saturating_add(room.behind).next_multiple_of(sector);
            let fixed = fixed.map_or_else(String::new, |(number, why)| {
                format!("; partition {number} must not move: {why}")
            });
            let small = TooSmall { size: target.size, needed };
            guard::too_small(target, small, &format!("{MOVED_TOGETHER}{fixed}"))
        }
    }
}
