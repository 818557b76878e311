//! The disk that is read, in words: of `capture` and `clone`.

use std::fmt::Write;

use crate::console;
use crate::operation::SourcePlan;
use crate::operation::format::size;

/// What is read, as the start of a plan; `work` is what is done with it.
pub(super) fn plan_head(work: &str, plan: &SourcePlan) -> String {
    let mut text = format!(
        "{work} of {} ({}, {})\nreads {}, leaves out {} that nothing uses",
        plan.disk.identity(),
        console::path(&plan.disk.path),
        size(plan.disk.size),
        size(plan.summary.read),
        size(plan.summary.unused),
    );
    if let Some(found) = &plan.imported {
        let _ = write!(text, "\nis {}", found.form);
        if let Some(unpacked) = &found.unpacked {
            let (bytes, folder) = (size(unpacked.bytes), console::path(&unpacked.folder));
            let _ =
                write!(text, ", unpacked to a file of {bytes} in {folder} that is gone at the end");
        }
    }
    text
}
