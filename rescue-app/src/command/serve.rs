//! `lifeboat serve`.

use crate::job::ServeArgs;
use crate::operation::{self, Want};

use super::ending::Ending;
use super::output::Printer;
use super::passphrase;

pub(super) fn run(args: &ServeArgs) -> anyhow::Result<Ending> {
    let request = args.request(passphrase::access(&args.from.repo, Want::Read)?);
    Printer::new(false).watch_on(&request.repo, |control| operation::serve(&request, control))?;
    Ok(Ending::Done)
}
