//! A new repository: its folder, and whether its images are secret.

use std::path::PathBuf;
use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;

use super::{Goal, failure_lines};
use crate::console;
use crate::operation::{Passphrase, format};
use crate::tui::key::Key;
use crate::tui::look::Look;
use crate::tui::machine::{Reply, Request};
use crate::tui::model::{Failure, Location, Place, Repository};
use crate::tui::page::{Action, Context, Hint, Page, ask};
use crate::tui::widgets::{Field, Lines, spinner};

/// Folder of a new repository, unless another is typed.
const USUAL_FOLDER: &str = "lifeboat";

/// Column of the fields, behind their names.
const FIELD_INDENT: u16 = 15;

/// Where the new repository goes.
#[derive(Clone, Debug)]
pub(super) enum Target {
    /// A folder of a partition, its name still to be typed.
    Place(Box<Place>),
    /// A folder that was typed already.
    Folder(PathBuf),
}

/// The rows of the form, top down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Folder,
    Secret,
    Open,
    First,
    Second,
    Create,
}

/// The form.
pub(super) struct Create {
    goal: Goal,
    target: Target,
    folder: Field,
    secret: bool,
    first: Field,
    second: Field,
    at: Part,
    /// Why it cannot be created as it stands.
    complaint: Option<Failure>,
    creating: Option<Repository>,
}

impl Create {
    /// An empty form.
    pub(super) fn new(goal: Goal, target: Target) -> Self {
        Self {
            goal,
            folder: Field::new(USUAL_FOLDER),
            at: if matches!(target, Target::Place(_)) { Part::Folder } else { Part::Secret },
            target,
            secret: true,
            first: Field::hidden(),
            second: Field::hidden(),
            complaint: None,
            creating: None,
        }
    }

    /// The rows that can be reached now.
    fn parts(&self) -> Vec<Part> {
        let mut parts = vec![Part::Folder, Part::Secret, Part::Open];
        if !matches!(self.target, Target::Place(_)) {
            parts.remove(0);
        }
        if self.secret {
            parts.extend([Part::First, Part::Second]);
        }
        parts.push(Part::Create);
        parts
    }

    fn step(&mut self, forward: bool) {
        let parts = self.parts();
        let index = parts.iter().position(|part| *part == self.at).unwrap_or(0);
        let next = if forward {
            (index + 1) % parts.len()
        } else {
            index.checked_sub(1).unwrap_or(parts.len() - 1)
        };
        self.at = parts.get(next).copied().unwrap_or(Part::Create);
    }

    fn field(&mut self) -> Option<&mut Field> {
        match self.at {
            Part::Folder => Some(&mut self.folder),
            Part::First => Some(&mut self.first),
            Part::Second => Some(&mut self.second),
            _ => None,
        }
    }

    /// The repository as the form describes it, or what is wrong with the form.
    fn repository(&self) -> Result<Repository, &'static str> {
        let passphrase = match (self.first.text(), self.second.text()) {
            _ if !self.secret => None,
            ("", _) => return Err("Type a passphrase, or choose \"No passphrase\"."),
            (first, second) if first != second => {
                return Err("The two passphrases differ. Type them again.");
            }
            (first, _) => Some(Passphrase::new(first)),
        };
        Ok(match &self.target {
            Target::Folder(path) => Repository {
                location: Location::Folder(path.clone()),
                title: console::path(path),
                passphrase,
                disk: None,
            },
            Target::Place(place) => {
                let folder = inside(self.folder.text())?;
                Repository {
                    title: format!("{} ({})", console::path(&folder), place.title()),
                    location: place.location(folder),
                    passphrase,
                    disk: Some(place.disk.clone()),
                }
            }
        })
    }

    fn create(&mut self) -> Action {
        match self.repository() {
            Ok(repository) => {
                self.complaint = None;
                self.creating = Some(repository.clone());
                ask(Request::Create(repository))
            }
            Err(complaint) => {
                self.complaint = Some(Failure { text: complaint.into(), ..Failure::default() });
                if self.secret && self.first.text() != self.second.text() {
                    self.second.clear();
                }
                Action::None
            }
        }
    }

    fn rows(&self, look: Look) -> Vec<FormRow<'_>> {
        let secret = choice(self.secret, "With a passphrase: the images are secret");
        let open = choice(!self.secret, "No passphrase: whoever has the disk can read the images");
        let mut rows = vec![FormRow::new(self.place(), look.heading()).end()];
        if matches!(self.target, Target::Place(_)) {
            rows.push(self.field_row(Part::Folder, "Folder", &self.folder).end());
        }
        rows.push(self.button_row(Part::Secret, &secret, look));
        rows.push(self.button_row(Part::Open, &open, look).end());
        if self.secret {
            rows.push(self.field_row(Part::First, "Passphrase", &self.first));
            rows.push(self.field_row(Part::Second, "Once more", &self.second).end());
        }
        rows.push(self.button_row(Part::Create, "[ Create the repository ]", look).end());
        rows
    }

    /// Where the repository will be.
    fn place(&self) -> String {
        match &self.target {
            Target::Place(place) => {
                let free = place.free.map(|free| format!(", {} free", format::size(free)));
                format!("Partition: {}{}", place.title(), free.unwrap_or_default())
            }
            Target::Folder(path) => format!("Folder: {}", console::path(path)),
        }
    }

    fn mark(&self, part: Part) -> &'static str {
        if self.at == part { "►" } else { " " }
    }

    fn field_row<'a>(&self, part: Part, name: &str, field: &'a Field) -> FormRow<'a> {
        let text = format!("{} {name}", self.mark(part));
        FormRow { field: Some((part, field)), ..FormRow::new(text, Style::new()) }
    }

    fn button_row(&self, part: Part, text: &str, look: Look) -> FormRow<'static> {
        let style = if self.at == part { look.selected() } else { Style::new() };
        FormRow::new(format!("{} {text}", self.mark(part)), style)
    }

    /// What is going on, or what is wrong.
    fn remark(&self, columns: u16, look: Look, now: Duration) -> Vec<Line<'static>> {
        let mut lines = Lines::new(columns);
        if let Some(repository) = &self.creating {
            lines.line(format!("{} Creating {}", spinner(now), repository.title));
        } else if let Some(failure) = &self.complaint {
            failure_lines(&mut lines, failure, look);
        }
        lines.finish()
    }
}

