//! Bytes for a target that are not as the source has them: of filesystems that were made smaller.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::TransferError;
use super::disk_sink::{DiskSink, Scratch};
use super::read_back::{first_difference, reading};
use crate::bytes::{AlignedBuffer, Extent, Extents, ReadAt, is_same};
use crate::progress::{self, mixed_workers};

/// What is written or compared at once, bytes.
const PIECE: u64 = 4 << 20;

/// Parts of a volume that go to a target.
#[derive(Clone)]
pub(crate) struct Rewritten {
    /// Where the volume begins on the target.
    pub(crate) to: u64,
    /// The volume.
    pub(crate) bytes: Arc<dyn ReadAt>,
    /// Which of its bytes.
    pub(crate) parts: Extents,
}

impl fmt::Debug for Rewritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { to, parts, .. } = self;
        f.debug_struct("Rewritten").field("to", to).field("parts", parts).finish_non_exhaustive()
    }
}

impl Rewritten {
    /// Where they lie on the target.
    pub(crate) fn on_target(&self) -> impl Iterator<Item = Extent> + '_ {
        self.parts
            .iter()
            .map(|part| Extent { start: self.to + part.start, end: self.to + part.end })
    }

    /// Puts them there, but for deferred ranges, whose bytes are kept for later.
    pub(crate) fn put_on(&self, sink: &DiskSink<'_>) -> Result<(), TransferError> {
        self.each(|at, bytes, scratch: &mut Scratch| sink.put_bytes(at, bytes, scratch))
    }

    /// The first byte of the target that is another than it should be.
    pub(crate) fn find_difference(
        &self,
        sink: &DiskSink<'_>,
    ) -> Result<Option<u64>, TransferError> {
        let first = Mutex::new(None::<u64>);
        self.each(|at, bytes, current: &mut AlignedBuffer| {
            current.set_len(bytes.len());
            sink.target.read_at(at, current).map_err(|error| reading(at, error))?;
            sink.deferred.substitute(at, current);
            if !is_same(bytes, current) {
                let at = at + first_difference(bytes, current);
                let mut first = first.lock().unwrap_or_else(PoisonError::into_inner);
                *first = Some(first.map_or(at, |first| first.min(at)));
            }
            Ok(sink.reporter.advance(bytes.len() as u64, 0, 0)?)
        })?;
        Ok(first.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Calls `each` with the places and the bytes of all pieces, on several threads.
    fn each<S: Default>(
        &self,
        each: impl Fn(u64, &[u8], &mut S) -> Result<(), TransferError> + Sync,
    ) -> Result<(), TransferError> {
        let pieces = self.parts.iter().flat_map(|part| {
            let starts = (part.start..part.end).step_by(usize::try_from(PIECE).unwrap_or_default());
            starts.map(move |start| (start, part.end.min(start + PIECE)))
        });
        let buffers = || Ok::<_, TransferError>((AlignedBuffer::default(), S::default()));
        progress::for_each(mixed_workers(), pieces, buffers, |(start, end), (buffer, scratch)| {
            buffer.set_len(usize::try_from(end - start).unwrap_or_default());
            let read = self.bytes.read_at(start, buffer);
            read.map_err(|error| TransferError::io("reading a smaller filesystem", error))?;
            each(self.to + start, buffer, scratch)
        })
    }
}
