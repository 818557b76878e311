//! `lifeboat key`.

use crate::console::say;
use crate::job::{KeyArgs, KeyVerb, WorkArgs};
use crate::operation::format::time;
use crate::operation::{self, KeyReport, KeyWork, RepoAccess, Want};

use super::ending::Ending;
use super::output::{Printer, document};
use super::passphrase;

pub(super) fn run(args: &KeyArgs) -> anyhow::Result<Ending> {
    match &args.work {
        KeyVerb::List(work) => list(work),
        KeyVerb::Add(new) => change(&new.work, "added", |access| {
            let file = new.new_passphrase_file.as_deref();
            passphrase::new_passphrase(file, access).map(KeyWork::Add)
        }),
        KeyVerb::Change(new) => change(&new.work, "changed; the new one is", |access| {
            let file = new.new_passphrase_file.as_deref();
            passphrase::new_passphrase(file, access).map(KeyWork::Change)
        }),
        KeyVerb::Remove(remove) => {
            change(&remove.work, "removed", |_| Ok(KeyWork::Remove(remove.key.clone())))
        }
    }
}

fn list(args: &WorkArgs) -> anyhow::Result<Ending> {
    let keys = operation::list_keys(&passphrase::access(&args.repo, Want::Read)?)?;
    if args.json {
        document(&keys)?;
        return Ok(Ending::Done);
    }
    for key in keys {
        let (id, made) = (key.id.get(..8).unwrap_or(&key.id), time(key.created));
        let current = if key.current { "  [opened with]" } else { "" };
        say(&format!("{id}  {made}  {}@{}{current}", key.username, key.hostname));
    }
    Ok(Ending::Done)
}

/// Opens the repository, asks for what is new, and changes its keys.
fn change(
    args: &WorkArgs,
    done: &str,
    work: impl FnOnce(&RepoAccess) -> anyhow::Result<KeyWork>,
) -> anyhow::Result<Ending> {
    let access = passphrase::access(&args.repo, Want::Write)?;
    let work = work(&access)?;
    let printer = Printer::new(args.json);
    let report = printer.watch_on(&access, |_| operation::change_keys(&access, &work))?;
    printer.report(&report, &text(&report, done))?;
    Ok(Ending::Done)
}

fn text(report: &KeyReport, done: &str) -> String {
    let mut text = format!("key {done} {}", report.key.get(..8).unwrap_or(&report.key));
    if report.is_public {
        text.push_str(
            "\nthe word that everybody knows opens the repository still: 'lifeboat key list', then \
             'lifeboat key remove' with the new passphrase",
        );
    }
    text
}
