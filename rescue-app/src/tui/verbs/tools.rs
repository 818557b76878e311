//! What is seldom needed.

use super::super::model::Job;
use super::super::page::{Action, open};
use super::super::screens::{Item, ProgressPage, Tools, Words};
use super::stick;

/// The entry of the main menu.
pub(super) const ITEM: Item = Item::start('T', "Tools", "Make a stick, check this one.", list);

const TOOLS: [Item; 2] = [
    stick::ITEM,
    Item::start('C', "Check medium", "Read the medium Lifeboat runs from, every byte.", check),
];

fn list() -> Action {
    open(Tools::new(&TOOLS))
}

fn check() -> Action {
    let left = "Nothing was changed.";
    let words = Words {
        title: "Check the medium",
        subjects: ["The medium that Lifeboat was started from".into(), String::new()],
        written: "Written",
        checking: "Reading the medium",
        stop: "Stop checking? Nothing is changed by it.",
        done: "The medium is whole: every byte is as it was built.",
        done_with_warnings: "The medium is whole: every byte is as it was built.",
        next: "",
        work: "The check",
        left,
        left_half_written: left,
    };
    open(ProgressPage::new(Job::CheckMedium, words))
}
