//! A throw-away layer over bytes that are not written: what is written is kept apart.

mod spill;
#[cfg(test)]
mod tests;
mod written;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::{Extents, ReadAt, is_zero, slice};
use written::{Run, Written};

/// What is written is kept in blocks of this many bytes. The last one is as long as is left.
pub const OVERLAY_BLOCK: u64 = 64 << 10;

/// Bytes that can be read and written anywhere, from several threads.
pub trait WriteAt: ReadAt {
    /// Writes all of `bytes` at byte `offset`; beyond the end is [`io::ErrorKind::UnexpectedEof`].
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes `len` bytes from `offset` zero, and gives back the room that they took.
    fn zero_at(&self, offset: u64, len: u64) -> io::Result<()>;

    /// What of `start..end` was written or made zero since it was opened.
    fn changes_within(&self, start: u64, end: u64) -> Changes;
}

impl<T: WriteAt + ?Sized> WriteAt for Arc<T> {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        (**self).write_at(offset, bytes)
    }

    fn zero_at(&self, offset: u64, len: u64) -> io::Result<()> {
        (**self).zero_at(offset, len)
    }

    fn changes_within(&self, start: u64, end: u64) -> Changes {
        (**self).changes_within(start, end)
    }
}

/// Where an [`Overlay`] keeps what is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverlayRoom {
    /// This many bytes in memory, at most.
    pub memory: u64,
    /// A folder for all that is more: in a file without a name, which is gone with the overlay.
    pub folder: Option<PathBuf>,
}

/// `base`, and what was written since, which is never written to it. Two writes at once to the same bytes
/// leave either's; a block is never lost.
#[derive(Debug)]
pub struct Overlay<R> {
    base: R,
    written: RwLock<Written>,
}

/// What differs from what was there before, in whole blocks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Was written, and may be anything.
    pub data: Extents,
    /// Was made zero, and takes no room.
    pub zero: Extents,
}

impl Changes {
    /// What may be other than zero, where `base` was before.
    pub fn over(&self, base: &Extents) -> Extents {
        base.without(&self.zero).union(&self.data)
    }
}

/// A stretch of one block.
#[derive(Clone, Copy)]
struct Part {
    /// The block's number.
    block: u64,
    /// Where in the block it starts.
    from: usize,
    /// Bytes.
    len: usize,
}

impl<R: ReadAt> Overlay<R> {
    /// A layer in which nothing was written yet.
    pub fn new(base: R, room: OverlayRoom) -> Self {
        Self { base, written: RwLock::new(Written::new(room)) }
    }

    /// What lies below, unchanged.
    pub fn base(&self) -> &R {
        &self.base
    }

    /// All that was written or made zero.
    pub fn changes(&self) -> Changes {
        self.changes_within(0, self.size())
    }

