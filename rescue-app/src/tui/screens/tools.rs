//! A list of what is seldom needed.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::home::Item;
use crate::tui::key::Key;
use crate::tui::look::Look;
use crate::tui::page::{Action, Context, Hint, Page};
use crate::tui::widgets::{Cursor, Row, rows};

/// The list.
pub(in crate::tui) struct Tools {
    items: &'static [Item],
    cursor: Cursor,
}

impl Tools {
    /// A list of these.
    pub(in crate::tui) fn new(items: &'static [Item]) -> Self {
        Self { items, cursor: Cursor::default() }
    }

    fn choose(&mut self, index: usize) -> Action {
        self.cursor.index = index;
        self.items.get(index).map_or(Action::None, Item::page)
    }
}

impl Page for Tools {
    fn title(&self) -> String {
        "Tools".into()
    }

    fn hints(&self) -> Vec<Hint> {
        vec![("↑↓", "Move"), ("Enter", "Choose"), ("letter", "Choose at once"), ("Esc", "Back")]
    }

    fn help(&self) -> &'static [&'static str] {
        &[
            "Make a stick writes Lifeboat to a USB stick, with a partition for images behind it. A stick that \
           had an older Lifeboat keeps its images.",
            "Check medium reads this stick or disc and compares every byte with what was built. Do so when \
           programs fail for no reason, or a stick is old.",
        ]
    }

    fn on_key(&mut self, key: Key, context: &Context) -> Action {
        if self.cursor.on_key(key, self.items.len(), usize::from(context.body.height)) {
            return Action::None;
        }
        if key == Key::Enter {
            return self.choose(self.cursor.index);
        }
        Item::of_letter(self.items, key).map_or(Action::None, |index| self.choose(index))
    }

    fn render(&self, area: Rect, buffer: &mut Buffer, look: Look, _now: Duration) {
        let list: Vec<Row> = self.items.iter().map(|item| item.row(area.width, look)).collect();
        let top = u16::from(area.height > 12);
        let area = Rect { y: area.y + top, height: area.height - top, ..area };
        rows(&list, Some(self.cursor.index), area, buffer, look);
    }
}
