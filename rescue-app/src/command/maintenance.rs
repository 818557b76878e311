//! `lifeboat check`, `repair` and `unlock`.

use std::fmt::Write;

use crate::console::say;
use crate::job::{CheckArgs, RepairArgs, RepairTarget, UnlockArgs};
use crate::operation::format::size;
use crate::operation::{self, Repair, Repaired, Want};
use crate::repository::{CheckReport, RebuiltIndex, RepairedPacks, Unlocked};

use super::ending::Ending;
use super::output::Printer;
use super::passphrase;

pub(super) fn check(args: &CheckArgs) -> anyhow::Result<Ending> {
    let access = passphrase::access(&args.work.repo, Want::Read)?;
    let printer = Printer::new(args.work.json);
    let report =
        printer.watch_at(&access, |control| operation::check(&access, args.read_data, control))?;
    match report.is_sound() {
        true => printer.report(&report, &check_text(&report))?,
        false => printer.answer(&report, &check_text(&report))?,
    }
    Ok(if report.is_sound() { Ending::Done } else { Ending::Damaged })
}

fn check_text(report: &CheckReport) -> String {
    let mut text = format!(
        "checked {} image(s), {} pack(s) and {} blob(s)",
        report.snapshots, report.packs, report.blobs
    );
    if report.bytes_read > 0 {
        let _ = write!(text, ", read {}", size(report.bytes_read));
    }
    let damage = report.findings.iter().filter(|finding| finding.is_damage).count();
    if report.is_sound() {
        text.push_str("; no damage was found");
        return text;
    }
    let _ = write!(text, "; {damage} problem(s), see above");
    for image in &report.incomplete {
        let _ = write!(text, "\nimage {} cannot be restored whole", image.short());
    }
    text.push_str(
        "\n'lifeboat repair index' mends the index, 'lifeboat repair packs' saves what is good in \
         damaged packs; capturing a disk again brings back what is still on it",
    );
    text
}

pub(super) fn repair(args: &RepairArgs) -> anyhow::Result<Ending> {
    let (common, what) = match &args.target {
        RepairTarget::Index(common) => (common, Repair::Index),
        RepairTarget::Packs(common) => (common, Repair::Packs),
    };
    let access = passphrase::access(&common.repo, Want::Write)?;
    let printer = Printer::new(common.json);
    let repaired =
        printer.watch_at(&access, |control| operation::repair(&access, what, control))?;
    let (text, ending) = match &repaired {
        Repaired::Index(report) => (index_text(report), ending(report.damaged.is_empty())),
        Repaired::Packs(report) => (packs_text(report), ending(report.incomplete.is_empty())),
    };
    printer.report(&repaired, &text)?;
    Ok(ending)
}

fn ending(whole: bool) -> Ending {
    if whole { Ending::Done } else { Ending::NeedsAttention }
}

fn index_text(report: &RebuiltIndex) -> String {
    let mut text = format!(
        "wrote the index anew: {} pack(s) with {} blob(s), {} of them not known before; {} that are \
         missing were dropped",
        report.packs, report.blobs, report.added, report.dropped
    );
    for damaged in &report.damaged {
        let _ = write!(text, "\n{damaged}");
    }
    if !report.damaged.is_empty() {
        text.push_str("\n'lifeboat repair packs' saves what is good in them");
    }
    text
}

fn packs_text(report: &RepairedPacks) -> String {
    let mut text = format!(
        "read {} pack(s), {} of them damaged or missing: {} blob(s) saved, {} lost",
        report.packs, report.damaged, report.saved, report.lost
    );
    for image in &report.incomplete {
        let id = image.get(..8).unwrap_or(image);
        let _ = write!(text, "\nimage {id} cannot be restored whole");
    }
    if !report.incomplete.is_empty() {
        text.push_str("\ncapture their disks again: what is still on them comes back");
    }
    text
}

pub(super) fn unlock(args: &UnlockArgs) -> anyhow::Result<Ending> {
    let Unlocked { removed, left } =
        operation::unlock(&passphrase::access(&args.repo, Want::Write)?, args.all)?;
    say(&format!("removed {removed} lock(s)"));
    for problem in &left {
        say(&format!("left: {problem}"));
    }
    Ok(ending(left.is_empty()))
}
