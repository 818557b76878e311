//! `lifeboat verify`.

use crate::job::VerifyArgs;
use crate::operation::format::{duration, size};
use crate::operation::{self, Want};

use super::ending::Ending;
use super::output::Printer;
use super::passphrase;

pub(super) fn run(args: &VerifyArgs) -> anyhow::Result<Ending> {
    let access = passphrase::access(&args.work.repo, Want::Read)?;
    let image = args.reference();
    if let (true, Some(image)) = (args.boot.boot, &image) {
        return super::boot::test(&args.boot, image.clone(), access, args.work.json);
    }
    let printer = Printer::new(args.work.json);
    let report = printer
        .watch_at(&access, |control| operation::verify(&access, image.as_deref(), control))?;
    let text = format!(
        "verified {} image(s): {} in {} blobs read and found right, in {}",
        report.images,
        size(report.bytes),
        report.blobs,
        duration(report.time)
    );
    printer.report(&report, &text)?;
    Ok(Ending::lacking(report.unreadable))
}
