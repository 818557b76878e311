//! Making a damaged repository whole again, as far as what is left allows.
//!
//! The index follows from the packs, for each pack lists its blobs: [`Repository::rebuild_index`].
//! Blobs that are lost do not come back by themselves, but a blob is known by its contents: once
//! the damaged copy is out of the way ([`Repository::repair_packs`]), the next capture that
//! meets the same contents stores it again, for all images that need it.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};

use serde::Serialize;

use crate::progress::{Control, Phase, Reporter};
use crate::repository::error::{RepositoryError, Result};
use crate::repository::format::index::{EntryNumber, Index, IndexedPack};
use crate::repository::format::{Id, pack};
use crate::repository::lock::{ExclusiveLock, Lock};
use crate::repository::prune::Mover;
use crate::repository::write::index_files::IndexFiles;
use crate::repository::{IndexedRepository, Repository};
use crate::store::{FileEntry, FileKind};

/// What [`Repository::rebuild_index`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RebuiltIndex {
    /// Packs in the new index.
    pub packs: u64,
    /// Blobs in them.
    pub blobs: u64,
    /// Packs that no readable index file named before.
    pub added: u64,
    /// Packs that were named but are not there.
    pub dropped: u64,
    /// Packs that are damaged, and how; `lifeboat repair packs` saves what can be read of them.
    pub damaged: Vec<String>,
}

/// What [`Repository::repair_packs`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RepairedPacks {
    /// Packs read.
    pub packs: u64,
    /// Packs that were damaged or missing, and are out of the index now.
    pub damaged: u64,
    /// Blobs of them that were good and are in new packs.
    pub saved: u64,
    /// Blobs of them of which no good copy is left.
    pub lost: u64,
    /// Images that lack something now. Capturing their disks again brings back what of it is still
    /// there.
    pub incomplete: Vec<String>,
}

impl Repository {
    /// Writes all index files anew: from the old ones where they are readable and fit the packs, from
    /// the packs' own lists otherwise. The progress told is that of the packs that are read.
    pub fn rebuild_index(
        &self,
        lock: &ExclusiveLock,
        control: Control<'_>,
    ) -> Result<RebuiltIndex> {
        self.require_writable()?;
        let old = self.ids(FileKind::Index)?;
        let index = self.load_index()?.index();
        let order = index.in_disk_order();
        let known: HashMap<Id, &[EntryNumber]> = index.by_pack(&order).into_iter().collect();
        let mut files = IndexFiles::new(self);
        let mut report = RebuiltIndex::default();
        let sizes = self.packs_with_sizes()?;
        let reporter = reading(&sizes, control);
        report.dropped = (known.len() - count_known(&sizes, &known)) as u64;
        for (id, file) in sizes {
            let entries = known.get(&id).copied();
            let fits = entries.filter(|entries| index.size_of_pack(entries) == Some(file.size));
            let listed = match fits {
                Some(entries) => Some(listed_in(&index, id, entries)),
                None => {
                    report.added += u64::from(entries.is_none());
                    // What a damaged pack's list says may still be read.
                    let old = entries.map(|entries| listed_in(&index, id, entries));
                    self.list_pack(&id, file.size, &reporter, &mut report)?.or(old)
                }
            };
            if let Some(pack) = listed {
                report.packs += 1;
                report.blobs += pack.blobs.len() as u64;
                files.add(pack)?;
            }
        }
        files.finish()?;
        lock.confirm()?;
        self.remove_all(lock, FileKind::Index, &old)?;
        reporter.finish();
        Ok(report)
    }

    /// What a pack says is in it; nothing when that cannot be read. The whole pack is read to see
    /// whether it is damaged.
    fn list_pack(
        &self,
        id: &Id,
        size: u64,
        reporter: &Reporter<'_>,
        report: &mut RebuiltIndex,
    ) -> Result<Option<IndexedPack>> {
        let header = pack::read_header(&*self.store, &self.key, id, size);
        let proven = self.prove_pack(id, &|bytes| reporter.advance(bytes, 0, 0)).map(drop);
        let mut damage = |error: RepositoryError| {
            let harmless = error.is_damage();
            report.damaged.extend(harmless.then(|| error.to_string()));
            if harmless { Ok(()) } else { Err(error) }
        };
        match header {
            Ok(entries) => {
                proven.or_else(damage)?;
                let blobs = entries.iter().map(Into::into).collect();
                Ok(Some(IndexedPack { id: *id, blobs }))
            }
            Err(error) => damage(error).map(|()| None),
        }
    }

