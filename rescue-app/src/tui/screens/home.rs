//! The main menu.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::question::Question;
use crate::tui::key::Key;
use crate::tui::look::Look;
use crate::tui::page::{Action, Context, Exit, Hint, Page, open};
use crate::tui::widgets::{Cursor, Lines, Row, rows, text};

/// Columns of the name of an entry.
const NAME: usize = 14;

/// What an entry does.
#[derive(Clone, Copy)]
enum Choice {
    /// Opens the first page of a verb.
    Start(fn() -> Action),
    /// Leaves the menu.
    Leave(Exit),
}

/// An entry.
#[derive(Clone, Copy)]
pub(in crate::tui) struct Item {
    /// The key that chooses it at once.
    letter: char,
    /// Its name.
    name: &'static str,
    /// What it does, in a line.
    text: &'static str,
    /// What it does.
    choice: Choice,
}

impl Item {
    /// An entry that opens the first page of a verb.
    pub(in crate::tui) const fn start(
        letter: char,
        name: &'static str,
        text: &'static str,
        page: fn() -> Action,
    ) -> Self {
        Self { letter, name, text, choice: Choice::Start(page) }
    }

    /// The entry that a key chooses at once.
    pub(super) fn of_letter(items: &[Self], key: Key) -> Option<usize> {
        let letter = key.letter();
        items.iter().position(|item| Some(item.letter.to_ascii_lowercase()) == letter)
    }

    /// The page that it opens; none where it leaves the menu.
    pub(super) fn page(&self) -> Action {
        match self.choice {
            Choice::Start(page) => page(),
            Choice::Leave(_) => Action::None,
        }
    }

    /// The entry in a list that is `columns` wide.
    pub(super) fn row(&self, columns: u16, look: Look) -> Row {
        let room = usize::from(columns).saturating_sub(8 + NAME);
        Row::new(Line::from(vec![
            Span::styled(format!("{}  ", self.letter), look.key()),
            Span::styled(text::left(self.name, NAME), look.heading()),
            Span::raw(text::left(self.text, room)),
        ]))
    }
}

const MACHINE: [Item; 3] = [
    Item {
        letter: 'S',
        name: "Shell",
        text: "A command line; \"exit\" returns here.",
        choice: Choice::Leave(Exit::Shell),
    },
    Item {
        letter: 'B',
        name: "Reboot",
        text: "Start this computer again.",
        choice: Choice::Leave(Exit::Reboot),
    },
    Item {
        letter: 'P',
        name: "Power off",
        text: "Switch this computer off.",
        choice: Choice::Leave(Exit::PowerOff),
    },
];

const PROGRAM: [Item; 1] = [Item {
    letter: 'Q',
    name: "Quit",
    text: "Leave Lifeboat.",
    choice: Choice::Leave(Exit::Quit),
}];

/// The main menu.
pub(in crate::tui) struct Home {
    items: Vec<Item>,
    /// How many of them are verbs.
    verbs: usize,
    cursor: Cursor,
    /// What the open question would do.
    pending: Option<Exit>,
}

impl Home {
    /// The menu with these verbs, of a started boot medium or of the program on a running system.
    pub(in crate::tui) fn new(verbs: &[Item], boot_medium: bool) -> Self {
        let others = if boot_medium { &MACHINE[..] } else { &PROGRAM[..] };
        let items = [verbs, others].concat();
        Self { items, verbs: verbs.len(), cursor: Cursor::default(), pending: None }
    }

    fn choose(&mut self, index: usize) -> Action {
        self.cursor.index = index;
        match self.items.get(index).map(|item| item.choice) {
            Some(Choice::Start(start)) => start(),
            Some(Choice::Leave(exit @ (Exit::Reboot | Exit::PowerOff))) => {
                self.pending = Some(exit);
                open(leaving(exit))
            }
            Some(Choice::Leave(exit)) => Action::Leave(exit),
            None => Action::None,
        }
    }
}

fn leaving(exit: Exit) -> Question {
    let verb = if exit == Exit::Reboot { "Reboot" } else { "Power off" };
    Question::new(verb, &format!("{verb} this computer now?"), verb, "Stay")
}

impl Page for Home {
    fn title(&self) -> String {
        "Main menu".into()
    }

    fn hints(&self) -> Vec<Hint> {
        vec![("↑↓", "Move"), ("Enter", "Choose"), ("letter", "Choose at once")]
    }

    fn help(&self) -> &'static [&'static str] {
        &[
            "Lifeboat stores whole disks as images and writes them back.",
            "Capture reads a disk and stores what is in use. Restore writes an image to a disk. \
             Clone writes a disk to another one. Verify reads stored images and checks every byte. \
             Tools makes further sticks and checks this one.",
            "Images live in repositories: folders on any disk. Lifeboat finds them by itself.",
            "Nothing is written to a disk until you have seen what will happen and agreed by typing.",
            "Keys: arrows, Page Up and Page Down, Home and End move; Enter chooses; Esc goes back; \
             Ctrl-L draws the screen afresh.",
        ]
    }

    fn on_key(&mut self, key: Key, context: &Context) -> Action {
        if self.cursor.on_key(key, self.items.len(), usize::from(context.body.height)) {
            return Action::None;
        }
        if key == Key::Enter {
            return self.choose(self.cursor.index);
        }
        Item::of_letter(&self.items, key).map_or(Action::None, |index| self.choose(index))
    }

    fn on_escape(&mut self) -> Action {
        Action::None
    }

    fn on_answer(&mut self, yes: bool) -> Action {
        match self.pending.take() {
            Some(exit) if yes => Action::Leave(exit),
            _ => Action::None,
        }
    }

    fn render(&self, area: Rect, buffer: &mut Buffer, look: Look, _now: Duration) {
        let row = |(index, item): (usize, &Item)| {
            let row = item.row(area.width, look);
            if index == self.verbs { row.under(vec![Line::default()]) } else { row }
        };
        let list: Vec<Row> = self.items.iter().enumerate().map(row).collect();
        let top = u16::from(area.height > 12);
        let height = u16::try_from(list.len() + 1).unwrap_or(u16::MAX);
        let list_area = Rect { y: area.y + top, height: area.height - top, ..area };
        rows(&list, Some(self.cursor.index), list_area, buffer, look);
        promise(Rect { y: area.y + top + height + 1, ..area }, area.bottom(), buffer, look);
    }
}

/// The promise that makes trying things safe, at the bottom if there is room.
fn promise(area: Rect, bottom: u16, buffer: &mut Buffer, look: Look) {
    let mut lines = Lines::new(area.width);
    lines.text(
        "No disk is written to before you have seen the plan and agreed to it.",
        look.frame(),
    );
    let lines = lines.finish();
    let height = u16::try_from(lines.len()).unwrap_or(u16::MAX);
    if area.y.saturating_add(height) > bottom {
        return;
    }
    for (y, line) in (bottom - height..bottom).zip(&lines) {
        buffer.set_line(area.x, y, line, area.width);
    }
}
