//! A disk laid out as a VHD.

use std::io;

use time::OffsetDateTime;

use super::{
    BLOCK, DYNAMIC, FIXED, FOOTER_COOKIE, FOOTER_LEN, FOOTER_SUM, HEADER_COOKIE, HEADER_LEN,
    HEADER_SUM, NONE, SECTOR, checksum,
};
use crate::virtual_disk::fit;
use crate::virtual_disk::header::{Header, new_uuid};
use crate::virtual_disk::writer::{Block, PutAt, Seal, Shape, Writer};

/// 2000-01-01, from when times are counted, as seconds since 1970.
const EPOCH: i64 = 946_684_800;
/// The most cylinders, heads and sectors.
const GEOMETRY: [u8; 4] = [0xff, 0xff, 16, 255];
/// Version 1.0 of footer and header.
const VERSION: u32 = 0x0001_0000;
/// Who made it, and on what it is used ("Wi2k": Windows).
const CREATOR: &[u8] = b"lfbt";
const CREATOR_HOST: &[u8] = b"Wi2k";
/// Where the table of blocks begins.
const TABLE: u64 = 1536;
/// Bytes of the map of sectors in front of a block.
const MAP: u64 = BLOCK / SECTOR / 8;
/// Contents of blocks begin at a multiple of this, for disks with such sectors.
const ALIGNMENT: u64 = 4096;

/// A disk byte by byte.
pub(in crate::virtual_disk) struct Plain {
    pub(in crate::virtual_disk) size: u64,
}

impl Writer for Plain {
    fn place(&mut self, block: Block, _out: &dyn PutAt) -> io::Result<u64> {
        Ok(block.number * BLOCK)
    }

    fn finish(&mut self, _out: &dyn PutAt) -> io::Result<Seal> {
        Ok(Seal { at: 0, bytes: Vec::new(), size: self.size })
    }
}

/// A disk byte by byte, and a footer.
pub(in crate::virtual_disk) struct Fixed {
    size: u64,
    footer: Vec<u8>,
}

impl Fixed {
    pub(in crate::virtual_disk) fn new(shape: &Shape) -> io::Result<Self> {
        Ok(Self { size: shape.size, footer: footer(shape.size, FIXED, u64::MAX)? })
    }
}

impl Writer for Fixed {
    fn place(&mut self, block: Block, _out: &dyn PutAt) -> io::Result<u64> {
        Ok(block.number * BLOCK)
    }

    fn finish(&mut self, _out: &dyn PutAt) -> io::Result<Seal> {
        let bytes = self.footer.clone();
        Ok(Seal { at: self.size, size: self.size + bytes.len() as u64, bytes })
    }
}

/// Blocks one behind the other, and in front of them a table that finds them.
pub(in crate::virtual_disk) struct Dynamic {
    footer: Vec<u8>,
    /// The sector that each block begins at.
    blocks: Vec<u32>,
    /// Where the next block begins: its map.
    next: u64,
}

impl Dynamic {
    pub(in crate::virtual_disk) fn new(shape: &Shape) -> io::Result<Self> {
        let count = usize::try_from(shape.size.div_ceil(BLOCK)).map_err(io::Error::other)?;
        let end = (TABLE + count as u64 * 4).next_multiple_of(SECTOR);
        let next = (end + MAP).next_multiple_of(ALIGNMENT) - MAP;
        let footer = footer(shape.size, DYNAMIC, FOOTER_LEN as u64)?;
        Ok(Self { footer, blocks: vec![NONE; count], next })
    }

    fn header(&self) -> io::Result<Vec<u8>> {
        let header = Header::new(HEADER_LEN)
            .with(0, HEADER_COOKIE)
            .with(8, &u64::MAX.to_be_bytes())
            .with(16, &TABLE.to_be_bytes())
            .with(24, &VERSION.to_be_bytes())
            .with(28, &fit::<u32>(self.blocks.len() as u64)?.to_be_bytes())
            .with(32, &fit::<u32>(BLOCK)?.to_be_bytes());
        Ok(with_checksum(header, HEADER_SUM))
    }
}

impl Writer for Dynamic {
    fn place(&mut self, block: Block, out: &dyn PutAt) -> io::Result<u64> {
        let map = [0xff; 512];
        out.put_at(self.next, &map)?;
        let index = usize::try_from(block.number).map_err(io::Error::other)?;
        let entry = self.blocks.get_mut(index).ok_or(io::ErrorKind::UnexpectedEof)?;
        *entry = fit(self.next / SECTOR)?;
        let at = self.next + MAP;
        self.next = (at + BLOCK + MAP).next_multiple_of(ALIGNMENT) - MAP;
        Ok(at)
    }

    fn finish(&mut self, out: &dyn PutAt) -> io::Result<Seal> {
        let mut table: Vec<u8> = self.blocks.iter().flat_map(|at| at.to_be_bytes()).collect();
        table.resize(table.len().next_multiple_of(FOOTER_LEN), 0xff);
        out.put_at(TABLE, &table)?;
        out.put_at(self.next, &self.footer)?;
        // Without the header, which a copy of the footer stands before, neither footer leads anywhere.
        let bytes = [&self.footer[..], &self.header()?].concat();
        Ok(Seal { at: 0, bytes, size: self.next + FOOTER_LEN as u64 })
    }
}

fn footer(size: u64, kind: u32, header: u64) -> io::Result<Vec<u8>> {
    let seconds = OffsetDateTime::now_utc().unix_timestamp().saturating_sub(EPOCH);
    let footer = Header::new(FOOTER_LEN)
        .with(0, FOOTER_COOKIE)
        // "Reserved", which is always set.
        .with(8, &2_u32.to_be_bytes())
        .with(12, &VERSION.to_be_bytes())
        .with(16, &header.to_be_bytes())
        .with(24, &u32::try_from(seconds).unwrap_or_default().to_be_bytes())
        .with(28, CREATOR)
        .with(32, &VERSION.to_be_bytes())
        .with(36, CREATOR_HOST)
        .with(40, &size.to_be_bytes())
        .with(48, &size.to_be_bytes())
        .with(56, &GEOMETRY)
        .with(60, &kind.to_be_bytes())
        .with(68, &new_uuid()?);
    Ok(with_checksum(footer, FOOTER_SUM))
}

fn with_checksum(header: Header, at: usize) -> Vec<u8> {
    let bytes = header.into_bytes();
    let sum = checksum(&bytes, at).to_be_bytes();
    Header::from(bytes).with(at, &sum).into_bytes()
}
