//! `lifeboat diff`.

use crate::console::{say, say_json};
use crate::job::DiffArgs;
use crate::operation::{self, Aspect, Change, Difference, Want};
use crate::volume::EntryKind;

use super::ending::Ending;
use super::output::Printer;
use super::passphrase;

pub(super) fn run(args: &DiffArgs) -> anyhow::Result<Ending> {
    let request = args.request(passphrase::access(&args.from.repo, Want::Read)?);
    let mut failure = Ok(());
    let mut show = |difference: Difference| match args.json {
        true if failure.is_ok() => failure = say_json(&difference, false),
        true => {}
        false => say(&line(&difference)),
    };
    let report = Printer::new(false)
        .watch_on(&request.repo, |control| operation::diff(&request, control, &mut show))?;
    failure?;
    if !args.json {
        say(&format!(
            "{} added, {} removed, {} changed",
            report.added, report.removed, report.changed
        ));
    }
    Ok(if report.not_compared == 0 { Ending::Done } else { Ending::NeedsAttention })
}

fn line(difference: &Difference) -> String {
    let mark = match difference.change {
        Change::Added => '+',
        Change::Removed => '-',
        Change::Changed => 'M',
    };
    let either = difference.after.as_ref().or(difference.before.as_ref());
    let is_folder = either.is_some_and(|file| file.kind == EntryKind::Folder);
    let end = if is_folder { "/" } else { "" };
    let what: Vec<&str> = difference.what.iter().map(|aspect| word(*aspect)).collect();
    let what = if what.is_empty() { String::new() } else { format!("  ({})", what.join(", ")) };
    format!("{mark} {}{end}{what}", difference.path)
}

fn word(aspect: Aspect) -> &'static str {
    match aspect {
        Aspect::Kind => "kind",
        Aspect::Size => "size",
        Aspect::Time => "time",
        Aspect::Owner => "owner",
        Aspect::Attributes => "attributes",
        Aspect::Target => "target",
        Aspect::Content => "content",
    }
}
