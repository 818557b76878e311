//! Opening the LUKS containers of a disk that is to be captured, so that what nothing uses inside
//! them can be left out.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::bytes::{ReadAt, Window};
use crate::disk::{self, Source};
use crate::filesystem::{self, Effort, Kind, UnlockError, VolumeKey};
use crate::image::layout::{self, Span};

use super::error::OperationError;
use super::survey::read_table;

/// Opened containers by partition number; `None` is a disk without a table.
pub type Keys = BTreeMap<Option<u32>, VolumeKey>;

/// A disk with LUKS containers.
pub struct LockedDisk {
    source: Source,
    containers: Vec<Span>,
}

impl LockedDisk {
    /// Looks for containers on the disk or image file at `path`; reads only.
    pub fn open(path: &Path, sector_size: Option<u32>) -> Result<Self, OperationError> {
        let disk = disk::open(path, sector_size)?;
        let source = Source::open(&disk.path)?;
        let table = read_table(&source, disk.logical_sector)?;
        let is_container = |span: &Span| {
            let found = filesystem::recognise(&Window::new(&source, span.start, span.size));
            let kind = found.ok().flatten().map(|found| found.kind);
            matches!(kind, Some(Kind::Luks1 | Kind::Luks2))
        };
        let containers = layout::spans(source.size(), &table).into_iter().filter(is_container);
        Ok(Self { containers: containers.collect(), source })
    }

    /// The partitions that are containers; `None` is a disk without a table.
    pub fn partitions(&self) -> Vec<Option<u32>> {
        self.containers.iter().map(|span| span.partition).collect()
    }

    /// Opens one of them with a passphrase or the content of a key file. Takes the seconds that
    /// its key slots are made to take.
    ///
    /// # Errors
    /// Refuses what is no container; otherwise says why it stays closed and what can be done.
    pub fn unlock(
        &self,
        partition: Option<u32>,
        passphrase: &[u8],
    ) -> Result<VolumeKey, OperationError> {
        let name = name_of(partition);
        let Some(span) = self.containers.iter().find(|span| span.partition == partition) else {
            return Err(OperationError::refused(
                format!("{name} is no LUKS container"),
                "look at the disk with `lifeboat disks`",
            ));
        };
        let volume = Window::new(&self.source, span.start, span.size);
        let effort = Effort::with_memory(free_memory());
        filesystem::unlock(&volume, passphrase, effort).map_err(|error| {
            let next = next_step(&error);
            OperationError::refused(format!("{name} stays locked: {error}"), next)
        })
    }
}

/// A container for a person.
pub fn name_of(partition: Option<u32>) -> String {
    partition.map_or_else(|| "the disk".to_owned(), |number| format!("partition {number}"))
}

fn next_step(error: &UnlockError) -> &'static str {
    match error {
        UnlockError::WrongPassphrase(_) => {
            "nothing was stored; try again, minding capital letters and the keyboard's layout, or \
             capture it locked, which stores every byte"
        }
        UnlockError::Memory { .. } => {
            "use a passphrase of a key slot that takes less, or capture it locked, which stores \
             every byte"
        }
        UnlockError::Unknown(_) => "capture it locked, which stores every byte",
    }
}

/// `MemAvailable` in bytes; where the kernel does not tell, what any machine has.
fn free_memory() -> u64 {
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.map_or(256 << 20, |kib| kib.saturating_mul(1024))
}
