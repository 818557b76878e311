//! NTFS.
//!
//! Sources: Linux `fs/ntfs3/ntfs.h`, ntfs-3g `include/ntfs-3g/layout.h`, libfsntfs "New
//! Technologies File System (NTFS)".

mod boot_sector;

use std::io;

use self::boot_sector::BootSector;
use super::format::Format;
use super::probe::read;
use super::{Filesystem, Kind, State};
use crate::bytes::ReadAt;

/// The reader.
pub(super) struct Ntfs;

impl Format for Ntfs {
    fn probe(&self, volume: &dyn ReadAt) -> io::Result<Option<Filesystem>> {
        let Some(sector) = read(volume, 0, 512)? else { return Ok(None) };
        Ok(BootSector::parse(&sector).map(|boot| Filesystem {
            kind: Kind::Ntfs,
            label: None,
            uuid: Some(format!("{:016X}", boot.serial)),
            size: boot.size,
            block_size: boot.cluster_size,
            used: None,
            state: State::Unknown,
        }))
    }
}
