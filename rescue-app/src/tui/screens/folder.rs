//! A repository in a folder whose path is typed: a network share, or a disk that is mounted already.

use std::path::PathBuf;
use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::Goal;
use super::create::{Create, Target};
use super::open::Open;
use crate::console;
use crate::tui::key::Key;
use crate::tui::look::Look;
use crate::tui::model::{Location, Repository};
use crate::tui::page::{Action, Context, Hint, Page, open};
use crate::tui::widgets::{Field, Lines};

/// The form: a path, and for a capture whether the repository is new.
pub(super) struct Folder {
    goal: Goal,
    path: Field,
    new: bool,
    complaint: Option<&'static str>,
}

impl Folder {
    /// An empty form.
    pub(super) fn new(goal: Goal) -> Self {
        Self { goal, path: Field::new("/"), new: false, complaint: None }
    }

    fn choose(&mut self) -> Action {
        let path = PathBuf::from(self.path.text().trim());
        if !path.is_absolute() || path.parent().is_none() {
            self.complaint = Some("Type a whole path, such as /mnt/backup/lifeboat.");
            return Action::None;
        }
        self.complaint = None;
        if self.new {
            return open(Create::new(self.goal.clone(), Target::Folder(path)));
        }
        let repository = Repository {
            title: console::path(&path),
            location: Location::Folder(path),
            passphrase: None,
            disk: None,
        };
        open(Open::new(self.goal.clone(), repository))
    }
}

impl Page for Folder {
    fn title(&self) -> String {
        format!("{}: repository in a folder", self.goal.title())
    }

    fn hints(&self) -> Vec<Hint> {
        let mut hints = vec![("Enter", "Continue")];
        if self.goal.stores() {
            hints.push(("Tab", "New or existing"));
        }
        hints.extend([("F1", "Help"), ("Esc", "Back")]);
        hints
    }

    fn help(&self) -> &'static [&'static str] {
        &["Type the path of the repository's folder. Use this for a network share or another \
             place that you have mounted in the shell."]
    }

    fn takes_text(&self) -> bool {
        true
    }

    fn on_key(&mut self, key: Key, _context: &Context) -> Action {
        if self.path.on_key(key) {
            return Action::None;
        }
        match key {
            Key::Enter => return self.choose(),
            Key::Tab | Key::BackTab if self.goal.stores() => self.new = !self.new,
            _ => {}
        }
        Action::None
    }

    fn render(&self, area: Rect, buffer: &mut Buffer, look: Look, _now: Duration) {
        let mut lines = Lines::new(area.width);
        lines.text("Path of the folder:", look.heading()).line("").line("");
        if self.goal.stores() {
            let mark = if self.new { "[x]" } else { "[ ]" };
            lines.item(mark, "Create a new repository in it (Tab)", Style::new());
        }
        if let Some(complaint) = self.complaint {
            lines.gap().text(complaint, look.warning());
        }
        for (y, line) in (area.y..area.bottom()).zip(lines.finish()) {
            buffer.set_line(area.x, y, &line, area.width);
        }
        if area.height > 1 {
            let field = Rect { y: area.y + 1, height: 1, ..area };
            self.path.render(true, field, buffer, look);
        }
    }
}
