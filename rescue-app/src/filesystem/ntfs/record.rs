//! File records and their attributes.
//!
//! Source: ntfs-3g `include/ntfs-3g/layout.h` (`MFT_RECORD`, `ATTR_RECORD`), `mst.c`.

use crate::bytes::{le16, le32, le64, slice};
use crate::volume::probe::{byte, has};

/// Update sequence numbers protect blocks of this size, whatever the sector size.
pub(super) const FIXUP_BLOCK: usize = 512;

/// Bytes of the update sequence array of a block of 64 KiB, the largest that there is.
const LARGEST_ARRAY: usize = 2 * (1 + (64 << 10) / FIXUP_BLOCK);

/// `MFT_RECORD_IN_USE`.
pub(super) const IN_USE: u16 = 1;
/// `MFT_RECORD_IS_DIRECTORY`.
const IS_FOLDER: u16 = 2;
/// Ends the attributes of a record.
const END: u32 = 0xffff_ffff;

/// Attribute types.
pub(super) mod kind {
    pub(in crate::filesystem::ntfs) const STANDARD_INFORMATION: u32 = 0x10;
    pub(in crate::filesystem::ntfs) const ATTRIBUTE_LIST: u32 = 0x20;
    pub(in crate::filesystem::ntfs) const FILE_NAME: u32 = 0x30;
    pub(in crate::filesystem::ntfs) const VOLUME_NAME: u32 = 0x60;
    pub(in crate::filesystem::ntfs) const VOLUME_INFORMATION: u32 = 0x70;
    pub(in crate::filesystem::ntfs) const DATA: u32 = 0x80;
    pub(in crate::filesystem::ntfs) const INDEX_ROOT: u32 = 0x90;
    pub(in crate::filesystem::ntfs) const INDEX_ALLOCATION: u32 = 0xa0;
    pub(in crate::filesystem::ntfs) const REPARSE_POINT: u32 = 0xc0;
}

/// What was done to an attribute's value (`ATTR_RECORD` flags).
pub(super) mod made {
    /// Compressed in some way, and in the one that there is.
    pub(in crate::filesystem::ntfs) const COMPRESSION: u16 = 0xff;
    pub(in crate::filesystem::ntfs) const LZNT1: u16 = 1;
    pub(in crate::filesystem::ntfs) const ENCRYPTED: u16 = 0x4000;
}

/// Undoes the update sequence protection of a record or index block in place; `None` when the
/// block is torn (a sector's last two bytes differ from the sequence number) or makes no sense.
pub(super) fn fix_up(block: &mut [u8], magic: &[u8; 4]) -> Option<()> {
    if !has(block, 0, magic) {
        return None;
    }
    let (at, count) = (usize::from(le16(block, 4)?), usize::from(le16(block, 6)?));
    if count.checked_sub(1)?.checked_mul(FIXUP_BLOCK)? != block.len() {
        return None;
    }
    let mut array = [0; LARGEST_ARRAY];
    let array = array.get_mut(..count.checked_mul(2)?)?;
    array.copy_from_slice(slice(block, at, array.len())?);
    let (number, originals) = array.split_at_checked(2)?;
    for (sector, original) in block.chunks_exact_mut(FIXUP_BLOCK).zip(originals.chunks_exact(2)) {
        let (_, tail) = sector.split_at_mut_checked(FIXUP_BLOCK - 2)?;
        if tail != number {
            return None;
        }
        tail.copy_from_slice(original);
    }
    Some(())
}

/// A file record after its fix-up.
pub(super) struct Record(Vec<u8>);

impl Record {
    /// Checks and fixes a record; `None` when it is torn or not in use.
    pub(super) fn new(mut bytes: Vec<u8>) -> Option<Self> {
        fix_up(&mut bytes, b"FILE")?;
        let in_use = le16(&bytes, 22)? & IN_USE != 0;
        let used = usize::try_from(le32(&bytes, 24)?).ok()?;
        (in_use && used <= bytes.len()).then_some(())?;
        bytes.truncate(used);
        Some(Self(bytes))
    }

    /// Its bytes, for the next one.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// What the record holds, without the sequence numbers that change at every write.
    pub(super) fn same_content(&self, other: &Self) -> bool {
        let apart = |record: &Self| -> Option<(Vec<u8>, Vec<u8>)> {
            let (at, count) = (le16(&record.0, 4)?, le16(&record.0, 6)?);
            let end = usize::from(count).checked_mul(2)?.checked_add(at.into())?;
            Some((record.0.get(..at.into())?.to_vec(), record.0.get(end..)?.to_vec()))
        };
        matches!((apart(self), apart(other)), (Some(own), Some(theirs)) if own == theirs)
    }

