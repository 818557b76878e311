//! Which partitions of the disk are captured.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;

use crate::operation::Survey;
use crate::tui::key::Key;
use crate::tui::look::Look;
use crate::tui::page::{Action, Context, Hint, Page, Then};
use crate::tui::widgets::{Cursor, Lines, Row, below, draw_lines, rows, volume_bar, volume_lines};

/// A list of partitions with ticks, all set at first.
pub(in crate::tui) struct Partitions {
    disk: Survey,
    ticked: Vec<bool>,
    cursor: Cursor,
    then: Then<Option<Vec<u32>>>,
}

impl Partitions {
    /// The partitions of `disk`; what follows takes the numbers of those that are ticked, `None` for the
    /// whole disk.
    pub(in crate::tui) fn new(disk: Survey, then: Then<Option<Vec<u32>>>) -> Self {
        Self { ticked: vec![true; disk.volumes.len()], disk, cursor: Cursor::default(), then }
    }

    /// Numbers of the ticked partitions; `None` when all are, which is the whole disk.
    fn chosen(&self) -> Option<Vec<u32>> {
        if self.ticked.iter().all(|ticked| *ticked) {
            return None;
        }
        let volumes = self.disk.volumes.iter().zip(&self.ticked);
        Some(volumes.filter(|(_, ticked)| **ticked).filter_map(|(v, _)| v.partition).collect())
    }

    fn none_ticked(&self) -> bool {
        !self.ticked.contains(&true)
    }

    fn explanation(&self) -> &'static str {
        if self.none_ticked() {
            "Tick at least one partition."
        } else if self.chosen().is_none() {
            "The whole disk is stored: partition table, boot code and all partitions."
        } else {
            "Partition table, boot code and the ticked partitions are stored."
        }
    }
}

impl Page for Partitions {
    fn title(&self) -> String {
        "Capture: choose partitions".into()
    }

    fn hints(&self) -> Vec<Hint> {
        let mut hints = vec![("↑↓", "Move"), ("Space", "Tick"), ("A", "All or none")];
        if !self.none_ticked() {
            hints.push(("Enter", "Continue"));
        }
        hints.push(("Esc", "Back"));
        hints
    }

    fn help(&self) -> &'static [&'static str] {
        &[
            "All partitions are stored unless you untick some. Space that no file uses is left out \
             by itself, so unticking saves little unless a partition is full of things you do not \
             need.",
            "A restore leaves the place of partitions that were not stored as it is.",
        ]
    }

    fn on_key(&mut self, key: Key, context: &Context) -> Action {
        let count = self.disk.volumes.len();
        if self.cursor.on_key(key, count, usize::from(context.body.height)) {
            return Action::None;
        }
        match key {
            Key::Char(' ') => {
                if let Some(ticked) = self.ticked.get_mut(self.cursor.index) {
                    *ticked = !*ticked;
                }
            }
            Key::Char('a' | 'A') => {
                let all = self.ticked.iter().all(|ticked| *ticked);
                self.ticked.fill(!all);
            }
            Key::Enter if !self.none_ticked() => {
                return self.then.go(self.chosen());
            }
            _ => {}
        }
        Action::None
    }

    fn render(&self, area: Rect, buffer: &mut Buffer, look: Look, _now: Duration) {
        let columns = usize::from(area.width);
        let mut top = Lines::new(area.width);
        top.text(&self.disk.line(), look.heading());
        let rest = draw_lines(&top.finish(), area, buffer);
        let bar = Rect { height: 1.min(rest.height), ..rest };
        volume_bar(self.disk.disk.size, &self.disk.volumes, bar, buffer, look);
        let mut bottom = Lines::new(area.width);
        let style = if self.none_ticked() { look.warning() } else { Style::new() };
        bottom.text(self.explanation(), style);
        let bottom = bottom.finish();
        let bottom_height = u16::try_from(bottom.len()).unwrap_or(0);
        let list_y = rest.y + 2;
        let list_bottom = area.bottom().saturating_sub(bottom_height + 1).max(list_y);
        let list: Vec<Row> = self
            .disk
            .volumes
            .iter()
            .zip(&self.ticked)
            .map(|(volume, ticked)| {
                let mark = if *ticked { "[x]" } else { "[ ]" };
                let style = look.content(&volume.content);
                let mut lines = volume_lines(volume, columns.saturating_sub(6)).into_iter();
                let first = format!("{mark} {}", lines.next().unwrap_or_default());
                lines.fold(Row::new(Line::styled(first, style)), |row, line| {
                    row.with(Line::styled(format!("    {line}"), style))
                })
            })
            .collect();
        let list_area = Rect { y: list_y, height: list_bottom - list_y, ..area };
        rows(&list, Some(self.cursor.index), list_area, buffer, look);
        draw_lines(&bottom, below(area, list_bottom + 1 - area.y), buffer);
    }
}
