//! From where bytes are read to where they go, chunk by chunk.
//!
//! [`DiskSource`] reads a disk, one that may be failing, and hands its chunks to a [`ChunkSink`]: a
//! repository, or another disk ([`DiskCopy`]). A [`ChunkSource`], an image or a disk, is put on a
//! target through [`DiskSink`], which writes, keeps back what must come last, and compares what it
//! reads back by the chunks' hashes.

mod chunk;
mod deferred;
mod disk_copy;
mod disk_sink;
mod disk_source;
mod error;
mod read_back;
mod rescue;
mod rewritten;
mod tasks;
mod zeros;

use std::borrow::Cow;

use crate::bytes::{AlignedBuffer, Extent, Extents};
use crate::repository::{BlobReader, RepositoryError};

pub(crate) use deferred::DeferredWrites;
pub(crate) use disk_copy::DiskCopy;
pub(crate) use disk_sink::{DiskSink, Scratch, writing};
pub(crate) use disk_source::{ChunkSink, ChunkWorker, DiskSource, Done, Filled, no_workers};
pub use error::TransferError;
pub(crate) use read_back::{Comparison, ReadBack, first_difference, reading};
pub use rescue::RescueOptions;
#[cfg(any(test, fuzzing))]
pub(crate) use rescue::read_any_map;
pub(crate) use rescue::{DiskMedium, Medium};
pub(crate) use rewritten::Rewritten;
pub(crate) use tasks::{ChunkPlace, ChunkTask, places, tasks};

/// Bytes of a source and where they go on the target.
#[derive(Clone, Debug)]
pub(crate) struct Transfer {
    /// First byte in the source.
    pub(crate) from: u64,
    /// First byte on the target.
    pub(crate) to: u64,
    /// Length in bytes.
    pub(crate) len: u64,
    /// Used bytes, as offsets in the source.
    pub(crate) used: Extents,
    /// Whether these are not all that the source has there, so that no chunk's hash proves them.
    pub(crate) is_cut: bool,
}

impl Transfer {
    /// The used bytes as offsets on the target.
    pub(crate) fn used_on_target(&self) -> impl Iterator<Item = Extent> + '_ {
        self.used.iter().map(|part| self.on_target(part))
    }

    /// Where bytes of it lie on the target.
    fn on_target(&self, part: Extent) -> Extent {
        let moved = |at: u64| at - self.from + self.to;
        Extent { start: moved(part.start), end: moved(part.end) }
    }
}

/// All that the transfers write, as offsets on the target.
pub(crate) fn written(transfers: &[Transfer]) -> Extents {
    let parts = transfers.iter().flat_map(Transfer::used_on_target);
    Extents::from(parts.map(|part| (part.start, part.len())).collect::<Vec<_>>())
}

/// What is put on a target.
pub(crate) trait ChunkSource: Sync {
    /// Puts all of it there, but for deferred ranges, whose bytes are kept for later.
    fn put_on<'s>(&'s self, sink: &DiskSink<'_>) -> Result<Put<'s>, TransferError>;

    /// The bytes of a chunk once more.
    fn plain<'b>(
        &self,
        task: &ChunkTask<'_>,
        again: &'b mut Again,
    ) -> Result<&'b [u8], TransferError>;
}

/// What was put on a target, to be read back.
pub(crate) struct Put<'s> {
    /// Chunks, those of one hash beside each other.
    pub(crate) places: Cow<'s, [ChunkPlace<'s>]>,
    /// Bytes of the target that have to be zero.
    pub(crate) zeros: Extents,
}

/// What one thread needs to get a chunk's bytes once more.
pub(crate) struct Again {
    /// For stored chunks.
    pub(crate) reader: BlobReader,
    /// For those of a disk.
    pub(crate) buffer: AlignedBuffer,
}

impl Again {
    /// Nothing read yet.
    pub(crate) fn new() -> Result<Self, RepositoryError> {
        Ok(Self { reader: BlobReader::new()?, buffer: AlignedBuffer::default() })
    }
}
