//! Chunks: which bytes of which devices stand for a range of logical addresses.
//!
//! Sources: btrfs documentation, "On-disk format", chunk items; Linux `fs/btrfs/volumes.c`,
//! `btrfs_map_block` and `btrfs_check_chunk_valid`.

use crate::bytes::{le16, le32, le64, slice};
use crate::volume::Doubt;
use crate::volume::probe::piece;

/// Bytes of a chunk item before its stripes.
const HEAD: usize = 48;
/// Bytes of a stripe in a chunk item.
const STRIPE: usize = 32;
/// The only stripe length there is (`BTRFS_STRIPE_LEN`), bytes.
pub(super) const STRIPE_LEN: u64 = 64 << 10;

/// Chunk types: data, system, metadata.
const CONTENT: u64 = 0x7;
/// Chunk types: how it is laid out; none of them for a single copy.
const PROFILES: u64 = 0x7f8;

/// Where a chunk lies on one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stripe {
    /// The device's number.
    pub(super) device: u64,
    /// The device's UUID.
    pub(super) device_uuid: [u8; 16],
    /// First byte on it.
    pub(super) start: u64,
}

/// How a chunk's addresses are laid out over its stripes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Profile {
    /// Every stripe holds all of it: single, DUP, RAID1, RAID1C3, RAID1C4.
    Copied,
    /// Units of [`STRIPE_LEN`] go round, each to this many stripes: RAID0, RAID10.
    Striped(u64),
    /// Units go round and this many more stripes of each row hold parity: RAID5, RAID6.
    Parity(u64),
}

/// A range of logical addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    /// First logical address.
    pub(super) start: u64,
    /// Bytes of logical addresses.
    pub(super) length: u64,
    /// Where it lies.
    pub(super) stripes: Vec<Stripe>,
    profile: Profile,
}

impl Chunk {
    /// Reads a chunk item; `start` is its key's offset.
    pub(super) fn parse(start: u64, item: &[u8]) -> Result<Self, Doubt> {
        Self::read(start, item)
            .filter(Self::is_sane)
            .ok_or_else(|| Doubt::because(format!("the chunk at {start:#x} is not understood")))
    }

    /// Bytes of the item that starts `bytes`, as in the superblock's array of chunks.
    pub(super) fn item_len(bytes: &[u8]) -> Option<usize> {
        usize::from(le16(bytes, 44)?).checked_mul(STRIPE)?.checked_add(HEAD)
    }

    fn read(start: u64, item: &[u8]) -> Option<Self> {
        let stripes = slice(item, HEAD, Self::item_len(item)?.checked_sub(HEAD)?)?;
        let stripe = |bytes: &[u8]| -> Option<Stripe> {
            let (device, start) = (le64(bytes, 0)?, le64(bytes, 8)?);
            Some(Stripe { device, start, device_uuid: piece(bytes, 16)? })
        };
        let stripes = stripes.chunks_exact(STRIPE).map(stripe).collect::<Option<Vec<_>>>()?;
        let kind = le64(item, 24)?;
        let count = stripes.len() as u64;
        let (profile, fits) = match kind & PROFILES {
            0 => (Profile::Copied, count == 1),
            0x8 => (Profile::Striped(1), count >= 1),
            0x10 | 0x20 => (Profile::Copied, count == 2),
            0x40 => (Profile::Striped(2), count >= 2 && count.is_multiple_of(2)),
            0x80 => (Profile::Parity(1), count >= 2),
            0x100 => (Profile::Parity(2), count >= 3),
            0x200 => (Profile::Copied, count == 3),
            0x400 => (Profile::Copied, count == 4),
            _ => return None,
        };
        let known = kind & !(PROFILES | CONTENT) == 0 && kind & CONTENT != 0;
        // RAID10 writes this many copies, other profiles do without.
        let copies = profile != Profile::Striped(2) || le16(item, 46)? == 2;
        let found = Self { start, length: le64(item, 0)?, stripes, profile };
        (fits && known && copies && le64(item, 16)? == STRIPE_LEN && le32(item, 40)? != 0)
            .then_some(found)
    }

    fn is_sane(&self) -> bool {
        let whole_rows = match self.profile {
            Profile::Copied => true,
            _ => self.length.is_multiple_of(self.row_units().saturating_mul(STRIPE_LEN)),
        };
        let ends = |stripe: &Stripe| stripe.start.checked_add(self.stripe_length()).is_some();
        let end = self.start.checked_add(self.length);
        self.length > 0 && end.is_some() && whole_rows && self.stripes.iter().all(ends)
    }

    /// One past the last logical address.
    pub(super) fn end(&self) -> u64 {
        self.start.saturating_add(self.length)
    }

