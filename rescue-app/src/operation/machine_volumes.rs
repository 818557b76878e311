//! The volumes of the machine, for what is spread over several disks.

use std::sync::OnceLock;

use crate::bytes::Window;
use crate::disk::{self, Disk, DiskKind, Source};
use crate::image::disk_volumes::DiskVolumes;
use crate::table::Table;
use crate::volume::{Companions, Kind};

use super::survey::read_table;

/// The volumes of one disk, and those of the machine's other disks, which are opened read-only
/// when they are first asked for. To an image file only its own volumes belong.
pub(super) struct MachineVolumes<'a> {
    disk: &'a Disk,
    own: DiskVolumes<&'a Source>,
    others: OnceLock<Vec<DiskVolumes<Source>>>,
}

impl<'a> MachineVolumes<'a> {
    /// `source` and `table` are those of `disk`.
    pub(super) fn new(disk: &'a Disk, source: &'a Source, table: &Table) -> Self {
        Self { disk, own: DiskVolumes::new(source, table), others: OnceLock::new() }
    }

    /// A disk that cannot be read has nothing to contribute.
    fn other_disks(&self) -> Vec<DiskVolumes<Source>> {
        if self.disk.kind == DiskKind::ImageFile {
            return Vec::new();
        }
        let disks = disk::list().unwrap_or_default();
        let others = disks.into_iter().filter(|other| other.path != self.disk.path);
        others
            .filter_map(|other| {
                let source = Source::open(&other.path).ok()?;
                let table = read_table(&source, other.logical_sector).ok()?;
                Some(DiskVolumes::new(source, &table))
            })
            .collect()
    }
}

impl Companions for MachineVolumes<'_> {
    fn of_kind(&self, kind: Kind) -> Vec<Window<'_>> {
        let others = self.others.get_or_init(|| self.other_disks());
        let mut volumes = self.own.of_kind(kind);
        volumes.extend(others.iter().flat_map(|other| other.of_kind(kind)));
        volumes
    }
}
