//! `lifeboat boot`, and `lifeboat verify --boot`.

use crate::console;
use crate::job::{BootArgs, BootTestArgs};
use crate::operation::format::duration;
use crate::operation::{self, BootReport, RepoAccess, Timed, Want};

use super::ending::Ending;
use super::output::Printer;
use super::passphrase;

pub(super) fn run(args: &BootArgs) -> anyhow::Result<Ending> {
    let request = args.request(passphrase::access(&args.from.repo, Want::Read)?);
    let screen = args.screen();
    Printer::new(false)
        .watch_on(&request.repo, |control| operation::boot(&request, screen, control))?;
    Ok(Ending::Done)
}

/// Starts an image and tells how that came out.
pub(super) fn test(
    args: &BootTestArgs,
    image: String,
    access: RepoAccess,
    json: bool,
) -> anyhow::Result<Ending> {
    let request = args.machine.request(image, access);
    let printer = Printer::new(json);
    let limit = args.limit();
    let report = printer
        .watch_on(&request.repo, |control| operation::verify_boot(&request, limit, control))?;
    printer.report(&report, &text(&report))?;
    Ok(if report.boots { Ending::Done } else { Ending::NeedsAttention })
}

fn text(report: &Timed<BootReport>) -> String {
    let id: String = report.image.chars().take(8).collect();
    let verdict = console::name(&report.verdict.to_string());
    let mut text = format!("image {id} {verdict} (after {})", duration(report.time));
    if let Some(picture) = &report.picture {
        text.push_str(&format!("\nits screen: {}", console::path(picture)));
    }
    text
}
