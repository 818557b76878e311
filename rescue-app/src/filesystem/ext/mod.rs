//! ext2, ext3 and ext4.
//!
//! Sources: Linux `Documentation/filesystems/ext4/`, `fs/ext4/ext4.h`; e2fsprogs `lib/ext2fs/`.

mod feature;
mod superblock;

use std::io;

use self::superblock::Superblock;
use super::Filesystem;
use super::format::Format;
use super::probe::read;
use crate::bytes::ReadAt;

/// The reader.
pub(super) struct Ext;

impl Format for Ext {
    fn probe(&self, volume: &dyn ReadAt) -> io::Result<Option<Filesystem>> {
        let block = read(volume, superblock::AT, superblock::LEN)?;
        Ok(block.and_then(|block| Superblock::parse(&block)).map(|found| found.describe()))
    }
}
