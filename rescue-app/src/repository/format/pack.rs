//! Pack files: blobs one after the other, then a sealed list of them, then that list's length
//! (restic `doc/design.rst`, "Pack Format"; `internal/repository/pack/pack.go`).

use super::Id;
use super::crypto::{Key, OVERHEAD};
use crate::bytes;
use crate::repository::error::{RepositoryError, Result};
use crate::store::{FileKind, Store};

/// The largest header restic accepts, in bytes with its length field.
const HEADER_LIMIT: u64 = (16 << 20) + 4;

/// Bytes of the length field that ends a pack.
pub(in crate::repository) const LENGTH_FIELD: usize = 4;

/// What a blob holds.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum BlobType {
    /// Bytes of a file.
    Data,
    /// A directory.
    Tree,
}

/// One blob of a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::repository) struct PackEntry {
    pub(in crate::repository) id: Id,
    pub(in crate::repository) kind: BlobType,
    /// Where the sealed blob starts in the pack.
    pub(in crate::repository) offset: u32,
    /// Length of the sealed blob.
    pub(in crate::repository) length: u32,
    /// Length of the plain text when the blob is compressed.
    pub(in crate::repository) uncompressed: Option<u32>,
}

impl PackEntry {
    /// Bytes this entry takes in the header.
    pub(in crate::repository) fn header_len(&self) -> u64 {
        if self.uncompressed.is_some() { 41 } else { 37 }
    }
}

/// The plain header of a pack with these blobs.
pub(in crate::repository) fn encode_header(entries: &[PackEntry], header: &mut Vec<u8>) {
    for entry in entries {
        let (data, tree) = if entry.uncompressed.is_some() { (2, 3) } else { (0, 1) };
        header.push(if entry.kind == BlobType::Data { data } else { tree });
        header.extend_from_slice(&entry.length.to_le_bytes());
        if let Some(plain) = entry.uncompressed {
            header.extend_from_slice(&plain.to_le_bytes());
        }
        header.extend_from_slice(entry.id.as_bytes());
    }
}

/// The blobs of a plain header; offsets follow from the lengths. `None` when it is malformed.
pub(in crate::repository) fn parse_header(header: &[u8]) -> Option<Vec<PackEntry>> {
    let mut entries = Vec::with_capacity(header.len() / 37);
    let (mut at, mut offset) = (0usize, 0u32);
    while at < header.len() {
        let (kind, compressed) = match header.get(at)? {
            0 => (BlobType::Data, false),
            1 => (BlobType::Tree, false),
            2 => (BlobType::Data, true),
            3 => (BlobType::Tree, true),
            _ => return None,
        };
        let length = bytes::le32(header, at + 1)?;
        let uncompressed = if compressed { Some(bytes::le32(header, at + 5)?) } else { None };
        let id_at = if compressed { at + 9 } else { at + 5 };
        let id = Id::from_bytes(bytes::slice(header, id_at, Id::LEN)?.try_into().ok()?);
        entries.push(PackEntry { id, kind, offset, length, uncompressed });
        offset = offset.checked_add(length)?;
        at = id_at + Id::LEN;
    }
    Some(entries)
}

/// Where the header of a pack of `size` bytes starts and how long its sealed form is, from the
/// last four bytes of the file. Refuses what cannot be before anything is allocated.
pub(in crate::repository) fn locate_header(
    size: u64,
    last: [u8; LENGTH_FIELD],
) -> Option<(u64, usize)> {
    let sealed = u64::from(u32::from_le_bytes(last));
    let start = size.checked_sub(sealed.checked_add(LENGTH_FIELD as u64)?)?;
    let sane = sealed > OVERHEAD as u64 && sealed <= HEADER_LIMIT;
    Some((start, usize::try_from(sealed).ok().filter(|_| sane)?))
}

/// Reads the header of a stored pack of `size` bytes.
pub(in crate::repository) fn read_header(
    store: &dyn Store,
    key: &Key,
    pack: &Id,
    size: u64,
) -> Result<Vec<PackEntry>> {
    let name = pack.to_string();
    let damaged = |problem: &str| RepositoryError::damaged(FileKind::Pack, pack, problem);
    let mut last = [0; LENGTH_FIELD];
    let at = size.checked_sub(LENGTH_FIELD as u64).ok_or_else(|| damaged("it is cut short"))?;
    store.read_range(FileKind::Pack, &name, at, &mut last)?;
    let (start, len) =
        locate_header(size, last).ok_or_else(|| damaged("its header has an impossible length"))?;
    let mut sealed = vec![0; len];
    store.read_range(FileKind::Pack, &name, start, &mut sealed)?;
    let plain = key.open_in_place(&mut sealed).ok_or_else(|| damaged("its header was altered"))?;
    let entries = parse_header(plain).ok_or_else(|| damaged("its header is malformed"))?;
    let blobs: u64 = entries.iter().map(|entry| u64::from(entry.length)).sum();
    if blobs != start {
        return Err(damaged("its header does not account for all its bytes"));
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    prop_compose! {
        fn any_entry()(
            id in any::<[u8; 32]>(),
            tree in any::<bool>(),
            length in 0u32..50_000_000,
            uncompressed in any::<Option<u32>>(),
        ) -> PackEntry {
            let kind = if tree { BlobType::Tree } else { BlobType::Data };
            PackEntry { id: Id::from_bytes(id), kind, offset: 0, length, uncompressed }
        }
    }

    proptest! {
        #[test]
        fn headers_round_trip(mut entries in prop::collection::vec(any_entry(), 0..50)) {
            let mut offset = 0;
            for entry in &mut entries {
                entry.offset = offset;
                offset += entry.length;
            }
            let mut header = Vec::new();
            encode_header(&entries, &mut header);
            let len: u64 = entries.iter().map(PackEntry::header_len).sum();
            prop_assert_eq!(len, header.len() as u64);
            prop_assert_eq!(parse_header(&header), Some(entries));
        }

        #[test]
        fn no_header_makes_the_parser_panic(header in prop::collection::vec(0u8..5, 0..400)) {
            let _ = parse_header(&header);
        }

        #[test]
        fn no_length_makes_the_header_reach_out_of_the_pack(size in any::<u64>(), last in any::<[u8; 4]>()) {
            if let Some((start, len)) = locate_header(size, last) {
                prop_assert_eq!(start + len as u64 + 4, size);
                prop_assert!(len as u64 <= HEADER_LIMIT);
            }
        }
    }
}
