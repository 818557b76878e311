//! Reading blobs: one by one, or as runs of neighbours in the order they lie in the packs.

use std::sync::Arc;

use zstd::bulk::Decompressor;

use crate::bytes::{AlignedBuffer, PAGE};
use crate::repository::error::{RepositoryError, Result, WRONG_SUM};
use crate::repository::format::index::{EntryNumber, Index};
use crate::repository::format::{BlobLocation, BlobType, Id, compression, crypto};
use crate::repository::{IndexedRepository, Repository};
use crate::store::FileKind;

/// The largest blobs accepted, sealed or plain, in bytes: a directory that lists 7 million
/// chunks, and eight times the largest data blob that any known program writes.
const TREE_LIMIT: u32 = 512 << 20;
const DATA_LIMIT: u32 = 128 << 20;

/// Above this many bytes the pack's size is looked at before a buffer is made.
const TRUSTED_LEN: u32 = 32 << 20;

/// One thread's buffers for reading blobs; reused from blob to blob.
pub struct BlobReader {
    sealed: Vec<u8>,
    plain: AlignedBuffer,
    zstd: Decompressor<'static>,
}

impl BlobReader {
    /// Empty buffers; they grow to the largest blob read.
    pub fn new() -> Result<Self> {
        let zstd = compression::decompressor()?;
        Ok(Self { sealed: Vec::new(), plain: AlignedBuffer::default(), zstd })
    }
}

/// Which blobs to read, in the order they lie in the packs; each once.
pub struct ReadPlan {
    index: Arc<Index>,
    order: Vec<EntryNumber>,
}

/// Neighbouring blobs of one pack, to be fetched by a single read.
#[derive(Debug)]
pub struct PackRun {
    /// The pack file.
    pub pack: Id,
    /// First byte in the pack.
    pub offset: u64,
    /// Bytes to read.
    pub len: usize,
    /// The blobs wanted, in ascending order of offset.
    pub blobs: Vec<(Id, BlobLocation)>,
}

impl PackRun {
    /// Bytes before the run that are read along, so that reading starts at a page of the file.
    fn lead(&self) -> u64 {
        self.offset % PAGE as u64
    }

    /// The sealed bytes of one of the run's blobs in the buffer the run was read into.
    pub fn sealed<'b>(&self, buf: &'b mut [u8], location: &BlobLocation) -> Option<&'b mut [u8]> {
        let from = self.offset - self.lead();
        let start = usize::try_from(u64::from(location.offset).checked_sub(from)?).ok()?;
        buf.get_mut(start..start.checked_add(usize::try_from(location.length).ok()?)?)
    }
}

impl ReadPlan {
    /// Number of blobs.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there is nothing to read.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The blobs with their places.
    pub fn blobs(&self) -> impl Iterator<Item = (Id, BlobLocation)> + '_ {
        self.order.iter().filter_map(|&number| self.index.location(number))
    }

    /// Bytes of all plain texts.
    pub fn plain_bytes(&self) -> u64 {
        self.blobs().map(|(_, at)| u64::from(at.plain_len())).sum()
    }

    /// The blobs gathered to runs of at most `max_len` bytes (a larger blob is a run of its
    /// own); gaps of up to `max_gap` bytes between wanted blobs are read along.
    pub fn runs(&self, max_len: u64, max_gap: u64) -> impl Iterator<Item = PackRun> + '_ {
        let mut blobs = self.blobs().peekable();
        std::iter::from_fn(move || {
            let (id, first) = blobs.next()?;
            let offset = u64::from(first.offset);
            let mut end = first.end();
            let mut run = vec![(id, first)];
            while let Some(next) = blobs.next_if(|(_, next)| {
                next.pack == first.pack
                    && next.end() - offset <= max_len
                    && u64::from(next.offset) <= end.saturating_add(max_gap)
            }) {
                end = end.max(next.1.end());
                run.push(next);
            }
            let len = usize::try_from(end - offset).ok()?;
            Some(PackRun { pack: first.pack, offset, len, blobs: run })
        })
    }
}

/// Where an opened blob's plain text is.
enum PlainText {
    /// In [`BlobReader::plain`].
    Unpacked,
    /// In the middle of the sealed bytes, decrypted in place.
    InPlace,
}

