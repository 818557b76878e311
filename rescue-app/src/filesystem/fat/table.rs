//! The file allocation table itself.

use super::super::moving::unwritten;
use super::boot_sector::{BootSector, RESERVED};
use crate::bytes::{ReadAt, WriteAt, le16, le32, put, slice};
use crate::volume::{Doubt, Kind, UsedMap};

/// Bytes read at once; a multiple of every entry's length, also of a pair of 12-bit entries.
const PIECE: usize = 3 << 18;
/// The same for the chains of a larger table, which jump to and fro.
const JUMP: u64 = 3 << 13;
/// Bytes written at once; those without a change are not.
const WRITTEN: usize = 64 << 10;

/// How one kind of FAT writes its entries.
struct Width {
    bits: u32,
    /// Bits of an entry that are its value.
    mask: u32,
    /// The mark of a bad cluster; marks of a chain's end follow, reserved values precede.
    bad: u32,
    /// Most clusters this kind can number.
    most: u32,
}

const FAT12: Width = Width { bits: 12, mask: 0xfff, bad: 0xff7, most: 0xff4 };
const FAT16: Width = Width { bits: 16, mask: 0xffff, bad: 0xfff7, most: 0xfff4 };
const FAT32: Width = Width { bits: 32, mask: 0x0fff_ffff, bad: 0x0fff_fff7, most: 0x0fff_fff4 };

/// What the table says of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// Nothing has it.
    Free,
    /// It cannot be used.
    Bad,
    /// It is the last of a chain: one of the marks for that.
    End(u32),
    /// The next one of its chain.
    Next(u32),
}

/// The tables of a volume.
pub(super) struct Table {
    boot: BootSector,
    width: Width,
    /// Bytes of one copy that hold entries.
    len: u64,
}

impl Table {
    /// Checks that one table holds an entry for every cluster.
    pub(super) fn new(boot: &BootSector) -> Result<Self, Doubt> {
        let width = match boot.kind {
            Kind::Fat12 => FAT12,
            Kind::Fat16 => FAT16,
            _ => FAT32,
        };
        let entries = u64::from(boot.clusters).saturating_add(RESERVED.into());
        let len = entries.saturating_mul(width.bits.into()).div_ceil(8);
        let room = u64::from(boot.fat_sectors).saturating_mul(boot.sector_size.into());
        if len > room || boot.clusters > width.most || boot.active_fat() >= boot.fats {
            return Err(Doubt::because("its allocation table does not fit its size"));
        }
        Ok(Self { boot: boot.clone(), width, len })
    }

    /// Fails unless all copies say the same.
    pub(super) fn compare_copies(&self, volume: &dyn ReadAt) -> Result<(), Doubt> {
        for copy in 1..self.boot.fats {
            self.pieces(|at, len| {
                if read(volume, self.boot.fat(0), at, len)?
                    == read(volume, self.boot.fat(copy), at, len)?
                {
                    Ok(())
                } else {
                    Err(Doubt::because("the copies of its allocation table differ"))
                }
            })?;
        }
        Ok(())
    }

    /// Adds every cluster in use; returns their number. Bad clusters count as unused: they cannot
    /// be read, and nothing reads them.
    pub(super) fn used(&self, volume: &dyn ReadAt, map: &mut UsedMap) -> Result<u32, Doubt> {
        let mut used = 0u32;
        self.links(volume, |number, link| {
            if !matches!(link, Link::Free | Link::Bad) {
                let cluster = number.saturating_sub(RESERVED);
                let end = self.boot.cluster(cluster.saturating_add(1));
                map.add(self.boot.cluster(cluster), end);
                used = used.saturating_add(1);
            }
            Ok(())
        })?;
        Ok(used)
    }

    /// Calls `each` for every cluster, by its number, with what the table says of it.
    pub(super) fn links(
        &self,
        volume: &dyn ReadAt,
        mut each: impl FnMut(u32, Link) -> Result<(), Doubt>,
    ) -> Result<(), Doubt> {
        let mut number = 0u32;
        self.pieces(|at, len| {
            let bytes = read(volume, self.boot.fat(self.boot.active_fat()), at, len)?;
            for value in entries(&self.width, &bytes) {
                if number == 0 && value == 0 {
                    // The kind of medium stands here.
                    return Err(Doubt::because("its allocation table lacks its first entry"));
                }
                if self.boot.position(number).is_some() {
                    each(number, self.link(number, value)?)?;
                }
                number = number.saturating_add(1);
            }
            Ok(())
        })
    }