    /// Units of different content in a row across all stripes; at least 1.
    fn row_units(&self) -> u64 {
        let stripes = self.stripes.len() as u64;
        match self.profile {
            Profile::Copied => 1,
            Profile::Striped(copies) => stripes.checked_div(copies).unwrap_or(1).max(1),
            Profile::Parity(parity) => stripes.saturating_sub(parity).max(1),
        }
    }

    /// Whether nothing else than the bytes themselves tells what they are.
    pub(super) fn is_only_copy(&self) -> bool {
        match self.profile {
            Profile::Copied => self.stripes.len() == 1,
            Profile::Striped(copies) => copies == 1,
            Profile::Parity(_) => false,
        }
    }

    /// Bytes that it takes of each of its stripes.
    pub(super) fn stripe_length(&self) -> u64 {
        self.length.checked_div(self.row_units()).unwrap_or(0)
    }

    /// Every copy of the `len` bytes at logical address `address`: the stripe and the byte on its
    /// device. None when they are not all in one piece.
    pub(super) fn copies(&self, address: u64, len: u64) -> Vec<(&Stripe, u64)> {
        let Some(offset) = address.checked_sub(self.start) else { return Vec::new() };
        if offset.checked_add(len).is_none_or(|end| end > self.length) {
            return Vec::new();
        }
        let units = self.row_units();
        let (unit, within) = (offset / STRIPE_LEN, offset % STRIPE_LEN);
        let row = unit.checked_div(units).unwrap_or(0);
        let column = unit.checked_rem(units).unwrap_or(0);
        let on_stripe = match self.profile {
            Profile::Copied => offset,
            _ if within.saturating_add(len) > STRIPE_LEN => return Vec::new(),
            _ => row.saturating_mul(STRIPE_LEN).saturating_add(within),
        };
        let (first, copies) = match self.profile {
            Profile::Copied => (0, self.stripes.len() as u64),
            Profile::Striped(copies) => (column.saturating_mul(copies), copies),
            // The columns of a row move on by one with each row.
            Profile::Parity(_) => {
                let stripes = self.stripes.len() as u64;
                (column.saturating_add(row).checked_rem(stripes).unwrap_or(0), 1)
            }
        };
        let chosen =
            self.stripes.iter().zip(0u64..).filter(|(_, index)| {
                index.checked_sub(first).is_some_and(|further| further < copies)
            });
        chosen.map(|(stripe, _)| (stripe, stripe.start.saturating_add(on_stripe))).collect()
    }

    /// Calls `mark` with the byte ranges of device `device` that the logical range `start..end`
    /// needs. Of RAID5 and RAID6 these are the columns of all stripes: what parity covers has
    /// to stay together, or it would restore wrong bytes.
    pub(super) fn on_device(
        &self,
        device: u64,
        (start, end): (u64, u64),
        mark: &mut dyn FnMut(u64, u64),
    ) {
        let offset = |at: u64| at.clamp(self.start, self.end()).saturating_sub(self.start);
        let (from, to) = (offset(start), offset(end));
        if from >= to {
            return;
        }
        for (stripe, index) in self.stripes.iter().zip(0u64..) {
            if stripe.device != device {
                continue;
            }
            let mut mark = |from: u64, to: u64| {
                mark(stripe.start.saturating_add(from), stripe.start.saturating_add(to));
            };
            match self.profile {
                Profile::Copied => mark(from, to),
                Profile::Striped(copies) => {
                    let column = index.checked_div(copies).unwrap_or(0);
                    mark(self.before(column, from), self.before(column, to));
                }
                Profile::Parity(_) => self.columns(from, to, &mut mark),
            }
        }
    }

    /// Bytes of the first `offset` bytes of a striped chunk that are in `column`.
    fn before(&self, column: u64, offset: u64) -> u64 {
        let row = self.row_units().saturating_mul(STRIPE_LEN);
        let rows = offset.checked_div(row).unwrap_or(0);
        let rest = offset.checked_rem(row).unwrap_or(0);
        let part = rest.saturating_sub(column.saturating_mul(STRIPE_LEN)).min(STRIPE_LEN);
        rows.saturating_mul(STRIPE_LEN).saturating_add(part)
    }

