//! Filesystems that are made smaller before anything is written to the target.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use nix::unistd::{AccessFlags, access, geteuid};

use crate::bytes::{Extents, OverlayRoom, ReadAt, free_space};
use crate::console;
use crate::image::manifest::Manifest;
use crate::operation::error::{Doing, OperationError};
use crate::operation::format::size as human;
use crate::progress::{Control, Phase, available_memory};
use crate::resize::{self, Shrink, Shrunk};
use crate::transfer::{Rewritten, Transfer, written};
use crate::volume::Kind;

use super::plan::TargetPlan;

/// How programs make filesystems that the kernel mounts (fuse(4)).
const FUSE: &str = "/dev/fuse";

/// Of the memory that programs may have, one part in so many is taken.
const MEMORY: u64 = 3;

/// What of a filesystem stays where it is, whatever becomes of the rest, bytes: its first superblock.
const HEAD: u64 = 64 << 10;

/// Those of the regions that the transfers would cut off.
///
/// # Errors
/// Refuses where the program is missing, or room for what has to be kept apart.
pub(super) fn find(
    manifest: &Manifest,
    transfers: &[Transfer],
    room: &OverlayRoom,
) -> Result<Vec<Shrink>, OperationError> {
    let found = transfers.iter().filter_map(|transfer| {
        let region = manifest.regions.iter().find(|region| region.start == transfer.from)?;
        Shrink::find(region, transfer.len)
    });
    let found: Vec<Shrink> = found.collect();
    for shrink in &found {
        if let Some(tool) = shrink.programs().find(|program| !resize::is_there(program)) {
            return Err(OperationError::refused(
                format!("{tool}, which makes {} smaller, is not installed", shrink.name()),
                "install it, or choose a disk on which all partitions keep their sizes",
            ));
        }
    }
    if let Some(shrink) = found.iter().find(|it| it.is_mounted())
        && !geteuid().is_root()
    {
        return Err(OperationError::refused(
            format!("{} is mounted to make it smaller, which root alone may do", shrink.name()),
            "run it as root (sudo), or choose a disk on which it keeps its size",
        ));
    }
    if found.iter().any(|shrink| !shrink.is_moved()) && !Path::new(FUSE).exists() {
        return Err(OperationError::refused(
            format!("filesystems are made smaller through FUSE, and there is no {FUSE}"),
            "load the kernel's module fuse, or choose a disk on which all partitions keep their sizes",
        ));
    }
    refuse_lack_of_room(&found, room)?;
    Ok(found)
}

fn refuse_lack_of_room(shrinks: &[Shrink], room: &OverlayRoom) -> Result<(), OperationError> {
    let needed: u64 = shrinks.iter().map(|shrink| shrink.scratch).sum();
    let OverlayRoom { memory, folder: Some(scratch) } = room else { return Ok(()) };
    let memory = *memory;
    if needed <= memory {
        return Ok(());
    }
    let folder = console::path(scratch);
    let free = free_space(scratch).map_err(|error| {
        OperationError::refused(format!("{folder}: {error}"), "name another folder with --scratch")
    })?;
    if needed - memory <= free {
        return Ok(());
    }
    Err(OperationError::refused(
        format!(
            "about {} have to be kept apart while filesystems are made smaller: {} of memory and {} in \
             {folder} do not hold that",
            human(needed),
            human(memory),
            human(free)
        ),
        "name a folder with more room with --scratch, or choose a larger disk",
    ))
}

/// What a person should know before.
pub(super) fn notices(shrinks: &[Shrink]) -> impl Iterator<Item = String> + '_ {
    shrinks.iter().map(|shrink| {
        let Shrink { kind, tool, scratch, .. } = shrink;
        let then = match kind {
            Kind::Ntfs => "; Windows checks it at its first start",
            _ => "",
        };
        let how = match shrink.is_made_anew() {
            true => "anew and smaller, with its UUID and all files,",
            false => "smaller",
        };
        format!(
            "{} is made {how} by {tool} before anything is written, for which up to {} are kept apart{then}",
            shrink.name(),
            human(*scratch)
        )
    })
}

