//! A disk laid out as a VMDK.

use std::io;

use super::{
    AT_END, DEFLATE, GRAIN, HEADER_LEN, LINE_ENDS, MAGIC, MARKERS, PACKED, PER_TABLE,
    SECOND_DIRECTORY, SECTOR, TABLE_LEN,
};
use crate::virtual_disk::fit;
use crate::virtual_disk::header::{Header, new_uuid};
use crate::virtual_disk::writer::{Block, PutAt, Seal, Shape, Writer};

/// Where the description is, and the bytes that it has room in.
const DESCRIPTION: u64 = SECTOR;
const DESCRIPTION_LEN: u64 = 20 * SECTOR;
/// Bytes of the disk that a table of grains is for.
const COVERED: u64 = PER_TABLE * GRAIN;
/// Versions of the header: of plain files and of streams.
const VERSION: u32 = 1;
const STREAM_VERSION: u32 = 3;

/// What markers in a stream announce: tables of grains, their directory, and the header at the end.
const TABLE_MARKER: u32 = 1;
const DIRECTORY_MARKER: u32 = 2;
const FOOTER_MARKER: u32 = 3;

/// Heads and sectors of an IDE disk, and the most cylinders.
const HEADS: u64 = 16;
const SECTORS: u64 = 63;
const CYLINDERS: u64 = 16383;

/// Tables of grains in full number, twice, and grains behind them.
pub(in crate::virtual_disk) struct Sparse {
    shape: Shape,
    tables: Tables,
    /// Where the second and the first directory begin; their tables are behind each.
    directories: [u64; 2],
    /// Where the next grain goes.
    next: u64,
}

/// The table that is being filled.
struct Tables {
    number: u64,
    count: u64,
    entries: Vec<u8>,
}

impl Tables {
    fn new(size: u64) -> io::Result<Self> {
        let entries = vec![0; usize::try_from(TABLE_LEN).map_err(io::Error::other)?];
        Ok(Self { number: 0, count: size.div_ceil(COVERED), entries })
    }

    /// Bytes of a directory of them, in whole sectors.
    fn directory_len(&self) -> u64 {
        (self.count * 4).next_multiple_of(SECTOR)
    }

    fn is_empty(&self) -> bool {
        self.entries.iter().all(|byte| *byte == 0)
    }

    fn set(&mut self, grain: u64, at: u64) -> io::Result<()> {
        let index = usize::try_from(grain % PER_TABLE * 4).map_err(io::Error::other)?;
        let entry = self.entries.get_mut(index..index + 4).ok_or(io::ErrorKind::UnexpectedEof)?;
        entry.copy_from_slice(&fit::<u32>(at / SECTOR)?.to_le_bytes());
        Ok(())
    }
}

impl Sparse {
    pub(in crate::virtual_disk) fn new(shape: &Shape) -> io::Result<Self> {
        let tables = Tables::new(shape.size)?;
        let len = tables.directory_len() + tables.count * TABLE_LEN;
        let second = DESCRIPTION + DESCRIPTION_LEN;
        let directories = [second, second + len];
        let next = (second + 2 * len).next_multiple_of(GRAIN);
        Ok(Self { shape: shape.clone(), tables, directories, next })
    }

    /// Where table `number` of a directory is.
    fn table(&self, directory: u64, number: u64) -> u64 {
        directory + self.tables.directory_len() + number * TABLE_LEN
    }

    fn put_table(&mut self, out: &dyn PutAt) -> io::Result<()> {
        if self.tables.is_empty() {
            return Ok(());
        }
        for directory in self.directories {
            out.put_at(self.table(directory, self.tables.number), &self.tables.entries)?;
        }
        self.tables.entries.fill(0);
        Ok(())
    }
}

impl Writer for Sparse {
    fn place(&mut self, block: Block, out: &dyn PutAt) -> io::Result<u64> {
        if block.number / PER_TABLE != self.tables.number {
            self.put_table(out)?;
            self.tables.number = block.number / PER_TABLE;
        }
        let at = self.next;
        self.tables.set(block.number, at)?;
        self.next += GRAIN;
        Ok(at)
    }

    fn finish(&mut self, out: &dyn PutAt) -> io::Result<Seal> {
        self.put_table(out)?;
        for directory in self.directories {
            let mut bytes = Vec::new();
            for number in 0..self.tables.count {
                let sector = self.table(directory, number) / SECTOR;
                bytes.extend_from_slice(&fit::<u32>(sector)?.to_le_bytes());
            }
            out.put_at(directory, &bytes)?;
        }
        out.put_at(DESCRIPTION, description(&self.shape, "monolithicSparse")?.as_bytes())?;
        let end = self.table(self.directories[1], self.tables.count);
        let bytes = header(self.shape.size, VERSION, LINE_ENDS | SECOND_DIRECTORY)?
            .with(48, &(self.directories[0] / SECTOR).to_le_bytes())
            .with(56, &(self.directories[1] / SECTOR).to_le_bytes())
            .with(64, &(end.next_multiple_of(GRAIN) / SECTOR).to_le_bytes())
            .into_bytes();
        Ok(Seal { at: 0, bytes, size: self.next })
    }
}

/// Packed grains in their order, each table of them behind those that it is for: a reader needs nothing but
/// to go on reading.
pub(in crate::virtual_disk) struct Stream {
    shape: Shape,
    tables: Tables,
    /// The sector that each table begins at.
    directory: Vec<u32>,
    /// Where what comes next goes.
    next: u64,
}

