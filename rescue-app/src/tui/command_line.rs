//! The command lines that do what the menu is about to do.

use std::path::{Path, PathBuf};

use clap::ValueEnum;

use crate::operation::{Compression, Keys, RescueOptions};

use super::model::{CaptureOrder, Location, Repository, RestoreOrder};

/// Where a partition is mounted in the commands shown.
const MOUNT_POINT: &str = "/mnt";

/// The commands of a capture.
pub(super) fn capture(order: &CaptureOrder) -> Vec<String> {
    let mut command = format!("lifeboat capture {}", path(&order.disk.path));
    command.push_str(&partitions(order.partitions.as_deref()));
    command.push_str(&unlock(&order.keys));
    if order.trusts_unclosed {
        command.push_str(" --trust-unclosed");
    }
    command.push_str(&format!(" --level {}", level(order.compression)));
    if order.retries != RescueOptions::default().retries {
        command.push_str(&format!(" --retries {}", order.retries));
    }
    if let Some(map) = order.map() {
        command.push_str(&format!(" --map {}", path(&folder(&order.repository).join(map))));
    }
    with_repository(command, &order.repository)
}

/// The commands of a restore.
pub(super) fn restore(order: &RestoreOrder) -> Vec<String> {
    let disk = path(&order.disk.path);
    let erase = quoted(&order.disk.erase_name());
    let mut command = format!("lifeboat restore {} {disk} --erase {erase}", order.image.short_id());
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
    if !order.read_back {
        command.push_str(" --no-read-back");
    }
    with_repository(command, &order.repository)
}

/// The word for a level on the command line.
pub(super) fn level(compression: Compression) -> String {
    compression.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

fn with_repository(command: String, repository: &Repository) -> Vec<String> {
    let command = format!("{command} --repo {}", path(&folder(repository)));
    match &repository.location {
        Location::Folder(_) => vec![command],
        Location::Partition { device, .. } => {
            vec![format!("mount {} {MOUNT_POINT}", path(device)), command]
        }
    }
}

/// Where the repository is once its partition is mounted.
fn folder(repository: &Repository) -> PathBuf {
    match &repository.location {
        Location::Folder(folder) => folder.clone(),
        Location::Partition { folder, .. } => Path::new(MOUNT_POINT).join(folder),
    }
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
    use super::super::model::{Disk, Image};
    use super::*;

    fn repository(location: Location) -> Repository {
        Repository { location, title: String::new(), passphrase: None, disk: None }
    }

    #[test]
    fn a_capture_mounts_the_place_first() {
        let mut order = CaptureOrder {
            disk: Disk { path: "/dev/sda".into(), ..Disk::default() },
            partitions: Some(vec![1, 3]),
            repository: repository(Location::Partition {
                device: "/dev/sdb1".into(),
                folder: "my images".into(),
            }),
            compression: Compression::Small,
            keys: Keys::new(),
            trusts_unclosed: false,
            retries: 1,
            keeps_map: false,
        };
        assert_eq!(
            capture(&order),
            [
                "mount /dev/sdb1 /mnt",
                "lifeboat capture /dev/sda --partitions 1,3 --level small --repo '/mnt/my images'"
            ]
        );
        order.disk.identity = "SSD 870 (S5Y 1)".into();
        (order.retries, order.keeps_map, order.trusts_unclosed) = (3, true, true);
        let command = capture(&order).pop().unwrap();
        let expected = " --trust-unclosed --level small --retries 3 --map '/mnt/my images/SSD-870-S5Y-1.map' --repo";
        assert!(command.contains(expected), "{command}");
    }

    #[test]
    fn a_restore_names_the_target_by_its_serial_number() {
        let mut order = RestoreOrder {
            image: Image { id: "0123456789abcdef".into(), ..Image::default() },
            repository: repository(Location::Folder("/srv/lifeboat".into())),
            disk: Disk { path: "/dev/sda".into(), serial: Some("S5Y 1".into()), ..Disk::default() },
            partitions: None,
            volume: None,
            with: Vec::new(),
            only_changed: true,
            read_back: false,
        };
        assert_eq!(
            restore(&order),
            ["lifeboat restore 01234567 /dev/sda --erase 'S5Y 1' --only-changed --no-read-back \
              --repo /srv/lifeboat"]
        );
        order.disk.serial = None;
        order.volume = Some("vg/my data".into());
        order.with = vec!["fedcba9876543210".into()];
        let command = restore(&order).concat();
        let expected = "--erase /dev/sda --volume 'vg/my data' --with fedcba98 --only";
        assert!(command.contains(expected), "{command}");
    }

    #[test]
    fn quotes_survive_the_shell() {
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
