//! A disk that is read in order is decoded ahead of its reader, by all processors.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::bytes::ReadAt;

use super::reader::{CACHE, ImageReader};

/// Readers in order that are told apart: `nbdcopy` reads with four at once.
const STREAMS: usize = 8;

/// All of them together are at most this many bytes ahead: what is decoded early must still be there when it is
/// wanted.
const MOST_AHEAD: u64 = CACHE as u64 / 2;

/// Requests of a reader in order may come out of order, by so many bytes: the kernel has several of 1 MiB
/// under way.
const DISORDER: u64 = 4 << 20;

/// An image with threads that decode ahead of whoever reads it in order. They end with it.
pub struct ReadAhead {
    reader: Arc<ImageReader>,
    streams: Mutex<Streams>,
    /// Numbers of blobs that will be wanted.
    wanted: Sender<usize>,
}

impl ReadAhead {
    /// With this many threads.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn new(reader: ImageReader, threads: usize) -> io::Result<Self> {
        let reader = Arc::new(reader);
        // What is no longer wanted, because its reader went elsewhere, is little.
        let (wanted, numbers) = bounded(threads);
        for _ in 0..threads {
            let (reader, numbers) = (Arc::clone(&reader), numbers.clone());
            let decode = move || decode_all(&reader, &numbers);
            thread::Builder::new().name("read-ahead".into()).spawn(decode)?;
        }
        Ok(Self { reader, streams: Mutex::default(), wanted })
    }
}

/// What cannot be decoded is left to the reader, who gets the error.
fn decode_all(reader: &ImageReader, numbers: &Receiver<usize>) {
    for number in numbers {
        let _ = reader.prefetch(number);
    }
}

impl ReadAt for ReadAhead {
    fn size(&self) -> u64 {
        self.reader.size()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stream) = streams.note(offset, buf.len() as u64) {
            stream.ask(&self.reader, &self.wanted);
        }
        drop(streams);
        self.reader.read_at(offset, buf)
    }
}

/// Who reads in order, the last one last.
#[derive(Debug, Default)]
struct Streams(Vec<Stream>);

/// A reader in order.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stream {
    /// One past the last byte that it read.
    at: u64,
    /// Bytes that it read.
    read: u64,
    /// Up to here was decoded ahead.
    asked: u64,
    /// It may be ahead this far, bytes.
    ahead: u64,
}

impl Streams {
    /// Takes note of a read; the stream that it goes on with, if any.
    fn note(&mut self, offset: u64, len: u64) -> Option<&mut Stream> {
        let goes_on = |stream: &Stream| offset.abs_diff(stream.at) <= DISORDER;
        let found = self.0.iter().rposition(goes_on);
        let new = Stream { at: offset, read: 0, asked: 0, ahead: 0 };
        let mut stream = found.map_or(new, |index| self.0.remove(index));
        stream.at = stream.at.max(offset + len);
        stream.read += len;
        if self.0.len() == STREAMS {
            self.0.remove(0);
        }
        // A stream is trusted as far as it came: random reads start none.
        let others = self.0.iter().filter(|other| other.read > DISORDER).count() as u64;
        stream.ahead = stream.read.min(MOST_AHEAD / (others + 1));
        self.0.push(stream);
        self.0.last_mut().filter(|_| found.is_some())
    }
}

impl Stream {
    /// Asks for what comes next, as much as is taken.
    fn ask(&mut self, reader: &ImageReader, wanted: &Sender<usize>) {
        let end = self.at.saturating_add(self.ahead);
        for (number, blob_end) in reader.blobs_from(self.at.max(self.asked), end) {
            if wanted.try_send(number).is_err() {
                break;
            }
            self.asked = blob_end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn who_reads_in_order_is_read_ahead_the_further_the_longer() {
        let mut streams = Streams::default();
        assert_eq!(streams.note(100 * MIB, MIB), None, "one read is no order");
        assert_eq!(streams.note(101 * MIB, MIB).unwrap().ahead, 2 * MIB);
        // Out of order, as several threads read.
        assert_eq!(streams.note(103 * MIB, MIB).unwrap().at, 104 * MIB);
        assert_eq!(streams.note(102 * MIB, MIB).unwrap().at, 104 * MIB);
        for at in 104..200 {
            streams.note(at * MIB, MIB);
        }
        assert_eq!(streams.note(200 * MIB, MIB).unwrap().ahead, MOST_AHEAD);
    }

    #[test]
    fn several_share_what_is_read_ahead_and_random_reads_start_nothing() {
        let mut streams = Streams::default();
        for at in 0..100 {
            for reader in 0..4 {
                streams.note((1000 * reader + at) * MIB, MIB);
            }
        }
        assert_eq!(streams.note(100 * MIB, MIB).unwrap().ahead, MOST_AHEAD / 4);
        for at in 0..1000 {
            let random = 10_000 * MIB + (at * 7919 % 1000) * 100 * MIB;
            assert_eq!(streams.note(random, 4096), None);
        }
        assert_eq!(streams.0.len(), STREAMS);
    }
}
