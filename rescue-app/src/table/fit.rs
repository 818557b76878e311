//! Fitting a captured table to the disk it is restored to.
//!
//! Only what depends on the disk's size changes. Entries are carried over byte for byte: boot
//! loaders, fstab and the Windows BCD refer to partitions by number and GUID. (The `gpt` crate's
//! writer moves used entries to the front: 1, 3, 5 would become 1, 2, 3.)

use super::crc::crc32;
use super::gpt::{Copies, Copy, SIGNATURE, last_lba, set};
use super::{Scheme, Table, TableError};
use crate::bytes::{Extents, ReadAt, is_zero, le32, slice};

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
/// A disk of equal size gets the same bytes; with `mend`, a damaged copy of the GPT is written anew
/// from the other one. On a larger disk an MBR needs nothing; of a GPT the backup moves to the end,
/// both headers say so, and the protective MBR covers the disk. The old backup is cleared where it
/// lies outside all partitions, and a damaged primary copy is written anew, unless something else
/// lies in its place: the other copy serves then, as it did on the captured disk.
///
/// # Errors
/// When the target is smaller than the image, or something else lies where a copy has to go.
pub fn fit_to_disk(
    image: &dyn ReadAt,
    table: &Table,
    target_size: u64,
    mend: bool,
) -> Result<Vec<Patch>, TableError> {
    if target_size < image.size() {
        return Err(TableError::TooSmall { target_size, needed: image.size() });
    }
    let new_last = last_lba(target_size, table.sector_size);
    let grows = new_last > last_lba(image.size(), table.sector_size);
    if table.scheme != Scheme::Gpt || !grows && !mend {
        return Ok(Vec::new());
    }
    let copies = Copies::read(image, table.sector_size);
    if !grows && copies.primary.is_ok() && copies.backup.is_ok() {
        return Ok(Vec::new());
    }
    let best = copies.best().ok_or(TableError::Lost)?;
    let data = table.partitioned();
    let plan = Plan::new(&data, table.sector_size, &copies, new_last, grows)?;
    let mut patches = plan.backup(best);
    if !grows && !is_rest_of_gpt(image, best, &patches) {
        return Err(TableError::NoRoom { copy: "backup", needed: None });
    }
    let primary = plan.primary(best);
    match copies.primary.is_ok() || is_rest_of_gpt(image, best, &primary) {
        true => patches.extend(primary),
        false if grows => {}
        false => return Err(TableError::NoRoom { copy: "primary", needed: None }),
    }
    patches.extend(stale_backup(&copies, table, &patches));
    if grows {
        patches.extend(protective_mbr(image, new_last));
    }
    patches.retain(|patch| differs(image, patch));
    patches.sort_by_key(|patch| patch.offset);
    Ok(patches)
}

/// Whether what the patches of one copy would replace is what is left of such a copy: a header or
/// zeros, and entries that are those of the valid copy, as far as they can be read, or unused.
/// Boot loaders and the metadata of RAID lie in the same places.
fn is_rest_of_gpt(image: &dyn ReadAt, best: &Copy, patches: &[Patch]) -> bool {
    patches.iter().all(|patch| {
        let Ok(found) = image.read_vec(patch.offset, patch.bytes.len()) else { return false };
        if patch.bytes != best.entries {
            return found.starts_with(SIGNATURE) || is_zero(&found);
        }
        let stride = usize::try_from(best.header.part_size).unwrap_or(usize::MAX);
        let mut slots = found.chunks(stride).zip(best.entries.chunks(stride));
        slots.all(|(found, valid)| is_zero(found) || !is_zero(valid))
    })
}

/// Where everything goes, in sectors.
pub(super) struct Plan {
    sector_size: u32,
    primary_array: u64,
    backup_array: u64,
    last: u64,
    last_usable: u64,
}

impl Plan {
    /// On a disk whose last sector is `last`, with partitions in `data`. The usable sectors end before
    /// the backup, and where the disk does not grow no later than they did.
    pub(super) fn new(
        data: &Extents,
        sector_size: u32,
        copies: &Copies,
        last: u64,
        grows: bool,
    ) -> Result<Self, TableError> {
        let best = copies.best().ok_or(TableError::Lost)?;
        let sectors = best.array_sectors(sector_size);
        let free = |lba: u64, count: u64| {
            let at = |lba: u64| lba.saturating_mul(u64::from(sector_size));
            data.within(at(lba), at(lba.saturating_add(count))).next().is_none()
        };
        // A primary array elsewhere than in sector 2 stays there; it is valid.
        let primary_array = copies.primary.as_ref().map_or(2, |primary| primary.header.part_start);
        if !free(1, 1) || !free(primary_array, sectors) {
            return Err(TableError::NoRoom { copy: "primary", needed: None });
        }
        let backup_array = last.saturating_sub(sectors);
        if backup_array <= primary_array.saturating_add(sectors) || !free(backup_array, sectors + 1)
        {
            let data = data.end().div_ceil(u64::from(sector_size));
            let needed = (data + sectors + 1).saturating_mul(u64::from(sector_size));
            return Err(TableError::NoRoom { copy: "backup", needed: Some(needed) });
        }
        let last_usable = match grows {
            true => backup_array - 1,
            false => best.header.last_usable.min(backup_array - 1),
        };
        Ok(Self { sector_size, primary_array, backup_array, last, last_usable })
    }

    /// The copy at the start of the disk, with what `best` says.
    pub(super) fn primary(&self, best: &Copy) -> Vec<Patch> {
        let header = self.header(best, 1, self.last, self.primary_array);
        vec![
            self.patch(1, header, "primary GPT header"),
            self.patch(self.primary_array, best.entries.clone(), "primary GPT entries"),
        ]
    }

    /// The copy at its end.
    pub(super) fn backup(&self, best: &Copy) -> Vec<Patch> {
        let header = self.header(best, self.last, 1, self.backup_array);
        vec![
            self.patch(self.backup_array, best.entries.clone(), "backup GPT entries"),
            self.patch(self.last, header, "backup GPT header"),
        ]
    }

    fn patch(&self, lba: u64, bytes: Vec<u8>, what: &'static str) -> Patch {
        Patch { offset: lba.saturating_mul(u64::from(self.sector_size)), bytes, what }
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
