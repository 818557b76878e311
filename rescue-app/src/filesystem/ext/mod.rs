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

/// What `resize2fs` needs: as many groups as there are inodes and data for, all of those whose
/// tables lie together, each with its inode table and bitmaps; and room to move blocks around, a
/// thirty-second more, and at least 16 MiB. It does not shrink clusters of several blocks.
fn minimum(superblock: &Superblock) -> Option<u64> {
    let used = superblock.blocks_count.checked_sub(superblock.free_blocks)?;
    let used = Some(used).filter(|_| superblock.cluster_ratio == 1)?;
    let per_group = u64::from(superblock.blocks_per_group);
    let inodes = u64::from(superblock.inodes_per_group);
    let table = inodes.checked_mul(superblock.inode_size.into())?;
    let own = table.div_ceil(superblock.block_size.into()).checked_add(2)?;
    let all = superblock.blocks_count.div_ceil(per_group);
    let data = used.saturating_sub(all.checked_mul(own)?);
    let for_inodes = u64::from(superblock.used_inodes).checked_div(inodes)?.checked_add(1)?;
    let for_data = data.checked_div(per_group.checked_sub(own)?)?.checked_add(1)?;
    let groups = for_inodes.max(for_data);
    let groups = groups.checked_next_multiple_of(superblock.groups_together)?.min(all);
    let blocks = data.checked_add(groups.checked_mul(own)?)?;
    // Behind the last inode there may be hardly any data.
    let blocks = blocks.max(for_inodes.checked_sub(1)?.checked_mul(per_group)?);
    let bytes = blocks.checked_mul(superblock.block_size.into())?;
    let room = (bytes / 32).max(16 << 20);
    Some(bytes.saturating_add(room).min(superblock.size()?))
}
