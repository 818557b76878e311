//! VHD (Microsoft, "Virtual Hard Disk Image Format Specification", version 1.0).
//!
//! Which size a VHD has is told twice, in bytes and as cylinders, heads and sectors, which are rounded. QEMU
//! goes by the latter unless they are the largest there are (`block/vpc.c`, as its own `force_size` writes
//! them); Windows, Hyper-V and VirtualBox always go by the bytes. So the largest ones are written.

mod read;
mod write;

pub(super) use read::Reader;
pub(super) use write::{Dynamic, Fixed, Plain};

/// Bytes of a block, as Windows has it.
pub(super) const BLOCK: u64 = 2 << 20;

const SECTOR: u64 = 512;
const FOOTER_LEN: usize = 512;
const FOOTER_COOKIE: &[u8] = b"conectix";
const HEADER_LEN: usize = 1024;
const HEADER_COOKIE: &[u8] = b"cxsparse";
/// Bytes of a footer and of a header at which their checksums are.
const FOOTER_SUM: usize = 64;
const HEADER_SUM: usize = 36;
/// "Disk type".
const FIXED: u32 = 2;
const DYNAMIC: u32 = 3;
/// An entry of the table of blocks that there is none for.
const NONE: u32 = u32::MAX;

/// The ones' complement of the sum of all bytes but the four of the checksum itself.
fn checksum(bytes: &[u8], at: usize) -> u32 {
    let own = at..at + 4;
    let counted = bytes.iter().enumerate().filter(|(index, _)| !own.contains(index));
    !counted.fold(0_u32, |sum, (_, byte)| sum.wrapping_add(u32::from(*byte)))
}