impl IndexedRepository {
    /// Where a blob lies; one copy if there are several.
    pub fn blob(&self, id: &Id) -> Option<BlobLocation> {
        let index = self.index();
        let number = index.copies(id).next()?;
        index.location(number).map(|(_, location)| location)
    }

    /// Reads a blob: decrypted, decompressed, and proven to have the sum that is its name. When
    /// one copy is damaged and there are others, they are tried.
    pub fn read_blob<'b>(&self, id: &Id, reader: &'b mut BlobReader) -> Result<&'b [u8]> {
        Ok(match self.read_any_copy(id, reader)? {
            PlainText::Unpacked => &reader.plain,
            PlainText::InPlace => in_place(&reader.sealed),
        })
    }

    /// [`Self::read_blob`] for who keeps the bytes: what was decompressed is not copied.
    pub fn read_blob_to_keep(&self, id: &Id, reader: &mut BlobReader) -> Result<AlignedBuffer> {
        if let PlainText::InPlace = self.read_any_copy(id, reader)? {
            let bytes = in_place(&reader.sealed);
            reader.plain.set_len(bytes.len());
            reader.plain.copy_from_slice(bytes);
        }
        Ok(std::mem::take(&mut reader.plain))
    }

    fn read_any_copy(&self, id: &Id, reader: &mut BlobReader) -> Result<PlainText> {
        let index = self.index();
        let mut result = Err(RepositoryError::MissingBlob { blob: *id });
        for (_, location) in index.copies(id).filter_map(|number| index.location(number)) {
            let mut sealed = std::mem::take(&mut reader.sealed);
            result = self
                .read_sealed(id, &location, &mut sealed)
                .and_then(|()| self.decode(id, &location, &mut sealed, reader));
            reader.sealed = sealed;
            if result.is_ok() {
                break;
            }
        }
        result
    }

    /// The blobs wanted, put in the order they lie in the packs. An unknown blob is
    /// [`RepositoryError::MissingBlob`].
    pub fn plan_reads<'i>(&self, ids: impl IntoIterator<Item = &'i Id>) -> Result<ReadPlan> {
        let index = self.index();
        let number = |id: &Id| index.copies(id).next();
        let order = ids
            .into_iter()
            .map(|id| number(id).ok_or(RepositoryError::MissingBlob { blob: *id }))
            .collect::<Result<Vec<_>>>();
        let mut order = order?;
        order.sort_unstable_by_key(|&number| (index.disk_order(number), number));
        order.dedup();
        Ok(ReadPlan { index, order })
    }
}

impl Repository {
    /// Reads a run's bytes into `buf`, which grows to fit.
    pub fn read_run(&self, run: &PackRun, buf: &mut AlignedBuffer) -> Result<()> {
        let (len, end) = (run.len as u64, run.offset.saturating_add(run.len as u64));
        let name = run.pack.to_string();
        if len > u64::from(TRUSTED_LEN) && self.store.size(FileKind::Pack, &name)? < end {
            let problem = "it ends before blobs that the index says are in it";
            return Err(RepositoryError::damaged(FileKind::Pack, run.pack, problem));
        }
        let lead = run.lead();
        buf.set_len(run.len + usize::try_from(lead).unwrap_or_default());
        self.read_pack_range(&run.pack, run.offset - lead, buf)
    }

    /// Fills `buf` from byte `offset` of a pack.
    pub fn read_pack_range(&self, pack: &Id, offset: u64, buf: &mut [u8]) -> Result<()> {
        self.store.read_range(FileKind::Pack, &pack.to_string(), offset, buf)?;
        Ok(())
    }