    /// Record number of the base record this one extends; 0 when it is a base record.
    pub(super) fn base(&self) -> Option<u64> {
        le64(&self.0, 32).map(|reference| reference & REFERENCE_MASK)
    }

    /// Whether it is a folder's.
    pub(super) fn is_folder(&self) -> bool {
        le16(&self.0, 22).is_some_and(|flags| flags & IS_FOLDER != 0)
    }

    /// Names of the file, short ones beside long ones included.
    pub(super) fn links(&self) -> u16 {
        le16(&self.0, 18).unwrap_or(0)
    }

    /// The attributes in their order, up to the first that makes no sense.
    pub(super) fn attributes(&self) -> impl Iterator<Item = Attribute<'_>> {
        let first = le16(&self.0, 20).map_or(usize::MAX, usize::from);
        let mut rest = self.0.get(first..).unwrap_or(&[]);
        std::iter::from_fn(move || {
            let attribute = Attribute::first(rest)?;
            rest = rest.get(attribute.len()..)?;
            Some(attribute)
        })
    }

    /// The first attribute of a type, with a name in UTF-16 (empty for none).
    pub(super) fn find(&self, kind: u32, name: &[u8]) -> Option<Attribute<'_>> {
        self.attributes().find(|attribute| attribute.is(kind, name))
    }
}

/// The record number within a file reference; the rest is a sequence number.
pub(super) const REFERENCE_MASK: u64 = 0x0000_ffff_ffff_ffff;

/// One attribute, header and all.
#[derive(Clone, Copy)]
pub(super) struct Attribute<'a>(&'a [u8]);

impl<'a> Attribute<'a> {
    /// The one that `bytes` begin with; `None` at the end, and where it makes no sense.
    pub(super) fn first(bytes: &'a [u8]) -> Option<Self> {
        if le32(bytes, 0)? == END {
            return None;
        }
        let len = usize::try_from(le32(bytes, 4)?).ok().filter(|len| *len >= 24)?;
        bytes.get(..len).map(Self)
    }

    /// Bytes of it, header and all.
    pub(super) fn len(self) -> usize {
        self.0.len()
    }

    /// Whether it has this type and this name in UTF-16.
    pub(super) fn is(self, kind: u32, name: &[u8]) -> bool {
        le32(self.0, 0) == Some(kind) && self.name() == Some(name)
    }

    fn name(self) -> Option<&'a [u8]> {
        let units = usize::from(byte(self.0, 9)?);
        if units == 0 {
            return Some(&[]);
        }
        slice(self.0, le16(self.0, 10)?.into(), units.checked_mul(2)?)
    }

    /// Whether its value lies in clusters of its own.
    pub(super) fn is_non_resident(self) -> bool {
        byte(self.0, 8) != Some(0)
    }

    /// What was done to its value ([`made`]).
    pub(super) fn made(self) -> u16 {
        le16(self.0, 12).unwrap_or(0)
    }

    /// Whether its value is compressed, encrypted or sparse.
    pub(super) fn is_transformed(self) -> bool {
        le16(self.0, 12) != Some(0)
    }

    /// Binary logarithm of the clusters that are compressed together.
    pub(super) fn compression_unit(self) -> Option<u8> {
        byte(self.0, 34).filter(|_| self.is_non_resident())
    }

    /// The value of a resident attribute.
    pub(super) fn value(self) -> Option<&'a [u8]> {
        if self.is_non_resident() {
            return None;
        }
        let len = usize::try_from(le32(self.0, 16)?).ok()?;
        slice(self.0, le16(self.0, 20)?.into(), len)
    }

    /// First virtual cluster that a non-resident attribute's runs describe.
    pub(super) fn first_vcn(self) -> Option<u64> {
        le64(self.0, 16).filter(|_| self.is_non_resident())
    }

    /// Bytes of a non-resident value; told by the piece that starts at virtual cluster 0.
    pub(super) fn data_size(self) -> Option<u64> {
        le64(self.0, 48).filter(|_| self.is_non_resident())
    }

    /// Bytes of a non-resident value that were ever written; the rest reads as zeros.
    pub(super) fn initialised_size(self) -> Option<u64> {
        le64(self.0, 56).filter(|_| self.is_non_resident())
    }

    /// The mapping pairs of a non-resident attribute.
    pub(super) fn mapping_pairs(self) -> Option<&'a [u8]> {
        self.0.get(usize::from(le16(self.0, 32)?)..).filter(|_| self.is_non_resident())
    }
}
