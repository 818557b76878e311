//! Btrfs.
//!
//! Sources: btrfs documentation, "On-disk format"; Linux `include/uapi/linux/btrfs_tree.h` and
//! `fs/btrfs/`.

mod checksum;
mod chunk;
mod chunks;
mod compression;
mod content;
mod devices;
mod feature;
mod files;
mod log;
mod lzo;
mod node;
mod owners;
mod roots;
mod superblock;
mod trees;
mod used;

use std::io;

use self::chunks::Chunks;
use self::devices::Devices;
use self::roots::Roots;
use self::superblock::Superblock;
use self::trees::Trees;
use crate::bytes::ReadAt;
use crate::volume::owners::Tally;
use crate::volume::probe::read;
use crate::volume::{
    Alone, Companions, Coverage, Doubt, Filesystem, Format, Kind, Map, OpenFiles, Scrutiny,
};

/// The reader.
pub(crate) struct Btrfs;

impl Format for Btrfs {
    fn probe(&self, volume: &dyn ReadAt) -> io::Result<Option<Filesystem>> {
        let place = superblock::PRIMARY;
        let block = read(volume, place, superblock::LEN)?;
        let found = block.and_then(|block| Superblock::parse(&block, place));
        Ok(found.map(|found| found.describe()))
    }

    fn map_among(
        &self,
        volume: &dyn ReadAt,
        companions: &dyn Companions,
        found: &mut Filesystem,
    ) -> Result<Map, Doubt> {
        let (superblock, warning) = superblock::newest(volume)?;
        map(volume, companions, (&superblock, warning), found).map_err(|doubt| {
            match several(superblock.devices) {
                Some(remark) => Doubt::because(format!("{doubt}; {remark}")),
                None => doubt,
            }
        })
    }

    fn owners(&self, volume: &dyn ReadAt, tally: &mut Tally<'_>) -> Result<(), Doubt> {
        let (superblock, _) = superblock::newest(volume)?;
        feature::check(&superblock)?;
        let (trees, roots) = open(volume, &superblock, &Alone)?;
        owners::find(&trees, &roots, tally)
    }

    fn files<'a>(&self, volume: &'a dyn ReadAt, scrutiny: Scrutiny) -> OpenFiles<'a> {
        Ok(Box::new(files::Files::open(volume, scrutiny)?))
    }
}

fn map(
    volume: &dyn ReadAt,
    companions: &dyn Companions,
    (superblock, warning): (&Superblock, Option<String>),
    found: &mut Filesystem,
) -> Result<Map, Doubt> {
    feature::check(superblock)?;
    if superblock.device.size > volume.size() {
        return Err(Doubt::larger(Kind::Btrfs, superblock.device.size, volume.size()));
    }
    *found = superblock.describe();
    let (trees, roots) = open(volume, superblock, companions)?;
    let used = used::used(&trees, &roots, volume.size())?;
    Ok(Map {
        coverage: Coverage::Used,
        used,
        minimum_size: minimum(&trees),
        warnings: warning.into_iter().chain(remarks(&trees, &roots)).collect(),
    })
}

/// What belongs to be known of every device of a Btrfs that has `devices` of them.
fn several(devices: u64) -> Option<String> {
    (devices > 1).then(|| {
        format!(
            "it is one of the {devices} devices of a Btrfs: capture and restore all of them together"
        )
    })
}

/// All trees, with where they lie.
fn trees<'a>(
    volume: &'a dyn ReadAt,
    superblock: &Superblock,
    companions: &'a dyn Companions,
) -> Result<Trees<'a>, Doubt> {
    let devices = Devices::new(volume, superblock, companions)?;
    let mut trees = Trees::new(superblock.clone(), devices, Chunks::of_system(superblock)?);
    trees.chunks = Chunks::read(&trees)?;
    Ok(trees)
}

/// The same with where those begin that every look at extents needs.
fn open<'a>(
    volume: &'a dyn ReadAt,
    superblock: &Superblock,
    companions: &'a dyn Companions,
) -> Result<(Trees<'a>, Roots), Doubt> {
    let trees = trees(volume, superblock, companions)?;
    let roots = Roots::read(&trees)?;
    Ok((trees, roots))
}

/// What does not shake the map, and yet should be known.
fn remarks(trees: &Trees<'_>, roots: &Roots) -> Vec<String> {
    let damaged = trees.damaged();
    let mut remarks = Vec::from_iter(several(trees.superblock.devices));
    if damaged > 0 {
        remarks.push(format!(
            "{damaged} metadata blocks of Btrfs are damaged and were read from their other copy; \
             `btrfs scrub` mends them"
        ));
    }
    if let Some(unfinished) = roots.unfinished {
        remarks.push(format!(
            "{unfinished} was under way in Btrfs; the next mount carries on with it"
        ));
    }
    remarks
}

/// Shrinking moves chunks, it does not empty them: all that is allocated, room to move the largest
/// piece to, and the reserved start (btrfs-progs, `inspect-internal min-dev-size`). Of several
/// devices one is not shrunk alone.
fn minimum(trees: &Trees<'_>) -> Option<u64> {
    let device = &trees.superblock.device;
    let lengths = || trees.chunks.pieces(device.id).map(|(_, len)| len);
    let allocated = lengths().fold(0u64, u64::saturating_add);
    let room = lengths().max()?.saturating_add(used::RESERVED);
    let minimum = allocated.saturating_add(room).min(device.size);
    (trees.superblock.devices == 1).then_some(minimum)
}
