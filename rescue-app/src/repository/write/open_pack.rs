//! A pack while it fills: one buffer into which blobs are compressed and sealed in place.

use crate::bytes::AlignedBuffer;
use crate::repository::error::{RepositoryError, Result};
use crate::repository::format::Id;
use crate::repository::format::compression::Packer;
use crate::repository::format::crypto::{IV_LEN, Key, OVERHEAD};
use crate::repository::format::hasher::IdHasher;
use crate::repository::format::pack::{self, BlobType, LENGTH_FIELD, PackEntry};

/// A pack is closed when it has this many bytes (restic's default `--pack-size`).
pub(in crate::repository) const TARGET_LEN: usize = 16 << 20;

/// Room beyond the target for the last blob and the header.
const SPARE_LEN: usize = (1 << 20) + (64 << 10);

/// A buffer that has grown beyond this for a huge blob is not kept for the next pack.
const KEPT_LEN: usize = 2 * TARGET_LEN;

/// Compression must save at least one part in this many, or the blob is stored as it is:
/// decompressing would cost every reader more than it saves.
const LEAST_GAIN: usize = 32;

const TOO_LONG: &str = "it does not fit into a pack";

/// The buffer of a pack, to be used again: so large that the header fits behind the last blob.
#[derive(Default)]
pub(in crate::repository) struct PackBuffer {
    bytes: AlignedBuffer,
    entries: Vec<PackEntry>,
}

impl PackBuffer {
    /// Whether it is worth keeping for another pack.
    pub(super) fn is_reusable(&self) -> bool {
        (TARGET_LEN..=KEPT_LEN).contains(&self.bytes.len())
    }
}

/// A pack that takes blobs.
pub(in crate::repository) struct OpenPack {
    buffer: PackBuffer,
    used: usize,
    /// Has taken the first `hashed` bytes.
    hasher: IdHasher,
    hashed: usize,
}

/// A pack with its header, of which the last bytes may not have been hashed.
pub(in crate::repository) struct ClosedPack(OpenPack);

/// A pack that is ready to be stored.
pub(in crate::repository) struct FullPack {
    pub(in crate::repository) id: Id,
    buffer: PackBuffer,
    used: usize,
}

impl OpenPack {
    /// An empty pack in a buffer that may have been used before.
    pub(in crate::repository) fn new(mut buffer: PackBuffer) -> Self {
        buffer.entries.clear();
        Self { buffer, used: 0, hasher: IdHasher::default(), hashed: 0 }
    }

    /// Whether nothing is in it.
    pub(in crate::repository) fn is_empty(&self) -> bool {
        self.buffer.entries.is_empty()
    }

    /// Whether it should be closed.
    pub(in crate::repository) fn is_full(&self) -> bool {
        self.used >= TARGET_LEN
    }

    /// What the pack's hasher has not taken yet; the caller lets it take all of it.
    pub(super) fn unhashed(&mut self) -> (&mut IdHasher, &[u8]) {
        let from = std::mem::replace(&mut self.hashed, self.used);
        (&mut self.hasher, &self.buffer.bytes[from..self.used])
    }

    /// Adds a blob; returns how many bytes it takes in the pack, or `None` when it does not fit
    /// and the pack should be closed first. An empty pack takes a blob of any length.
    pub(super) fn add(
        &mut self,
        blob: (BlobType, Id, &[u8]),
        level: i32,
        packer: &mut Packer,
        key: &Key,
    ) -> Result<Option<u32>> {
        let (kind, id, plain) = blob;
        let len32 = u32::try_from(plain.len()).ok().filter(|&len| len > 0);
        let plain_len = len32.ok_or_else(|| refused(id, "it must have 1 byte to 4 GiB"))?;
        if self.is_empty() {
            self.make_room(kind, plain.len());
        }
        let Some((len, uncompressed)) = self.place(plain, plain_len, level, packer) else {
            return Ok(None);
        };
        let end = self.used + len + OVERHEAD;
        let (Ok(offset), Ok(length)) = (u32::try_from(self.used), u32::try_from(len + OVERHEAD))
        else {
            return Err(refused(id, TOO_LONG));
        };
        let message = &mut self.buffer.bytes[self.used..end];
        key.seal_in_place(message)?;
        self.buffer.entries.push(PackEntry { id, kind, offset, length, uncompressed });
        self.used = end;
        Ok(Some(length))
    }

    /// Adds a blob that is sealed already; the entry's offset is set. Tells whether it fitted; an
    /// empty pack takes a blob of any length.
    pub(in crate::repository) fn add_sealed(
        &mut self,
        mut entry: PackEntry,
        sealed: &[u8],
    ) -> Result<bool> {
        if self.is_empty() {
            self.make_room(entry.kind, sealed.len());
        }
        let end = self.used + sealed.len();
        entry.offset = u32::try_from(self.used).map_err(|_| refused(entry.id, TOO_LONG))?;
        let Some(place) = self.buffer.bytes.get_mut(self.used..end) else {
            return Ok(false);
        };
        place.copy_from_slice(sealed);
        self.buffer.entries.push(entry);
        self.used = end;
        Ok(true)
    }

