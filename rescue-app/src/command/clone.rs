//! `lifeboat clone`.

use std::fmt::Write;

use crate::job::CloneArgs;
use crate::operation::format::{duration, size};
use crate::operation::{self, ClonePlan, CloneReport, Timed};

use super::ending::Ending;
use super::output::Printer;
use super::{consent, source, target, unlock};

pub(super) fn run(args: &CloneArgs) -> anyhow::Result<Ending> {
    let mut request = args.request(unlock::keys(&args.source)?);
    let printer = Printer::new(args.json);
    let plan = printer.watch(|control| operation::plan_clone(&request, control))?;
    printer.plan(&plan, &plan_text(&plan), (&plan.onto.erase, args.plan))?;
    if args.plan {
        return Ok(Ending::Done);
    }
    request.target.erase = consent::given(&args.target, &plan.onto, args.json)?;
    let report = printer.watch(|control| plan.run(&request, control))?;
    printer.report(&report, &report_text(&report))?;
    Ok(match report.missing.is_empty() && !report.table_unreadable {
        true => Ending::lacking(report.unreadable),
        false => Ending::NeedsAttention,
    })
}

fn plan_text(plan: &ClonePlan) -> String {
    let source = &plan.source;
    let mut text = source::plan_head("clone", source) + "\n";
    if let Some(unpartitioned) = &source.summary.unpartitioned {
        let _ = writeln!(text, "{}", unpartitioned.sentence());
    }
    target::add_plan(&mut text, &plan.onto);
    text
}

fn report_text(report: &Timed<CloneReport>) -> String {
    let mut text = format!(
        "cloned: read {}, {}, in {}",
        size(report.read),
        target::written(report.written, report.unchanged, report.read_back),
        duration(report.time),
    );
    if !report.warnings.is_empty() {
        let _ = write!(text, "\n  with {} warning(s), see above", report.warnings.len());
    }
    text
}
