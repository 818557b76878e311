//! Moves what lies behind the new end.

use std::cmp::Reverse;

use super::super::boot_region::Layout;
use super::super::fat::Run;
use super::FIRST_CLUSTER;
use super::chains::Chains;
use super::entries::Folder;
use super::survey::{Object, Survey, What};
use crate::bytes::WriteAt;
use crate::filesystem::moving::{copy_all, no_room, unwritten};
use crate::filesystem::space::{Bits, Space};
use crate::progress::Cancel;
use crate::volume::Doubt;

/// A volume while it is made smaller.
pub(super) struct Mover<'a> {
    volume: &'a dyn WriteAt,
    /// As it will be, but for the place of the root directory.
    cut: &'a Layout,
    taken: Bits,
    space: Space,
    folders: Vec<Vec<Run>>,
    objects: Vec<Object>,
    chains: Chains<'a>,
    /// Where the bitmap is.
    bitmap: Vec<Run>,
    cancel: &'a Cancel,
}

impl<'a> Mover<'a> {
    pub(super) fn new(
        volume: &'a dyn WriteAt,
        cut: &'a Layout,
        survey: Survey,
        chains: Chains<'a>,
        cancel: &'a Cancel,
    ) -> Result<Self, Doubt> {
        let Survey { taken, folders, mut objects } = survey;
        let end = cut.clusters + FIRST_CLUSTER;
        let behind = |object: &Object| -> u64 {
            object.runs.iter().map(|run| u64::from(run.count - before(run, end))).sum()
        };
        // The bitmap needs a hole for all of it, and large files need large ones.
        objects.sort_by_cached_key(|object| (object.what != What::Bitmap, Reverse(behind(object))));
        let space = Space::of(&taken);
        let bitmap = Vec::new();
        Ok(Self { volume, cut, taken, space, folders, objects, chains, bitmap, cancel })
    }

    /// Gives everything its place, moves it there, and writes the chains.
    pub(super) fn move_all(&mut self) -> Result<(), Doubt> {
        let mut objects = std::mem::take(&mut self.objects);
        let mut moves = Vec::new();
        for object in &mut objects {
            let placed = match object.what {
                What::Bitmap => self.place_bitmap(&object.runs)?,
                _ => self.place(&object.runs)?,
            };
            if object.what != What::Bitmap {
                moved(&object.runs, &placed, &mut moves);
            }
            let is_chain = !object.contiguous || placed.len() > 1;
            if is_chain {
                let old = (!object.contiguous).then_some(object.runs.as_slice());
                self.chains.write(old, &placed)?;
            }
            object.contiguous &= !is_chain;
            if let Some(folder) = object.folder.and_then(|number| self.folders.get_mut(number)) {
                folder.clone_from(&placed);
            }
            object.runs = placed;
        }
        self.objects = objects;
        // Of what was behind the end nothing is written by that.
        moves.sort_unstable_by_key(|&(_, to, _)| to);
        let pieces = moves.iter().map(|&(from, to, count)| {
            (self.cut.cluster(from), self.cut.cluster(to), self.cut.bytes(count))
        });
        copy_all(self.volume, pieces, self.cancel)?;
        self.chains.flush()
    }

    /// Room for what is behind the end, as few pieces of it as can be.
    fn place(&mut self, old: &[Run]) -> Result<Vec<Run>, Doubt> {
        let end = self.cut.clusters + FIRST_CLUSTER;
        let behind = old.iter().map(|run| u64::from(run.count - before(run, end))).sum();
        let pieces = self.space.take(behind).ok_or_else(no_room)?;
        let mut pieces = pieces.into_iter().filter_map(as_run);
        let mut piece = Run { first: 0, count: 0 };
        let mut placed = Vec::new();
        for run in old {
            let stays = before(run, end);
            push(&mut placed, Run { first: run.first, count: stays });
            let mut left = run.count - stays;
            while left > 0 {
                if piece.count == 0 {
                    piece = pieces.next().ok_or_else(no_room)?;
                }
                let count = piece.count.min(left);
                push(&mut placed, Run { first: piece.first, count });
                piece = Run { first: piece.first + count, count: piece.count - count };
                left -= count;
            }
        }
        placed.iter().for_each(|run| self.mark(*run));
        Ok(placed)
    }

