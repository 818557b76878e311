//! Cutting a disk into the regions of its manifest.

use crate::bytes::{Extent, Extents, ReadAt, Window};
use crate::inspect;
use crate::table::{Partition, Purpose, Table};
use crate::volume::{Companions, Coverage, Inspection, VolumeKeys};

use super::chunks::MIB;
use super::left_out;
use super::manifest::{Region, Stored};

/// Space outside partitions up to this size is kept exactly: boot code, and the databases that
/// Windows and vendors keep there. Of a larger gap both ends are.
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
    /// Whether it is not sure that it is one volume from end to end.
    pub contested: bool,
    /// How it is to be read, when it is one.
    pub purpose: Purpose,
}

/// Cuts a disk of `disk_size` bytes at the partitions of `table`, first byte to last.
/// An extended partition is a container: its own sectors count as outside partitions, and so do
/// partitions that lie over each other.
pub fn spans(disk_size: u64, table: &Table) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut at = 0;
    for partition in table.separate_partitions() {
        let start = partition.start.clamp(at, disk_size);
        let end = partition.end().clamp(start, disk_size);
        push_span(&mut spans, (at, start), None, table);
        push_span(&mut spans, (start, end), Some(partition), table);
        at = end;
    }
    push_span(&mut spans, (at, disk_size), None, table);
    spans
}

fn push_span(
    spans: &mut Vec<Span>,
    (start, end): (u64, u64),
    partition: Option<&Partition>,
    table: &Table,
) {
    let number = partition.map(|partition| partition.number);
    let contested = match number {
        Some(number) => table.contested.contains(&number),
        None => !table.doubts.is_empty(),
    };
    if end > start {
        spans.push(Span {
            start,
            size: end - start,
            partition: number,
            contested,
            purpose: partition.map(Partition::purpose).unwrap_or_default(),
        });
    }
}

/// How much is read of a disk, or of the chosen partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Blocks in use, and what lies outside of partitions.
    Used {
        /// Large stretches outside of all partitions are left out, but for both their ends.
        skip_unpartitioned: bool,
        /// Of NTFS that was not closed (marked dirty, hibernated, Fast Startup) what its tables call used
        /// is read, instead of everything.
        trust_unclosed: bool,
    },
    /// Every byte.
    Whole,
}

impl Default for Reading {
    fn default() -> Self {
        Self::Used { skip_unpartitioned: false, trust_unclosed: false }
    }
}

impl Reading {
    /// Whether large stretches outside of partitions are left out.
    pub fn skips_unpartitioned(self) -> bool {
        matches!(self, Self::Used { skip_unpartitioned: true, .. })
    }

    /// Whether the tables of an NTFS that was not closed are believed.
    pub fn trusts_unclosed(self) -> bool {
        matches!(self, Self::Used { trust_unclosed: true, .. })
    }
}

/// What is wanted of a disk.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Partition numbers; `None` for all.
    pub partitions: Option<Vec<u32>>,
    /// How much is read.
    pub reading: Reading,
    /// Keys of encrypted containers.
    pub keys: VolumeKeys,
    /// Page, swap and hibernation files are left out, but for their beginnings.
    pub skip_swap_files: bool,
}

impl Selection {
    /// Whether what lies between the edges of unpartitioned space is left out: it was asked for, or
    /// single partitions were.
    fn leaves_out_unpartitioned(&self) -> bool {
        self.reading.skips_unpartitioned() || self.partitions.is_some()
    }

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
    let inspect = match selection.reading.trusts_unclosed() {
        true => inspect::inspect_trusting,
        false => inspect::inspect_unlocked,
    };
    let inspection = match span.purpose {
        Purpose::Volume => inspect(&volume, companions, &selection.keys),
        Purpose::Raw => Inspection::unread(span.size, None),
        Purpose::Divided(name) => Inspection::unread(span.size, Some(&divided(name))),
    };
    let whole = selection.reading == Reading::Whole
        || span.contested
        || inspection.coverage == Coverage::Whole;
    let (stored, used) = match inspection.coverage {
        _ if whole => (Stored::Whole, Extents::of(0, span.size)),
        Coverage::HeaderOnly => (Stored::Header, inspection.used.clone()),
        _ => (Stored::Used, inspection.used.clone()),
    };
    let Inspection { filesystem, inside, minimum_size, volumes, warnings, .. } = inspection;
    // The table is kept wherever it lies, also inside of a partition.
    let end = span.start.saturating_add(span.size);
    let table = metadata.map(|all| all.intersection(&Extents::of(span.start, end)));
    let kind = filesystem.as_ref().filter(|_| stored == Stored::Used).map(|found| found.kind);
    let (left_out, unneeded) = match kind.filter(|_| selection.skip_swap_files) {
        Some(kind) => left_out::find(&volume, kind),
        None => Default::default(),
    };
    let used = used.without(&unneeded).shifted(span.start);
    let used = match table.filter(|table| !table.is_empty()) {
        Some(table) => used.union(&table),
        None => used,
    };
    let system = filesystem.as_ref().and_then(|_| inspect::system(&volume));
    let region = Region {
        filesystem,
        inside,
        system,
        logical_volumes: volumes,
        minimum_size,
        left_out,
        ..region(span, stored, used)
    };
    Inspected { region, warnings }
}

/// Why no filesystem's map is asked about a partition that is divided further.
fn divided(name: &str) -> String {
    format!("its type, \"{name}\", stands for more than one filesystem in a row")
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
        left_out: Vec::new(),
        other: serde_json::Map::new(),
    }
}

fn nothing(disk: &dyn ReadAt, span: Span) -> Inspected {
    let volume = Window::new(disk, span.start, span.size);
    let filesystem = match span.purpose {
        Purpose::Volume => inspect::recognise(&volume).ok().flatten(),
        Purpose::Raw | Purpose::Divided(_) => None,
    };
    let region = Region { filesystem, ..region(span, Stored::Nothing, Extents::new()) };
    Inspected { region, warnings: Vec::new() }
}

/// Space outside partitions: stored, unless it was chosen to leave out what lies between its edges.
fn gap(span: Span, metadata: &Extents, selection: &Selection) -> Inspected {
    let (end, inner) = (span.start + span.size, between_edges(span.start, span.size));
    if !selection.leaves_out_unpartitioned() || inner.is_empty() {
        let region = region(span, Stored::Whole, Extents::of(span.start, end));
        return Inspected { region, warnings: Vec::new() };
    }
    let left_out = Extents::of(inner.start, inner.end).without(metadata);
    let used = Extents::of(span.start, end).without(&left_out);
    let warning = format!(
        "{} MiB of unpartitioned space from byte {} are left out, as was asked",
        inner.len() / MIB,
        inner.start
    );
    Inspected { region: region(span, Stored::Used, used), warnings: vec![warning] }
}

/// Of unpartitioned space what may be left out, and what of it is only stored as far as it is not
/// zero. Boot loaders live behind the table at the start of the disk, databases of Windows and of
/// vendors at both ends of a gap.
pub fn between_edges(start: u64, size: u64) -> Extent {
    let head = if start == 0 { GAP_WHOLE } else { GAP_EDGE };
    let end = start + size;
    match size > GAP_WHOLE {
        true => Extent { start: start + head, end: (end - GAP_EDGE).max(start + head) },
        false => Extent { start: end, end },
    }
}
