//! What all formats are written by.

use std::io;

use crate::bytes::DirectFile;

/// The disk that a file is to hold.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Bytes; a multiple of its sectors.
    pub size: u64,
    /// Bytes of its logical sectors.
    pub sector: u32,
    /// What the file will be called.
    pub name: String,
}

/// A block that goes to a file.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// Its number on the disk.
    pub number: u64,
    /// Bytes of it in the file.
    pub len: usize,
    /// Whether a [`super::Packer`] made it smaller.
    pub is_packed: bool,
}

/// What makes a file one of its format: it is written last of all.
#[derive(Clone, Debug)]
pub struct Seal {
    /// Where it goes.
    pub at: u64,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Bytes of the whole file.
    pub size: u64,
}

/// Where bytes of a file are put.
pub trait PutAt: Sync {
    /// Writes all of `bytes` at byte `offset`.
    ///
    /// # Errors
    /// The system's.
    fn put_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
}

impl PutAt for DirectFile {
    fn put_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }
}

/// How a format lays a disk out in a file.
pub trait Writer: Send {
    /// Where the next block goes: they come in ascending order, and those that are zero not at all. Tables
    /// that are full by then are written.
    ///
    /// # Errors
    /// Those of writing a table, and a file that would be larger than the format allows.
    fn place(&mut self, block: Block, out: &dyn PutAt) -> io::Result<u64>;

    /// Writes what is left of the tables.
    ///
    /// # Errors
    /// As [`Writer::place`].
    fn finish(&mut self, out: &dyn PutAt) -> io::Result<Seal>;
}
