//! Files and folders.
//!
//! Source: Apple Technical Note TN1150, "Catalog File", "HFS Plus Permissions", "Hard Links",
//! "Extents Overflow File"; Linux `fs/hfsplus/`.

use std::cell::Cell;

use super::catalog::{ROOT, ROOT_PARENT, name, parent};
use super::header::{Fork, Header, Run};
use super::journal::Journal;
use super::record::{FILE_LINK, FOLDER_LINK, Found, INDEX_BITS, Record};
use super::tree::{BTree, Node};
use crate::bytes::{Extent, ReadAt, Window, be32};
use crate::volume::path::LONGEST_LINK;
use crate::volume::probe::byte;
use crate::volume::runs::Runs;
use crate::volume::{
    Doubt, EachEntry, EachExtent, EntryKind, FileError, FileId, FileTree, FolderEntry, Scrutiny,
    Stat, State,
};

/// Nodes that may be read for one question, and to look at all files.
const MOST_NODES: u32 = 1 << 16;
const MOST_NODES_OF_ALL: u32 = 1 << 22;
/// Numbers below this are the volume's own files.
const FIRST_FREE: u32 = 16;
/// The folders that hold what hard links stand for.
const PRIVATE: [&str; 2] = ["\0\0\0\0HFS+ Private Data", ".HFS+ Private Directory Data\r"];
/// The files of a volume, by their number and the place of their record.
pub(super) struct Files<'a> {
    /// What holds the volume, and where that begins.
    outer: &'a dyn ReadAt,
    start: u64,
    volume: Window<'a>,
    header: Header,
    scrutiny: Scrutiny,
    left: Cell<u32>,
}

impl<'a> Files<'a> {
    /// Strictly read are none that a check or the journal may change.
    pub(super) fn open(outer: &'a dyn ReadAt, scrutiny: Scrutiny) -> Result<Self, Doubt> {
        let opened = super::open(outer).map_err(Doubt::reading("the volume header"))?;
        let (start, volume, header) =
            opened.ok_or_else(|| Doubt::because("the volume header has changed meanwhile"))?;
        header.check(volume.size())?;
        if scrutiny == Scrutiny::Strict {
            let waits = header.is_journaled() && Journal::read(&volume, &header)?.is_open;
            if waits || header.describe().state != State::Clean {
                return Err(Doubt::because("a check or its journal may change its files"));
            }
        }
        Ok(Self { outer, start, volume, header, scrutiny, left: Cell::new(MOST_NODES_OF_ALL) })
    }

