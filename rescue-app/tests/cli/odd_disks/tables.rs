//! Tables as they should be, and what fdisk makes of them.

use std::ops::Range;
use std::path::Path;

use common::{Random, output_of};

use super::disk::Disk;
use super::layout::{Layout, Volume};

/// Where the four entries of an MBR stand.
pub const ENTRIES: u64 = 446;
/// The usual number of GPT entries, and bytes of each.
const GPT_ENTRIES: u64 = 128;
const GPT_ENTRY: u64 = 128;

pub fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 }
        })
    })
}

/// One entry of an MBR or EBR; numbers are sectors.
pub fn put_entry(disk: &Disk, record: u64, slot: u64, kind: u8, start: u64, sectors: u64) {
    let mut entry = [0, 0xfe, 0xff, 0xff, kind, 0xfe, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0];
    entry[8..12].copy_from_slice(&u32::try_from(start).unwrap_or(u32::MAX).to_le_bytes());
    entry[12..16].copy_from_slice(&u32::try_from(sectors).unwrap_or(u32::MAX).to_le_bytes());
    disk.put(record + ENTRIES + slot * 16, &entry);
    disk.put(record + 510, &[0x55, 0xaa]);
}

/// A boot record without entries.
pub fn clear_record(disk: &Disk, record: u64) {
    disk.put(record + ENTRIES, &[0; 64]);
    disk.put(record + 510, &[0x55, 0xaa]);
}

/// Up to three primary partitions and the rest logical ones, whose records lie a sector or two in
/// front of them.
pub fn write_mbr(disk: &Disk, layout: &Layout, random: &mut Random) {
    clear_record(disk, 0);
    disk.put(440, &random.next_u64().to_le_bytes()[..6]);
    let sector = layout.sector;
    let primary = usize::try_from(random.below(4)).unwrap().min(layout.volumes.len());
    for (slot, volume) in (0..).zip(&layout.volumes[..primary]) {
        put_entry(disk, 0, slot, 0x83, volume.start / sector, volume.size / sector);
    }
    let logical = &layout.volumes[primary..];
    let (Some(first), Some(last)) = (logical.first(), logical.last()) else { return };
    let record = |volume: &Volume| volume.start / sector - 1;
    let base = record(first);
    let end = (last.start + last.size) / sector;
    put_entry(disk, 0, primary as u64, 0x0f, base, end - base);
    for (at, volume) in logical.iter().enumerate() {
        let own = record(volume);
        clear_record(disk, own * sector);
        put_entry(disk, own * sector, 0, 0x83, volume.start / sector - own, volume.size / sector);
        if let Some(next) = logical.get(at + 1) {
            let sectors = (next.start + next.size) / sector - record(next);
            put_entry(disk, own * sector, 1, 0x05, record(next) - base, sectors);
        }
    }
}

/// A GPT with its backup at the end.
pub fn write_gpt(disk: &Disk, layout: &Layout, random: &mut Random) {
    let sector = layout.sector;
    clear_record(disk, 0);
    put_entry(disk, 0, 0, 0xee, 1, layout.size / sector - 1);
    let mut entries = vec![0; usize::try_from(GPT_ENTRIES * GPT_ENTRY).unwrap()];
    for (slot, volume) in layout.volumes.iter().enumerate() {
        let entry = &mut entries[slot * 128..(slot + 1) * 128];
        entry[..16].fill(9);
        entry[16..24].copy_from_slice(&random.next_u64().to_le_bytes());
        entry[32..40].copy_from_slice(&(volume.start / sector).to_le_bytes());
        entry[40..48].copy_from_slice(&((volume.start + volume.size) / sector - 1).to_le_bytes());
    }
    let (last, array) = (layout.size / sector - 1, entries.len() as u64 / sector);
    let guid = random.next_u64().to_le_bytes();
    // A first partition at sector 63 leaves room for the usual array with sectors of 512 bytes.
    for (own, other, at) in [(1, last, 2), (last, 1, last - array)] {
        let mut header = vec![0; 92];
        header[..16].copy_from_slice(b"EFI PART\0\0\x01\0\x5c\0\0\0");
        let fields = [(24, own), (32, other), (40, 2 + array), (48, last - array - 1), (72, at)];
        for (field, value) in fields {
            header[field..field + 8].copy_from_slice(&value.to_le_bytes());
        }
        header[56..64].copy_from_slice(&guid);
        header[80..88].copy_from_slice(&[128, 0, 0, 0, 128, 0, 0, 0]);
        disk.put(at * sector, &entries);
        disk.put(own * sector, &header);
        seal_gpt(disk, own * sector, sector);
    }
}

/// Makes the checksums of a GPT header and its entries right for what they say.
pub fn seal_gpt(disk: &Disk, header_at: u64, sector: u64) {
    let mut header = disk.get(header_at, 92);
    let array = u64::from_le_bytes(header[72..80].try_into().unwrap());
    let entries = disk.get(array.saturating_mul(sector), 128 * 128);
    header[88..92].copy_from_slice(&crc32(&entries).to_le_bytes());
    header[16..20].fill(0);
    let crc = crc32(&header);
    header[16..20].copy_from_slice(&crc.to_le_bytes());
    disk.put(header_at, &header);
}

/// What fdisk sees on a disk with sectors of so many bytes.
pub fn fdisk_listing(path: &Path, sector: u64) -> String {
    let (sector, path) = (sector.to_string(), path.to_str().unwrap());
    output_of("fdisk", &["-b", &sector, "-l", "-o", "Device,Start,Sectors", path])
}

/// The bytes of a partition by fdisk's reading.
pub fn as_fdisk_sees(path: &Path, number: u64, sector: u64, story: &str) -> Range<u64> {
    let listing = fdisk_listing(path, sector);
    let name = format!("{}{number}", path.display());
    let row = listing.lines().find(|line| line.split_whitespace().next() == Some(&name));
    let row = row.unwrap_or_else(|| panic!("{story}\nfdisk sees no partition {number}: {listing}"));
    let mut numbers = row.split_whitespace().skip(1).map(|word| word.parse::<u64>().unwrap());
    let (start, sectors) = (numbers.next().unwrap(), numbers.next().unwrap());
    start * sector..(start + sectors) * sector
}
