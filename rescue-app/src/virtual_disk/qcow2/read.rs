//! A qcow2 read as the disk that is in it.

use std::io;
use std::sync::Arc;

use super::{
    COMPRESSION_TYPE, DEFLATE, DIRTY, MAGIC, PACKED, PLACE, SECTOR, ZERO, ZSTD, packed_bits,
};
use crate::bytes::{Extents, ReadAt, be32, be64};
use crate::virtual_disk::packing::{ZstdFrames, inflate};
use crate::virtual_disk::tables::Tables;
use crate::virtual_disk::{Disk, by_block, ensure_inside, held, wrong};

/// Bytes of the header that are looked at.
const HEAD: usize = 112;
/// Cluster sizes that QEMU allows, as bits.
const CLUSTER_BITS: std::ops::RangeInclusive<u32> = 9..=21;
/// Bytes of an entry of either table.
const ENTRY: u64 = 8;

/// The disk in a qcow2 file.
pub(in crate::virtual_disk) struct Reader {
    tables: Tables,
    size: u64,
    cluster_bits: u32,
    /// Where the table of the first level begins.
    first_level: u64,
    frames: Option<ZstdFrames>,
}

impl Reader {
    pub(in crate::virtual_disk) fn open(file: Arc<dyn ReadAt>) -> io::Result<Self> {
        let len = usize::try_from(file.size()).unwrap_or(usize::MAX).min(HEAD);
        let head = file.read_vec(0, len)?;
        let field = |at| be32(&head, at).ok_or_else(|| wrong("the qcow2 header is cut short"));
        let long = |at| be64(&head, at).ok_or_else(|| wrong("the qcow2 header is cut short"));
        let version = field(4)?;
        if !head.starts_with(MAGIC) || !matches!(version, 2 | 3) {
            return Err(wrong("this is no qcow2 of version 2 or 3"));
        }
        if long(8)? != 0 {
            return Err(wrong("the qcow2 is only what differs from another file"));
        }
        if field(32)? != 0 {
            return Err(wrong("the qcow2 is encrypted"));
        }
        let cluster_bits = field(20)?;
        if !CLUSTER_BITS.contains(&cluster_bits) {
            return Err(wrong(format!("clusters of 2^{cluster_bits} bytes are none of a qcow2")));
        }
        let features = if version == 3 { long(72)? } else { 0 };
        let unknown = features & !(COMPRESSION_TYPE | DIRTY);
        if unknown != 0 {
            return Err(wrong(format!("the qcow2 has features that are not known ({unknown:#x})")));
        }
        let named = head.get(104).copied().filter(|_| features & COMPRESSION_TYPE != 0);
        let frames = match named.unwrap_or(DEFLATE) {
            DEFLATE => None,
            ZSTD => Some(ZstdFrames::default()),
            other => return Err(wrong(format!("the qcow2 is packed in an unknown way ({other})"))),
        };
        let (size, first_level) = (long(24)?, long(40)?);
        let covered = u128::from(field(36)?) << (2 * cluster_bits - 3);
        if covered < u128::from(size) {
            return Err(wrong("the qcow2 has tables for a part of its disk only"));
        }
        Ok(Self { tables: Tables::new(file), size, cluster_bits, first_level, frames })
    }

    /// The entry of the second level for a cluster; 0 where there is none.
    fn entry(&self, cluster: u64) -> io::Result<u64> {
        let per_table = self.cluster_bits - 3;
        let (table, index) = (cluster >> per_table, cluster & ((1 << per_table) - 1));
        match self.second_level(table)? {
            0 => Ok(0),
            second => Ok(u64::from_be_bytes(self.tables.entry(second + index * ENTRY)?)),
        }
    }

    /// Where a table of the second level begins; 0 where there is none.
    fn second_level(&self, table: u64) -> io::Result<u64> {
        Ok(u64::from_be_bytes(self.tables.entry(self.first_level_entry(table)?)?) & PLACE)
    }

    /// Where the entry of the first level begins for a table of the second one.
    fn first_level_entry(&self, table: u64) -> io::Result<u64> {
        let at = self.first_level.checked_add(table * ENTRY);
        at.ok_or_else(|| wrong("a table past all ends"))
    }

    fn unpack(&self, entry: u64, into: u64, part: &mut [u8]) -> io::Result<()> {
        let bits = packed_bits(self.cluster_bits);
        let at = entry & ((1 << bits) - 1);
        let sectors = ((entry & (PACKED - 1)) >> bits) + 1;
        let len = sectors * SECTOR - at % SECTOR;
        // The last one in a file need not fill its sectors.
        let len = len.min(self.tables.file().size().saturating_sub(at));
        let packed = self.tables.file().read_vec(at, usize::try_from(len).unwrap_or_default())?;
        let unpack = |out: &mut [u8]| match &self.frames {
            Some(frames) => frames.unpack(&packed, out),
            None if inflate(&packed, out, false)? == out.len() => Ok(()),
            None => Err(wrong("a packed block is cut short")),
        };
        let whole = 1_usize << self.cluster_bits;
        if part.len() == whole {
            return unpack(part);
        }
        let mut cluster = vec![0; whole];
        unpack(&mut cluster)?;
        let from = usize::try_from(into).unwrap_or(usize::MAX);
        let bytes = crate::bytes::slice(&cluster, from, part.len());
        part.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

impl Disk for Reader {
    fn data(&self) -> io::Result<Extents> {
        let per_table = 1 << (self.cluster_bits - 3);
        held((self.size, 1 << self.cluster_bits), self.tables.most(ENTRY), |cluster| {
            let (table, into) = (cluster / per_table, cluster % per_table);
            let tables = self.tables.run(self.first_level_entry(table)?, u64::MAX, |entry| {
                u64::from_be_bytes(entry) & PLACE != 0
            })?;
            if !tables.is_held {
                return Ok(tables.of_tables(per_table, into));
            }
            let at = self.second_level(table)? + into * ENTRY;
            self.tables.run(at, per_table - into, |entry| {
                let entry = u64::from_be_bytes(entry);
                entry & PACKED != 0 || (entry & PLACE != 0 && entry & ZERO == 0)
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
        by_block(offset, buf, 1 << self.cluster_bits, |cluster, into, part| {
            let entry = self.entry(cluster)?;
            if entry & PACKED != 0 {
                return self.unpack(entry, into, part);
            }
            match entry & PLACE {
                0 => part.fill(0),
                _ if entry & ZERO != 0 => part.fill(0),
                at => self.tables.file().read_at(at + into, part)?,
            }
            Ok(())
        })
    }
}