/// The transfers, of which those of filesystems that are made smaller write only what does not move.
pub(super) fn certain(transfers: &[Transfer], shrinks: &[Shrink]) -> Vec<Transfer> {
    let each = transfers.iter().map(|transfer| {
        let Transfer { from, used, .. } = transfer;
        match shrinks.iter().any(|shrink| shrink.start == *from) {
            true => {
                let used = used.intersection(&Extents::of(*from, from + HEAD));
                Transfer { used, ..transfer.clone() }
            }
            false => transfer.clone(),
        }
    });
    each.collect()
}

impl TargetPlan {
    /// All that is written, as offsets on the target.
    pub(super) fn written(&self) -> Extents {
        let parts = self.rewritten.iter().flat_map(Rewritten::on_target);
        let parts = Extents::from(parts.map(|part| (part.start, part.len())).collect::<Vec<_>>());
        written(&self.transfers).union(&parts)
    }

    /// How much is written of filesystems that were made smaller besides what did not move.
    pub(in crate::operation) fn rewritten_bytes(&self) -> u64 {
        self.rewritten.iter().map(|it| it.parts.total()).sum()
    }

    /// What is read of the source: of a filesystem that is made smaller all that it uses.
    pub(in crate::operation) fn needed(&self) -> &[Transfer] {
        self.needed.as_deref().unwrap_or(&self.transfers)
    }

    /// The plan with filesystems that are as small as they have to be: `disk` is the source.
    ///
    /// # Errors
    /// When one cannot be made so small, with the partition and the cause; the target was not touched.
    pub(in crate::operation) fn with_smaller(
        &self,
        disk: impl FnOnce() -> Arc<dyn ReadAt>,
        control: Control<'_>,
    ) -> Result<Cow<'_, Self>, OperationError> {
        if self.shrinks.is_empty() {
            return Ok(Cow::Borrowed(self));
        }
        control.phase(Phase::Shrinking);
        let (disk, mut plan) = (disk(), self.clone());
        // All of them are kept until they are written.
        let memory = self.room.memory / self.shrinks.len() as u64;
        let room = OverlayRoom { memory, ..self.room.clone() };
        for shrink in &self.shrinks {
            let doing =
                || format!("making {} smaller (nothing was written to the target)", shrink.name());
            let to = self.transfers.iter().find(|transfer| transfer.from == shrink.start);
            let place = (to.map_or(0, |transfer| transfer.to), self.target.logical_sector);
            let disk = Arc::clone(&disk);
            let made = resize::shrink(shrink, disk, place, room.clone(), control.cancel);
            let made = made.map_err(OperationError::from).doing(doing)?;
            made.warnings.iter().for_each(|warning| control.warn(warning.clone()));
            plan.take(made);
        }
        plan.preview.writes =
            plan.transfers.iter().map(|it| it.used.total()).sum::<u64>() + plan.rewritten_bytes();
        Ok(Cow::Owned(plan))
    }

    /// Writes what was made of a filesystem instead of what the source has.
    fn take(&mut self, made: Shrunk) {
        let Shrunk { start, bytes, used, changed, warnings } = made;
        self.smaller_warnings.extend(warnings);
        let Some(transfer) = self.transfers.iter_mut().find(|it| it.from == start) else { return };
        let as_it_was = used.without(&changed);
        let as_it_was = as_it_was.iter().map(|part| (start + part.start, part.len()));
        transfer.used = Extents::from(as_it_was.collect::<Vec<_>>());
        transfer.is_cut = true;
        let parts = used.intersection(&changed);
        self.rewritten.push(Rewritten { to: transfer.to, bytes, parts });
    }
}

/// Room for what is kept apart: in memory, and unless a person named a folder beside the images, whose
/// place is not in memory as the rest of the boot medium is.
pub(super) fn room(named: Option<&Path>, images: Option<&Path>) -> OverlayRoom {
    let writable = images.filter(|folder| access(*folder, AccessFlags::W_OK).is_ok());
    let folder = named.or(writable).map_or_else(std::env::temp_dir, Path::to_owned);
    OverlayRoom { memory: available_memory() / MEMORY, folder: Some(folder) }
}