    fn read_lock(&self) -> RwLockReadGuard<'_, Written> {
        self.written.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_lock(&self) -> RwLockWriteGuard<'_, Written> {
        self.written.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn ensure_inside(&self, offset: u64, len: u64) -> io::Result<()> {
        match offset.checked_add(len) {
            Some(end) if end <= self.size() => Ok(()),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Bytes of a block.
    fn block_len(&self, block: u64) -> usize {
        let left = self.size().saturating_sub(block * OVERLAY_BLOCK).min(OVERLAY_BLOCK);
        usize::try_from(left).unwrap_or_default()
    }

    /// `len` bytes from `offset`, block by block.
    fn parts(&self, offset: u64, len: u64) -> impl DoubleEndedIterator<Item = Part> + use<R> {
        let end = offset.saturating_add(len);
        let blocks = offset / OVERLAY_BLOCK..end.div_ceil(OVERLAY_BLOCK);
        blocks.filter(move |_| len > 0).map(move |block| {
            let at = block * OVERLAY_BLOCK;
            let (from, to) = (offset.max(at) - at, (end - at).min(OVERLAY_BLOCK));
            let number = |it: u64| usize::try_from(it).unwrap_or_default();
            Part { block, from: number(from), len: number(to - from) }
        })
    }

    /// Lets `change` have its way with the bytes of one block, which is written as a whole. The base is
    /// read before anybody is kept waiting: it does not change.
    fn rewrite(&self, part: Part, change: impl FnOnce(&mut [u8])) -> io::Result<()> {
        let len = self.block_len(part.block);
        let mut bytes = vec![0; len].into_boxed_slice();
        if part.len < len && self.read_lock().covering(part.block).is_none() {
            self.base.read_at(part.block * OVERLAY_BLOCK, &mut bytes)?;
        }
        let mut written = self.write_lock();
        if part.len < len {
            written.read(part.block, 0, &mut bytes)?;
        }
        change(bytes.get_mut(part.from..part.from + part.len).unwrap_or_default());
        written.put(part.block, bytes)
    }
}

impl<R: ReadAt> ReadAt for Overlay<R> {
    fn size(&self) -> u64 {
        self.base.size()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.ensure_inside(offset, buf.len() as u64)?;
        // What was not written is read at once, as far as it goes: from `start` of `buf`.
        let (mut start, mut at) = (0, 0);
        for part in self.parts(offset, buf.len() as u64) {
            let own = buf.get_mut(at..at + part.len).unwrap_or_default();
            let was_written = self.read_lock().read(part.block, part.from, own)?;
            if was_written {
                let unwritten = buf.get_mut(start..at).unwrap_or_default();
                if !unwritten.is_empty() {
                    self.base.read_at(offset + start as u64, unwritten)?;
                }
                start = at + part.len;
            }
            at += part.len;
        }
        match buf.get_mut(start..) {
            Some(rest) if !rest.is_empty() => self.base.read_at(offset + start as u64, rest),
            _ => Ok(()),
        }
    }
}

impl<R: ReadAt> WriteAt for Overlay<R> {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.ensure_inside(offset, bytes.len() as u64)?;
        let mut rest = bytes;
        for part in self.parts(offset, bytes.len() as u64) {
            let (own, others) = rest.split_at(part.len);
            self.rewrite(part, |block| block.copy_from_slice(own))?;
            rest = others;
        }
        Ok(())
    }

    fn zero_at(&self, offset: u64, len: u64) -> io::Result<()> {
        self.ensure_inside(offset, len)?;
        if len == 0 {
            return Ok(());
        }
        let whole = |part: &Part| part.len == self.block_len(part.block);
        // Only the blocks at either end can be touched in part.
        let edges = [self.parts(offset, len).next(), self.parts(offset, len).next_back()];
        let mut blocks = offset / OVERLAY_BLOCK..(offset + len).div_ceil(OVERLAY_BLOCK);
        if let [Some(first), Some(last)] = edges {
            if !whole(&first) {
                self.rewrite(first, |block| block.fill(0))?;
                blocks.start += 1;
            }
            if !whole(&last) && last.block >= blocks.start {
                self.rewrite(last, |block| block.fill(0))?;
                blocks.end -= 1;
            }
        }
        self.write_lock().put_zeros(blocks);
        Ok(())
    }

    fn changes_within(&self, start: u64, end: u64) -> Changes {
        let mut changes = Changes::default();
        let end = end.min(self.size());
        if start >= end {
            return changes;
        }
        let written = self.read_lock();
        let first = start / OVERLAY_BLOCK;
        let first = written.covering(first).map_or(first, |(number, _)| number);
        for (number, run) in written.runs.range(first..end.div_ceil(OVERLAY_BLOCK)) {
            let to = |block: u64| (block * OVERLAY_BLOCK).min(end);
            let from = (number * OVERLAY_BLOCK).max(start);
            match run {
                Run::Zero(stop) => changes.zero.push(from, to(*stop)),
                Run::Memory(_) | Run::Spilled(_) => changes.data.push(from, to(number + 1)),
            }
        }
        changes
    }
}
