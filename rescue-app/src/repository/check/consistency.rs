//! Checking a whole repository: that every file is what it should be and that every image has
//! all it needs. Finds what `restic check` finds, and also files whose chunks do not add up to
//! their size, which restic does not look at.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use crate::progress::{self, Control, Phase, Reporter};
use crate::repository::error::{RepositoryError, Result, WRONG_SUM};
use crate::repository::format::hasher::IdHasher;
use crate::repository::format::index::{EntryNumber, Index};
use crate::repository::format::pack;
use crate::repository::format::{BlobLocation, BlobType, Id, Node, NodeType};
use crate::repository::read::BlobReader;
use crate::repository::repo::SMALL_FILE_LIMIT;
use crate::repository::{IndexedRepository, Repository};
use crate::store::FileKind;

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Whether data is lost or may be; otherwise it does no harm.
    pub is_damage: bool,
    /// What it is.
    pub text: String,
}

/// What [`Repository::check`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    /// Snapshots looked at.
    pub snapshots: u64,
    /// Packs there are.
    pub packs: u64,
    /// Blobs in the index, copies counted.
    pub blobs: u64,
    /// Pack bytes that were read and proven.
    pub bytes_read: u64,
    /// All that is wrong.
    pub findings: Vec<Finding>,
    /// Snapshots that cannot be restored whole.
    pub incomplete: Vec<Id>,
}

impl CheckReport {
    /// Whether nothing is damaged.
    pub fn is_sound(&self) -> bool {
        self.incomplete.is_empty() && !self.findings.iter().any(|finding| finding.is_damage)
    }
}

/// A check at work.
struct Checker<'c> {
    repo: &'c IndexedRepository,
    index: Arc<Index>,
    control: Control<'c>,
    reporter: Reporter<'c>,
    report: Mutex<CheckReport>,
    /// Packs that are missing or do not have the length the index gives.
    bad_packs: HashSet<Id>,
    /// Blobs of which a copy was found damaged.
    suspects: Mutex<HashSet<Id>>,
}

/// A pack to be read: its blobs as the index has them, in order of offset.
struct IndexedPack<'p> {
    id: Id,
    entries: &'p [EntryNumber],
}

impl Repository {
    /// Checks everything; with `read_data` every byte of every pack, with this many threads.
    ///
    /// Needs at least a shared lock. Captures may go on meanwhile: their packs are then reported
    /// as not in any index, which does no harm.
    pub fn check(
        &self,
        read_data: bool,
        threads: usize,
        control: Control<'_>,
    ) -> Result<CheckReport> {
        // Snapshots first, then index, then packs: the opposite of the order they are written
        // in, so that all that a snapshot refers to is there by the time we look.
        let snapshots = self.snapshots()?;
        let repo = self.load_index()?;
        let sizes = self.packs_with_sizes()?;
        let sizes: HashMap<Id, u64> = sizes.into_iter().map(|(id, file)| (id, file.size)).collect();
        let bytes = if read_data { sizes.values().sum() } else { 0 };
        let mut checker = Checker {
            repo: &repo,
            index: repo.index(),
            control,
            reporter: Reporter::start(control, Phase::Verifying, bytes, 0),
            report: Mutex::default(),
            bad_packs: HashSet::new(),
            suspects: Mutex::default(),
        };
        control.check_cancel()?;
        for (_, error) in repo.damaged_index_files() {
            checker.found(true, error.to_string())?;
        }
        checker.check_keys()?;
        let order = checker.index.in_disk_order();
        checker.compare_packs(&order, &sizes)?;
        if read_data {
            checker.read_packs(&order, &sizes, threads)?;
        }
        for (id, error) in &snapshots.damaged {
            checker.incomplete(*id, error.to_string())?;
        }
        let mut trees = HashMap::new();
        for file in &snapshots.snapshots {
            if !checker.check_tree(file.snapshot.tree, &mut trees)? {
                checker.incomplete(file.id, format!("image {} is incomplete", file.id.short()))?;
            }
        }
        checker.reporter.finish();
        let blobs = checker.index.len() as u64;
        let mut report = checker.report.into_inner().unwrap_or_else(PoisonError::into_inner);
        (report.packs, report.blobs) = (sizes.len() as u64, blobs);
        report.snapshots = (snapshots.snapshots.len() + snapshots.damaged.len()) as u64;
        Ok(report)
    }
}

