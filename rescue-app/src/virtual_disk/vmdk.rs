//! VMDK in one file (VMware, "Virtual Disk Format 5.0"): grains found by tables of two levels. Where the numbers of
//! sectors are, they have 32 bits.

mod read;
mod write;

pub(super) use read::Reader;
pub(super) use write::{Sparse, Stream};

/// Bytes of a grain that is written, as VMware has it.
pub(super) const GRAIN: u64 = 64 << 10;

const SECTOR: u64 = 512;
const MAGIC: &[u8] = b"KDMV";
/// Entries of a table of grains, and the bytes that they take.
const PER_TABLE: u64 = 512;
const TABLE_LEN: u64 = PER_TABLE * 4;
/// Bytes of a header.
const HEADER_LEN: usize = 512;
/// In a header: the directory of tables is told by a second one at the end.
const AT_END: u64 = u64::MAX;

/// Flags of a header: the bytes that line ends are known by are there; there is a second directory; grains
/// are packed; markers tell what comes.
const LINE_ENDS: u32 = 1;
const SECOND_DIRECTORY: u32 = 1 << 1;
const PACKED: u32 = 1 << 16;
const MARKERS: u32 = 1 << 17;
/// "Compress algorithm": deflate, in zlib's frame.
const DEFLATE: u16 = 1;

/// Bytes of a marker in front of a grain: its first sector and the length of what follows.
const MARKER_LEN: u64 = 12;
