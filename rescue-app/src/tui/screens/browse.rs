//! The files of an image.

use std::collections::BTreeSet;
use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;

use super::file_text::FileText;
use super::waiting::{failure_lines, waiting};
use crate::operation::{Browsed, BrowsedFile, BrowsedVolume, ImagePlace, ImageSummary, format};
use crate::tui::key::Key;
use crate::tui::look::Look;
use crate::tui::machine::{Reply, Request};
use crate::tui::model::{Failure, Repository};
use crate::tui::page::{Action, Context, Hint, Page, Then, ask, open};
use crate::tui::widgets::{Cursor, Field, Lines, Row, below, draw_lines, rows, text};
use crate::volume::EntryKind;

/// Columns of a size, and of a time.
const SIZE: usize = 9;
const TIME: usize = 16;

/// Files of an image that were chosen.
pub(in crate::tui) type Picked = (Repository, ImageSummary, Vec<ImagePlace>);

/// What is asked for while a page waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Listing,
    Searching,
    Reading,
}

/// A folder, and what is ticked anywhere in the image.
pub(in crate::tui) struct Browse {
    repository: Repository,
    image: ImageSummary,
    copy: Then<Picked>,
    place: ImagePlace,
    shown: Option<Browsed>,
    failure: Option<Failure>,
    /// What was looked for, while the hits are shown.
    found: Option<String>,
    cursor: Cursor,
    /// Places of the cursor in the folders above.
    above: Vec<usize>,
    /// Volumes and paths.
    ticked: BTreeSet<String>,
    /// The name to look for is being typed.
    asking: Option<Field>,
    work: Option<Work>,
}

impl Browse {
    /// The volumes of `image`, once the page is in view.
    pub(in crate::tui) fn new(
        repository: Repository,
        image: ImageSummary,
        copy: Then<Picked>,
    ) -> Self {
        let place = ImagePlace { image: image.id.clone(), ..ImagePlace::default() };
        Self {
            repository,
            image,
            copy,
            place,
            shown: None,
            failure: None,
            found: None,
            cursor: Cursor::default(),
            above: Vec::new(),
            ticked: BTreeSet::new(),
            asking: None,
            work: None,
        }
    }

    fn volumes(&self) -> &[BrowsedVolume] {
        match &self.shown {
            Some(Browsed::Volumes(volumes)) => volumes,
            _ => &[],
        }
    }

    fn files(&self) -> &[BrowsedFile] {
        match &self.shown {
            Some(Browsed::Files(files)) => files,
            _ => &[],
        }
    }

    fn count(&self) -> usize {
        self.volumes().len() + self.files().len()
    }

    /// The place of a path that begins with a volume.
    fn at(&self, path: &str) -> ImagePlace {
        let Ok(place) = format!("{}:{path}", self.image.id).parse();
        place
    }

    fn list(&mut self) -> Action {
        (self.shown, self.failure, self.found) = (None, None, None);
        self.work = Some(Work::Listing);
        ask(Request::Browse(self.repository.clone(), self.place.clone()))
    }

    fn enter(&mut self) -> Action {
        if let Some(volume) = self.volumes().get(self.cursor.index) {
            let place = self.at(&volume.name);
            return self.go_to(place);
        }
        let Some(file) = self.files().get(self.cursor.index) else { return Action::None };
        let place = self.at(&file.path);
        match file.kind {
            EntryKind::Folder => self.go_to(place),
            EntryKind::File => {
                self.work = Some(Work::Reading);
                self.failure = None;
                ask(Request::Peek(self.repository.clone(), place))
            }
            EntryKind::Link | EntryKind::Other => Action::None,
        }
    }

    fn go_to(&mut self, place: ImagePlace) -> Action {
        self.above.push(self.cursor.index);
        self.place = place;
        self.cursor = Cursor::default();
        self.list()
    }

    /// To the folder that was looked at before.
    fn leave(&mut self) -> Action {
        if self.found.is_none() {
            let shorter = self.place.path.rsplit_once('/').map(|(folder, _)| folder.to_owned());
            match (shorter, self.place.path.is_empty(), self.place.volume.is_some()) {
                (Some(folder), ..) => self.place.path = folder,
                (None, false, _) => self.place.path.clear(),
                (None, true, true) => self.place.volume = None,
                (None, true, false) => return Action::Back,
            }
        }
        self.cursor.index = self.above.pop().unwrap_or_default();
        self.list()
    }

