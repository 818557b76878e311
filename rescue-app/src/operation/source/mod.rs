//! A disk that is read: looked at, and cut into regions with the bytes to read of each.

mod damaged_files;
mod excluded;
mod origin;
mod unpartitioned;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use crate::bytes::{Extents, ReadAt, Window};
use crate::console;
use crate::disk::{Disk, Source};
use crate::firmware::BootEntry;
use crate::image::chunks::ChunkSize;
use crate::image::damage::{BadRange, Damage};
use crate::image::layout::{self, Inspected, Reading, Selection};
use crate::image::left_out::{Excluded, LeftOut};
use crate::image::manifest::{DiskIdentity, MAJOR, Manifest, Region, Stored};
use crate::image::marker;
use crate::import::{Imported, Workshop};
use crate::inspect;
use crate::progress::{Control, Phase};
use crate::table::{self, Scheme, Table};
use crate::volume::{Filesystem, LogicalVolume};

use super::error::OperationError;
use super::format::{numbers, size as human};
use super::machine_volumes::MachineVolumes;
use super::survey::read_table;
use super::unlock::Keys;
use super::{guard, machine};
use crate::transfer::{DiskMedium, DiskSource, RescueOptions, Transfer};

use origin::{Opened, Origin};
pub use unpartitioned::Unpartitioned;
pub(super) use unpartitioned::without_zeros;

/// What of which disk is read, and how.
#[derive(Clone, Debug)]
pub struct SourceRequest {
    /// Block device or image file.
    pub disk: PathBuf,
    /// Logical sector size of an image file, bytes.
    pub sector_size: Option<u32>,
    /// Partition numbers; `None` for all.
    pub partitions: Option<Vec<u32>>,
    /// How much of them.
    pub reading: Reading,
    /// Encrypted containers that were opened, to read of them what is used.
    pub keys: Keys,
    /// What to do about places that cannot be read.
    pub rescue: RescueOptions,
    /// Read an image file although a program may write to it meanwhile.
    pub in_use: bool,
    /// Leave out what systems make anew: the content of page, swap and hibernation files.
    pub skip_swap_files: bool,
    /// Files and folders to leave out besides.
    pub excluded: Vec<Excluded>,
    /// Where a file that holds the disk packed is unpacked: a folder with room for the disk.
    pub scratch: Option<PathBuf>,
}

impl SourceRequest {
    /// What of all of the disk at `disk` is used.
    pub fn all_of(disk: impl Into<PathBuf>) -> Self {
        Self {
            disk: disk.into(),
            sector_size: None,
            partitions: None,
            reading: Reading::default(),
            keys: Keys::new(),
            rescue: RescueOptions::default(),
            in_use: false,
            skip_swap_files: false,
            excluded: Vec::new(),
            scratch: None,
        }
    }

    fn selection(&self) -> Selection {
        let keys = self.keys.iter();
        Selection {
            partitions: self.partitions.clone(),
            reading: self.reading,
            keys: keys.map(|(at, key)| (at.locked.uuid.clone(), key.clone())).collect(),
            skip_swap_files: self.skip_swap_files,
        }
    }
}

/// A disk that was looked at, and what will be read of it.
#[derive(Clone, Debug, Serialize)]
pub struct SourcePlan {
    /// The disk.
    pub disk: Disk,
    /// Its table.
    pub table: Table,
    /// Its regions with the bytes that count of each.
    pub regions: Vec<Region>,
    /// How much of it is read, and what is not.
    #[serde(flatten)]
    pub summary: SourceSummary,
    /// Reasons to think again.
    #[serde(skip)]
    pub warnings: Vec<String>,
    /// What the disk was found in, where that is no disk as it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imported: Option<Imported>,
    /// The disk, open.
    #[serde(skip)]
    pub(super) source: Arc<Source>,
    /// What was named, unless nothing of it is read any more.
    #[serde(skip)]
    origin: Option<Origin>,
    /// Of each region the bytes to read: what counts of it, but for holes of an image file.
    #[serde(skip)]
    pub(super) reads: Vec<Extents>,
}

