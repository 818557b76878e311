//! A line of text being typed.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;
use zeroize::Zeroizing;

use crate::tui::key::Key;
use crate::tui::look::Look;
use crate::tui::page::Hint;

/// Longest text that can be typed, in characters.
const LIMIT: usize = 512;

/// A text field; the cursor is always at its end.
#[derive(Clone, Default)]
pub(in crate::tui) struct Field {
    text: Zeroizing<String>,
    /// Whether it holds a secret.
    secret: bool,
    /// Whether the secret is shown as asterisks.
    hidden: bool,
}

impl Field {
    /// A field with a text in it.
    pub(in crate::tui) fn new(text: &str) -> Self {
        Self { text: Zeroizing::new(text.to_owned()), ..Self::default() }
    }

    /// A field for a secret, which shows asterisks until the person wants to see what they type:
    /// a long recovery key, or what their keys give on a keyboard of another country.
    pub(in crate::tui) fn hidden() -> Self {
        Self { secret: true, hidden: true, ..Self::default() }
    }

    /// The key that shows or hides the secret.
    pub(in crate::tui) fn hint(&self) -> Hint {
        ("F2", if self.hidden { "Show" } else { "Hide" })
    }

    /// What was typed.
    pub(in crate::tui) fn text(&self) -> &str {
        &self.text
    }

    /// Empties the field.
    pub(in crate::tui) fn clear(&mut self) {
        self.text.clear();
    }

    /// Types; false for keys that are no typing.
    pub(in crate::tui) fn on_key(&mut self, key: Key) -> bool {
        match key {
            Key::Char(c) if self.text.chars().count() < LIMIT => self.text.push(c),
            Key::Char(_) => {}
            Key::Backspace => {
                self.text.pop();
            }
            Key::ClearField | Key::Delete => self.clear(),
            Key::Reveal => self.hidden = self.secret && !self.hidden,
            _ => return false,
        }
        true
    }

    /// Draws the field on the first line of `area`, its end in view.
    pub(in crate::tui) fn render(&self, active: bool, area: Rect, buffer: &mut Buffer, look: Look) {
        if area.is_empty() {
            return;
        }
        let room = usize::from(area.width).saturating_sub(1);
        let shown: Vec<char> = if self.hidden {
            self.text.chars().map(|_| '*').collect()
        } else {
            self.text.chars().collect()
        };
        let start = shown.len().saturating_sub(room);
        let shown: String = shown.iter().skip(start).collect();
        buffer.set_string(area.x, area.y, "_".repeat(usize::from(area.width)), look.frame());
        let (x, _) = buffer.set_stringn(area.x, area.y, &shown, room, look.heading());
        if active && x < area.right() {
            buffer[(x, area.y)].set_char(' ').set_style(look.heading());
            buffer[(x, area.y)].modifier.insert(Modifier::REVERSED);
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
}
