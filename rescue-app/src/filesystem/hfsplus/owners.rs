//! Which files lie in given bytes: the forks in the catalog, and their further extents.
//!
//! Source: Apple Technical Note TN1150, "Catalog File", "Extents Overflow File".

use std::collections::HashMap;

use super::catalog::{FILE, FOLDER, FORKS, NUMBER, ROOT, name, parent};
use super::header::{Fork, Header, Run};
use super::tree::{BTree, Node};
use crate::bytes::{ReadAt, be16, be32, slice};
use crate::volume::Doubt;
use crate::volume::owners::{Names, Tally, join};

/// Nodes of a tree that are read at most.
const MOST_NODES: u32 = 1 << 20;
/// More folders than this have no names.
const MOST_FOLDERS: usize = 1 << 20;
/// Folders are not followed deeper than this.
const DEEPEST: usize = 255;
/// Numbers below this are the volume's own files.
const FIRST_FREE: u32 = 16;

/// A folder's or a file's name, and the number of the folder that it is in.
type Place = (u32, String);

struct Census<'a, 'b> {
    header: &'a Header,
    /// Where the volume begins.
    start: u64,
    tally: &'a mut Tally<'b>,
    folders: HashMap<u32, Place>,
    files: HashMap<u32, Place>,
}

/// Goes through all records of a volume that begins at byte `start` of what `tally` speaks of.
pub(super) fn find(
    volume: &dyn ReadAt,
    (start, header): (u64, &Header),
    tally: &mut Tally<'_>,
    names: &mut Names,
) -> Result<(), Doubt> {
    tally.metadata(0, start.saturating_add(header.block(1)));
    let mut census =
        Census { header, start, tally, folders: HashMap::new(), files: HashMap::new() };
    header.special_runs().for_each(|run| census.count(0, run));
    let tree = |fork: Option<&Fork>, each: &mut dyn FnMut(&Node)| {
        let tree = fork.and_then(|fork| BTree::open(volume, header, fork, MOST_NODES));
        tree.is_some_and(|mut tree| tree.leaves(each))
    };
    let further = header.extents_file();
    // Further extents first: then all files of which something is lost are known.
    let mut complete = tree(further, &mut |leaf| leaf.records().for_each(|r| census.further(r)));
    let catalog = header.catalog_file();
    complete &= tree(catalog, &mut |leaf| leaf.records().for_each(|r| census.record(r)));
    let (folders, files) = (census.folders, census.files);
    for id in tally.ids() {
        let place = u32::try_from(id).ok().and_then(|id| files.get(&id));
        if let Some(path) = place.and_then(|place| path(&folders, place)) {
            names.set(id, &path);
        }
    }
    if complete {
        return Ok(());
    }
    Err(Doubt::because("some of the records of its files could not be read"))
}

impl Census<'_, '_> {
    /// Counts a run of a file.
    fn count(&mut self, file: u32, run: Run) {
        let (start, end) = self.header.place(run);
        let (start, end) = (start.saturating_add(self.start), end.saturating_add(self.start));
        if file < FIRST_FREE {
            self.tally.metadata(start, end);
        } else {
            self.tally.file(file.into(), start, end);
        }
    }

    /// A record of the extents overflow file: eight runs.
    fn further(&mut self, (key, data): (&[u8], &[u8])) {
        let runs = Run::all(data);
        if let (Some(file), Some(runs)) = (be32(key, 2), runs) {
            runs.into_iter().for_each(|run| self.count(file, run));
        }
    }

    /// A record of the catalog.
    fn record(&mut self, (key, data): (&[u8], &[u8])) {
        let (Some(kind), Some(number)) = (be16(data, 0), be32(data, NUMBER)) else { return };
        let place = || parent(key).zip(name(key));
        match kind {
            FOLDER if self.folders.len() < MOST_FOLDERS => {
                self.folders.extend(place().map(|place| (number, place)));
            }
            FILE => {
                let forks = FORKS.iter().filter_map(|at| slice(data, *at, Fork::LEN));
                for run in forks.filter_map(Fork::parse).flat_map(|fork| fork.runs) {
                    self.count(number, run);
                }
                if self.tally.has(number.into()) {
                    self.files.extend(place().map(|place| (number, place)));
                }
            }
            _ => {}
        }
    }
}

/// The path of a file, from the root folder.
fn path(folders: &HashMap<u32, Place>, place: &Place) -> Option<String> {
    let mut steps = vec![place];
    while steps.last()?.0 != ROOT {
        steps.push(folders.get(&steps.last()?.0).filter(|_| steps.len() < DEEPEST)?);
    }
    Some(steps.iter().rev().fold(String::from("/"), |path, (_, name)| join(&path, name)))
}
