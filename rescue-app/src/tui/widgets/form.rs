//! A form: rows one below the other, of which one has the cursor.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::{Field, below, text};
use crate::tui::key::Key;
use crate::tui::look::Look;
use crate::tui::page::Hint;

/// Lines from which on groups of rows are set apart.
const ROOMY: u16 = 12;

/// What a row is for.
enum Input {
    /// Text that the cursor passes by.
    Heading,
    /// One of several next to each other, of which one is set.
    Choice(bool),
    /// Something that is done or not.
    Tick(bool),
    /// Text or a secret to be typed.
    Text(Field),
    /// What ends the form.
    Button,
}

/// A row, called `Id`.
pub(in crate::tui) struct FormRow<Id> {
    id: Id,
    name: String,
    input: Input,
    hidden: bool,
    /// An empty line follows where there is room.
    ends_group: bool,
}

impl<Id> FormRow<Id> {
    fn new(id: Id, name: &str, input: Input) -> Self {
        Self { id, name: name.to_owned(), input, hidden: false, ends_group: false }
    }

    /// Text that the cursor passes by.
    pub(in crate::tui) fn heading(id: Id, text: &str) -> Self {
        Self::new(id, text, Input::Heading)
    }

    /// One of several rows next to each other, of which one is set.
    pub(in crate::tui) fn choice(id: Id, text: &str, set: bool) -> Self {
        Self::new(id, text, Input::Choice(set))
    }

    /// Something that is done or not.
    pub(in crate::tui) fn tick(id: Id, text: &str, set: bool) -> Self {
        Self::new(id, text, Input::Tick(set))
    }

    /// Text to be typed.
    pub(in crate::tui) fn text(id: Id, name: &str, text: &str) -> Self {
        Self::new(id, name, Input::Text(Field::new(text)))
    }

    /// A secret to be typed.
    pub(in crate::tui) fn secret(id: Id, name: &str) -> Self {
        Self::new(id, name, Input::Text(Field::hidden()))
    }

    /// What ends the form.
    pub(in crate::tui) fn button(id: Id, name: &str) -> Self {
        Self::new(id, &format!("[ {name} ]"), Input::Button)
    }

    /// The row, with an empty line below it where there is room.
    pub(in crate::tui) fn end(self) -> Self {
        Self { ends_group: true, ..self }
    }

    fn is_reachable(&self) -> bool {
        !self.hidden && !matches!(self.input, Input::Heading)
    }
}

/// What a key did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tui) enum Did<Id> {
    /// Nothing: it is for the page.
    Nothing,
    /// The cursor moved, or something was typed.
    Moved,
    /// This row was set, cleared or pressed.
    Chose(Id),
}

/// Rows, and the place of the cursor.
pub(in crate::tui) struct Form<Id> {
    rows: Vec<FormRow<Id>>,
    at: usize,
}

impl<Id: Copy + PartialEq> Form<Id> {
    /// The cursor is on the first row that it can be on.
    pub(in crate::tui) fn new(rows: Vec<FormRow<Id>>) -> Self {
        let at = rows.iter().position(FormRow::is_reachable).unwrap_or_default();
        Self { rows, at }
    }

    fn row(&mut self, id: Id) -> Option<&mut FormRow<Id>> {
        self.rows.iter_mut().find(|row| row.id == id)
    }

    /// What stands in a field.
    pub(in crate::tui) fn typed(&self, id: Id) -> &str {
        let row = self.rows.iter().find(|row| row.id == id);
        match row.map(|row| &row.input) {
            Some(Input::Text(field)) => field.text(),
            _ => "",
        }
    }

    /// Puts a text into a field.
    pub(in crate::tui) fn put(&mut self, id: Id, text: &str) {
        if let Some(Input::Text(field)) = self.row(id).map(|row| &mut row.input) {
            field.put(text);
        }
    }

    /// Whether a row is set.
    pub(in crate::tui) fn is_set(&self, id: Id) -> bool {
        let row = self.rows.iter().find(|row| row.id == id);
        row.is_some_and(|row| matches!(row.input, Input::Choice(true) | Input::Tick(true)))
    }

