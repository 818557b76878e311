//! `lifeboat mount`.

use crate::job::MountArgs;
use crate::operation::{self, Want};

use super::ending::Ending;
use super::output::Printer;
use super::passphrase;

pub(super) fn run(args: &MountArgs) -> anyhow::Result<Ending> {
    let request = args.request(passphrase::access(&args.from.repo, Want::Read)?);
    Printer::new(false).watch_on(&request.repo, |control| operation::mount(&request, control))?;
    Ok(Ending::Done)
}
