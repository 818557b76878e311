//! Reading stored images and checking every byte.

use super::super::model::{Job, Repository};
use super::super::page::{Action, open};
use super::super::screens::{Item, ProgressPage, Purpose, Words};
use super::images;
use crate::operation::{ImageSummary, Phase};

/// The entry of the main menu.
pub(super) const ITEM: Item =
    Item::start('V', "Verify", "Check that stored images are whole.", place);

fn place() -> Action {
    images::list("Verify", Purpose::Verify)
}

/// Verifies an image, or all when there is none.
pub(super) fn run((repository, image): (Repository, Option<ImageSummary>)) -> Action {
    let what = image.as_ref().map_or_else(|| "All images".into(), ImageSummary::line);
    let words = Words {
        title: "Verify",
        done: "Everything is whole: every byte was read and matches its hash.",
        done_with_warnings: "What is stored is whole: every byte was read and matches its hash.",
        next: "",
        ..checking(what, &repository)
    };
    let image = image.map(Box::new);
    open(ProgressPage::new(Job::Verify { repository, image }, words))
}

/// Looks at the structure of a repository.
pub(super) fn check(repository: Repository) -> Action {
    let done = "All files are there and fit together.";
    let words = Words {
        title: "Check",
        done,
        done_with_warnings: done,
        next: "Verify reads all data as well, which takes longer.",
        ..checking("All files".into(), &repository)
    };
    open(ProgressPage::new(Job::Check { repository }, words))
}

/// What both of them say; only reading, they leave nothing behind.
fn checking(what: String, repository: &Repository) -> Words {
    let left = "Nothing was changed.";
    Words {
        title: "",
        subjects: [what, format!("In    {}", repository.title)],
        written: "Written",
        checking: Phase::Verifying.title(),
        stop: "Stop checking? Nothing is changed by it.",
        done: "",
        done_with_warnings: "",
        next: "",
        work: "The check",
        left,
        left_half_written: left,
    }
}
