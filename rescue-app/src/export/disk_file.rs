//! A disk written to a file in a format of virtual machines, and compared with what was written.
//!
//! ```text
//!  pieces of the disk, in order ─┬─► read, hash, pack ─┐ in their order again: ─┬─► write
//!                                ├─► read, hash, pack ─┤ each block's place ────├─► write
//!                                └─► …                ─┘                        └─► …
//! ```

use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::bytes::{AlignedBuffer, Extent, Extents, ReadAt, is_zero};
use crate::progress::{self, Reporter, mixed_workers};
use crate::repository::{Id, TOGETHER};
use crate::transfer::TransferError;
use crate::virtual_disk::{Block, Format, Packer, PutAt, Seal, Shape};

/// What one thread reads, packs and writes at once, bytes; a block of a format may be more.
const PIECE: u64 = 4 << 20;

/// A disk that is written to a file.
pub(crate) struct DiskFile<'a> {
    /// The disk.
    pub(crate) disk: &'a dyn ReadAt,
    /// What of it may be other than zero.
    pub(crate) used: &'a Extents,
    /// How it is written, and what it is.
    pub(crate) format: Format,
    /// What it is.
    pub(crate) shape: &'a Shape,
}

/// The hashes of the pieces that were written, by the byte of the disk that each begins at.
pub(crate) struct Pieces {
    len: u64,
    hashes: Vec<(u64, Id)>,
}

impl DiskFile<'_> {
    /// Writes all of it to `out` but for what makes it a file of its format, which is returned with what there is
    /// to compare.
    ///
    /// # Errors
    /// Those of reading the disk and of writing.
    pub(crate) fn write(
        &self,
        out: &dyn PutAt,
        reporter: &Reporter<'_>,
    ) -> Result<(Seal, Pieces), TransferError> {
        let len = PIECE.max(self.format.block_size(self.shape.size));
        let writer = self.format.writer(self.shape).map_err(laying_out)?;
        let turns = Turns::new((writer, Vec::new()));
        let pieces = self.pieces(len).enumerate();
        let scratch = || Scratch::new(self.format);
        progress::for_each(mixed_workers(), pieces, scratch, |(number, piece), scratch| {
            let mut turn = turns.turn(number);
            let hash = self.load(piece, scratch)?;
            scratch.pack(piece.start / self.block(), self.block())?;
            let taken = turn.take(|(writer, hashes)| {
                hashes.push((piece.start, hash));
                let mut places = Vec::with_capacity(scratch.blocks.len());
                for (block, _) in &scratch.blocks {
                    places.push(writer.place(*block, out).map_err(laying_out)?);
                }
                Ok(places)
            })?;
            // What another thread failed at, that one tells.
            let Some(places) = taken else { return Ok(()) };
            scratch.put(&places, out)?;
            let used: u64 = self.used.within(piece.start, piece.end).map(Extent::len).sum();
            Ok(reporter.advance(used, used, 0)?)
        })?;
        let (mut writer, hashes) = turns.into_inner();
        let seal = writer.finish(out).map_err(laying_out)?;
        Ok((seal, Pieces { len, hashes }))
    }

    fn block(&self) -> u64 {
        self.format.block_size(self.shape.size)
    }

    /// The stretches of the disk in which anything is used.
    fn pieces(&self, len: u64) -> impl Iterator<Item = Extent> {
        let size = self.shape.size;
        let all = (0..size.div_ceil(len)).map(move |number| {
            let start = number * len;
            Extent { start, end: size.min(start + len) }
        });
        all.filter(|piece| self.used.within(piece.start, piece.end).next().is_some())
    }

    /// Reads a piece, with zeros up to the end of its last block; its hash.
    fn load(&self, piece: Extent, scratch: &mut Scratch) -> Result<Id, TransferError> {
        let number = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        let len = number(piece.len());
        scratch.piece.set_len(number(piece.len().next_multiple_of(self.block())));
        let (disk, rest) = scratch.piece.split_at_mut(len);
        rest.fill(0);
        let read = self.disk.read_at(piece.start, disk);
        read.map_err(|error| {
            TransferError::io(format!("reading the disk at byte {}", piece.start), error)
        })?;
        Ok(hash(disk))
    }
}

