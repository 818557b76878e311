//! Directories.

use time::UtcOffset;

use super::boot_sector::BootSector;
use super::table::Chains;
use super::{DELETED, ENTRY, VOLUME_ID};
use crate::bytes::{ReadAt, le16, le32, put, slice};
use crate::volume::probe::byte;
use crate::volume::{Doubt, Kind, Times, text, times};

/// Attributes of an entry: a folder, a piece of a long name.
const FOLDER: u8 = 0x10;
const LONG_NAME: u8 = 0x0f;
/// Stands for a first byte of 0xe5 in a name, which would mark a deleted entry.
const KANJI: u8 = 0x05;
/// Where the thirteen UTF-16 units of a long name's piece are.
const UNITS: [usize; 13] = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];
/// A folder has at most 65,536 entries.
const LARGEST_FOLDER: usize = 65_536 * ENTRY;

/// A file or folder.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Where its 32 bytes are in the content of its folder.
    pub(super) at: usize,
    /// The first cluster, as the FAT counts; 0 for none.
    pub(super) cluster: u32,
    /// Bytes; 0 of a folder.
    pub(super) size: u32,
    pub(super) is_folder: bool,
    pub(super) name: String,
}

/// What a folder holds, and where that lies.
#[derive(Default)]
pub(super) struct Content {
    /// Zeros, which end a folder, stand in place of what cannot be read.
    pub(super) bytes: Vec<u8>,
    /// Whether that is all of it.
    pub(super) is_all: bool,
    /// Bytes of the volume at which its pieces of `piece` bytes begin.
    places: Vec<u64>,
    piece: usize,
}

impl Content {
    /// Where byte `at` of it lies on the volume.
    pub(super) fn place(&self, at: usize) -> Option<u64> {
        let start = self.places.get(at.checked_div(self.piece)?)?;
        start.checked_add(u64::try_from(at.checked_rem(self.piece)?).ok()?)
    }

    /// Its pieces, by the bytes of the volume at which they begin.
    pub(super) fn pieces(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.places.iter().copied().zip(self.bytes.chunks(self.piece.max(1)))
    }
}

/// An entry that tells where something begins.
pub(super) struct Reference {
    /// Where its 32 bytes are in the content of its folder.
    pub(super) at: usize,
    /// The first cluster, as the FAT counts; never 0.
    pub(super) cluster: u32,
    /// Whether a folder begins there that lies in this one.
    pub(super) is_subfolder: bool,
}

/// The entries of a folder that tell where something begins, `.` and `..` too.
pub(super) fn references(folder: &[u8], kind: Kind) -> impl Iterator<Item = Reference> {
    (0..).step_by(ENTRY).zip(folder.chunks_exact(ENTRY)).filter_map(move |(at, entry)| {
        let (first, attributes) = (byte(entry, 0)?, byte(entry, 11)?);
        let cluster = first_cluster(entry, kind)?;
        let is_told = first != DELETED && first != 0 && attributes & VOLUME_ID == 0 && cluster != 0;
        let is_subfolder = attributes & FOLDER != 0 && first != b'.';
        is_told.then_some(Reference { at, cluster, is_subfolder })
    })
}

/// Writes the first cluster into the entry at `at`.
pub(super) fn put_first_cluster(folder: &mut [u8], at: usize, cluster: u32, kind: Kind) {
    let [low, more, upper, most] = cluster.to_le_bytes();
    put(folder, at.saturating_add(26), &[low, more]);
    if kind == Kind::Fat32 {
        put(folder, at.saturating_add(20), &[upper, most]);
    }
}

/// Where the root begins; FAT12 and FAT16 have it in a place of its own.
pub(super) fn root(boot: &BootSector) -> Option<u32> {
    (boot.kind == Kind::Fat32).then_some(boot.root_cluster)
}

/// The content of a folder.
pub(super) fn read(
    volume: &dyn ReadAt,
    boot: &BootSector,
    chains: &mut Chains<'_>,
    folder: Option<u32>,
) -> Content {
    match folder {
        Some(first) => content(volume, boot, chains, first),
        None => fixed_root(volume, boot),
    }
}