    /// As long as it has to be now, and where it was unless that reaches behind the end; then in one piece.
    fn place_bitmap(&mut self, old: &[Run]) -> Result<Vec<Run>, Doubt> {
        let end = self.cut.clusters + FIRST_CLUSTER;
        let count = self.cut.clusters_of(self.cut.bitmap_size()).ok_or_else(no_room)?.max(1);
        for run in old {
            let first = u64::from(run.first - FIRST_CLUSTER);
            self.taken.give_back(first, first + u64::from(run.count));
        }
        let (mut kept, mut left) = (Vec::new(), count);
        for run in old {
            push(&mut kept, Run { first: run.first, count: run.count.min(left) });
            left -= run.count.min(left);
        }
        if kept.iter().any(|run| run.first + run.count > end) {
            let words = "there is no room in one piece for its allocation bitmap";
            let pieces = self.space.take(count.into()).filter(|pieces| pieces.len() == 1);
            let pieces = pieces.ok_or_else(|| Doubt::because(words))?;
            kept = pieces.into_iter().filter_map(as_run).collect();
        }
        kept.iter().for_each(|run| self.mark(*run));
        // What it no longer needs is room for others.
        self.space = Space::of(&self.taken);
        self.bitmap.clone_from(&kept);
        Ok(kept)
    }

    fn mark(&mut self, run: Run) {
        let first = u64::from(run.first - FIRST_CLUSTER);
        self.taken.take(first, first + u64::from(run.count));
    }

    /// Writes into the entries of folders where things are now; the first cluster of the root directory.
    pub(super) fn tell_places(&self) -> Result<u32, Doubt> {
        let mut root = self.cut.root;
        for object in &self.objects {
            let first = object.runs.first().map_or(0, |run| run.first);
            if object.what == What::Root {
                root = first;
                continue;
            }
            let runs = self.folders.get(object.parent).map_or(&[][..], Vec::as_slice);
            let folder = Folder { volume: self.volume, layout: self.cut, runs };
            folder.tell(object, first)?;
        }
        Ok(root)
    }

    /// Writes the bitmap; the number of clusters in use.
    pub(super) fn write_bitmap(&self) -> Result<u32, Doubt> {
        let bytes = self.taken.as_bytes();
        let mut rest = bytes;
        for run in &self.bitmap {
            let room = usize::try_from(self.cut.bytes(run.count)).unwrap_or(usize::MAX);
            let (part, more) = rest.split_at(rest.len().min(room));
            let mut part = part.to_vec();
            part.resize(room, 0);
            self.volume.write_at(self.cut.cluster(run.first), &part).map_err(unwritten)?;
            rest = more;
        }
        let used: u64 = bytes.iter().map(|byte| u64::from(byte.count_ones())).sum();
        Ok(u32::try_from(used).unwrap_or(self.cut.clusters))
    }
}

/// What moves from the runs where something was to those where it will be: clusters from, to, and their number.
fn moved(old: &[Run], new: &[Run], moves: &mut Vec<(u32, u32, u32)>) {
    let (mut from, mut to) = (old.iter().copied(), new.iter().copied());
    let (mut one, mut other) = (from.next(), to.next());
    while let (Some(source), Some(place)) = (one, other) {
        let count = source.count.min(place.count);
        if source.first != place.first {
            moves.push((source.first, place.first, count));
        }
        one = rest(source, count).or_else(|| from.next());
        other = rest(place, count).or_else(|| to.next());
    }
}

/// Clusters of a run in front of `end`.
fn before(run: &Run, end: u32) -> u32 {
    run.count.min(end.saturating_sub(run.first))
}

/// Appends a run; it is one with the last where it follows that.
fn push(runs: &mut Vec<Run>, run: Run) {
    match runs.last_mut() {
        _ if run.count == 0 => {}
        Some(last) if last.first + last.count == run.first => last.count += run.count,
        _ => runs.push(run),
    }
}

/// What is left of a run behind its first clusters.
fn rest(run: Run, count: u32) -> Option<Run> {
    (count < run.count).then(|| Run { first: run.first + count, count: run.count - count })
}

fn as_run((start, len): (u64, u64)) -> Option<Run> {
    let first = u32::try_from(start).ok()? + FIRST_CLUSTER;
    Some(Run { first, count: u32::try_from(len).ok()? })
}
