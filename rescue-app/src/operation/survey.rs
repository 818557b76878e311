//! What is on this machine: disks, their tables, and what their partitions hold.

use std::path::Path;

use serde::Serialize;

use crate::bytes::{Extent, ReadAt, Window};
use crate::disk::{self, Disk, Source};
use crate::image::disk_volumes::DiskVolumes;
use crate::image::layout::Span;
use crate::image::{layout, marker};
use crate::inspect;
use crate::table::{self, Partition, Purpose, Scheme, Table};
use crate::volume::{Companions, Filesystem, Kind, LockedContainer, LogicalVolume, State};

use super::consent::Words;
use super::error::OperationError;
use super::format::content_name;

/// A disk and what superblocks and table say about it.
#[derive(Clone, Debug, Serialize)]
pub struct Survey {
    /// The disk.
    pub disk: Disk,
    /// Its partition table.
    pub table: Table,
    /// Its partitions; on a disk without a table the whole disk, when it holds something.
    pub volumes: Vec<Volume>,
    /// What a person should know before choosing this disk, such as a restore that stopped.
    pub note: Option<String>,
    /// What `--erase` has to say for this disk.
    #[serde(rename = "erase")]
    pub(super) words: Words,
}

impl Survey {
    /// What is known of `disk` once its table and its volumes were read from `source`.
    pub fn new(
        disk: Disk,
        table: Table,
        volumes: Vec<Volume>,
        note: Option<String>,
        source: &dyn ReadAt,
    ) -> Self {
        let words = Words::of(&disk, &table, source);
        Self { disk, table, volumes, note, words }
    }

    /// What `--erase` has to say for this disk.
    pub fn erase(&self) -> &str {
        self.words.own()
    }
}

/// A partition, or a whole disk without a table.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Volume {
    /// Partition number; `None` for the whole disk.
    pub partition: Option<u32>,
    /// First byte on the disk.
    pub start: u64,
    /// Length in bytes.
    pub size: u64,
    /// What it holds.
    pub filesystem: Option<Filesystem>,
    /// The same in a few words, from the partition's type where there is no filesystem.
    pub content: String,
    /// Bytes that the filesystem's own tool is expected to be able to shrink it to, where that can
    /// be told without reading much.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum_size: Option<u64>,
    /// The logical volumes in it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub logical_volumes: Vec<LogicalVolume>,
    /// The locked containers that it is or holds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub containers: Vec<LockedContainer>,
    /// The operating system installed on it.
    pub system: Option<String>,
}

impl Volume {
    /// Whether its filesystem was in order; `Unknown` when there is none.
    pub fn state(&self) -> &State {
        self.filesystem.as_ref().map_or(&State::Unknown, |filesystem| &filesystem.state)
    }

    /// Its label, where it has a filesystem.
    pub fn label(&self) -> Option<&str> {
        self.filesystem.as_ref().and_then(|filesystem| filesystem.label.as_deref())
    }

    /// Bytes in use, where its filesystem tells.
    pub fn used(&self) -> Option<u64> {
        self.filesystem.as_ref().and_then(|filesystem| filesystem.used)
    }

    /// Bytes that it could be shrunk to, where that is less than it has.
    pub fn least_size(&self) -> Option<u64> {
        self.minimum_size.filter(|least| *least < self.size)
    }
}

/// Every disk of this machine, the boot medium last: it is hardly ever meant. A disk that cannot
/// be read is listed with a note.
pub fn survey_machine() -> Result<Vec<Survey>, OperationError> {
    let mut disks = disk::list()?;
    disks.sort_by_key(|disk| disk.boot_medium);
    Ok(disks.into_iter().map(survey_or_note).collect())
}

fn survey_or_note(disk: Disk) -> Survey {
    survey(disk.clone()).unwrap_or_else(|error| Survey {
        table: Table::none(disk.logical_sector, Vec::new()),
        volumes: Vec::new(),
        note: Some(error.to_string()),
        words: Words::unread(&disk),
        disk,
    })
}

