//! Small steps that every recogniser takes.

use std::io;

use crate::bytes::{ReadAt, slice};

/// `len` bytes at `offset`, or `None` where the volume ends before them.
pub(crate) fn read(volume: &dyn ReadAt, offset: u64, len: usize) -> io::Result<Option<Vec<u8>>> {
    match volume.read_vec(offset, len) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether `magic` stands at byte `at`.
pub(crate) fn has(bytes: &[u8], at: usize, magic: &[u8]) -> bool {
    slice(bytes, at, magic.len()) == Some(magic)
}

/// One byte.
pub(crate) fn byte(bytes: &[u8], at: usize) -> Option<u8> {
    bytes.get(at).copied()
}

/// A fixed-size piece, such as a UUID.
pub(crate) fn piece<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    slice(bytes, at, N)?.try_into().ok()
}
