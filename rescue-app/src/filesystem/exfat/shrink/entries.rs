//! Entries of folders that are changed.

use super::super::boot_region::Layout;
use super::super::directory::{ENTRY, NO_FAT_CHAIN};
use super::super::fat::Run;
use super::survey::{Object, What};
use crate::bytes::{WriteAt, le16, put};
use crate::filesystem::moving::unwritten;
use crate::volume::Doubt;
use crate::volume::probe::byte;

/// Places of fields in an entry (§6.2 to §7.6): number of those that belong to it, checksum of all of them; flags, first
/// cluster and length of what one tells of.
const SECONDARY_COUNT: usize = 1;
const CHECKSUM: usize = 2;
const FLAGS: usize = 1;
const FIRST: usize = 20;
const LENGTH: usize = 24;

/// A folder where it lies now.
pub(super) struct Folder<'a> {
    pub(super) volume: &'a dyn WriteAt,
    pub(super) layout: &'a Layout,
    pub(super) runs: &'a [Run],
}

impl Folder<'_> {
    /// Writes where an object begins, and what else there is to tell of it.
    pub(super) fn tell(&self, object: &Object, first: u32) -> Result<(), Doubt> {
        let mut entry = self.read(object.at)?;
        put(&mut entry, FIRST, &first.to_le_bytes());
        if object.what == What::Bitmap {
            put(&mut entry, LENGTH, &self.layout.bitmap_size().to_le_bytes());
        }
        let Some(set) = object.set else { return self.write(object.at, &entry) };
        let flags = byte(&entry, FLAGS).unwrap_or(0);
        let chained = if object.contiguous { flags } else { flags & !NO_FAT_CHAIN };
        put(&mut entry, FLAGS, &[chained]);
        let mut head = self.read(set)?;
        let count = byte(&head, SECONDARY_COUNT).unwrap_or(0);
        let mut whole = head.clone();
        for number in 1..=usize::from(count) {
            whole.extend(self.read(set + number * ENTRY)?);
        }
        let inside = object.at - set;
        if le16(&whole, CHECKSUM) != Some(checksum(&whole)) || inside >= whole.len() {
            return Err(Doubt::because("the checksum of a file's entries is wrong"));
        }
        put(&mut whole, inside, &entry);
        put(&mut head, CHECKSUM, &checksum(&whole).to_le_bytes());
        self.write(object.at, &entry)?;
        self.write(set, &head)
    }

    fn read(&self, at: usize) -> Result<Vec<u8>, Doubt> {
        let read = self.volume.read_vec(self.place(at)?, ENTRY);
        read.map_err(Doubt::reading("an entry of a folder"))
    }

    fn write(&self, at: usize, entry: &[u8]) -> Result<(), Doubt> {
        self.volume.write_at(self.place(at)?, entry).map_err(unwritten)
    }

    /// Where byte `at` of the folder is on the volume.
    fn place(&self, at: usize) -> Result<u64, Doubt> {
        let mut left = at as u64;
        for run in self.runs {
            let len = self.layout.bytes(run.count);
            if left < len {
                return Ok(self.layout.cluster(run.first) + left);
            }
            left -= len;
        }
        Err(Doubt::because("the entries of a file end behind their folder"))
    }
}

/// `SetChecksum` (§6.3.3), of which the field itself is no part.
fn checksum(set: &[u8]) -> u16 {
    let summed = set.iter().enumerate().filter(|(at, _)| !matches!(*at, CHECKSUM | 3));
    summed.fold(0u16, |sum, (_, byte)| sum.rotate_right(1).wrapping_add((*byte).into()))
}
