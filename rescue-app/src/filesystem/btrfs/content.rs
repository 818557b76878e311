//! Content of files: their extents, compressed or not.
//!
//! Source: btrfs documentation, "On-disk format", file extent items.

use std::io;

use super::compression::{self, LARGEST, PLAIN};
use super::owners::REGULAR;
use super::trees::Data;
use crate::bytes::{ReadAt, le16, le64};
use crate::volume::FileError;
use crate::volume::probe::byte;
use crate::volume::runs::{InPieces, Piece};

/// Extent whose bytes stand in the item.
const INLINE: u8 = 0;
/// Bytes of an item before those.
const HEAD: usize = 21;
/// A file in more extents than this is not opened.
const MOST_EXTENTS: usize = 1 << 21;
/// Bytes that are read at once.
const PIECE: u64 = 256 << 10;

/// An extent of a file that has content.
struct Extent {
    /// First byte in the file.
    at: u64,
    len: u64,
    stored: Stored,
}

/// How an extent's content is stored.
enum Stored {
    /// In the item.
    Inline(Vec<u8>),
    /// At a logical address.
    Plain(u64),
    /// Compressed.
    Compressed {
        kind: u8,
        /// Logical address and bytes of what is stored.
        address: u64,
        stored: u64,
        /// Bytes that it expands to, and the first of those that is the file's.
        whole: u64,
        offset: u64,
    },
}

/// The extents of a file as their items come by.
#[derive(Default)]
pub(super) struct Extents(Vec<Extent>);

impl Extents {
    /// Adds the one of the item for byte `at` of the file.
    pub(super) fn add(&mut self, at: u64, item: &[u8], sector: u32) -> Result<(), FileError> {
        let damaged = || FileError::damaged("an extent of it makes no sense");
        let head = (byte(item, 16), byte(item, 17), le16(item, 18), byte(item, 20));
        let (Some(kind), Some(encryption), Some(encoding), Some(place)) = head else {
            return Err(damaged());
        };
        if encryption != 0 || encoding != 0 {
            return Err(FileError::unsupported("it is encrypted or encoded"));
        }
        if !compression::is_known(kind) {
            let words = format!("it is compressed in a way that is not known ({kind})");
            return Err(FileError::unsupported(words));
        }
        let extent = match place {
            INLINE => inline(at, kind, item, sector),
            REGULAR => regular(at, kind, item),
            // Set aside and not written yet.
            _ => return Ok(()),
        };
        let extent = extent.ok_or_else(damaged)?;
        // Those without an address are holes.
        let is_hole = matches!(extent.stored, Stored::Plain(0));
        if self.0.len() >= MOST_EXTENTS {
            return Err(FileError::unsupported("it is in more pieces than are read"));
        }
        self.0.extend(Some(extent).filter(|extent| !is_hole && extent.len != 0));
        Ok(())
    }

    /// The file of `size` bytes that has them.
    pub(super) fn open<'a>(self, data: Data<'a>, size: u64, sector: u32) -> impl ReadAt + 'a {
        InPieces::new(size, move |at| {
            self.piece(data, at, size, sector).ok_or_else(|| {
                let words = "an extent cannot be read, or does not expand";
                io::Error::new(io::ErrorKind::InvalidData, words)
            })
        })
    }

    /// Bytes from `at` on, or from before it.
    fn piece(&self, data: Data<'_>, at: u64, size: u64, sector: u32) -> Option<Piece> {
        let next = self.0.partition_point(|extent| extent.at <= at);
        let before = next.checked_sub(1).and_then(|index| self.0.get(index));
        let extent = before.filter(|extent| extent.at.saturating_add(extent.len) > at);
        let end = self.0.get(next).map_or(size, |extent| extent.at.min(size));
        let Some(extent) = extent else {
            let len = usize::try_from(end.checked_sub(at)?.min(PIECE)).ok()?;
            return Some(Piece { at, bytes: vec![0; len] });
        };
        let (at, mut bytes) = match &extent.stored {
            Stored::Inline(bytes) => (extent.at, bytes.clone()),
            Stored::Plain(address) => {
                let inside = at.checked_sub(extent.at)?;
                let len = extent.len.checked_sub(inside)?.min(PIECE);
                (at, data.read(address.checked_add(inside)?, len)?)
            }
            Stored::Compressed { kind, address, stored, whole, offset } => {
                let stored = data.read(*address, *stored)?;
                let mut bytes = compression::expand(*kind, &stored, *whole, sector)?;
                (extent.at, bytes.split_off(usize::try_from(*offset).ok()?.min(bytes.len())))
            }
        };
        // The next one counts where two overlap.
        let most = extent.at.checked_add(extent.len)?.min(end).checked_sub(at)?;
        bytes.truncate(usize::try_from(most).ok()?);
        Some(Piece { at, bytes })
    }
}

/// One whose bytes stand in the item.
fn inline(at: u64, kind: u8, item: &[u8], sector: u32) -> Option<Extent> {
    let bytes = compression::expand(kind, item.get(HEAD..)?, le64(item, 8)?, sector)?;
    Some(Extent { at, len: bytes.len() as u64, stored: Stored::Inline(bytes) })
}

/// One that lies in a chunk.
fn regular(at: u64, kind: u8, item: &[u8]) -> Option<Extent> {
    let [whole, address, stored, offset, len] = [8, 21, 29, 37, 45].map(|at| le64(item, at));
    let (whole, address, stored, offset) = (whole?, address?, stored?, offset?);
    let stored = match kind {
        PLAIN => Stored::Plain(if address == 0 { 0 } else { address.checked_add(offset)? }),
        _ if stored > LARGEST || whole > LARGEST => return None,
        _ => Stored::Compressed { kind, address, stored, whole, offset },
    };
    at.checked_add(len?)?;
    Some(Extent { at, len: len?, stored })
}