    /// Reads all packs of the index, moves the good blobs of damaged ones into new packs, and
    /// removes the damaged ones, so that nothing relies on them any more. Packs that are not there are
    /// taken out of the index.
    pub fn repair_packs(
        &self,
        lock: &ExclusiveLock,
        control: Control<'_>,
    ) -> Result<RepairedPacks> {
        self.require_writable()?;
        let reporter = reading(&self.packs_with_sizes()?, control);
        let repo = self.load_index()?;
        if let Some((_, error)) = repo.damaged_index_files().first() {
            return Err(RepositoryError::Unprunable { problem: error.to_string() });
        }
        let index = repo.index();
        let order = index.in_disk_order();
        let mut mover = Mover::new(self, &index)?;
        let (mut report, mut gone) = (RepairedPacks::default(), HashSet::new());
        let (mut saved, mut bad) = (HashSet::new(), HashSet::new());
        for (id, entries) in index.by_pack(&order) {
            report.packs += 1;
            match self.prove_indexed(&index, &id, entries, &reporter) {
                Err(error) if error.is_damage() => {}
                proven => {
                    proven?;
                    continue;
                }
            }
            gone.insert(id);
            for (blob, at) in entries.iter().filter_map(|&entry| index.location(entry)) {
                match mover.copy(&blob, &at).inspect_err(|_| mover.undo())? {
                    Ok(()) => saved.insert((at.kind, blob)),
                    Err(_) => bad.insert((at.kind, blob)),
                };
            }
        }
        let moved = mover.finish().inspect_err(|_| mover.undo())?;
        if !gone.is_empty() {
            self.replace_in_index(lock, &gone, moved.packs)?;
            self.remove_packs(lock, &gone, |_| Ok(()))?;
        }
        let index = self.load_index()?.index();
        report.damaged = gone.len() as u64;
        report.saved = saved.len() as u64;
        report.lost = bad.iter().filter(|(kind, id)| !index.contains(*kind, id)).count() as u64;
        reporter.finish();
        let check = self.check(false, 1, Control::silent())?;
        report.incomplete = check.incomplete.iter().map(Id::to_string).collect();
        Ok(report)
    }

    fn prove_indexed(
        &self,
        index: &Index,
        id: &Id,
        entries: &[EntryNumber],
        reporter: &Reporter<'_>,
    ) -> Result<()> {
        let size = self.prove_pack(id, &|bytes| reporter.advance(bytes, 0, 0))?;
        match index.size_of_pack(entries) {
            Some(expected) if expected == size => Ok(()),
            _ => Err(RepositoryError::damaged(FileKind::Pack, id, "the index does not fit it")),
        }
    }
}

impl IndexedRepository {
    /// Takes packs that are not among those `there`, or do not have the length that follows from the
    /// index, out of the index in memory, so that what is in them is stored again. Returns how many.
    pub fn distrust_bad_packs(&self, there: &[(Id, FileEntry)]) -> u64 {
        let index = self.index();
        let sizes = sizes_of(there);
        let order = index.in_disk_order();
        let is_bad = |(id, entries): &(Id, &[EntryNumber])| {
            sizes.get(id).copied() != index.size_of_pack(entries)
        };
        let bad: HashSet<Id> =
            index.by_pack(&order).into_iter().filter(is_bad).map(|(id, _)| id).collect();
        if !bad.is_empty() {
            self.set_index(Index::clone(&index).without(&bad));
        }
        bad.len() as u64
    }
}

/// What [`IndexedRepository::drop_bad_packs`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// No index file names a pack any more that is not there whole, but for so many that are cut
    /// short and hold blobs that are nowhere else.
    AllBut(u64),
    /// Nothing, for others were at work.
    InUse,
}

impl IndexedRepository {
    /// Writes index files without the packs that were distrusted
    /// ([`Self::distrust_bad_packs`]) and still are not there whole, so that everybody else finds
    /// the copies that were stored since. What only a pack that is cut short holds stays named, for
    /// [`Repository::repair_packs`] may save it.
    ///
    /// A pack that is missing is taken for lost. Should it come back, it is one that no index
    /// names, which [`Self::adopt_packs`] and [`Repository::rebuild_index`] find.
    pub fn drop_bad_packs(&self, lock: &Lock) -> Result<Dropped> {
        let exclusive = match self.lock_exclusive_beside(lock) {
            Err(RepositoryError::Locked { .. }) => return Ok(Dropped::InUse),
            lock => lock?,
        };
        let (index, sizes) = (self.index(), sizes_of(&self.packs_with_sizes()?));
        let left = Cell::new(0);
        let change = |pack: IndexedPack| {
            let size = sizes.get(&pack.id).copied();
            if index.contains_pack(&pack.id) || size.is_some() && size == pack.file_size() {
                return Some(pack);
            }
            size?;
            let rest = pack.without(|kind, blob| index.contains(kind, blob));
            left.set(left.get() + u64::from(rest.is_some()));
            rest
        };
        self.rewrite_index(&exclusive, &change, Vec::new())?;
        Ok(Dropped::AllBut(left.get()))
    }
}

/// Counts the bytes of packs that are read.
fn reading<'c>(packs: &[(Id, FileEntry)], control: Control<'c>) -> Reporter<'c> {
    let total = packs.iter().map(|(_, file)| file.size).sum();
    Reporter::start(control, Phase::Verifying, total, 0)
}

fn sizes_of(packs: &[(Id, FileEntry)]) -> HashMap<Id, u64> {
    packs.iter().map(|(id, file)| (*id, file.size)).collect()
}

fn count_known(sizes: &[(Id, FileEntry)], known: &HashMap<Id, &[EntryNumber]>) -> usize {
    sizes.iter().filter(|(id, _)| known.contains_key(id)).count()
}

fn listed_in(index: &Index, id: Id, entries: &[EntryNumber]) -> IndexedPack {
    let located = entries.iter().filter_map(|&entry| index.location(entry));
    let blobs = located.map(|(blob, at)| (&at.pack_entry(blob)).into()).collect();
    IndexedPack { id, blobs }
}