    fn link(&self, number: u32, value: u32) -> Result<Link, Doubt> {
        if value == 0 {
            Ok(Link::Free)
        } else if value == self.width.bad {
            Ok(Link::Bad)
        } else if value > self.width.bad {
            Ok(Link::End(value))
        } else if self.boot.position(value).is_some() {
            Ok(Link::Next(value))
        } else {
            let words = format!("cluster {number} is followed by {value}, which does not exist");
            Err(Doubt::because(words))
        }
    }

    /// Writes what `change` says of every cluster into the copy that counts, or into all of them, which are alike,
    /// where all are kept up to date.
    pub(super) fn rewrite(
        &self,
        volume: &dyn WriteAt,
        mut change: impl FnMut(u32, Link) -> Result<u32, Doubt>,
    ) -> Result<(), Doubt> {
        let active = self.boot.active_fat();
        let copies = if self.boot.is_mirrored() {
            0..self.boot.fats
        } else {
            active..active.saturating_add(1)
        };
        let mut number = 0u32;
        self.pieces(|at, len| {
            let before = read(volume, self.boot.fat(active), at, len)?;
            let mut bytes = before.clone();
            let values: Vec<u32> = entries(&self.width, &bytes).collect();
            for (index, value) in values.into_iter().enumerate() {
                if self.boot.position(number).is_some() {
                    let changed = change(number, self.link(number, value)?)?;
                    put_entry(&self.width, &mut bytes, index, changed);
                }
                number = number.saturating_add(1);
            }
            let parts =
                before.chunks(WRITTEN).zip(bytes.chunks(WRITTEN)).zip((at..).step_by(WRITTEN));
            for ((_, part), at) in parts.filter(|((before, part), _)| before != part) {
                for copy in copies.clone() {
                    let place = self.boot.fat(copy).saturating_add(at);
                    volume.write_at(place, part).map_err(unwritten)?;
                }
            }
            Ok(())
        })
    }

    fn pieces(&self, mut each: impl FnMut(u64, usize) -> Result<(), Doubt>) -> Result<(), Doubt> {
        let mut at = 0u64;
        while at < self.len {
            let left = self.len.saturating_sub(at);
            let len = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
            each(at, len)?;
            at = at.saturating_add(len as u64);
        }
        Ok(())
    }
}

/// Follows chains of clusters, with a small table in memory, or one piece of a large one.
pub(super) struct Chains<'a> {
    volume: &'a dyn ReadAt,
    table: Table,
    /// Steps left; no cluster belongs to two files, and folders are followed more than once.
    steps: u64,
    /// Bytes of a piece.
    len: u64,
    /// Where the piece begins in the table, and its bytes.
    piece: (u64, Vec<u8>),
}

impl<'a> Chains<'a> {
    pub(super) fn new(volume: &'a dyn ReadAt, boot: &BootSector) -> Result<Self, Doubt> {
        let table = Table::new(boot)?;
        let len = if table.len <= PIECE as u64 { PIECE as u64 } else { JUMP };
        let mut chains = Self { volume, table, steps: 0, len, piece: (0, Vec::new()) };
        chains.allow_steps();
        Ok(chains)
    }

    /// As many steps as a look at all files takes.
    pub(super) fn allow_steps(&mut self) {
        self.steps = u64::from(self.table.boot.clusters).saturating_mul(4);
    }

    /// Calls `each` for the clusters of a chain, counted from 0, until it says no. Whether the
    /// chain came to its end; one that has none is given up.
    pub(super) fn follow(&mut self, first: u32, mut each: impl FnMut(u32) -> bool) -> bool {
        let mut number = first;
        for _ in 0..self.table.boot.clusters {
            let Some(cluster) = self.table.boot.position(number) else { return false };
            if !each(cluster) {
                return false;
            }
            match self.next(number) {
                Some(next) if next > self.table.width.bad => return true,
                Some(next) => number = next,
                None => return false,
            }
        }
        false
    }

    /// The entry of a cluster.
    fn next(&mut self, number: u32) -> Option<u32> {
        self.steps = self.steps.checked_sub(1)?;
        let bit = u64::from(number).checked_mul(self.table.width.bits.into())?;
        let start = (bit / 8).checked_div(self.len)?.checked_mul(self.len)?;
        if self.piece.1.is_empty() || self.piece.0 != start {
            let len = self.table.len.checked_sub(start)?.min(self.len);
            let fat = self.table.boot.fat(self.table.boot.active_fat());
            self.piece = (start, read(self.volume, fat, start, usize::try_from(len).ok()?).ok()?);
        }
        let at = bit.checked_sub(start.checked_mul(8)?)?;
        let index = usize::try_from(at.checked_div(self.table.width.bits.into())?).ok()?;
        entry(&self.table.width, &self.piece.1, index)
    }
}

