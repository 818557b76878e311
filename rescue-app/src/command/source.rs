//! The disk that is read, in words: of `capture` and `clone`.

use crate::console;
use crate::operation::SourcePlan;
use crate::operation::format::size;

/// What is read, as the start of a plan; `work` is what is done with it.
pub(super) fn plan_head(work: &str, plan: &SourcePlan) -> String {
    format!(
        "{work} of {} ({}, {})\nreads {}, leaves out {} that nothing uses",
        plan.disk.identity(),
        console::path(&plan.disk.path),
        size(plan.disk.size),
        size(plan.summary.read),
        size(plan.summary.unused),
    )
}
