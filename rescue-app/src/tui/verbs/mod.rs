//! What can be done from the menu. Each verb is one file: its words, and its pages in their order.

mod browse;
mod capture;
mod clone;
mod images;
mod restore;
mod stick;
mod tools;
mod verify;
mod write;

use super::screens::Item;

/// The entries of the main menu.
pub(super) const MENU: [Item; 6] =
    [capture::ITEM, restore::ITEM, clone::ITEM, verify::ITEM, images::ITEM, tools::ITEM];