    /// Opens a blob whose sealed bytes the caller has read: decrypts (in place), decompresses
    /// and proves it as [`IndexedRepository::read_blob`] does.
    pub fn open_blob<'b>(
        &self,
        id: &Id,
        location: &BlobLocation,
        sealed: &'b mut [u8],
        reader: &'b mut BlobReader,
    ) -> Result<&'b [u8]> {
        Ok(match self.decode(id, location, sealed, reader)? {
            PlainText::Unpacked => &reader.plain,
            PlainText::InPlace => in_place(sealed),
        })
    }

    /// Reads and proves one copy of a blob; `sealed` is shown its bytes before they are opened.
    pub(in crate::repository) fn prove_blob(
        &self,
        id: &Id,
        location: &BlobLocation,
        reader: &mut BlobReader,
        sealed: impl FnOnce(&[u8]),
    ) -> Result<()> {
        let mut buf = std::mem::take(&mut reader.sealed);
        let read = self.read_sealed(id, location, &mut buf);
        let result = read.and_then(|()| {
            sealed(&buf);
            self.decode(id, location, &mut buf, reader).map(|_| ())
        });
        reader.sealed = buf;
        result
    }

    fn read_sealed(&self, id: &Id, at: &BlobLocation, sealed: &mut Vec<u8>) -> Result<()> {
        let limit = if at.kind == BlobType::Tree { TREE_LIMIT } else { DATA_LIMIT };
        let name = at.pack.to_string();
        let too_long = at.length.max(at.plain_len()) > limit
            || at.length > TRUSTED_LEN && self.store.size(FileKind::Pack, &name)? < at.end();
        let len = usize::try_from(at.length).ok().filter(|_| !too_long);
        let len = len.ok_or_else(|| damaged(id, at, "its length is impossible"))?;
        sealed.resize(len, 0);
        self.read_pack_range(&at.pack, u64::from(at.offset), sealed)
    }

    fn decode(
        &self,
        id: &Id,
        at: &BlobLocation,
        sealed: &mut [u8],
        reader: &mut BlobReader,
    ) -> Result<PlainText> {
        let body = self.key.open_in_place(sealed);
        let body = body.ok_or_else(|| damaged(id, at, "its bytes were altered"))?;
        let Some(len) = at.uncompressed else {
            return match Id::of(body) == *id {
                true => Ok(PlainText::InPlace),
                false => Err(damaged(id, at, WRONG_SUM)),
            };
        };
        let limit = if at.kind == BlobType::Tree { TREE_LIMIT } else { DATA_LIMIT };
        let len = usize::try_from(len).ok().filter(|_| len <= limit);
        let len = len.ok_or_else(|| damaged(id, at, "its length is impossible"))?;
        compression::unpack(&mut reader.zstd, body, len, &mut reader.plain)
            .map_err(|_| damaged(id, at, "it does not decompress to the length the index gives"))?;
        match Id::of(&reader.plain) == *id {
            true => Ok(PlainText::Unpacked),
            false => Err(damaged(id, at, WRONG_SUM)),
        }
    }
}

/// The plain text inside sealed bytes that were opened in place.
fn in_place(sealed: &[u8]) -> &[u8] {
    let end = sealed.len().saturating_sub(crypto::OVERHEAD - crypto::IV_LEN);
    sealed.get(crypto::IV_LEN..end).unwrap_or_default()
}

