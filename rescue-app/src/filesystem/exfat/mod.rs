//! exFAT, TexFAT's second FAT and bitmap included.
//!
//! Source: Microsoft, "exFAT file system specification".

mod bitmap;
mod boot_region;
mod directory;
mod entry;
mod fat;
mod files;
mod reachable;
mod shrink;

pub(crate) use self::shrink::shrink;
pub(crate) use boot_region::checksum as boot_checksum;

use std::io;

use self::bitmap::Bitmap;
use self::boot_region::BootSector;
use self::directory::Item;
use self::fat::{Fat, Run};
use crate::bytes::{Extents, ReadAt};
use crate::volume::owners::Tally;
use crate::volume::probe::read;
use crate::volume::{
    Coverage, Doubt, Filesystem, Format, Map, OpenFiles, Scrutiny, State, UsedMap, walk,
};

/// Reads that may go into finding the volume's label.
const LABEL_READS: u32 = 16;
/// Reads that may go into finding the bitmap.
const BITMAP_READS: u32 = 2048;
/// Reads that may go into a list of everything that the directories name: a million directories.
const LIST_READS: u32 = 1 << 20;

/// What makes changed bytes pass the checksums.
#[cfg(any(test, fuzzing))]
pub(crate) fn seal(volume: &dyn ReadAt) -> Vec<(u64, Vec<u8>)> {
    boot_region::seal(volume).into_iter().collect()
}

/// The reader.
pub(crate) struct ExFat;

impl Format for ExFat {
    fn probe(&self, volume: &dyn ReadAt) -> io::Result<Option<Filesystem>> {
        let Some(sector) = read(volume, 0, 512)? else { return Ok(None) };
        let Some(boot) = BootSector::parse(&sector) else { return Ok(None) };
        let mut found = boot.describe();
        found.label = label(volume, &boot);
        Ok(Some(found))
    }

    fn map(&self, volume: &dyn ReadAt, found: &mut Filesystem) -> Result<Map, Doubt> {
        let boot = boot_sector(volume)?;
        let mut warnings = boot.check_regions(volume)?;
        let bitmap = Bitmap::find(&mut Fat::new(volume, &boot, BITMAP_READS))?;
        let (heap, clusters) = bitmap.used(volume, &boot.layout)?;
        let used = whole_map(volume, &boot, &heap);
        found.used = Some(boot.layout.bytes(clusters));
        let mut fat = Fat::new(volume, &boot, LIST_READS);
        let used = if found.state != State::Clean {
            used.union(&list(&mut fat)?)
        } else {
            if !compare(&mut fat, &used)? {
                warnings.push("its folders are too many to hold its bitmap against them".into());
            }
            used
        };
        let minimum_size = boot.least_size(clusters);
        Ok(Map { coverage: Coverage::Used, used, minimum_size, warnings })
    }

    /// The bitmap tells, which is read fast.
    fn least_size(&self, volume: &dyn ReadAt) -> Option<u64> {
        let boot = boot_sector(volume).ok()?;
        boot.check_regions(volume).ok()?;
        let bitmap = Bitmap::find(&mut Fat::new(volume, &boot, BITMAP_READS)).ok()?;
        let (_, clusters) = bitmap.used(volume, &boot.layout).ok()?;
        boot.least_size(clusters)
    }

    fn owners(&self, volume: &dyn ReadAt, tally: &mut Tally<'_>) -> Result<(), Doubt> {
        let files = files::Files::open(volume, Scrutiny::Lenient)?;
        tally.metadata(files.own().start, files.own().end);
        files.tables().into_iter().for_each(|(start, end)| tally.metadata(start, end));
        walk::find(&files, tally).map(drop)
    }

    fn files<'a>(&self, volume: &'a dyn ReadAt, scrutiny: Scrutiny) -> OpenFiles<'a> {
        Ok(Box::new(files::Files::open(volume, scrutiny)?))
    }
}

/// The boot sector, checked.
fn boot_sector(volume: &dyn ReadAt) -> Result<BootSector, Doubt> {
    let sector = volume.read_vec(0, 512).map_err(Doubt::reading("the boot sector"))?;
    let boot = BootSector::parse(&sector)
        .ok_or_else(|| Doubt::because("the boot sector has changed meanwhile"))?;
    boot.check(volume.size())?;
    Ok(boot)
}

/// The clusters in use, and everything before and behind the heap.
fn whole_map(volume: &dyn ReadAt, boot: &BootSector, heap: &Extents) -> Extents {
    let mut edges = Extents::of(0, boot.layout.heap);
    edges.push(boot.layout.heap_end(), volume.size());
    edges.union(&heap.shifted(boot.layout.heap))
}

/// A file in clusters that the bitmap calls free shakes trust in the bitmap. Whether all files
/// were looked at.
fn compare(fat: &mut Fat<'_>, used: &Extents) -> Result<bool, Doubt> {
    let layout = &fat.boot.layout;
    reachable::each(fat, |Run { first, count }| {
        let start = layout.cluster(first);
        let end = start.saturating_add(layout.bytes(count));
        if used.gaps_within(start, end).is_empty() {
            return Ok(());
        }
        Err(Doubt::because("its bitmap calls clusters of files free"))
    })
}

/// What was not closed may have a bitmap that lacks the newest files. Everything that any
/// directory names makes up for it, if it can be listed to the end.
fn list(fat: &mut Fat<'_>) -> Result<Extents, Doubt> {
    let layout = &fat.boot.layout;
    let mut listed = UsedMap::new();
    let is_all = reachable::each(fat, |Run { first, count }| {
        let start = layout.cluster(first);
        listed.add(start, start.saturating_add(layout.bytes(count)));
        Ok(())
    })?;
    if !is_all {
        let words = "its bitmap may be out of date and its files are too many to list";
        return Err(Doubt::because(words));
    }
    Ok(listed.finish())
}

/// The volume's label, if it is found soon.
fn label(volume: &dyn ReadAt, boot: &BootSector) -> Option<String> {
    let mut fat = Fat::new(volume, boot, LABEL_READS);
    let mut found = None;
    let root = directory::root(&boot.layout);
    // A damaged directory has a label if that comes first.
    let _ = directory::read(&mut fat, root, |_, item| {
        if let Item::Label(label) = item {
            found = label;
            return Ok(false);
        }
        Ok(true)
    });
    found
}
