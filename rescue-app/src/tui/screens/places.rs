//! Where images live: repositories that were found, and partitions that could hold a new one.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;

use super::create::{Create, Target};
use super::errand::Errand;
use super::folder::Folder;
use super::open::Open;
use super::prepare::Prepare;
use super::stick::StickPage;
use super::waiting::{failure_lines, waiting};
use crate::console;
use crate::operation::{FoundRepository, Place, Survey, format, stick_room};
use crate::tui::key::Key;
use crate::tui::look::Look;
use crate::tui::machine::{Reply, Request};
use crate::tui::model::{Failure, Places as Found, Repository};
use crate::tui::page::{Action, Context, Hint, Page, ask, open};
use crate::tui::widgets::{Cursor, Lines, Row, below, draw_lines, rows, text};

/// The list of places.
pub(in crate::tui) struct Places {
    errand: Errand,
    places: Option<Result<Found, Failure>>,
    cursor: Cursor,
    /// A repository may have been created since the search.
    outdated: bool,
}

/// What a row of the list stands for.
#[derive(Clone, Copy)]
enum Entry<'a> {
    Found(&'a Place, &'a FoundRepository),
    New(&'a Place),
    /// The running stick, of which most bytes are no partition yet.
    Rest(&'a Survey, u64),
    /// A disk that nothing can be stored on as it is.
    Bare(&'a Survey),
    Typed,
}

impl Places {
    /// A list for this errand; the search starts when it opens.
    pub(in crate::tui) fn new(errand: Errand) -> Self {
        Self { errand, places: None, cursor: Cursor::default(), outdated: false }
    }

    /// Whether images may be stored in or read from `place` now.
    fn refusal(&self, place: &Place) -> Option<String> {
        let source = self.errand.source.as_ref().map(|disk| disk.path());
        if source == Some(&place.disk.path) {
            return Some("it is on the disk to be stored".into());
        }
        if place.problem.is_some() {
            return place.problem.clone();
        }
        (source.is_some() && !place.writable)
            .then(|| "this filesystem cannot be written to here".into())
    }

    fn all(&self) -> Option<&Found> {
        self.places.as_ref().and_then(|places| places.as_ref().ok())
    }

    fn found(&self) -> &[Place] {
        self.all().map_or(&[], |all| &all.found)
    }

    /// The disks that could be erased and made a place for the image.
    fn bare(&self) -> impl Iterator<Item = &Survey> {
        let Some(source) = &self.errand.source else { return Vec::new().into_iter() };
        let is_bare = |disk: &&Survey| {
            disk.target_refusal().is_none()
                && disk.path() != source.path()
                && !self.usable().any(|place| place.disk.path == disk.path())
        };
        let disks = self.all().map_or(&[][..], |all| &all.disks).iter();
        disks.filter(is_bare).collect::<Vec<_>>().into_iter()
    }

    /// The stick that Lifeboat was started from, when it has no partition for images, or none any more.
    fn rest(&self) -> Option<Entry<'_>> {
        let source = self.errand.source.as_ref().map(|disk| disk.path());
        let mut disks = self.all()?.disks.iter().filter(|disk| Some(disk.path()) != source);
        disks.find_map(|disk| Some(Entry::Rest(disk, stick_room(disk)?)))
    }

    fn usable(&self) -> impl Iterator<Item = &Place> {
        self.found().iter().filter(|place| self.refusal(place).is_none())
    }

    fn entries(&self) -> Vec<Entry<'_>> {
        let mut entries = Vec::new();
        if self.errand.stores() {
            entries.extend(self.rest());
        }
        for place in self.usable() {
            entries.extend(place.repositories.iter().map(|found| Entry::Found(place, found)));
            if self.errand.stores() {
                entries.push(Entry::New(place));
            }
        }
        if !self.errand.stores() {
            entries.extend(self.rest());
        }
        entries.extend(self.bare().map(Entry::Bare));
        entries.push(Entry::Typed);
        entries
    }

    fn choose(&mut self) -> Action {
        let action = match self.entries().get(self.cursor.index) {
            Some(Entry::Found(place, found)) => {
                return open(Open::new(self.errand.clone(), repository(place, found)));
            }
            Some(Entry::New(place)) => {
                let target = Target::Place(Box::new((*place).clone()));
                open(Create::new(self.errand.clone(), target))
            }
            Some(Entry::Rest(disk, _)) => {
                open(StickPage::rest_of((*disk).clone(), self.errand.clone()))
            }
            Some(Entry::Bare(disk)) => open(Prepare::new(self.errand.clone(), (*disk).clone())),
            Some(Entry::Typed) => open(Folder::new(self.errand.clone())),
            None => return Action::None,
        };
        self.outdated = true;
        action
    }

    /// Goes to the disk under the cursor that could be prepared, or to the first one.
    fn prepare(&mut self) -> Action {
        let entries = self.entries();
        let is_bare =
            |entry: Option<&Entry<'_>>| matches!(entry, Some(Entry::Bare(_) | Entry::Rest(..)));
        let first = entries.iter().position(|entry| is_bare(Some(entry)));
        let here = self.cursor.index;
        let here = is_bare(entries.get(here)).then_some(here);
        let Some(index) = here.or(first) else { return Action::None };
        self.cursor.index = index;
        self.choose()
    }

    fn search(&mut self) -> Action {
        self.places = None;
        self.outdated = false;
        ask(Request::Places)
    }

    /// What was looked at in vain, and why.
    fn remarks(&self, columns: u16, look: Look) -> Vec<Line<'static>> {
        let mut lines = Lines::new(columns);
        if let Some(Err(failure)) = &self.places {
            failure_lines(&mut lines, failure, look);
        }
        let found = self.found();
        let repositories = found.iter().any(|place| !place.repositories.is_empty());
        if !repositories && matches!(&self.places, Some(Ok(_))) {
            let text = if self.errand.stores() {
                "No images were found on this machine: choose where to start a new repository. A disk \
                 that is plugged in now is found with R."
            } else {
                "No images were found on this machine. Plug in the disk that holds them, then \
                 press R."
            };
            lines.text(text, look.warning());
        }
        for place in found {
            if let Some(refusal) = self.refusal(place) {
                let text = format!("{}, {}: {refusal}", place.title(), place.disk.identity());
                lines.item("-", &text, Style::new());
            }
        }
        lines.finish()
    }

    fn rows(&self, columns: usize, look: Look) -> Vec<Row> {
        let mut last: Option<&Place> = None;
        let mut list = Vec::new();
        for entry in self.entries() {
            let mut place = None;
            let (lines, row) = match entry {
                Entry::Found(found_in, found) => {
                    place = Some(found_in);
                    (Vec::new(), Row::new(Line::raw(found_text(found, columns))))
                }
                Entry::New(new_in) => {
                    place = Some(new_in);
                    (Vec::new(), Row::new("  New repository here"))
                }
                Entry::Rest(disk, size) => {
                    let heading = text::clip(&disk.line(), columns.saturating_sub(4));
                    let heading = Line::styled(heading, look.heading());
                    let row = match self.errand.stores() {
                        true => format!("N  Use the rest of this stick: {}", format::size(size)),
                        false => "N  Find what an earlier Lifeboat stored on this stick".into(),
                    };
                    (vec![heading, Line::raw("Lifeboat was started from it")], Row::new(row))
                }
                Entry::Bare(disk) => {
                    let row = Row::new("N  Prepare it for images (erases it)");
                    (bare_lines(disk, columns, look), row)
                }
                Entry::Typed => (Vec::new(), Row::new("F  Another folder: type its path")),
            };
            let same = place.is_some_and(|p| last.is_some_and(|l| l.device == p.device));
            let mut heading = Vec::new();
            if !same && !list.is_empty() {
                heading.push(Line::default());
            }
            if let Some(place) = place.filter(|_| !same) {
                heading.extend(place_lines(place, columns, look));
            }
            heading.extend(lines);
            last = place;
            list.push(row.under(heading));
        }
        list
    }
}

