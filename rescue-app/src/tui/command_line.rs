//! The command lines that do what the menu is about to do.

use std::path::{Path, PathBuf};

use clap::ValueEnum;

use crate::disk::mount::mount_words;
use crate::operation::{Compression, Keys, RescueOptions};

use super::model::{
    CaptureOrder, Content, Location, Origin, PrepareOrder, Repository, WriteOrder, below,
};

/// Where a partition is mounted in the commands shown.
const MOUNT_POINT: &str = "/mnt";

/// The commands of a capture.
pub(super) fn capture(order: &CaptureOrder) -> Vec<String> {
    let mut command = format!("lifeboat capture {}", path(&order.disk.path));
    command.push_str(&partitions(order.partitions.as_deref()));
    command.push_str(&unlock(&order.keys));
    command.push_str(match order.content {
        Content::Used => "",
        Content::Partitioned => " --skip-unpartitioned",
        Content::All => " --whole",
    });
    if order.trusts_tables() {
        command.push_str(" --trust-unclosed");
    }
    command.push_str(&format!(" --level {}", level(order.compression)));
    if order.retries != RescueOptions::default().retries {
        command.push_str(&format!(" --retries {}", order.retries));
    }
    if let Some(map) = order.map() {
        command.push_str(&format!(" --map {}", path(&folder(&order.repository).join(map))));
    }
    with_repository(command, &order.repository, true)
}

/// The commands of a restore or a clone.
pub(super) fn write(order: &WriteOrder) -> Vec<String> {
    let (disk, erase) = (path(&order.disk.path), quoted(&order.disk.erase));
    let mut command = match &order.from {
        Origin::Image { image, .. } => format!("lifeboat restore {} {disk}", image.short_id()),
        Origin::Disk(source) => format!("lifeboat clone {} {disk}", path(&source.path)),
    };
    command.push_str(&format!(" --erase {erase}"));
    command.push_str(&partitions(order.partitions.as_deref()));
    if let Some(volume) = &order.volume {
        command.push_str(&format!(" --volume {}", quoted(volume)));
    }
    for id in &order.with {
        command.push_str(&format!(" --with {}", id.get(..8).unwrap_or(id)));
    }
    if order.only_changed {
        command.push_str(" --only-changed");
    }
    if order.verify_first {
        command.push_str(" --verify-first");
    }
    if !order.read_back {
        command.push_str(" --no-read-back");
    }
    match order.from.repository() {
        Some(repository) => with_repository(command, repository, false),
        None => vec![command],
    }
}

/// The command that prepares a disk.
pub(super) fn prepare(order: &PrepareOrder) -> String {
    format!(
        "lifeboat prepare {} --erase {} --filesystem {} --label {}",
        path(&order.disk.path),
        quoted(&order.disk.erase),
        word(order.filesystem),
        quoted(&order.label),
    )
}

/// The word for a level on the command line.
pub(super) fn level(compression: Compression) -> String {
    word(compression)
}

fn word(value: impl ValueEnum) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

/// `command` with its repository, after what makes that reachable, for writing if images are to be
/// `stored`: the boot medium protects every disk.
fn with_repository(command: String, repository: &Repository, stored: bool) -> Vec<String> {
    let command = format!("{command} --repo {}", path(&folder(repository)));
    let mount = match &repository.location {
        Location::Folder(_) => None,
        Location::Partition { mounted: Some(mount), .. } => {
            let remount = || format!("mount -o remount,rw {}", path(&mount.dir));
            (stored && mount.read_only).then(remount)
        }
        Location::Partition { device, kind, .. } => {
            let words = mount_words(&kind.to_lowercase(), stored).unwrap_or_default();
            Some(format!("mount {words} {} {MOUNT_POINT}", path(device)))
        }
    };
    let lift = repository.disk.as_deref().filter(|_| stored);
    let lift = lift.map_or_else(String::new, |disk| format!("blockdev --setrw {} && ", path(disk)));
    mount.map(|mount| lift + &mount).into_iter().chain([command]).collect()
}

