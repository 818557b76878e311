//! Keys as the pages know them, and how they come out of a terminal.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// A key press.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Key {
    Up,
    Down,
    Left,
    Right,
    Home,
    End,
    PageUp,
    PageDown,
    Tab,
    BackTab,
    Enter,
    Esc,
    Backspace,
    Delete,
    /// F1.
    Help,
    /// F2: shows what a hidden field holds, and hides it again.
    Reveal,
    /// Ctrl-L: the screen was spoilt by someone else's output.
    Redraw,
    /// Ctrl-U: empties the field.
    ClearField,
    /// A printable character.
    Char(char),
}

impl Key {
    /// The letter of an accelerator, in lower case.
    pub fn letter(self) -> Option<char> {
        match self {
            Self::Char(c) => Some(c.to_ascii_lowercase()),
            _ => None,
        }
    }
}

impl TryFrom<KeyEvent> for Key {
    type Error = ();

    /// Keys without a meaning here are refused.
    fn try_from(event: KeyEvent) -> Result<Self, ()> {
        if event.kind == KeyEventKind::Release {
            return Err(());
        }
        if event.modifiers.contains(KeyModifiers::CONTROL) {
            return control_key(event.code);
        }
        Ok(match event.code {
            KeyCode::Up => Self::Up,
            KeyCode::Down => Self::Down,
            KeyCode::Left => Self::Left,
            KeyCode::Right => Self::Right,
            KeyCode::Home => Self::Home,
            KeyCode::End => Self::End,
            KeyCode::PageUp => Self::PageUp,
            KeyCode::PageDown => Self::PageDown,
            KeyCode::Tab => Self::Tab,
            KeyCode::BackTab => Self::BackTab,
            KeyCode::Enter => Self::Enter,
            KeyCode::Esc => Self::Esc,
            KeyCode::Backspace => Self::Backspace,
            KeyCode::Delete => Self::Delete,
            KeyCode::F(1) => Self::Help,
            KeyCode::F(2) => Self::Reveal,
            KeyCode::Char(c) if !event.modifiers.contains(KeyModifiers::ALT) => Self::Char(c),
            _ => return Err(()),
        })
    }
}

fn control_key(code: KeyCode) -> Result<Key, ()> {
    match code {
        // Ctrl-J is the line feed that some serial terminals send for Enter.
        KeyCode::Char('j' | 'm') => Ok(Key::Enter),
        KeyCode::Char('c') => Ok(Key::Esc),
        KeyCode::Char('h') => Ok(Key::Backspace),
        KeyCode::Char('l') => Ok(Key::Redraw),
        KeyCode::Char('u') => Ok(Key::ClearField),
        _ => Err(()),
    }
}

/// How long the rest of an escape sequence may stay behind on a slow line before its first byte
/// counts as the Esc key.
pub(super) const ESCAPE_WAIT: Duration = Duration::from_millis(60);

/// Joins escape sequences that a serial line delivered in pieces: without it the arrow key
/// `ESC [ A` would leave the page and then type two letters. Sequences as in ECMA-48 and xterm's
/// control sequences.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    pending: Vec<Key>,
}

impl Assembler {
    /// Whether the next key should be waited for, at most [`ESCAPE_WAIT`].
    pub(super) fn waits(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Takes a key; returns those that are certain now.
    pub(super) fn push(&mut self, key: Key) -> Vec<Key> {
        if self.pending.is_empty() && key != Key::Esc {
            return vec![key];
        }
        self.pending.push(key);
        match self.judge() {
            Verdict::Incomplete => Vec::new(),
            Verdict::Is(key) => {
                self.pending.clear();
                vec![key]
            }
            Verdict::No => self.flush(),
        }
    }

    /// Nothing more came in time: what is pending was typed.
    pub(super) fn flush(&mut self) -> Vec<Key> {
        std::mem::take(&mut self.pending)
    }

    fn judge(&self) -> Verdict {
        let tail: Option<String> = self
            .pending
            .get(1..)
            .unwrap_or_default()
            .iter()
            .map(|key| match key {
                Key::Char(c) => Some(*c),
                _ => None,
            })
            .collect();
        tail.map_or(Verdict::No, |tail| sequence(&tail))
    }
}

enum Verdict {
    Incomplete,
    Is(Key),
    No,
}

/// Judges what follows ESC.
fn sequence(tail: &str) -> Verdict {
    Verdict::Is(match tail {
        "[A" | "OA" => Key::Up,
        "[B" | "OB" => Key::Down,
        "[C" | "OC" => Key::Right,
        "[D" | "OD" => Key::Left,
        "[H" | "OH" | "[1~" | "[7~" => Key::Home,
        "[F" | "OF" | "[4~" | "[8~" => Key::End,
        "[3~" => Key::Delete,
        "[5~" => Key::PageUp,
        "[6~" => Key::PageDown,
        "[Z" => Key::BackTab,
        "OP" | "[11~" | "[[A" => Key::Help,
        "OQ" | "[12~" | "[[B" => Key::Reveal,
        "" | "[" | "O" | "[[" | "[1" | "[11" | "[12" | "[3" | "[4" | "[5" | "[6" | "[7" | "[8" => {
            return Verdict::Incomplete;
        }
        _ => return Verdict::No,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(text: &str) -> Vec<Key> {
        let mut assembler = Assembler::default();
        let mut keys = Vec::new();
        for c in text.chars() {
            keys.extend(assembler.push(if c == '\u{1b}' { Key::Esc } else { Key::Char(c) }));
        }
        keys.extend(assembler.flush());
        keys
    }

    #[test]
    fn a_torn_arrow_key_is_still_an_arrow_key() {
        assert_eq!(typed("\u{1b}[A"), [Key::Up]);
        assert_eq!(typed("\u{1b}OBx"), [Key::Down, Key::Char('x')]);
        assert_eq!(typed("\u{1b}[5~"), [Key::PageUp]);
        assert_eq!(typed("\u{1b}[11~\u{1b}[12~"), [Key::Help, Key::Reveal]);
    }

    #[test]
    fn esc_alone_and_unknown_sequences_are_delivered_as_typed() {
        assert_eq!(typed("\u{1b}"), [Key::Esc]);
        assert_eq!(typed("a\u{1b}"), [Key::Char('a'), Key::Esc]);
        assert_eq!(typed("\u{1b}x"), [Key::Esc, Key::Char('x')]);
        assert_eq!(typed("\u{1b}\u{1b}"), [Key::Esc, Key::Esc]);
    }

    #[test]
    fn control_keys_have_their_usual_meaning() {
        let control = |c| Key::try_from(KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL));
        assert_eq!(control('c'), Ok(Key::Esc));
        assert_eq!(control('l'), Ok(Key::Redraw));
        assert_eq!(control('q'), Err(()));
    }
}
