//! What is seldom needed.

use super::super::page::{Action, open};
use super::super::screens::{Item, Tools};
use super::stick;

/// The entry of the main menu.
pub(super) const ITEM: Item = Item::start('T', "Tools", "Make a stick like this one.", list);

const TOOLS: [Item; 1] = [stick::ITEM];

fn list() -> Action {
    open(Tools::new(&TOOLS))
}
