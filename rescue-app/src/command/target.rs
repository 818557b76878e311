//! The disk that is overwritten: arguments of `restore` and `clone`, and their plans in words.

use std::ffi::OsString;
use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;

use crate::console;
use crate::operation::format::size;
use crate::operation::{LayoutEntry, TargetPlan, TargetRequest};

use super::args::parse_size;

/// Which disk is overwritten, and how.
#[derive(Args, Debug)]
pub struct TargetArgs {
    /// The disk to overwrite: a block device or an image file, which is created when missing.
    #[arg(value_name = "DISK")]
    pub target: PathBuf,
    /// Serial number or WWN of the disk to overwrite, the path of an image file, or the word that
    /// --plan ends with: the consent to erase it.
    #[arg(long, value_name = "SERIAL-OR-PATH", required_unless_present = "plan")]
    pub erase: Option<OsString>,
    /// Read the target first and write only what differs.
    #[arg(long)]
    pub only_changed: bool,
    /// Do not read the target back after writing.
    #[arg(long)]
    pub no_read_back: bool,
    /// Size of a new image file, such as `64G`; that of the disk, or logical volume, that is written
    /// to it when absent.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub size: Option<u64>,
}

impl TargetArgs {
    /// What is asked of the operations.
    pub(super) fn request(
        &self,
        partitions: Option<&[u32]>,
        sector_size: Option<u32>,
        mend_table: bool,
    ) -> TargetRequest {
        TargetRequest {
            disk: self.target.clone(),
            sector_size,
            size: self.size,
            erase: self.erase.as_ref().map(|name| name.to_string_lossy().into_owned()),
            partitions: partitions.map(<[u32]>::to_vec),
            only_changed: self.only_changed,
            read_back: !self.no_read_back,
            mend_table,
        }
    }
}

/// Adds what is done to the target.
pub(super) fn add_plan(text: &mut String, plan: &TargetPlan) {
    let _ = write!(
        text,
        "onto {} ({}, {})",
        plan.target.identity(),
        console::path(&plan.target.path),
        size(plan.target.size),
    );
    if plan.creates_file {
        text.push_str(", a new file");
    }
    layout(text, "before", &plan.before);
    layout(text, "after", &plan.after);
    let _ = write!(text, "\nwrites {}", size(plan.writes));
    for (mark, lines) in [("lost", &plan.lost), ("note", &plan.notices)] {
        for line in lines {
            let _ = write!(text, "\n{mark}: {line}");
        }
    }
}

/// What a person says to agree to a plan.
pub(super) fn consent(plan: &TargetPlan) -> String {
    format!("to agree: --erase {}", plan.erase)
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
