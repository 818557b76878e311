//! Signatures: the few bytes by which other programs tell what a disk or partition holds.
//!
//! What `blkid`, `udev`, `mount`, `mdadm`, LVM and the kernel take a volume for hangs on them, so
//! a restore leaves none of before behind, and a disk on which there is one is not blank. Names
//! and places are those of libblkid (util-linux 2.38 to 2.43, `libblkid/src/superblocks` and
//! `libblkid/src/partitions`); besides, [`find`] names the copies that some formats keep and
//! libblkid does not look at: recovery tools do.
//!
//! A signature says only that bytes look like something. Whether it counts, the readers of
//! `filesystem` and `table` tell, which check what belongs to it.

mod checks;
mod magics;
mod scans;

use std::io;

use serde::Serialize;

use crate::bytes::ReadAt;

/// What kind of thing a signature stands for, as libblkid groups them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Usage {
    /// A filesystem.
    Filesystem,
    /// A member of something larger: RAID, LVM, and the like.
    Raid,
    /// An encrypted container.
    Crypto,
    /// A partition table.
    Table,
    /// Swap space, journals, caches.
    Other,
}

/// A signature found on a volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Signature {
    /// What it says, in libblkid's words (`TYPE` or `PTTYPE`): "linux_raid_member", "ext4", "gpt".
    pub name: &'static str,
    /// What kind of thing that is.
    pub usage: Usage,
    /// Its first byte on the volume.
    pub offset: u64,
    /// How many bytes make it; without them nothing finds it any more.
    pub len: usize,
}

impl Signature {
    /// One past its last byte on the volume.
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(self.len as u64)
    }
}

/// Every signature on `volume`, a disk or a partition, by its place. Reads about 2.5 MiB at most:
/// both ends, and the few places in between where a format keeps something.
///
/// # Errors
/// When one of the places cannot be read: nothing is known of it then.
pub fn find(volume: &dyn ReadAt) -> io::Result<Vec<Signature>> {
    let volume = Ends::read(volume)?;
    let mut found = magics::find(&volume)?;
    found.extend(scans::find(&volume)?);
    found.sort_by_key(|signature| (signature.offset, signature.name));
    found.dedup();
    Ok(found)
}

/// Bytes at each end of a volume that are read once: most places lie there.
const EDGE: u64 = 1 << 20;

/// A volume whose ends are in memory.
struct Ends<'a> {
    volume: &'a dyn ReadAt,
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl<'a> Ends<'a> {
    fn read(volume: &'a dyn ReadAt) -> io::Result<Self> {
        let edge = volume.size().min(EDGE);
        let len = usize::try_from(edge).unwrap_or_default();
        let head = volume.read_vec(0, len)?;
        let tail = volume.read_vec(volume.size() - edge, len)?;
        Ok(Self { volume, head, tail })
    }

    /// The `len` bytes at `at`; `None` where the volume is shorter.
    fn bytes(&self, at: u64, len: usize) -> io::Result<Option<Vec<u8>>> {
        let size = self.volume.size();
        if at.checked_add(len as u64).is_none_or(|end| end > size) {
            return Ok(None);
        }
        let tail_start = size - self.tail.len() as u64;
        let edge = match at {
            _ if at >= tail_start => self.tail.read_vec(at - tail_start, len),
            _ => self.head.read_vec(at, len),
        };
        edge.or_else(|_| self.volume.read_vec(at, len)).map(Some)
    }

    /// Whether `wanted` stands at `at`.
    fn has(&self, at: u64, wanted: &[u8]) -> io::Result<bool> {
        Ok(self.bytes(at, wanted.len())?.is_some_and(|found| found == wanted))
    }
}

#[cfg(test)]
mod tests;
