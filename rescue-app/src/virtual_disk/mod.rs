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

use crate::bytes::ReadAt;

/// The disk that a file in a format holds; a plain file is one as it is.
///
/// # Errors
/// What is not in order in the file, or not known of the format; [`io::ErrorKind::InvalidData`].
pub fn open(format: Format, file: Arc<dyn ReadAt>) -> io::Result<Box<dyn ReadAt>> {
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

/// Refuses a read past the end of a disk.
fn ensure_inside(size: u64, offset: u64, len: usize) -> io::Result<()> {
    match offset.checked_add(len as u64) {
        Some(end) if end <= size => Ok(()),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
