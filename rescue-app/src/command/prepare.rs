//! `lifeboat prepare`.

use std::fmt::Write;

use crate::console;
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
    printer.plan(&plan, &plan_text(&plan), (&plan.erase, args.plan))?;
    if args.plan {
        return Ok(Ending::Done);
    }
    request.agreed = Some(plan.agreement.clone());
    let report = printer.watch(|control| operation::prepare(&request, control))?;
    printer.report(&report, &report_text(&report))?;
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
