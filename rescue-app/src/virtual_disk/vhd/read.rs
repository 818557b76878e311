//! A VHD read as the disk that is in it.

use std::io;
use std::sync::Arc;

use super::{
    DYNAMIC, FIXED, FOOTER_COOKIE, FOOTER_LEN, FOOTER_SUM, HEADER_COOKIE, HEADER_LEN, HEADER_SUM,
    NONE, SECTOR, checksum,
};
use crate::bytes::{Extents, ReadAt, be32, be64};
use crate::virtual_disk::tables::Tables;
use crate::virtual_disk::{Disk, by_block, ensure_inside, held, wrong};

/// Bytes of an entry of the table of blocks.
const ENTRY: u64 = 4;

/// The disk in a VHD file.
pub(in crate::virtual_disk) struct Reader {
    tables: Tables,
    size: u64,
    /// `None` for one of fixed size.
    blocks: Option<Blocks>,
}

/// Where the blocks of a growing one are found.
struct Blocks {
    /// First byte of the table.
    table: u64,
    /// Number of its entries.
    count: u64,
    /// Bytes of a block.
    size: u64,
    /// Bytes of the map of sectors in front of each.
    map: u64,
}

impl Reader {
    pub(in crate::virtual_disk) fn open(file: Arc<dyn ReadAt>) -> io::Result<Self> {
        let at = file.size().checked_sub(FOOTER_LEN as u64);
        let footer = file.read_vec(at.ok_or_else(|| wrong("this is no VHD"))?, FOOTER_LEN)?;
        if !footer.starts_with(FOOTER_COOKIE)
            || be32(&footer, FOOTER_SUM) != Some(checksum(&footer, FOOTER_SUM))
        {
            return Err(wrong("the footer of the VHD is damaged or not there"));
        }
        let size = be64(&footer, 48).unwrap_or_default();
        let blocks = match be32(&footer, 60) {
            Some(FIXED) if at.is_some_and(|end| size <= end) => None,
            Some(FIXED) => return Err(wrong("the VHD is cut short")),
            Some(DYNAMIC) => Some(Blocks::find(&*file, be64(&footer, 16).unwrap_or_default())?),
            _ => return Err(wrong("the VHD is only what differs from another file")),
        };
        if blocks.as_ref().is_some_and(|it| it.count.saturating_mul(it.size) < size) {
            return Err(wrong("the VHD has a table for a part of its disk only"));
        }
        Ok(Self { tables: Tables::new(file), size, blocks })
    }

    /// The sector that a block begins at, with its map.
    fn sector_of(&self, blocks: &Blocks, block: u64) -> io::Result<u32> {
        Ok(u32::from_be_bytes(self.tables.entry(blocks.entry_of(block)?)?))
    }
}

impl Blocks {
    /// Where the entry for a block begins.
    fn entry_of(&self, block: u64) -> io::Result<u64> {
        Ok(self.table.checked_add(block * ENTRY).ok_or(io::ErrorKind::UnexpectedEof)?)
    }

    fn find(file: &dyn ReadAt, at: u64) -> io::Result<Self> {
        let header = file.read_vec(at, HEADER_LEN)?;
        if !header.starts_with(HEADER_COOKIE)
            || be32(&header, HEADER_SUM) != Some(checksum(&header, HEADER_SUM))
        {
            return Err(wrong("the header of the VHD is damaged"));
        }
        let field = |at| be32(&header, at).map_or(0, u64::from);
        let (count, size) = (field(28), field(32));
        if !size.is_power_of_two() || size < SECTOR {
            return Err(wrong(format!("blocks of {size} bytes are none of a VHD")));
        }
        let map = (size / SECTOR / 8).next_multiple_of(SECTOR);
        Ok(Self { table: be64(&header, 16).unwrap_or_default(), count, size, map })
    }
}

impl Disk for Reader {
    fn data(&self) -> io::Result<Extents> {
        let Some(blocks) = &self.blocks else { return Ok(Extents::of(0, self.size)) };
        held((self.size, blocks.size), self.tables.most(ENTRY), |block| {
            let at = blocks.entry_of(block)?;
            self.tables.run(at, u64::MAX, |entry| u32::from_be_bytes(entry) != NONE)
        })
    }
}

impl ReadAt for Reader {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        ensure_inside(self.size, offset, buf.len())?;
        let Some(blocks) = &self.blocks else { return self.tables.file().read_at(offset, buf) };
        by_block(offset, buf, blocks.size, |block, into, part| {
            match self.sector_of(blocks, block)? {
                NONE => part.fill(0),
                sector => {
                    let start = u64::from(sector) * SECTOR + blocks.map;
                    self.tables.file().read_at(start + into, part)?;
                }
            }
            Ok(())
        })
    }
}