impl Stream {
    pub(in crate::virtual_disk) fn new(shape: &Shape) -> io::Result<Self> {
        let tables = Tables::new(shape.size)?;
        let directory = vec![0; usize::try_from(tables.count).map_err(io::Error::other)?];
        Ok(Self { shape: shape.clone(), tables, directory, next: GRAIN })
    }

    fn put_table(&mut self, out: &dyn PutAt) -> io::Result<()> {
        if self.tables.is_empty() {
            return Ok(());
        }
        let entries = std::mem::take(&mut self.tables.entries);
        let at = self.put_marked(TABLE_MARKER, &entries, out)?;
        let number = usize::try_from(self.tables.number).map_err(io::Error::other)?;
        let entry = self.directory.get_mut(number).ok_or(io::ErrorKind::UnexpectedEof)?;
        *entry = fit(at / SECTOR)?;
        self.tables.entries = vec![0; entries.len()];
        Ok(())
    }

    /// Puts a marker and what it announces; where that is.
    fn put_marked(&mut self, kind: u32, bytes: &[u8], out: &dyn PutAt) -> io::Result<u64> {
        let len = (bytes.len() as u64).next_multiple_of(SECTOR);
        let marker = Header::new(HEADER_LEN)
            .with(0, &(len / SECTOR).to_le_bytes())
            .with(12, &kind.to_le_bytes())
            .into_bytes();
        let at = self.next + SECTOR;
        out.put_at(self.next, &marker)?;
        out.put_at(at, bytes)?;
        self.next = at + len;
        Ok(at)
    }

    /// The header, which tells where the directory is or that a header at the end does.
    fn header(&self, directory: u64) -> io::Result<Vec<u8>> {
        let flags = LINE_ENDS | PACKED | MARKERS;
        let header = header(self.shape.size, STREAM_VERSION, flags)?
            .with(56, &directory.to_le_bytes())
            .with(64, &(GRAIN / SECTOR).to_le_bytes())
            .with(77, &DEFLATE.to_le_bytes());
        Ok(header.into_bytes())
    }
}

impl Writer for Stream {
    fn place(&mut self, block: Block, out: &dyn PutAt) -> io::Result<u64> {
        if block.number / PER_TABLE != self.tables.number {
            self.put_table(out)?;
            self.tables.number = block.number / PER_TABLE;
        }
        let at = self.next;
        self.tables.set(block.number, at)?;
        self.next += block.len as u64;
        Ok(at)
    }

    fn finish(&mut self, out: &dyn PutAt) -> io::Result<Seal> {
        self.put_table(out)?;
        let bytes: Vec<u8> = self.directory.iter().flat_map(|at| at.to_le_bytes()).collect();
        let directory = self.put_marked(DIRECTORY_MARKER, &bytes, out)?;
        let footer = self.header(directory / SECTOR)?;
        self.put_marked(FOOTER_MARKER, &footer, out)?;
        out.put_at(DESCRIPTION, description(&self.shape, "streamOptimized")?.as_bytes())?;
        // The last marker, "end of stream", is all zero.
        Ok(Seal { at: 0, bytes: self.header(AT_END)?, size: self.next + SECTOR })
    }
}

fn header(size: u64, version: u32, flags: u32) -> io::Result<Header> {
    Ok(Header::new(HEADER_LEN)
        .with(0, MAGIC)
        .with(4, &version.to_le_bytes())
        .with(8, &flags.to_le_bytes())
        .with(12, &(size / SECTOR).to_le_bytes())
        .with(20, &(GRAIN / SECTOR).to_le_bytes())
        .with(28, &(DESCRIPTION / SECTOR).to_le_bytes())
        .with(36, &(DESCRIPTION_LEN / SECTOR).to_le_bytes())
        .with(44, &fit::<u32>(PER_TABLE)?.to_le_bytes())
        // What a transfer as text would change.
        .with(73, b"\n \r\n"))
}

fn description(shape: &Shape, kind: &str) -> io::Result<String> {
    let sectors = shape.size / SECTOR;
    let cylinders = (sectors / (HEADS * SECTORS)).clamp(1, CYLINDERS);
    // What the name would end, or more than there is room for, has another.
    let is_plain = |c: char| c.is_ascii_graphic() && c != '"' && c != '\\' || c == ' ';
    let is_told = shape.name.chars().all(is_plain) && shape.name.len() < 200;
    let name = if is_told { &*shape.name } else { "disk.vmdk" };
    let [a, b, c, d, ..] = new_uuid()?;
    let id = u32::from_be_bytes([a, b, c, d]) & (u32::MAX - 1);
    Ok(format!(
        "# Disk DescriptorFile\nversion=1\nCID={id:08x}\nparentCID=ffffffff\ncreateType=\"{kind}\"\n\n\
         # Extent description\nRW {sectors} SPARSE \"{name}\"\n\n\
         # The Disk Data Base\n#DDB\n\nddb.virtualHWVersion = \"4\"\n\
         ddb.geometry.cylinders = \"{cylinders}\"\nddb.geometry.heads = \"{HEADS}\"\n\
         ddb.geometry.sectors = \"{SECTORS}\"\nddb.adapterType = \"ide\"\n"
    ))
}
