//! Freeing the space that no image uses.
//!
//! At every moment each blob that an image needs is in a complete pack that a complete index
//! file names, so stopping anywhere, by a power cut too, costs no image anything:
//!
//! 1. Nothing is touched unless every image can be walked and all it needs is there.
//! 2. Packs that nothing is needed of go first, for the others may need their space: index files
//!    without them are written, the old index files removed, then the packs.
//! 3. Packs that are partly needed are emptied, a batch at a time: proven copies of the needed
//!    blobs are written into new packs, these are read back, index files with the new packs and
//!    without the old ones are written, the old index files removed, then the old packs.
//!
//! What an interrupted run leaves behind is packs that no index names, and blobs that are there
//! twice; the next run removes both. Of a blob with several copies only one stays, and that one
//! is read and proven before the others go.

mod keep;
mod plan;
mod repack;
mod used;
mod within;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde::Serialize;

use super::Repository;
use super::error::{RepositoryError, Result};
use super::format::Id;
use super::format::index::Index;
use super::lock::ExclusiveLock;
use super::read::BlobReader;
use crate::progress::{Control, Phase, Reporter};
use crate::store::StoreError;

pub use keep::{Choice, KeepRules, KeptAs};
use plan::{PackPlan, Plan};
pub(super) use repack::Mover;
use used::{EntrySet, Search};
pub use within::Within;

/// Bytes of needed blobs that are moved before the packs they come from are removed.
const BATCH_LEN: u64 = 512 << 20;

/// How to prune.
#[derive(Clone, Debug)]
pub struct PruneOptions {
    /// Share of bytes that may stay in partly used packs although nothing needs them, in percent
    /// of the needed ones; less costs more copying. restic's default is 5.
    pub max_unused: u8,
    /// Only calculate.
    pub dry_run: bool,
    /// Snapshots to be treated as if they were gone; for a dry run.
    pub without: HashSet<Id>,
}

impl Default for PruneOptions {
    fn default() -> Self {
        Self { max_unused: 5, dry_run: false, without: HashSet::new() }
    }
}

/// What pruning did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PruneReport {
    /// Whether all this was only calculated.
    pub dry_run: bool,
    /// Images whose needs were looked up.
    pub images: u64,
    /// Packs removed because nothing is needed of them.
    pub removed_packs: u64,
    /// Packs removed after what is needed of them was moved.
    pub repacked_packs: u64,
    /// Bytes of needed blobs that were moved.
    pub moved: u64,
    /// Bytes the packs take less than before.
    pub freed: u64,
    /// Bytes that nothing needs and that stay in packs for the sake of the others.
    pub unused_left: u64,
    /// Bytes in packs afterwards.
    pub remaining: u64,
    /// What lessens the result.
    pub warnings: Vec<String>,
}

/// What is known before anything is changed.
struct Examined {
    index: Arc<Index>,
    plan: Plan,
    /// Packs that no index names, with their sizes.
    orphans: Vec<(Id, u64)>,
    images: u64,
    /// Bytes of all packs.
    total: u64,
}

/// Pruning at work.
struct Pruner<'p> {
    repo: &'p Repository,
    lock: &'p ExclusiveLock,
    reporter: Reporter<'p>,
    report: PruneReport,
}

impl Repository {
    /// Removes what no image needs. An index in memory does not hear of it.
    ///
    /// # Errors
    /// [`RepositoryError::Unprunable`], before anything is touched, when it cannot be told what
    /// an image needs; a full place only costs part of the result.
    pub fn prune(
        &self,
        lock: &ExclusiveLock,
        options: &PruneOptions,
        control: Control<'_>,
    ) -> Result<PruneReport> {
        self.require_writable()?;
        control.phase(Phase::Examining);
        let Examined { index, plan, orphans, images, total } = self.examine(options, control)?;
        let (removed, moved) = (plan.bytes_removed(&orphans), plan.bytes_moved());
        let reporter = Reporter::start(control, Phase::Pruning, removed + moved, 0);
        reporter.check_cancel()?;
        let mut pruner = Pruner { repo: self, lock, reporter, report: PruneReport::default() };
        let report = &mut pruner.report;
        (report.images, report.unused_left) = (images, plan.unused_left);
        report.dry_run = options.dry_run;
        if options.dry_run {
            report.removed_packs = (plan.unused.len() + orphans.len()) as u64;
            report.repacked_packs = plan.repack.len() as u64;
            report.moved = moved;
            report.freed = removed + plan.bytes_repacked().saturating_sub(moved);
        } else {
            pruner.remove_unused(&plan, &orphans)?;
            pruner.repack(&index, &plan.repack)?;
        }
        pruner.reporter.finish();
        pruner.report.remaining = total.saturating_sub(pruner.report.freed);
        Ok(pruner.report)
    }