/// How much of a disk will be read, and what of it will not. All counts are bytes.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SourceSummary {
    /// To be read.
    pub read: u64,
    /// Not read: nothing uses it, it was not chosen, or it is a hole of an image file.
    pub skipped: u64,
    /// Of that what a filesystem's map calls unused.
    pub unused: u64,
    /// Large stretches outside of partitions.
    pub unpartitioned: Option<Unpartitioned>,
    /// Entries of this machine's firmware for programs on it, which an image keeps.
    #[serde(skip)]
    pub boot_entries: Vec<BootEntry>,
    /// Files that are not read but for their beginnings, since systems make them anew.
    #[serde(skip)]
    pub left_out: Vec<LeftOut>,
    /// Whether there is an NTFS that was not closed, of which a person may choose to read what is
    /// used only.
    #[serde(skip)]
    pub has_unclosed_ntfs: bool,
}

impl SourceSummary {
    /// Boot entries that an image keeps, for a person.
    pub fn kept_boot_entries(&self) -> Option<String> {
        let options = self.boot_entries.iter().filter_map(BootEntry::load_option);
        let names: Vec<String> = options.map(|option| option.to_string()).collect();
        (!names.is_empty())
            .then(|| format!("keeps the firmware's boot entries {}", names.join(", ")))
    }

    fn of(disk: &Disk, regions: &[Region], reads: &[Extents]) -> Self {
        let read = reads.iter().map(Extents::total).sum();
        Self {
            read,
            skipped: disk.size.saturating_sub(read),
            unused: regions.iter().map(unused).sum(),
            unpartitioned: None,
            boot_entries: Vec::new(),
            left_out: regions.iter().flat_map(|region| &region.left_out).cloned().collect(),
            has_unclosed_ntfs: has_unclosed_ntfs(regions),
        }
    }

    /// Large stretches outside of partitions that are not read.
    pub fn outside(&self) -> u64 {
        let left_out = self.unpartitioned.as_ref().filter(|found| found.left_out);
        left_out.map_or(0, |found| found.bytes)
    }

    /// Not read, in partitions that were not chosen.
    pub fn not_chosen(&self) -> u64 {
        let files: u64 = self.left_out.iter().map(|file| file.bytes).sum();
        self.skipped.saturating_sub(self.unused + files + self.outside())
    }
}

