//! Makes a volume smaller: what lies behind the new end moves into the smallest hole that holds it, and what tells
//! where it is is told the new place.
//!
//! A file in one piece (`NoFatChain`) of which the end has to move gets a chain in the FAT; one that moves whole stays
//! in one piece where there is a hole for it. The allocation bitmap stays in one piece always: Linux reads it so
//! (`fs/exfat/balloc.c`). It is written anew from what files have; clusters that no file has are free then, and so are
//! bad ones: they were those of another disk. The FAT keeps its length, which may be more than the clusters need.
//!
//! Source: Microsoft, "exFAT file system specification".

// Numbers and lengths of clusters were held against the volume's, and fit in 32 bits.
#![allow(clippy::arithmetic_side_effects)]

mod chains;
mod entries;
mod mover;
mod survey;
#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests;

use self::chains::Chains;
use self::mover::Mover;
use self::survey::Survey;
use super::boot_region::FIRST_CLUSTER;
use super::boot_sector;
use crate::bytes::WriteAt;
use crate::progress::Cancel;
use crate::volume::{Doubt, State};

/// Makes the exFAT on `volume` smaller, so that it ends at byte `size`, a multiple of the sector size.
///
/// # Errors
/// What it is about the volume that is not understood, or that what is used does not fit. The volume then may be
/// changed in part.
pub(crate) fn shrink(volume: &dyn WriteAt, size: u64, cancel: &Cancel) -> Result<(), Doubt> {
    let old = boot_sector(volume)?;
    let cut = old.layout.cut(size).filter(|cut| cut.clusters < old.layout.clusters);
    let cut = cut.ok_or_else(|| Doubt::because("it cannot have that size, or is not larger"))?;
    if let State::Dirty(why) = old.state() {
        return Err(Doubt::because(format!("{why}: run chkdsk in Windows, or fsck.exfat")));
    }
    if !old.is_plain() {
        return Err(Doubt::because("it is a TexFAT, with a second allocation table"));
    }
    old.check_regions(volume)?;
    let survey = Survey::of(volume, &old, &cut)?;
    let mut chains = Chains::new(volume, old.fat());
    chains.forget_bad_clusters(cut.clusters)?;
    let mut mover = Mover::new(volume, &cut, survey, chains, cancel)?;
    mover.move_all()?;
    let root = mover.tell_places()?;
    let used = mover.write_bitmap()?;
    old.write_regions(volume, &cut.with_root(root), used)
}
