//! VHDX (Microsoft, MS-VHDX): blocks found by a table, which a table of regions finds.

mod read;
mod write;

pub(super) use read::Reader;
pub(super) use write::Layout;

use crc::{CRC_32_ISCSI, Crc};

const MIB: u64 = 1 << 20;
const KIB: u64 = 1 << 10;

/// "vhdxfile" (2.2.1).
const FILE_SIGNATURE: &[u8] = b"vhdxfile";
/// Where the two headers are (2.2.2), and their bytes that their checksum is of.
const HEADERS: [u64; 2] = [64 * KIB, 128 * KIB];
const HEADER_LEN: usize = 4096;
const HEADER_SIGNATURE: &[u8] = b"head";
/// Where the two tables of regions are (2.2.3), and their bytes.
const REGION_TABLES: [u64; 2] = [192 * KIB, 256 * KIB];
const REGION_TABLE_LEN: usize = 64 << 10;
const REGION_SIGNATURE: &[u8] = b"regi";
/// Where the checksum is in either.
const CHECKSUM: usize = 4;
/// 2.4.2, metadata.
const METADATA_SIGNATURE: &[u8] = b"metadata";

/// A GUID as it is in a file: its first three fields turned round.
type Guid = [u8; 16];

#[rustfmt::skip]
mod guids {
    use super::Guid;

    /// 2DC27766-F623-4200-9D64-115E9BFD4A08: the table of blocks (2.2.3).
    pub(super) const BLOCKS: Guid =
        [0x66, 0x77, 0xc2, 0x2d, 0x23, 0xf6, 0x00, 0x42, 0x9d, 0x64, 0x11, 0x5e, 0x9b, 0xfd, 0x4a, 0x08];
    /// 8B7CA206-4790-4B9A-B8FE-575F050F886E: the metadata (2.2.3).
    pub(super) const METADATA: Guid =
        [0x06, 0xa2, 0x7c, 0x8b, 0x90, 0x47, 0x9a, 0x4b, 0xb8, 0xfe, 0x57, 0x5f, 0x05, 0x0f, 0x88, 0x6e];
    /// CAA16737-FA36-4D43-B3B6-33F0AA44E76B: "file parameters" (2.6.2.1).
    pub(super) const PARAMETERS: Guid =
        [0x37, 0x67, 0xa1, 0xca, 0x36, 0xfa, 0x43, 0x4d, 0xb3, 0xb6, 0x33, 0xf0, 0xaa, 0x44, 0xe7, 0x6b];
    /// 2FA54224-CD1B-4876-B211-5DBED83BF4B8: size of the disk (2.6.2.2).
    pub(super) const SIZE: Guid =
        [0x24, 0x42, 0xa5, 0x2f, 0x1b, 0xcd, 0x76, 0x48, 0xb2, 0x11, 0x5d, 0xbe, 0xd8, 0x3b, 0xf4, 0xb8];
    /// BECA12AB-B2E6-4523-93EF-C309E000C746: identity of the disk (2.6.2.3).
    pub(super) const IDENTITY: Guid =
        [0xab, 0x12, 0xca, 0xbe, 0xe6, 0xb2, 0x23, 0x45, 0x93, 0xef, 0xc3, 0x09, 0xe0, 0x00, 0xc7, 0x46];
    /// 8141BF1D-A96F-4709-BA47-F233A8FAAB5F: logical sector size (2.6.2.4).
    pub(super) const LOGICAL: Guid =
        [0x1d, 0xbf, 0x41, 0x81, 0x6f, 0xa9, 0x09, 0x47, 0xba, 0x47, 0xf2, 0x33, 0xa8, 0xfa, 0xab, 0x5f];
    /// CDA348C7-445D-4471-9CC9-E9885251C556: physical sector size (2.6.2.5).
    pub(super) const PHYSICAL: Guid =
        [0xc7, 0x48, 0xa3, 0xcd, 0x5d, 0x44, 0x71, 0x44, 0x9c, 0xc9, 0xe9, 0x88, 0x52, 0x51, 0xc5, 0x56];
}

/// States of a block in its table (2.5.1.1): there is none, and it is there whole.
const PRESENT: u64 = 6;
const PARTLY_PRESENT: u64 = 7;
const STATE: u64 = 7;
/// Bits of an entry that are its place, in mebibytes.
const PLACE: u64 = !(MIB - 1);

/// Blocks between two entries for maps of sectors (2.5).
fn blocks_in_a_chunk(block: u64, sector: u64) -> u64 {
    (1 << 23) * sector / block
}

/// The place in its table of the entry for a block.
fn entry_of(block: u64, in_a_chunk: u64) -> u64 {
    block + block / in_a_chunk
}

/// Bytes of a block: a mebibyte, and more on disks of which the table would become large. 256 MiB is the most.
pub(super) fn block_size(size: u64) -> u64 {
    const MOST_BLOCKS: u64 = 1 << 20;
    size.div_ceil(MOST_BLOCKS).next_power_of_two().clamp(MIB, 256 * MIB)
}

/// CRC-32C with the bytes of the checksum itself taken as zero.
fn checksum(bytes: &[u8]) -> u32 {
    let crc = Crc::<u32>::new(&CRC_32_ISCSI);
    let mut digest = crc.digest();
    digest.update(bytes.get(..CHECKSUM).unwrap_or_default());
    digest.update(&[0; 4]);
    digest.update(bytes.get(CHECKSUM + 4..).unwrap_or_default());
    digest.finalize()
}
