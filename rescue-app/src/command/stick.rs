//! `lifeboat make-stick`.

use std::fmt::Write;

use crate::console;
use crate::job::StickArgs;
use crate::operation::format::size;
use crate::operation::{self, StickData, StickPlan, StickReport};

use super::ending::Ending;
use super::output::Printer;

pub(super) fn run(args: &StickArgs) -> anyhow::Result<Ending> {
    let mut request = args.request();
    let printer = Printer::new(args.json);
    let plan = operation::plan_stick(&request)?;
    printer.plan(&plan, &plan_text(&plan), (&plan.erase, args.plan))?;
    if args.plan {
        return Ok(Ending::Done);
    }
    request.agreed = Some(plan.agreement.clone());
    let report = printer.watch(|control| operation::make_stick(&request, control))?;
    printer.result(&report, &report_text(&report))?;
    Ok(Ending::Done)
}

fn plan_text(plan: &StickPlan) -> String {
    let disk = format!(
        "{} ({}, {})",
        plan.disk.identity(),
        console::path(&plan.disk.path),
        size(plan.disk.size)
    );
    let mut text = match plan.writes_iso {
        true => {
            let from = console::path(&plan.from);
            format!("erases {disk}\nand writes {} from {from} to it", plan.volume_id)
        }
        false => format!("leaves {} on {disk} as it is", plan.volume_id),
    };
    let _ = match &plan.data {
        StickData::New => {
            write!(text, "\nand makes an empty data partition of {} with exFAT", size(plan.data_size))
        }
        StickData::Kept { label, size: kept } => {
            let label = label.as_deref().unwrap_or("without a label");
            write!(text, "\nkept: the data partition {label} ({}), with all that is in it", size(*kept))
        }
    };
    for lost in &plan.lost {
        let _ = write!(text, "\nlost: {lost}");
    }
    text
}

fn report_text(report: &StickReport) -> String {
    let data = match report.data {
        StickData::New => "a new data partition",
        StickData::Kept { .. } => "the data partition that was there",
    };
    format!(
        "made a stick of {}: {} and {data} of {}; all of it was read back",
        report.disk.identity(),
        report.volume_id,
        size(report.size),
    )
}
