//! NTFS.
//!
//! Sources: Linux `fs/ntfs3/ntfs.h`, ntfs-3g `include/ntfs-3g/layout.h`, libfsntfs "New
//! Technologies File System (NTFS)".

mod boot_sector;
mod claims;
mod content;
mod directory;
mod files;
mod hibernation;
mod log_file;
mod lznt1;
mod master;
mod owners;
mod record;
mod reparse;
mod shrink;
mod stream;

use std::io;

pub(crate) use self::shrink::shrink;

use self::boot_sector::BootSector;
use self::master::Master;
use self::record::{Record, kind};
use crate::bytes::{Extents, ReadAt, le16};
use crate::volume::owners::Tally;
use crate::volume::probe::read;
use crate::volume::{
    Companions, Coverage, Doubt, Filesystem, Format, Kind, Map, OpenFiles, Scrutiny, State,
    UsedMap, text,
};

/// File record of `$Volume`.
const VOLUME: u64 = 3;
/// File record of `$Bitmap`.
const BITMAP: u64 = 6;
/// `VOLUME_IS_DIRTY`.
const DIRTY: u16 = 1;
/// `$MFTMirr` repeats at least these records.
const MIRRORED: u64 = 4;
/// Bytes of `$Bitmap` read at once.
const PIECE: usize = 1 << 20;

/// The reader.
pub(crate) struct Ntfs;

impl Format for Ntfs {
    fn probe(&self, volume: &dyn ReadAt) -> io::Result<Option<Filesystem>> {
        let Some(sector) = read(volume, 0, 512)? else { return Ok(None) };
        let Some(boot) = BootSector::parse(&sector) else { return Ok(None) };
        let mut found = Filesystem {
            kind: Kind::Ntfs,
            label: None,
            uuid: Some(format!("{:016X}", boot.serial)),
            size: boot.size,
            block_size: boot.cluster_size,
            used: None,
            last_use: None,
            state: State::Unknown,
        };
        // A damaged $MFT does not make it any less an NTFS.
        if let Ok(record) = Master::open(volume, boot).and_then(|master| master.record(VOLUME)) {
            let name = record.find(kind::VOLUME_NAME, &[]).and_then(|name| name.value());
            found.label = name.and_then(text::label_utf16);
            found.state = volume_state(&record);
        }
        Ok(Some(found))
    }

    fn map(&self, volume: &dyn ReadAt, found: &mut Filesystem) -> Result<Map, Doubt> {
        closed_map(Tables::read(volume, found)?, &found.state)
    }

    fn map_trusting(
        &self,
        volume: &dyn ReadAt,
        _companions: &dyn Companions,
        found: &mut Filesystem,
    ) -> Result<Map, Doubt> {
        let tables = Tables::read(volume, found)?;
        if !found.is_unclosed_ntfs() {
            return closed_map(tables, &found.state);
        }
        let mut map = tables.map()?;
        // `ntfsresize` refuses it as it is.
        map.minimum_size = None;
        let words = "only what $Bitmap calls used is stored, as was asked for: what Windows had not \
                     written to it yet is missing";
        map.warnings.push(words.into());
        Ok(map)
    }

    fn owners(&self, volume: &dyn ReadAt, tally: &mut Tally<'_>) -> Result<(), Doubt> {
        let sector = volume.read_vec(0, 512).map_err(Doubt::reading("the boot sector"))?;
        let boot = BootSector::parse(&sector).ok_or_else(|| Doubt::because("it is damaged"))?;
        let master = Master::open(volume, boot)?;
        owners::records(&master, tally);
        owners::names(&master, tally);
        Ok(())
    }

    fn files<'a>(&self, volume: &'a dyn ReadAt, scrutiny: Scrutiny) -> OpenFiles<'a> {
        Ok(Box::new(files::Files::open(volume, scrutiny)?))
    }
}

/// What the volume's own tables say, the file records not yet compared.
struct Tables<'a> {
    master: Master<'a>,
    used: Extents,
    /// Bytes of clusters in use.
    in_use: u64,
    warnings: Vec<String>,
}

impl<'a> Tables<'a> {
    /// Reads and checks them; refines what was `found`.
    fn read(volume: &'a dyn ReadAt, found: &mut Filesystem) -> Result<Self, Doubt> {
        let sector = volume.read_vec(0, 512).map_err(Doubt::reading("the boot sector"))?;
        let boot = BootSector::parse(&sector);
        let boot = boot.ok_or_else(|| Doubt::because("the boot sector has changed meanwhile"))?;
        if boot.size > volume.size() {
            return Err(Doubt::larger(Kind::Ntfs, boot.size, volume.size()));
        }
        let master = Master::open(volume, boot)?;
        refine_state(&master, found)?;
        check_mirror(volume, &master)?;
        let warnings = check_backup(volume, &master.boot)?;
        let (used, clusters) = used(volume, &master)?;
        let in_use = clusters.saturating_mul(master.boot.cluster_size.into());
        found.used = Some(in_use);
        Ok(Self { master, used, in_use, warnings })
    }

