//! File records that are changed.

use super::super::record::{Attribute, FIXUP_BLOCK, REFERENCE_MASK, Record, fix_up};
use super::super::stream::{Run, encode};
use crate::bytes::{le16, le32, le64};

/// Places of fields of a record, and of a non-resident attribute (`MFT_RECORD`, `ATTR_RECORD`).
const BYTES_IN_USE: usize = 24;
const LENGTH: usize = 4;
const HIGHEST_VCN: usize = 24;
const PAIRS: usize = 32;
const ALLOCATED: usize = 40;
const DATA: usize = 48;
const INITIALISED: usize = 56;

/// A record with all of its bytes, its update sequence protection undone.
pub(super) struct Editable(Vec<u8>);

impl Editable {
    /// The bytes as they are on the disk; `None` for one that is torn or not in use.
    pub(super) fn new(bytes: &[u8]) -> Option<Self> {
        Record::new(bytes.to_vec())?;
        let mut whole = bytes.to_vec();
        fix_up(&mut whole, b"FILE").map(|()| Self(whole))
    }

    /// Where its attributes begin, and each of them.
    pub(super) fn attributes(&self) -> impl Iterator<Item = (usize, Attribute<'_>)> {
        let mut at = le16(&self.0, 20).map_or(usize::MAX, usize::from);
        std::iter::from_fn(move || {
            let (place, attribute) = (at, self.attribute(at)?);
            at = at.checked_add(attribute.len())?;
            Some((place, attribute))
        })
    }

    /// The attribute that begins at byte `at`.
    pub(super) fn attribute(&self, at: usize) -> Option<Attribute<'_>> {
        Attribute::first(self.0.get(at..)?)
    }

    /// Whether it is a further record of file `number`.
    pub(super) fn extends(&self, number: u64) -> bool {
        // Of a base record all of the reference is zero, the sequence number in it too.
        le64(&self.0, 32).is_some_and(|base| base != 0 && base & REFERENCE_MASK == number)
    }

    /// Gives the attribute at `at` other runs; `false`, and nothing changed, when they have no room.
    pub(super) fn set_runs(&mut self, at: usize, runs: &[Run]) -> bool {
        self.try_set_runs(at, runs).is_some()
    }

    fn try_set_runs(&mut self, at: usize, runs: &[Run]) -> Option<()> {
        let pairs = encode(runs);
        let (offset, length) = (usize::from(le16(&self.0, at + PAIRS)?), self.long(at + LENGTH)?);
        let wanted = offset.checked_add(pairs.len())?.next_multiple_of(8);
        if wanted > length {
            let used = self.long(BYTES_IN_USE)?;
            let more = wanted - length;
            let room = self.0.len().checked_sub(used)?;
            (more <= room && at + length <= used).then_some(())?;
            self.0.copy_within(at + length..used, at + wanted);
            self.put(at + LENGTH, &u32::try_from(wanted).ok()?.to_le_bytes());
            self.put(BYTES_IN_USE, &u32::try_from(used + more).ok()?.to_le_bytes());
        }
        let place = self.0.get_mut(at + offset..at + wanted.max(length))?;
        place.fill(0);
        place.get_mut(..pairs.len())?.copy_from_slice(&pairs);
        Some(())
    }

    fn long(&self, at: usize) -> Option<usize> {
        usize::try_from(le32(&self.0, at)?).ok()
    }

    /// Gives the attribute at `at` another size: its clusters, and bytes of its value and of what of it was
    /// ever written.
    pub(super) fn set_size(&mut self, at: usize, clusters: u64, unit: u64, bytes: [u64; 2]) {
        let [data, initialised] = bytes;
        self.put(at + HIGHEST_VCN, &clusters.saturating_sub(1).to_le_bytes());
        self.put(at + ALLOCATED, &clusters.saturating_mul(unit).to_le_bytes());
        self.put(at + DATA, &data.to_le_bytes());
        self.put(at + INITIALISED, &initialised.to_le_bytes());
    }

    /// Sets these bits of the 16-bit field at byte `field` of the value of the resident attribute of a type.
    pub(super) fn set_bits(&mut self, kind: u32, field: usize, bits: u16) -> Option<()> {
        let (at, _) = self.attributes().find(|(_, attribute)| attribute.is(kind, &[]))?;
        let place = at.checked_add(le16(&self.0, at + 20)?.into())?.checked_add(field)?;
        let value = le16(&self.0, place)? | bits;
        self.put(place, &value.to_le_bytes());
        Some(())
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        if let Some(place) = self.0.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }

    /// The bytes for the disk, protected by the next update sequence number.
    pub(super) fn protected(mut self) -> Option<Vec<u8>> {
        let (at, count) = (usize::from(le16(&self.0, 4)?), usize::from(le16(&self.0, 6)?));
        let number = match le16(&self.0, at)?.wrapping_add(1) {
            // Both mean something else.
            0 | 0xffff => 1,
            number => number,
        };
        let mut array = number.to_le_bytes().to_vec();
        for sector in self.0.chunks_exact_mut(FIXUP_BLOCK) {
            let tail = sector.get_mut(FIXUP_BLOCK - 2..)?;
            array.extend_from_slice(tail);
            tail.copy_from_slice(&number.to_le_bytes());
        }
        (array.len() == count.checked_mul(2)?).then_some(())?;
        // The array lies in the first sector, before its tail.
        self.0.get_mut(at..at.checked_add(array.len())?)?.copy_from_slice(&array);
        Some(self.0)
    }
}
