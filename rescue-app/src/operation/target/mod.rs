//! A disk that is overwritten: looked at, agreed to, and planned before the first write.

mod absent;
mod afterwards;
mod booting;
mod choice;
mod content;
mod drivers;
mod finished;
mod grow;
mod notices;
mod overwrite;
mod partition;
mod plan;
mod preview;
mod relaid;
mod request;
mod scope;
mod smaller;
mod stale;
mod state;
mod unfinished;
mod virtual_disk;

use crate::bytes::{Extent, Extents, OverlayRoom};
use crate::disk::{Disk, Hold};
use crate::image::manifest::Region;
use crate::image::marker::Marker;
use crate::layout;
use crate::resize::Shrink;
use crate::table::{self, Patch, Position, Scheme, TableError};
use crate::transfer::Transfer;

use super::consent::Words;
use super::error::OperationError;

pub use absent::{Absent, Remains};
pub(super) use afterwards::{Afterwards, finish};
pub use booting::{Booting, FileCopy, NewEntry, Refused, Supply};
use choice::Choice;
pub(super) use content::Content;
pub(super) use finished::{FinishedDisk, GrownDisk};
pub use grow::Growth;
pub(super) use overwrite::{Overwrite, warn_of_result};
pub use plan::TargetPlan;
pub(super) use preview::all_lost;
pub use preview::{LayoutEntry, Preview};
use preview::{after, after_partitions, before, lost, volume_entry};
use relaid::Relaid;
pub use request::TargetRequest;
use scope::Scope;
use stale::Stale;
use state::{TargetState, check_sectors};
pub use virtual_disk::VirtualDisk;
pub(super) use virtual_disk::refuse_misnamed;

/// A target that was looked at, and what will go where on it.
pub(super) struct Aim<'a> {
    request: &'a TargetRequest,
    content: Content<'a>,
    state: TargetState,
    /// Which bytes of the source go where.
    pub(super) transfers: Vec<Transfer>,
    scope: Scope,
    /// Filesystems that are made smaller.
    shrinks: Vec<Shrink>,
    /// Where what is written to these is kept apart.
    room: OverlayRoom,
    /// Where partitions do not all lie where they were.
    relaid: Option<Relaid>,
    carries_on: bool,
}

impl<'a> Aim<'a> {
    /// Looks at the target and checks every rule that could forbid writing to it; `may_be_erased` are
    /// those that the source brings.
    pub(super) fn take(
        request: &'a TargetRequest,
        content: Content<'a>,
        may_be_erased: impl FnOnce(&Disk, &Words) -> Result<(), OperationError>,
    ) -> Result<Self, OperationError> {
        let manifest = content.manifest;
        let size = content.volume.as_ref().map_or(manifest.disk.size, |(volume, _)| volume.size);
        let state = TargetState::find(request, manifest, size)?;
        may_be_erased(&state.survey.disk, &state.survey.words)?;
        check_sectors(&state.survey.disk, manifest)?;
        let carries_on = state.begun(|found| found.is_of_the_same(&content.note));
        let Choice { transfers, scope, relaid } =
            choice::choose(request, &state, &content, carries_on)?;
        let room = smaller::room(request.scratch.as_deref(), content.images);
        let shrinks = match scope {
            Scope::Volume => Vec::new(),
            _ => smaller::find(manifest, &transfers, &room)?,
        };
        Ok(Self { request, content, state, transfers, scope, shrinks, room, relaid, carries_on })
    }

    /// What is read of the source: of a filesystem that is made smaller all that it uses.
    pub(super) fn needed(&self) -> Vec<Transfer> {
        let shrinks = |transfer: &Transfer| self.shrinks.iter().any(|it| it.start == transfer.from);
        let each = self.transfers.iter().map(|transfer| {
            let regions = &self.content.manifest.regions;
            match regions.iter().find(|region| region.start == transfer.from) {
                Some(region) if shrinks(transfer) => Transfer {
                    len: region.size,
                    used: region.used.clone(),
                    is_cut: false,
                    ..transfer.clone()
                },
                _ => transfer.clone(),
            }
        });
        each.collect()
    }

    /// Says what will be done.
    pub(super) fn plan(self) -> Result<TargetPlan, OperationError> {
        let (kept, absent) = self.left_out();
        let table = match (self.scope, &self.relaid) {
            (Scope::Disk, Some(relaid)) => relaid.table.clone(),
            (Scope::Disk, None) => self.fit()?,
            _ => Vec::new(),
        };
        let inner = self.inner_patches()?;
        let stale = self.stale(&kept);
        let mut notices = self.notices(&table, &inner)?;
        notices.extend(stale.notices());
        notices.extend(absent.iter().map(Absent::sentence));
        let booting = self.booting();
        notices.extend(booting.notices.iter().cloned());
        notices.extend(self.missing_drivers());
        let patches = table.into_iter().chain(inner).collect();
        let needed = (!self.shrinks.is_empty()).then(|| self.needed());
        let Self { request, content, state, transfers, scope, shrinks, room, relaid, carries_on } =
            self;
        let before = before(&state.held, &transfers, scope.replaces_all().then_some(&kept));
        let after = match &content.volume {
            Some((volume, _)) => vec![volume_entry(volume)],
            None => match (scope, &relaid) {
                (Scope::Partitions, _) => after_partitions(&before, content.manifest, &transfers),
                (_, relaid) => after(content.manifest, &absent, relaid.as_ref()),
            },
        };
        let words = &state.survey.words;
        Ok(TargetPlan {
            creates_file: state.is_new(),
            preview: Preview {
                lost: lost(&state.survey, &before, scope),
                writes: transfers.iter().map(|transfer| transfer.used.total()).sum(),
                before,
                after,
                notices,
            },
            only_changed: request.only_changed || carries_on,
            read_back: request.read_back,
            stale: stale.signatures,
            erased: stale.bytes,
            note: Marker { erase: words.to_note(&state.survey.disk), ..content.note },
            hold: state.source.map(Hold::new),
            agreement: state.agreement,
            erase: words.own().to_owned(),
            target: state.survey.disk,
            booting,
            virtual_disk: state.virtual_disk,
            needed,
            rewritten: Vec::new(),
            smaller_warnings: Vec::new(),
            shrinks,
            room,
            grows: relaid.map_or_else(Vec::new, |relaid| relaid.grows(content.manifest)),
            absent,
            kept,
            patches,
            transfers,
            scope,
        })
    }