impl SourcePlan {
    /// Opens a disk that is free to be read, and looks at it; `is_allowed` are the rules that the use
    /// of it brings. What has to be unpacked is, in the folder that the request names or else in `scratch`.
    ///
    /// # Errors
    /// Refuses a disk in use; otherwise any failure to read its structure, or the file that holds it.
    pub(super) fn make(
        request: &SourceRequest,
        is_allowed: impl FnOnce(&Disk) -> Result<(), OperationError>,
        (scratch, control): (Option<&Path>, Control<'_>),
    ) -> Result<Self, OperationError> {
        let scratch = request.scratch.as_deref().or(scratch);
        let opened = Opened::find(request, is_allowed, Workshop { scratch, control })?;
        control.phase(Phase::Examining);
        Self::examine(opened, request)
    }

    /// Refuses a disk that is not as it was when the plan was made, or is in use by now.
    pub(super) fn still_holds(&self, request: &SourceRequest) -> Result<(), OperationError> {
        self.origin.as_ref().map_or(Ok(()), |origin| origin.still_holds(request.in_use))
    }

    fn examine(opened: Opened, request: &SourceRequest) -> Result<Self, OperationError> {
        let Opened { disk, source: opened, imported, origin } = opened;
        let source = &*opened;
        is_finished(&disk, source, 0)?;
        let table = read_table(source, disk.logical_sector)?;
        check_partitions(&table, request.partitions.as_deref().unwrap_or_default())?;
        let chosen = |number| request.partitions.as_ref().is_none_or(|all| all.contains(&number));
        for partition in table.data_partitions().filter(|partition| chosen(partition.number)) {
            is_finished(&disk, source, partition.start)?;
        }
        let mut warnings: Vec<String> = guard::source_in_use(&disk).into_iter().collect();
        warnings.extend(table.remarks().cloned());
        match &imported {
            Some(found) => warnings.extend(found.remarks.iter().cloned()),
            None => warnings.extend(guard::remark_on_source(&disk)),
        }
        let mut regions =
            inspect_regions(&disk, source, &table, &request.selection(), &mut warnings);
        excluded::leave_out(&request.excluded, source, &mut regions)?;
        let data = source.data();
        let reads: Vec<Extents> =
            regions.iter().map(|region| region.used.intersection(&data)).collect();
        let unpartitioned = Unpartitioned::sample(source, &table, &regions, &data);
        Ok(Self {
            summary: SourceSummary {
                unpartitioned,
                boot_entries: machine::boot_entries(&table),
                ..SourceSummary::of(&disk, &regions, &reads)
            },
            disk,
            table,
            regions,
            warnings,
            reads,
            imported,
            source: opened,
            origin,
        })
    }

    /// The plan for a disk of which no more is read than the transfers put somewhere.
    pub(super) fn for_transfers(&self, transfers: &[Transfer]) -> Self {
        let mut plan = self.clone();
        for (region, reads) in self.regions.iter().zip(&mut plan.reads) {
            let wanted = transfers.iter().find(|transfer| transfer.from == region.start);
            let wanted = wanted.map(|transfer| reads.intersection(&transfer.used));
            *reads = wanted.unwrap_or_default();
        }
        plan.summary = SourceSummary {
            unpartitioned: plan.summary.unpartitioned,
            boot_entries: plan.summary.boot_entries,
            ..SourceSummary::of(&plan.disk, &plan.regions, &plan.reads)
        };
        plan
    }

    /// What the disk is known by, wherever it is attached.
    pub(super) fn identity(&self) -> DiskIdentity {
        let Disk { path, model, serial, wwn, size, .. } = &self.disk;
        let file_name = || path.file_name().map(|name| name.to_string_lossy().into_owned());
        DiskIdentity {
            model: model.clone().or_else(file_name),
            serial: serial.clone(),
            wwn: wwn.clone(),
            size: *size,
            logical_sector: self.disk.logical_sector,
            physical_sector: self.disk.physical_sector,
            transport: self.disk.transport.to_string(),
        }
    }

    /// What an image of it says besides its bytes.
    pub(super) fn manifest(
        &self,
        chunk_size: ChunkSize,
        damage: Damage,
        warnings: Vec<String>,
    ) -> Manifest {
        Manifest {
            version: MAJOR,
            tool: concat!("lifeboat ", env!("CARGO_PKG_VERSION")).to_owned(),
            disk: self.identity(),
            machine: machine::this_machine(),
            imported_from: self.imported.as_ref().map(|found| found.form.clone()),
            boot_entries: self.summary.boot_entries.clone(),
            chunk_size: chunk_size.bytes(),
            table: self.table.clone(),
            regions: self.regions.clone(),
            unreadable: damage.bytes(),
            damage,
            warnings,
            other: serde_json::Map::new(),
        }
    }

    /// How it is read; `medium` is of [`Self::source`].
    pub(super) fn chunks<'a>(
        &'a self,
        medium: &'a DiskMedium<'a>,
        rescue: &'a RescueOptions,
        chunk_size: ChunkSize,
    ) -> DiskSource<'a> {
        DiskSource {
            medium,
            rescue,
            sector_size: self.disk.logical_sector,
            regions: &self.regions,
            reads: &self.reads,
            chunk_size,
        }
    }

    /// The disk, as one that may be failing.
    pub(super) fn medium(&self) -> DiskMedium<'_> {
        DiskMedium::new(&self.source, self.disk.logical_sector)
    }

    /// Names the files that lie in what could not be read.
    pub(super) fn damage(&self, medium: &DiskMedium<'_>, ranges: Vec<BadRange>) -> Damage {
        damaged_files::find(medium, &self.regions, ranges)
    }
}

/// A disk, or a partition of it, that a restore left half written is no source: what is on it was
/// never anybody's.
fn is_finished(disk: &Disk, source: &Source, start: u64) -> Result<(), OperationError> {
    let left = source.size().saturating_sub(start);
    let Some(marker) = marker::read(&Window::new(source, start, left)) else { return Ok(()) };
    Err(OperationError::refused(
        format!("{} is not whole: {marker}", disk.identity()),
        "capture it afterwards",
    ))
}

/// Whether an NTFS that is stored was not closed.
fn has_unclosed_ntfs(regions: &[Region]) -> bool {
    let unclosed = Filesystem::is_unclosed_ntfs;
    let in_volume =
        |volume: &LogicalVolume| volume.filesystem.iter().chain(&volume.inside).any(unclosed);
    regions.iter().filter(|region| region.stored != Stored::Nothing).any(|region| {
        region.filesystem.iter().chain(&region.inside).any(unclosed)
            || region.logical_volumes.iter().any(in_volume)
    })
}

/// Bytes that the map of what is in a region calls unused.
fn unused(region: &Region) -> u64 {
    let mapped =
        region.filesystem.is_some() && matches!(region.stored, Stored::Used | Stored::Header);
    let left_out: u64 = region.left_out.iter().map(|file| file.bytes).sum();
    if mapped { region.size.saturating_sub(region.used.total() + left_out) } else { 0 }
}

