//! How much work goes into making the image small.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::operation::{Compression, Survey};
use crate::tui::key::Key;
use crate::tui::look::Look;
use crate::tui::model::Repository;
use crate::tui::page::{Action, Context, Hint, Page, Then};
use crate::tui::widgets::{Cursor, Lines, choices};

/// All levels, in the order shown.
const LEVELS: [Compression; 3] = [Compression::Fast, Compression::Balanced, Compression::Small];

/// The choice among them.
pub(in crate::tui) struct Level {
    disk: Survey,
    repository: Repository,
    cursor: Cursor,
    then: Then<Compression>,
}

impl Level {
    /// The choice for a capture of `disk` into `repository`, at the usual level.
    pub(in crate::tui) fn new(
        disk: Survey,
        repository: Repository,
        then: Then<Compression>,
    ) -> Self {
        let usual = Compression::default();
        let index = LEVELS.iter().position(|level| *level == usual).unwrap_or(0);
        Self { disk, repository, cursor: Cursor { index }, then }
    }

    fn choose(&self) -> Action {
        self.then.go(LEVELS.get(self.cursor.index).copied().unwrap_or_default())
    }
}

fn description(level: Compression) -> (&'static str, &'static str) {
    match level {
        Compression::Fast => ("F  Fast", "Least work: for slow processors and fast disks."),
        Compression::Balanced => ("B  Balanced", "The usual choice: small images at good speed."),
        Compression::Small => ("S  Small", "Smallest images: for slow links and little space."),
    }
}

impl Page for Level {
    fn title(&self) -> String {
        "Capture: choose the compression".into()
    }

    fn hints(&self) -> Vec<Hint> {
        vec![("↑↓", "Move"), ("Enter", "Choose"), ("F/B/S", "Choose"), ("Esc", "Back")]
    }

    fn help(&self) -> &'static [&'static str] {
        &["All levels store the same data; they differ in time and size only. Images of \
             different levels share what they have in common."]
    }

    fn on_key(&mut self, key: Key, context: &Context) -> Action {
        let count = LEVELS.len();
        if self.cursor.on_key(key, count, usize::from(context.body.height)) {
            return Action::None;
        }
        let index = match key.letter() {
            Some('f') => 0,
            Some('b') => 1,
            Some('s') => 2,
            _ if key == Key::Enter => self.cursor.index,
            _ => return Action::None,
        };
        self.cursor.index = index;
        self.choose()
    }

    fn render(&self, area: Rect, buffer: &mut Buffer, look: Look, _now: Duration) {
        let mut top = Lines::new(area.width);
        top.fact("Disk", &self.disk.line());
        top.fact("Repository", &self.repository.title);
        let list = LEVELS.iter().map(|choice| description(*choice));
        choices(&top.finish(), list, self.cursor, area, (buffer, look));
    }
}
