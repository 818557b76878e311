//! Compressed extents.
//!
//! Source: Linux `fs/btrfs/compression.c`, `fs/btrfs/zstd.c`, `fs/btrfs/lzo.c`.

use std::io::Read;

use super::lzo;

/// Kinds (`btrfs_compression_type`).
pub(super) const PLAIN: u8 = 0;
const ZLIB: u8 = 1;
const LZO: u8 = 2;
const ZSTD: u8 = 3;
/// No more is compressed together (`BTRFS_MAX_UNCOMPRESSED`), bytes.
pub(super) const LARGEST: u64 = 128 << 10;
/// Btrfs compresses with no larger window (`ZSTD_BTRFS_MAX_WINDOWLOG`).
const WINDOW_LOG: u32 = 17;

/// Whether a kind is known.
pub(super) fn is_known(kind: u8) -> bool {
    matches!(kind, PLAIN | ZLIB | LZO | ZSTD)
}

/// `len` bytes out of what is stored, filled up with zeros where it holds fewer. `sector` are the
/// bytes of the filesystem's smallest unit.
pub(super) fn expand(kind: u8, stored: &[u8], len: u64, sector: u32) -> Option<Vec<u8>> {
    let len = usize::try_from(len).ok().filter(|len| *len as u64 <= LARGEST)?;
    let mut bytes = match kind {
        PLAIN => stored.get(..len)?.to_vec(),
        ZLIB => miniz_oxide::inflate::decompress_to_vec_zlib_with_limit(stored, len).ok()?,
        LZO => lzo::expand_extent(stored, len, usize::try_from(sector).ok()?)?,
        ZSTD => {
            // Zeros up to the end of the sector follow the frame.
            let mut decoder = zstd::stream::read::Decoder::with_buffer(stored).ok()?.single_frame();
            decoder.window_log_max(WINDOW_LOG).ok()?;
            let mut bytes = Vec::new();
            decoder.take(len as u64).read_to_end(&mut bytes).ok()?;
            bytes
        }
        _ => return None,
    };
    bytes.resize(len, 0);
    Some(bytes)
}
