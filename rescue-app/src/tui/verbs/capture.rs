//! Capturing a disk.

use super::super::model::{CaptureOrder, Job, Repository};
use super::super::page::{Action, Then, open};
use super::super::screens::{
    CapturePlanPage, Disks, Errand, Item, Level, Partitions, Places, ProgressPage, Unlock, Wanted,
    Words,
};
use crate::operation::{Keys, Survey};

/// The entry of the main menu.
pub(super) const ITEM: Item =
    Item::start('C', "Capture", "Store a disk as an image. The disk is only read.", disk);

/// What was chosen so far.
#[derive(Clone)]
struct Draft {
    disk: Survey,
    partitions: Option<Vec<u32>>,
    keys: Keys,
}

fn disk() -> Action {
    let wanted = Wanted::to_read("Capture: choose the disk to store");
    open(Disks::new(wanted, Then::new(partitions)))
}

fn partitions(disk: Survey) -> Action {
    let draft = Draft { disk, partitions: None, keys: Keys::new() };
    if draft.disk.volumes.iter().all(|volume| volume.partition.is_none()) {
        return unlock(draft);
    }
    let disk = draft.disk.clone();
    let then = move |partitions| unlock(Draft { partitions, ..draft.clone() });
    open(Partitions::new(disk, Then::new(then)))
}

fn unlock(draft: Draft) -> Action {
    let (disk, partitions) = (draft.disk.clone(), draft.partitions.clone());
    let then = move |keys| place(Draft { keys, ..draft.clone() });
    Unlock::each(disk, partitions.as_deref(), Then::new(then))
}

fn place(draft: Draft) -> Action {
    let source = Some(Box::new(draft.disk.clone()));
    let then = Then::new(move |(repository, _)| level(draft.clone(), repository));
    open(Places::new(Errand { title: "Capture", source, then }))
}

fn level(draft: Draft, repository: Repository) -> Action {
    let (disk, to) = (draft.disk.clone(), repository.clone());
    let then = move |level| {
        let Draft { disk, partitions, keys } = draft.clone();
        let mut order = CaptureOrder::new(disk, partitions, keys, repository.clone());
        order.args.level = level;
        open(CapturePlanPage::new(order, Then::new(run)))
    };
    open(Level::new(disk, to, Then::new(then)))
}

fn run(order: CaptureOrder) -> Action {
    let words = words(&order);
    open(ProgressPage::new(Job::Capture(Box::new(order)), words))
}

fn words(order: &CaptureOrder) -> Words {
    let done = "The disk is stored, and what was stored has been checked.";
    let left = "Images stored earlier are whole. What was stored so far is used when you capture this \
                disk again.";
    Words {
        title: "Capture",
        subjects: [
            format!("From  {}", order.disk.line()),
            format!("To    {}", order.repository.title),
        ],
        written: "Stored",
        checking: "Checking what was stored",
        stop: "Stop the capture? Images stored earlier stay whole. Capturing the same disk again \
               carries on from here.",
        done,
        done_with_warnings: done,
        next: "You can capture this disk again at any time: only what changed is stored.",
        work: "The capture",
        left,
        left_half_written: left,
    }
}
