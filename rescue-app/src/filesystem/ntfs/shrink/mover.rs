//! Moves what lies behind the new end.

use super::super::super::moving::{copy, no_room, unwritten};
use super::super::super::space::{Bits, Space};
use super::super::record::kind;
use super::super::stream::{Run, Stream, runs};
use super::record::Editable;
use super::{BITMAP, MFT, MIRROR, is_bad, strange_runs};
use crate::bytes::WriteAt;
use crate::progress::Cancel;
use crate::volume::Doubt;

/// A volume while it is made smaller.
pub(super) struct Mover<'a> {
    pub(super) volume: &'a dyn WriteAt,
    /// Bytes of a cluster.
    pub(super) unit: u64,
    /// Clusters that it had.
    pub(super) before: u64,
    /// Clusters that it will have.
    pub(super) end: u64,
    /// Free ones of these.
    pub(super) space: Space,
    /// The others.
    pub(super) taken: Bits,
    /// `$MFT`, as it is now.
    pub(super) table: Stream,
    pub(super) record_size: usize,
    pub(super) cancel: &'a Cancel,
}

/// Where an attribute will lie.
#[derive(Default)]
struct Placed {
    runs: Vec<Run>,
    /// What has to be moved there: clusters from, to, and their number.
    moves: Vec<(u64, u64, u64)>,
}

impl Placed {
    /// Appends a run; it is one with the last where it follows that.
    fn push(&mut self, lcn: Option<u64>, len: u64, vcn: u64) {
        match self.runs.last_mut() {
            Some(last) if lcn.is_some() && last.lcn.map(|at| at + last.len) == lcn => {
                last.len += len;
            }
            _ => self.runs.push(Run { vcn, lcn, len }),
        }
    }
}

