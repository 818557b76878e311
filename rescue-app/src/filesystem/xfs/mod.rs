//! XFS.
//!
//! Sources: "XFS Algorithms & Data Structures"; Linux `fs/xfs/libxfs/`.

mod checksum;
mod directory;
mod feature;
mod files;
mod group;
mod inode;
mod layout;
mod log;
mod map;
mod recipe;
mod superblock;
mod tree;

use std::io;

use self::feature::incompat;
use self::layout::Layout;
use self::superblock::Superblock;
use crate::bytes::ReadAt;
use crate::volume::owners::Tally;
use crate::volume::probe::read;
use crate::volume::{Coverage, Doubt, Filesystem, Format, Map, OpenFiles, Scrutiny, State, walk};

pub(crate) use recipe::{Recipe, has_more_features, recipe};

/// The reader.
pub(crate) struct Xfs;

impl Format for Xfs {
    fn probe(&self, volume: &dyn ReadAt) -> io::Result<Option<Filesystem>> {
        let sector = read(volume, 0, superblock::LEN)?;
        let found = sector.and_then(|sector| Superblock::parse(&sector));
        Ok(found.map(|found| found.describe()))
    }

    fn map(&self, volume: &dyn ReadAt, found: &mut Filesystem) -> Result<Map, Doubt> {
        let superblock = superblock(volume)?;
        let layout = Layout::new(&superblock, volume.size())?;
        if superblock.incompat & incompat::NEEDS_REPAIR != 0 {
            found.state = State::Dirty("it is marked as needing xfs_repair".into());
            return Err(Doubt::because("its records of free space may be wrong"));
        }
        if !log::is_closed(volume, &layout)? {
            found.state = State::Dirty("its log does not end with an unmount".into());
            let words = "its log was not replayed, so its records of free space may be out of date";
            return Err(Doubt::because(words));
        }
        found.state = State::Clean;
        let used = map::used(volume, &layout)?;
        let minimum_size = Some(recipe::least_size(&superblock, used.total()));
        Ok(Map { coverage: Coverage::Used, used, minimum_size, warnings: Vec::new() })
    }

    fn owners(&self, volume: &dyn ReadAt, tally: &mut Tally<'_>) -> Result<(), Doubt> {
        let files = files::Files::open(volume, Scrutiny::Lenient)?;
        let claimed = walk::find(&files, tally)?;
        // What is in use and belongs to no file is the filesystem's own.
        let used = map::used(volume, &Layout::new(files.superblock(), volume.size())?)?;
        walk::count_rest(&used, &claimed, tally);
        Ok(())
    }

    fn files<'a>(&self, volume: &'a dyn ReadAt, scrutiny: Scrutiny) -> OpenFiles<'a> {
        Ok(Box::new(files::Files::open(volume, scrutiny)?))
    }
}

/// The superblock, its checksum verified.
fn superblock(volume: &dyn ReadAt) -> Result<Superblock, Doubt> {
    let sector = |len: usize| volume.read_vec(0, len).map_err(Doubt::reading("the superblock"));
    let damaged = || Doubt::because("the superblock's checksum is wrong");
    let found = Superblock::parse(&sector(superblock::LEN)?).ok_or_else(damaged)?;
    if !found.is_intact(&sector(found.sector_size.into())?) {
        return Err(damaged());
    }
    Ok(found)
}