    /// What of a target that gets the source's table is never touched, and the partitions there.
    fn left_out(&self) -> (Extents, Vec<Absent>) {
        if self.scope != Scope::Disk {
            return (Extents::new(), Vec::new());
        }
        let regions: Vec<&Region> =
            scope::left_out(self.content.manifest, &self.transfers).collect();
        let has_its_place = |region: &&Region| match &self.relaid {
            Some(relaid) => {
                region.partition.is_some()
                    && relaid.place(region) == Some((region.start, region.size))
            }
            None => true,
        };
        let kept = regions.iter().copied().filter(has_its_place);
        let kept = kept.map(|region| (region.start, region.size));
        let is_clone = self.content.note.is_clone;
        let absent = regions.iter().filter_map(|region| {
            let place = self.place(region);
            Absent::find(&self.state, region, place, is_clone)
        });
        (Extents::from(kept.collect::<Vec<_>>()), absent.collect())
    }

    /// Where a region of the source lies on a target that gets its table.
    fn place(&self, region: &Region) -> Option<Extent> {
        let (start, size) = match &self.relaid {
            Some(relaid) => relaid.place(region)?,
            None => (region.start, region.size),
        };
        Some(Extent { start, end: start.saturating_add(size) })
    }

    /// What changes inside of partitions that lie elsewhere or have another size.
    fn inner_patches(&self) -> Result<Vec<Patch>, OperationError> {
        let Content { manifest, disk, .. } = &self.content;
        let mut patches = Vec::new();
        for transfer in &self.transfers {
            let region = manifest.regions.iter().find(|region| region.start == transfer.from);
            let is_whole = manifest.table.scheme == Scheme::None;
            let region = region.filter(|region| region.partition.is_some() || is_whole);
            // Those of a filesystem that is made smaller are written into it.
            let is_shrunk = self.shrinks.iter().any(|shrink| shrink.start == transfer.from);
            let Some(region) = region.filter(|_| self.scope != Scope::Volume && !is_shrunk) else {
                continue;
            };
            let size = match self.relaid.as_ref().and_then(|relaid| relaid.place(region)) {
                Some((_, size)) => size,
                None => transfer.len,
            };
            let number = region.partition.unwrap_or_default();
            let new = Position { number, start: transfer.to, size, record: 0 };
            let found = layout::patches(*disk, region, &new, manifest.disk.logical_sector);
            patches.extend(found.map_err(|error| {
                let name = table::name_of(region.partition);
                OperationError::io(format!("looking into {name} of the source"), error)
            })?);
        }
        Ok(patches)
    }

    /// What has to change in the table; refused where there is no room for it.
    fn fit(&self) -> Result<Vec<Patch>, OperationError> {
        let (Content { manifest, disk, .. }, target) = (&self.content, &self.state.survey.disk);
        let mend = self.request.mend_table;
        let fitted = table::fit_to_disk(*disk, &manifest.table, target.size, mend);
        fitted.map_err(|error| {
            let TableError::NoRoom { needed, .. } = error else { return error.into() };
            let same = manifest.disk.size;
            let next = match needed {
                _ if target.size == same => "leave --mend-table out: the same bytes are restored then".to_owned(),
                Some(needed) => format!(
                    "choose a disk of {same} bytes, which gets the same bytes, or of {needed} bytes or more"
                ),
                None => format!("choose a disk of {same} bytes, which gets the same bytes"),
            };
            OperationError::refused(format!("{}: {error}", target.identity()), next)
        })
    }

    /// What of before would show through on the target.
    fn stale(&self, kept: &Extents) -> Stale {
        let Self { state, transfers, scope, .. } = self;
        let (scope, manifest) = (*scope, self.content.manifest);
        let place = |start: u64, size: u64| Extent { start, end: start.saturating_add(size) };
        let own = &state.survey.table;
        let (volumes, replaced) = match scope {
            Scope::Disk => {
                let all = manifest.table.data_partitions().filter_map(|it| match &self.relaid {
                    Some(relaid) => {
                        relaid.layout.position(it.number).map(|new| (new.start, new.size))
                    }
                    None => Some((it.start, it.size)),
                });
                stale::volumes(state, all.map(|(start, size)| place(start, size)), scope, kept)
            }
            Scope::Volume => stale::volumes(state, std::iter::empty(), scope, kept),
            Scope::Partitions => {
                let restored = own
                    .data_partitions()
                    .filter(|it| transfers.iter().any(|transfer| transfer.to == it.start));
                stale::volumes(state, restored.map(|it| place(it.start, it.size)), scope, kept)
            }
        };
        Stale::find(state, &smaller::certain(transfers, &self.shrinks), &volumes, &replaced)
    }
}