    /// Finds out what is needed and what is to be done.
    fn examine(&self, options: &PruneOptions, control: Control<'_>) -> Result<Examined> {
        let unprunable = |error: &RepositoryError| {
            Err(RepositoryError::Unprunable { problem: error.to_string() })
        };
        let repo = self.load_index()?;
        if let Some((_, error)) = repo.damaged_index_files().first() {
            return unprunable(error);
        }
        let mut snapshots = self.snapshots()?;
        if options.dry_run {
            snapshots.snapshots.retain(|image| !options.without.contains(&image.id));
            snapshots.damaged.retain(|(id, _)| !options.without.contains(id));
        }
        if let Some((_, error)) = snapshots.damaged.first() {
            return unprunable(error);
        }
        let sizes = self.packs_with_sizes()?;
        let sizes: HashMap<Id, u64> = sizes.into_iter().map(|(id, file)| (id, file.size)).collect();
        let index = repo.index();
        let lost = lost_entries(&index, &sizes);
        let used = EntrySet::new(index.len());
        let mut search = Search { repo: &repo, index: &index, lost: &lost, used };
        for image in &snapshots.snapshots {
            search.mark_image(image)?;
            control.check_cancel()?;
        }
        let mut kept = search.used;
        self.settle_copies(&index, &lost, &mut kept)?;
        let plan = Plan::new(&index, &kept, &sizes, options.max_unused);
        let orphans = sizes.iter().filter(|(id, _)| !index.contains_pack(id));
        let orphans = orphans.map(|(id, size)| (*id, *size)).collect();
        let (images, total) = (snapshots.snapshots.len() as u64, sizes.values().sum());
        Ok(Examined { index, plan, orphans, images, total })
    }

    /// Leaves one mark where several copies of a blob are marked: the first, of those in the
    /// packs with the least waste, that proves to be good. Where none is, all stay.
    fn settle_copies(&self, index: &Index, lost: &EntrySet, kept: &mut EntrySet) -> Result<()> {
        let waste = waste_of_packs(index, kept);
        let mut reader = BlobReader::new()?;
        for mut copies in index.copied_blobs() {
            copies.retain(|&entry| kept.contains(entry) && !lost.contains(entry));
            copies.sort_by_key(|&entry| {
                let (pack, _) = index.disk_order(entry);
                (waste.get(pack as usize).copied().unwrap_or(0), pack)
            });
            let is_good = |entry: &u32| {
                let Some((id, at)) = index.location(*entry) else { return false };
                self.prove_blob(&id, &at, &mut reader, |_| {}).is_ok()
            };
            if copies.len() > 1
                && let Some(good) = copies.iter().position(is_good)
            {
                let keeper = copies.swap_remove(good);
                copies.iter().for_each(|&entry| kept.remove(entry));
                kept.insert(keeper);
            }
        }
        Ok(())
    }
}

impl Plan {
    fn bytes_removed(&self, orphans: &[(Id, u64)]) -> u64 {
        let unused = self.unused.iter().map(|pack| pack.size);
        unused.chain(orphans.iter().map(|(_, size)| *size)).sum()
    }

    fn bytes_moved(&self) -> u64 {
        self.repack.iter().map(|pack| pack.used).sum()
    }

    fn bytes_repacked(&self) -> u64 {
        self.repack.iter().map(|pack| pack.size).sum()
    }
}

