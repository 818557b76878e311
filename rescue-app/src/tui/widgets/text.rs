//! Fitting text into columns.

use ratatui::text::Span;

/// Columns that `text` takes on screen.
pub(in crate::tui) fn width(text: &str) -> usize {
    Span::raw(text).width()
}

/// `text` in at most `columns` columns; what is cut off is marked by two dots.
pub(in crate::tui) fn clip(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut kept = String::new();
    for c in text.chars() {
        if width(&kept) + width(c.encode_utf8(&mut [0; 4])) > columns.saturating_sub(2) {
            break;
        }
        kept.push(c);
    }
    kept.push_str("..");
    kept.chars().take(columns).collect()
}

/// `text` clipped or filled up to exactly `columns`, flush left.
pub(in crate::tui) fn left(text: &str, columns: usize) -> String {
    let mut text = clip(text, columns);
    let missing = columns.saturating_sub(width(&text));
    text.extend(std::iter::repeat_n(' ', missing));
    text
}

/// `text` clipped or filled up to exactly `columns`, flush right.
pub(in crate::tui) fn right(text: &str, columns: usize) -> String {
    let text = clip(text, columns);
    let missing = columns.saturating_sub(width(&text));
    " ".repeat(missing) + &text
}

/// Breaks `text` between words into lines of at most `columns`; longer words are cut.
pub(in crate::tui) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(1);
    text.lines().flat_map(|line| wrap_line(line, columns)).collect()
}

fn wrap_line(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        for piece in pieces(word, columns) {
            let fits = lines
                .last()
                .is_some_and(|line| !line.is_empty() && width(line) + 1 + width(&piece) <= columns);
            match lines.last_mut() {
                Some(line) if fits => {
                    line.push(' ');
                    line.push_str(&piece);
                }
                Some(line) if line.is_empty() => *line = piece,
                _ => lines.push(piece),
            }
        }
    }
    lines
}

/// A word in pieces that fit a line; a character that no line is wide enough for becomes "?".
fn pieces(word: &str, columns: usize) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let fits = |c: char| width(c.encode_utf8(&mut [0; 4])) <= columns;
    for c in word.chars().map(|c| if fits(c) { c } else { '?' }) {
        let full = pieces.last().is_some_and(|piece| {
            !piece.is_empty() && width(piece) + width(c.encode_utf8(&mut [0; 4])) > columns
        });
        if full {
            pieces.push(String::new());
        }
        if let Some(piece) = pieces.last_mut() {
            piece.push(c);
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_fits_its_column() {
        assert_eq!(clip("Samsung SSD", 11), "Samsung SSD");
        assert_eq!(clip("Samsung SSD 870", 11), "Samsung S..");
        assert_eq!(clip("Samsung", 1), ".");
        assert_eq!(clip("Samsung", 0), "");
        assert_eq!(left("ab", 4), "ab  ");
        assert_eq!(right("ab", 4), "  ab");
    }

    #[test]
    fn lines_break_between_words_and_long_words_are_cut() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefghij k", 4), ["abcd", "efgh", "ij k"]);
        assert_eq!(wrap("a\n\nb", 4), ["a", "", "b"]);
        assert_eq!(wrap("a", 0), ["a"]);
        assert_eq!(wrap("a\u{17d8}", 2), ["a?"], "a character of three columns");
    }

    proptest::proptest! {
        #[test]
        fn no_line_is_wider_than_asked(text in "\\PC{0,80}", columns in 2_usize..40) {
            for line in wrap(&text, columns) {
                proptest::prop_assert!(width(&line) <= columns, "{line:?}");
            }
            proptest::prop_assert!(width(&clip(&text, columns)) <= columns);
        }
    }
}
