//! Colours and glyphs: the sixteen ANSI colours, and only glyphs the kernel console can draw.

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier, Style};

/// How this terminal can be drawn on.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Colours may be used (`NO_COLOR` is not set and the terminal has some).
    pub colour: bool,
    /// The terminal shows nothing beyond CP437 and Latin-1, as the kernel's own console does.
    pub console_font: bool,
}

impl Look {
    /// Without colours; also for measuring text that is not drawn yet.
    pub const PLAIN: Self = Self { colour: false, console_font: true };

    /// Judges the terminal by `NO_COLOR` (no-color.org) and `TERM`.
    pub fn from_environment() -> Self {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let term = std::env::var("TERM").unwrap_or_default();
        Self::for_terminal(&term, no_color)
    }

    /// The same from given values.
    pub fn for_terminal(term: &str, no_color: bool) -> Self {
        let monochrome = term == "dumb" || term.ends_with("-m") || term.ends_with("-mono");
        let console_font = term.is_empty() || term.starts_with("linux");
        Self { colour: !no_color && !monochrome, console_font }
    }

    fn pick(self, colour: Style, plain: Style) -> Style {
        if self.colour { colour } else { plain }
    }

    /// A bold colour; bold where there are none.
    fn bold(self, colour: Color) -> Style {
        let bold = Style::new().add_modifier(Modifier::BOLD);
        self.pick(bold.fg(colour), bold)
    }

    /// The first line of the screen.
    pub fn header(self) -> Style {
        self.pick(
            Style::new().fg(Color::White).bg(Color::Blue).add_modifier(Modifier::BOLD),
            Style::new().add_modifier(Modifier::REVERSED),
        )
    }

    /// The frame around a page.
    pub fn frame(self) -> Style {
        self.pick(Style::new().fg(Color::Cyan), Style::new())
    }

    /// Headings and page titles.
    pub fn heading(self) -> Style {
        self.bold(Color::White)
    }

    /// The row under the cursor.
    pub fn selected(self) -> Style {
        self.pick(
            // Bold black is dark grey on the kernel console.
            Style::new().fg(Color::Black).bg(Color::Cyan).remove_modifier(Modifier::BOLD),
            Style::new().add_modifier(Modifier::REVERSED),
        )
    }

    /// The name of a key.
    pub fn key(self) -> Style {
        self.bold(Color::Yellow)
    }

    /// A success.
    pub fn good(self) -> Style {
        self.bold(Color::Green)
    }

    /// Something to be aware of.
    pub fn warning(self) -> Style {
        self.bold(Color::Yellow)
    }

    /// A failure, or something that will be lost.
    pub fn bad(self) -> Style {
        self.bold(Color::LightRed)
    }

    /// Progress and graphs.
    pub fn bar(self) -> Style {
        self.pick(Style::new().fg(Color::Green), Style::new())
    }

    /// A piece of a drawn disk, by what it holds.
    pub fn content(self, kind: &str) -> Style {
        let colour = match kind.to_ascii_lowercase().as_str() {
            "ntfs" | "bitlocker" => Color::LightBlue,
            kind if kind.starts_with("fat") || kind == "exfat" => Color::Yellow,
            kind if kind.starts_with("ext") => Color::Green,
            "xfs" | "btrfs" | "f2fs" => Color::LightGreen,
            "swap" => Color::Magenta,
            kind if kind.is_empty() || kind.starts_with("unknown") => Color::Gray,
            _ => Color::LightCyan,
        };
        self.pick(Style::new().fg(colour), Style::new())
    }
}

/// Whether the kernel console has a glyph for `c`: ASCII, Latin-1 and the drawing part of CP437.
pub fn is_console_glyph(c: char) -> bool {
    matches!(c, ' '..='~' | '\u{a0}'..='\u{ff}')
        || "─│┌┐└┘├┤┬┴┼═║╔╗╚╝╠╣╦╩╬░▒▓█▀▄▌▐←↑→↓►◄▲▼√".contains(c)
}

/// Replaces what the terminal cannot show, and control characters in any case: names of disks and
/// filesystems are foreign data.
pub(super) fn restrict(buffer: &mut Buffer, look: Look) {
    for cell in &mut buffer.content {
        let symbol = cell.symbol();
        let shown =
            symbol.chars().all(|c| is_console_glyph(c) || (!look.console_font && !c.is_control()));
        if !shown {
            let plain = match symbol {
                "…" => '~',
                "–" | "—" => '-',
                "‘" | "’" => '\'',
                "“" | "”" => '"',
                _ => '?',
            };
            cell.set_char(plain);
        }
        if look.console_font && look.colour {
            settle_intensity(cell);
        }
    }
}

/// Says brightness by the colour alone. The kernel console takes it from the last colour named
/// (`rgb_foreground` in drivers/tty/vt/vt.c): a colour after "bold" undoes it, and the default
/// colour after a bright one stays bright.
fn settle_intensity(cell: &mut Cell) {
    let bold = cell.modifier.contains(Modifier::BOLD);
    cell.modifier.remove(Modifier::BOLD);
    cell.fg = match (cell.fg, bold) {
        (Color::Reset, false) => Color::Gray,
        (Color::Reset | Color::Gray, true) => Color::White,
        (Color::Red, true) => Color::LightRed,
        (Color::Green, true) => Color::LightGreen,
        (Color::Yellow, true) => Color::LightYellow,
        (Color::Blue, true) => Color::LightBlue,
        (Color::Magenta, true) => Color::LightMagenta,
        (Color::Cyan, true) => Color::LightCyan,
        (other, _) => other,
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::layout::Rect;

    #[test]
    fn terminals_are_judged_by_their_names() {
        assert!(Look::for_terminal("linux", false).colour);
        assert!(Look::for_terminal("linux", false).console_font);
        assert!(!Look::for_terminal("linux", true).colour);
        assert!(!Look::for_terminal("xterm-mono", false).colour);
        assert!(!Look::for_terminal("xterm-256color", false).console_font);
    }

    #[test]
    fn on_the_console_the_colour_says_how_bright() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 2, 1));
        buffer.set_string(0, 0, "a", Style::new());
        buffer.set_string(1, 0, "b", Style::new().fg(Color::Yellow).add_modifier(Modifier::BOLD));
        restrict(&mut buffer, Look::for_terminal("linux", false));
        assert_eq!((buffer[(0, 0)].fg, buffer[(1, 0)].fg), (Color::Gray, Color::LightYellow));
        assert!(buffer[(1, 0)].modifier.is_empty());
    }

    #[test]
    fn foreign_glyphs_are_replaced_where_they_cannot_be_shown() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 8, 1));
        buffer.set_string(0, 0, "Диск é…", Style::new());
        let mut console = buffer.clone();
        restrict(&mut console, Look::for_terminal("linux", true));
        assert_eq!(console, Buffer::with_lines(["???? é~ "]));
        restrict(&mut buffer, Look::for_terminal("xterm", false));
        assert_eq!(buffer, Buffer::with_lines(["Диск é… "]));
    }
}
