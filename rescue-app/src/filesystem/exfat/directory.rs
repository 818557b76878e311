//! Directories: what their entries occupy.
//!
//! Source: Microsoft, "exFAT file system specification", §6 and §7.

use super::boot_region::Layout;
use super::fat::{Fat, Length, Place, Run};
use crate::bytes::{le16, le32, le64, slice};
use crate::volume::probe::byte;
use crate::volume::{Doubt, text};

/// Bytes of a directory entry.
pub(super) const ENTRY: usize = 32;
/// `EntryType` of the end of a directory.
pub(super) const END: u8 = 0x00;
/// `EntryType` of allocation bitmap, up-case table, volume label, file, and of the stream that
/// says where a file's content lies.
pub(super) const BITMAP: u8 = 0x81;
pub(super) const UPCASE: u8 = 0x82;
const LABEL: u8 = 0x83;
pub(super) const FILE: u8 = 0x85;
pub(super) const STREAM: u8 = 0xc0;
/// `EntryType`: in use, secondary (belongs to the primary entry before it), benign (may be passed
/// over by who does not know it).
pub(super) const IN_USE: u8 = 0x80;
pub(super) const SECONDARY: u8 = 0x40;
const BENIGN: u8 = 0x20;
/// `EntryType` of the volume's identity, and of padding.
const GUID: u8 = 0xa0;
const PADDING: u8 = 0xa1;
/// `FileAttributes`: a directory.
pub(super) const DIRECTORY: u16 = 0x10;
/// `GeneralSecondaryFlags`.
pub(super) const ALLOCATION_POSSIBLE: u8 = 1;
pub(super) const NO_FAT_CHAIN: u8 = 2;
/// Most bytes that the specification lets a directory have.
const LARGEST: u64 = 256 << 20;
/// Of a larger folder not all entries are looked at, bytes.
const LARGEST_READ: u64 = 16 << 20;
/// Bytes read at once.
const PIECE: u64 = 64 << 10;

/// What one entry says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// An allocation bitmap: which of two it is, where it starts, and its bytes.
    Bitmap {
        /// 0, or 1 for that of the second FAT.
        copy: u8,
        /// First cluster.
        first: u32,
        /// Bytes.
        size: u64,
    },
    /// The volume's label (§7.3).
    Label(Option<String>),
    /// Clusters of a file or of a table.
    Clusters(Place),
    /// Clusters of a directory.
    Directory(Place),
}

/// The root directory, whose length only its chain tells.
pub(super) fn root(layout: &Layout) -> Place {
    let most = LARGEST.checked_div(layout.cluster_size.into()).unwrap_or(1);
    let most = u32::try_from(most).unwrap_or(1).min(layout.clusters).max(1);
    Place { first: layout.root, length: Length::AtMost(most), contiguous: false }
}

