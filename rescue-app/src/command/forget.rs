//! `lifeboat forget`.

use std::fmt::Write;

use crate::operation::format::time_of;
use crate::operation::{self, ForgetReport, ForgetRequest, ForgottenImage, Rules, Unwanted};
use crate::repository::KeepRules;

use super::Ending;
use super::args::{ForgetArgs, KeepArgs};
use super::images::reference;
use super::output::Printer;
use super::{passphrase, prune};

pub(super) fn run(args: &ForgetArgs) -> anyhow::Result<Ending> {
    let request = ForgetRequest {
        repo: passphrase::access(&args.repo)?,
        unwanted: unwanted(args),
        dry_run: args.dry_run,
        prune: args.prune.then_some(args.extent.max_unused),
    };
    let printer = Printer::new(args.json);
    let report = printer.watch_at(&request.repo, |control| operation::forget(&request, control))?;
    printer.result(&report, &text(&report))?;
    Ok(report.pruned.as_ref().map_or(Ending::Done, prune::ending))
}

fn unwanted(args: &ForgetArgs) -> Unwanted {
    match (args.all, args.images.is_empty()) {
        (true, _) => Unwanted::All,
        (false, false) => {
            let named = args.images.iter().map(|image| reference(image, args.disk.as_deref()));
            Unwanted::Named(named.collect())
        }
        (false, true) => Unwanted::AllBut(Rules {
            keep: rules(&args.keep),
            disk: args.disk.clone(),
            stored_last_too: args.yes,
        }),
    }
}

fn rules(keep: &KeepArgs) -> KeepRules {
    KeepRules {
        last: keep.keep_last.unwrap_or(0),
        hourly: keep.keep_hourly.unwrap_or(0),
        daily: keep.keep_daily.unwrap_or(0),
        weekly: keep.keep_weekly.unwrap_or(0),
        monthly: keep.keep_monthly.unwrap_or(0),
        yearly: keep.keep_yearly.unwrap_or(0),
    }
}

fn text(report: &ForgetReport) -> String {
    let mut text = String::new();
    for disk in &report.disks {
        let _ = writeln!(text, "{}", disk.disk);
        for image in &disk.images {
            let _ = writeln!(text, "  {}", line(image));
        }
    }
    let (kept, forgotten) = (report.kept, report.forgotten);
    let _ = match report.dry_run {
        true => write!(text, "would forget {forgotten} image(s) and keep {kept}; nothing was done"),
        false => write!(text, "forgot {forgotten} image(s), kept {kept}"),
    };
    text.push_str(&match &report.pruned {
        Some(pruned) => format!("\n{}", prune::text(pruned)),
        None => "; `lifeboat prune` frees the space that no other image uses".to_owned(),
    });
    text
}

fn line(image: &ForgottenImage) -> String {
    let (id, time) = (image.id.get(..8).unwrap_or(&image.id), time_of(&image.time));
    let marks: String = image.marks.iter().map(|mark| format!("  [{mark}]")).collect();
    if image.kept_as.is_empty() {
        return format!("forget  {id}  {time}{marks}");
    }
    let words: Vec<_> = image.kept_as.iter().map(|kept| kept.word()).collect();
    format!("keep    {id}  {time}  {}{marks}", words.join(", "))
}