fn damaged(blob: &Id, location: &BlobLocation, problem: &'static str) -> RepositoryError {
    RepositoryError::DamagedBlob { blob: *blob, pack: location.pack, problem }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::format::index::IndexFile;
    use crate::repository::format::json_file;
    use crate::repository::write::PackWriter;
    use crate::store::{LocalStore, Store};

    /// A repository with one stored blob whose index file says this of it instead: offset,
    /// length, uncompressed length.
    fn with_forged_index(forged: [u32; 3]) -> (tempfile::TempDir, IndexedRepository, Id) {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(LocalStore::new(dir.path().join("images")));
        let repo = Repository::init(store.clone(), "a").unwrap().load_index().unwrap();
        let lock = repo.lock_shared().unwrap();
        let pack_writer = PackWriter::new(&repo, &lock).unwrap();
        let mut worker = pack_writer.blob_writer().unwrap();
        let id = worker.save(BlobType::Data, None, &[1; 5000], 1).unwrap().id;
        worker.finish().unwrap();
        pack_writer.finish().unwrap();
        let file = &store.list(FileKind::Index).unwrap()[0].name;
        let index = file.parse().unwrap();
        let json: serde_json::Value =
            json_file::load(&*store, &repo.key, FileKind::Index, &index).unwrap();
        store.remove(FileKind::Index, file).unwrap();
        let mut json = json;
        let blob = &mut json["packs"][0]["blobs"][0];
        for (field, value) in ["offset", "length", "uncompressed_length"].iter().zip(forged) {
            blob[*field] = value.into();
        }
        let forged: IndexFile = serde_json::from_value(json).unwrap();
        json_file::save(&*store, &repo.key, FileKind::Index, &forged).unwrap();
        (dir, repo.load_index().unwrap(), id)
    }

    #[test]
    fn impossible_places_are_refused_without_allocating() {
        let lengths = [
            [0, u32::MAX, 5000],
            [0, DATA_LIMIT, 5000],
            [u32::MAX, 100, 5000],
            [0, 31, 5000],
            [0, 0, 0],
        ];
        for forged in lengths {
            let (_dir, repo, id) = with_forged_index(forged);
            let mut reader = BlobReader::new().unwrap();
            assert!(repo.read_blob(&id, &mut reader).is_err(), "{forged:?}");
            assert!(reader.sealed.capacity() < 1 << 20 && reader.plain.capacity() < 1 << 20);
            let runs: Vec<PackRun> = repo.plan_reads([&id]).unwrap().runs(1 << 20, 0).collect();
            let mut buf = AlignedBuffer::default();
            assert!(runs.iter().all(|run| repo.read_run(run, &mut buf).is_err() || run.len < 200));
            assert!(buf.capacity() < 1 << 20, "{forged:?}");
        }
    }

    #[test]
    fn a_blob_with_another_length_than_the_index_gives_is_damaged() {
        let (_dir, repo, id) = with_forged_index([0, 1, 1]);
        let real = repo.store.list(FileKind::Pack).unwrap()[0].size;
        let header = 41 + 32 + 4;
        let length = u32::try_from(real - header).unwrap();
        for (uncompressed, good) in [(5000, true), (4999, false), (5001, false), (u32::MAX, false)]
        {
            let (_dir, repo, same) = with_forged_index([0, length, uncompressed]);
            assert_eq!(same, id);
            let mut reader = BlobReader::new().unwrap();
            assert_eq!(repo.read_blob(&id, &mut reader).is_ok(), good, "{uncompressed}");
            assert!(reader.plain.capacity() < 1 << 20);
        }
    }

    #[test]
    fn neighbours_are_read_together() {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(LocalStore::new(dir.path().join("images")));
        let repo = Repository::init(store, "a").unwrap().load_index().unwrap();
        let lock = repo.lock_shared().unwrap();
        let pack_writer = PackWriter::new(&repo, &lock).unwrap();
        let mut worker = pack_writer.blob_writer().unwrap();
        let plains: Vec<Vec<u8>> = (0..100u8).map(|n| vec![n; 3000]).collect();
        let ids: Vec<Id> = plains
            .iter()
            .map(|plain| worker.save(BlobType::Data, None, plain, 1).unwrap().id)
            .collect();
        worker.finish().unwrap();
        pack_writer.finish().unwrap();
        let wanted: Vec<&Id> = ids.iter().rev().chain(&ids).collect();
        let plan = repo.plan_reads(wanted.iter().copied()).unwrap();
        assert_eq!((plan.len(), plan.plain_bytes()), (100, 300_000));
        let runs: Vec<PackRun> = plan.runs(1000, 0).collect();
        assert!(runs.len() > 1 && runs.iter().all(|run| run.len <= 1000));
        let (mut buf, mut reader) = (AlignedBuffer::default(), BlobReader::new().unwrap());
        let mut seen = 0;
        for run in &runs {
            repo.read_run(run, &mut buf).unwrap();
            for (id, location) in &run.blobs {
                let sealed = run.sealed(&mut buf, location).unwrap();
                let plain = repo.open_blob(id, location, sealed, &mut reader).unwrap();
                let number = ids.iter().position(|other| other == id).unwrap();
                assert_eq!(plain, plains[number]);
                seen += 1;
            }
        }
        assert_eq!(seen, 100);
        assert_eq!(repo.plan_reads([&ids[0], &ids[9]]).unwrap().runs(1 << 20, 0).count(), 2);
        assert_eq!(repo.plan_reads([&ids[0], &ids[9]]).unwrap().runs(1 << 20, 4096).count(), 1);
    }
}
