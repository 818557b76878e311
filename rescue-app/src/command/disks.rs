//! `lifeboat disks`.

use std::path::Path;

use crate::console::{path, say};
use crate::disk::pci::silent_controllers;
use crate::job::DisksArgs;
use crate::operation::format::size;
use crate::operation::{self, Survey, Volume};

use super::ending::Ending;
use super::output::{document, least_size, logical_volume};

pub(super) fn run(args: &DisksArgs) -> anyhow::Result<Ending> {
    let named = args.disks.iter().map(|disk| operation::survey_disk(disk, args.sector_size));
    let disks = match args.disks.is_empty() {
        true => operation::survey_machine()?,
        false => named.collect::<Result<Vec<_>, _>>()?,
    };
    if args.json {
        document(&disks)?;
        return Ok(Ending::Done);
    }
    if disks.is_empty() {
        say("no disks found");
        for controller in silent_controllers(Path::new("/sys")) {
            say(&format!(
                "storage controller not in use: {:04x}:{:04x} {}",
                controller.vendor, controller.device, controller.class_name
            ));
            controller.hint.into_iter().for_each(|hint| say(&format!("  {hint}")));
        }
    }
    disks.iter().for_each(print_disk);
    Ok(Ending::Done)
}

fn print_disk(survey: &Survey) {
    let disk = &survey.disk;
    say(&format!(
        "{}  {}  {}  {}  {}-byte sectors{}{}",
        path(&disk.path),
        disk.identity(),
        size(disk.size),
        disk.transport,
        disk.logical_sector,
        if disk.removable { ", removable" } else { "" },
        if disk.boot_medium { ", the boot medium" } else { "" },
    ));
    say(&format!("  table: {}", survey.table.scheme));
    survey.volumes.iter().for_each(print_volume);
    for found in &disk.uses {
        say(&format!("  in use: {found}"));
    }
    for note in survey.note.iter().chain(survey.table.remarks()) {
        say(&format!("  note: {note}"));
    }
}

fn print_volume(volume: &Volume) {
    let number = volume.partition.map_or_else(|| "-".to_owned(), |number| number.to_string());
    let mut text = format!("  {number:>3}  {:>10}  ", size(volume.size));
    text.push_str(&volume.content);
    if let Some(filesystem) = &volume.filesystem {
        if let Some(label) = &filesystem.label {
            text.push_str(&format!(" {label}"));
        }
        if let Some(used) = filesystem.used {
            text.push_str(&format!(", {} used", size(used)));
        }
        if let Some(last_use) = &filesystem.last_use {
            text.push_str(&format!(", {last_use}"));
        }
    }
    if let Some(system) = &volume.system {
        text.push_str(&format!(", {system}"));
    }
    say(&text);
    least_size(volume);
    volume.logical_volumes.iter().for_each(|volume| say(&logical_volume(volume)));
}
