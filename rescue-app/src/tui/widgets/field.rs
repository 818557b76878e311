//! A line of text being typed.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;
use zeroize::Zeroizing;

use super::text;
use crate::tui::key::Key;
use crate::tui::look::Look;
use crate::tui::page::Hint;

/// Longest text that can be typed, in characters.
const LIMIT: usize = 512;

/// A text field.
#[derive(Clone, Default)]
pub(in crate::tui) struct Field {
    text: Zeroizing<String>,
    /// Characters before the cursor.
    at: usize,
    /// Whether it holds a secret.
    secret: bool,
    /// Whether the secret is shown as asterisks.
    hidden: bool,
}

impl Field {
    /// A field with a text in it, the cursor at its end.
    pub(in crate::tui) fn new(text: &str) -> Self {
        let at = text.chars().count();
        Self { text: Zeroizing::new(text.to_owned()), at, ..Self::default() }
    }

    /// A field for a secret, which shows asterisks until the person wants to see what they type:
    /// a long recovery key, or what their keys give on a keyboard of another country.
    pub(in crate::tui) fn hidden() -> Self {
        Self { secret: true, hidden: true, ..Self::default() }
    }

    /// The key that shows or hides the secret, if it is one.
    pub(in crate::tui) fn hint(&self) -> Option<Hint> {
        self.secret.then_some(("F2", if self.hidden { "Show" } else { "Hide" }))
    }

    /// What was typed.
    pub(in crate::tui) fn text(&self) -> &str {
        &self.text
    }

    /// Empties the field.
    pub(in crate::tui) fn clear(&mut self) {
        self.put("");
    }

    /// Has another text in it, the cursor at its end.
    pub(in crate::tui) fn put(&mut self, text: &str) {
        self.text = Zeroizing::new(text.to_owned());
        self.at = self.count();
    }

    fn count(&self) -> usize {
        self.text.chars().count()
    }

    /// Types, and moves the cursor; false for other keys.
    pub(in crate::tui) fn on_key(&mut self, key: Key) -> bool {
        match key {
            Key::Char(c) if self.count() < LIMIT => {
                let (before, after) = self.split(self.at);
                let text = [before, c.encode_utf8(&mut [0; 4]), after].concat();
                (self.text, self.at) = (Zeroizing::new(text), self.at + 1);
            }
            Key::Char(_) => {}
            Key::Backspace if self.at == 0 => {}
            Key::Backspace => {
                self.at -= 1;
                self.remove();
            }
            Key::Delete => self.remove(),
            Key::Left => self.at = self.at.saturating_sub(1),
            Key::Right => self.at = (self.at + 1).min(self.count()),
            Key::Home => self.at = 0,
            Key::End => self.at = self.count(),
            Key::ClearField => self.clear(),
            Key::Reveal => self.hidden = self.secret && !self.hidden,
            _ => return false,
        }
        true
    }

    /// The text before and after a character.
    fn split(&self, at: usize) -> (&str, &str) {
        let byte = self.text.char_indices().nth(at).map_or(self.text.len(), |(byte, _)| byte);
        self.text.split_at(byte)
    }

    /// Removes the character under the cursor.
    fn remove(&mut self) {
        let (before, _) = self.split(self.at);
        let (_, after) = self.split(self.at + 1);
        self.text = Zeroizing::new([before, after].concat());
    }

    /// Draws the field on the first line of `area`, the cursor in view.
    pub(in crate::tui) fn render(&self, active: bool, area: Rect, buffer: &mut Buffer, look: Look) {
        if area.is_empty() {
            return;
        }
        let room = usize::from(area.width).saturating_sub(1);
        let start = self.at.saturating_sub(room);
        let visible = self.text.chars().skip(start).take(room);
        let shown: Zeroizing<String> =
            Zeroizing::new(visible.map(|c| if self.hidden { '*' } else { c }).collect());
        buffer.set_string(area.x, area.y, "_".repeat(usize::from(area.width)), look.frame());
        let (end, _) = buffer.set_stringn(area.x, area.y, shown.as_str(), room, look.heading());
        // Characters may be two columns wide.
        let before = shown.chars().take(self.at - start).collect::<String>();
        let x = area.x.saturating_add(u16::try_from(text::width(&before)).unwrap_or(u16::MAX));
        if active && x < area.right() {
            let cell = &mut buffer[(x, area.y)];
            if x >= end {
                cell.set_char(' ').set_style(look.heading());
            }
            cell.modifier.insert(Modifier::REVERSED);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hidden_field_shows_only_how_much_was_typed() {
        let mut field = Field::hidden();
        for c in "tide".chars() {
            assert!(field.on_key(Key::Char(c)));
        }
        field.on_key(Key::Backspace);
        let mut buffer = Buffer::empty(Rect::new(0, 0, 6, 1));
        let look = Look::PLAIN;
        field.render(true, buffer.area, &mut buffer, look);
        let shown: String = (0..6).map(|x| buffer[(x, 0)].symbol()).collect();
        assert_eq!(shown, "*** __");
        assert_eq!(field.text(), "tid");
        field.on_key(Key::Reveal);
        field.render(true, buffer.area, &mut buffer, look);
        assert_eq!(buffer[(2, 0)].symbol(), "d");
        field.on_key(Key::ClearField);
        assert_eq!(field.text(), "");
        assert!(!field.on_key(Key::Enter));
    }

    #[test]
    fn the_cursor_moves_within_the_text() {
        let mut field = Field::new("büro");
        field.on_key(Key::Home);
        field.on_key(Key::Right);
        field.on_key(Key::Delete);
        field.on_key(Key::Char('u'));
        assert_eq!(field.text(), "buro");
        field.on_key(Key::Left);
        field.on_key(Key::Left);
        field.on_key(Key::Left);
        field.on_key(Key::Backspace);
        field.on_key(Key::Char('a'));
        assert_eq!(field.text(), "aburo");
        field.on_key(Key::End);
        field.on_key(Key::Right);
        field.on_key(Key::Delete);
        field.on_key(Key::Backspace);
        assert_eq!(field.text(), "abur");
    }

    #[test]
    fn the_cursor_of_a_long_text_is_in_view() {
        let mut field = Field::new("0123456789");
        let shown = |field: &Field| {
            let mut buffer = Buffer::empty(Rect::new(0, 0, 6, 1));
            field.render(true, buffer.area, &mut buffer, Look::PLAIN);
            let marked = (0..6).find(|x| buffer[(*x, 0)].modifier.contains(Modifier::REVERSED));
            let text: String = (0..6).map(|x| buffer[(x, 0)].symbol()).collect();
            (text, marked)
        };
        assert_eq!(shown(&field), ("56789 ".into(), Some(5)));
        field.on_key(Key::Home);
        assert_eq!(shown(&field), ("01234_".into(), Some(0)));
    }
}
