//! VDI, VirtualBox's format (`include/VBox/VDI-Core.h`, QEMU `block/vdi.c`), which has no published
//! specification.

use std::io;
use std::sync::Arc;

use super::header::{Header, new_uuid};
use super::tables::Tables;
use super::writer::{Block, PutAt, Seal, Shape, Writer};
use super::{Disk, by_block, ensure_inside, fit, held, wrong};
use crate::bytes::{Extents, ReadAt, le32, le64, slice};

/// Bytes of a block; QEMU knows no others.
pub(super) const BLOCK: u64 = 1 << 20;

const TEXT: &[u8] = b"<<< Lifeboat virtual disk >>>\n";
const SIGNATURE: u32 = 0xbeda_107f;
const VERSION: u32 = 0x0001_0001;
/// Bytes of the header from its own size on, as of this version.
const HEADER_LEN: u32 = 0x190;
/// A growing image, and one of full size.
const DYNAMIC: u32 = 1;
const STATIC: u32 = 2;
const SECTOR: u32 = 512;
/// Bytes of an entry of the table.
const ENTRY: u64 = 4;
/// Entries of the table: no block, which is read as zeros, and one that is known to be zero.
const NONE: u32 = u32::MAX;
const ZERO: u32 = u32::MAX - 1;

/// The disk in a VDI file.
pub(super) struct Reader {
    tables: Tables,
    size: u64,
    block: u64,
    /// First byte of the table, and of the first block.
    table: u64,
    data: u64,
}

impl Reader {
    pub(super) fn open(file: Arc<dyn ReadAt>) -> io::Result<Self> {
        let head = file.read_vec(0, 512)?;
        let field = |at| le32(&head, at).unwrap_or_default();
        if field(64) != SIGNATURE || field(68) >> 16 != VERSION >> 16 {
            return Err(wrong("this is no VDI of version 1"));
        }
        if !matches!(field(76), DYNAMIC | STATIC) {
            return Err(wrong("the VDI is only what differs from another file"));
        }
        let (size, block) = (le64(&head, 0x170).unwrap_or_default(), u64::from(field(0x178)));
        if !block.is_power_of_two() || block < u64::from(SECTOR) || field(0x17c) != 0 {
            return Err(wrong(format!("blocks of {block} bytes are none of a VDI")));
        }
        if u64::from(field(0x180)).saturating_mul(block) < size {
            return Err(wrong("the VDI has a table for a part of its disk only"));
        }
        let (table, data) = (u64::from(field(0x154)), u64::from(field(0x158)));
        // "Link" and "parent": what it differs from.
        if slice(&head, 0x1a8, 32).is_none_or(|other| other.iter().any(|byte| *byte != 0)) {
            return Err(wrong("the VDI is only what differs from another file"));
        }
        Ok(Self { tables: Tables::new(file), size, block, table, data })
    }

    fn entry(&self, block: u64) -> io::Result<u32> {
        Ok(u32::from_le_bytes(self.tables.entry(self.table + block * ENTRY)?))
    }
}

impl Disk for Reader {
    fn data(&self) -> io::Result<Extents> {
        held((self.size, self.block), self.tables.most(ENTRY), |block| {
            self.tables.run(self.table + block * ENTRY, u64::MAX, |entry| {
                !matches!(u32::from_le_bytes(entry), NONE | ZERO)
            })
        })
    }
}

impl ReadAt for Reader {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        ensure_inside(self.size, offset, buf.len())?;
        by_block(offset, buf, self.block, |block, into, part| {
            match self.entry(block)? {
                NONE | ZERO => part.fill(0),
                number => {
                    let at = self.data + u64::from(number) * self.block + into;
                    self.tables.file().read_at(at, part)?;
                }
            }
            Ok(())
        })
    }
}

/// Blocks one behind the other, and in front of them the table that finds them.
pub(super) struct Layout {
    size: u64,
    /// Which block of the file each one is.
    blocks: Vec<u32>,
    used: u32,
}

/// Where the table begins: behind the header, as VirtualBox has it.
const TABLE: u64 = BLOCK;

impl Layout {
    pub(super) fn new(shape: &Shape) -> io::Result<Self> {
        let count = usize::try_from(shape.size.div_ceil(BLOCK)).map_err(io::Error::other)?;
        Ok(Self { size: shape.size, blocks: vec![NONE; count], used: 0 })
    }

    /// Where the first block begins.
    fn data(&self) -> u64 {
        (TABLE + self.blocks.len() as u64 * 4).next_multiple_of(BLOCK)
    }

    fn header(&self) -> io::Result<Vec<u8>> {
        let header = Header::new(512)
            .with(0, TEXT)
            .with(64, &SIGNATURE.to_le_bytes())
            .with(68, &VERSION.to_le_bytes())
            .with(72, &HEADER_LEN.to_le_bytes())
            .with(76, &DYNAMIC.to_le_bytes())
            .with(0x154, &fit::<u32>(TABLE)?.to_le_bytes())
            .with(0x158, &fit::<u32>(self.data())?.to_le_bytes())
            .with(0x168, &SECTOR.to_le_bytes())
            .with(0x170, &self.size.to_le_bytes())
            .with(0x178, &fit::<u32>(BLOCK)?.to_le_bytes())
            .with(0x180, &fit::<u32>(self.blocks.len() as u64)?.to_le_bytes())
            .with(0x184, &self.used.to_le_bytes())
            .with(0x188, &new_uuid()?)
            .with(0x198, &new_uuid()?);
        Ok(header.into_bytes())
    }
}

impl Writer for Layout {
    fn place(&mut self, block: Block, _out: &dyn PutAt) -> io::Result<u64> {
        let index = usize::try_from(block.number).map_err(io::Error::other)?;
        let entry = self.blocks.get_mut(index).ok_or(io::ErrorKind::UnexpectedEof)?;
        *entry = self.used;
        let at = self.data() + u64::from(self.used) * BLOCK;
        self.used += 1;
        Ok(at)
    }

    fn finish(&mut self, out: &dyn PutAt) -> io::Result<Seal> {
        let table: Vec<u8> = self.blocks.iter().flat_map(|number| number.to_le_bytes()).collect();
        out.put_at(TABLE, &table)?;
        let size = self.data() + u64::from(self.used) * BLOCK;
        Ok(Seal { at: 0, bytes: self.header()?, size })
    }
}
