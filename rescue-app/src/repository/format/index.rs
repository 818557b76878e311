//! Where every blob lies: the index files, and all of them together in memory
//! (restic `doc/design.rst`, "Indexing").

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::Id;
use super::crypto::OVERHEAD;
use super::pack::{BlobType, LENGTH_FIELD, PackEntry};

/// An index file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::repository) struct IndexFile {
    pub(in crate::repository) packs: Vec<IndexedPack>,
}

/// All blobs of one pack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::repository) struct IndexedPack {
    pub(in crate::repository) id: Id,
    pub(in crate::repository) blobs: Vec<IndexedBlob>,
}

impl IndexedPack {
    /// The length that its file must have; `None` when what the index says is not all of it.
    pub(in crate::repository) fn file_size(&self) -> Option<u64> {
        let mut entries: Vec<PackEntry> = self.blobs.iter().map(Into::into).collect();
        entries.sort_unstable_by_key(|entry| entry.offset);
        size_of_pack(entries.into_iter())
    }

    /// Without the blobs for which `goes` is true; nothing when none is left.
    pub(in crate::repository) fn without(
        mut self,
        goes: impl Fn(BlobType, &Id) -> bool,
    ) -> Option<Self> {
        self.blobs.retain(|blob| !goes(blob.kind, &blob.id));
        (!self.blobs.is_empty()).then_some(self)
    }
}

/// One blob of a pack as an index file has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::repository) struct IndexedBlob {
    id: Id,
    #[serde(rename = "type")]
    kind: BlobType,
    offset: u32,
    length: u32,
    /// Absent or 0 when the blob is not compressed.
    #[serde(default, skip_serializing_if = "is_zero")]
    uncompressed_length: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_zero(length: &u32) -> bool {
    *length == 0
}

impl From<&PackEntry> for IndexedBlob {
    fn from(entry: &PackEntry) -> Self {
        let PackEntry { id, kind, offset, length, uncompressed } = *entry;
        Self { id, kind, offset, length, uncompressed_length: uncompressed.unwrap_or(0) }
    }
}

impl From<&IndexedBlob> for PackEntry {
    fn from(blob: &IndexedBlob) -> Self {
        let IndexedBlob { id, kind, offset, length, uncompressed_length } = *blob;
        let uncompressed = Some(uncompressed_length).filter(|&len| len != 0);
        Self { id, kind, offset, length, uncompressed }
    }
}

/// Where a blob lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobLocation {
    /// The pack file.
    pub pack: Id,
    /// What the blob holds.
    pub kind: BlobType,
    /// First byte of the sealed blob in the pack.
    pub offset: u32,
    /// Length of the sealed blob in bytes.
    pub length: u32,
    /// Length of the plain text in bytes when it is compressed.
    pub uncompressed: Option<u32>,
}

impl BlobLocation {
    /// Length of the plain text in bytes.
    pub fn plain_len(&self) -> u32 {
        plain_len(self.length, self.uncompressed.unwrap_or(0))
    }

    /// One past the last byte of the sealed blob in the pack.
    pub fn end(&self) -> u64 {
        u64::from(self.offset) + u64::from(self.length)
    }

    /// The entry in the header of its pack.
    pub(in crate::repository) fn pack_entry(&self, id: Id) -> PackEntry {
        let Self { kind, offset, length, uncompressed, .. } = *self;
        PackEntry { id, kind, offset, length, uncompressed }
    }
}

/// Length of the plain text of a sealed blob; `uncompressed` is 0 when it is not compressed.
fn plain_len(length: u32, uncompressed: u32) -> u32 {
    match uncompressed {
        0 => length.saturating_sub(u32::try_from(OVERHEAD).unwrap_or(u32::MAX)),
        plain => plain,
    }
}

/// How much a repository holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Pack files.
    pub packs: u64,
    /// Blobs: chunks, directories and manifests.
    pub blobs: u64,
    /// Their bytes as they are stored.
    pub stored: u64,
    /// Their bytes before they were compressed.
    pub plain: u64,
}

/// A blob in memory; 52 bytes, for there may be millions.
#[derive(Clone, Copy)]
struct IndexEntry {
    id: Id,
    /// Position in [`Index::packs`].
    pack: u32,
    offset: u32,
    length: u32,
    /// 0 when not compressed.
    uncompressed: u32,
    kind: BlobType,
}

impl IndexEntry {
    fn key(&self) -> (Id, BlobType, u32) {
        (self.id, self.kind, self.pack)
    }
}

/// All index files together. A blob may be there several times, in several packs.
#[derive(Clone, Default)]
pub(in crate::repository) struct Index {
    /// Sorted by [`IndexEntry::key`].
    entries: Vec<IndexEntry>,
    packs: Vec<Id>,
    numbers: HashMap<Id, u32>,
}