/// Calls `each` for what every entry says, until it says no.
pub(super) fn read(
    fat: &mut Fat<'_>,
    place: Place,
    mut each: impl FnMut(&mut Fat<'_>, Item) -> Result<bool, Doubt>,
) -> Result<(), Doubt> {
    // What belongs to the primary entry before: the attributes of a file.
    let mut attributes = None;
    let mut more = true;
    fat.runs(place, |fat, run| {
        let start = fat.boot.layout.cluster(run.first);
        let end = start.saturating_add(fat.boot.layout.bytes(run.count));
        let mut at = start;
        while more && at < end {
            let len = end.saturating_sub(at).min(PIECE);
            fat.spend()?;
            let bytes = fat.volume.read_vec(at, usize::try_from(len).unwrap_or(0));
            for entry in bytes.map_err(Doubt::reading("a directory"))?.chunks_exact(ENTRY) {
                if let Some(item) = item(fat, entry, &mut attributes)? {
                    more = each(fat, item)?;
                }
                more &= byte(entry, 0) != Some(END);
                if !more {
                    break;
                }
            }
            at = at.saturating_add(len);
        }
        Ok(())
    })
}

/// The bytes of the runs of a place, as far as its chain can be followed, until there are `most`
/// bytes of them; and whether that is all.
pub(super) fn runs(fat: &mut Fat<'_>, place: Place, most: u64) -> (Vec<(u64, u64)>, bool) {
    let (mut all, mut len) = (Vec::new(), 0u64);
    let followed = fat.runs(place, |fat, Run { first, count }| {
        if len >= most {
            return Err(Doubt::because("a file is larger than is looked at"));
        }
        let start = fat.boot.layout.cluster(first);
        let bytes = fat.boot.layout.bytes(count);
        all.push((start, start.saturating_add(bytes)));
        len = len.saturating_add(bytes);
        Ok(())
    });
    (all, followed.is_ok())
}

/// The content of a folder, with zeros, in which there are no entries, instead of what cannot be
/// read; and whether that is all of it.
pub(super) fn content(fat: &mut Fat<'_>, place: Place) -> (Vec<u8>, bool) {
    let unit = u64::from(fat.boot.layout.cluster_size);
    let size = usize::try_from(unit).unwrap_or(0);
    let mut content = Vec::new();
    let (runs, mut is_all) = runs(fat, place, LARGEST_READ);
    for (mut at, end) in runs {
        while at < end && (content.len() as u64) < LARGEST_READ {
            let bytes = fat.volume.read_vec(at, size);
            is_all &= bytes.is_ok();
            content.extend(bytes.unwrap_or_else(|_| vec![0; size]));
            at = at.saturating_add(unit);
        }
        is_all &= at >= end;
    }
    (content, is_all)
}

/// A folder up to the entry that ends it.
pub(super) fn until_end(folder: &[u8]) -> &[u8] {
    let entries = folder.chunks_exact(ENTRY).take_while(|entry| byte(entry, 0) != Some(END));
    folder.get(..entries.count().saturating_mul(ENTRY)).unwrap_or_default()
}

fn label(entry: &[u8]) -> Option<String> {
    let units = usize::from(byte(entry, 1)?).min(11);
    text::label_utf16(slice(entry, 2, units.checked_mul(2)?)?)
}

/// Whether an entry may tell of clusters in a way that [`item`] does not know: one that begins something, may be
/// passed over, and is neither a volume's identity nor padding of TexFAT, which have none (§7.5, §7.10).
pub(super) fn is_strange(entry: &[u8]) -> bool {
    let kind = byte(entry, 0).unwrap_or(0);
    kind & (IN_USE | SECONDARY | BENIGN) == IN_USE | BENIGN && !matches!(kind, GUID | PADDING)
}

/// What an entry says; `attributes` are those of the file that it may belong to.
pub(super) fn item(
    fat: &Fat<'_>,
    entry: &[u8],
    attributes: &mut Option<u16>,
) -> Result<Option<Item>, Doubt> {
    let fields = (byte(entry, 0), byte(entry, 1), le32(entry, 20), le64(entry, 24));
    let (Some(kind), Some(flags), Some(first), Some(size)) = fields else { return Ok(None) };
    let place = |contiguous| {
        let clusters = fat.boot.layout.clusters_of(size);
        let clusters =
            clusters.ok_or_else(|| Doubt::because("a file is larger than the volume"))?;
        let length = Length::Exactly(clusters);
        Ok((clusters != 0).then_some(Place { first, length, contiguous }))
    };
    match kind {
        BITMAP => Ok(Some(Item::Bitmap { copy: flags & 1, first, size })),
        UPCASE => Ok(place(false)?.map(Item::Clusters)),
        LABEL => Ok(Some(Item::Label(label(entry)))),
        FILE => {
            *attributes = le16(entry, 4);
            Ok(None)
        }
        _ if kind & IN_USE == 0 => {
            *attributes = None;
            Ok(None)
        }
        _ if kind & SECONDARY != 0 && attributes.is_some() => {
            let is_directory = attributes.is_some_and(|bits| bits & DIRECTORY != 0);
            if flags & ALLOCATION_POSSIBLE == 0 {
                return Ok(None);
            }
            let place = place(flags & NO_FAT_CHAIN != 0)?;
            Ok(place.map(|place| match (kind, is_directory) {
                (STREAM, true) => Item::Directory(place),
                _ => Item::Clusters(place),
            }))
        }
        _ if kind & (SECONDARY | BENIGN) != 0 => Ok(None),
        // §8.2: who meets a critical entry that he does not know must leave the volume alone.
        _ => Err(Doubt::because(format!("it has directory entries of unknown type {kind:#x}"))),
    }
}