    /// Grows the buffer of an empty pack: data packs to their full length at once, tree packs,
    /// of which most hold a few kilobytes, to what the blob needs.
    fn make_room(&mut self, kind: BlobType, plain_len: usize) {
        let usual = if kind == BlobType::Data { TARGET_LEN } else { 0 };
        let len = usual.max(plain_len + OVERHEAD) + SPARE_LEN;
        if self.buffer.bytes.len() < len {
            self.buffer.bytes.set_len(len);
        }
    }

    /// Puts the blob's bytes where they are to be sealed: compressed if that gains enough.
    fn place(
        &mut self,
        plain: &[u8],
        plain_len: u32,
        level: i32,
        packer: &mut Packer,
    ) -> Option<(usize, Option<u32>)> {
        let room = self.buffer.bytes.get_mut(self.used + IV_LEN..)?;
        let room_len = room.len().checked_sub(OVERHEAD - IV_LEN)?;
        let worthwhile = plain.len() - plain.len() / LEAST_GAIN;
        let packed_room = &mut room[..room_len.min(worthwhile)];
        if let Some(len) = packer.pack(plain, packed_room, level) {
            return Some((len, Some(plain_len)));
        }
        room.get_mut(..room_len)?.get_mut(..plain.len())?.copy_from_slice(plain);
        Some((plain.len(), None))
    }

    /// Closes the pack: appends its header.
    pub(in crate::repository) fn close(mut self, key: &Key) -> Result<ClosedPack> {
        let mut header = Vec::new();
        pack::encode_header(&self.buffer.entries, &mut header);
        let sealed = key.seal(&header)?;
        let len = u32::try_from(sealed.len())
            .map_err(|_| RepositoryError::Internal("a pack header of more than 4 GiB"))?;
        let end = self.used + sealed.len() + LENGTH_FIELD;
        if self.buffer.bytes.len() < end {
            let mut larger = AlignedBuffer::default();
            larger.set_len(end);
            larger[..self.used].copy_from_slice(&self.buffer.bytes[..self.used]);
            self.buffer.bytes = larger;
        }
        let bytes = &mut self.buffer.bytes;
        bytes[self.used..end - LENGTH_FIELD].copy_from_slice(&sealed);
        bytes[end - LENGTH_FIELD..end].copy_from_slice(&len.to_le_bytes());
        self.used = end;
        Ok(ClosedPack(self))
    }
}

impl ClosedPack {
    /// As [`OpenPack::unhashed`].
    pub(super) fn unhashed(&mut self) -> (&mut IdHasher, &[u8]) {
        self.0.unhashed()
    }

    /// Names the pack, hashing what is left to hash.
    pub(in crate::repository) fn name(mut self) -> FullPack {
        let (hasher, rest) = self.0.unhashed();
        hasher.update(rest);
        FullPack { id: hasher.finish(), buffer: self.0.buffer, used: self.0.used }
    }
}

impl FullPack {
    /// The file's bytes.
    pub(in crate::repository) fn bytes(&self) -> &[u8] {
        &self.buffer.bytes[..self.used]
    }

    /// Its blobs.
    pub(in crate::repository) fn entries(&self) -> &[PackEntry] {
        &self.buffer.entries
    }

    /// The buffer, to be used again.
    pub(super) fn into_buffer(self) -> PackBuffer {
        self.buffer
    }
}

fn refused(id: Id, problem: &'static str) -> RepositoryError {
    RepositoryError::Refused { what: format!("blob {id:?}"), problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_stored_as_it_is_and_text_is_compressed() {
        let (key, mut packer) = (Key::random().unwrap(), Packer::new().unwrap());
        let mut noise = vec![0; 50_000];
        getrandom::fill(&mut noise).unwrap();
        let text = vec![7; 50_000];
        let mut pack = OpenPack::new(PackBuffer::default());
        for plain in [&noise, &text] {
            let blob = (BlobType::Data, Id::of(plain), &plain[..]);
            assert!(pack.add(blob, 1, &mut packer, &key).unwrap().is_some());
        }
        let full = pack.close(&key).unwrap().name();
        assert_eq!(full.id, Id::of(full.bytes()));
        let [raw, packed] = full.entries() else { panic!("two blobs") };
        assert_eq!((raw.length, raw.uncompressed), (50_032, None));
        assert_eq!((packed.offset, packed.uncompressed), (50_032, Some(50_000)));
        assert!(packed.length < 1000);
    }

    #[test]
    fn a_blob_that_does_not_fit_waits_for_the_next_pack() {
        let (key, mut packer) = (Key::random().unwrap(), Packer::new().unwrap());
        let mut noise = vec![0; 10 << 20];
        getrandom::fill(&mut noise).unwrap();
        let mut pack = OpenPack::new(PackBuffer::default());
        let blob = (BlobType::Data, Id::of(&noise), &noise[..]);
        assert!(pack.add(blob, 1, &mut packer, &key).unwrap().is_some());
        assert!(!pack.is_full());
        assert_eq!(pack.add(blob, 1, &mut packer, &key).unwrap(), None);
        let zeros = vec![0; 16 << 20];
        let blob = (BlobType::Data, Id::of(&zeros), &zeros[..]);
        assert!(pack.add(blob, 1, &mut packer, &key).unwrap().is_some());
        assert!(pack.close(&key).unwrap().name().into_buffer().is_reusable());
    }
}