/// A disk that could be prepared, and why it is of no use as it is.
fn bare_lines(disk: &Survey, columns: usize, look: Look) -> Vec<Line<'static>> {
    let room = columns.saturating_sub(4);
    vec![
        Line::styled(text::clip(&disk.line(), room), look.heading()),
        Line::raw(text::clip(&disk.holds(), room)),
    ]
}

fn repository(place: &Place, found: &FoundRepository) -> Repository {
    Repository {
        location: place.location(found.folder.clone()),
        title: format!("{} ({})", console::path(&found.folder), place.title()),
        passphrase: None,
        disk: Some(place.disk.path.clone()),
    }
}

fn found_text(found: &FoundRepository, columns: usize) -> String {
    let images = match found.snapshots {
        Some(1) => "1 image".into(),
        Some(count) => format!("{count} images"),
        None => String::new(),
    };
    let folder = console::path(&found.folder);
    let folder = if folder.is_empty() { "(whole partition)".into() } else { folder };
    let room = columns.saturating_sub(18);
    format!("  {} {}", text::left(&folder, room), text::right(&images, 11))
}

pub(super) fn place_lines(place: &Place, columns: usize, look: Look) -> Vec<Line<'static>> {
    let kind = &place.volume.content;
    let disk = place.disk.identity();
    let free = match place.free {
        Some(free) => format!("{} free of {}", format::size(free), format::size(place.volume.size)),
        None => format::size(place.volume.size),
    };
    let room = columns.saturating_sub(4);
    let first = format!("{}  {kind}  {free}", place.title());
    let mut lines = Vec::new();
    if text::width(&first) + 3 + text::width(&disk) <= room {
        lines.push(Line::styled(format!("{first}   {disk}"), look.heading()));
    } else {
        lines.push(Line::styled(text::clip(&first, room), look.heading()));
        lines.push(Line::raw(text::clip(&disk, room)));
    }
    lines
}

