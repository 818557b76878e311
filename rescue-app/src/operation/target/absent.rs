//! Partitions of the image's table that the restore leaves out: what will be in their places.

use serde::Serialize;

use crate::bytes::Extent;
use crate::image::manifest::Region;

use super::scope::is_stored;
use super::state::TargetState;

/// What a partition that is not restored will hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Remains {
    /// Nothing: its place on the target is empty.
    Empty,
    /// The same partition of the target, as it is.
    Same,
    /// Bytes of the target that were no partition of this size and place.
    Leftovers,
    /// No partition: the table names it no more.
    LeftOut,
}

/// A partition that the restored table names and the restore does not fill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Absent {
    /// Its number.
    pub number: u32,
    /// Whether the image does not hold it; else it was not chosen.
    pub not_in_image: bool,
    /// What will be there.
    pub remains: Remains,
}

impl Absent {
    /// What becomes of the partition in `region`, which is left out, or stands in the table at `place`
    /// only; of a clone it was not chosen.
    pub(in crate::operation) fn find(
        state: &TargetState,
        region: &Region,
        place: Option<Extent>,
        is_clone: bool,
    ) -> Option<Self> {
        let number = region.partition?;
        let table = &state.survey.table;
        let same = table.partition(number).filter(|found| {
            place == Some(Extent { start: found.start, end: found.end() })
                && (found.start, found.size) == (region.start, region.size)
                && table.doubts.is_empty()
        });
        let remains = match (place, same) {
            (None, _) => Remains::LeftOut,
            (Some(place), _) if state.is_blank_at(place) => Remains::Empty,
            (_, Some(_)) => Remains::Same,
            (_, None) => Remains::Leftovers,
        };
        Some(Self { number, not_in_image: !is_stored(region) && !is_clone, remains })
    }

    /// Whether the target lacks it afterwards, as the image does.
    pub(in crate::operation) fn is_missing(&self) -> bool {
        self.not_in_image && self.remains != Remains::Same
    }

    /// "partition 2: not in the image, will be empty".
    pub(in crate::operation) fn sentence(&self) -> String {
        format!("partition {}: {}", self.number, self.text())
    }

    /// "not in the image, will be empty".
    pub(in crate::operation) fn text(&self) -> String {
        let why = if self.not_in_image { "not in the image" } else { "not restored" };
        let what = match self.remains {
            Remains::Empty => "will be empty",
            Remains::Same => "stays as it is",
            Remains::LeftOut => "the target's table will not have it",
            Remains::Leftovers => "its place keeps what is there now, no partition of its own",
        };
        format!("{why}, {what}")
    }
}