    /// Shows or hides a row.
    pub(in crate::tui) fn show(&mut self, id: Id, shown: bool) {
        if let Some(row) = self.row(id) {
            row.hidden = !shown;
        }
    }

    /// The row under the cursor.
    #[cfg(test)]
    fn at(&self) -> Option<Id> {
        self.rows.get(self.at).map(|row| row.id)
    }

    /// The key that shows or hides the secret under the cursor.
    pub(in crate::tui) fn hint(&self) -> Option<Hint> {
        match &self.rows.get(self.at)?.input {
            Input::Text(field) => field.hint(),
            _ => None,
        }
    }

    /// What Enter does where the cursor is; `button` is what it does on a button.
    pub(in crate::tui) fn enter(&self, button: &'static str) -> &'static str {
        match self.rows.get(self.at).map(|row| &row.input) {
            Some(Input::Button) => button,
            _ => "Next",
        }
    }

    /// Moves, types, sets and presses.
    pub(in crate::tui) fn on_key(&mut self, key: Key) -> Did<Id> {
        let Some(row) = self.rows.get_mut(self.at) else { return Did::Nothing };
        if let Input::Text(field) = &mut row.input
            && field.on_key(key)
        {
            return Did::Moved;
        }
        match (key, &mut row.input) {
            (Key::Enter, Input::Button) => Did::Chose(row.id),
            (Key::Char(' '), Input::Tick(set)) => {
                *set = !*set;
                Did::Chose(row.id)
            }
            (Key::Char(' ') | Key::Enter, Input::Choice(_)) => self.choose(),
            (Key::Enter | Key::Down | Key::Tab, _) => self.step(true),
            (Key::Up | Key::BackTab, _) => self.step(false),
            _ => Did::Nothing,
        }
    }

    /// Sets the choice under the cursor instead of its neighbours.
    fn choose(&mut self) -> Did<Id> {
        let is_choice = |row: &FormRow<Id>| matches!(row.input, Input::Choice(_));
        let (above, below) = self.rows.split_at_mut(self.at);
        let neighbours = above.iter_mut().rev().take_while(|row| is_choice(row));
        for row in neighbours.chain(below.iter_mut().take_while(|row| is_choice(row))) {
            row.input = Input::Choice(false);
        }
        let Some(row) = self.rows.get_mut(self.at) else { return Did::Nothing };
        row.input = Input::Choice(true);
        Did::Chose(row.id)
    }

    /// Goes to the first row below this one that is none of its choice.
    pub(in crate::tui) fn leave_choice(&mut self) {
        let is_next =
            |row: &FormRow<Id>| row.is_reachable() && !matches!(row.input, Input::Choice(_));
        let below = self.rows.iter().skip(self.at).position(is_next);
        self.at += below.unwrap_or_default();
    }

    fn step(&mut self, forward: bool) -> Did<Id> {
        let count = self.rows.len().max(1);
        let by = if forward { 1 } else { count - 1 };
        for _ in 0..count {
            self.at = (self.at + by) % count;
            if self.rows.get(self.at).is_some_and(FormRow::is_reachable) {
                break;
            }
        }
        Did::Moved
    }

    /// Column of the fields, behind the longest of their names.
    fn indent(&self) -> u16 {
        let fields = self.rows.iter().filter(|row| matches!(row.input, Input::Text(_)));
        let longest = fields.map(|row| text::width(&row.name)).max().unwrap_or_default();
        u16::try_from(longest + 5).unwrap_or(u16::MAX)
    }

    /// Rows that have no room above that of the cursor.
    fn above(&self, height: u16, gap: u16) -> usize {
        let mut left = height;
        let rows = self.rows.iter().take(self.at + 1).rev();
        let fits = |row: &&FormRow<Id>| {
            let room = left.checked_sub(row.height(gap));
            left = room.unwrap_or_default();
            room.is_some()
        };
        self.at + 1 - rows.take_while(fits).count()
    }

    /// Draws the rows from the top of `area`; what is left is below them. Nothing is active while the
    /// page waits for something.
    pub(in crate::tui) fn render(
        &self,
        active: bool,
        area: Rect,
        buffer: &mut Buffer,
        look: Look,
    ) -> Rect {
        let gap = u16::from(area.height > ROOMY);
        let mut y = area.y;
        let above = self.above(area.height, gap);
        let shown = self.rows.iter().enumerate().skip(above).filter(|(_, row)| !row.hidden);
        for (index, row) in shown {
            if y >= area.bottom() {
                break;
            }
            let has_cursor = index == self.at;
            let (text, style) = row.drawn(has_cursor, look);
            buffer.set_stringn(area.x, y, text, usize::from(area.width), style);
            if let Input::Text(field) = &row.input {
                let indent = self.indent().min(area.width);
                let place = Rect { x: area.x + indent, y, width: area.width - indent, height: 1 };
                field.render(has_cursor && active, place, buffer, look);
            }
            y += row.height(gap);
        }
        below(area, y.saturating_sub(area.y))
    }
}

impl<Id> FormRow<Id> {
    /// Lines that it takes.
    fn height(&self, gap: u16) -> u16 {
        if self.hidden { 0 } else { 1 + if self.ends_group { gap } else { 0 } }
    }

