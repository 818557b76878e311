//! `lifeboat ls`, `copy` and `find`.

use crate::console::{self, say, say_json};
use crate::job::{CopyArgs, FindArgs, LsArgs};
use crate::operation::format::size;
use crate::operation::{self, Browsed, BrowsedFile, BrowsedVolume, Want};
use crate::volume::EntryKind;

use super::ending::Ending;
use super::output::{Printer, document};
use super::passphrase;

pub(super) fn list(args: &LsArgs) -> anyhow::Result<Ending> {
    let request = args.request(passphrase::access(&args.listed.from.repo, Want::Read)?);
    let found = Printer::new(false)
        .watch_on(&request.repo, |control| operation::list_files(&request, control))?;
    if args.json {
        document(&found)?;
        return Ok(Ending::Done);
    }
    match found {
        Browsed::Volumes(volumes) => volumes.iter().for_each(|volume| say(&volume_line(volume))),
        Browsed::Files(files) => {
            files.iter().for_each(|file| say(&line(file, name(file), args.listed.long)))
        }
    }
    Ok(Ending::Done)
}

pub(super) fn copy(args: &CopyArgs) -> anyhow::Result<Ending> {
    let request = args.request(passphrase::access(&args.from.repo, Want::Read)?);
    let printer = Printer::new(args.json);
    let report = printer
        .watch_on(&request.repo, |control| operation::copy_files(&request, &args.to, control))?;
    let text = format!(
        "copied {} file(s) of {}, {} folder(s) and {} link(s) to {}",
        report.files,
        size(report.bytes),
        report.folders,
        report.links,
        console::path(&report.to)
    );
    printer.report(&report, &text)?;
    Ok(if report.warnings.is_empty() { Ending::Done } else { Ending::NeedsAttention })
}

pub(super) fn find(args: &FindArgs) -> anyhow::Result<Ending> {
    let request = args.request(passphrase::access(&args.listed.from.repo, Want::Read)?);
    let mut failure = Ok(());
    let mut show = |file: BrowsedFile| match args.json {
        true if failure.is_ok() => failure = say_json(&file, false),
        true => {}
        false => say(&line(&file, &file.path, args.listed.long)),
    };
    Printer::new(false).watch_on(&request.repo, |control| {
        operation::find_files(&request, &args.name, control, &mut show)
    })?;
    failure?;
    Ok(Ending::Done)
}

fn volume_line(volume: &BrowsedVolume) -> String {
    let problem = volume.problem.as_ref().map(|problem| format!("  ({problem})"));
    format!("{:>10}  {}{}", size(volume.size), volume.name, problem.unwrap_or_default())
}

/// The last name of its path.
fn name(file: &BrowsedFile) -> &str {
    file.path.rsplit('/').next().unwrap_or(&file.path)
}

fn line(file: &BrowsedFile, name: &str, long: bool) -> String {
    let end = if file.kind == EntryKind::Folder { "/" } else { "" };
    if !long {
        return format!("{name}{end}");
    }
    let (uid, gid, mode) = file.owner.map_or_else(
        || ("-".to_owned(), "-".to_owned(), "-".repeat(9)),
        |(uid, gid, mode)| (uid.to_string(), gid.to_string(), letters(mode)),
    );
    let kind = match file.kind {
        EntryKind::Folder => 'd',
        EntryKind::File => '-',
        EntryKind::Link => 'l',
        EntryKind::Other => '?',
    };
    let time = file.modified.map_or_else(String::new, minute);
    let target = file.target.as_ref().map(|target| format!(" -> {target}"));
    let problem = file.problem.as_ref().map(|problem| format!("  ({problem})"));
    format!(
        "{kind}{mode} {uid:>5} {gid:>5} {:>12} {time:<16} {name}{end}{}{}",
        file.size,
        target.unwrap_or_default(),
        problem.unwrap_or_default()
    )
}

/// Nine letters of permissions, as `ls` has them; setuid, setgid and sticky are not told.
fn letters(mode: u16) -> String {
    let letter = |(bit, letter)| if mode & 1u16 << bit != 0 { letter } else { '-' };
    (0..9u16).rev().zip("rwx".chars().cycle()).map(letter).collect()
}

/// In UTC.
fn minute(time: time::OffsetDateTime) -> String {
    let format = time::macros::format_description!("[year]-[month]-[day] [hour]:[minute]");
    time.format(format).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_the_letters_of_ls() {
        assert_eq!(letters(0o751), "rwxr-x--x");
        assert_eq!(letters(0o000), "---------");
    }
}
