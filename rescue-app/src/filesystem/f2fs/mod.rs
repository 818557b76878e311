//! F2FS on one device.
//!
//! Source: Linux `include/linux/f2fs_fs.h`, `fs/f2fs/`; each file names its part.

mod checkpoint;
mod directory;
mod entry;
mod files;
mod inode;
mod logs;
mod nodes;
mod reserved;
mod segments;
mod summaries;
mod superblock;

use std::io;

use self::checkpoint::Checkpoint;
use self::segments::Used;
use self::superblock::{BLOCK, Superblock};
use crate::bytes::ReadAt;
use crate::volume::owners::Tally;
use crate::volume::{Coverage, Doubt, Filesystem, Format, Map, OpenFiles, Scrutiny, State, walk};

/// What makes changed bytes pass checksums and comparisons.
#[cfg(any(test, fuzzing))]
pub(crate) fn seal(volume: &dyn ReadAt) -> Vec<(u64, Vec<u8>)> {
    let Ok(Some((superblock, _))) = Superblock::read(volume) else { return Vec::new() };
    let mut patches = checkpoint::seal(volume, &superblock).unwrap_or_default();
    let copy = volume.read_vec(0, BLOCK as usize);
    patches.extend(copy.map(|copy| (BLOCK.into(), copy)));
    patches
}

/// What is wrong with one that was not closed.
const UNFINISHED: &str = "what was written after its last checkpoint is in no table";

/// The reader.
pub(crate) struct F2fs;

impl Format for F2fs {
    fn probe(&self, volume: &dyn ReadAt) -> io::Result<Option<Filesystem>> {
        let Some((superblock, mut found)) = Superblock::read(volume)? else { return Ok(None) };
        // Damaged checkpoints do not make it any less an F2FS.
        if let Ok(checkpoint) = Checkpoint::newest(volume, &superblock) {
            found.state = checkpoint.state();
            found.used = checkpoint.valid_blocks.checked_mul(BLOCK.into());
        }
        Ok(Some(found))
    }

    fn map(&self, volume: &dyn ReadAt, found: &mut Filesystem) -> Result<Map, Doubt> {
        let read = Superblock::read(volume).map_err(Doubt::reading("the superblock"))?;
        let (superblock, _) =
            read.ok_or_else(|| Doubt::because("the superblock has changed meanwhile"))?;
        superblock.check(volume)?;
        let checkpoint = Checkpoint::newest(volume, &superblock)?;
        checkpoint.check()?;
        found.state = checkpoint.state();
        if found.state != State::Clean {
            return Err(Doubt::because(UNFINISHED));
        }
        let Used { bytes: used, unplaced } = segments::used(volume, &superblock, &checkpoint)?;
        let explained = || reserved::count(volume, &superblock, &checkpoint) == Some(unplaced);
        if unplaced != 0 && !explained() {
            let words =
                format!("{unplaced} blocks are counted that neither segments nor files have");
            return Err(Doubt::because(words));
        }
        logs::check(volume, &superblock, &checkpoint, &used)?;
        Ok(Map { coverage: Coverage::Used, used, minimum_size: None, warnings: Vec::new() })
    }

    fn owners(&self, volume: &dyn ReadAt, tally: &mut Tally<'_>) -> Result<(), Doubt> {
        let files = files::Files::open(volume, Scrutiny::Lenient)?;
        let (superblock, checkpoint) = files.parts();
        tally.metadata(0, Superblock::block(superblock.main.into()));
        let claimed = walk::find(&files, tally)?;
        // What is in use and belongs to no file is the filesystem's own.
        let used = segments::used(volume, superblock, checkpoint)?;
        walk::count_rest(&used.bytes, &claimed, tally);
        if checkpoint.state() == State::Clean {
            return Ok(());
        }
        Err(Doubt::because(UNFINISHED))
    }

    fn files<'a>(&self, volume: &'a dyn ReadAt, scrutiny: Scrutiny) -> OpenFiles<'a> {
        Ok(Box::new(files::Files::open(volume, scrutiny)?))
    }
}