    fn drawn(&self, has_cursor: bool, look: Look) -> (String, Style) {
        let mark = if has_cursor { "►" } else { " " };
        let name = &self.name;
        let button = if has_cursor { look.selected() } else { Style::new() };
        match self.input {
            Input::Heading => (name.clone(), look.heading()),
            Input::Choice(set) => {
                (format!("{mark} {} {name}", if set { "(*)" } else { "( )" }), button)
            }
            Input::Tick(set) => {
                (format!("{mark} {} {name}", if set { "[x]" } else { "[ ]" }), button)
            }
            Input::Text(_) => (format!("{mark} {name}"), Style::new()),
            Input::Button => (format!("{mark} {name}"), button),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form() -> Form<u8> {
        Form::new(vec![
            FormRow::heading(0, "Heading"),
            FormRow::choice(1, "one", true),
            FormRow::choice(2, "other", false).end(),
            FormRow::text(3, "Name", "ab"),
            FormRow::tick(4, "too", false),
            FormRow::button(5, "Go"),
        ])
    }

    #[test]
    fn one_of_a_choice_is_set() {
        let mut form = form();
        assert_eq!((form.at(), form.on_key(Key::Down), form.at()), (Some(1), Did::Moved, Some(2)));
        assert_eq!(form.on_key(Key::Char(' ')), Did::Chose(2));
        assert!(form.is_set(2) && !form.is_set(1));
        form.leave_choice();
        assert_eq!(form.at(), Some(3));
    }

    #[test]
    fn the_cursor_goes_round_and_passes_by_what_cannot_be_reached() {
        let mut form = form();
        form.show(5, false);
        form.on_key(Key::Up);
        assert_eq!(form.at(), Some(4));
        assert_eq!(form.on_key(Key::Char(' ')), Did::Chose(4));
        assert!(form.is_set(4));
        form.on_key(Key::Tab);
        assert_eq!(form.at(), Some(1));
        form.on_key(Key::BackTab);
        form.show(5, true);
        form.on_key(Key::Down);
        assert_eq!((form.enter("Go on"), form.on_key(Key::Enter)), ("Go on", Did::Chose(5)));
    }

    #[test]
    fn letters_are_typed_into_the_field_under_the_cursor() {
        let mut form = form();
        form.on_key(Key::Down);
        form.on_key(Key::Down);
        form.on_key(Key::Char(' '));
        form.on_key(Key::Char('c'));
        assert_eq!(form.typed(3), "ab c");
        form.put(3, "x");
        assert_eq!(form.typed(3), "x");
        assert_eq!(form.on_key(Key::PageDown), Did::Nothing);
    }
}
