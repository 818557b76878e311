//! ext2, ext3 and ext4.
//!
//! Sources: Linux `Documentation/filesystems/ext4/`, `fs/ext4/ext4.h`; e2fsprogs `lib/ext2fs/`.

mod feature;
mod group;
mod inode;
mod journal;
mod layout;
mod map;
mod overlay;
mod owners;
mod superblock;

use std::io;

use self::feature::{compat, incompat};
use self::layout::Layout;
use self::map::Strictness;
use self::overlay::Overlay;
use self::superblock::Superblock;
use super::format::{Doubt, Format, Map};
use super::owners::{Names, Tally};
use super::probe::read;
use super::{Coverage, Filesystem, path};
use crate::bytes::{Extents, ReadAt};

/// The reader.
pub(super) struct Ext;

impl Format for Ext {
    fn probe(&self, volume: &dyn ReadAt) -> io::Result<Option<Filesystem>> {
        let block = read(volume, superblock::AT, superblock::LEN)?;
        Ok(block.and_then(|block| Superblock::parse(&block)).map(|found| found.describe()))
    }

    fn map(&self, volume: &dyn ReadAt, found: &mut Filesystem) -> Result<Map, Doubt> {
        let superblock = superblock(volume)?;
        if !superblock.is_in_order() {
            let words = "only a check can tell whether its bitmaps are right";
            return Err(Doubt::because(words));
        }
        let layout = Layout::new(&superblock, volume.size())?;
        if !superblock.has_incompat(incompat::NEEDS_RECOVERY) {
            let used = map::used(volume, &layout, Strictness::Closed)?;
            return Ok(finished(&superblock, used, Vec::new()));
        }
        let (replayed, after) = replayed(volume, &layout)?;
        let before = map::used(volume, &layout, Strictness::Unreplayed)?;
        found.used = replayed.describe().used;
        let warning = "its used blocks are those of before and after replaying the journal";
        Ok(finished(&superblock, before.union(&after), vec![warning.into()]))
    }

    fn owners(
        &self,
        volume: &dyn ReadAt,
        tally: &mut Tally<'_>,
        names: &mut Names,
    ) -> Result<(), Doubt> {
        let superblock = superblock(volume)?;
        let layout = Layout::new(&superblock, volume.size())?;
        let mut lookup = owners::Lookup::new(volume, &layout);
        lookup.inodes(tally);
        lookup.names(&tally.ids(), names)
    }

    fn open<'a>(&self, volume: &'a dyn ReadAt, path: &[&str]) -> Option<Box<dyn ReadAt + 'a>> {
        let superblock = superblock(volume).ok()?;
        let layout = Layout::new(&superblock, volume.size()).ok()?;
        path::open(&mut owners::Lookup::of_path(volume, &layout), path)
    }
}

/// The superblock and the map as they will be once the journal has been replayed.
fn replayed(volume: &dyn ReadAt, layout: &Layout<'_>) -> Result<(Superblock, Extents), Doubt> {
    let old = layout.superblock;
    if !old.has_compat(compat::HAS_JOURNAL) || old.journal_inode == 0 {
        return Err(Doubt::because("its journal lies on another device"));
    }
    let blocks = inode::file_blocks(volume, layout, old.journal_inode)?;
    let newer = journal::replay(volume, &blocks, old.block_size, old.blocks_count)?;
    let overlay = Overlay::new(volume, old.block_size, newer);
    let new = superblock(&overlay)?;
    if (new.blocks_count, new.block_size) != (old.blocks_count, old.block_size) {
        return Err(Doubt::because("its journal holds a resize"));
    }
    let used = map::used(&overlay, &Layout::new(&new, volume.size())?, Strictness::Replayed)?;
    Ok((new, used))
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

fn finished(superblock: &Superblock, used: Extents, warnings: Vec<String>) -> Map {
    Map { coverage: Coverage::Used, used, minimum_size: minimum(superblock), warnings }
}

/// `resize2fs` needs room for what is in use and some to move blocks around: a thirty-second more,
/// and at least 32 MiB. It does not shrink clusters of several blocks.
fn minimum(superblock: &Superblock) -> Option<u64> {
    let used = superblock.describe().used.filter(|_| superblock.cluster_ratio == 1)?;
    let room = (used / 32).max(32 << 20);
    Some(used.saturating_add(room).min(superblock.size()?))
}