/// Where the repository is once its partition is mounted.
fn folder(repository: &Repository) -> PathBuf {
    let (root, folder) = match &repository.location {
        Location::Folder(folder) => return folder.clone(),
        Location::Partition { folder, mounted: Some(mount), .. } => (mount.dir.as_path(), folder),
        Location::Partition { folder, .. } => (Path::new(MOUNT_POINT), folder),
    };
    below(root, folder)
}

fn partitions(chosen: Option<&[u32]>) -> String {
    let Some(numbers) = chosen else { return String::new() };
    let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    format!(" --partitions {}", numbers.join(","))
}

/// The command asks for the passphrases again: they are no part of it.
fn unlock(keys: &Keys) -> String {
    let mut numbers: Vec<String> =
        keys.keys().filter_map(|at| at.partition).map(|number| number.to_string()).collect();
    numbers.dedup();
    match numbers.as_slice() {
        _ if keys.is_empty() => String::new(),
        [] => " --unlock".into(),
        numbers => format!(" --unlock={}", numbers.join(",")),
    }
}

fn path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

/// `text` as one word of a POSIX shell (IEEE 1003.1, section 2.2.2).
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,=".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::model::{Disk, Image, MountPoint};
    use super::*;
    use crate::command::CommandLine;
    use crate::operation::PlaceFilesystem;

    fn repository(location: Location) -> Repository {
        let disk = match &location {
            Location::Partition { .. } => Some("/dev/sdb".into()),
            Location::Folder(_) => None,
        };
        Repository { location, title: String::new(), passphrase: None, disk }
    }

    fn partition(kind: &str, mounted: Option<MountPoint>) -> Repository {
        repository(Location::Partition {
            device: "/dev/sdb1".into(),
            folder: "my images".into(),
            kind: kind.into(),
            mounted,
        })
    }

    fn capture_order() -> CaptureOrder {
        CaptureOrder {
            disk: Disk { path: "/dev/sda".into(), ..Disk::default() },
            partitions: Some(vec![1, 3]),
            repository: partition("FAT32", None),
            compression: Compression::Small,
            keys: Keys::new(),
            content: Content::Used,
            trusts_unclosed: false,
            retries: 1,
            keeps_map: false,
            planned: None,
        }
    }

    fn target() -> Disk {
        Disk {
            path: "/dev/sda".into(),
            serial: Some("S5Y 1".into()),
            erase: "S5Y 1".into(),
            ..Disk::default()
        }
    }

    fn restore_order(repository: Repository) -> WriteOrder {
        let image = Image { id: "0123456789abcdef".into(), ..Image::default() };
        let from = Origin::Image { image: Box::new(image), repository: Box::new(repository) };
        WriteOrder {
            only_changed: true,
            verify_first: true,
            read_back: false,
            ..WriteOrder::all_of(from, target())
        }
    }

    fn in_a_folder() -> Repository {
        repository(Location::Folder("/srv/lifeboat".into()))
    }

    /// The words of a command as a shell sees them, for the program's own parser.
    fn parsed(command: &str) {
        let script = format!("for word in {command}; do printf '%s\\0' \"$word\"; done");
        let shell = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        let words = String::from_utf8(shell.stdout).unwrap();
        let words: Vec<&str> = words.split_terminator('\0').collect();
        if let Err(error) = CommandLine::try_parse_from(words) {
            panic!("{command}: {error}");
        }
    }

    #[test]
    fn the_program_takes_every_command_that_is_shown() {
        let contents = [Content::Used, Content::Partitioned, Content::All];
        let levels = [Compression::Fast, Compression::Balanced, Compression::Small];
        let mut captures = 0;
        for (content, compression) in contents.into_iter().flat_map(|c| levels.map(|l| (c, l))) {
            for (trusts_unclosed, retries) in [(false, 0), (true, 3)] {
                let mut order = capture_order();
                order.disk.identity = "Disk (it's 1)".into();
                (order.content, order.compression) = (content, compression);
                (order.trusts_unclosed, order.retries) = (trusts_unclosed, retries);
                order.keeps_map = trusts_unclosed;
                parsed(&capture(&order).pop().unwrap());
                captures += 1;
            }
        }
        assert_eq!(captures, 18);
        let mut order = restore_order(in_a_folder());
        parsed(&write(&order).concat());
        order.partitions = Some(vec![1, 5]);
        parsed(&write(&order).concat());
        (order.partitions, order.volume) = (None, Some("vg/it's mine".into()));
        (order.with, order.read_back) = (vec!["fedcba9876543210".into()], true);
        parsed(&write(&order).concat());
        for filesystem in [PlaceFilesystem::Ext4, PlaceFilesystem::Exfat] {
            let (disk, label) = (order.disk.clone(), "it's mine".into());
            parsed(&prepare(&PrepareOrder { disk, filesystem, label, agreed: None }));
        }
    }

    #[test]
    fn a_capture_mounts_the_place_for_writing_first() {
        let mut order = capture_order();
        assert_eq!(
            capture(&order),
            [
                "blockdev --setrw /dev/sdb && mount -t vfat -o utf8 /dev/sdb1 /mnt",
                "lifeboat capture /dev/sda --partitions 1,3 --level small --repo '/mnt/my images'"
            ]
        );
        order.disk.identity = "SSD 870 (S5Y 1)".into();
        (order.retries, order.keeps_map, order.trusts_unclosed) = (3, true, true);
        let command = capture(&order).pop().unwrap();
        let expected = " --trust-unclosed --level small --retries 3 --map '/mnt/my images/SSD-870-S5Y-1.map' --repo";
        assert!(command.contains(expected), "{command}");
        order.content = Content::All;
        let command = capture(&order).pop().unwrap();
        assert!(command.contains(" --whole --level"), "nothing is trusted: {command}");
    }

    #[test]
    fn what_is_mounted_already_is_used_where_it_is() {
        let left_behind = |read_only| MountPoint { dir: "/mnt".into(), read_only };
        let mut order = capture_order();
        order.repository = partition("ext4", Some(left_behind(true)));
        let commands = capture(&order);
        assert_eq!(commands[0], "blockdev --setrw /dev/sdb && mount -o remount,rw /mnt");
        assert!(commands[1].ends_with("--repo '/mnt/my images'"), "{commands:?}");
        order.repository = partition("ext4", Some(left_behind(false)));
        assert_eq!(capture(&order).len(), 1);
        let order = restore_order(partition("ext4", Some(left_behind(true))));
        assert_eq!(write(&order).len(), 1, "a restore only reads it");
        let order = restore_order(partition("ext4", None));
        assert_eq!(write(&order)[0], "mount -t ext4 -o ro,noload /dev/sdb1 /mnt");
    }

    #[test]
    fn a_restore_names_the_target_by_its_serial_number() {
        let mut order = restore_order(in_a_folder());
        assert_eq!(
            write(&order),
            ["lifeboat restore 01234567 /dev/sda --erase 'S5Y 1' --only-changed --verify-first \
              --no-read-back --repo /srv/lifeboat"]
        );
        (order.disk.serial, order.disk.erase) = (None, "29.7GiB-5f3a9c01".into());
        order.volume = Some("vg/my data".into());
        order.with = vec!["fedcba9876543210".into()];
        let command = write(&order).concat();
        let expected = "--erase 29.7GiB-5f3a9c01 --volume 'vg/my data' --with fedcba98 --only";
        assert!(command.contains(expected), "{command}");
    }

    #[test]
    fn a_clone_needs_no_repository() {
        let source = Disk { path: "/dev/sdb".into(), ..Disk::default() };
        let mut order = WriteOrder::all_of(Origin::Disk(Box::new(source)), target());
        assert_eq!(write(&order), ["lifeboat clone /dev/sdb /dev/sda --erase 'S5Y 1'"]);
        (order.partitions, order.only_changed, order.read_back) = (Some(vec![2]), true, false);
        let commands = write(&order);
        let expected = "--erase 'S5Y 1' --partitions 2 --only-changed --no-read-back";
        assert!(commands[0].ends_with(expected), "{commands:?}");
        parsed(&commands[0]);
    }

    #[test]
    fn quotes_survive_the_shell() {
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
