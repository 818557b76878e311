//! ext2, ext3 and ext4.
//!
//! Sources: Linux `Documentation/filesystems/ext4/`, `fs/ext4/ext4.h`; e2fsprogs `lib/ext2fs/`.

mod copies;
mod feature;
mod files;
mod group;
mod inline;
mod inode;
mod journal;
mod layout;
mod map;
mod minimum;
mod overlay;
mod owners;
mod superblock;

use std::io;

use self::feature::{compat, incompat};
use self::layout::Layout;
use self::map::Strictness;
use self::overlay::Overlay;
use self::superblock::Superblock;
use crate::bytes::{Extents, ReadAt};
use crate::volume::owners::Tally;
use crate::volume::probe::read;
use crate::volume::{Coverage, Doubt, Filesystem, Format, Map, OpenFiles, Scrutiny};

/// The reader.
pub(crate) struct Ext;

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
            copies::check(volume, &layout)?;
            let used = map::used(volume, &layout, Strictness::Closed)?;
            let minimum_size = least_size(volume, &layout, &superblock);
            return Ok(Map { coverage: Coverage::Used, used, minimum_size, warnings: Vec::new() });
        }
        let (replayed, after) = replayed(volume, &layout)?;
        let before = map::used(volume, &layout, Strictness::Unreplayed)?;
        found.used = replayed.describe().used;
        let warning = "its used blocks are those of before and after replaying the journal";
        Ok(Map {
            coverage: Coverage::Used,
            used: before.union(&after),
            minimum_size: least_size(volume, &layout, &replayed),
            warnings: vec![warning.into()],
        })
    }

    fn least_size(&self, volume: &dyn ReadAt) -> Option<u64> {
        let least = |layout: &Layout<'_>| {
            let superblock = layout.superblock;
            let counts =
                superblock.is_in_order() && !superblock.has_incompat(incompat::NEEDS_RECOVERY);
            Ok(least_size(volume, layout, superblock).filter(|_| counts))
        };
        with_layout(volume, least).ok()?
    }

    fn owners(&self, volume: &dyn ReadAt, tally: &mut Tally<'_>) -> Result<(), Doubt> {
        with_layout(volume, |layout| {
            let mut lookup = owners::Lookup::new(volume, layout);
            lookup.inodes(tally);
            lookup.names(tally)
        })
    }

    fn files<'a>(&self, volume: &'a dyn ReadAt, scrutiny: Scrutiny) -> OpenFiles<'a> {
        Ok(Box::new(files::Files::open(volume, scrutiny)?))
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

/// Does something with the checked superblock and what follows from it.
fn with_layout<T>(
    volume: &dyn ReadAt,
    work: impl FnOnce(&Layout<'_>) -> Result<T, Doubt>,
) -> Result<T, Doubt> {
    let superblock = superblock(volume)?;
    work(&Layout::new(&superblock, volume.size())?)
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

/// What `resize2fs` can shrink it to by the counts in `superblock`, and some room for what it moves: a
/// sixty-fourth more. It does not shrink clusters of several blocks, nor with `stable_inodes`.
fn least_size(volume: &dyn ReadAt, layout: &Layout<'_>, superblock: &Superblock) -> Option<u64> {
    let least = minimum::blocks(volume, layout, superblock)?;
    let bytes = least.checked_mul(superblock.block_size.into())?;
    let room = bytes / 64;
    Some(bytes.saturating_add(room).min(superblock.size()?))
        .filter(|_| superblock.cluster_ratio == 1 && !superblock.has_compat(compat::STABLE_INODES))
}