fn content(volume: &dyn ReadAt, boot: &BootSector, chains: &mut Chains<'_>, first: u32) -> Content {
    let size = usize::try_from(boot.cluster_size).unwrap_or(0);
    let (mut found, mut is_read) = (Content { piece: size, ..Content::default() }, true);
    let ended = chains.follow(first, |cluster| {
        let place = boot.cluster(cluster);
        let read = volume.read_vec(place, size);
        is_read &= read.is_ok();
        found.places.push(place);
        found.bytes.extend(read.unwrap_or_else(|_| vec![0; size]));
        found.bytes.len() < LARGEST_FOLDER
    });
    Content { is_all: ended && is_read, ..found }
}

fn fixed_root(volume: &dyn ReadAt, boot: &BootSector) -> Content {
    let len = usize::try_from(boot.data().saturating_sub(boot.root())).unwrap_or(0);
    let read = volume.read_vec(boot.root(), len.min(LARGEST_FOLDER));
    let (is_all, places) = (read.is_ok(), vec![boot.root()]);
    Content { bytes: read.unwrap_or_default(), is_all, places, piece: LARGEST_FOLDER }
}

/// Fails unless the first entries of the root directory can be entries: a boot sector and tables
/// outlast their volume where something else begins behind them.
pub(super) fn check_root(volume: &dyn ReadAt, boot: &BootSector) -> Result<(), Doubt> {
    // A root directory in a place of its own ends where the clusters begin.
    let room = match root(boot) {
        Some(_) => u64::from(boot.cluster_size),
        None => boot.data().saturating_sub(boot.root()).min(boot.cluster_size.into()),
    };
    let start = volume.read_vec(boot.root(), usize::try_from(room).unwrap_or(0));
    let start = start.map_err(Doubt::reading("the root directory"))?;
    let mut used =
        until_end(&start).chunks_exact(ENTRY).filter(|entry| byte(entry, 0) != Some(DELETED));
    match used.all(|entry| is_entry(entry, boot)) {
        true => Ok(()),
        false => Err(Doubt::because("its root directory makes no sense")),
    }
}

/// Two of the attributes do not exist, names have no control characters, and a piece of a long name
/// has no cluster (fatgen103, "FAT Directory Structure").
fn is_entry(entry: &[u8], boot: &BootSector) -> bool {
    let field = |at: usize| le16(entry, at).unwrap_or(0);
    let attributes = byte(entry, 11).unwrap_or(0);
    if attributes & 0x3f == LONG_NAME {
        return byte(entry, 12) == Some(0) && field(26) == 0;
    }
    let cluster = first_cluster(entry, boot.kind).unwrap_or(0);
    let (first, rest) = (byte(entry, 0).unwrap_or(0), slice(entry, 1, 10).unwrap_or_default());
    let is_name = (first >= b' ' || first == KANJI) && rest.iter().all(|byte| *byte >= b' ');
    let leads_in = attributes & VOLUME_ID != 0 || cluster == 0 || boot.position(cluster).is_some();
    attributes & 0xc0 == 0 && is_name && leads_in
}

/// A folder up to the entry that ends it.
pub(super) fn until_end(folder: &[u8]) -> &[u8] {
    let entries = folder.chunks_exact(ENTRY).take_while(|entry| byte(entry, 0) != Some(0));
    folder.get(..entries.count().saturating_mul(ENTRY)).unwrap_or_default()
}

/// The files and folders in a folder.
pub(super) fn entries(folder: &[u8], kind: Kind) -> Vec<Entry> {
    let mut found = Vec::new();
    let mut long: Vec<Piece<'_>> = Vec::new();
    for (at, entry) in (0..).step_by(ENTRY).zip(folder.chunks_exact(ENTRY)) {
        let (first, attributes) = (byte(entry, 0).unwrap_or(0), byte(entry, 11).unwrap_or(0));
        // A zero ends a folder; but it may also be a lost sector, with more entries behind it.
        if first == DELETED || first == 0 {
            long.clear();
        } else if attributes & 0x3f == LONG_NAME {
            long.push(Piece(entry));
        } else {
            let pieces = std::mem::take(&mut long);
            if attributes & VOLUME_ID == 0 && first != b'.' {
                let entry = parse(entry, kind, &pieces, attributes & FOLDER != 0);
                found.extend(entry.map(|entry| Entry { at, ..entry }));
            }
        }
    }
    found
}

