//! Writing an image to a disk.

use super::super::model::{Origin, Repository};
use super::super::page::Action;
use super::super::screens::{Item, Purpose};
use super::images;
use super::write::{self, WriteWords};
use crate::operation::ImageSummary;

/// The entry of the main menu.
pub(super) const ITEM: Item = Item::start('R', "Restore", "Write an image back to a disk.", place);

fn place() -> Action {
    images::list("Restore", Purpose::Restore)
}

/// From the choice of the target on.
pub(super) fn target((repository, image): (Repository, ImageSummary)) -> Action {
    let (image, repository) = (Box::new(image), Box::new(repository));
    write::target(Origin::Image { image, repository }, &WORDS)
}

const WORDS: WriteWords = WriteWords {
    stop: "Stop the restore? The target is left half written and will not start a computer. \
           Restoring again with \"compare first\" carries on from here.",
    proven: "The disk is restored. Every byte was read back and matches the image.",
    written: "The disk is restored. It was not read back.",
    next: "You can now start a computer from this disk.",
    source: None,
};
