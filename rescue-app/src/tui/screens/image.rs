//! One image in all its details.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::errand::Opened;
use crate::operation::{ImageSummary, format};
use crate::tui::key::Key;
use crate::tui::look::Look;
use crate::tui::model::Repository;
use crate::tui::page::{Action, Context, Hint, Page, Then};
use crate::tui::widgets::{Document, Lines, volume_bar, volume_lines};

/// What can be done with images, wherever they are shown.
#[derive(Clone)]
pub(in crate::tui) struct Deeds {
    /// Shows the files in one.
    pub(in crate::tui) browse: Then<(Repository, ImageSummary)>,
    /// Writes one to a disk.
    pub(in crate::tui) restore: Then<(Repository, ImageSummary)>,
    /// Reads one, or all, and checks every byte.
    pub(in crate::tui) verify: Then<(Repository, Option<ImageSummary>)>,
    /// Takes one out of the list.
    pub(in crate::tui) forget: Then<(Repository, ImageSummary)>,
    /// Looks at the structure of the repository.
    pub(in crate::tui) check: Then<Repository>,
    /// Removes what no image uses.
    pub(in crate::tui) free: Then<Opened>,
}

/// The page of an image, with what can be done to it.
pub(super) struct ImagePage {
    repository: Repository,
    image: ImageSummary,
    deeds: Deeds,
    document: Document,
}

impl ImagePage {
    /// The page of `image`.
    pub(super) fn new(repository: Repository, image: ImageSummary, deeds: Deeds) -> Self {
        Self { repository, image, deeds, document: Document::default() }
    }

    fn lines(&self, columns: u16, look: Look) -> Vec<Line<'static>> {
        let image = &self.image;
        let mut lines = Lines::new(columns);
        lines.fact("Disk", &image.disk_name);
        lines.fact("Captured", &image.when());
        lines.fact("Size", &format::size(image.size));
        lines.fact("Stored", &format::size(image.used));
        let marks = image.marks();
        if !marks.is_empty() {
            lines.fact("Lacks", &marks.join("; "));
        }
        lines.fact("Repository", &self.repository.title);
        lines.fact("Id", image.id.get(..16).unwrap_or(&image.id));
        lines.gap().text("Partitions", look.heading());
        for partition in &image.partitions {
            let style = look.content(&partition.volume.content);
            for line in volume_lines(&partition.volume, usize::from(columns)) {
                let line = if partition.is_stored() { line } else { format!("{line}  not stored") };
                lines.line(Line::styled(line, style));
            }
        }
        if !image.warnings.is_empty() {
            lines.gap().text("Noted while capturing", look.heading());
        }
        for warning in &image.warnings {
            lines.item("!", warning, look.warning());
        }
        lines.finish()
    }
}

impl Page for ImagePage {
    fn title(&self) -> String {
        format!("Image {}", self.image.short_id())
    }

    fn hints(&self) -> Vec<Hint> {
        vec![
            ("B", "Browse"),
            ("R", "Restore"),
            ("V", "Verify"),
            ("F", "Forget"),
            ("↑↓", "Scroll"),
            ("Esc", "Back"),
        ]
    }

    fn help(&self) -> &'static [&'static str] {
        &[
            "Browse shows the files in the image, and copies some of them to another disk.",
            "Restore writes this image to a disk. Verify reads all its data and checks every byte.",
            "Forget removes the image from the list. Data that other images share stays; the space \
             of the rest is given back by \"Free space\" on the page before.",
        ]
    }

    fn on_key(&mut self, key: Key, context: &Context) -> Action {
        let count = self.lines(context.body.width, Look::PLAIN).len() + 2;
        if self.document.on_key(key, count, context.body.height) {
            return Action::None;
        }
        let (repository, image) = (self.repository.clone(), self.image.clone());
        match key.letter() {
            Some('b') => self.deeds.browse.go((repository, image)),
            Some('r') => self.deeds.restore.go((repository, image)),
            Some('v') => self.deeds.verify.go((repository, Some(image))),
            // The image may be gone afterwards, and its page with it.
            Some('f') => self.deeds.forget.go((repository, image)).replacing(),
            _ => Action::None,
        }
    }

    fn render(&self, area: Rect, buffer: &mut Buffer, look: Look, _now: Duration) {
        let bar = Rect { height: 1.min(area.height), ..area };
        let volumes = self.image.partitions.iter().map(|partition| &partition.volume);
        volume_bar(self.image.size, volumes, bar, buffer, look);
        let rest = Rect { y: area.y + 2, height: area.height.saturating_sub(2), ..area };
        self.document.render(&self.lines(area.width, look), rest, buffer, look);
    }
}
