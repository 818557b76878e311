//! The sizes that partitions get on the target.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::job::SizeOf;
use crate::operation::{Volume, format};
use crate::tui::key::Key;
use crate::tui::look::Look;
use crate::tui::model::WriteOrder;
use crate::tui::page::{Action, Context, Hint, Page, Then};
use crate::tui::widgets::{Did, Form, FormRow, Lines, below, draw_lines, text};

/// Columns of what a partition holds, and of its sizes.
const CONTENT: usize = 20;
const SIZE: usize = 9;

/// The rows of the form, top down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// Of the partition with this number.
    Size(u32),
    Continue,
}

/// A field for each partition.
pub(in crate::tui) struct Sizes {
    order: WriteOrder,
    then: Then<WriteOrder>,
    form: Form<Part>,
    /// What is wrong with what was typed.
    wrong: Option<String>,
}

impl Sizes {
    /// Fields with what was wished before.
    pub(in crate::tui) fn new(order: WriteOrder, then: Then<WriteOrder>) -> Self {
        let mut rows: Vec<FormRow<Part>> =
            partitions(&order).map(|(number, volume)| row(number, volume, &order)).collect();
        if let Some(last) = rows.pop() {
            rows.push(last.end());
        }
        rows.push(FormRow::button(Part::Continue, "Continue").end());
        Self { order, then, form: Form::new(rows), wrong: None }
    }

    /// What is wished by now.
    fn wishes(&self) -> Result<Vec<SizeOf>, String> {
        let typed = partitions(&self.order).map(|(number, _)| {
            let text = self.form.typed(Part::Size(number)).trim();
            (!text.is_empty()).then(|| format!("{number}={text}").parse())
        });
        typed.flatten().collect()
    }

    fn go_on(&mut self) -> Action {
        match self.wishes() {
            Ok(wishes) => {
                self.order.target.sizes.size_of = wishes;
                self.then.go(self.order.clone())
            }
            Err(wrong) => {
                self.wrong = Some(wrong);
                Action::None
            }
        }
    }
}

/// Those that have a number.
fn partitions(order: &WriteOrder) -> impl Iterator<Item = (u32, &Volume)> {
    let all = order.from.partitions().into_iter();
    all.filter_map(|(volume, _)| volume.partition.map(|number| (number, volume)))
}

fn row(number: u32, volume: &Volume, order: &WriteOrder) -> FormRow<Part> {
    let content = [Some(volume.content.as_str()), volume.label()];
    let content: Vec<&str> = content.into_iter().flatten().collect();
    let least = volume.least_size().map_or_else(String::new, |least| {
        format!("least {}", text::right(&format::size(least), SIZE))
    });
    let name = format!(
        "{number:>3}  {} {}  {}",
        text::left(&content.join(" "), CONTENT),
        text::right(&format::size(volume.size), SIZE),
        text::left(&least, SIZE + "least ".len()),
    );
    let wish = order.target.sizes.size_of.iter().find(|wish| wish.number == number);
    let wish = wish.map_or_else(String::new, |wish| wish.size.to_string());
    FormRow::text(Part::Size(number), &name, &wish)
}

impl Page for Sizes {
    fn title(&self) -> String {
        format!("{}: sizes of partitions", self.order.from.verb())
    }

    fn hints(&self) -> Vec<Hint> {
        let enter = self.form.enter("Continue");
        vec![("↑↓ Tab", "Move"), ("Enter", enter), ("F1", "Help"), ("Esc", "Back")]
    }

    fn help(&self) -> &'static [&'static str] {
        &[
            "The size that each partition gets on the target, such as 40G or 512M. A filesystem is made \
             smaller or larger with its partition, where its tools can do that.",
            "Fields that are left empty: these partitions get their sizes by themselves. On a larger disk the \
             largest filesystem takes what is left, on a smaller one all give in proportion to what is free in them.",
            "Least: what the filesystem can be made smaller to. The next page shows what becomes of each, or why it \
             does not fit.",
        ]
    }

    fn takes_text(&self) -> bool {
        true
    }

    fn on_key(&mut self, key: Key, _context: &Context) -> Action {
        match self.form.on_key(key) {
            Did::Chose(Part::Continue) => return self.go_on(),
            Did::Moved => self.wrong = None,
            Did::Chose(Part::Size(_)) | Did::Nothing => {}
        }
        Action::None
    }

    fn render(&self, area: Rect, buffer: &mut Buffer, look: Look, _now: Duration) {
        let mut top = Lines::new(area.width);
        top.fact(self.order.from.name(), &self.order.from.line());
        top.fact("Target", &self.order.disk.line());
        let rest = below(draw_lines(&top.finish(), area, buffer), 1);
        let bottom = 2.min(rest.height);
        let form = Rect { height: rest.height - bottom, ..rest };
        self.form.render(true, form, buffer, look);
        let mut lines = Lines::new(area.width);
        match &self.wrong {
            Some(wrong) => lines.text(wrong, look.bad()),
            None => lines.text(
                "Such as 40G. Left empty, a partition gets its size by itself; the next page shows all.",
                Style::new(),
            ),
        };
        let place = Rect { y: rest.bottom() - bottom, height: bottom, ..rest };
        draw_lines(&lines.finish(), place, buffer);
    }
}