/// The disk or image file at `path`.
pub fn survey_disk(path: &Path, sector_size: Option<u32>) -> Result<Survey, OperationError> {
    survey(disk::open(path, sector_size)?)
}

fn survey(disk: Disk) -> Result<Survey, OperationError> {
    let source = Source::open(&disk.path)?;
    let (table, note) = match marker::read(&source) {
        Some(marker) => (Table::none(disk.logical_sector, Vec::new()), Some(marker.to_string())),
        None => (read_table(&source, disk.logical_sector)?, None),
    };
    let volumes = volumes(&source, &table);
    Ok(Survey::new(disk, table, volumes, note, &source))
}

/// The partition table of a disk, unless the disk as a whole is a member of something larger: RAID
/// and encryption leave an older table in place, and what it says is no longer true; that of a
/// striped array speaks of bytes on other disks. Of a mirror every disk shows the mirror's own.
pub(super) fn read_table(disk: &dyn ReadAt, sector_size: u32) -> Result<Table, OperationError> {
    let table = table::read(disk, sector_size)?;
    if table.scheme == Scheme::None {
        return Ok(table);
    }
    let Some(container) = inspect::container_over_table(disk, &extents(&table)) else {
        return Ok(doubted(disk, table));
    };
    let scheme = table.scheme;
    let (mut taken, notice) = match inspect::around_shown_array(disk) {
        Some(_) => (table, "belongs to the content, which lies on it in one piece"),
        None => {
            (Table::none(sector_size, Vec::new()), "is from before or an array's, and is not used")
        }
    };
    taken.notices.push(format!("the whole disk is {container}; the {scheme} table on it {notice}"));
    Ok(taken)
}

/// What the content of a disk says against its MBR. (A GPT is protected by its checksums.)
fn doubted(disk: &dyn ReadAt, mut table: Table) -> Table {
    if table.scheme != Scheme::Mbr {
        return table;
    }
    if let Some(other) = counted_otherwise(disk, &table) {
        table.doubts.push(format!(
            "the partitions hold filesystems where sectors of {other} bytes are counted, not of {}: \
             the disk was partitioned in an enclosure or on a controller that shows them; its content \
             is stored whole; for an image file, name its sector size: --sector-size {other}",
            table.sector_size
        ));
        table.contested = table.data_partitions().map(|partition| partition.number).collect();
    } else if let Some(kind) = boot_sector_of_disk(disk, &table) {
        table.doubts.push(format!(
            "the first sector is the boot sector of {kind} on the whole disk, too: Linux shows the \
             partitions, libblkid the filesystem"
        ));
        table.contested = table.data_partitions().map(|partition| partition.number).collect();
    } else if let Some(owner) = inspect::owner_of_disk(disk, &extents(&table)) {
        table.doubts.push(format!(
            "the whole disk carries the signature of {owner}: the partitions may be from before, or \
             an array's that lies on other disks too"
        ));
        table.contested = table.data_partitions().map(|partition| partition.number).collect();
    }
    table
}

/// Where the data partitions lie.
fn extents(table: &Table) -> Vec<Extent> {
    let extent = |part: &Partition| Extent { start: part.start, end: part.end() };
    table.data_partitions().map(extent).collect()
}

/// The sector size in which partitions hold something, when in the table's own none does.
fn counted_otherwise(disk: &dyn ReadAt, table: &Table) -> Option<u32> {
    let own = u64::from(table.sector_size);
    let holds = |partition: &Partition, sector: u32| {
        let scaled = |bytes: u64| (bytes / own).saturating_mul(u64::from(sector));
        let (start, size) = (scaled(partition.start), scaled(partition.size));
        let fits = start.checked_add(size).is_some_and(|end| end <= disk.size());
        fits && matches!(inspect::recognise(&Window::new(disk, start, size)), Ok(Some(_)))
    };
    let any = |sector: u32| table.data_partitions().any(|partition| holds(partition, sector));
    if any(table.sector_size) {
        return None;
    }
    [512, 4096].into_iter().find(|sector| *sector != table.sector_size && any(*sector))
}

