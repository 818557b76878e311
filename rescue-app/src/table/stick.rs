//! The table of a stick with Lifeboat on it: the ISO's own MBR, and a partition for images in its third entry.
//!
//! The ISO's entries are what firmware starts it by, and stay as they are. The data partition is always at
//! the same place: writing a larger ISO over an older one takes the entry away, and not what is in it.

use super::TableError;
use crate::bytes::{is_zero, le32, put, slice};

/// First byte of the data partition of a stick: well behind the largest ISO.
pub const STICK_DATA_START: u64 = 256 << 20;

/// The number of the data partition.
pub const STICK_DATA_NUMBER: u32 = 3;

/// The ISO's MBR counts in sectors of 512 bytes.
const SECTOR: u64 = 512;

/// Where the third and the fourth entry are, and the bytes of each.
const THIRD: usize = 446 + 2 * 16;
const FOURTH: usize = THIRD + ENTRY;
const ENTRY: usize = 16;
/// Where in an entry its first sector is.
const FIRST_SECTOR: usize = 8;

/// Type of exFAT and NTFS.
const TYPE: u8 = 0x07;

/// Cylinder, head and sector of what lies behind the first 8 GiB, or need not be said: 1023, 254, 63.
const NO_CHS: [u8; 3] = [0xfe, 0xff, 0xff];

/// The size of the data partition of a disk of `disk_size` bytes: to its end, or as far as an MBR counts.
pub fn stick_data_size(disk_size: u64) -> u64 {
    let end = (disk_size / SECTOR).min(u64::from(u32::MAX)) * SECTOR;
    end.saturating_sub(STICK_DATA_START)
}

/// The first block of a stick: that of its ISO, with the data partition in the third entry.
///
/// # Errors
/// When the third entry is another partition's, or the fourth is any's.
pub fn with_stick_data(first_block: &[u8], disk_size: u64) -> Result<Vec<u8>, TableError> {
    let entry = |at| slice(first_block, at, ENTRY).unwrap_or_default();
    let first_sector = le32(entry(THIRD), FIRST_SECTOR).map(|sector| u64::from(sector) * SECTOR);
    let third_is_free = is_zero(entry(THIRD)) || first_sector == Some(STICK_DATA_START);
    if !third_is_free || !is_zero(entry(FOURTH)) {
        let why = "it has partitions of its own behind those of Lifeboat";
        return Err(TableError::Unwritable(why.into()));
    }
    let sectors = |bytes: u64| u32::try_from(bytes / SECTOR).unwrap_or(u32::MAX).to_le_bytes();
    let mut block = first_block.to_owned();
    put(&mut block, THIRD, &[0]);
    put(&mut block, THIRD + 1, &NO_CHS);
    put(&mut block, THIRD + 4, &[TYPE]);
    put(&mut block, THIRD + 5, &NO_CHS);
    put(&mut block, THIRD + FIRST_SECTOR, &sectors(STICK_DATA_START));
    put(&mut block, THIRD + 12, &sectors(stick_data_size(disk_size)));
    Ok(block)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_ends_where_an_mbr_cannot_count_any_further() {
        assert_eq!(stick_data_size(512 << 20), 256 << 20);
        assert_eq!(stick_data_size((512 << 20) + 511), 256 << 20);
        assert_eq!(stick_data_size(1 << 20), 0);
        let most = u64::from(u32::MAX) * SECTOR;
        assert_eq!(stick_data_size(8 << 40), most - STICK_DATA_START);
        let block = with_stick_data(&[0; 512], 8 << 40).unwrap();
        let number = |at| le32(&block, THIRD + at).unwrap();
        assert_eq!(u64::from(number(8)) + u64::from(number(12)), u64::from(u32::MAX));
    }

    #[test]
    fn other_partitions_are_left_alone() {
        let once = with_stick_data(&[0; 512], 1 << 30).unwrap();
        let larger = with_stick_data(&once, 2 << 30).unwrap();
        assert_ne!(once, larger, "its own entry is written anew");
        for at in [THIRD, FOURTH] {
            let mut taken = vec![0; 512];
            put(&mut taken, at + 4, &[0x83, 0, 0, 0, 0, 8, 0, 0, 0, 8]);
            assert!(with_stick_data(&taken, 1 << 30).is_err());
        }
    }
}
