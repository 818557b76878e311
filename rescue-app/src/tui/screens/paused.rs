//! What the page of a running capture shows while the place of the images is full.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;

use crate::operation::{Shortage, format};
use crate::tui::key::Key;
use crate::tui::look::Look;
use crate::tui::page::Hint;
use crate::tui::widgets::{Cursor, Lines, Row, draw_lines, rows};

/// What a person can choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    TryAgain,
    Ways,
    Stop,
}

/// The choices in order, with their keys, names and what they mean.
const CHOICES: [(Choice, char, &str, &str); 3] = [
    (
        Choice::TryAgain,
        't',
        "T  Try again",
        "Once there is space: it goes on from here and reads nothing twice.",
    ),
    (Choice::Ways, 'm', "M  More space", "What can be done to make space."),
    (
        Choice::Stop,
        's',
        "S  Stop the capture",
        "What is stored stays and is used when this disk is captured again.",
    ),
];

/// The text behind [`Choice::Ways`].
pub(super) const WAYS: [&str; 4] = [
    "Delete what nobody needs in the place that is full. On the boot medium there is a shell on \
     the second screen: Alt-F2, and Alt-F1 to come back here. Then try again.",
    "Or forget old images: stop the capture, choose Images in the main menu, forget some, and \
     choose \"Free space\" there. Capturing this disk again goes on from what is stored.",
    "Or use another place: stop the capture, and choose a larger disk for the images. The \
     capture begins anew there.",
    "The repository itself is whole all the time, and so are the images in it.",
];

/// A pause and where the cursor is in its choices.
pub(super) struct Paused {
    shortage: Shortage,
    cursor: Cursor,
    trying: bool,
}

impl Paused {
    /// A pause for this reason.
    pub(super) fn new(shortage: Shortage) -> Self {
        Self { shortage, cursor: Cursor::default(), trying: false }
    }

    /// The numbers have changed.
    pub(super) fn update(&mut self, shortage: &Shortage) {
        self.shortage = shortage.clone();
    }

    /// The keys that do something.
    pub(super) fn hints(&self) -> Vec<Hint> {
        vec![("↑↓", "Move"), ("Enter", "Choose"), ("T/M/S", "Choose"), ("Esc", "Stop")]
    }

    /// A key; what it chooses.
    pub(super) fn on_key(&mut self, key: Key) -> Option<Choice> {
        if self.cursor.on_key(key, CHOICES.len(), CHOICES.len()) {
            return None;
        }
        let index = match key.letter() {
            Some(letter) => CHOICES.iter().position(|(_, key, ..)| *key == letter)?,
            None if key == Key::Enter => self.cursor.index,
            None => return None,
        };
        let (choice, ..) = *CHOICES.get(index)?;
        self.trying |= choice == Choice::TryAgain;
        Some(choice)
    }

    /// Draws what is missing, and the choices.
    pub(super) fn render(&self, area: Rect, buffer: &mut Buffer, look: Look) {
        let mut lines = Lines::new(area.width);
        lines.item("!", "The place of the images is full.", look.warning());
        let text = match self.trying {
            true => "Trying again.",
            false => "The capture waits. It goes on when there is space and you say so.",
        };
        lines.text(text, Style::new()).gap();
        lines.fact("Place", &self.shortage.location);
        if let Some(free) = self.shortage.free {
            lines.fact("Free there", &format::size(free));
        }
        let needed = format!("{} at most, usually far less", format::size(self.shortage.needed));
        lines.fact("Still needed", &needed).gap();
        let list = draw_lines(&lines.finish(), area, buffer);
        let list_rows: Vec<Row> = CHOICES
            .iter()
            .map(|(_, _, name, about)| {
                Row::new(*name).with(Line::styled(format!("   {about}"), look.frame()))
            })
            .collect();
        rows(&list_rows, Some(self.cursor.index), list, buffer, look);
    }
}