/// The filesystem whose boot sector the MBR is, unless a partition says the same.
fn boot_sector_of_disk(disk: &dyn ReadAt, table: &Table) -> Option<Kind> {
    if table.data_partitions().any(|partition| partition.start == 0) {
        return None;
    }
    let kind = inspect::recognise(disk).ok().flatten()?.kind;
    let in_first_sector =
        matches!(kind, Kind::Fat12 | Kind::Fat16 | Kind::Fat32 | Kind::Ntfs | Kind::ExFat);
    in_first_sector.then_some(kind)
}

fn volumes(source: &Source, table: &Table) -> Vec<Volume> {
    let spans = layout::spans(source.size(), table);
    let wanted =
        spans.into_iter().filter(|span| span.partition.is_some() || table.scheme == Scheme::None);
    let companions = DiskVolumes::new(source, table);
    let volumes = wanted.map(|span| {
        let partition = span.partition.and_then(|number| table.partition(number));
        match span.purpose {
            Purpose::Volume => {
                volume(&Window::new(source, span.start, span.size), span, partition, &companions)
            }
            Purpose::Raw | Purpose::Divided(_) => unread(span, partition),
        }
    });
    volumes.filter(|v| v.partition.is_some() || v.filesystem.is_some()).collect()
}

/// A partition or whole disk whose own bytes say what it is.
fn volume(
    window: &Window<'_>,
    span: Span,
    partition: Option<&Partition>,
    companions: &dyn Companions,
) -> Volume {
    let filesystem = inspect::recognise(window).ok().flatten();
    let (filesystem, minimum_size) = match filesystem {
        Some(found) => with_counts(window, found),
        None => (None, None),
    };
    Volume {
        content: content_name(filesystem.as_ref().map(|found| found.kind), partition),
        minimum_size,
        logical_volumes: inspect::volumes(window),
        containers: inspect::locked_containers(window, companions),
        system: filesystem.as_ref().and_then(|_| inspect::system(window)),
        filesystem,
        ..unread(span, partition)
    }
}

/// One that is known by its type alone.
fn unread(span: Span, partition: Option<&Partition>) -> Volume {
    Volume {
        partition: span.partition,
        start: span.start,
        size: span.size,
        content: content_name(None, partition),
        ..Volume::default()
    }
}

/// With what is used, and the least size. NTFS and FAT keep no count of what is used: it is in
/// their maps, as is whether Windows is only asleep. A map takes a fraction of a second to read.
fn with_counts(volume: &dyn ReadAt, found: Filesystem) -> (Option<Filesystem>, Option<u64>) {
    let counts = !matches!(found.kind, Kind::Ntfs | Kind::Fat12 | Kind::Fat16 | Kind::Fat32);
    if counts || found.used.is_some() {
        return (Some(found), inspect::least_size(volume));
    }
    let inspection = inspect::inspect(volume);
    (inspection.filesystem.or(Some(found)), inspection.minimum_size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raid_member_keeps_no_partitions_from_before() {
        let mut disk = vec![0; 1 << 20];
        disk[446..462].copy_from_slice(&[0x80, 0, 0, 0, 0x83, 0, 0, 0, 64, 0, 0, 0, 0, 4, 0, 0]);
        disk[510..512].copy_from_slice(&[0x55, 0xaa]);
        assert_eq!(read_table(&disk, 512).unwrap().partitions.len(), 1);
        // LUKS1: magic and version at byte 0 (LUKS On-Disk Format 1.2.3, section 2.1).
        disk[..8].copy_from_slice(b"LUKS\xba\xbe\0\x01");
        let table = read_table(&disk, 512).unwrap();
        assert_eq!(table.scheme, Scheme::None);
        assert!(table.notices[0].contains("LUKS"), "{:?}", table.notices);
        // The boot sector of BitLocker (libbde, "Volume header").
        disk[3..11].copy_from_slice(b"-FVE-FS-");
        assert_eq!(read_table(&disk, 512).unwrap().scheme, Scheme::None);
    }
}