    fn tick(&mut self) {
        if let Some(file) = self.files().get(self.cursor.index) {
            let path = file.path.clone();
            if !self.ticked.remove(&path) {
                self.ticked.insert(path);
            }
            self.cursor.on_key(Key::Down, self.count(), 1);
        }
    }

    /// What is ticked, or what is under the cursor.
    fn picked(&self) -> Vec<ImagePlace> {
        if !self.ticked.is_empty() {
            return self.ticked.iter().map(|path| self.at(path)).collect();
        }
        self.files().get(self.cursor.index).map(|file| self.at(&file.path)).into_iter().collect()
    }

    fn copy(&self) -> Action {
        let picked = self.picked();
        if picked.is_empty() {
            return Action::None;
        }
        self.copy.go((self.repository.clone(), self.image.clone(), picked))
    }

    fn search(&mut self, name: String) -> Action {
        self.above.push(self.cursor.index);
        self.cursor = Cursor::default();
        (self.shown, self.failure) = (None, None);
        self.work = Some(Work::Searching);
        self.found = Some(name.clone());
        ask(Request::FindFiles(self.repository.clone(), self.place.clone(), name))
    }

    fn rows(&self, columns: usize, look: Look) -> Vec<Row> {
        let volumes = self.volumes().iter().map(|volume| volume_row(volume, columns, look));
        let start = match (&self.found, &self.place.volume) {
            // Of hits the whole path, of what is in a folder the name.
            (Some(_), _) | (None, None) => 0,
            (None, Some(volume)) if self.place.path.is_empty() => volume.len() + 1,
            (None, Some(volume)) => volume.len() + 1 + self.place.path.len() + 1,
        };
        let files = self.files().iter().map(|file| {
            let name = file.path.get(start..).unwrap_or(&file.path);
            file_row(file, name, self.ticked.contains(&file.path), columns, look)
        });
        volumes.chain(files).collect()
    }

    fn head(&self) -> String {
        match &self.found {
            Some(name) => format!("\"{name}\" in {}", self.where_it_is()),
            None => self.where_it_is(),
        }
    }

    fn where_it_is(&self) -> String {
        match &self.place.volume {
            None => "all volumes".into(),
            Some(volume) => format!("{volume}/{}", self.place.path),
        }
    }
}

fn volume_row(volume: &BrowsedVolume, columns: usize, look: Look) -> Row {
    let name = text::left(&volume.name, columns.saturating_sub(SIZE + 6));
    let row = Row::new(format!("    {name}{}", text::right(&format::size(volume.size), SIZE)));
    match &volume.problem {
        None => row,
        Some(problem) => {
            let problem = text::clip(&format!("      {problem}"), columns);
            row.with(Line::styled(problem, look.warning()))
        }
    }
}

fn file_row(file: &BrowsedFile, name: &str, ticked: bool, columns: usize, look: Look) -> Row {
    let tick = if ticked { "[x]" } else { "[ ]" };
    let (name, style) = match (file.kind, &file.target) {
        (EntryKind::Folder, _) => (format!("{name}/"), look.heading()),
        (EntryKind::Link, Some(target)) => (format!("{name} -> {target}"), Style::new()),
        _ => (name.to_owned(), Style::new()),
    };
    let size = if file.kind == EntryKind::File { format::size(file.size) } else { String::new() };
    let modified = file.modified.map(|time| {
        let time = time.to_offset(time::UtcOffset::UTC);
        format!("{} {:02}:{:02}", time.date(), time.hour(), time.minute())
    });
    let room = columns.saturating_sub(SIZE + TIME + 9);
    let line = format!(
        "{tick} {} {}  {}",
        text::left(&name, room),
        text::right(&size, SIZE),
        text::left(&modified.unwrap_or_default(), TIME),
    );
    let row = Row::new(Line::styled(line, style));
    match &file.problem {
        None => row,
        Some(problem) => {
            let problem = text::clip(&format!("      {problem}"), columns);
            row.with(Line::styled(problem, look.warning()))
        }
    }
}

impl Page for Browse {
    fn title(&self) -> String {
        format!("Image {}: files", self.image.short_id())
    }

    fn hints(&self) -> Vec<Hint> {
        if self.asking.is_some() {
            return vec![("Enter", "Find"), ("Esc", "Close")];
        }
        let mut hints = vec![("↑↓", "Move"), ("Enter", "Open")];
        if !self.files().is_empty() {
            hints.push(("Space", "Tick"));
        }
        if !self.picked().is_empty() {
            hints.push(("C", "Copy"));
        }
        hints.extend([("F", "Find"), ("Esc", "Up")]);
        hints
    }

