//! `lifeboat verify`.

use std::time::Duration;

use crate::operation;
use crate::operation::format::{duration, size};

use super::Ending;
use super::args::VerifyArgs;
use super::output::Printer;
use super::passphrase;

pub(super) fn run(args: &VerifyArgs) -> anyhow::Result<Ending> {
    let access = passphrase::access(&args.repo)?;
    let printer = Printer::new(args.json);
    let report =
        printer.watch(|control| operation::verify(&access, args.image.as_deref(), control))?;
    let text = format!(
        "verified {} image(s): {} in {} blobs read and found right, in {}",
        report.images,
        size(report.bytes),
        report.blobs,
        duration(Duration::from_secs_f64(report.seconds.max(0.0)))
    );
    printer.result(&report, &text)?;
    Ok(Ending::lacking(report.unreadable))
}
