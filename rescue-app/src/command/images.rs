//! `lifeboat init`, `images`, `stats` and `show`.

use crate::console::{self, say, tell};
use crate::image::manifest::Stored;
use crate::job::{ImagesArgs, InitArgs, ShowArgs};
use crate::operation::format::{count, size, time_of};
use crate::operation::{self, BootNote, Control, Event, ImagePartition, ImageSummary, Stats, Want};
use crate::volume::State;

use super::ending::Ending;
use super::output::{document, least_size, logical_volume};
use super::passphrase;
use super::signals::{self, CANCEL};

pub(super) fn init(args: &InitArgs) -> anyhow::Result<Ending> {
    let access = passphrase::new_access(&args.repo, args.no_passphrase)?;
    operation::create_repository(&access, args.in_memory)?;
    say(&format!("created an image repository in {}", access.location()));
    if access.is_public() {
        say("it has no passphrase of its own: whoever has the folder can read the images \
             (the word for restic is in its README.txt)");
    }
    Ok(Ending::Done)
}

pub(super) fn list(args: &ImagesArgs) -> anyhow::Result<Ending> {
    let images = operation::list_images(&passphrase::access(&args.repo, Want::Read)?)?;
    if args.json {
        document(&images)?;
        return Ok(Ending::Done);
    }
    if images.is_empty() {
        say(&format!("no images in {}", args.repo.repo));
    }
    images.iter().for_each(|image| say(&line(image)));
    Ok(Ending::Done)
}

fn line(image: &ImageSummary) -> String {
    let mut marks: String = image.marks().iter().map(|mark| format!("  [{mark}]")).collect();
    if let Some(note) = &image.boot_test {
        marks.push_str(if note.verdict.boots() { "  [boots]" } else { "  [does not boot]" });
    }
    marks.extend(image.tags.iter().map(|tag| format!("  #{}", console::name(tag))));
    if let Some(note) = &image.note {
        marks.push_str(&format!("  {}", console::name(note)));
    }
    format!(
        "{}  {}  {:>10}  {:>10} used  {}{marks}",
        image.short_id(),
        time_of(&image.time),
        size(image.size),
        size(image.used),
        image.disk_name
    )
}

pub(super) fn show(args: &ShowArgs) -> anyhow::Result<Ending> {
    let access = passphrase::access(&args.from.repo, Want::Read)?;
    let sink = |event: Event| {
        if let Event::Notice(notice) = event {
            tell(&format!("note: {}", notice.text));
        }
    };
    let _caught = signals::Caught::now();
    let control = Control { sink: &sink, cancel: &CANCEL, resume: None };
    let wanted = args.reference();
    let image =
        access.attended(control, |control| operation::show_image(&access, &wanted, control))?;
    if args.json {
        document(&image)?;
    } else {
        print_image(&image);
    }
    Ok(Ending::Done)
}

pub(super) fn stats(args: &ImagesArgs) -> anyhow::Result<Ending> {
    let access = passphrase::access(&args.repo, Want::Read)?;
    let stats = operation::repository_stats(&access)?;
    if args.json {
        document(&stats)?;
        return Ok(Ending::Done);
    }
    let Stats { images, disks, held, packs, blobs, plain, stored, free } = stats;
    say(&format!("images    {} of {}", count(images, "image"), count(disks, "disk")));
    say(&format!("hold      {} of their disks", size(held)));
    say(&format!("chunks    {blobs}, each stored once: {}", size(plain)));
    say(&format!("stored    {} in {}", size(stored), count(packs, "pack file")));
    if let Some(free) = free {
        say(&format!("free      {}", size(free)));
    }
    Ok(Ending::Done)
}

fn print_image(image: &ImageSummary) {
    say(&format!("image   {}", image.id));
    say(&format!("made    {}", time_of(&image.time)));
    say(&format!("disk    {}, {} ({} bytes)", image.disk_name, size(image.size), image.size));
    if let Some(note) = &image.note {
        say(&format!("note    {}", console::name(note)));
    }
    if !image.tags.is_empty() {
        say(&format!("tags    {}", console::name(&image.tags.join(", "))));
    }
    if let Some(form) = &image.imported_from {
        say(&format!("was     {}", form));
    }
    say(&format!("holds   {}", size(image.used)));
    let marks = image.marks();
    if !marks.is_empty() {
        say(&format!("lacks   {}", marks.join("; ")));
    }
    if let Some(BootNote { time, verdict, .. }) = &image.boot_test {
        say(&format!("started {}: {verdict}", time_of(time)));
    }
    for partition in &image.partitions {
        print_partition(partition);
    }
    for entry in &image.boot_entries {
        say(&format!("boots   {entry}"));
    }
    for warning in &image.warnings {
        say(&format!("warning {}", warning));
    }
    for file in &image.damage.files {
        say(&format!("damaged {file}"));
    }
    if image.damage.more_files > 0 {
        say(&format!("damaged {} more files", image.damage.more_files));
    }
}

fn print_partition(partition: &ImagePartition) {
    let volume = &partition.volume;
    let filesystem = volume.filesystem.as_ref();
    let number = volume.partition.map_or_else(|| "-".to_owned(), |number| number.to_string());
    let kind = &volume.content;
    let label = volume.label().unwrap_or("");
    let used = volume.used().map_or_else(String::new, |used| format!("{} used", size(used)));
    let stored = match partition.stored {
        Stored::Used => "used blocks",
        Stored::Whole => "whole",
        Stored::Header => "header only",
        Stored::Nothing => "not in the image",
    };
    let state = match volume.state() {
        State::Clean | State::Unknown => String::new(),
        State::Dirty(why) => format!(", not clean: {why}"),
        State::Hibernated(why) => format!(", hibernated: {why}"),
    };
    say(&format!(
        "  {number:>3}  {:>10}  {kind:<8} {label:<16} {used:<16} {stored}{state}",
        size(volume.size)
    ));
    volume.logical_volumes.iter().for_each(|volume| say(&logical_volume(volume)));
    if let Some(system) = &volume.system {
        say(&format!("       {}", system));
    }
    least_size(volume);
    if let Some(last_use) = filesystem.and_then(|found| found.last_use.as_ref()) {
        say(&format!("       {}", last_use));
    }
    if !partition.inside.is_empty() {
        let inside: Vec<String> = partition.inside.iter().map(ToString::to_string).collect();
        let unlocked = filesystem.is_some_and(|found| found.kind.is_encrypted());
        let unlocked = if unlocked { "unlocked for the capture; " } else { "" };
        say(&format!("       {unlocked}inside: {}", inside.join(", ")));
    }
}