    /// Does something with a tree. A look at all of a damaged volume has a bound for all of it, a
    /// person's questions each have their own.
    fn with_tree<T>(
        &self,
        fork: Option<&Fork>,
        work: impl FnOnce(&mut BTree<'_>) -> Option<T>,
    ) -> Result<T, FileError> {
        let left = match self.scrutiny {
            Scrutiny::Strict => MOST_NODES,
            Scrutiny::Lenient => self.left.get(),
        };
        let tree = fork.and_then(|fork| BTree::open(&self.volume, &self.header, fork, left));
        let mut tree = tree.ok_or_else(no_tree)?;
        let result = work(&mut tree);
        self.left.set(tree.left);
        result.ok_or_else(no_tree)
    }

    /// Calls `each` for the records of the catalog from the first one on that `is_before` says no to,
    /// until it says no itself.
    fn records(
        &self,
        is_before: &dyn Fn(&[u8]) -> bool,
        each: &mut dyn FnMut(Found<'_>) -> Option<bool>,
    ) -> Result<(), FileError> {
        self.with_tree(self.header.catalog_file(), |tree| {
            let mut leaf = tree.first_leaf(is_before)?;
            while leaf != 0 {
                let node = tree.node(leaf).filter(Node::is_leaf)?;
                for index in 0..node.count()? {
                    let (key, data) = node.record(index)?;
                    if !is_before(key) && !each(Found { leaf, index, key, data })? {
                        return Some(());
                    }
                }
                leaf = node.next()?;
            }
            Some(())
        })
    }

    /// The record of a file or folder.
    fn record(&self, file: FileId) -> Result<Record, FileError> {
        let number = u32::try_from(file.0).map_err(|_| no_tree())?;
        let mut found = None;
        if file.1 == 0 {
            let before = |key: &[u8]| parent(key).is_some_and(|parent| parent < ROOT_PARENT);
            self.records(&before, &mut |record| {
                found = Record::of(&record).filter(|record| record.number() == Some(number));
                Some(found.is_none() && parent(record.key)? == ROOT_PARENT)
            })?;
        } else {
            let leaf = u32::try_from(file.1 >> INDEX_BITS).map_err(|_| no_tree())?;
            let index = usize::from(u16::try_from(file.1 & 0xffff).unwrap_or(0));
            found = Some(self.with_tree(self.header.catalog_file(), |tree| {
                let node = tree.node(leaf).filter(Node::is_leaf)?;
                let (key, data) = node.record(index)?;
                Record::of(&Found { leaf, index, key, data })
            })?);
        }
        found.filter(|record| record.number() == Some(number)).ok_or_else(no_tree)
    }

    /// The record of what a hard link stands for; of anything else its own.
    fn resolved(&self, file: FileId) -> Result<Record, FileError> {
        let record = self.record(file)?;
        if record.is_link_to(FOLDER_LINK) {
            return Err(FileError::unsupported("it is a hard link to a folder, which is not read"));
        }
        if !record.is_link_to(FILE_LINK) {
            return Ok(record);
        }
        let nowhere = || FileError::damaged("it is a hard link that leads nowhere");
        let wanted = format!("iNode{}", record.stands_for().ok_or_else(nowhere)?);
        let [folder, _] = PRIVATE;
        let folder = self.child(ROOT, folder, &|key| parent(key) < Some(ROOT))?;
        let folder = folder.and_then(|folder| folder.number()).ok_or_else(nowhere)?;
        // All names there are of ASCII, in their order.
        let before = |key: &[u8]| match parent(key) {
            Some(parent) if parent == folder => name(key)
                .is_some_and(|name| name.to_ascii_lowercase() < wanted.to_ascii_lowercase()),
            parent => parent < Some(folder),
        };
        self.child(folder, &wanted, &before)?.ok_or_else(nowhere)
    }

    /// The record with a name in a folder, looked for from the first one on that is not before.
    fn child(
        &self,
        folder: u32,
        wanted: &str,
        is_before: &dyn Fn(&[u8]) -> bool,
    ) -> Result<Option<Record>, FileError> {
        let mut child = None;
        self.records(is_before, &mut |record| {
            let is_it = parent(record.key)? == folder && name(record.key)? == wanted;
            child = if is_it { Record::of(&record) } else { None };
            Some(!is_it && parent(record.key)? <= folder)
        })?;
        Ok(child)
    }

    /// Calls `each` for the runs of a fork in their order.
    fn runs(
        &self,
        number: u32,
        (fork, kind): (&Fork, u8),
        each: &mut dyn FnMut(Run),
    ) -> Result<(), FileError> {
        // Shows a run, and how many blocks are known with it.
        let mut show = |known: u32, run: Run| {
            run.start.checked_add(run.count).filter(|end| *end <= self.header.blocks)?;
            each(run);
            known.checked_add(run.count)
        };
        let mut known = 0u32;
        for run in &fork.runs {
            known = show(known, *run).ok_or_else(no_extents)?;
        }
        if known >= fork.blocks {
            return Ok(());
        }
        let wanted = (number, kind);
        let key_of = |key: &[u8]| Some((be32(key, 2)?, byte(key, 0)?));
        let before = |key: &[u8]| key_of(key) < Some(wanted);
        self.with_tree(self.header.extents_file(), |tree| {
            let mut leaf = tree.first_leaf(&before)?;
            while leaf != 0 && known < fork.blocks {
                let node = tree.node(leaf).filter(Node::is_leaf)?;
                for (key, data) in node.records().filter(|(key, _)| !before(key)) {
                    if key_of(key)? != wanted || known >= fork.blocks {
                        break;
                    }
                    // Each begins where the last one ended.
                    (be32(key, 6)? == known).then_some(())?;
                    for run in Run::all(data)? {
                        known = show(known, run)?;
                    }
                }
                leaf = node.next()?;
            }
            (known >= fork.blocks).then_some(())
        })
        .map_err(|_| no_extents())
    }

    /// Bytes of a run of what holds the volume.
    fn place(&self, run: Run) -> Extent {
        let (start, end) = self.header.place(run);
        Extent { start: start.saturating_add(self.start), end: end.saturating_add(self.start) }
    }

    /// What is in the data fork.
    fn content(&self, record: &Record) -> Result<Runs<'a>, FileError> {
        if record.is_compressed() {
            return Err(FileError::unsupported("macOS compressed it, which is not read"));
        }
        let [(data, kind), _] = record.forks().ok_or_else(no_extents)?;
        let (mut runs, mut at, mut fits) = (Runs::new(self.outer, data.size), 0u64, true);
        self.runs(record.number().unwrap_or(0), (&data, kind), &mut |run| {
            let Extent { start, end } = self.place(run);
            let len = end.saturating_sub(start);
            fits &= runs.push(at, start, len).is_some();
            at = at.saturating_add(len);
        })?;
        if fits && at >= data.size { Ok(runs) } else { Err(no_extents()) }
    }

    /// The bytes of the volume's own files, and of all in front of its first block.
    pub(super) fn own(&self) -> (Vec<Extent>, bool) {
        let first = Extent { start: 0, end: self.start.saturating_add(self.header.block(1)) };
        let mut own = vec![first];
        own.extend(self.header.special_runs().map(|run| self.place(run)));
        let further = self.with_tree(self.header.extents_file(), |tree| {
            let all = tree.leaves(&mut |leaf| {
                for (key, data) in leaf.records() {
                    let is_own = be32(key, 2).is_some_and(|file| file < FIRST_FREE);
                    let runs = Run::all(data).filter(|_| is_own).unwrap_or_default();
                    own.extend(runs.into_iter().map(|run| self.place(run)));
                }
            });
            all.then_some(())
        });
        (own, further.is_ok())
    }
}

fn no_tree() -> FileError {
    FileError::damaged("a record of the catalog makes no sense, or cannot be read")
}

fn no_extents() -> FileError {
    FileError::damaged("the list of its extents makes no sense, or cannot be read")
}

impl FileTree for Files<'_> {
    fn root(&self) -> FileId {
        FileId(ROOT.into(), 0)
    }

