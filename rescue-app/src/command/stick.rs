//! `lifeboat make-stick` and `lifeboat check-medium`.

use std::fmt::Write;

use crate::console;
use crate::job::{CheckMediumArgs, StickArgs};
use crate::operation::format::size;
use crate::operation::{self, MediumReport, StickData, StickPlan, StickReport};

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
    printer.report(&report, &report_text(&report))?;
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
            write!(
                text,
                "\nand makes an empty data partition of {} with exFAT",
                size(plan.data_size)
            )
        }
        StickData::Kept { label, size: kept } => {
            let label = label.as_deref().unwrap_or("without a label");
            write!(
                text,
                "\nkept: the data partition {label} ({}), with all that is in it",
                size(*kept)
            )
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

pub(super) fn check(args: &CheckMediumArgs) -> anyhow::Result<Ending> {
    let printer = Printer::new(args.json);
    let medium = args.medium.as_deref();
    let report = printer.watch(|control| operation::check_medium(medium, control))?;
    printer.answer(&report, &check_text(&report))?;
    Ok(if report.damaged.is_empty() { Ending::Done } else { Ending::Damaged })
}

fn check_text(report: &MediumReport) -> String {
    let MediumReport { path, volume_id, checked, damaged } = report;
    let path = console::path(path);
    if damaged.is_empty() {
        return format!("{volume_id} on {path}: all {} are as they were built", size(*checked));
    }
    let mut text = format!("{volume_id} on {path} is DAMAGED; write it again, to another stick:");
    for part in damaged {
        let _ = write!(text, "\n  {}", console::plain(&part.name));
    }
    text
}
