//! `lifeboat prune`.

use crate::job::PruneArgs;
use crate::operation;
use crate::operation::format::size;
use crate::repository::PruneReport;

use super::ending::Ending;
use super::output::Printer;
use super::passphrase;

pub(super) fn run(args: &PruneArgs) -> anyhow::Result<Ending> {
    let want = passphrase::writing_unless(args.dry_run);
    let request = args.request(passphrase::access(&args.work.repo, want)?);
    let printer = Printer::new(args.work.json);
    let report = printer.watch_at(&request.repo, |control| operation::prune(&request, control))?;
    match report.dry_run {
        true => printer.answer(&report, &text(&report))?,
        false => printer.report(&report, &text(&report))?,
    }
    Ok(ending(&report))
}

/// Attention is needed when less was freed than could have been.
pub(super) fn ending(report: &PruneReport) -> Ending {
    if report.warnings.is_empty() { Ending::Done } else { Ending::NeedsAttention }
}

/// What was done, in words.
pub(super) fn text(report: &PruneReport) -> String {
    let freed = if report.dry_run { "would free" } else { "freed" };
    format!(
        "{freed} {}: {} pack(s) removed, {} partly used one(s) emptied by moving {}\n\
         {} remain for {} image(s), {} of them unused",
        size(report.freed),
        report.removed_packs,
        report.repacked_packs,
        size(report.moved),
        size(report.remaining),
        report.images,
        size(report.unused_left),
    )
}
