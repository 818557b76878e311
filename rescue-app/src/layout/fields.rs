//! Fields in a partition that tell its place on the disk or its size.

use std::io;

use crate::bytes::{ReadAt, Window, be32, le16, le32, le64, put};
use crate::filesystem::exfat::boot_checksum;
use crate::image::manifest::Region;
use crate::table::{Patch, Position};
use crate::volume::{Filesystem, Kind};

/// "Hidden sectors" of FAT and NTFS: how many lie before the partition (Microsoft FAT specification,
/// `BPB_HiddSec`).
const HIDDEN: usize = 28;
/// `BPB_BytsPerSec`, and of FAT32 the sector of the backup, `BPB_BkBootSec`.
const SECTOR_SIZE: usize = 11;
const FAT32_BACKUP: usize = 50;
/// exFAT's `PartitionOffset`, and the sectors of a boot region: so many are summed up, the next one
/// holds the sum (exFAT specification, §3.1.4 and §3.4).
const PARTITION_OFFSET: usize = 64;
const EXFAT_SUMMED: u64 = 11;
const EXFAT_REGION: u64 = 12;
/// `union swap_header` (Linux `include/linux/swap.h`): version, last page, number of bad pages.
const SWAP_VERSION: usize = 1024;
const SWAP_LAST_PAGE: usize = 1028;
const SWAP_BAD_PAGES: usize = 1032;

/// What has to change inside the partition in `region` of the captured disk, when it lies at `new` on one
/// with sectors of `sector_size` bytes: its boot sectors, by which Windows and DOS start, where they
/// told the old place; the header of swap space of another size.
///
/// # Errors
/// When the captured disk cannot be read there, or the swap space has bad pages.
pub fn patches(
    disk: &dyn ReadAt,
    region: &Region,
    new: &Position,
    sector_size: u32,
) -> io::Result<Vec<Patch>> {
    let Some(found) = &region.filesystem else { return Ok(Vec::new()) };
    let volume = Volume { bytes: Window::new(disk, region.start, region.size), at: new.start };
    if found.kind == Kind::Swap && new.size != region.size {
        return volume.swap(found, new.size);
    }
    if new.start == region.start {
        return Ok(Vec::new());
    }
    let sector = u64::from(sector_size);
    volume.place(found, region.start / sector, new.start / sector)
}

/// What has to change in the `bytes` of a filesystem that begins at another sector of its disk than it did: its boot
/// sectors, where they told the old one.
///
/// # Errors
/// When they cannot be read.
pub fn place_patches(
    bytes: &dyn ReadAt,
    found: &Filesystem,
    (old, new): (u64, u64),
) -> io::Result<Vec<Patch>> {
    let volume = Volume { bytes: Window::new(bytes, 0, bytes.size()), at: 0 };
    volume.place(found, old, new)
}

/// What has to change in the `bytes` of swap space that will have `size` bytes, as offsets in them.
///
/// # Errors
/// When they cannot be read, or it has bad pages.
pub fn swap_patches(bytes: &dyn ReadAt, found: &Filesystem, size: u64) -> io::Result<Vec<Patch>> {
    Volume { bytes: Window::new(bytes, 0, bytes.size()), at: 0 }.swap(found, size)
}

/// The captured volume, and where it will begin.
struct Volume<'a> {
    bytes: Window<'a>,
    at: u64,
}

impl Volume<'_> {
    /// Boot sectors that tell the sector where the volume began.
    fn place(&self, found: &Filesystem, old: u64, new: u64) -> io::Result<Vec<Patch>> {
        match found.kind {
            Kind::Fat12 | Kind::Fat16 => self.hidden(&[0], old, new),
            Kind::Fat32 => {
                let boot = self.bytes.read_vec(0, 512)?;
                let size = le16(&boot, SECTOR_SIZE).unwrap_or_default();
                let backup = le16(&boot, FAT32_BACKUP).unwrap_or_default();
                self.hidden(&[0, u64::from(size) * u64::from(backup)], old, new)
            }
            Kind::Ntfs => {
                let boot = self.bytes.read_vec(0, 512)?;
                let size = le16(&boot, SECTOR_SIZE).unwrap_or_default();
                self.hidden(&[0, found.size.saturating_sub(size.into())], old, new)
            }
            Kind::ExFat => self.exfat(old, new),
            _ => Ok(Vec::new()),
        }
    }

    /// Boot sectors of FAT or NTFS at these bytes that tell the sector where the volume began.
    fn hidden(&self, places: &[u64], old: u64, new: u64) -> io::Result<Vec<Patch>> {
        let mut patches = Vec::new();
        let Ok(new) = u32::try_from(new) else { return Ok(patches) };
        let mut places = places.to_vec();
        places.dedup();
        for place in places {
            let sector = self.bytes.read_vec(place, 512)?;
            if le16(&sector, 510) == Some(0xaa55)
                && le32(&sector, HIDDEN).map(u64::from) == Some(old)
            {
                patches.push(self.patch(place, sector, (HIDDEN, &new.to_le_bytes())));
            }
        }
        Ok(patches)
    }

    /// Both boot regions of an exFAT, with their sums.
    fn exfat(&self, old: u64, new: u64) -> io::Result<Vec<Patch>> {
        let shift = self.bytes.read_vec(108, 1)?.first().copied().unwrap_or_default();
        let size = 1u64.checked_shl(shift.into()).unwrap_or_default();
        let len = usize::try_from(size * EXFAT_SUMMED).unwrap_or_default();
        let mut patches = Vec::new();
        for first in [0, size * EXFAT_REGION] {
            let mut region = self.bytes.read_vec(first, len)?;
            if le64(&region, PARTITION_OFFSET) != Some(old) {
                continue;
            }
            put(&mut region, PARTITION_OFFSET, &new.to_le_bytes());
            let sum = boot_checksum(&region).to_le_bytes();
            let sums = sum.repeat(usize::try_from(size / 4).unwrap_or_default());
            region.truncate(512);
            patches.push(self.patch(first, region, (0, &[])));
            patches.push(self.patch(first + size * EXFAT_SUMMED, sums, (0, &[])));
        }
        Ok(patches)
    }

    /// The header of swap space that will have `size` bytes.
    fn swap(&self, found: &Filesystem, size: u64) -> io::Result<Vec<Patch>> {
        let page = self.bytes.read_vec(0, 2048)?;
        let is_little = le32(&page, SWAP_VERSION) == Some(1);
        let number = if is_little { le32 } else { be32 };
        if number(&page, SWAP_BAD_PAGES) != Some(0) {
            return Err(io::Error::other("the swap space has bad pages and keeps its size"));
        }
        let pages = size.checked_div(found.block_size.into()).unwrap_or_default();
        let last = u32::try_from(pages.saturating_sub(1)).unwrap_or(u32::MAX);
        let last = if is_little { last.to_le_bytes() } else { last.to_be_bytes() };
        let sector = page.get(1024..1536).unwrap_or_default().to_vec();
        Ok(vec![self.patch(1024, sector, (SWAP_LAST_PAGE - 1024, &last))])
    }

    fn patch(&self, place: u64, mut bytes: Vec<u8>, (at, field): (usize, &[u8])) -> Patch {
        put(&mut bytes, at, field);
        Patch { offset: self.at + place, bytes, what: "boot sectors and swap headers" }
    }
}
