//! The main menu.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::Goal;
use super::disks::{Disks, Purpose};
use super::places::Places;
use super::question::Question;
use crate::tui::key::Key;
use crate::tui::look::Look;
use crate::tui::page::{Action, Context, Exit, Hint, Page, open};
use crate::tui::widgets::{Cursor, Lines, Row, rows, text};

/// What an entry does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    Capture,
    Restore,
    Clone,
    Verify,
    Images,
    Leave(Exit),
}

struct Item {
    letter: char,
    name: &'static str,
    text: &'static str,
    choice: Choice,
}

const WORK: [Item; 5] = [
    Item {
        letter: 'C',
        name: "Capture",
        text: "Store a disk as an image. The disk is only read.",
        choice: Choice::Capture,
    },
    Item {
        letter: 'R',
        name: "Restore",
        text: "Write an image back to a disk.",
        choice: Choice::Restore,
    },
    Item {
        letter: 'L',
        name: "Clone",
        text: "Write a disk to another disk, without an image.",
        choice: Choice::Clone,
    },
    Item {
        letter: 'V',
        name: "Verify",
        text: "Check that stored images are whole.",
        choice: Choice::Verify,
    },
    Item {
        letter: 'I',
        name: "Images",
        text: "List, inspect and forget images.",
        choice: Choice::Images,
    },
];

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
    cursor: Cursor,
    /// What the open question would do.
    pending: Option<Exit>,
}

impl Home {
    /// The menu of a started boot medium, or of the program on a running system.
    pub(in crate::tui) fn new(boot_medium: bool) -> Self {
        let work = WORK.into_iter();
        let items =
            if boot_medium { work.chain(MACHINE).collect() } else { work.chain(PROGRAM).collect() };
        Self { items, cursor: Cursor::default(), pending: None }
    }

    fn choose(&mut self, index: usize) -> Action {
        self.cursor.index = index;
        match self.items.get(index).map(|item| item.choice) {
            Some(Choice::Capture) => open(Disks::new(Purpose::Capture)),
            Some(Choice::Restore) => open(Places::new(Goal::Restore)),
            Some(Choice::Clone) => open(Disks::new(Purpose::Clone)),
            Some(Choice::Verify) => open(Places::new(Goal::Verify)),
            Some(Choice::Images) => open(Places::new(Goal::Images)),
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
             Clone writes a disk to another one. Verify reads stored images and checks every byte.",
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
        let letter = key.letter();
        let found =
            self.items.iter().position(|item| Some(item.letter.to_ascii_lowercase()) == letter);
        found.map_or(Action::None, |index| self.choose(index))
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
        let columns = usize::from(area.width);
        let list: Vec<Row> = self
            .items
            .iter()
            .enumerate()
            .map(|(index, item)| {
                let room = columns.saturating_sub(20);
                let row = Row::new(Line::from(vec![
                    Span::styled(format!("{}  ", item.letter), look.key()),
                    Span::styled(text::left(item.name, 12), look.heading()),
                    Span::raw(text::left(item.text, room)),
                ]));
                if index == WORK.len() { row.under(vec![Line::default()]) } else { row }
            })
            .collect();
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
