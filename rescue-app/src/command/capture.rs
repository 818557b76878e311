//! `lifeboat capture`.

use std::fmt::Write;

use crate::job::CaptureArgs;
use crate::operation::format::{duration, size};
use crate::operation::{self, CapturePlan, CaptureReport, Timed};

use super::ending::Ending;
use super::output::Printer;
use super::{passphrase, source, unlock};

pub(super) fn run(args: &CaptureArgs) -> anyhow::Result<Ending> {
    let keys = unlock::keys(&args.source)?;
    let want = passphrase::writing_unless(args.plan);
    let request = args.request(keys, passphrase::access(&args.repo, want)?);
    let printer = Printer::new(args.json);
    if args.plan {
        let plan = printer
            .watch_on(&request.repo, |control| operation::plan_capture(&request, control))?;
        printer.answer(&plan, &plan_text(&plan))?;
        return Ok(Ending::Done);
    }
    let report =
        printer.watch_at(&request.repo, |control| operation::capture(&request, control))?;
    printer.report(&report, &text(&report))?;
    match report.table_unreadable {
        true => Ok(Ending::NeedsAttention),
        false => Ok(Ending::lacking(report.unreadable)),
    }
}

fn plan_text(plan: &CapturePlan) -> String {
    let source = &plan.source;
    let mut text =
        format!("{}\n{}", source::plan_head("capture", source), plan.outlook.space.sentence());
    if let Some(left_out) = operation::not_stored(&source.summary.left_out) {
        let is_asked = source.summary.left_out.iter().all(|file| file.asked);
        let hint = if is_asked { "" } else { " (--keep-swap-files stores those whole)" };
        let _ = write!(text, "\nleaves out {left_out}{hint}");
    }
    if let Some(unpartitioned) = &source.summary.unpartitioned {
        let _ = write!(text, "\n{}", unpartitioned.sentence());
    }
    if let Some(kept) = source.summary.kept_boot_entries() {
        let _ = write!(text, "\n{kept}");
    }
    for warning in &plan.outlook.warnings {
        let _ = write!(text, "\nwarning: {warning}");
    }
    text
}

fn text(report: &Timed<CaptureReport>) -> String {
    let mut text = format!(
        "image {} of {}\n  read {} in {}, left out {} that nothing uses\n  \
         added {} to the repository, {} were there already\n  \
         read back and checked {}",
        report.image.short_id(),
        report.image.disk_name,
        size(report.read),
        duration(report.time),
        size(report.unused),
        size(report.added),
        size(report.reused),
        size(report.verified),
    );
    if let Some(left_out) = operation::not_stored(&report.left_out) {
        let _ = write!(text, "\n  left out {left_out}");
    }
    if report.resumed > 0 {
        let _ = write!(
            text,
            "\n  went on with {} that were stored without an image, by an interrupted capture or one \
             forgotten; they were read back too",
            size(report.resumed)
        );
    }
    if !report.warnings.is_empty() {
        let _ = write!(text, "\n  with {} warning(s), see above", report.warnings.len());
    }
    text
}
