//! The parsers of repository files as targets of [`crate::fuzzing`].

use super::format::compression;
use super::format::crypto::Key;
use super::format::index::{Index, IndexFile};
use super::format::key_file::KeyFile;
use super::format::{Snapshot, Tree, json_file, pack};
use crate::bytes::{AlignedBuffer, le32};

/// A key that everybody knows.
fn key() -> Key {
    Key::from_bytes(&[7; Key::LEN])
}

/// The end of a pack: the length of its header, and the header as it is when opened.
pub fn pack_header(data: &[u8]) {
    if let Some((last, _)) = data.split_first_chunk::<{ pack::LENGTH_FIELD }>()
        && let Some((start, len)) = pack::locate_header(data.len() as u64, *last)
    {
        assert!(start + len as u64 <= data.len() as u64, "the header reaches past the end");
    }
    let Some(entries) = pack::parse_header(data) else { return };
    let mut again = Vec::new();
    pack::encode_header(&entries, &mut again);
    assert_eq!(again, data, "it changes when written");
    let len: u64 = entries.iter().map(pack::PackEntry::header_len).sum();
    assert_eq!(len, data.len() as u64);
}

/// An index file, and what is looked up in it.
pub fn index(data: &[u8]) {
    let Ok(file) = serde_json::from_slice::<IndexFile>(data) else { return };
    let blobs = file.packs.iter().map(|pack| pack.blobs.len()).sum::<usize>();
    let index = Index::default().with([file.clone(), file]);
    assert!(index.len() <= blobs, "blobs are counted twice");
    let order = index.in_disk_order();
    for (pack, entries) in index.by_pack(&order) {
        assert!(index.contains_pack(&pack), "a pack is not found again");
        let _ = index.size_of_pack(entries);
    }
    for number in index.entries() {
        let Some((id, at)) = index.location(number) else { continue };
        assert!(index.contains(at.kind, &id), "a blob is not found again");
        assert!(index.copies(&id).any(|copy| copy == number), "a copy is not found again");
        let _ = (at.plain_len(), at.end());
    }
}

/// A directory.
pub fn tree(data: &[u8]) {
    let Ok(tree) = Tree::parse(data) else { return };
    for node in tree.nodes() {
        assert!(tree.find(&node.name).is_some(), "an entry is not found again");
    }
    let again = tree.to_json().map(|json| Tree::parse(&json));
    assert!(matches!(again, Ok(Ok(again)) if again == tree), "it changes when written");
}

/// A snapshot.
pub fn snapshot(data: &[u8]) {
    let Ok(snapshot) = serde_json::from_slice::<Snapshot>(data) else { return };
    let again = json_file::to_json(&snapshot);
    let again = again.map(|json| serde_json::from_slice::<Snapshot>(&json).is_ok());
    assert!(matches!(again, Ok(true)), "what was read cannot be written and read again");
}

/// A key file; keys that are costly to derive are not, for the sake of speed.
pub fn key_file(data: &[u8]) {
    let Ok(file) = serde_json::from_slice::<KeyFile>(data) else { return };
    if file.is_cheap() {
        let _ = file.open("lifeboat");
    }
}

/// Sealed bytes: as they are, and such as somebody with the key has made.
pub fn sealed(data: &[u8]) {
    assert!(key().open_in_place(&mut data.to_vec()).is_none(), "a seal was forged");
    let Ok(mut sealed) = key().seal(data) else { return };
    let _ = json_file::parse::<IndexFile>(&key(), &mut sealed.clone());
    let opened = key().open_in_place(&mut sealed);
    assert!(opened.is_some_and(|opened| opened == data), "it changes when sealed");
}

/// A compressed blob with the length that the index gives.
pub fn blob(data: &[u8]) {
    let Some((len, frame)) = le32(data, 0).zip(data.get(4..)) else { return };
    let Ok(mut zstd) = compression::decompressor() else { return };
    let len = usize::try_from(len % (8 << 20)).unwrap_or(0);
    let mut plain = AlignedBuffer::default();
    if compression::unpack(&mut zstd, frame, len, &mut plain).is_ok() {
        assert_eq!(plain.len(), len, "another length than it should have");
    }
}