impl Mover<'_> {
    /// Moves what a record has behind the new end, and writes the record.
    pub(super) fn move_record(&mut self, number: u64) -> Result<(), Doubt> {
        let mut record = self.read(number)?;
        // From the last on: where an attribute grows, those before stay.
        let places: Vec<usize> = record.attributes().map(|(at, _)| at).collect();
        for at in places.into_iter().rev() {
            self.move_attribute(number, at, &mut record)?;
        }
        self.write(number, record)
    }

    fn move_attribute(
        &mut self,
        number: u64,
        at: usize,
        record: &mut Editable,
    ) -> Result<(), Doubt> {
        let strange = || strange_runs(number);
        let attribute = record.attribute(at).ok_or_else(strange)?;
        if !attribute.is_non_resident() {
            return Ok(());
        }
        if is_bad(number, attribute) {
            let initialised = attribute.initialised_size().unwrap_or(0);
            return self.forget_bad_clusters(at, record, initialised).ok_or_else(strange);
        }
        let is_content = attribute.is(kind::DATA, &[]);
        let mut old = runs(attribute, self.before).ok_or_else(strange)?;
        if number == BITMAP && is_content {
            old = self.cut_bitmap(at, record, &old).ok_or_else(strange)?;
        }
        let is_behind = |run: &Run| run.lcn.is_some_and(|lcn| lcn + run.len > self.end);
        if !old.iter().any(is_behind) {
            return Ok(());
        }
        let placed = self.place(number, at, record, &old)?;
        self.copy(&placed)?;
        self.settle(&placed);
        if is_content && (number == MFT || record.extends(MFT)) {
            self.table.replace(&placed.runs);
        }
        Ok(())
    }

    /// Finds room for what lies behind the end, or for all of the attribute where its record has no room to
    /// tell of so many pieces.
    fn place(
        &mut self,
        number: u64,
        at: usize,
        record: &mut Editable,
        old: &[Run],
    ) -> Result<Placed, Doubt> {
        // The mirror has to stay in one piece.
        if number != MIRROR {
            let placed = self.room(old, self.end)?;
            if record.set_runs(at, &placed.runs) {
                return Ok(placed);
            }
            placed.moves.iter().for_each(|&(_, to, len)| self.space.give_back(to, len));
        }
        let placed = self.room(old, 0)?;
        let words = || format!("file record {number} has no room to tell of its pieces");
        let has_room = record.set_runs(at, &placed.runs);
        has_room.then_some(placed).ok_or_else(|| Doubt::because(words()))
    }

    /// Room for the clusters of these runs from `from` on; those before stay where they are.
    fn room(&mut self, old: &[Run], from: u64) -> Result<Placed, Doubt> {
        let moving = |run: &Run| {
            let lcn = run.lcn.unwrap_or(0);
            run.lcn.map_or(0, |_| run.len - run.len.min(from.saturating_sub(lcn)))
        };
        let total = old.iter().map(moving).sum();
        let mut pieces = match from {
            0 => self.space.take(total).ok_or_else(no_room)?,
            _ => Vec::new(),
        }
        .into_iter();
        let mut placed = Placed::default();
        let mut piece: (u64, u64) = (0, 0);
        for run in old {
            let moved = moving(run);
            let stays = run.len - moved;
            if stays > 0 {
                placed.push(run.lcn, stays, run.vcn);
            }
            if from > 0 && moved > 0 {
                // Each by itself: the smallest hole that holds it.
                pieces = self.space.take(moved).ok_or_else(no_room)?.into_iter();
                piece = (0, 0);
            }
            let mut done = stays;
            while done < run.len && run.lcn.is_some() {
                if piece.1 == 0 {
                    piece = pieces.next().ok_or_else(no_room)?;
                }
                let len = piece.1.min(run.len - done);
                placed.push(Some(piece.0), len, run.vcn + done);
                placed.moves.push((run.lcn.unwrap_or(0) + done, piece.0, len));
                piece = (piece.0 + len, piece.1 - len);
                done += len;
            }
        }
        Ok(placed)
    }

    /// Moves the bytes.
    fn copy(&self, placed: &Placed) -> Result<(), Doubt> {
        for &(from, to, len) in &placed.moves {
            let [from, to, len] = [from, to, len].map(|count| count.saturating_mul(self.unit));
            copy(self.volume, (from, to), len, self.cancel)?;
        }
        Ok(())
    }

    /// Marks what is used now, and what is no longer.
    fn settle(&mut self, placed: &Placed) {
        for &(from, to, len) in &placed.moves {
            self.taken.take(to, to + len);
            self.free(from, len);
        }
    }

    fn free(&mut self, start: u64, len: u64) {
        let end = self.end.min(start + len);
        if start < end {
            self.taken.give_back(start, end);
            self.space.give_back(start, end - start);
        }
    }

    /// They were those of another disk.
    fn forget_bad_clusters(&self, at: usize, record: &mut Editable, written: u64) -> Option<()> {
        let bytes = self.end.checked_mul(self.unit)?;
        record.set_size(at, self.end, self.unit, [bytes, written.min(bytes)]);
        record.set_runs(at, &[Run { vcn: 0, lcn: None, len: self.end }]).then_some(())
    }

    /// Makes `$Bitmap` as long as it has to be; the runs that it has then. `None` when its runs are in several records, or have holes.
    fn cut_bitmap(&mut self, at: usize, record: &mut Editable, old: &[Run]) -> Option<Vec<Run>> {
        let bytes = self.end.div_ceil(64).checked_mul(8)?;
        let clusters = bytes.div_ceil(self.unit);
        let mut kept = Vec::new();
        for run in old {
            let lcn = run.lcn?;
            let len = run.len.min(clusters.saturating_sub(run.vcn));
            if len > 0 {
                kept.push(Run { len, ..*run });
            }
            self.free(lcn + len, run.len - len);
        }
        let described: u64 = kept.iter().map(|run| run.len).sum();
        (described == clusters).then_some(())?;
        record.set_size(at, clusters, self.unit, [bytes, bytes]);
        record.set_runs(at, &kept).then_some(kept)
    }

    /// Reads a record from where it is now.
    pub(super) fn read(&self, number: u64) -> Result<Editable, Doubt> {
        let mut bytes = vec![0; self.record_size];
        let read = self.table.read(self.volume, self.place_of(number), &mut bytes);
        read.map_err(Doubt::reading("a file record of $MFT"))?;
        Editable::new(&bytes).ok_or_else(|| super::super::master::damaged(number))
    }

    /// Writes one there.
    pub(super) fn write(&self, number: u64, record: Editable) -> Result<(), Doubt> {
        let bytes = record.protected().ok_or_else(|| super::super::master::damaged(number))?;
        // A record may be larger than a cluster.
        let piece = bytes.len().min(usize::try_from(self.unit).unwrap_or(bytes.len()));
        for (place, part) in (self.place_of(number)..).step_by(piece).zip(bytes.chunks(piece)) {
            let at = self.table.on_volume(place).ok_or_else(|| strange_runs(MFT))?;
            self.volume.write_at(at, part).map_err(unwritten)?;
        }
        Ok(())
    }

    fn place_of(&self, number: u64) -> u64 {
        number.saturating_mul(self.record_size as u64)
    }
}