impl Pruner<'_> {
    /// Removes the packs nobody needs anything of, and forgets those that are not there.
    fn remove_unused(&mut self, plan: &Plan, orphans: &[(Id, u64)]) -> Result<()> {
        let named = plan.unused.iter().map(|pack| pack.id).chain(plan.lost.iter().copied());
        let named: HashSet<Id> = named.collect();
        if !named.is_empty() {
            self.repo.replace_in_index(self.lock, &named, Vec::new())?;
        }
        let unused = plan.unused.iter().map(|pack| (pack.id, pack.size));
        let sizes: HashMap<Id, u64> = unused.chain(orphans.iter().copied()).collect();
        self.repo.remove_packs(self.lock, sizes.keys(), |id| {
            let bytes = sizes.get(id).copied().unwrap_or(0);
            self.report.removed_packs += 1;
            self.report.freed += bytes;
            Ok(self.reporter.advance(bytes, 0, 0)?)
        })
    }

    /// Empties and removes packs, a batch at a time. When the place is full, the rest stays.
    fn repack(&mut self, index: &Index, packs: &[PackPlan]) -> Result<()> {
        let mut mover = Mover::new(self.repo, index)?;
        let mut rest = packs;
        while !rest.is_empty() {
            let mut len = 0;
            let fits = |pack: &&PackPlan| {
                len += pack.used;
                len <= BATCH_LEN
            };
            let count = rest.iter().take_while(fits).count().max(1);
            let (batch, others) = rest.split_at(count);
            match self.repack_batch(&mut mover, batch) {
                Err(RepositoryError::Store(StoreError::Full { .. })) => {
                    mover.undo();
                    return self.stop_full(rest);
                }
                Err(error) => {
                    mover.undo();
                    return Err(error);
                }
                Ok(()) => rest = others,
            }
        }
        Ok(())
    }

    fn repack_batch(&mut self, mover: &mut Mover<'_>, batch: &[PackPlan]) -> Result<()> {
        let done = repack::move_blobs(mover, batch, &self.reporter)?;
        for text in done.stay {
            self.report.warnings.push(text);
        }
        self.repo.replace_in_index(self.lock, &done.emptied, done.moved.packs)?;
        self.repo.remove_packs(self.lock, &done.emptied, |_| Ok(()))?;
        for pack in batch.iter().filter(|pack| done.emptied.contains(&pack.id)) {
            self.report.repacked_packs += 1;
            self.report.moved += pack.used;
            self.report.freed += pack.size;
        }
        self.report.freed = self.report.freed.saturating_sub(done.moved.bytes);
        Ok(())
    }

    fn stop_full(&mut self, rest: &[PackPlan]) -> Result<()> {
        let left: u64 = rest.iter().map(|pack| pack.size.saturating_sub(pack.used)).sum();
        let text = format!(
            "{} is too full to move what is needed out of {} partly used packs: {left} bytes \
             more can be freed once there is room for {BATCH_LEN}",
            self.repo.location(),
            rest.len()
        );
        self.report.unused_left += left;
        self.reporter.warn(text.clone());
        self.report.warnings.push(text);
        Ok(self.reporter.check_cancel()?)
    }
}

/// The entries in packs that are not there.
fn lost_entries(index: &Index, sizes: &HashMap<Id, u64>) -> EntrySet {
    let mut lost = EntrySet::new(index.len());
    let order = index.in_disk_order();
    for (id, entries) in index.by_pack(&order) {
        if !sizes.contains_key(&id) {
            entries.iter().for_each(|&entry| {
                lost.insert(entry);
            });
        }
    }
    lost
}

/// Bytes in each pack that nothing needs.
fn waste_of_packs(index: &Index, used: &EntrySet) -> Vec<u64> {
    let mut waste = Vec::new();
    for entry in index.entries() {
        let (pack, _) = index.disk_order(entry);
        let pack = pack as usize;
        if waste.len() <= pack {
            waste.resize(pack + 1, 0);
        }
        if let Some((_, at)) = index.location(entry).filter(|_| !used.contains(entry))
            && let Some(bytes) = waste.get_mut(pack)
        {
            *bytes += u64::from(at.length);
        }
    }
    waste
}
