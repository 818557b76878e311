//! `lifeboat forget`.

use std::fmt::Write;

use crate::job::ForgetArgs;
use crate::operation::format::time_of;
use crate::operation::{self, ForgetReport, ForgottenImage};

use super::ending::Ending;
use super::output::Printer;
use super::{consent, passphrase, prune};

pub(super) fn run(args: &ForgetArgs) -> anyhow::Result<Ending> {
    let want = passphrase::writing_unless(args.dry_run);
    let request = args.request(passphrase::access(&args.work.repo, want)?);
    if args.all && !args.dry_run && !args.yes {
        consent::to_forget_all(request.repo.location(), args.work.json)?;
    }
    let printer = Printer::new(args.work.json);
    let report = printer.watch_at(&request.repo, |control| operation::forget(&request, control))?;
    match report.dry_run {
        true => printer.answer(&report, &text(&report))?,
        false => printer.report(&report, &text(&report))?,
    }
    Ok(report.pruned.as_ref().map_or(Ending::Done, prune::ending))
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