/// Files that are left out, for a person: those that systems make anew, and those that were asked for.
pub fn not_stored(files: &[LeftOut]) -> Option<String> {
    let told = [(false, "which systems make anew"), (true, "as asked for")];
    let told = told.map(|(asked, why)| {
        let files: Vec<&LeftOut> = files.iter().filter(|file| file.asked == asked).collect();
        let bytes: u64 = files.iter().map(|file| file.bytes).sum();
        let mut names: Vec<String> = files.iter().map(|file| console::name(&file.path)).collect();
        names.sort_unstable();
        names.dedup();
        let counts = bytes > 0 || asked && !names.is_empty();
        counts.then(|| format!("{} of {}, {why}", human(bytes), names.join(", ")))
    });
    let told: Vec<String> = told.into_iter().flatten().collect();
    (!told.is_empty()).then(|| told.join("; "))
}

/// Only what is surely one partition with a content of its own can be chosen.
fn check_partitions(table: &Table, chosen: &[u32]) -> Result<(), OperationError> {
    let separate: Vec<u32> = table.separate_partitions().iter().map(|p| p.number).collect();
    let Some(number) = chosen.iter().find(|number| !separate.contains(number)) else {
        return Ok(());
    };
    let known: Vec<u32> = table.partitions.iter().map(|partition| partition.number).collect();
    Err(match table.logical_partitions_in(*number) {
        Some(inside) if inside.is_empty() => OperationError::refused(
            format!("partition {number} is an extended one, and no partition is in it"),
            "capture the whole disk, or another partition; see `lifeboat disks`",
        ),
        Some(inside) => {
            let list: Vec<String> = inside.iter().map(u32::to_string).collect();
            OperationError::refused(
                format!("partition {number} is an extended one and has no content of its own"),
                format!("name the partitions that are in it: --partitions {}", list.join(",")),
            )
        }
        None if known.contains(number) => OperationError::refused(
            format!("partition {number} and another one lie over each other"),
            "capture the whole disk: without --partitions all of it is stored",
        ),
        None => OperationError::refused(
            format!("the disk has no partition {number}; it has {}", numbers(&known)),
            "look at it with `lifeboat disks`",
        ),
    })
}

fn inspect_regions(
    disk: &Disk,
    source: &Source,
    table: &Table,
    selection: &Selection,
    warnings: &mut Vec<String>,
) -> Vec<Region> {
    let metadata = (table.scheme != Scheme::None).then(|| {
        let around = inspect::around_shown_array(source).unwrap_or_default();
        table::metadata_extents(source, table).union(&around)
    });
    let companions = MachineVolumes::new(disk, source, table);
    let spans = layout::spans(source.size(), table);
    let mut told = Vec::new();
    let inspected = spans.into_iter().map(|span| {
        let Inspected { region, warnings: own } =
            layout::inspect(source, span, metadata.as_ref(), &companions, selection);
        told.extend(own.into_iter().map(|warning| (span.partition, warning)));
        region
    });
    let regions = inspected.collect();
    warnings.extend(summed_up(told));
    regions
}

/// The warnings with the names of their partitions; what is said of several is said once.
fn summed_up(told: Vec<(Option<u32>, String)>) -> Vec<String> {
    let mut said: Vec<(String, Vec<Option<u32>>)> = Vec::new();
    for (partition, warning) in told {
        match said.iter_mut().find(|(text, _)| *text == warning) {
            Some((_, partitions)) => partitions.push(partition),
            None => said.push((warning, vec![partition])),
        }
    }
    let line = |(text, partitions): (String, Vec<Option<u32>>)| {
        let numbers: Vec<String> = partitions.iter().flatten().map(u32::to_string).collect();
        match numbers.as_slice() {
            [] | [_] => {
                format!("{}: {text}", table::name_of(partitions.into_iter().flatten().next()))
            }
            _ => format!("partitions {}: {text}", numbers.join(", ")),
        }
    };
    said.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_several_partitions_is_said_once() {
        let told = [(Some(1), "odd"), (Some(3), "even"), (None, "all"), (Some(5), "odd")];
        let told = told.map(|(partition, warning)| (partition, warning.to_owned()));
        let lines = ["partitions 1, 5: odd", "partition 3: even", "the disk: all"];
        assert_eq!(summed_up(told.to_vec()), lines);
    }
}
