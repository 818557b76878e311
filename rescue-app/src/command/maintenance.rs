//! `lifeboat check`, `repair` and `unlock`.

use std::fmt::Write;

use crate::console::say;
use crate::job::{CheckArgs, RepairArgs, RepairTarget, UnlockArgs};
use crate::operation::format::{size, time_of};
use crate::operation::{self, Repair, Repaired, RepoAccess, Want};
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
        true => printer.report(&report, &check_text(&report, &access))?,
        false => printer.answer(&report, &check_text(&report, &access))?,
    }
    Ok(if report.is_sound() { Ending::Done } else { Ending::Damaged })
}

fn check_text(report: &CheckReport, access: &RepoAccess) -> String {
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
    add_incomplete(&mut text, access, report.incomplete.iter().map(ToString::to_string));
    text.push_str(
        "\nbefore that, 'lifeboat repair index' mends a damaged index, and 'lifeboat repair packs' saves what \
         is good in damaged packs",
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
        Repaired::Packs(report) => {
            (packs_text(report, &access), ending(report.incomplete.is_empty()))
        }
    };
    match ending {
        Ending::Done => printer.report(&repaired, &text)?,
        _ => printer.answer(&repaired, &text)?,
    }
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

fn packs_text(report: &RepairedPacks, access: &RepoAccess) -> String {
    let mut text = format!(
        "read {} pack(s), {} of them damaged or missing: {} blob(s) saved, {} lost",
        report.packs, report.damaged, report.saved, report.lost
    );
    add_incomplete(&mut text, access, report.incomplete.iter().cloned());
    text
}

/// Adds the images that lack data, and what helps each of them.
fn add_incomplete(text: &mut String, access: &RepoAccess, ids: impl Iterator<Item = String>) {
    let mut ids = ids.peekable();
    // Without the list there are still the ids.
    let images = ids.peek().and_then(|_| operation::list_images(access).ok()).unwrap_or_default();
    for id in ids {
        let named = images.iter().find(|image| image.id == id);
        let named =
            named.map(|image| format!(" of {}, {},", image.disk_name, time_of(&image.time)));
        let (short, named) = (id.get(..8).unwrap_or(&id), named.unwrap_or_default());
        let _ = write!(
            text,
            "\nimage {short}{named} cannot be restored whole: capture that disk again, which brings back \
             what is still on it; if the disk is gone, 'lifeboat forget {short}'"
        );
    }
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
