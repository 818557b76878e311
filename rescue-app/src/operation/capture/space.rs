//! How much space an image will take where the repository is.

use serde::Serialize;

use crate::bytes::Extents;
use crate::image::chunks::{ChunkSize, Piece, pieces};
use crate::image::manifest::{DiskIdentity, Region, Stored};
use crate::image::stored::OpenImage;
use crate::operation::error::OperationError;
use crate::operation::format::size;
use crate::operation::images::ImageSummary;
use crate::repository::IndexedRepository;

/// What the format adds to a stored chunk at most, bytes: encryption, pack header, index and tree
/// entry.
const PER_CHUNK: u64 = 32 + 41 + 170 + 67;

/// What an image takes besides its chunks at most, bytes: manifest, trees, snapshot, lock. A
/// badly fragmented filesystem needs the most for its manifest.
const PER_IMAGE: u64 = 1 << 20;

/// What new data shrink to, percent: texts and programs to a third, photographs and films hardly.
const LIKELY_PERCENT: (u64, u64) = (30, 95);

/// The space an image takes and the space there is; all counts are bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Space {
    /// Never more than this: nothing compresses and nothing is known already.
    pub at_most: u64,
    /// Used blocks that the newest image of this disk does not have in use.
    pub fresh: u64,
    /// When that image was made, RFC 3339; `None` when this is the first one.
    pub since: Option<String>,
    /// Least that `fresh` likely takes, by the usual ratios of compression.
    pub likely_least: u64,
    /// Most that `fresh` likely takes. Blocks that changed in place come on top.
    pub likely_most: u64,
    /// Free where the repository is, where the place can tell.
    pub free: Option<u64>,
}

impl Space {
    /// Estimates what storing `regions` of a disk takes in `repo`. `reads` is what is read of each:
    /// the rest of what is stored are holes. `zeros` of these bytes are most likely zero.
    pub(super) fn estimate(
        disk: &DiskIdentity,
        (regions, reads, zeros): (&[Region], &[Extents], u64),
        chunk_size: ChunkSize,
        repo: &IndexedRepository,
    ) -> Result<Self, OperationError> {
        let used: u64 = reads.iter().map(Extents::total).sum();
        let chunks = regions.iter().zip(reads).flat_map(|(region, reads)| {
            pieces(region.start, region.size, chunk_size.bytes(), reads)
                .filter(|piece| matches!(piece, Piece::Chunk { .. }))
        });
        let at_most = used + PER_CHUNK * chunks.count() as u64 + PER_IMAGE;
        let earlier = newest_image(disk, repo)?;
        let known =
            earlier.as_ref().map_or(0, |image| shared((regions, reads), &image.manifest.regions));
        let fresh = used.saturating_sub(known).saturating_sub(zeros);
        let (least, most) = LIKELY_PERCENT;
        Ok(Self {
            at_most,
            fresh,
            since: earlier.map(|image| ImageSummary::of(&image).time),
            likely_least: fresh / 100 * least,
            likely_most: fresh / 100 * most,
            free: repo.store().free_space(),
        })
    }

    /// The estimate in words, for a log.
    pub fn sentence(&self) -> String {
        let free =
            self.free.map_or_else(String::new, |free| format!("; {} free there", size(free)));
        format!("to be stored: at most {}; likely {}{free}", size(self.at_most), self.likely())
    }

    /// What the image likely takes, and why, in words.
    pub fn likely(&self) -> String {
        let (least, most) = LIKELY_PERCENT;
        let range = format!("{} to {}", size(self.likely_least), size(self.likely_most));
        match &self.since {
            None => format!("{range} ({least} to {most} % of what is used)"),
            Some(time) => format!(
                "{range} ({least} to {most} % of {} new since {}, and what changed)",
                size(self.fresh),
                time.get(..10).unwrap_or(time),
            ),
        }
    }

    /// What a person should know when it may not fit.
    pub(super) fn warning(&self) -> Option<String> {
        let free = self.free.filter(|free| *free < self.at_most)?;
        let how = match free {
            free if free < self.likely_least => "is most likely too little",
            free if free < self.likely_most => "may be too little",
            _ => "is likely enough, but not certainly",
        };
        Some(format!(
            "{} free where the images are {how}: the image takes {} at most; if space runs out, \
             what was stored stays and is used when the same is captured again",
            size(free),
            size(self.at_most)
        ))
    }
}

/// The newest image of the same disk that can be read.
fn newest_image(
    disk: &DiskIdentity,
    repo: &IndexedRepository,
) -> Result<Option<OpenImage>, OperationError> {
    let path = format!("/{}", disk.folder());
    let of_this_disk = repo.snapshots()?.snapshots.into_iter().rev();
    let mut images = of_this_disk
        .filter(|file| file.snapshot.paths.contains(&path))
        .filter_map(|file| OpenImage::open(repo, file).ok());
    Ok(images.next())
}

/// Bytes used now that an earlier image has at the same place of the same region.
fn shared((now, reads): (&[Region], &[Extents]), before: &[Region]) -> u64 {
    let same_place = |region: &&Region, other: &Region| {
        (region.start, region.size) == (other.start, other.size) && other.stored != Stored::Nothing
    };
    let shared = now.iter().zip(reads).filter_map(|(region, reads)| {
        let earlier = before.iter().find(|other| same_place(&region, other))?;
        Some(reads.intersection(&earlier.used).total())
    });
    shared.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_may_not_do_is_warned_of_in_three_degrees() {
        let warning = |free| {
            let space = Space {
                at_most: 100,
                likely_least: 30,
                likely_most: 90,
                free: Some(free),
                ..Space::default()
            };
            space.warning().unwrap_or_default()
        };
        assert!(warning(29).contains("most likely too little"));
        assert!(warning(89).contains("may be too little"));
        assert!(warning(99).contains("likely enough, but not certainly"));
        assert_eq!(warning(100), "");
    }
}