    /// The map, unless a file record contradicts it.
    fn map(self) -> Result<Map, Doubt> {
        claims::check(&self.master, &self.used)?;
        let minimum_size = Some(minimum(self.in_use, self.master.boot.size));
        let (used, warnings) = (self.used, self.warnings);
        Ok(Map { coverage: Coverage::Used, used, minimum_size, warnings })
    }
}

/// The map of a volume that was closed; the tables of any other may be out of date.
fn closed_map(tables: Tables<'_>, state: &State) -> Result<Map, Doubt> {
    match state {
        State::Clean => tables.map(),
        State::Hibernated(_) => Err(Doubt::because(
            "a hibernated Windows trusts this volume to stay as it is, free space included",
        )),
        _ => Err(Doubt::because("$Bitmap of a volume that was not closed may be out of date")),
    }
}

/// The dirty flag of `$Volume`.
fn volume_state(record: &Record) -> State {
    let information = record.find(kind::VOLUME_INFORMATION, &[]);
    match information.and_then(|found| found.value()).and_then(|value| le16(value, 10)) {
        None => State::Unknown,
        Some(flags) if flags & DIRTY != 0 => State::Dirty("the volume is marked dirty".into()),
        Some(_) => State::Clean,
    }
}

/// Adds what only a deeper look shows: hibernation and an open log. With Fast Startup the dirty
/// flag is not set.
fn refine_state(master: &Master<'_>, found: &mut Filesystem) -> Result<(), Doubt> {
    if hibernation::is_hibernated(master)? {
        let words = "hiberfil.sys holds a hibernated Windows or one shut down by Fast Startup";
        found.state = State::Hibernated(words.into());
    } else if found.state == State::Clean && log_file::is_open(master)? {
        found.state = State::Dirty("its log holds changes that were not written back".into());
    }
    Ok(())
}

/// `$MFTMirr` repeats the first records, `$Volume` among them.
fn check_mirror(volume: &dyn ReadAt, master: &Master<'_>) -> Result<(), Doubt> {
    let boot = &master.boot;
    let start = boot.mft_mirror.saturating_mul(boot.cluster_size.into());
    for number in 0..MIRRORED {
        let at = start.saturating_add(number.saturating_mul(boot.record_size.into()));
        let copy = volume.read_vec(at, boot.record_size as usize);
        let copy = Record::new(copy.map_err(Doubt::reading("$MFTMirr"))?);
        let record = master.record(number)?;
        if !copy.is_some_and(|copy| copy.same_content(&record)) {
            let words = format!("file record {number} differs from its copy in $MFTMirr");
            return Err(Doubt::because(words));
        }
    }
    Ok(())
}

/// The map from `$Bitmap`, and the number of clusters in use.
fn used(volume: &dyn ReadAt, master: &Master<'_>) -> Result<(Extents, u64), Doubt> {
    let bitmap = master.stream(BITMAP, kind::DATA, &[])?;
    let (clusters, unit) = (master.boot.clusters(), u64::from(master.boot.cluster_size));
    if bitmap.size < clusters.div_ceil(8) {
        return Err(Doubt::because("$Bitmap is shorter than the volume"));
    }
    let mut map = UsedMap::new();
    let mut in_use = 0u64;
    let mut first = 0u64;
    let mut piece = vec![0; PIECE];
    while first < clusters {
        let bits = clusters.saturating_sub(first).min((PIECE as u64).saturating_mul(8));
        let len = usize::try_from(bits.div_ceil(8)).unwrap_or(PIECE);
        let bytes = piece.get_mut(..len).unwrap_or_default();
        master.read(&bitmap, first / 8, bytes).map_err(Doubt::reading("$Bitmap"))?;
        in_use = in_use.saturating_add(map.add_bits(bytes, bits, first, unit));
        first = first.saturating_add(bits);
    }
    // Behind the last cluster: the backup boot sector, and whatever the partition holds besides.
    map.add(clusters.saturating_mul(unit), volume.size());
    let used = map.finish();
    let unmarked = |(start, end)| !used.gaps_within(start, end).is_empty();
    if master.table.places().chain(bitmap.places()).any(unmarked) {
        return Err(Doubt::because("$Bitmap calls clusters of $MFT or of itself free"));
    }
    Ok((used, in_use))
}

/// The boot sector carries no checksum, but its copy ends the volume. A restore by another tool
/// may have left the copy out, which is worth a remark only.
fn check_backup(volume: &dyn ReadAt, boot: &BootSector) -> Result<Vec<String>, Doubt> {
    let at = boot.size.saturating_sub(boot.sector_size.into());
    let copy = volume.read_vec(at, 512).map_err(Doubt::reading("the backup boot sector"))?;
    match BootSector::parse(&copy) {
        Some(copy) if copy == *boot => Ok(Vec::new()),
        Some(_) => Err(Doubt::because("the boot sector and its backup describe different layouts")),
        None => Ok(vec!["NTFS has no backup boot sector at its end".into()]),
    }
}

/// `ntfsresize` needs some room to move things: a sixty-fourth more, and a mebibyte.
fn minimum(used: u64, size: u64) -> u64 {
    used.saturating_add(used / 64).saturating_add(1 << 20).min(size)
}