impl Page for Places {
    fn title(&self) -> String {
        if self.errand.stores() {
            format!("{}: choose where the image goes", self.errand.title)
        } else {
            format!("{}: choose where the images are", self.errand.title)
        }
    }

    fn hints(&self) -> Vec<Hint> {
        let mut hints = vec![("↑↓", "Move"), ("Enter", "Choose")];
        if self.bare().next().is_some() || self.rest().is_some() {
            hints.push(("N", "Prepare"));
        }
        hints.extend([("R", "Search"), ("F", "Folder"), ("Esc", "Back")]);
        hints
    }

    fn help(&self) -> &'static [&'static str] {
        &[
            "Images live in repositories: folders that many images share, so that what is the \
             same is stored once.",
            "Every partition of every disk is looked at, read-only. A partition is opened for \
             writing only once you have chosen it for a new image.",
            "A disk without a filesystem that images can be stored on can be prepared: N erases it and \
             makes one. What it holds is shown, and its serial number asked for, before anything is \
             written.",
            "A stick that was written with the ISO alone has room behind it: N makes that a partition for \
             images, or finds the one again that was there.",
            "Repositories are in the format of restic: stock restic on any system reads them.",
        ]
    }

    fn on_open(&mut self) -> Action {
        if self.places.is_some() && !self.outdated {
            return Action::None;
        }
        self.search()
    }

    fn on_reply(&mut self, reply: Reply, _context: &Context) -> Action {
        if let Reply::Places(places) = reply {
            self.places = Some(places);
            self.cursor = Cursor::default();
        }
        Action::None
    }

    fn on_key(&mut self, key: Key, context: &Context) -> Action {
        let count = self.entries().len();
        if self.cursor.on_key(key, count, usize::from(context.body.height / 3)) {
            return Action::None;
        }
        match key {
            Key::Enter => self.choose(),
            Key::Char('f' | 'F') => {
                self.outdated = true;
                open(Folder::new(self.errand.clone()))
            }
            Key::Char('n' | 'N') => self.prepare(),
            Key::Char('r' | 'R') if self.places.is_some() => self.search(),
            _ => Action::None,
        }
    }

    fn is_busy(&self) -> bool {
        self.places.is_none()
    }

    fn render(&self, area: Rect, buffer: &mut Buffer, look: Look, now: Duration) {
        let remarks = if self.places.is_none() {
            waiting("Looking for images on all partitions, read-only", now)
        } else {
            self.remarks(area.width, look)
        };
        let most = usize::from(area.height / 2);
        let height = u16::try_from(remarks.len().min(most)).unwrap_or(0);
        let list_area = Rect { height: area.height - height, ..area };
        let list = self.rows(usize::from(area.width), look);
        rows(&list, Some(self.cursor.index), list_area, buffer, look);
        draw_lines(&remarks, below(area, list_area.height), buffer);
    }
}
