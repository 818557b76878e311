//! Opening the encrypted containers of a disk that is to be captured, so that what nothing uses
//! inside them can be left out.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::Serialize;

use crate::bytes::{ReadAt, Window};
use crate::disk::{self, Disk, Source};
use crate::image::layout::{self, Span};
use crate::import;
use crate::inspect;
use crate::progress::available_memory;
use crate::table::{self, Purpose, Table};
use crate::volume::{Effort, LockedContainer, UnlockError, VolumeKey};

use super::error::OperationError;
use super::machine_volumes::MachineVolumes;
use super::survey::read_table;

/// Opened containers.
pub type Keys = BTreeMap<Container, VolumeKey>;

/// A locked container and where on its disk it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Container {
    /// Partition number; `None` is a disk without a table.
    pub partition: Option<u32>,
    /// The container.
    #[serde(flatten)]
    pub locked: LockedContainer,
}

/// "partition 3", "vg/home in partition 3".
impl fmt::Display for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(volume) = &self.locked.logical_volume {
            write!(f, "{volume} in ")?;
        }
        f.write_str(&table::name_of(self.partition))
    }
}

/// A disk with encrypted containers.
pub struct LockedDisk {
    disk: Disk,
    source: Source,
    table: Table,
    containers: Vec<(Span, LockedContainer)>,
}

impl LockedDisk {
    /// Looks for containers on the disk or image file at `path`, in its logical volumes and arrays
    /// too; reads only.
    pub fn open(path: &Path, sector_size: Option<u32>) -> Result<Self, OperationError> {
        let disk = disk::open(path, sector_size)?;
        let (disk, source) = import::open_in_place(disk, sector_size)?;
        let table = read_table(&source, disk.logical_sector)?;
        let mut containers = Vec::new();
        let mut spans = layout::spans(source.size(), &table);
        spans.retain(|span| span.purpose == Purpose::Volume);
        for span in spans {
            let companions = MachineVolumes::new(&disk, &source, &table);
            let volume = Window::new(&source, span.start, span.size);
            let found = inspect::locked_containers(&volume, &companions);
            containers.extend(found.into_iter().map(|container| (span, container)));
        }
        Ok(Self { disk, source, table, containers })
    }

    /// The containers. Both sides of a mirror have the same one.
    pub fn containers(&self) -> Vec<Container> {
        let all = self.containers.iter();
        let named = |(span, locked): &(Span, LockedContainer)| Container {
            partition: span.partition,
            locked: locked.clone(),
        };
        all.map(named).collect()
    }

    /// Opens one of them with a passphrase, a recovery key or the content of a key file. Takes the
    /// seconds that guessing is made to take.
    ///
    /// # Errors
    /// Refuses what is not there; otherwise says why it stays closed and what can be done.
    pub fn unlock(
        &self,
        container: &Container,
        secret: &[u8],
    ) -> Result<VolumeKey, OperationError> {
        let is_it = |(span, locked): &&(Span, LockedContainer)| {
            span.partition == container.partition && *locked == container.locked
        };
        let Some((span, locked)) = self.containers.iter().find(is_it) else {
            return Err(OperationError::refused(
                format!("{container} holds nothing to unlock"),
                "look at the disk with `lifeboat disks`",
            ));
        };
        let companions = MachineVolumes::new(&self.disk, &self.source, &self.table);
        let volume = Window::new(&self.source, span.start, span.size);
        let effort = Effort::with_memory(available_memory());
        inspect::unlock_in((&volume, &companions), locked, secret, effort).map_err(|error| {
            let next = next_step(&error);
            OperationError::refused(format!("{container} stays locked: {error}"), next)
        })
    }
}

fn next_step(error: &UnlockError) -> &'static str {
    match error {
        UnlockError::WrongPassphrase(_) | UnlockError::WrongSecret => {
            "nothing was stored; try again, minding capital letters and the keyboard's layout, or \
             capture it locked, which stores every byte"
        }
        UnlockError::Mistyped(_) | UnlockError::RecoveryKeyNeeded => {
            "nothing was stored; try again with the recovery key, or capture it locked, which stores \
             every byte"
        }
        UnlockError::Memory { .. } => {
            "use a passphrase of a key slot that takes less, or capture it locked, which stores \
             every byte"
        }
        UnlockError::Unknown(_) => "capture it locked, which stores every byte",
    }
}
