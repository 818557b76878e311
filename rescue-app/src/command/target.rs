//! The disk that is overwritten, in words: of `restore` and `clone`.

use std::fmt::Write;

use crate::console;
use crate::operation::format::size;
use crate::operation::{LayoutEntry, TargetPlan};

/// Adds what is done to the target.
pub(super) fn add_plan(text: &mut String, plan: &TargetPlan) {
    let _ = write!(
        text,
        "onto {} ({}, {})",
        plan.target.identity(),
        console::path(&plan.target.path),
        size(plan.target.size),
    );
    match &plan.virtual_disk {
        Some(file) => {
            let _ = write!(text, ", a new {} file", file.format);
        }
        None if plan.creates_file => text.push_str(", a new file"),
        None => {}
    }
    layout(text, "before", &plan.preview.before);
    layout(text, "after", &plan.preview.after);
    let _ = write!(text, "\nwrites {}", size(plan.preview.writes));
    for (mark, lines) in [("lost", &plan.preview.lost), ("note", &plan.preview.notices)] {
        for line in lines {
            let _ = write!(text, "\n{mark}: {line}");
        }
    }
}

fn layout(text: &mut String, title: &str, entries: &[LayoutEntry]) {
    let _ = write!(text, "\n{title}:");
    if entries.is_empty() {
        text.push_str(" nothing");
    }
    for entry in entries {
        let number = entry.number.map_or_else(|| "-".to_owned(), |number| number.to_string());
        let kept = if entry.kept { "  (stays as it is)" } else { "" };
        let _ = write!(text, "\n  {number:>3}  {:>10}  {}{kept}", size(entry.size), entry.text);
    }
}

/// "wrote 3.2 GiB, 0 B were there already, read back and compared 3.2 GiB".
pub(super) fn written(written: u64, unchanged: u64, read_back: u64) -> String {
    let proof = match read_back {
        0 => "not read back".to_owned(),
        bytes => format!("read back and compared {}", size(bytes)),
    };
    format!("wrote {}, {} were there already, {proof}", size(written), size(unchanged))
}
