//! Setting the clock of a machine that has a wrong one.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

use super::entry::{Entry, Typed};
use super::waiting::failure_lines;
use crate::tui::key::Key;
use crate::tui::look::Look;
use crate::tui::machine::{Reply, Request};
use crate::tui::model::Failure;
use crate::tui::page::{Action, Context, Hint, Page, ask};
use crate::tui::widgets::{Field, Lines, below, draw_lines};

const IN_UTC: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]");
const IN_A_ZONE: &[BorrowedFormatItem<'_>] = format_description!(
    "[year]-[month]-[day] [hour]:[minute] [offset_hour sign:mandatory]:[offset_minute]"
);

/// The field for date and time.
pub(super) struct Clock {
    /// What the clock says.
    says: String,
    entry: Entry,
}

impl Clock {
    /// An empty field, for a clock that says this.
    pub(super) fn new(says: String) -> Self {
        Self { says, entry: Entry::new(Field::new("")) }
    }

    fn set(&mut self) -> Action {
        let Some(time) = parse(self.entry.field.text()) else {
            let text = "That is no date and time, such as 2026-11-29 18:50.".into();
            self.entry.failure = Some(Failure { text, ..Failure::default() });
            return Action::None;
        };
        self.entry.working = true;
        ask(Request::SetClock(time))
    }
}

/// A date and time, in UTC unless it names how far its zone is from that.
fn parse(text: &str) -> Option<OffsetDateTime> {
    let text = text.trim();
    let in_utc = text.strip_suffix("UTC").unwrap_or(text).trim_end();
    PrimitiveDateTime::parse(in_utc, IN_UTC)
        .map(PrimitiveDateTime::assume_utc)
        .or_else(|_| OffsetDateTime::parse(text, IN_A_ZONE))
        .ok()
}

impl Page for Clock {
    fn title(&self) -> String {
        "Capture: set the clock".into()
    }

    fn hints(&self) -> Vec<Hint> {
        vec![("Enter", "Set"), ("F1", "Help"), ("Esc", "Back")]
    }

    fn help(&self) -> &'static [&'static str] {
        &[
            "Images are told apart by their times: one that is dated wrongly is taken for older or \
             newer than it is ever after.",
            "UTC is the time of Greenwich without summer time. With another zone behind it, such as \
             +01:00 for Berlin or -05:00 for New York in winter, the time is that of the zone.",
            "Only the running system's clock is set. The computer's own may be in local time for the \
             sake of Windows, and is left alone.",
        ]
    }

    fn takes_text(&self) -> bool {
        true
    }

    fn on_key(&mut self, key: Key, _context: &Context) -> Action {
        match self.entry.on_key(key) {
            Typed::Finished => return self.set(),
            Typed::Changed => self.entry.failure = None,
            Typed::Nothing => {}
        }
        Action::None
    }

    fn on_reply(&mut self, reply: Reply, _context: &Context) -> Action {
        self.entry.on_done(reply)
    }

    fn render(&self, area: Rect, buffer: &mut Buffer, look: Look, _now: Duration) {
        let mut lines = Lines::new(area.width);
        lines.fact("The clock says", &self.says);
        lines.gap().text(
            "Type the date and time, in UTC or with your zone: 2026-11-29 18:50 or \
             2026-11-29 18:50 +01:00.",
            Style::new(),
        );
        lines.gap();
        let rest = draw_lines(&lines.finish(), area, buffer);
        let rest = self.entry.render(rest, buffer, look);
        let mut lines = Lines::new(area.width);
        if let Some(failure) = &self.entry.failure {
            failure_lines(&mut lines, failure, look);
        }
        draw_lines(&lines.finish(), below(rest, 1), buffer);
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn times_are_in_utc_or_say_their_zone() {
        let noon = Some(datetime!(2026-11-29 12:00 UTC));
        for text in ["2026-11-29 12:00", " 2026-11-29 12:00 UTC ", "2026-11-29 13:00 +01:00"] {
            assert_eq!(parse(text), noon, "{text}");
        }
        assert_eq!(parse("2026-11-29 07:00 -05:00"), noon);
        for text in ["", "12:00", "2026-11-31 12:00", "2026-11-29 25:00", "29.11.2026 12:00"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
