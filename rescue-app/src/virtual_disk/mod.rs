//! Files that hold a disk in a format of virtual machines: qcow2, VHD, VHDX, VMDK and VDI.
//!
//! ```text
//!  blocks of a disk, in order ──► Packer ──► Writer: where each goes, tables behind ──► a file
//!  the disk  ◄── open: a reader that finds each block by the file's own tables  ◄──────────┘
//! ```
//!
//! Blocks that are zero are in no file. What makes a file one of its format is the last thing that is
//! written of it ([`Seal`]), so that one that was cut short is never taken for a disk.

mod format;
mod header;
mod packing;
mod qcow2;
mod tables;
mod vdi;
mod vhd;
mod vhdx;
mod vmdk;
mod writer;

#[cfg(test)]
mod tests;

pub use format::Format;
pub use packing::Packer;
pub use writer::{Block, PutAt, Seal, Shape, Writer};

use std::io;
use std::sync::Arc;

use crate::bytes::{Extents, ReadAt};

/// The disk in a file.
pub trait Disk: ReadAt {
    /// Logical sector size in bytes, where the format tells it.
    fn sector_size(&self) -> Option<u32> {
        None
    }

    /// What of the disk the file holds, as its tables say: all else is zero.
    ///
    /// # Errors
    /// The file's, and tables that lie outside of it.
    fn data(&self) -> io::Result<Extents> {
        Ok(Extents::of(0, self.size()))
    }
}

/// A file that is the disk.
impl Disk for Arc<dyn ReadAt> {}

/// The disk that a file in a format holds; a plain file is one as it is.
///
/// # Errors
/// What is not in order in the file, or not known of the format; [`io::ErrorKind::InvalidData`].
pub fn open(format: Format, file: Arc<dyn ReadAt>) -> io::Result<Box<dyn Disk>> {
    Ok(match format {
        Format::Raw => Box::new(file),
        Format::Qcow2 => Box::new(qcow2::Reader::open(file)?),
        Format::Vhd | Format::VhdFixed => Box::new(vhd::Reader::open(file)?),
        Format::Vhdx => Box::new(vhdx::Reader::open(file)?),
        Format::Vmdk | Format::VmdkStream => Box::new(vmdk::Reader::open(file)?),
        Format::Vdi => Box::new(vdi::Reader::open(file)?),
    })
}

/// For a file that is not as its format has it.
fn wrong(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}

/// A number that a format has fewer bits for.
fn fit<T: TryFrom<u64>>(number: u64) -> io::Result<T> {
    T::try_from(number).map_err(|_| wrong(format!("{number} is more than the format has room for")))
}

/// The part of a buffer for one block: `each` gets the number of the block, the byte in it that the part
/// begins at, and the part.
fn by_block(
    offset: u64,
    buf: &mut [u8],
    block: u64,
    mut each: impl FnMut(u64, u64, &mut [u8]) -> io::Result<()>,
) -> io::Result<()> {
    let (mut at, mut rest) = (offset, buf);
    while !rest.is_empty() {
        let into = at % block;
        let len = usize::try_from(block - into).unwrap_or(usize::MAX).min(rest.len());
        let (part, others) = rest.split_at_mut(len);
        each(at / block, into, part)?;
        at += len as u64;
        rest = others;
    }
    Ok(())
}

/// Stretches of a disk that are told apart; what lies behind them counts as held.
const MOST_STRETCHES: usize = 1 << 20;

/// Blocks of which the tables say the same.
struct Run {
    is_held: bool,
    /// How many they are.
    blocks: u64,
    /// How many entries of tables were looked at for that.
    entries: u64,
}

impl Run {
    /// The same for what each entry of a directory finds a table of `per_table` blocks for, from the block in such a
    /// table on that is number `into`.
    fn of_tables(self, per_table: u64, into: u64) -> Self {
        Self { blocks: self.blocks.saturating_mul(per_table).saturating_sub(into), ..self }
    }
}

/// What of a disk of `size` bytes in blocks of `block` is held. `look` gets the number of a block, and says how it is
/// with that and some behind it. What lies behind the blocks that `entries` entries of tables tell of counts as held.
fn held(
    (size, block): (u64, u64),
    entries: u64,
    mut look: impl FnMut(u64) -> io::Result<Run>,
) -> io::Result<Extents> {
    let mut data = Extents::new();
    let (mut number, mut looked) = (0, 0_u64);
    while let Some(at) = u64::checked_mul(number, block).filter(|at| *at < size) {
        if data.count() >= MOST_STRETCHES || looked > entries {
            data.push(at, size);
            break;
        }
        let run = look(number)?;
        number = number.saturating_add(run.blocks.max(1));
        looked = looked.saturating_add(run.entries.max(1));
        if run.is_held {
            data.push(at, number.saturating_mul(block).min(size));
        }
    }
    Ok(data)
}

/// Refuses a read past the end of a disk.
fn ensure_inside(size: u64, offset: u64, len: usize) -> io::Result<()> {
    match offset.checked_add(len as u64) {
        Some(end) if end <= size => Ok(()),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
