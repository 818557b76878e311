//! `lifeboat prepare`.

use std::fmt::Write;

use crate::console::{self, say};
use crate::disk::mount::mount_words;
use crate::job::PrepareArgs;
use crate::operation::format::size;
use crate::operation::{self, PreparePlan, PrepareReport};

use super::ending::Ending;
use super::output::Printer;

pub(super) fn run(args: &PrepareArgs) -> anyhow::Result<Ending> {
    let mut request = args.request();
    let printer = Printer::new(args.json);
    let plan = operation::plan_prepare(&request)?;
    if args.plan {
        let text = format!("{}\nto agree: --erase {}", plan_text(&plan), plan.erase);
        printer.result(&plan, &text)?;
        return Ok(Ending::Done);
    }
    if !args.json {
        say(&plan_text(&plan));
    }
    request.agreed = Some(plan.agreement.clone());
    let report = printer.watch(|control| operation::prepare(&request, control))?;
    printer.result(&report, &report_text(&report))?;
    Ok(Ending::Done)
}

fn plan_text(plan: &PreparePlan) -> String {
    let PreparePlan { disk, filesystem, label, .. } = plan;
    let mut text = format!(
        "erases {} ({}, {})\nand makes one partition with {filesystem}, label {label}",
        disk.identity(),
        console::path(&disk.path),
        size(disk.size),
    );
    for lost in &plan.lost {
        let _ = write!(text, "\nlost: {lost}");
    }
    text
}

fn report_text(report: &PrepareReport) -> String {
    let PrepareReport { disk, filesystem, label, .. } = report;
    let mut text = format!(
        "prepared {}: one partition of {} with {filesystem}, label {label}",
        disk.identity(),
        size(report.size),
    );
    let words = mount_words(&filesystem.to_string().to_lowercase(), true);
    if let (Some(device), Some(words)) = (&report.device, words) {
        let (disk, device) = (console::path(&disk.path), console::path(device));
        let _ = write!(
            text,
            "\nuse it: blockdev --setrw {disk} && mount {words} {device} /mnt && \
             lifeboat init --repo /mnt/lifeboat"
        );
    }
    text
}
