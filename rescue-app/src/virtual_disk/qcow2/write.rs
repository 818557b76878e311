//! A disk laid out as a qcow2.

use std::io;
use std::ops::Range;

use super::{
    CLUSTER, CLUSTER_BITS, COMPRESSION_TYPE, COPIED, HEADER_LEN, MAGIC, PACKED, SECTOR, VERSION,
    ZSTD, packed_bits,
};
use crate::virtual_disk::header::Header;
use crate::virtual_disk::writer::{Block, PutAt, Seal, Shape, Writer};
use crate::virtual_disk::{fit, wrong};

/// Entries of a table of the second level.
const PER_TABLE: u64 = CLUSTER / 8;
/// Counts, of 16 bits each, in a cluster of them.
const PER_COUNTS: u64 = CLUSTER / 2;
/// "Refcount order": counts of 2^4 bits.
const COUNT_ORDER: u32 = 4;

/// Clusters one behind the other, with the tables of the second level among them; what finds these is
/// behind all.
pub(in crate::virtual_disk) struct Layout {
    size: u64,
    /// Where the tables of the second level are.
    first_level: Vec<u64>,
    /// The table that is being filled, and its number.
    second_level: Vec<u8>,
    table: usize,
    /// How often each cluster of the file is used.
    counts: Vec<u16>,
    /// What is left of the last cluster with packed ones in it.
    packed: Range<u64>,
}

impl Layout {
    pub(in crate::virtual_disk) fn new(shape: &Shape) -> io::Result<Self> {
        let tables = shape.size.div_ceil(CLUSTER * PER_TABLE).max(1);
        // QEMU's limit of the table of the first level, 32 MiB.
        let tables = usize::try_from(tables).ok().filter(|tables| *tables <= 4 << 20);
        let tables = tables.ok_or_else(|| wrong("a qcow2 holds 2 PiB at most"))?;
        Ok(Self {
            size: shape.size,
            first_level: vec![0; tables],
            second_level: vec![0; usize::try_from(CLUSTER).unwrap_or_default()],
            table: 0,
            // The header's.
            counts: vec![1],
            packed: 0..0,
        })
    }

    /// The end of the file.
    fn end(&self) -> u64 {
        self.counts.len() as u64 * CLUSTER
    }

    /// The first of as many new clusters, each used once.
    fn claim(&mut self, clusters: u64) -> io::Result<u64> {
        let at = self.end();
        let len = self.counts.len() + usize::try_from(clusters).map_err(io::Error::other)?;
        self.counts.resize(len, 1);
        Ok(at)
    }

    /// A place for a packed cluster: behind the last one, where new clusters of the file are still to be had
    /// behind that, or what is left is enough.
    fn claim_packed(&mut self, len: u64) -> io::Result<u64> {
        let has_room = self.packed.end == self.end() || self.packed.start + len <= self.packed.end;
        let at = if has_room && !self.packed.is_empty() { self.packed.start } else { self.end() };
        let end = at + len;
        // Sectors are used whole, and so are clusters that they reach into.
        let last = (end.next_multiple_of(SECTOR) - 1) / CLUSTER;
        if last >= self.counts.len() as u64 {
            self.counts.resize(usize::try_from(last + 1).map_err(io::Error::other)?, 0);
        }
        let used = usize::try_from(at / CLUSTER).map_err(io::Error::other)?
            ..=usize::try_from(last).map_err(io::Error::other)?;
        self.counts.get_mut(used).into_iter().flatten().for_each(|count| *count += 1);
        self.packed = end..(last + 1) * CLUSTER;
        Ok(at)
    }

    /// Begins the table that a cluster of the disk is in.
    fn turn_to(&mut self, cluster: u64, out: &dyn PutAt) -> io::Result<()> {
        let table = usize::try_from(cluster / PER_TABLE).map_err(io::Error::other)?;
        if table != self.table {
            self.put_table(out)?;
            self.table = table;
        }
        Ok(())
    }

