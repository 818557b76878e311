//! ext2, ext3 and ext4.
//!
//! Sources: Linux `Documentation/filesystems/ext4/`, `fs/ext4/ext4.h`; e2fsprogs `lib/ext2fs/`.

mod feature;
mod group;
mod layout;
mod map;
mod superblock;

use std::io;

use self::layout::Layout;
use self::map::Strictness;
use self::superblock::Superblock;
use super::format::{Doubt, Format, Map};
use super::probe::read;
use super::{Coverage, Filesystem, State};
use crate::bytes::{Extents, ReadAt};

/// The reader.
pub(super) struct Ext;

impl Format for Ext {
    fn probe(&self, volume: &dyn ReadAt) -> io::Result<Option<Filesystem>> {
        let block = read(volume, superblock::AT, superblock::LEN)?;
        Ok(block.and_then(|block| Superblock::parse(&block)).map(|found| found.describe()))
    }

    fn map(&self, volume: &dyn ReadAt, found: &mut Filesystem) -> Result<Map, Doubt> {
        if let State::Dirty(why) = &found.state {
            return Err(Doubt::because(why.clone()));
        }
        let superblock = superblock(volume)?;
        let layout = Layout::new(&superblock, volume.size())?;
        let used = map::used(volume, &layout, Strictness::Closed)?;
        Ok(finished(&superblock, used))
    }
}

/// The superblock, its checksum verified.
fn superblock(volume: &dyn ReadAt) -> Result<Superblock, Doubt> {
    let block = volume
        .read_vec(superblock::AT, superblock::LEN)
        .map_err(Doubt::reading("the superblock"))?;
    Superblock::parse(&block)
        .filter(|found| found.is_intact(&block))
        .ok_or_else(|| Doubt::because("the superblock's checksum is wrong"))
}

fn finished(superblock: &Superblock, used: Extents) -> Map {
    Map {
        coverage: Coverage::Used,
        used,
        minimum_size: superblock.describe().used.map(|used| minimum(superblock, used)),
        warnings: Vec::new(),
    }
}

/// `resize2fs` needs room for what is in use and some to move blocks around: a thirty-second more,
/// and at least 16 MiB.
fn minimum(superblock: &Superblock, used: u64) -> u64 {
    let room = (used / 32).max(16 << 20);
    used.saturating_add(room).min(superblock.size().unwrap_or(u64::MAX))
}
