//! Fitting a captured table to the disk it is restored to.
//!
//! Only what depends on the disk's size changes. Entries are carried over byte for byte: boot
//! loaders, fstab and the Windows BCD refer to partitions by number and GUID. (The `gpt` crate's
//! writer moves used entries to the front: 1, 3, 5 would become 1, 2, 3.)

use super::crc::crc32;
use super::gpt::{Copies, Copy, last_lba, set};
use super::{Scheme, Table, TableError};
use crate::bytes::{Extents, ReadAt, le32, slice};

/// Bytes to put over the captured ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// Byte offset on the disk.
    pub offset: u64,
    /// The new bytes.
    pub bytes: Vec<u8>,
    /// What they are: "primary GPT header".
    pub what: &'static str,
}

impl Patch {
    /// Puts the patch over `buf`, which holds the disk's bytes from `offset` on, as far as the
    /// two overlap.
    pub fn apply_to(&self, offset: u64, buf: &mut [u8]) {
        let skip =
            |from: u64, to: u64| usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX);
        let source = self.bytes.iter().skip(skip(self.offset, offset));
        for (place, byte) in buf.iter_mut().skip(skip(offset, self.offset)).zip(source) {
            *place = *byte;
        }
    }
}

/// What has to change on a disk of `target_size` bytes that gets the captured disk `image`, whose
/// table [`super::read`] has read as `table`. The patches do not overlap.
///
/// An MBR needs nothing. A GPT on a larger disk gets its backup moved to the end, with both headers
/// saying so, and the protective MBR covering the disk; the old backup is cleared where it lies
/// outside all partitions. On a disk of equal size nothing changes, unless one copy is damaged:
/// that one is written anew from the other.
///
/// # Errors
/// When the target is smaller than the image, or partition data lies where a copy belongs.
pub fn fit_to_disk(
    image: &dyn ReadAt,
    table: &Table,
    target_size: u64,
) -> Result<Vec<Patch>, TableError> {
    if target_size < image.size() {
        return Err(TableError::TooSmall { target_size, needed: image.size() });
    }
    if table.scheme != Scheme::Gpt {
        return Ok(Vec::new());
    }
    let copies = Copies::read(image, table.sector_size);
    let new_last = last_lba(target_size, table.sector_size);
    let grows = new_last > last_lba(image.size(), table.sector_size);
    if !grows && copies.primary.is_ok() && copies.backup.is_ok() {
        return Ok(Vec::new());
    }
    let best = copies.best().ok_or(TableError::Lost)?;
    let plan = Plan::new(table, &copies, best, new_last, grows)?;
    let mut patches = plan.patches(best);
    patches.extend(stale_backup(&copies, table, &patches));
    if grows {
        patches.extend(protective_mbr(image, new_last));
    }
    patches.retain(|patch| differs(image, patch));
    patches.sort_by_key(|patch| patch.offset);
    Ok(patches)
}

/// Where everything goes, in sectors.
struct Plan {
    sector_size: u32,
    primary_array: u64,
    backup_array: u64,
    last: u64,
    last_usable: u64,
}

impl Plan {
    fn new(
        table: &Table,
        copies: &Copies,
        best: &Copy,
        last: u64,
        grows: bool,
    ) -> Result<Self, TableError> {
        let sector_size = table.sector_size;
        let sectors = best.array_sectors(sector_size);
        let data = table.partitioned();
        let free = |lba: u64, count: u64| {
            let at = |lba: u64| lba.saturating_mul(u64::from(sector_size));
            data.within(at(lba), at(lba.saturating_add(count))).next().is_none()
        };
        // A primary array elsewhere than in sector 2 stays there; it is valid.
        let primary_array = copies.primary.as_ref().map_or(2, |primary| primary.header.part_start);
        if !free(1, 1) || !free(primary_array, sectors) {
            return Err(TableError::NoRoom { copy: "primary" });
        }
        let backup_array = last.saturating_sub(sectors);
        if backup_array <= primary_array.saturating_add(sectors) || !free(backup_array, sectors + 1)
        {
            return Err(TableError::NoRoom { copy: "backup" });
        }
        let last_usable = match grows {
            true => backup_array - 1,
            false => best.header.last_usable.min(backup_array - 1),
        };
        Ok(Self { sector_size, primary_array, backup_array, last, last_usable })
    }

