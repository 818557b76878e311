//! Cutting a disk into the regions of its manifest.

use crate::bytes::{Extents, ReadAt, Window};
use crate::filesystem::{self, Companions, Coverage, Inspection, VolumeKeys};
use crate::table::{Role, Table};

use super::chunks::MIB;
use super::manifest::{Region, Stored};

/// Free space outside partitions up to this size is captured whole: boot code, and the
/// databases that Windows and vendors keep there. Of a larger gap both ends are kept.
const GAP_WHOLE: u64 = 64 * MIB;
const GAP_EDGE: u64 = MIB;

/// A stretch of disk before its content is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First byte on the disk.
    pub start: u64,
    /// Length in bytes.
    pub size: u64,
    /// Partition number, when it is one.
    pub partition: Option<u32>,
}

/// Cuts a disk of `disk_size` bytes at the partitions of `table`, first byte to last.
/// An extended partition is a container: its own sectors count as outside partitions.
pub fn spans(disk_size: u64, table: &Table) -> Vec<Span> {
    let mut partitions: Vec<_> =
        table.partitions.iter().filter(|partition| partition.role != Role::Extended).collect();
    partitions.sort_by_key(|partition| partition.start);
    let mut spans = Vec::new();
    let mut at = 0;
    for partition in partitions {
        let start = partition.start.clamp(at, disk_size);
        let end = partition.start.saturating_add(partition.size).clamp(start, disk_size);
        push_span(&mut spans, at, start, None);
        push_span(&mut spans, start, end, Some(partition.number));
        at = end;
    }
    push_span(&mut spans, at, disk_size, None);
    spans
}

fn push_span(spans: &mut Vec<Span>, start: u64, end: u64, partition: Option<u32>) {
    if end > start {
        spans.push(Span { start, size: end - start, partition });
    }
}

/// What is wanted of a disk.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Partition numbers; `None` for all.
    pub partitions: Option<Vec<u32>>,
    /// Every byte instead of the used blocks.
    pub whole: bool,
    /// Leave out large stretches outside of all partitions, but for both their ends.
    pub skip_unpartitioned: bool,
    /// Keys of encrypted containers.
    pub keys: VolumeKeys,
    /// Of NTFS that was not closed what its tables call used.
    pub trusts_unclosed: bool,
}

impl Selection {
    fn wants(&self, span: &Span) -> bool {
        match (&self.partitions, span.partition) {
            (Some(chosen), Some(number)) => chosen.contains(&number),
            _ => true,
        }
    }
}

/// A region and what its inspection warned of.
pub struct Inspected {
    /// The region as the manifest will hold it.
    pub region: Region,
    /// Reasons a person should know, without the partition's name.
    pub warnings: Vec<String>,
}

/// Reads the filesystem in `span` and decides which bytes of it to store.
///
/// `metadata` are the sectors of the partition table; `None` on a disk without one, which is
/// one volume from end to end. `companions` are the volumes that the one in `span` may be spread
/// over besides.
pub fn inspect(
    disk: &dyn ReadAt,
    span: Span,
    metadata: Option<&Extents>,
    companions: &dyn Companions,
    selection: &Selection,
) -> Inspected {
    if !selection.wants(&span) {
        return nothing(disk, span);
    }
    if let (None, Some(metadata)) = (span.partition, metadata) {
        return gap(span, metadata, selection);
    }
    let volume = Window::new(disk, span.start, span.size);
    let inspect = match selection.trusts_unclosed {
        true => filesystem::inspect_trusting,
        false => filesystem::inspect_unlocked,
    };
    let inspection = inspect(&volume, companions, &selection.keys);
    let whole = selection.whole || inspection.coverage == Coverage::Whole;
    let (stored, used) = match inspection.coverage {
        _ if whole => (Stored::Whole, Extents::of(0, span.size)),
        Coverage::HeaderOnly => (Stored::Header, inspection.used.clone()),
        _ => (Stored::Used, inspection.used.clone()),
    };
    let Inspection { filesystem, inside, minimum_size, volumes, warnings, .. } = inspection;
    let used = used.shifted(span.start);
    let system = filesystem.as_ref().and_then(|_| filesystem::system(&volume));
    let region = Region {
        filesystem,
        inside,
        system,
        logical_volumes: volumes,
        minimum_size,
        ..region(span, stored, used)
    };
    Inspected { region, warnings }
}

fn region(span: Span, stored: Stored, used: Extents) -> Region {
    Region {
        start: span.start,
        size: span.size,
        partition: span.partition,
        filesystem: None,
        inside: Vec::new(),
        system: None,
        stored,
        used,
        logical_volumes: Vec::new(),
        minimum_size: None,
        other: serde_json::Map::new(),
    }
}

fn nothing(disk: &dyn ReadAt, span: Span) -> Inspected {
    let volume = Window::new(disk, span.start, span.size);
    let filesystem = filesystem::recognise(&volume).ok().flatten();
    let region = Region { filesystem, ..region(span, Stored::Nothing, Extents::new()) };
    Inspected { region, warnings: Vec::new() }
}

/// Space outside partitions. `metadata` are the sectors the table itself lives in, which are
/// kept wherever they are.
fn gap(span: Span, metadata: &Extents, selection: &Selection) -> Inspected {
    let end = span.start + span.size;
    if !selection.skip_unpartitioned || span.size <= GAP_WHOLE {
        let region = region(span, Stored::Whole, Extents::of(span.start, end));
        return Inspected { region, warnings: Vec::new() };
    }
    // Boot loaders live behind the table at the start of the disk.
    let head = if span.start == 0 { GAP_WHOLE } else { GAP_EDGE };
    let mut used = Extents::of(span.start, span.start + head);
    used.push(end - GAP_EDGE, end);
    let kept: Extents = metadata.intersection(&Extents::of(span.start, end));
    let warning = format!(
        "{} MiB of unpartitioned space from byte {} are left out but for both ends, as was asked",
        span.size / MIB,
        span.start
    );
    Inspected { region: region(span, Stored::Used, used.union(&kept)), warnings: vec![warning] }
}
