//! A VHDX read as the disk that is in it.

use std::io;
use std::sync::Arc;

use super::{
    CHECKSUM, FILE_SIGNATURE, Guid, HEADER_LEN, HEADER_SIGNATURE, HEADERS, METADATA_SIGNATURE, MIB,
    PARTLY_PRESENT, PLACE, PRESENT, REGION_SIGNATURE, REGION_TABLE_LEN, REGION_TABLES, STATE,
    blocks_in_a_chunk, checksum, entry_of, guids,
};
use crate::bytes::{Extents, ReadAt, le16, le32, le64, slice};
use crate::virtual_disk::tables::Tables;
use crate::virtual_disk::{Disk, by_block, ensure_inside, held, wrong};

/// Bytes of an entry of a table of regions, and of one of the metadata; where the first is in either.
const ENTRY: usize = 32;
/// Bytes of an entry of the table of blocks.
const BLOCK_ENTRY: u64 = 8;
const FIRST_REGION: usize = 16;
const FIRST_ITEM: usize = 32;
/// The most entries of both tables (2.2.3.1, 2.6.1.1).
const MOST_ENTRIES: usize = 2047;
/// Bytes of the table of the metadata.
const METADATA_TABLE_LEN: usize = 64 << 10;

/// The disk in a VHDX file.
pub(in crate::virtual_disk) struct Reader {
    tables: Tables,
    size: u64,
    /// Logical sector size, bytes.
    sector: u32,
    /// Bytes of a block.
    block: u64,
    /// Blocks between two entries for maps of sectors.
    in_a_chunk: u64,
    /// First byte of the table of blocks, and its bytes.
    blocks: (u64, u64),
}

impl Reader {
    pub(in crate::virtual_disk) fn open(file: Arc<dyn ReadAt>) -> io::Result<Self> {
        if file.read_vec(0, FILE_SIGNATURE.len())? != FILE_SIGNATURE {
            return Err(wrong("this is no VHDX"));
        }
        refuse_log(&*file)?;
        let regions = find_table(&*file, &REGION_TABLES, REGION_TABLE_LEN, REGION_SIGNATURE)?
            .ok_or_else(|| wrong("both tables of regions of the VHDX are damaged"))?;
        let blocks = region(&regions, &guids::BLOCKS)?;
        let metadata = Metadata::read(&*file, region(&regions, &guids::METADATA)?.0)?;
        let parameters = metadata.item(&guids::PARAMETERS, 8)?;
        let block = le32(&parameters, 0).map_or(0, u64::from);
        if le32(&parameters, 4).unwrap_or_default() & 2 != 0 {
            return Err(wrong("the VHDX is only what differs from another file"));
        }
        let size = le64(&metadata.item(&guids::SIZE, 8)?, 0).unwrap_or_default();
        let sector = le32(&metadata.item(&guids::LOGICAL, 4)?, 0).unwrap_or_default();
        if !block.is_power_of_two() || !(MIB..=256 * MIB).contains(&block) {
            return Err(wrong(format!("blocks of {block} bytes are none of a VHDX")));
        }
        if sector != 512 && sector != 4096 {
            return Err(wrong(format!("sectors of {sector} bytes are none of a VHDX")));
        }
        let in_a_chunk = blocks_in_a_chunk(block, u64::from(sector));
        let last = size.div_ceil(block).saturating_sub(1);
        if size > 0 && (entry_of(last, in_a_chunk) + 1).saturating_mul(BLOCK_ENTRY) > blocks.1 {
            return Err(wrong("the VHDX has a table for a part of its disk only"));
        }
        Ok(Self { tables: Tables::new(file), size, sector, block, in_a_chunk, blocks })
    }

    /// Where the entry for a block begins.
    fn place_of(&self, block: u64) -> u64 {
        self.blocks.0.saturating_add(entry_of(block, self.in_a_chunk) * BLOCK_ENTRY)
    }
}

