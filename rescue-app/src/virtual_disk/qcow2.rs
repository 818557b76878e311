//! qcow2, version 3 (QEMU `docs/interop/qcow2.rst`): clusters found by tables of two levels, and counted.

mod read;
mod write;

pub(super) use read::Reader;
pub(super) use write::Layout;

/// Bytes of a cluster that is written, as `qemu-img` has it.
pub(super) const CLUSTER: u64 = 1 << CLUSTER_BITS;
const CLUSTER_BITS: u32 = 16;

const MAGIC: &[u8] = b"QFI\xfb";
const VERSION: u32 = 3;
/// Bytes of the header with all its fields.
const HEADER_LEN: u32 = 112;

/// "Incompatible feature" bits: the file names how its clusters are packed; what else is told apart.
const COMPRESSION_TYPE: u64 = 1 << 3;
const DIRTY: u64 = 1;

/// "Compression type": zlib without a frame, and zstd.
const DEFLATE: u8 = 0;
const ZSTD: u8 = 1;

/// In an entry of a table: this cluster is used once, as here.
const COPIED: u64 = 1 << 63;
/// In an entry of a table of the second level: a packed cluster.
const PACKED: u64 = 1 << 62;
/// The same: an unpacked cluster that reads as zeros.
const ZERO: u64 = 1;
/// Bits of an entry that are the place of a cluster.
const PLACE: u64 = 0x00ff_ffff_ffff_fe00;

/// Bytes of the units in which the length of a packed cluster is told.
const SECTOR: u64 = 512;

/// Where the number of sectors begins in the entry of a packed cluster, in bits.
fn packed_bits(cluster_bits: u32) -> u32 {
    62 - (cluster_bits - 8)
}