    fn patches(&self, best: &Copy) -> Vec<Patch> {
        let at = |lba: u64| lba.saturating_mul(u64::from(self.sector_size));
        let primary = self.header(best, 1, self.last, self.primary_array);
        let backup = self.header(best, self.last, 1, self.backup_array);
        let patch = |lba, bytes, what| Patch { offset: at(lba), bytes, what };
        vec![
            patch(1, primary, "primary GPT header"),
            patch(self.primary_array, best.entries.clone(), "primary GPT entries"),
            patch(self.backup_array, best.entries.clone(), "backup GPT entries"),
            patch(self.last, backup, "backup GPT header"),
        ]
    }

    /// The sector of a header: what the valid one says, with the fields that depend on the place.
    /// Offsets: UEFI specification, table 5-5.
    fn header(&self, best: &Copy, own: u64, other: u64, array: u64) -> Vec<u8> {
        let mut sector = best.header_sector.clone();
        set(&mut sector, 24, &own.to_le_bytes());
        set(&mut sector, 32, &other.to_le_bytes());
        set(&mut sector, 48, &self.last_usable.to_le_bytes());
        set(&mut sector, 72, &array.to_le_bytes());
        set(&mut sector, 16, &[0; 4]);
        let len = usize::try_from(best.header.header_size_le).unwrap_or(0);
        let crc = crc32(slice(&sector, 0, len).unwrap_or_default());
        set(&mut sector, 16, &crc.to_le_bytes());
        sector
    }
}

/// Zeros over the captured disk's backup where nothing else lies now.
fn stale_backup(copies: &Copies, table: &Table, patches: &[Patch]) -> Vec<Patch> {
    let Ok(old) = &copies.backup else { return Vec::new() };
    let written = patches.iter().map(|patch| (patch.offset, patch.bytes.len() as u64));
    let keep = Extents::from(written.collect::<Vec<_>>()).union(&table.partitioned());
    let old = old.extents(table.sector_size);
    let cleared = old.iter().flat_map(|extent| {
        let free = keep.gaps_within(extent.start, extent.end);
        free.iter().collect::<Vec<_>>()
    });
    cleared
        .map(|extent| Patch {
            offset: extent.start,
            bytes: vec![0; usize::try_from(extent.len()).unwrap_or(0)],
            what: "old backup GPT",
        })
        .collect()
}

/// The size in the protective entry, when it is the only entry and says a size at all
/// (UEFI specification, table 5-4). In a hybrid MBR it covers something else.
fn protective_mbr(image: &dyn ReadAt, new_last: u64) -> Option<Patch> {
    const ENTRIES: usize = 446;
    let mbr = image.read_vec(0, 512).ok()?;
    let entry = |slot: usize| slice(&mbr, ENTRIES + slot * 16, 16);
    let used = |slot: &usize| entry(*slot).is_some_and(|entry| entry.get(4) != Some(&0));
    let mut slots = (0..4).filter(used);
    let (slot, None) = (slots.next()?, slots.next()) else { return None };
    let (start, sectors) = (le32(entry(slot)?, 8)?, le32(entry(slot)?, 12)?);
    if start != 1 || sectors == u32::MAX {
        return None;
    }
    // From byte 5: CHS of the end, "not representable"; start; size.
    let mut bytes = vec![0xff; 3];
    bytes.extend(start.to_le_bytes());
    bytes.extend(u32::try_from(new_last).unwrap_or(u32::MAX).to_le_bytes());
    let offset = (ENTRIES + slot * 16 + 5) as u64;
    Some(Patch { offset, bytes, what: "protective MBR" })
}

/// Whether the patch changes anything; behind the end of the image everything is new.
fn differs(image: &dyn ReadAt, patch: &Patch) -> bool {
    image.read_vec(patch.offset, patch.bytes.len()).map_or(true, |found| found != patch.bytes)
}
