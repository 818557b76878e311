//! The target as it will be, as bytes to read: what is exported to a file.

use std::io;
use std::sync::Arc;

use crate::bytes::{Changes, Extent, Extents, OverlayRoom, ReadAt, WriteAt};
use crate::progress::{Control, Phase};
use crate::resize;
use crate::table::Patch;
use crate::transfer::{Rewritten, Transfer, written};

use super::grow::{Growth, not_grown};
use super::plan::TargetPlan;

/// The disk that a plan makes.
pub(in crate::operation) struct FinishedDisk {
    size: u64,
    source: Arc<dyn ReadAt>,
    transfers: Vec<Transfer>,
    rewritten: Vec<Rewritten>,
    patches: Vec<Patch>,
    /// Which bytes of it may be other than zero.
    used: Extents,
}

impl FinishedDisk {
    /// That of `plan`, put together of `source`, of which `zeros` need not be read.
    pub(in crate::operation) fn new(
        plan: &TargetPlan,
        source: Arc<dyn ReadAt>,
        zeros: &Extents,
    ) -> Self {
        let transfers = plan.transfers.iter();
        let transfers = transfers
            .map(|it| Transfer { used: it.used.without(zeros), ..it.clone() })
            .collect::<Vec<_>>();
        let mut used = written(&transfers);
        for part in plan.rewritten.iter().flat_map(Rewritten::on_target) {
            used.push(part.start, part.end);
        }
        for patch in &plan.patches {
            used.push(patch.offset, patch.offset + patch.bytes.len() as u64);
        }
        Self {
            size: plan.target.size,
            source,
            transfers,
            rewritten: plan.rewritten.clone(),
            patches: plan.patches.clone(),
            used,
        }
    }

    /// What `whole`, of which `parts` go to the target from byte `to`, has for `range` of that.
    fn read_parts(
        whole: &dyn ReadAt,
        parts: impl Iterator<Item = (Extent, u64)>,
        range: Extent,
        buf: &mut [u8],
    ) -> io::Result<()> {
        for (place, from) in parts {
            let at = |byte: u64| usize::try_from(byte - range.start).unwrap_or(usize::MAX);
            let into = buf.get_mut(at(place.start)..at(place.end));
            whole.read_at(from, into.ok_or(io::ErrorKind::UnexpectedEof)?)?;
        }
        Ok(())
    }
}

/// What of a range of the target comes out of `used` bytes of something of which byte `from` goes to byte `to`: the
/// places on the target, and the bytes that they come from.
fn parts(
    used: &Extents,
    from: u64,
    to: u64,
    range: Extent,
) -> impl Iterator<Item = (Extent, u64)> + '_ {
    let back = move |byte: u64| byte.saturating_sub(to) + from;
    let within = used.within(back(range.start), if range.end > to { back(range.end) } else { 0 });
    within.map(move |part| {
        let start = part.start - from + to;
        (Extent { start, end: start + part.len() }, part.start)
    })
}

impl ReadAt for FinishedDisk {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(buf.len() as u64).filter(|end| *end <= self.size);
        let range = Extent { start: offset, end: end.ok_or(io::ErrorKind::UnexpectedEof)? };
        buf.fill(0);
        for Transfer { from, to, used, .. } in &self.transfers {
            Self::read_parts(&*self.source, parts(used, *from, *to, range), range, buf)?;
        }
        for Rewritten { to, bytes, parts: used } in &self.rewritten {
            Self::read_parts(&**bytes, parts(used, 0, *to, range), range, buf)?;
        }
        self.patches.iter().for_each(|patch| patch.apply_to(offset, buf));
        Ok(())
    }
}

/// A disk, and on it filesystems that were given more room.
pub(in crate::operation) struct GrownDisk {
    disk: Arc<FinishedDisk>,
    grown: Vec<(Extent, Arc<dyn WriteAt>)>,
    used: Extents,
    /// What there is to warn of.
    pub(in crate::operation) warnings: Vec<String>,
}

impl GrownDisk {
    /// Grows what the plan says, each filesystem on a view; one that cannot be grown has the size that it had.
    pub(in crate::operation) fn new(
        disk: FinishedDisk,
        grows: &[Growth],
        room: &OverlayRoom,
        control: Control<'_>,
    ) -> Self {
        let used = disk.used.clone();
        let mut all = Self { disk: Arc::new(disk), grown: Vec::new(), used, warnings: Vec::new() };
        if !grows.is_empty() {
            control.phase(Phase::Growing);
        }
        for growth in grows {
            let disk = Arc::clone(&all.disk) as Arc<dyn ReadAt>;
            let place = Extent { start: growth.start, end: growth.start + growth.size };
            match resize::grow_view(growth.kind, disk, place, room.clone()) {
                Ok(bytes) => all.take(place, bytes),
                Err(error) => {
                    let warning = not_grown(growth, &error.into());
                    control.warn(warning.clone());
                    all.warnings.push(warning);
                }
            }
        }
        all
    }

    fn take(&mut self, place: Extent, bytes: Arc<dyn WriteAt>) {
        let Changes { data, zero } = bytes.changes_within(0, place.len());
        let (data, zero) = (data.shifted(place.start), zero.shifted(place.start));
        self.used = self.used.without(&zero).union(&data);
        self.grown.push((place, bytes));
    }

    /// Which bytes of it may be other than zero.
    pub(in crate::operation) fn used(&self) -> &Extents {
        &self.used
    }
}

impl ReadAt for GrownDisk {
    fn size(&self) -> u64 {
        self.disk.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.disk.read_at(offset, buf)?;
        let end = offset + buf.len() as u64;
        for (place, bytes) in &self.grown {
            let (start, stop) = (place.start.max(offset), place.end.min(end));
            if start < stop {
                let at = |byte: u64| usize::try_from(byte - offset).unwrap_or(usize::MAX);
                let part = buf.get_mut(at(start)..at(stop));
                bytes.read_at(start - place.start, part.ok_or(io::ErrorKind::UnexpectedEof)?)?;
            }
        }
        Ok(())
    }
}