    fn put_table(&mut self, out: &dyn PutAt) -> io::Result<()> {
        if self.second_level.iter().all(|byte| *byte == 0) {
            return Ok(());
        }
        let at = self.claim(1)?;
        out.put_at(at, &self.second_level)?;
        self.second_level.fill(0);
        let entry = self.first_level.get_mut(self.table).ok_or(io::ErrorKind::UnexpectedEof)?;
        *entry = at | COPIED;
        Ok(())
    }

    /// Counts, also those of the clusters that they are in themselves: where the clusters that find them
    /// begin, and how many these are.
    fn put_counts(&mut self, out: &dyn PutAt) -> io::Result<(u64, u64)> {
        let used = self.counts.len() as u64;
        let (mut blocks, mut tables) = (0, 0);
        loop {
            let needed = (used + blocks + tables).div_ceil(PER_COUNTS);
            let finding = (needed * 8).div_ceil(CLUSTER);
            if (needed, finding) == (blocks, tables) {
                break;
            }
            (blocks, tables) = (needed, finding);
        }
        let (first, table) = (self.claim(blocks)?, self.claim(tables)?);
        let mut bytes: Vec<u8> = self.counts.iter().flat_map(|count| count.to_be_bytes()).collect();
        bytes.resize(usize::try_from(blocks * CLUSTER).map_err(io::Error::other)?, 0);
        out.put_at(first, &bytes)?;
        let places = (0..blocks).flat_map(|number| (first + number * CLUSTER).to_be_bytes());
        out.put_at(table, &places.collect::<Vec<u8>>())?;
        Ok((table, tables))
    }

    fn header(&self, first_level: u64, (counts, clusters): (u64, u64)) -> io::Result<Vec<u8>> {
        let header = Header::new(usize::try_from(CLUSTER).map_err(io::Error::other)?)
            .with(0, MAGIC)
            .with(4, &VERSION.to_be_bytes())
            .with(20, &CLUSTER_BITS.to_be_bytes())
            .with(24, &self.size.to_be_bytes())
            .with(36, &fit::<u32>(self.first_level.len() as u64)?.to_be_bytes())
            .with(40, &first_level.to_be_bytes())
            .with(48, &counts.to_be_bytes())
            .with(56, &fit::<u32>(clusters)?.to_be_bytes())
            .with(72, &COMPRESSION_TYPE.to_be_bytes())
            .with(96, &COUNT_ORDER.to_be_bytes())
            .with(100, &HEADER_LEN.to_be_bytes())
            .with(104, &[ZSTD]);
        Ok(header.into_bytes())
    }
}

impl Writer for Layout {
    fn place(&mut self, block: Block, out: &dyn PutAt) -> io::Result<u64> {
        self.turn_to(block.number, out)?;
        let (at, entry) = match block.is_packed {
            true => {
                let at = self.claim_packed(block.len as u64)?;
                let more = (at + block.len as u64 - 1) / SECTOR - at / SECTOR;
                (at, PACKED | (more << packed_bits(CLUSTER_BITS)) | at)
            }
            false => {
                let at = self.claim(1)?;
                (at, at | COPIED)
            }
        };
        let index = usize::try_from(block.number % PER_TABLE * 8).map_err(io::Error::other)?;
        let entries = self.second_level.get_mut(index..index + 8);
        entries.ok_or(io::ErrorKind::UnexpectedEof)?.copy_from_slice(&entry.to_be_bytes());
        Ok(at)
    }

    fn finish(&mut self, out: &dyn PutAt) -> io::Result<Seal> {
        self.put_table(out)?;
        let bytes: Vec<u8> = self.first_level.iter().flat_map(|at| at.to_be_bytes()).collect();
        let first_level = self.claim((bytes.len() as u64).div_ceil(CLUSTER))?;
        out.put_at(first_level, &bytes)?;
        let counts = self.put_counts(out)?;
        let bytes = self.header(first_level, counts)?;
        Ok(Seal { at: 0, bytes, size: self.end() })
    }
}