impl Checker<'_> {
    fn report(&self) -> std::sync::MutexGuard<'_, CheckReport> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn found(&self, is_damage: bool, text: String) -> Result<()> {
        match is_damage {
            true => self.control.warn(text.clone()),
            false => self.control.info(text.clone()),
        }
        self.report().findings.push(Finding { is_damage, text });
        Ok(self.control.check_cancel()?)
    }

    fn incomplete(&self, snapshot: Id, text: String) -> Result<()> {
        self.report().incomplete.push(snapshot);
        self.found(true, text)
    }

    /// Key files are not sealed; what vouches for them is their name.
    fn check_keys(&self) -> Result<()> {
        for id in self.repo.ids(FileKind::Key)? {
            let json = self.repo.store.read(FileKind::Key, &id.to_string(), SMALL_FILE_LIMIT);
            if !json.is_ok_and(|json| Id::of(&json) == id) {
                let error = RepositoryError::damaged(FileKind::Key, id, WRONG_SUM);
                self.found(true, error.to_string())?;
            }
        }
        Ok(())
    }

    /// Compares the packs that are there with those the index names.
    fn compare_packs(&mut self, order: &[EntryNumber], sizes: &HashMap<Id, u64>) -> Result<()> {
        for pack in self.packs(order) {
            let problem = match (sizes.get(&pack.id), self.index.size_of_pack(pack.entries)) {
                (None, _) => Some("it is missing"),
                (_, None) => Some("its blobs overlap or leave gaps, says the index"),
                (Some(found), Some(expected)) if *found != expected => {
                    Some("it does not have the length that follows from the index")
                }
                _ => None,
            };
            if let Some(problem) = problem {
                self.bad_packs.insert(pack.id);
                let error = RepositoryError::damaged(FileKind::Pack, pack.id, problem);
                self.found(true, error.to_string())?;
            }
        }
        let mut unknown: Vec<_> = sizes.keys().filter(|id| !self.index.contains_pack(id)).collect();
        unknown.sort_unstable();
        for id in unknown {
            let text = format!(
                "pack file {id} is in no index: left by an interrupted capture, or its index \
                 file is lost; the next capture takes it up again"
            );
            self.found(false, text)?;
        }
        Ok(())
    }

    /// The packs of the index with their blobs.
    fn packs<'p>(&self, order: &'p [EntryNumber]) -> Vec<IndexedPack<'p>> {
        let packs = self.index.by_pack(order).into_iter();
        packs.map(|(id, entries)| IndexedPack { id, entries }).collect()
    }

    fn locations(&self, entries: &[EntryNumber]) -> impl Iterator<Item = (Id, BlobLocation)> {
        entries.iter().filter_map(|&number| self.index.location(number))
    }

    /// Reads all packs that are in the index and there.
    fn read_packs(
        &self,
        order: &[EntryNumber],
        sizes: &HashMap<Id, u64>,
        threads: usize,
    ) -> Result<()> {
        let packs = self.packs(order);
        progress::for_each(threads, packs.iter(), BlobReader::new, |pack, reader| {
            let Some(&size) = sizes.get(&pack.id) else { return Ok(()) };
            match self.read_pack(pack, size, reader) {
                Err(RepositoryError::Cancelled) => return Err(RepositoryError::Cancelled),
                Err(error) => self.found(true, error.to_string())?,
                Ok(()) => {}
            }
            self.report().bytes_read += size;
            Ok(self.reporter.advance(size, 0, 0)?)
        })
    }

    /// Proves all blobs of a pack, its header and its sum. Blobs that are damaged become
    /// suspects; whether the data is lost depends on other copies.
    fn read_pack(&self, pack: &IndexedPack<'_>, size: u64, reader: &mut BlobReader) -> Result<()> {
        let mut hasher = IdHasher::default();
        let mut at = 0;
        let mut damaged = Vec::new();
        for (id, location) in self.locations(pack.entries) {
            let in_order = u64::from(location.offset) == at;
            match self.repo.prove_blob(&id, &location, reader, |sealed| {
                if in_order {
                    hasher.update(sealed);
                }
            }) {
                Ok(()) => at = location.end(),
                Err(error) if error.is_out_of_reach() => return Err(error),
                Err(error) => damaged.push((id, error)),
            }
        }
        let header = pack::read_header(&*self.repo.store, &self.repo.key, &pack.id, size);
        let broken = (!damaged.is_empty()).then_some("some of its blobs are damaged");
        for (id, error) in damaged {
            self.suspects.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
            self.found(true, error.to_string())?;
        }
        let expected = self.locations(pack.entries).map(|(id, at)| at.pack_entry(id));
        let problem = match header? {
            header if !header.iter().copied().eq(expected) => {
                Some("its header and the index disagree")
            }
            _ => broken,
        };
        if let Some(problem) = problem {
            return Err(RepositoryError::damaged(FileKind::Pack, pack.id, problem));
        }
        self.repo.hash_pack(&pack.id, at..size, &mut hasher)?;
        if hasher.finish() != pack.id {
            return Err(RepositoryError::damaged(FileKind::Pack, pack.id, WRONG_SUM));
        }
        Ok(())
    }

    /// Whether everything below a directory is there. `known` remembers the answers, so that
    /// each directory is looked at once however many snapshots share it.
    fn check_tree(&self, top: Id, known: &mut HashMap<Id, bool>) -> Result<bool> {
        if let Some(&sound) = known.get(&top) {
            return Ok(sound);
        }
        let mut path = vec![self.look_at(top)?];
        let mut below_sound = None;
        while let Some(visit) = path.last_mut() {
            visit.sound &= below_sound.take().unwrap_or(true);
            match visit.subtrees.pop() {
                Some(tree) => match known.get(&tree) {
                    Some(&sound) => below_sound = Some(sound),
                    None => path.push(self.look_at(tree)?),
                },
                None => {
                    known.insert(visit.tree, visit.sound);
                    below_sound = Some(visit.sound);
                    path.pop();
                }
            }
        }
        Ok(below_sound.unwrap_or(false))
    }

    /// Reads a directory and checks its own entries.
    fn look_at(&self, tree: Id) -> Result<Visit> {
        let mut visit = Visit { tree, subtrees: Vec::new(), sound: true };
        let nodes = match self.repo.read_tree(&tree) {
            Ok(tree) => tree.into_nodes(),
            Err(error) => {
                visit.sound = false;
                self.found(true, error.to_string())?;
                return Ok(visit);
            }
        };
        for node in &nodes {
            if let Some(problem) = self.problem_of(node) {
                visit.sound = false;
                self.found(true, format!("{:?} in directory {tree:?}: {problem}", node.name))?;
            }
            visit.subtrees.extend(node.subtree.filter(|_| node.kind == NodeType::Dir));
        }
        Ok(visit)
    }

    fn problem_of(&self, node: &Node) -> Option<String> {
        match (&node.kind, &node.content, &node.subtree) {
            (NodeType::Dir, _, None) => Some("a directory without contents".to_owned()),
            (NodeType::File, None, _) => Some("a file without contents".to_owned()),
            (NodeType::File, Some(content), _) => self.problem_of_content(content, node.size),
            _ => None,
        }
    }

    fn problem_of_content(&self, content: &[Id], size: u64) -> Option<String> {
        let (mut lost, mut total) = (0u64, 0u64);
        for id in content {
            match self.good_copy(id) {
                Some(location) => total = total.saturating_add(u64::from(location.plain_len())),
                None => lost += 1,
            }
        }
        match lost {
            0 if total == size => None,
            0 => Some(format!("its blobs have {total} bytes together, but its size is {size}")),
            _ => Some(format!("{lost} of its {} blobs are missing or damaged", content.len())),
        }
    }

    /// A copy of the data blob that is not known to be bad.
    fn good_copy(&self, id: &Id) -> Option<BlobLocation> {
        let copies = self.index.copies(id).filter_map(|number| self.index.location(number));
        let mut usable = copies.filter(|(_, location)| {
            location.kind == BlobType::Data && !self.bad_packs.contains(&location.pack)
        });
        let (_, location) = usable.next()?;
        let suspect = self.suspects.lock().unwrap_or_else(PoisonError::into_inner).contains(id);
        let readable = || {
            BlobReader::new().is_ok_and(|mut reader| self.repo.read_blob(id, &mut reader).is_ok())
        };
        (!suspect || readable()).then_some(location)
    }
}

/// A directory on the way down.
struct Visit {
    tree: Id,
    subtrees: Vec<Id>,
    sound: bool,
}
