//! Looking at the files of an image, and copying some of them.

use super::super::model::{CopyOrder, Job, Repository};
use super::super::page::{Action, Then, open};
use super::super::screens::{Browse, Destination, Picked, ProgressPage, Words};
use crate::operation::{ImageSummary, Phase, Place};

/// From an image on.
pub(super) fn files((repository, image): (Repository, ImageSummary)) -> Action {
    open(Browse::new(repository, image, Then::new(destination)))
}

fn destination(picked: Picked) -> Action {
    open(Destination::new(Then::new(move |place| copy(picked.clone(), place))))
}

fn copy((repository, image, places): Picked, to: Place) -> Action {
    let what = match places.as_slice() {
        [one] => one.to_string(),
        several => format!("{} files and folders of image {}", several.len(), image.short_id()),
    };
    let left = "What was copied before is in the new folder. The image is unchanged.";
    let words = Words {
        title: "Copy",
        subjects: [what, format!("To    {}, {}", to.title(), to.disk.identity())],
        written: "Copied",
        checking: Phase::Verifying.title(),
        stop: "Stop copying? What was copied stays in the new folder.",
        done: "The files are copied.",
        done_with_warnings: "The files are copied, but for what is named below.",
        next: "",
        work: "Copying",
        left,
        left_half_written: left,
    };
    let order = CopyOrder { repository, image, places, to: Box::new(to) };
    open(ProgressPage::new(Job::Copy(Box::new(order)), words))
}