    /// The bytes of any stripe that lie in a row with one of the bytes `from..to`.
    fn columns(&self, from: u64, to: u64, mark: &mut dyn FnMut(u64, u64)) {
        let units = self.row_units();
        let row = |unit: u64| unit.checked_div(units).unwrap_or(0).saturating_mul(STRIPE_LEN);
        let (first, last) = (from / STRIPE_LEN, to.saturating_sub(1) / STRIPE_LEN);
        let (head, tail) = (from % STRIPE_LEN, to.saturating_sub(1) % STRIPE_LEN);
        let tail = tail.saturating_add(1);
        if first == last {
            mark(row(first).saturating_add(head), row(first).saturating_add(tail));
            return;
        }
        mark(row(first).saturating_add(head), row(first).saturating_add(STRIPE_LEN));
        let (next, before) = (first.saturating_add(1), last.saturating_sub(1));
        if next <= before {
            mark(row(next), row(before).saturating_add(STRIPE_LEN));
        }
        mark(row(last), row(last).saturating_add(tail));
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bytes::Extents;

    const START: u64 = 5 << 30;

    /// A chunk item; each device has one stripe, and number `n` starts at `n` TiB.
    fn item(profile: u64, stripes: u16, length: u64) -> Vec<u8> {
        let mut item = Vec::new();
        for field in [length, 2, STRIPE_LEN, 1 | profile] {
            item.extend(field.to_le_bytes());
        }
        for field in [65536u32, 65536, 4096] {
            item.extend(field.to_le_bytes());
        }
        item.extend(stripes.to_le_bytes());
        item.extend(if profile == 0x40 { 2u16 } else { 1 }.to_le_bytes());
        for device in 0..u64::from(stripes) {
            item.extend(device.to_le_bytes());
            item.extend((device << 40).to_le_bytes());
            item.extend([7; 16]);
        }
        item
    }

    /// Profile, stripes, and how many copies of each byte there are.
    fn layouts() -> impl Strategy<Value = (u64, u16, u64)> {
        prop_oneof![
            Just((0, 1, 1)),
            Just((0x20, 2, 2)),
            Just((0x10, 2, 2)),
            Just((0x200, 3, 3)),
            Just((0x400, 4, 4)),
            (1u16..6).prop_map(|stripes| (0x8, stripes, 1)),
            (1u16..5).prop_map(|pairs| (0x40, pairs * 2, 2)),
            (2u16..6).prop_map(|stripes| (0x80, stripes, 0)),
            (3u16..7).prop_map(|stripes| (0x100, stripes, 0)),
        ]
    }

    proptest! {
        #[test]
        fn what_is_read_is_marked(
            (profile, stripes, copies) in layouts(),
            from in 0u64..480,
            len in 1u64..200,
        ) {
            let length = 60 * STRIPE_LEN;
            let chunk = Chunk::parse(START, &item(profile, stripes, length)).unwrap();
            let end = (from + len).min(length / 4096);
            let range = (START + from * 4096, START + end * 4096);
            let mut marked = Extents::new();
            for device in 0..u64::from(stripes) {
                let mut mark = |from: u64, to: u64| {
                    assert!(from >> 40 == device && to <= (device << 40) + chunk.stripe_length());
                    marked = marked.union(&Extents::of(from, to));
                };
                chunk.on_device(device, range, &mut mark);
            }
            for sector in from..end {
                let places = chunk.copies(START + sector * 4096, 4096);
                prop_assert_eq!(places.len() as u64, copies.max(1));
                for (stripe, at) in places {
                    prop_assert_eq!(at >> 40, stripe.device);
                    prop_assert!(marked.gaps_within(at, at + 4096).is_empty());
                }
            }
            if copies > 0 {
                prop_assert_eq!(marked.total(), copies * (range.1 - range.0));
            } else {
                // All stripes of every row that is touched, and no more.
                let columns: std::collections::BTreeSet<u64> = (from..end)
                    .map(|sector| chunk.copies(START + sector * 4096, 4096)[0].1 % (1 << 40))
                    .collect();
                prop_assert_eq!(marked.total(), columns.len() as u64 * 4096 * u64::from(stripes));
            }
        }

        #[test]
        fn any_item_does_no_harm(mut bytes in prop::collection::vec(any::<u8>(), 0..300), at: u64) {
            if let Some(kind) = bytes.get_mut(24..32) {
                kind[1..].fill(0);
            }
            if let Ok(chunk) = Chunk::parse(at, &bytes) {
                chunk.copies(at, 4096);
                chunk.on_device(1, (0, u64::MAX), &mut |from, to| assert!(from <= to));
            }
        }
    }

    #[test]
    fn unknown_layouts_are_refused() {
        assert!(Chunk::parse(0, &item(0, 1, 1 << 20)).is_ok());
        for (profile, stripes, length) in [
            (0, 2, 1 << 20),
            (0x10, 3, 1 << 20),
            (0x18, 2, 1 << 20),
            (0x40, 3, 3 << 20),
            (0x800, 1, 1 << 20),
            (0x8, 2, (1 << 20) + 4096),
            (0, 1, 0),
            (0, 1, u64::MAX),
        ] {
            assert!(Chunk::parse(1, &item(profile, stripes, length)).is_err(), "{profile:#x}");
        }
    }
}