/// An entry that holds thirteen characters of the long name of the file that comes behind it.
struct Piece<'a>(&'a [u8]);

impl Piece<'_> {
    /// Whether it is one of the name of `entry`, whose sum it has (fatgen103, "Long Directory
    /// Entries"): what knows no long names leaves them behind.
    fn belongs_to(&self, entry: &[u8]) -> bool {
        let name = slice(entry, 0, 11).unwrap_or_default();
        let sum = name.iter().fold(0u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte));
        byte(self.0, 13) == Some(sum)
    }
}

fn parse(entry: &[u8], kind: Kind, long: &[Piece<'_>], is_folder: bool) -> Option<Entry> {
    let cluster = first_cluster(entry, kind)?;
    let is_long = !long.is_empty() && long.iter().all(|piece| piece.belongs_to(entry));
    let name = if is_long { long_name(long) } else { short_name(entry)? };
    Some(Entry { at: 0, cluster, size: le32(entry, 28)?, is_folder, name })
}

/// In FAT12 and FAT16 the upper half belongs to OS/2's extended attributes.
fn first_cluster(entry: &[u8], kind: Kind) -> Option<u32> {
    let upper = if kind == Kind::Fat32 { le16(entry, 20)? } else { 0 };
    Some(u32::from(upper) << 16 | u32::from(le16(entry, 26)?))
}

/// What the 32 bytes of a file or folder tell, but for its name.
pub(super) struct Details {
    /// The first cluster, as the FAT counts; 0 for none.
    pub(super) cluster: u32,
    /// Bytes; 0 of a folder.
    pub(super) size: u32,
    pub(super) attributes: u8,
    pub(super) times: Times,
}

impl Details {
    /// Reads them. The time zone is told nowhere.
    pub(super) fn parse(entry: &[u8], kind: Kind) -> Option<Self> {
        let date = |at: usize| le16(entry, at);
        let time = |date, time, hundredths| times::dos(date, time, hundredths, UtcOffset::UTC);
        let times = Times {
            created: time(date(16)?, le16(entry, 14)?, byte(entry, 13)?),
            accessed: time(date(18)?, 0, 0),
            modified: time(date(24)?, le16(entry, 22)?, 0),
            changed: None,
        };
        let (cluster, size) = (first_cluster(entry, kind)?, le32(entry, 28)?);
        Some(Self { cluster, size, attributes: byte(entry, 11)?, times })
    }

    /// Whether it is a folder.
    pub(super) fn is_folder(&self) -> bool {
        self.attributes & FOLDER != 0
    }
}

/// The pieces stand in reverse order before their entry.
fn long_name(pieces: &[Piece<'_>]) -> String {
    let pieces = pieces.iter().rev();
    let units = pieces.flat_map(|piece| UNITS.iter().filter_map(|at| slice(piece.0, *at, 2)));
    text::utf16(&units.flatten().copied().collect::<Vec<u8>>())
}

/// Windows NT keeps the case of an 8.3 name in two bits of byte 12 (`CASE_LOWER_BASE`,
/// `CASE_LOWER_EXT` in Linux `include/uapi/linux/msdos_fs.h`). What is not ASCII depends on a code
/// page that is told nowhere.
fn short_name(entry: &[u8]) -> Option<String> {
    let case = byte(entry, 12)?;
    let part = |at, len, lower| -> Option<String> {
        let character = |byte: &u8| match *byte {
            KANJI | 0x80.. => char::REPLACEMENT_CHARACTER,
            byte if case & lower != 0 => char::from(byte).to_ascii_lowercase(),
            byte => char::from(byte),
        };
        let text: String = slice(entry, at, len)?.iter().map(character).collect();
        Some(text.trim_end().to_owned())
    };
    let (name, extension) = (part(0, 8, 0x08)?, part(8, 3, 0x10)?);
    Some(if extension.is_empty() { name } else { format!("{name}.{extension}") })
}
