//! FAT12, FAT16 and FAT32.
//!
//! Source: Microsoft, "FAT32 File System Specification" (fatgen103), version 1.03.

mod boot_sector;
mod directory;
mod files;
mod shrink;
mod table;
mod tree;

pub(crate) use self::shrink::shrink;

use std::io;

use self::boot_sector::BootSector;
use self::table::Table;
use crate::bytes::{ReadAt, slice};
use crate::volume::owners::Tally;
use crate::volume::probe::{byte, read};
use crate::volume::{
    Coverage, Doubt, Filesystem, Format, Map, OpenFiles, Scrutiny, State, UsedMap, text, walk,
};

/// Bytes of the root directory in which the volume label is looked for.
const ROOT: usize = 16 << 10;
/// Bytes of a directory entry.
const ENTRY: usize = 32;
/// Directory entry attribute: volume label.
const VOLUME_ID: u8 = 0x08;
/// The attribute bits that tell a label from a file, a folder and a piece of a long name.
const KIND_MASK: u8 = 0x1f;
/// First byte of a deleted entry.
const DELETED: u8 = 0xe5;

/// The reader.
pub(crate) struct Fat;

impl Format for Fat {
    fn probe(&self, volume: &dyn ReadAt) -> io::Result<Option<Filesystem>> {
        let Some(sector) = read(volume, 0, 512)? else { return Ok(None) };
        let boot = BootSector::parse(&sector).filter(|boot| boot.size() <= volume.size());
        let Some(boot) = boot else { return Ok(None) };
        let mut found = boot.describe();
        if let Some(root) = read(volume, boot.root(), ROOT)? {
            found.label = label(&root).or(found.label);
        }
        let start = read(volume, boot.fat(boot.active_fat()), 8)?;
        found.state = start.map_or(State::Unknown, |start| state(&boot, &start));
        Ok(Some(found))
    }

    fn map(&self, volume: &dyn ReadAt, found: &mut Filesystem) -> Result<Map, Doubt> {
        let sector = volume.read_vec(0, 512).map_err(Doubt::reading("the boot sector"))?;
        let boot = BootSector::parse(&sector)
            .ok_or_else(|| Doubt::because("the boot sector has changed meanwhile"))?;
        compare_backup(volume, &boot)?;
        boot.check_root()?;
        directory::check_root(volume, &boot)?;
        let table = Table::new(&boot)?;
        if boot.is_mirrored() {
            table.compare_copies(volume)?;
        }
        let mut used = UsedMap::new();
        used.add(0, boot.data());
        let clusters = table.used(volume, &mut used)?;
        used.add(boot.cluster(boot.clusters), volume.size());
        let used = used.finish();
        if boot.fats == 1 || !boot.is_mirrored() {
            tree::check(volume, &boot)?;
        }
        found.used = Some(u64::from(clusters).saturating_mul(boot.cluster_size.into()));
        let mut warnings = Vec::new();
        if matches!(found.state, State::Dirty(_)) {
            // The table is written in place and stays authoritative: what may be wrong is what a
            // checker would mend, such as lost chains, and those count as used.
            warnings.push("a check of the filesystem is advisable".into());
        }
        let minimum_size = boot.least_size(clusters);
        Ok(Map { coverage: Coverage::Used, used, minimum_size, warnings })
    }

    fn owners(&self, volume: &dyn ReadAt, tally: &mut Tally<'_>) -> Result<(), Doubt> {
        let files = files::Files::open(volume, Scrutiny::Lenient)?;
        tally.metadata(files.own().start, files.own().end);
        walk::find(&files, tally).map(drop)
    }

    fn files<'a>(&self, volume: &'a dyn ReadAt, scrutiny: Scrutiny) -> OpenFiles<'a> {
        Ok(Box::new(files::Files::open(volume, scrutiny)?))
    }
}

/// The boot sector carries no checksum, but FAT32 has a copy of it.
fn compare_backup(volume: &dyn ReadAt, boot: &BootSector) -> Result<(), Doubt> {
    let Some(sector) = boot.backup_sector else { return Ok(()) };
    let at = u64::from(sector).saturating_mul(boot.sector_size.into());
    let copy = volume.read_vec(at, 512).map_err(Doubt::reading("the copy of the boot sector"))?;
    match BootSector::parse(&copy) {
        Some(copy) if !copy.same_geometry(boot) => {
            Err(Doubt::because("its boot sector and the copy of it describe different layouts"))
        }
        _ => Ok(()),
    }
}

/// Two marks of a volume that is, or was left, in use: Windows' in the second table entry, Linux'
/// and Windows' in the boot sector.
fn state(boot: &BootSector, table: &[u8]) -> State {
    if boot.marked_dirty {
        State::Dirty("its boot sector is marked dirty".into())
    } else if table::marked_dirty(boot.kind, table) {
        State::Dirty("its allocation table is marked dirty".into())
    } else if table::marked_faulty(boot.kind, table) {
        State::Dirty("read or write errors were recorded in it".into())
    } else {
        State::Clean
    }
}

/// The volume label among the first entries of the root directory.
fn label(root: &[u8]) -> Option<String> {
    let entry = root
        .chunks_exact(ENTRY)
        .take_while(|entry| byte(entry, 0) != Some(0))
        .filter(|entry| byte(entry, 0) != Some(DELETED))
        .find(|entry| byte(entry, 11).is_some_and(|kind| kind & KIND_MASK == VOLUME_ID))?;
    text::label(slice(entry, 0, 11)?)
}
