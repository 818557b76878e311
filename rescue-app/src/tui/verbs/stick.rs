//! Making a stick that Lifeboat starts from.

use super::super::model::{Job, StickOrder};
use super::super::page::{Action, Then, open};
use super::super::screens::{Disks, Item, ProgressPage, StickPage, Wanted, Words};
use crate::operation::Phase;

/// The entry of the list of tools.
pub(super) const ITEM: Item =
    Item::start('M', "Make a stick", "Write Lifeboat to a USB stick, with room for images.", disk);

fn disk() -> Action {
    let wanted = Wanted::erased("Make a stick: choose the disk to erase");
    let then = |disk| open(StickPage::new(disk, Then::new(run)));
    open(Disks::new(wanted, Then::new(then)))
}

fn run(order: StickOrder) -> Action {
    let left = "It is not complete and starts no computer. The same again completes it.";
    let words = Words {
        title: "Make a stick",
        subjects: [format!("From  {}", order.from()), format!("To    {}", order.disk.line())],
        written: "Written",
        checking: Phase::Verifying.title(),
        stop: "Stop? The stick is not complete then and starts no computer. Its images, if it had any, \
               stay whole. The same again completes it.",
        done: "The stick is made. Every byte was read back and matches.",
        done_with_warnings: "The stick is made. Every byte was read back and matches.",
        next: "Start a computer from it. It is the first place for images there.",
        work: "Making the stick",
        left,
        left_half_written: left,
    };
    open(ProgressPage::new(Job::Stick(Box::new(order)), words))
}
