//! A new repository: its folder, and whether its images are secret.

use std::path::PathBuf;
use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::errand::Errand;
use super::waiting::failure_lines;
use crate::console;
use crate::operation::{Passphrase, Place, format};
use crate::store::Location;
use crate::tui::key::Key;
use crate::tui::look::Look;
use crate::tui::machine::{Reply, Request};
use crate::tui::model::{Failure, Repository};
use crate::tui::page::{Action, Context, Hint, Page, ask};
use crate::tui::widgets::{Did, Form, FormRow, Lines, draw_lines, spinner};

/// Folder of a new repository, unless another is typed.
const USUAL_FOLDER: &str = "lifeboat";

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
    Place,
    Folder,
    Secret,
    Open,
    First,
    Second,
    Create,
}

/// The form.
pub(super) struct Create {
    errand: Errand,
    target: Target,
    form: Form<Part>,
    /// Why it cannot be created as it stands.
    complaint: Option<Failure>,
    creating: Option<Repository>,
}

impl Create {
    /// An empty form.
    pub(super) fn new(errand: Errand, target: Target) -> Self {
        let mut rows = vec![FormRow::heading(Part::Place, &place(&target)).end()];
        if matches!(target, Target::Place(_)) {
            rows.push(FormRow::text(Part::Folder, "Folder", USUAL_FOLDER).end());
        }
        let open = "No passphrase: whoever has the disk can read the images";
        rows.extend([
            FormRow::choice(Part::Secret, "With a passphrase: the images are secret", true),
            FormRow::choice(Part::Open, open, false).end(),
            FormRow::secret(Part::First, "Passphrase"),
            FormRow::secret(Part::Second, "Once more").end(),
            FormRow::button(Part::Create, "Create the repository").end(),
        ]);
        Self { errand, target, form: Form::new(rows), complaint: None, creating: None }
    }

    /// The repository as the form describes it, or what is wrong with the form.
    fn repository(&self) -> Result<Repository, &'static str> {
        let passphrase = match (self.form.typed(Part::First), self.form.typed(Part::Second)) {
            _ if !self.form.is_set(Part::Secret) => None,
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
                let folder = inside(self.form.typed(Part::Folder))?;
                Repository {
                    title: format!("{} ({})", console::path(&folder), place.title()),
                    location: place.location(folder),
                    passphrase,
                    disk: Some(place.disk.path.clone()),
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
                if self.form.typed(Part::First) != self.form.typed(Part::Second) {
                    self.form.put(Part::Second, "");
                }
                Action::None
            }
        }
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

/// Where the repository will be.
fn place(target: &Target) -> String {
    match target {
        Target::Place(place) => {
            let free = place.free.map(|free| format!(", {} free", format::size(free)));
            format!("Partition: {}{}", place.title(), free.unwrap_or_default())
        }
        Target::Folder(path) => format!("Folder: {}", console::path(path)),
    }
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
        format!("{}: new repository", self.errand.title)
    }

    fn hints(&self) -> Vec<Hint> {
        let mut hints = vec![("↑↓ Tab", "Move"), ("Enter", self.form.enter("Create"))];
        hints.extend(self.form.hint());
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
        match self.form.on_key(key) {
            Did::Chose(Part::Create) => return self.create(),
            Did::Chose(part) => {
                for row in [Part::First, Part::Second] {
                    self.form.show(row, part == Part::Secret);
                }
                if key == Key::Enter {
                    self.form.leave_choice();
                }
            }
            Did::Moved | Did::Nothing => {}
        }
        Action::None
    }

    fn on_reply(&mut self, reply: Reply, _context: &Context) -> Action {
        match (reply, self.creating.take()) {
            (Reply::Done(Ok(())), Some(repository)) => {
                self.errand.then.go((repository, Vec::new())).replacing()
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
        let rest = self.form.render(self.creating.is_none(), area, buffer, look);
        draw_lines(&self.remark(area.width, look, now), rest, buffer);
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