/// A file that was not closed has changes in its log.
fn refuse_log(file: &dyn ReadAt) -> io::Result<()> {
    let mut newest: Option<(u64, Vec<u8>)> = None;
    for at in HEADERS {
        let Some(header) = find_table(file, &[at], HEADER_LEN, HEADER_SIGNATURE)? else { continue };
        let number = le64(&header, 8).unwrap_or_default();
        if newest.as_ref().is_none_or(|(other, _)| *other < number) {
            newest = Some((number, header));
        }
    }
    let (_, header) = newest.ok_or_else(|| wrong("both headers of the VHDX are damaged"))?;
    if slice(&header, 48, 16).is_some_and(|log| log.iter().all(|byte| *byte == 0)) {
        return Ok(());
    }
    Err(wrong("the VHDX was not closed: what was written last is in its log"))
}

/// The first of several copies whose checksum is right.
fn find_table(
    file: &dyn ReadAt,
    places: &[u64],
    len: usize,
    signature: &[u8],
) -> io::Result<Option<Vec<u8>>> {
    for at in places {
        let table = file.read_vec(*at, len)?;
        if table.starts_with(signature) && le32(&table, CHECKSUM) == Some(checksum(&table)) {
            return Ok(Some(table));
        }
    }
    Ok(None)
}

/// First byte and bytes of a region.
fn region(table: &[u8], guid: &Guid) -> io::Result<(u64, u64)> {
    let count = le32(table, 8).map_or(0, |count| usize::try_from(count).unwrap_or(usize::MAX));
    let starts = (0..count.min(MOST_ENTRIES)).map(|number| FIRST_REGION + number * ENTRY);
    let found = starts.into_iter().find(|at| slice(table, *at, 16) == Some(guid));
    let place =
        found.and_then(|at| Some((le64(table, at + 16)?, u64::from(le32(table, at + 24)?))));
    place.ok_or_else(|| wrong("a region of the VHDX is not there"))
}

/// What the disk is.
struct Metadata<'a> {
    file: &'a dyn ReadAt,
    at: u64,
    table: Vec<u8>,
}

impl<'a> Metadata<'a> {
    fn read(file: &'a dyn ReadAt, at: u64) -> io::Result<Self> {
        let table = file.read_vec(at, METADATA_TABLE_LEN)?;
        if !table.starts_with(METADATA_SIGNATURE) {
            return Err(wrong("the metadata of the VHDX are damaged"));
        }
        Ok(Self { file, at, table })
    }

    fn item(&self, guid: &Guid, len: usize) -> io::Result<Vec<u8>> {
        let count = le16(&self.table, 10).map_or(0, usize::from).min(MOST_ENTRIES);
        let mut starts = (0..count).map(|number| FIRST_ITEM + number * ENTRY);
        let found = starts.find(|at| slice(&self.table, *at, 16) == Some(guid));
        let offset = found.and_then(|at| le32(&self.table, at + 16));
        let offset = offset.ok_or_else(|| wrong("the metadata of the VHDX are not complete"))?;
        self.file.read_vec(self.at.saturating_add(u64::from(offset)), len)
    }
}

impl Disk for Reader {
    fn sector_size(&self) -> Option<u32> {
        Some(self.sector)
    }

    fn data(&self) -> io::Result<Extents> {
        held((self.size, self.block), self.tables.most(BLOCK_ENTRY), |block| {
            // Up to the entry for a map of sectors.
            let most = self.in_a_chunk - block % self.in_a_chunk;
            self.tables.run(self.place_of(block), most, |entry| {
                matches!(u64::from_le_bytes(entry) & STATE, PRESENT | PARTLY_PRESENT)
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
            let entry = u64::from_le_bytes(self.tables.entry(self.place_of(block))?);
            match entry & STATE {
                PRESENT => {
                    let at = (entry & PLACE).checked_add(into);
                    self.tables.file().read_at(at.ok_or(io::ErrorKind::UnexpectedEof)?, part)?;
                }
                PARTLY_PRESENT => return Err(wrong("a block of the VHDX is in another file too")),
                _ => part.fill(0),
            }
            Ok(())
        })
    }
}
