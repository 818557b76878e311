//! From stored chunks to the content list of `disk.img`, and back.

use crate::bytes::Extents;
use crate::repository::{Id, IndexedRepository};

use super::ImageError;
use super::chunks::MIB;

/// Sizes of the zero blobs a run of zeros is made of, largest first. Few large ones keep the
/// list short; what remains below the smallest becomes a blob of its own size.
const ZERO_SIZES: [u64; 6] = [16 * MIB, 8 * MIB, 4 * MIB, 2 * MIB, MIB, SPARSE_MARK];

/// `restic restore --sparse` leaves holes only in a file that refers to at least one blob of
/// exactly this many zeros (its smallest chunk; restic, internal/restorer/filerestorer.go).
const SPARSE_MARK: u64 = MIB / 2;

/// One stretch of the disk as it was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkSlot {
    /// Length in bytes.
    pub len: u64,
    /// The blob that holds it; `None` for zeros.
    pub blob: Option<Id>,
}

/// One entry of the content list before zero blobs have ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentEntry {
    /// A stored chunk.
    Blob(Id),
    /// A blob of this many zero bytes.
    Zeros(u64),
}

/// Tells the content list for `slots`, entry by entry: chunks as they are, runs of zeros joined
/// and cut anew.
pub fn entries<E>(
    slots: &[ChunkSlot],
    mut each: impl FnMut(ContentEntry) -> Result<(), E>,
) -> Result<(), E> {
    let mut marked = false;
    let mut run = 0;
    for slot in slots {
        match slot.blob {
            None => run += slot.len,
            Some(id) => {
                zeros(std::mem::take(&mut run), &mut marked, &mut each)?;
                each(ContentEntry::Blob(id))?;
            }
        }
    }
    zeros(run, &mut marked, &mut each)
}

fn zeros<E>(
    mut run: u64,
    marked: &mut bool,
    each: &mut impl FnMut(ContentEntry) -> Result<(), E>,
) -> Result<(), E> {
    if !*marked && run >= SPARSE_MARK {
        each(ContentEntry::Zeros(SPARSE_MARK))?;
        run -= SPARSE_MARK;
        *marked = true;
    }
    for size in ZERO_SIZES {
        for _ in 0..run / size {
            each(ContentEntry::Zeros(size))?;
        }
        run %= size;
    }
    if run > 0 { each(ContentEntry::Zeros(run)) } else { Ok(()) }
}

/// A blob and where it lies on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// First byte on the disk.
    pub offset: u64,
    /// Length in bytes.
    pub len: u64,
    /// The blob.
    pub id: Id,
}

/// What of an image lies in blobs that long runs of zeros were cut into, so that nobody needs to read it.
pub fn known_zeros(placed: &[Placed]) -> Extents {
    let occurs = |len: &u64| placed.iter().any(|blob| blob.len == *len);
    let zeros = |len: u64| Some(Id::of(&vec![0; usize::try_from(len).ok()?]));
    let ids: Vec<Id> = ZERO_SIZES.into_iter().filter(occurs).filter_map(zeros).collect();
    let found = placed.iter().filter(|blob| ids.contains(&blob.id));
    Extents::from(found.map(|blob| (blob.offset, blob.len)).collect::<Vec<_>>())
}

/// Where each blob of a content list lies, checked against the file's `size`.
pub fn place(
    repo: &IndexedRepository,
    content: &[Id],
    size: u64,
) -> Result<Vec<Placed>, ImageError> {
    let mut placed = Vec::with_capacity(content.len());
    let mut offset = 0u64;
    for id in content {
        let location = repo.blob(id).ok_or(ImageError::MissingBlob(*id))?;
        let len = u64::from(location.plain_len());
        placed.push(Placed { offset, len, id: *id });
        offset += len;
    }
    if offset != size {
        return Err(ImageError::WrongSize { stored: offset, expected: size });
    }
    Ok(placed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn listed(slots: &[ChunkSlot]) -> Vec<ContentEntry> {
        let mut list = Vec::new();
        let never: Result<(), std::convert::Infallible> = entries(slots, |entry| {
            list.push(entry);
            Ok(())
        });
        never.unwrap();
        list
    }

    #[test]
    fn only_blobs_of_zeros_are_known_to_be_zero() {
        let zeros = Id::of(&vec![0; 1 << 20]);
        let blob = |offset: u64, len: u64, id: Id| Placed { offset: offset * MIB, len, id };
        let placed = [blob(0, MIB, Id::of(b"x")), blob(1, MIB, zeros), blob(2, MIB, zeros)];
        assert_eq!(known_zeros(&placed), Extents::of(MIB, 3 * MIB));
        assert_eq!(known_zeros(&placed[..1]), Extents::new());
    }

    fn total(entries: &[ContentEntry], chunk: u64) -> u64 {
        entries.iter().map(|e| if let ContentEntry::Zeros(len) = e { *len } else { chunk }).sum()
    }

    #[test]
    fn long_runs_use_few_blobs_and_one_sparse_mark() {
        let id = Id::of(b"x");
        let slots = [
            ChunkSlot { len: 40 * MIB, blob: None },
            ChunkSlot { len: MIB, blob: Some(id) },
            ChunkSlot { len: MIB, blob: None },
        ];
        let entries = listed(&slots);
        assert_eq!(entries[0], ContentEntry::Zeros(SPARSE_MARK));
        assert_eq!(entries.iter().filter(|e| **e == ContentEntry::Zeros(SPARSE_MARK)).count(), 2);
        assert_eq!(entries.last(), Some(&ContentEntry::Zeros(MIB)));
        assert_eq!(total(&entries, MIB), 42 * MIB);
    }

    proptest! {
        #[test]
        fn no_byte_is_gained_or_lost(runs in prop::collection::vec((1u64..100_000_000, any::<bool>()), 0..20)) {
            let id = Id::of(b"x");
            let slots: Vec<ChunkSlot> = runs.iter().map(|(len, zero)| {
                ChunkSlot { len: if *zero { *len } else { 1000 }, blob: (!zero).then_some(id) }
            }).collect();
            let expected: u64 = slots.iter().map(|slot| slot.len).sum();
            prop_assert_eq!(total(&listed(&slots), 1000), expected);
        }
    }
}
