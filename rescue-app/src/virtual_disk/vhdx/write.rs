//! A disk laid out as a VHDX.

use std::io;

use super::{
    CHECKSUM, FILE_SIGNATURE, Guid, HEADER_LEN, HEADER_SIGNATURE, HEADERS, METADATA_SIGNATURE, MIB,
    PRESENT, REGION_SIGNATURE, REGION_TABLE_LEN, REGION_TABLES, block_size, blocks_in_a_chunk,
    checksum, entry_of, guids,
};
use crate::virtual_disk::fit;
use crate::virtual_disk::header::{Header, new_uuid};
use crate::virtual_disk::writer::{Block, PutAt, Seal, Shape, Writer};

/// Where the regions are, one behind the other; the log is empty.
const LOG: u64 = MIB;
const METADATA: u64 = 2 * MIB;
const BLOCKS: u64 = 3 * MIB;
/// Bytes of the log and of the metadata.
const REGION: u64 = MIB;
/// Where the first item of the metadata is in their region.
const ITEMS: u32 = 64 << 10;
/// Bytes from one item to the next.
const ITEM: u32 = 16;
/// "This is of the disk", "this has to be understood" (2.6.1.2).
const OF_DISK: u32 = 2;
const REQUIRED: u32 = 4;
/// Who made it, in UTF-16.
const CREATOR: &str = "Lifeboat";

/// Blocks one behind the other, and in front of them the table that finds them.
pub(in crate::virtual_disk) struct Layout {
    size: u64,
    sector: u32,
    block: u64,
    in_a_chunk: u64,
    /// The table.
    entries: Vec<u64>,
    /// Where the next block goes.
    next: u64,
}

impl Layout {
    pub(in crate::virtual_disk) fn new(shape: &Shape) -> io::Result<Self> {
        let &Shape { size, sector, .. } = shape;
        let block = block_size(size);
        let in_a_chunk = blocks_in_a_chunk(block, u64::from(sector));
        let last = size.div_ceil(block).saturating_sub(1);
        let count = usize::try_from(entry_of(last, in_a_chunk) + 1).map_err(io::Error::other)?;
        let entries = vec![0; count];
        let next = BLOCKS + (count as u64 * 8).next_multiple_of(MIB);
        Ok(Self { size, sector, block, in_a_chunk, entries, next })
    }

    /// Bytes of the region of the table of blocks.
    fn table_len(&self) -> u64 {
        (self.entries.len() as u64 * 8).next_multiple_of(MIB)
    }

    fn metadata(&self) -> io::Result<Vec<u8>> {
        let block = fit::<u32>(self.block)?;
        let items: [(Guid, u32, Vec<u8>); 5] = [
            (guids::PARAMETERS, REQUIRED, [block.to_le_bytes(), [0; 4]].concat()),
            (guids::SIZE, REQUIRED | OF_DISK, self.size.to_le_bytes().to_vec()),
            (guids::IDENTITY, REQUIRED | OF_DISK, new_uuid()?.to_vec()),
            (guids::LOGICAL, REQUIRED | OF_DISK, self.sector.to_le_bytes().to_vec()),
            (guids::PHYSICAL, REQUIRED | OF_DISK, 4096_u32.to_le_bytes().to_vec()),
        ];
        let len = usize::try_from(ITEMS).map_err(io::Error::other)? + 4096;
        let mut header = Header::new(len)
            .with(0, METADATA_SIGNATURE)
            .with(10, &fit::<u16>(items.len() as u64)?.to_le_bytes());
        let places = (ITEMS..).step_by(usize::try_from(ITEM).map_err(io::Error::other)?);
        for (number, ((guid, flags, bytes), place)) in items.iter().zip(places).enumerate() {
            let at = 32 * (number + 1);
            header = header
                .with(at, guid)
                .with(at + 16, &place.to_le_bytes())
                .with(at + 20, &fit::<u32>(bytes.len() as u64)?.to_le_bytes())
                .with(at + 24, &flags.to_le_bytes())
                .with(usize::try_from(place).map_err(io::Error::other)?, bytes);
        }
        Ok(header.into_bytes())
    }

    fn regions(&self) -> io::Result<Vec<u8>> {
        let regions =
            [(guids::BLOCKS, BLOCKS, self.table_len()), (guids::METADATA, METADATA, REGION)];
        let mut table = Header::new(REGION_TABLE_LEN)
            .with(0, REGION_SIGNATURE)
            .with(8, &fit::<u32>(regions.len() as u64)?.to_le_bytes());
        for (number, (guid, at, len)) in regions.iter().enumerate() {
            let entry = 16 + 32 * number;
            table = table
                .with(entry, guid)
                .with(entry + 16, &at.to_le_bytes())
                .with(entry + 24, &fit::<u32>(*len)?.to_le_bytes())
                .with(entry + 28, &1_u32.to_le_bytes());
        }
        Ok(with_checksum(table))
    }
}

fn header(number: u64, written: &Guid, content: &Guid) -> io::Result<Vec<u8>> {
    let header = Header::new(HEADER_LEN)
        .with(0, HEADER_SIGNATURE)
        .with(8, &number.to_le_bytes())
        .with(16, written)
        .with(32, content)
        // No identity of a log: there is nothing in it. Version of the log 0, of the file 1.
        .with(66, &1_u16.to_le_bytes())
        .with(68, &fit::<u32>(REGION)?.to_le_bytes())
        .with(72, &LOG.to_le_bytes());
    Ok(with_checksum(header))
}

fn with_checksum(header: Header) -> Vec<u8> {
    let bytes = header.into_bytes();
    let sum = checksum(&bytes).to_le_bytes();
    Header::from(bytes).with(CHECKSUM, &sum).into_bytes()
}

impl Writer for Layout {
    fn place(&mut self, block: Block, _out: &dyn PutAt) -> io::Result<u64> {
        let index = usize::try_from(entry_of(block.number, self.in_a_chunk));
        let entry = self.entries.get_mut(index.map_err(io::Error::other)?);
        let at = self.next;
        *entry.ok_or(io::ErrorKind::UnexpectedEof)? = at | PRESENT;
        self.next += self.block;
        Ok(at)
    }

    fn finish(&mut self, out: &dyn PutAt) -> io::Result<Seal> {
        let table: Vec<u8> = self.entries.iter().flat_map(|entry| entry.to_le_bytes()).collect();
        out.put_at(BLOCKS, &table)?;
        out.put_at(METADATA, &self.metadata()?)?;
        let regions = self.regions()?;
        for at in REGION_TABLES {
            out.put_at(at, &regions)?;
        }
        let (written, content) = (new_uuid()?, new_uuid()?);
        for (number, at) in (1..).zip(HEADERS) {
            out.put_at(at, &header(number, &written, &content)?)?;
        }
        let creator: Vec<u8> = CREATOR.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let bytes = Header::new(4096).with(0, FILE_SIGNATURE).with(8, &creator).into_bytes();
        Ok(Seal { at: 0, bytes, size: self.next })
    }
}
