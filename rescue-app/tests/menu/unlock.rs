//! Unlocking encrypted containers on the way to a capture.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use common::{command, stdout_of};
use lifeboat::tui::key::Key::{Char, ClearField, Down, Enter, Esc, Reveal};
use lifeboat::volume::{Filesystem, Kind, LockedContainer};
use tempfile::TempDir;

use crate::assert_screen;
use crate::fake::{Fake, filesystem, logical_volume, turn_into};
use crate::harness::Menu;

/// A container made by `cryptsetup`.
fn container(folder: &Path) -> PathBuf {
    let (key, image) = (folder.join("key"), folder.join("container"));
    fs::write(&key, "ebb").unwrap();
    File::create(&image).unwrap().set_len(3 << 20).unwrap();
    let words = ["-q", "luksFormat", "--type", "luks1", "--pbkdf-force-iterations", "1000"];
    stdout_of(command("cryptsetup").args(words).args([&image, &key]));
    image
}

/// A locked container of that identity.
fn locked(kind: Kind, uuid: &str, volume: Option<&str>) -> LockedContainer {
    LockedContainer { uuid: uuid.into(), kind, logical_volume: volume.map(str::to_owned) }
}

/// A menu whose laptop has encrypted partitions 3 and 5, at the choice of partitions.
fn at_partitions(folder: &Path) -> Menu {
    let mut fake = Fake::new();
    fake.container = Some(container(folder));
    for index in [2, 3] {
        let volume = &mut fake.list.disks[0].volumes[index];
        turn_into(volume, "LUKS2");
        volume.containers = vec![locked(Kind::Luks2, &index.to_string(), None)];
    }
    let mut menu = Menu::new(fake);
    menu.keys(&[Char('c'), Enter]);
    menu
}

#[test]
fn each_container_is_asked_for_and_may_stay_locked() {
    let folder = TempDir::new().unwrap();
    let mut menu = at_partitions(folder.path());
    menu.key(Enter);
    assert!(menu.screen().contains("Capture: unlock partition 3"), "{}", menu.screen());
    menu.key(Enter);
    assert_screen!("unlock", menu);
    menu.typed("flood").key(Enter);
    assert_screen!("unlock_wrong", menu);
    menu.typed("ebb").key(Enter);
    assert!(menu.screen().contains("choose where the image goes"), "{}", menu.screen());
    menu.keys(&[Enter, Enter]);
    let summary = menu.screen();
    assert!(summary.contains("--unlock=5"), "{summary}");
    assert!(!summary.contains("ebb"), "{summary}");
    assert!(summary.contains("partition 5"), "{summary}");
    menu.key(Enter);
    let order = menu.capture_order();
    let keys: Vec<_> = order.keys.keys().map(|at| at.partition).collect();
    assert_eq!(keys, [Some(5)]);
}

#[test]
fn bitlocker_is_asked_for_its_own_secrets() {
    let folder = TempDir::new().unwrap();
    let mut fake = Fake::new();
    fake.container = Some(container(folder.path()));
    let volume = &mut fake.list.disks[0].volumes[3];
    turn_into(volume, "BitLocker");
    volume.containers = vec![locked(Kind::BitLocker, "windows", None)];
    let mut menu = Menu::new(fake);
    menu.keys(&[Char('c'), Enter, Enter]);
    assert_screen!("unlock_bitlocker", menu);
    menu.typed("1234567").key(Reveal);
    assert!(menu.screen().contains("│ 1234567"), "{}", menu.screen());
    menu.key(Reveal);
    assert!(menu.screen().contains("│ *******"), "{}", menu.screen());
    menu.keys(&[ClearField, Enter]);
    assert!(menu.screen().contains("choose where the image goes"), "{}", menu.screen());
}

#[test]
fn a_container_that_is_not_captured_is_not_asked_for() {
    let folder = TempDir::new().unwrap();
    let mut menu = at_partitions(folder.path());
    menu.keys(&[Char('a'), Char(' '), Enter]);
    assert!(menu.screen().contains("choose where the image goes"), "{}", menu.screen());
    menu.keys(&[Esc, Down, Down, Char(' '), Enter]);
    assert!(menu.screen().contains("Capture: unlock partition 3"), "{}", menu.screen());
    menu.key(Enter);
    assert!(menu.screen().contains("choose where the image goes"), "{}", menu.screen());
}

#[test]
fn containers_in_logical_volumes_and_on_mirrors_are_asked_for_once() {
    let folder = TempDir::new().unwrap();
    let mut fake = Fake::new();
    fake.container = Some(container(folder.path()));
    let volumes = &mut fake.list.disks[0].volumes;
    volumes[2].content = "LVM2".into();
    let luks = Filesystem { kind: Kind::Luks2, ..filesystem("", None) };
    volumes[2].logical_volumes = vec![logical_volume("home", 90 << 30, luks)];
    volumes[2].containers = vec![locked(Kind::Luks2, "home", Some("vg/home"))];
    for side in [3, 4] {
        volumes[side].content = "mdraid".into();
        volumes[side].containers = vec![locked(Kind::Luks1, "mirror", None)];
    }
    let mut menu = Menu::new(fake);
    menu.keys(&[Char('c'), Enter, Enter]);
    assert_screen!("unlock_volume", menu);
    menu.typed("ebb").key(Enter);
    assert!(menu.screen().contains("Capture: unlock partition 5"), "{}", menu.screen());
    menu.typed("ebb").key(Enter);
    assert!(menu.screen().contains("choose where the image goes"), "{}", menu.screen());
    menu.keys(&[Enter, Enter]);
    let summary = menu.screen();
    assert!(summary.contains("vg/home in partition 3, partition 5"), "{summary}");
    assert!(summary.contains("--unlock=3,5"), "{summary}");
}
