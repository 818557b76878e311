//! `lifeboat init`, `images` and `show`.

use crate::filesystem::{Kind, State};
use crate::image::manifest::Stored;
use crate::operation::format::{plain, size};
use crate::operation::{self, ImagePartition, ImageSummary};

use super::Ending;
use super::args::{ImagesArgs, InitArgs, ShowArgs};
use super::output::{document, least_size, logical_volume};
use super::passphrase;

pub(super) fn init(args: &InitArgs) -> anyhow::Result<Ending> {
    let access = passphrase::new_access(&args.repo, args.no_passphrase)?;
    operation::create_repository(&access)?;
    println!("created an image repository in {}", access.location.display());
    if access.passphrase.is_none() {
        println!(
            "it has no passphrase of its own: whoever has the folder can read the images \
             (the word for restic is in its README.txt)"
        );
    }
    Ok(Ending::Done)
}

pub(super) fn list(args: &ImagesArgs) -> anyhow::Result<Ending> {
    let images = operation::list_images(&passphrase::access(&args.repo)?)?;
    if args.json {
        document(&images)?;
        return Ok(Ending::Done);
    }
    if images.is_empty() {
        println!("no images in {}", args.repo.repo.display());
    }
    for image in &images {
        println!(
            "{}  {}  {:>10}  {:>10} used  {}",
            image.short_id(),
            minute(&image.time),
            size(image.size),
            size(image.used),
            plain(&image.disk_name)
        );
    }
    Ok(Ending::Done)
}

pub(super) fn show(args: &ShowArgs) -> anyhow::Result<Ending> {
    let image = operation::show_image(&passphrase::access(&args.repo)?, &args.image)?;
    if args.json {
        document(&image)?;
    } else {
        print_image(&image);
    }
    Ok(Ending::Done)
}

/// "2026-11-22T03:00:00.123Z" to "2026-11-22 03:00".
pub(super) fn minute(time: &str) -> String {
    time.get(..16).unwrap_or(time).replace('T', " ")
}

fn print_image(image: &ImageSummary) {
    println!("image   {}", image.id);
    println!("made    {}", image.time);
    println!("disk    {}, {} ({} bytes)", plain(&image.disk_name), size(image.size), image.size);
    println!("holds   {}", size(image.used));
    for partition in &image.partitions {
        print_partition(partition);
    }
    for warning in &image.warnings {
        println!("warning {}", plain(warning));
    }
    for file in &image.damage.files {
        println!("damaged {file}");
    }
    if image.damage.more_files > 0 {
        println!("damaged {} more files", image.damage.more_files);
    }
}

fn print_partition(partition: &ImagePartition) {
    let number = partition.number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    let kind = plain(&partition.content);
    let label = plain(partition.label.as_deref().unwrap_or(""));
    let used = partition.used.map_or_else(String::new, |used| format!("{} used", size(used)));
    let stored = match partition.stored {
        Stored::Used => "used blocks",
        Stored::Whole => "whole",
        Stored::Header => "header only",
        Stored::Nothing => "not in the image",
    };
    let state = match &partition.state {
        State::Clean | State::Unknown => String::new(),
        State::Dirty(why) => format!(", not clean: {why}"),
        State::Hibernated(why) => format!(", hibernated: {why}"),
    };
    println!(
        "  {number:>3}  {:>10}  {kind:<8} {label:<16} {used:<16} {stored}{state}",
        size(partition.size)
    );
    partition.logical_volumes.iter().for_each(|volume| println!("{}", logical_volume(volume)));
    if let Some(system) = &partition.system {
        println!("       {}", plain(system));
    }
    least_size(partition.minimum_size, partition.size);
    if let Some(last_use) = &partition.last_use {
        println!("       {}", plain(&last_use.to_string()));
    }
    if !partition.inside.is_empty() {
        let inside: Vec<String> = partition.inside.iter().map(ToString::to_string).collect();
        let unlocked = partition.kind.is_some_and(Kind::is_encrypted);
        let unlocked = if unlocked { "unlocked for the capture; " } else { "" };
        println!("       {unlocked}inside: {}", inside.join(", "));
    }
}