    /// Linux shows no folders of what hard links stand for; a slash in a name it shows as a colon.
    fn list(&self, folder: FileId, each: &mut EachEntry<'_>) -> Result<(), FileError> {
        if !self.record(folder)?.is_folder() {
            return Err(FileError::damaged("it is no folder"));
        }
        let number = u32::try_from(folder.0).unwrap_or(0);
        let before = |key: &[u8]| parent(key) < Some(number);
        self.records(&before, &mut |found| {
            if parent(found.key)? != number {
                return Some(false);
            }
            if let Some(record) = Record::of(&found) {
                let name = name(found.key)?.replace('/', ":");
                let is_hidden = number == ROOT
                    && self.scrutiny == Scrutiny::Strict
                    && PRIVATE.contains(&name.as_str());
                if !is_hidden {
                    let (name, kind, file) = (name.as_bytes(), record.kind(), found.id()?);
                    each(FolderEntry { name, kind, file });
                }
            }
            Some(true)
        })
    }

    fn stat(&self, file: FileId) -> Result<Stat, FileError> {
        let is_linked = self.record(file)?.is_link_to(FILE_LINK);
        Ok(self.resolved(file)?.stat(is_linked))
    }

    fn link_target(&self, link: FileId) -> Result<Vec<u8>, FileError> {
        let record = self.resolved(link)?;
        if record.kind() != EntryKind::Link {
            return Err(FileError::no_link());
        }
        let content = self.content(&record)?;
        let len = usize::try_from(content.size().min(LONGEST_LINK)).unwrap_or(0);
        let what = "the target of a link";
        content.read_vec(0, len).map_err(|source| FileError::Read { what, source })
    }

    fn open(&self, file: FileId) -> Result<Box<dyn ReadAt + '_>, FileError> {
        let record = self.resolved(file)?;
        match record.kind() {
            EntryKind::File => Ok(Box::new(self.content(&record)?)),
            _ => Err(FileError::no_file()),
        }
    }

    /// Of a damaged volume, what a hard link stands for has its own name.
    fn extents(&self, file: FileId, each: &mut EachExtent<'_>) -> Result<(), FileError> {
        let record = match self.scrutiny {
            Scrutiny::Strict => self.resolved(file)?,
            Scrutiny::Lenient => self.record(file)?,
        };
        if record.is_folder() {
            return Ok(());
        }
        let forks = record.forks().ok_or_else(no_extents)?;
        for (fork, kind) in &forks {
            let number = record.number().unwrap_or(0);
            self.runs(number, (fork, *kind), &mut |run| each(self.place(run)))?;
        }
        Ok(())
    }

    fn is_case_sensitive(&self) -> bool {
        false
    }
}