    fn help(&self) -> &'static [&'static str] {
        &[
            "Enter opens a folder, or shows the beginning of a file. Esc goes back to the folder above, and from the \
             volumes to the image.",
            "Space ticks files and folders, in any folder; C copies what is ticked, or what is under the cursor, to \
             a partition of your choice. Nothing that is there is overwritten.",
            "F finds files below this folder by a part of their names, or with * and ? by all of it.",
            "Files are read without mounting anything. What cannot be read, such as files that Windows encrypted, is \
             said of each.",
        ]
    }

    fn takes_text(&self) -> bool {
        self.asking.is_some()
    }

    fn on_open(&mut self) -> Action {
        if self.shown.is_some() { Action::None } else { self.list() }
    }

    fn on_escape(&mut self) -> Action {
        if self.asking.take().is_some() {
            return Action::None;
        }
        if self.work.is_some() { Action::Cancel } else { self.leave() }
    }

    fn on_reply(&mut self, reply: Reply, _context: &Context) -> Action {
        self.work = None;
        match reply {
            Reply::Browsed(Ok(shown)) => {
                self.shown = Some(shown);
                self.cursor.index = self.cursor.index.min(self.count().saturating_sub(1));
            }
            Reply::Peeked(Ok(text)) => {
                let name = self.files().get(self.cursor.index).map(|file| file.path.clone());
                return open(FileText::new(name.unwrap_or_default(), text));
            }
            Reply::Browsed(Err(failure)) | Reply::Peeked(Err(failure)) => {
                self.failure = Some(failure);
            }
            _ => {}
        }
        Action::None
    }

    fn on_key(&mut self, key: Key, context: &Context) -> Action {
        if self.work.is_some() {
            return Action::None;
        }
        if let Some(field) = &mut self.asking {
            if key == Key::Enter && !field.text().trim().is_empty() {
                let name = field.text().trim().to_owned();
                self.asking = None;
                return self.search(name);
            }
            field.on_key(key);
            return Action::None;
        }
        if self.cursor.on_key(key, self.count(), usize::from(context.body.height / 2)) {
            return Action::None;
        }
        match key {
            Key::Enter | Key::Right => self.enter(),
            Key::Left | Key::Backspace => self.leave(),
            Key::Char(' ') => {
                self.tick();
                Action::None
            }
            Key::Char('c' | 'C') => self.copy(),
            Key::Char('f' | 'F' | '/') => {
                self.asking = Some(Field::new(""));
                Action::None
            }
            _ => Action::None,
        }
    }

    fn is_busy(&self) -> bool {
        self.work.is_some()
    }

    fn render(&self, area: Rect, buffer: &mut Buffer, look: Look, now: Duration) {
        let mut top = Lines::new(area.width);
        top.text(&self.head(), look.heading());
        if !self.ticked.is_empty() {
            top.text(&format!("{} ticked", self.ticked.len()), look.frame());
        }
        if let Some(failure) = &self.failure {
            failure_lines(&mut top, failure, look);
        }
        let mut top = top.finish();
        match self.work {
            Some(Work::Listing) => top.extend(waiting("Reading the folder", now)),
            Some(Work::Searching) => top.extend(waiting("Looking through all folders", now)),
            Some(Work::Reading) => top.extend(waiting("Reading the file", now)),
            None if self.count() == 0 && self.failure.is_none() => {
                top.push(Line::raw(if self.found.is_some() {
                    "Nothing was found."
                } else {
                    "Empty."
                }));
            }
            None => {}
        }
        let rest = below(draw_lines(&top, area, buffer), 1);
        let bottom = u16::from(self.asking.is_some()).min(rest.height);
        let list_area = Rect { height: rest.height - bottom, ..rest };
        let list = self.rows(usize::from(area.width), look);
        rows(&list, (!list.is_empty()).then_some(self.cursor.index), list_area, buffer, look);
        if let Some(field) = &self.asking {
            let line = Rect { y: rest.bottom() - bottom, height: bottom, ..rest };
            buffer.set_stringn(line.x, line.y, "Name:", usize::from(line.width), look.heading());
            let indent = 6.min(line.width);
            let place = Rect { x: line.x + indent, width: line.width - indent, ..line };
            field.render(true, place, buffer, look);
        }
    }
}