impl Pieces {
    /// Bytes of a piece.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Compares them with the `disk` that the file turned out to hold: the first byte of a piece that differs.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn first_difference(
        &self,
        disk: &dyn ReadAt,
        used: &Extents,
        reporter: &Reporter<'_>,
    ) -> Result<Option<u64>, TransferError> {
        let first = Mutex::new(None::<u64>);
        let buffer = || Ok::<_, TransferError>(AlignedBuffer::default());
        progress::for_each(
            mixed_workers(),
            self.hashes.iter(),
            buffer,
            |(start, wanted), buffer| {
                let end = disk.size().min(start + self.len);
                buffer.set_len(usize::try_from(end.saturating_sub(*start)).unwrap_or_default());
                let read = disk.read_at(*start, buffer);
                read.map_err(|error| {
                    TransferError::io(
                        format!("reading the file back at byte {start} of its disk"),
                        error,
                    )
                })?;
                if hash(buffer) != *wanted {
                    let mut first = first.lock().unwrap_or_else(PoisonError::into_inner);
                    *first = Some(first.map_or(*start, |first| first.min(*start)));
                }
                let used: u64 = used.within(*start, end).map(Extent::len).sum();
                Ok(reporter.advance(used, 0, 0)?)
            },
        )?;
        Ok(first.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The hash of a piece: that of the hashes of its parts, which are made at once.
fn hash(piece: &[u8]) -> Id {
    let part = piece.len().div_ceil(TOGETHER).max(1);
    let hashes = Id::of_all(&piece.chunks(part).collect::<Vec<_>>());
    let hashes: Vec<[u8; 32]> = hashes.iter().map(|id| *id.as_bytes()).collect();
    Id::of(&hashes.concat())
}

/// Buffers of one thread.
struct Scratch {
    packer: Option<Packer>,
    piece: AlignedBuffer,
    /// Packed blocks, one behind the other.
    packed: Vec<u8>,
    /// The blocks of the piece that are not zero, and where they are in `packed`, or in the piece where nothing
    /// is packed.
    blocks: Vec<(Block, usize)>,
}

impl Scratch {
    fn new(format: Format) -> Result<Self, TransferError> {
        let packer = format.packer().map_err(laying_out)?;
        let piece = AlignedBuffer::default();
        Ok(Self { packer, piece, packed: Vec::new(), blocks: Vec::new() })
    }

    /// Packs the blocks of the piece, of `size` bytes, the first of which is number `first` of the disk.
    fn pack(&mut self, first: u64, size: u64) -> Result<(), TransferError> {
        self.packed.clear();
        self.blocks.clear();
        let len = usize::try_from(size).unwrap_or(usize::MAX);
        for (number, (index, bytes)) in (first..).zip(self.piece.chunks(len).enumerate()) {
            if is_zero(bytes) {
                continue;
            }
            let Some(packer) = &mut self.packer else {
                let block = Block { number, len, is_packed: false };
                self.blocks.push((block, index * len));
                continue;
            };
            let start = self.packed.len();
            let is_packed = packer.pack(number, bytes, &mut self.packed).map_err(laying_out)?;
            let block = Block { number, len: self.packed.len() - start, is_packed };
            self.blocks.push((block, start));
        }
        Ok(())
    }

    /// Writes the blocks to their places, those at once that lie beside each other in memory and in the file.
    fn put(&self, places: &[u64], out: &dyn PutAt) -> Result<(), TransferError> {
        let from = if self.packer.is_some() { &self.packed[..] } else { &self.piece[..] };
        let mut run: Option<(u64, usize, usize)> = None;
        let put = |(at, start, len): (u64, usize, usize)| {
            let bytes = from.get(start..start + len).unwrap_or_default();
            out.put_at(at, bytes).map_err(|error| writing(at, error))
        };
        for ((block, start), place) in self.blocks.iter().zip(places) {
            run = match run {
                Some((at, begin, len)) if at + len as u64 == *place && begin + len == *start => {
                    Some((at, begin, len + block.len))
                }
                done => {
                    done.map_or(Ok(()), put)?;
                    Some((*place, *start, block.len))
                }
            };
        }
        run.map_or(Ok(()), put)
    }
}

/// Something that threads use in the order of the numbers of their work.
struct Turns<T> {
    state: Mutex<State<T>>,
    moved: Condvar,
}

struct State<T> {
    inner: T,
    /// Whose turn it is.
    next: usize,
    /// Whether somebody will never take the own turn.
    is_broken: bool,
}

impl<T> Turns<T> {
    fn new(inner: T) -> Self {
        let state = Mutex::new(State { inner, next: 0, is_broken: false });
        Self { state, moved: Condvar::new() }
    }

    /// The turn of a piece of work; when it is dropped before it was taken, nobody waits for it.
    fn turn(&self, number: usize) -> Turn<'_, T> {
        Turn { turns: self, number, was_taken: false }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn into_inner(self) -> T {
        self.state.into_inner().unwrap_or_else(PoisonError::into_inner).inner
    }
}

struct Turn<'t, T> {
    turns: &'t Turns<T>,
    number: usize,
    was_taken: bool,
}

impl<T> Turn<'_, T> {
    /// Waits for the turn, and does the work; `None` when somebody else's failed.
    fn take<R>(
        &mut self,
        work: impl FnOnce(&mut T) -> Result<R, TransferError>,
    ) -> Result<Option<R>, TransferError> {
        let waits = |state: &mut State<T>| state.next != self.number && !state.is_broken;
        let moved = self.turns.moved.wait_while(self.turns.lock(), waits);
        let mut state = moved.unwrap_or_else(PoisonError::into_inner);
        if state.is_broken {
            return Ok(None);
        }
        let done = work(&mut state.inner)?;
        state.next += 1;
        self.was_taken = true;
        self.turns.moved.notify_all();
        Ok(Some(done))
    }
}

impl<T> Drop for Turn<'_, T> {
    fn drop(&mut self) {
        if !self.was_taken {
            self.turns.lock().is_broken = true;
            self.turns.moved.notify_all();
        }
    }
}

/// For a table that was not written, or does not do.
fn laying_out(error: io::Error) -> TransferError {
    TransferError::io("laying the disk out in the file", error)
}

/// For a write that failed.
pub(crate) fn writing(at: u64, error: io::Error) -> TransferError {
    TransferError::io(format!("writing the file at byte {at}"), error)
}