/// Position of a blob's entry in an [`Index`].
pub(in crate::repository) type EntryNumber = u32;

impl Index {
    /// This index and all blobs of more index files. A pack that is known already is not added
    /// again.
    pub(in crate::repository) fn with(
        mut self,
        files: impl IntoIterator<Item = IndexFile>,
    ) -> Self {
        for file in files {
            file.packs.iter().for_each(|pack| self.add(pack));
        }
        self.entries.sort_unstable_by_key(IndexEntry::key);
        self
    }

    /// This index without some packs.
    pub(in crate::repository) fn without(self, packs: &HashSet<Id>) -> Self {
        let gone: Vec<bool> = self.packs.iter().map(|pack| packs.contains(pack)).collect();
        let is_gone = |number: u32| gone.get(number as usize).copied().unwrap_or(false);
        let Self { mut entries, packs, mut numbers } = self;
        entries.retain(|entry| !is_gone(entry.pack));
        numbers.retain(|_, number| !is_gone(*number));
        Self { entries, packs, numbers }
    }

    fn add(&mut self, pack: &IndexedPack) {
        // More entries than a u32 counts would take over 200 GB of memory.
        let Ok(number) = u32::try_from(self.packs.len()) else { return };
        if self.numbers.contains_key(&pack.id) {
            return;
        }
        self.numbers.insert(pack.id, number);
        self.packs.push(pack.id);
        self.entries.extend(pack.blobs.iter().map(|blob| IndexEntry {
            id: blob.id,
            pack: number,
            offset: blob.offset,
            length: blob.length,
            uncompressed: blob.uncompressed_length,
            kind: blob.kind,
        }));
    }

    /// Number of blobs, copies counted.
    pub(in crate::repository) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How much there is, of several copies of a blob one.
    pub(in crate::repository) fn totals(&self) -> Held {
        let mut totals = Held { packs: self.packs.len() as u64, ..Held::default() };
        for copies in self.entries.chunk_by(|a, b| (a.id, a.kind) == (b.id, b.kind)) {
            let Some(blob) = copies.first() else { continue };
            totals.blobs += 1;
            totals.stored += u64::from(blob.length);
            totals.plain += u64::from(plain_len(blob.length, blob.uncompressed));
        }
        totals
    }

    /// Whether a blob of this type is known.
    pub(in crate::repository) fn contains(&self, kind: BlobType, id: &Id) -> bool {
        self.copies(id).any(|number| self.entries[number as usize].kind == kind)
    }

    /// Whether the pack is in some index file.
    pub(in crate::repository) fn contains_pack(&self, pack: &Id) -> bool {
        self.numbers.contains_key(pack)
    }

    /// The entries of all copies of a blob.
    pub(in crate::repository) fn copies(&self, id: &Id) -> impl Iterator<Item = EntryNumber> + '_ {
        let first = self.entries.partition_point(|entry| entry.id < *id);
        let id = *id;
        (first..)
            .map_while(move |at| self.entries.get(at).filter(|entry| entry.id == id).map(|_| at))
            .filter_map(|at| EntryNumber::try_from(at).ok())
    }

    /// Where an entry's blob lies.
    pub(in crate::repository) fn location(
        &self,
        number: EntryNumber,
    ) -> Option<(Id, BlobLocation)> {
        let entry = self.entries.get(number as usize)?;
        let location = BlobLocation {
            pack: *self.packs.get(entry.pack as usize)?,
            kind: entry.kind,
            offset: entry.offset,
            length: entry.length,
            uncompressed: Some(entry.uncompressed).filter(|&len| len != 0),
        };
        Some((entry.id, location))
    }

    /// All entries.
    pub(in crate::repository) fn entries(&self) -> impl Iterator<Item = EntryNumber> + use<> {
        (0..self.entries.len()).filter_map(|at| EntryNumber::try_from(at).ok())
    }

    /// The entries of each blob that is there several times.
    pub(in crate::repository) fn copied_blobs(
        &self,
    ) -> impl Iterator<Item = Vec<EntryNumber>> + '_ {
        let mut at = 0;
        let groups = self.entries.chunk_by(|a, b| (a.id, a.kind) == (b.id, b.kind));
        groups.filter_map(move |group| {
            let range = at..at + group.len();
            at = range.end;
            let numbers = || range.filter_map(|at| EntryNumber::try_from(at).ok()).collect();
            (group.len() > 1).then(numbers)
        })
    }

    /// All entries in the order of packs and of offsets inside them.
    pub(in crate::repository) fn in_disk_order(&self) -> Vec<EntryNumber> {
        let mut order: Vec<_> = self.entries().collect();
        order.sort_unstable_by_key(|&number| self.disk_order(number));
        order
    }

    /// The packs with their entries; `order` is that of [`Self::in_disk_order`].
    pub(in crate::repository) fn by_pack<'o>(
        &self,
        order: &'o [EntryNumber],
    ) -> Vec<(Id, &'o [EntryNumber])> {
        let pack_of = |number: &EntryNumber| self.disk_order(*number).0;
        order
            .chunk_by(|a, b| pack_of(a) == pack_of(b))
            .filter_map(|entries| {
                let (_, location) = self.location(*entries.first()?)?;
                Some((location.pack, entries))
            })
            .collect()
    }

    /// The length of a pack with these entries, in order of offset; `None` unless they lie side
    /// by side from its start.
    pub(in crate::repository) fn size_of_pack(&self, entries: &[EntryNumber]) -> Option<u64> {
        let located = entries.iter().filter_map(|&number| self.location(number));
        size_of_pack(located.map(|(id, at)| at.pack_entry(id)))
    }

    /// Sort key that puts entries in the order of packs and of offsets inside them.
    pub(in crate::repository) fn disk_order(&self, number: EntryNumber) -> (u32, u32) {
        self.entries.get(number as usize).map_or((0, 0), |entry| (entry.pack, entry.offset))
    }
}

