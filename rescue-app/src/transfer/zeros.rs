//! Long stretches of zeros, as unpartitioned space mostly is: nothing of them is hashed or stored,
//! so that reading alone decides how long they take.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::TransferError;
use crate::bytes::{AlignedBuffer, is_zero};
use crate::progress::{Reporter, join};

use super::chunk::Chunk;
use super::rescue::Medium;

/// Chunks looked at in one go; the reader does not come to what lies behind them any sooner.
pub(crate) const TOGETHER: usize = 32;

/// Chunks in flight: the disk has its next request while zeros are looked at. Each has one buffer
/// for all, which the processor's cache holds; the many buffers of the pipeline do not fit it, and
/// reading into them took up to twice as long (loop device over holes, 7 GB/s).
pub(crate) const READERS: usize = 2;

/// What is known of some chunks.
pub(crate) struct ZeroChunks {
    /// Which of them are zero.
    pub(crate) zero: Vec<bool>,
    /// One that could not be read.
    pub(crate) failed: Option<usize>,
}

/// Which of `chunks`, all of whose bytes are used, are zero; says so to `reporter`. The first that
/// is not, or cannot be read, ends it: nothing is known of those behind it.
///
/// # Errors
/// The person asked to stop, or memory is too small for a chunk.
pub(crate) fn find(
    medium: &dyn Medium,
    chunks: &[Chunk<'_>],
    buffers: &mut [AlignedBuffer],
    reporter: &Reporter<'_>,
) -> Result<ZeroChunks, TransferError> {
    let next = AtomicUsize::new(0);
    let look = |buffer: &mut AlignedBuffer| {
        let mut zero = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(chunk) = chunks.get(index) else { return Ok((zero, None)) };
            chunk.size(buffer)?;
            let read = medium.read(chunk.range.start, buffer);
            if read.is_err() || !is_zero(buffer) {
                next.store(chunks.len(), Ordering::Relaxed);
                return Ok((zero, read.is_err().then_some(index)));
            }
            reporter.advance(chunk.range.len(), 0, 0)?;
            zero.push(index);
        }
    };
    let found: Result<Vec<_>, TransferError> = thread::scope(|scope| {
        let look = &look;
        let readers: Vec<_> =
            buffers.iter_mut().map(|buffer| scope.spawn(move || look(buffer))).collect();
        readers.into_iter().map(join).collect()
    });
    let mut all = ZeroChunks { zero: vec![false; chunks.len()], failed: None };
    for (zero, failed) in found? {
        all.failed = all.failed.or(failed);
        for index in zero {
            if let Some(zero) = all.zero.get_mut(index) {
                *zero = true;
            }
        }
    }
    Ok(all)
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use std::io;

    use super::*;
    use crate::bytes::{Extent, Extents, ReadAt};
    use crate::progress::{Cancel, Control, Phase};

    const CHUNK: u64 = 8192;

    /// A disk in memory whose bytes of 0xbd cannot be read.
    struct Memory(Vec<u8>);

    impl Medium for Memory {
        fn size(&self) -> u64 {
            self.0.size()
        }

        fn read(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
            self.0.read_at(offset, buf)?;
            if buf.contains(&0xbd) { Err(io::Error::from_raw_os_error(5)) } else { Ok(()) }
        }

        fn read_exactly(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
            self.read(offset, buf)
        }

        fn is_gone(&self) -> bool {
            false
        }
    }

    fn found(disk: &Memory, cancel: &Cancel) -> Result<ZeroChunks, TransferError> {
        let size = disk.size();
        let used = Extents::of(0, size);
        let chunk = |slot: usize| {
            let start = slot as u64 * CHUNK;
            Chunk { slot, range: Extent { start, end: (start + CHUNK).min(size) }, used: &used }
        };
        let chunks: Vec<_> = (0..disk.0.len().div_ceil(8192)).map(chunk).collect();
        let control = Control { sink: &|_| (), cancel, resume: None };
        let reporter = Reporter::start(control, Phase::Capturing, size, 0);
        let mut buffers: Vec<_> = (0..READERS).map(|_| AlignedBuffer::default()).collect();
        find(disk, &chunks, &mut buffers, &reporter)
    }

    #[test]
    fn only_what_was_read_and_is_zero_is_called_zero() {
        let cancel = Cancel::new();
        let mut disk = Memory(vec![0; 20 * 8192 + 100]);
        let all = found(&disk, &cancel).unwrap();
        assert_eq!((all.zero, all.failed), (vec![true; 21], None));
        for (byte, at) in [(1, 9 * 8192 + 8191), (0xbd, 9 * 8192), (1, 20 * 8192 + 99)] {
            disk.0[at] = byte;
            let found = found(&disk, &cancel).unwrap();
            let index = at / 8192;
            assert!(!found.zero[index], "{byte} at {at}");
            assert!(found.zero[..index].iter().all(|zero| *zero), "{byte} at {at}");
            assert_eq!(found.failed, (byte == 0xbd).then_some(index));
            disk.0[at] = 0;
        }
    }

    #[test]
    fn a_person_who_stops_it_is_heard() {
        let cancel = Cancel::new();
        cancel.request();
        let stopped = found(&Memory(vec![0; 20 * 8192]), &cancel);
        assert!(stopped.is_err_and(|error| matches!(error, TransferError::Cancelled)));
    }
}
