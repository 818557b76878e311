//! A repository in a folder whose path is typed: a network share, or a disk that is mounted already.

use std::path::PathBuf;
use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::create::{Create, Target};
use super::errand::Errand;
use super::open::Open;
use crate::console;
use crate::store::Location;
use crate::tui::key::Key;
use crate::tui::look::Look;
use crate::tui::model::Repository;
use crate::tui::page::{Action, Context, Hint, Page, open};
use crate::tui::widgets::{Did, Form, FormRow, Lines, draw_lines};

/// The rows of the form, top down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Path,
    New,
}

/// The form: a path, and for a capture whether the repository is new.
pub(super) struct Folder {
    errand: Errand,
    form: Form<Part>,
    complaint: Option<&'static str>,
}

impl Folder {
    /// An empty form.
    pub(super) fn new(errand: Errand) -> Self {
        let mut rows = vec![FormRow::text(Part::Path, "Folder", "/").end()];
        if errand.stores() {
            rows.push(FormRow::tick(Part::New, "Create a new repository in it", false).end());
        }
        Self { errand, form: Form::new(rows), complaint: None }
    }

    fn choose(&mut self) -> Action {
        let path = PathBuf::from(self.form.typed(Part::Path).trim());
        if !path.is_absolute() || path.parent().is_none() {
            self.complaint = Some("Type a whole path, such as /mnt/backup/lifeboat.");
            return Action::None;
        }
        self.complaint = None;
        if self.form.is_set(Part::New) {
            return open(Create::new(self.errand.clone(), Target::Folder(path)));
        }
        let repository = Repository {
            title: console::path(&path),
            location: Location::Folder(path),
            passphrase: None,
            disk: None,
        };
        open(Open::new(self.errand.clone(), repository))
    }
}

impl Page for Folder {
    fn title(&self) -> String {
        format!("{}: repository in a folder", self.errand.title)
    }

    fn hints(&self) -> Vec<Hint> {
        let mut hints = vec![("Enter", "Continue")];
        if self.errand.stores() {
            hints.extend([("↑↓ Tab", "Move"), ("Space", "Tick")]);
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
        if key == Key::Enter {
            return self.choose();
        }
        if self.form.on_key(key) != Did::Nothing {
            self.complaint = None;
        }
        Action::None
    }

    fn render(&self, area: Rect, buffer: &mut Buffer, look: Look, _now: Duration) {
        let rest = self.form.render(true, area, buffer, look);
        let mut lines = Lines::new(area.width);
        if let Some(complaint) = self.complaint {
            lines.text(complaint, look.warning());
        }
        draw_lines(&lines.finish(), rest, buffer);
    }
}