/// The length of a pack with these blobs, in order of offset; `None` unless they lie side by side
/// from its start.
fn size_of_pack(entries: impl Iterator<Item = PackEntry>) -> Option<u64> {
    let (mut end, mut header) = (0, (OVERHEAD + LENGTH_FIELD) as u64);
    for entry in entries {
        if u64::from(entry.offset) != end {
            return None;
        }
        end += u64::from(entry.length);
        header += entry.header_len();
    }
    Some(end + header)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pack(name: u8, blobs: &[(u8, BlobType)]) -> IndexedPack {
        let blob = |(at, &(id, kind)): (u32, &(u8, BlobType))| IndexedBlob {
            id: Id::of(&[id]),
            kind,
            offset: at * 100,
            length: 100,
            uncompressed_length: u32::from(id),
        };
        let blobs = (0..).zip(blobs).map(blob).collect();
        IndexedPack { id: Id::of(&[name, name]), blobs }
    }

    fn file(packs: Vec<IndexedPack>) -> IndexFile {
        IndexFile { packs }
    }

    #[test]
    fn blobs_are_found_with_all_their_copies() {
        use BlobType::{Data, Tree};
        let index = Index::default()
            .with([file(vec![pack(1, &[(5, Data), (6, Data), (0, Data)])])])
            .with([file(vec![pack(2, &[(5, Tree)])]), file(vec![pack(3, &[(6, Data), (7, Data)])])])
            .with([file(vec![pack(1, &[(9, Data)])])]);
        assert_eq!(index.len(), 6);
        assert!(index.contains_pack(&Id::of(&[3, 3])) && !index.contains_pack(&Id::of(&[4, 4])));
        assert!(index.contains(Data, &Id::of(&[5])) && index.contains(Tree, &Id::of(&[5])));
        assert!(!index.contains(Tree, &Id::of(&[6])) && !index.contains(Data, &Id::of(&[9])));
        let found: Vec<_> =
            index.copies(&Id::of(&[6])).filter_map(|number| index.location(number)).collect();
        let offsets: Vec<_> = found.iter().map(|(_, at)| (at.pack, at.offset)).collect();
        assert_eq!(offsets, [(Id::of(&[1, 1]), 100), (Id::of(&[3, 3]), 0)]);
        assert_eq!(found[0].1.plain_len(), 6);
        let plain = index.copies(&Id::of(&[0])).next().unwrap();
        assert_eq!(index.location(plain).unwrap().1.plain_len(), 68);
    }

    proptest! {
        #[test]
        fn mutated_index_json_never_panics(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let file = IndexFile { packs: vec![pack(1, &[(5, BlobType::Data), (6, BlobType::Tree)])] };
            let mut json = serde_json::to_vec(&file).unwrap();
            prop_assert_eq!(&serde_json::from_slice::<IndexFile>(&json).unwrap(), &file);
            let at = at.index(json.len());
            json[at] = byte;
            if let Ok(file) = serde_json::from_slice::<IndexFile>(&json) {
                let index = Index::default().with([file]);
                let numbers = 0..EntryNumber::try_from(index.len()).unwrap();
                prop_assert!(numbers.map(|number| index.location(number)).all(|at| at.is_some()));
            }
        }
    }
}
