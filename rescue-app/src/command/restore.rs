//! `lifeboat restore`.

use std::fmt::Write;

use crate::job::RestoreArgs;
use crate::operation::format::{duration, size, time_of};
use crate::operation::{self, RestorePlan, RestoreReport, Timed, Want};

use super::ending::Ending;
use super::output::Printer;
use super::{consent, passphrase, target};

pub(super) fn run(args: &RestoreArgs) -> anyhow::Result<Ending> {
    let mut request = args.request(passphrase::access(&args.repo, Want::Read)?);
    let printer = Printer::new(args.json);
    let plan = operation::plan_restore(&request)?;
    printer.plan(&plan, &plan_text(&plan), (&plan.onto.erase, args.plan))?;
    if args.plan {
        return Ok(Ending::Done);
    }
    request.target.erase = consent::given(&args.target, &plan.onto, args.json)?;
    let report = printer.watch_at(&request.repo, |control| plan.run(&request, control))?;
    printer.report(&report, &report_text(&report))?;
    Ok(match report.missing.is_empty() {
        true => Ending::lacking(report.unreadable),
        false => Ending::NeedsAttention,
    })
}

fn plan_text(plan: &RestorePlan) -> String {
    let mut text = String::new();
    for image in std::iter::once(&plan.image).chain(&plan.with) {
        let _ = writeln!(
            text,
            "image {} of {}, {}",
            image.short_id(),
            image.disk_name,
            time_of(&image.time)
        );
    }
    target::add_plan(&mut text, &plan.onto);
    text
}

fn report_text(report: &Timed<RestoreReport>) -> String {
    let mut text = format!(
        "restored: {}, in {}",
        target::written(report.written, report.unchanged, report.read_back),
        duration(report.time),
    );
    if let Some(bytes) = report.file_size {
        let judged = if report.judged { ", found in order by qemu-img too" } else { "" };
        let _ = write!(text, "\nthe file has {}{judged}", size(bytes));
    }
    text
}
