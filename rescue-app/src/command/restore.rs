//! `lifeboat restore`.

use std::fmt::Write;
use std::time::Duration;

use crate::console;
use crate::operation::format::{duration, size, time_of};
use crate::operation::{self, LayoutEntry, RestorePlan, RestoreReport, RestoreRequest, With};

use super::Ending;
use super::args::RestoreArgs;
use super::images::reference;
use super::output::Printer;
use super::passphrase;

pub(super) fn run(args: &RestoreArgs) -> anyhow::Result<Ending> {
    let mut request = RestoreRequest {
        image: reference(&args.image, args.of_disk.as_deref()),
        disk: args.disk.clone(),
        sector_size: args.sector_size,
        size: args.size,
        repo: passphrase::access(&args.repo)?,
        erase: args.erase.as_ref().map(|name| name.to_string_lossy().into_owned()),
        agreed: None,
        partitions: args.partitions.clone(),
        volume: args.volume.clone(),
        with: With::Named(args.with.clone()),
        only_changed: args.only_changed,
        verify_first: args.verify_first,
        read_back: !args.no_read_back,
        mend_table: args.mend_table,
    };
    let printer = Printer::new(args.json);
    let plan = operation::plan_restore(&request)?;
    if args.plan {
        let text = format!("{}\nto agree: --erase {}", plan_text(&plan), plan.erase);
        printer.result(&plan, &text)?;
        return Ok(Ending::Done);
    }
    if !args.json {
        console::say(&plan_text(&plan));
    }
    request.agreed = Some(plan.agreement.clone());
    let report =
        printer.watch_at(&request.repo, |control| operation::restore(&request, control))?;
    printer.result(&report, &report_text(&report))?;
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
    layout(&mut text, "before", &plan.before);
    layout(&mut text, "after", &plan.after);
    let _ = write!(text, "\nwrites {}", size(plan.writes));
    for (mark, lines) in [("lost", &plan.lost), ("note", &plan.notices)] {
        for line in lines {
            let _ = write!(text, "\n{mark}: {line}");
        }
    }
    text
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

fn report_text(report: &RestoreReport) -> String {
    let proof = if report.read_back > 0 {
        format!("read back and compared {}", size(report.read_back))
    } else {
        "not read back".to_owned()
    };
    format!(
        "restored: wrote {}, {} were there already, {proof}, in {}",
        size(report.written),
        size(report.unchanged),
        duration(Duration::from_secs_f64(report.seconds.max(0.0))),
    )
}
