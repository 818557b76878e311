//! Writing a disk to another one.

use super::super::model::Origin;
use super::super::page::{Action, Then, open};
use super::super::screens::{Disks, Item, Wanted};
use super::write::{self, WriteWords};
use crate::operation::Survey;

/// The entry of the main menu.
pub(super) const ITEM: Item =
    Item::start('L', "Clone", "Write a disk to another disk, without an image.", source);

fn source() -> Action {
    open(Disks::new(Wanted::to_read("Clone: choose the disk to read"), Then::new(target)))
}

fn target(source: Survey) -> Action {
    write::target(Origin::Disk(Box::new(source)), &WORDS)
}

const WORDS: WriteWords = WriteWords {
    stop: "Stop the clone? The target is left half written and will not start a computer. \
           Cloning again with \"compare first\" carries on from here.",
    proven: "The disk is cloned. Every byte was read back and matches what was read.",
    written: "The disk is cloned. It was not read back.",
    next: "Detach one of the two disks before a computer starts from the other: systems tell disks \
           apart by what both of them carry now.",
    source: Some("with this one, which is only read:"),
};
