//! FAT12, FAT16 and FAT32.
//!
//! Source: Microsoft, "FAT32 File System Specification" (fatgen103), version 1.03.

mod boot_sector;

use std::io;

use self::boot_sector::BootSector;
use super::Filesystem;
use super::format::Format;
use super::probe::read;
use crate::bytes::ReadAt;

/// The reader.
pub(super) struct Fat;

impl Format for Fat {
    fn probe(&self, volume: &dyn ReadAt) -> io::Result<Option<Filesystem>> {
        let Some(sector) = read(volume, 0, 512)? else { return Ok(None) };
        let boot = BootSector::parse(&sector).filter(|boot| boot.size() <= volume.size());
        Ok(boot.map(|boot| boot.describe()))
    }
}