fn read(volume: &dyn ReadAt, table: u64, at: u64, len: usize) -> Result<Vec<u8>, Doubt> {
    volume.read_vec(table.saturating_add(at), len).map_err(Doubt::reading("the allocation table"))
}

/// The entries in a piece that starts at an entry's first byte (with 12 bits: at a pair's).
fn entries(width: &Width, bytes: &[u8]) -> impl Iterator<Item = u32> {
    let bits = width.bits as usize;
    let count = bytes.len().saturating_mul(8).checked_div(bits).unwrap_or(0);
    (0..count).map_while(move |index| entry(width, bytes, index))
}

fn entry(width: &Width, bytes: &[u8], index: usize) -> Option<u32> {
    let bit = index.checked_mul(width.bits as usize)?;
    let value = match width.bits {
        32 => le32(bytes, bit / 8)?,
        // Two entries of 12 bits share three bytes.
        _ => u32::from(le16(bytes, bit / 8)?) >> (bit % 8),
    };
    Some(value & width.mask)
}

/// Writes an entry; bits that are no part of its value stay.
fn put_entry(width: &Width, bytes: &mut [u8], index: usize, value: u32) {
    let Some(bit) = index.checked_mul(width.bits as usize) else { return };
    let (at, shift) = (bit / 8, bit % 8);
    let field = |old: u32| (old & !(width.mask << shift)) | (value & width.mask) << shift;
    match (width.bits, le32(bytes, at), le16(bytes, at)) {
        (32, Some(old), _) => put(bytes, at, &field(old).to_le_bytes()),
        (_, _, Some(old)) => {
            let changed = field(old.into()).to_le_bytes();
            put(bytes, at, changed.get(..2).unwrap_or_default());
        }
        _ => {}
    }
}

/// Bits of the second entry that Windows sets on a clean volume: one for "closed", the next lower
/// one for "no read or write errors". FAT12 has none.
fn clean_bits(kind: Kind, table: &[u8]) -> Option<(bool, bool)> {
    let (value, bit) = match kind {
        Kind::Fat16 => (u32::from(le16(slice(table, 2, 2)?, 0)?), 0x8000),
        Kind::Fat32 => (le32(table, 4)?, 0x0800_0000),
        _ => return None,
    };
    Some((value & bit != 0, value & (bit >> 1) != 0))
}

/// Whether the table's start says that the volume was not closed.
pub(super) fn marked_dirty(kind: Kind, table: &[u8]) -> bool {
    clean_bits(kind, table).is_some_and(|(closed, _)| !closed)
}

/// Whether the table's start says that reading or writing failed.
pub(super) fn marked_faulty(kind: Kind, table: &[u8]) -> bool {
    clean_bits(kind, table).is_some_and(|(_, faultless)| !faultless)
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_all_widths() {
        let values = |width, bytes: &[u8]| entries(&width, bytes).collect::<Vec<_>>();
        assert_eq!(values(FAT12, &[0x23, 0x61, 0x45]), [0x123, 0x456]);
        assert_eq!(values(FAT12, &[0x23, 0x61, 0x45, 0xff, 0x0f]), [0x123, 0x456, 0xfff]);
        assert_eq!(values(FAT16, &[0x34, 0x12, 0xff, 0xff]), [0x1234, 0xffff]);
        assert_eq!(values(FAT32, &[0x78, 0x56, 0x34, 0xf2]), [0x0234_5678]);
    }

    #[test]
    fn an_entry_is_written_without_its_neighbours() {
        for (width, len) in [(FAT12, 9), (FAT16, 12), (FAT32, 24)] {
            let mut bytes = vec![0xa5; len];
            let mut expected: Vec<u32> = entries(&width, &bytes).collect();
            for (index, value) in [(2, 0x123), (3, 0xff8), (0, 0), (5, 0xfff)] {
                put_entry(&width, &mut bytes, index, value);
                expected[index] = value;
                assert_eq!(entries(&width, &bytes).collect::<Vec<_>>(), expected);
            }
        }
        let mut bytes = [0xa5; 4];
        put_entry(&FAT32, &mut bytes, 0, 1);
        assert_eq!(bytes, [1, 0, 0, 0xa0], "the upper four bits stay");
    }
}
