//! The metadata, of which there are three copies.
//!
//! Sources: libbde, "FVE metadata block"; checksum and states: dislocker, `metadata.priv.h`
//! (`bitlocker_validations_t`, `state_types`).

use std::ops::Range;

use zeroize::Zeroizing;

use super::boot::Boot;
use super::cipher::Method;
use super::keys::Sealed;
use super::protectors::{Entry, Protector, entries};
use crate::bytes::{ReadAt, le16, le32, le64, slice};
use crate::volume::checksum::crc32;
use crate::volume::probe::{has, piece};
use crate::volume::{Doubt, text};

/// Room that a copy has, in bytes.
const ROOM: usize = 64 << 10;
/// Its first header, and the second behind it, bytes.
const BLOCK_HEADER: usize = 64;
const HEADERS: usize = 112;
/// The volume's identity, bytes from the start of a copy.
const IDENTITY: usize = 80;
/// State of a volume that is encrypted and stays so.
const STATE_ENCRYPTED: u16 = 4;
/// Types of entries.
const TYPE_MASTER_KEY: u16 = 2;
const TYPE_DATA_KEY: u16 = 3;
const TYPE_BOOT_SECTORS: u16 = 15;

/// Metadata that made sense.
pub(super) struct Metadata {
    /// Bytes that are encrypted as one.
    pub(super) sector_size: u64,
    /// Encrypted bytes from the start of the volume; what is behind them is not.
    pub(super) size: u64,
    /// How.
    pub(super) method: Method,
    /// What opens it, in order.
    pub(super) protectors: Vec<Protector>,
    /// First bytes of the copies.
    copies: [u64; 3],
    /// Where the content's first sectors are, for the boot sector took their place.
    moved: Range<u64>,
    /// The key of the data, encrypted with the master key.
    data_key: Sealed,
}

impl Metadata {
    /// Reads the copies that are not damaged. They have to agree.
    pub(super) fn read(volume: &dyn ReadAt) -> Result<Self, Doubt> {
        let sector = volume.read_vec(0, 512).map_err(Doubt::reading("its boot sector"))?;
        let boot = Boot::parse(&sector)?;
        if boot.on_write {
            let words = "it encrypts only what is written to it, and has not finished";
            return Err(Doubt::because(words));
        }
        let mut copies = boot.copies.iter().filter_map(|at| copy(volume, *at, &boot));
        let first = copies.next();
        let first =
            first.ok_or_else(|| Doubt::because("all three copies of its metadata are damaged"))?;
        if copies.any(|other| other != first) {
            return Err(Doubt::because("the copies of its metadata differ"));
        }
        let short = || Doubt::because("its metadata are cut short");
        let metadata = Self::parse(&first, &boot).ok_or_else(short)??;
        metadata.check(volume.size())?;
        Ok(metadata)
    }

    fn parse(block: &[u8], boot: &Boot) -> Option<Result<Self, Doubt>> {
        let refused = |words: &str| Some(Err(Doubt::because(words)));
        if (le16(block, 12)?, le16(block, 14)?) != (STATE_ENCRYPTED, STATE_ENCRYPTED) {
            return refused("it is being encrypted or decrypted");
        }
        let size = usize::try_from(le32(block, BLOCK_HEADER)?).ok()?;
        let all = slice(block, HEADERS, size.checked_sub(HEADERS.checked_sub(BLOCK_HEADER)?)?)?;
        let all: Vec<Entry<'_>> = entries(all).collect();
        let of = |kind| all.iter().filter(move |entry| entry.kind == kind);
        let moved_size = u64::from(le32(block, 28)?).checked_mul(boot.sector_size)?;
        let moved = le64(block, 56)?;
        let listed = of(TYPE_BOOT_SECTORS).next();
        if let Some(listed) = listed
            && (le64(listed.data, 0)?, le64(listed.data, 8)?) != (moved, moved_size)
        {
            return refused("its metadata contradict each other");
        }
        let moved = moved..moved.checked_add(moved_size)?;
        let method = match Method::of(le16(block, 100)?) {
            Ok(method) => method,
            Err(doubt) => return Some(Err(doubt)),
        };
        Some(Ok(Self {
            sector_size: boot.sector_size,
            size: le64(block, 16)?,
            method,
            protectors: of(TYPE_MASTER_KEY).filter_map(Protector::parse).collect(),
            copies: boot.copies,
            moved,
            data_key: Sealed::parse(of(TYPE_DATA_KEY).next()?)?,
        }))
    }

    /// Everything lies on the volume, in whole sectors, and apart.
    fn check(&self, volume_size: u64) -> Result<(), Doubt> {
        let wrong = || Err(Doubt::because("its metadata lead outside of it"));
        let size = self.size;
        let whole = |at: u64| at.checked_rem(self.sector_size) == Some(0);
        let mut places = self.own().to_vec();
        places.push(self.replaced());
        places.sort_by_key(|place| place.start);
        let fits = |place: &Range<u64>| whole(place.start) && whole(place.end) && place.end <= size;
        let apart = places.is_sorted_by(|one, other| one.end <= other.start);
        if size > volume_size || !whole(size) || self.moved.is_empty() {
            return wrong();
        }
        if places.iter().all(fits) && apart { Ok(()) } else { wrong() }
    }

    /// What BitLocker keeps for itself: its metadata and the moved sectors. Reads as zeros.
    pub(super) fn own(&self) -> [Range<u64>; 4] {
        let [first, second, third] = self.copies.map(|at| at..at.saturating_add(ROOM as u64));
        [first, second, third, self.moved.clone()]
    }

    /// The content's first sectors, which are stored elsewhere.
    pub(super) fn replaced(&self) -> Range<u64> {
        0..self.moved.end.saturating_sub(self.moved.start)
    }

    /// Where a byte of [`Self::replaced`] is stored.
    pub(super) fn moved(&self, at: u64) -> u64 {
        self.moved.start.saturating_add(at)
    }

    /// The key of the data, if `master` is its master key.
    pub(super) fn data_key(&self, master: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        self.data_key.opened(master)
    }
}

/// The identity of the volume whose boot sector is `sector`.
pub(super) fn identity(volume: &dyn ReadAt, sector: &[u8]) -> Option<String> {
    let boot = Boot::parse(sector).ok()?;
    let block = boot.copies.iter().find_map(|at| copy(volume, *at, &boot))?;
    text::guid(piece(&block, IDENTITY)?)
}

/// A copy that is not damaged.
fn copy(volume: &dyn ReadAt, at: u64, boot: &Boot) -> Option<Vec<u8>> {
    let mut block = volume.read_vec(at, ROOM).ok()?;
    if !has(&block, 0, b"-FVE-FS-") || le16(&block, 10) != Some(2) {
        return None;
    }
    let len = usize::from(le16(&block, 8)?).checked_mul(16)?;
    let expected = le32(&block, len.checked_add(4)?)?;
    block.truncate(len);
    let places = [le64(&block, 32)?, le64(&block, 40)?, le64(&block, 48)?];
    (!crc32(!0, &block) == expected && places == boot.copies).then_some(block)
}
