//! A new GPT with one partition, for a disk that is made a place for images.

use std::io::{self, Read, Seek, SeekFrom, Write};

use gpt::GptConfig;
use gpt::disk::LogicalBlockSize;
use gpt::mbr::ProtectiveMBR;
use gpt::partition_types::{BASIC, LINUX_FS, Type};

use super::TableError;

/// Bytes at either end of the disk that belong to the table, and what the partition is aligned to.
const MIB: u64 = 1 << 20;

/// The type of the one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FreshType {
    /// A filesystem of Linux.
    LinuxFilesystem,
    /// A filesystem that Windows reads: "basic data".
    BasicData,
}

/// A new table: what the first and the last mebibyte of the disk hold, and where its partition is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fresh {
    /// The disk's first mebibyte.
    pub head: Vec<u8>,
    /// The disk's last mebibyte.
    pub tail: Vec<u8>,
    /// First byte of the partition.
    pub start: u64,
    /// Size of the partition in bytes.
    pub size: u64,
}

impl Fresh {
    /// A table for a disk of `disk_size` bytes with one partition called `name`, from the first to the
    /// last whole mebibyte between the two copies. Disk and partition get random GUIDs.
    ///
    /// # Errors
    /// When the disk is too small, or its sectors have neither 512 nor 4096 bytes.
    pub fn new(
        disk_size: u64,
        sector_size: u32,
        kind: FreshType,
        name: &str,
    ) -> Result<Self, TableError> {
        let end = (disk_size.saturating_sub(MIB)) / MIB * MIB;
        if end <= 2 * MIB {
            return Err(TableError::Unmade("the disk is too small".into()));
        }
        let unmade = |error: &dyn std::fmt::Display| TableError::Unmade(error.to_string());
        let block = LogicalBlockSize::try_from(u64::from(sector_size))
            .map_err(|_| TableError::SectorSize(sector_size))?;
        let sector = u64::from(sector_size);
        let mut ends = Ends::new(disk_size);
        let protected = u32::try_from(disk_size / sector - 1).unwrap_or(u32::MAX);
        ProtectiveMBR::with_lb_size(protected).overwrite_lba0(&mut ends).map_err(|e| unmade(&e))?;
        let config = GptConfig::new().writable(true).logical_block_size(block);
        let mut table = config.create_from_device(ends, None).map_err(|e| unmade(&e))?;
        let (first, count) = (MIB / sector, (end - MIB) / sector);
        table.add_partition_at(name, 1, first, count, type_of(kind), 0).map_err(|e| unmade(&e))?;
        let Ends { head, tail, .. } = table.write().map_err(|e| unmade(&e))?;
        Ok(Self { head, tail, start: MIB, size: end - MIB })
    }
}

fn type_of(kind: FreshType) -> Type {
    match kind {
        FreshType::LinuxFilesystem => LINUX_FS,
        FreshType::BasicData => BASIC,
    }
}

/// The two ends of a disk in memory, for the crate to write to; nothing else of it can be reached.
#[derive(Debug)]
struct Ends {
    head: Vec<u8>,
    tail: Vec<u8>,
    size: u64,
    at: u64,
}

impl Ends {
    fn new(size: u64) -> Self {
        let blank = || vec![0; usize::try_from(MIB).unwrap_or_default()];
        Self { head: blank(), tail: blank(), size, at: 0 }
    }

    /// The bytes from the current position to the end of the part that it lies in.
    fn here(&mut self) -> io::Result<&mut [u8]> {
        let tail = self.size - MIB;
        let (part, offset) = match self.at.checked_sub(tail) {
            Some(offset) => (&mut self.tail, offset),
            None => (&mut self.head, self.at),
        };
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        part.get_mut(offset..).ok_or_else(|| io::ErrorKind::InvalidInput.into())
    }

    fn advance(&mut self, count: usize) -> usize {
        self.at = self.at.saturating_add(count as u64);
        count
    }
}

impl Read for Ends {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = (&*self.here()?).read(buf)?;
        Ok(self.advance(count))
    }
}

impl Write for Ends {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let count = self.here()?.write(buf)?;
        Ok(self.advance(count))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Ends {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.size.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_partition_leaves_a_mebibyte_at_either_end() {
        for (extra, sector) in [(0, 512), (511 << 10, 512), (4096, 4096)] {
            let size = 100 * MIB + extra;
            let fresh = Fresh::new(size, sector, FreshType::LinuxFilesystem, "x").unwrap();
            assert_eq!((fresh.start, fresh.size), (MIB, 98 * MIB), "{extra}");
            assert_eq!(&fresh.head[510..512], [0x55, 0xaa]);
            let sector = usize::try_from(sector).unwrap();
            assert_eq!(&fresh.head[sector..sector + 8], b"EFI PART");
        }
    }

    #[test]
    fn what_has_no_room_for_it_is_refused() {
        for size in [0, MIB, 3 * MIB] {
            assert!(Fresh::new(size, 512, FreshType::BasicData, "x").is_err(), "{size}");
        }
        assert!(Fresh::new(100 * MIB, 2048, FreshType::BasicData, "x").is_err());
    }
}