/// A line of the form.
struct FormRow<'a> {
    /// Mark and name, or the whole line.
    text: String,
    style: Style,
    /// A field behind the name.
    field: Option<(Part, &'a Field)>,
    /// An empty line follows where there is room.
    ends_group: bool,
}

impl FormRow<'_> {
    fn new(text: String, style: Style) -> Self {
        Self { text, style, field: None, ends_group: false }
    }

    fn end(self) -> Self {
        Self { ends_group: true, ..self }
    }
}

fn choice(set: bool, text: &str) -> String {
    format!("{} {text}", if set { "(*)" } else { "( )" })
}

/// A folder below the root of a partition.
fn inside(text: &str) -> Result<PathBuf, &'static str> {
    let parts: Vec<&str> =
        text.split('/').map(str::trim).filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.is_empty() {
        return Err("Type a name for the folder.");
    }
    if parts.contains(&"..") {
        return Err("The folder must be on the chosen partition: leave out \"..\".");
    }
    Ok(parts.iter().collect())
}

impl Page for Create {
    fn title(&self) -> String {
        format!("{}: new repository", self.goal.title())
    }

    fn hints(&self) -> Vec<Hint> {
        let enter = if self.at == Part::Create { "Create" } else { "Next" };
        let mut hints = vec![("↑↓ Tab", "Move"), ("Enter", enter)];
        hints.extend(match self.at {
            Part::First => Some(self.first.hint()),
            Part::Second => Some(self.second.hint()),
            _ => None,
        });
        hints.extend([("F1", "Help"), ("Esc", "Back")]);
        hints
    }

    fn help(&self) -> &'static [&'static str] {
        &[
            "A repository is a folder that holds any number of images. What they have in common is \
             stored once.",
            "With a passphrase nobody can read the images without it. There is no way to get at \
             them when it is lost.",
            "Without a passphrase the published word in README.txt beside the repository opens it: \
             whoever has the disk can read the images.",
        ]
    }

    fn takes_text(&self) -> bool {
        true
    }

    fn on_key(&mut self, key: Key, _context: &Context) -> Action {
        if self.creating.is_some() {
            return Action::None;
        }
        if self.field().is_some_and(|field| field.on_key(key)) {
            return Action::None;
        }
        match (key, self.at) {
            (Key::Enter, Part::Create) => return self.create(),
            (Key::Enter | Key::Char(' '), Part::Secret | Part::Open) => {
                self.secret = self.at == Part::Secret;
                if key == Key::Enter {
                    self.at = if self.secret { Part::First } else { Part::Create };
                }
            }
            (Key::Enter | Key::Down | Key::Tab, _) => self.step(true),
            (Key::Up | Key::BackTab, _) => self.step(false),
            _ => {}
        }
        Action::None
    }

    fn on_reply(&mut self, reply: Reply, _context: &Context) -> Action {
        match (reply, self.creating.take()) {
            (Reply::Done(Ok(())), Some(repository)) => {
                Action::Replace(self.goal.next(repository, Vec::new()))
            }
            (Reply::Done(Err(failure)), _) => {
                self.complaint = Some(failure);
                Action::None
            }
            _ => Action::None,
        }
    }

    fn is_busy(&self) -> bool {
        self.creating.is_some()
    }

    fn render(&self, area: Rect, buffer: &mut Buffer, look: Look, now: Duration) {
        let gap = u16::from(area.height > 16);
        let mut y = area.y;
        for row in self.rows(look) {
            if y >= area.bottom() {
                return;
            }
            buffer.set_stringn(area.x, y, &row.text, usize::from(area.width), row.style);
            if let Some((part, field)) = row.field {
                let x = area.x + FIELD_INDENT.min(area.width);
                let field_area = Rect { x, y, width: area.right() - x, height: 1 };
                field.render(self.at == part, field_area, buffer, look);
            }
            y += 1 + if row.ends_group { gap } else { 0 };
        }
        for (y, line) in (y + 1 - gap..area.bottom()).zip(self.remark(area.width, look, now)) {
            buffer.set_line(area.x, y, &line, area.width);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_stays_inside_the_partition() {
        assert_eq!(inside("lifeboat"), Ok(PathBuf::from("lifeboat")));
        assert_eq!(inside("/a//b/"), Ok(PathBuf::from("a/b")));
        assert!(inside("").is_err());
        assert!(inside("/").is_err());
        assert!(inside("../x").is_err());
    }
}
