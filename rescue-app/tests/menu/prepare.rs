//! A disk without a filesystem is no dead end for a capture.

use std::path::Path;

use lifeboat::operation::PlaceFilesystem;
use lifeboat::tui::key::Key::{self, Char, ClearField, Down, Enter, Esc};

use crate::assert_screen;
use crate::fake::{Fake, agreement};
use crate::harness::Menu;

/// A machine whose only other disk is blank, at the choice of the place.
fn with_a_blank_disk() -> Menu {
    let mut machine = Fake::new();
    machine.places.clear();
    machine
        .list
        .disks
        .retain(|it| it.disk.path.ends_with("sda") || it.disk.path.ends_with("nvme0n1"));
    machine.list.disks[1].note = None;
    Menu::at(machine, &[Char('c'), Enter, Enter])
}

#[test]
fn a_blank_disk_is_prepared_and_is_the_place() {
    let mut menu = with_a_blank_disk();
    assert_screen!("prepare_places", menu);
    menu.key(Char('n'));
    assert_screen!("prepare_form", menu);
    menu.keys(&[Enter, Enter, Enter]);
    assert_screen!("prepare_agree", menu);
    menu.typed("WXYZ").key(Enter);
    assert!(menu.machine.prepared.lock().unwrap().is_empty());
    menu.typed("khld").key(Enter);
    let screen = menu.screen();
    assert!(screen.contains("LIFEBOAT-DATA on nvme0n1p1"), "{screen}");
    let order = menu.machine.prepared.lock().unwrap()[0].clone();
    assert_eq!(
        (order.disk.disk.path.as_path(), order.args.filesystem),
        (Path::new("/dev/nvme0n1"), PlaceFilesystem::Ext4)
    );
    assert_eq!(order.args.label.as_deref(), Some("LIFEBOAT-DATA"));
    assert_eq!(order.agreed, Some(agreement(&order.disk)), "what the plan was made for");
    // Without a passphrase, created, the usual compression, and off.
    menu.keys(&[Down, Down, Enter, Enter, Enter, Enter]);
    let location = &menu.capture_order().repository.location;
    assert!(location.to_string().starts_with("partition:/dev/nvme0n1p1:/"), "{location}");
}

#[test]
fn filesystem_and_label_can_be_chosen_and_nothing_happens_before_the_agreement() {
    let mut menu = with_a_blank_disk();
    menu.keys(&[Char('N'), Down, Char(' ')]);
    let screen = menu.screen();
    assert!(screen.contains("--filesystem exfat"), "{screen}");
    menu.keys(&[Down, ClearField]).typed("a label that is too long").keys(&[Enter, Enter]);
    assert!(menu.screen().contains("The label is too long."), "{}", menu.screen());
    menu.keys(&[Key::Up, ClearField]).typed("Büro").keys(&[Enter, Enter, Esc]);
    assert!(menu.screen().contains("prepare a disk for images"), "{}", menu.screen());
    assert!(menu.machine.prepared.lock().unwrap().is_empty());
    menu.key(Enter).typed("KHLD").key(Enter);
    let order = menu.machine.prepared.lock().unwrap()[0].clone();
    let args = &order.args;
    assert_eq!((args.filesystem, args.label.as_deref()), (PlaceFilesystem::Exfat, Some("Büro")));
}

#[test]
fn only_disks_of_no_use_are_offered() {
    // Of the usual machine all disks but one hold a place, the source or the system.
    let mut menu = Menu::at(Fake::new(), &[Char('c'), Enter, Enter]);
    let screen = menu.screen();
    assert_eq!(screen.matches("Prepare it for images").count(), 1, "{screen}");
    assert!(screen.contains("KIOXIA") && screen.contains("An interrupted restore"), "{screen}");
    menu.keys(&[Char('n')]);
    assert!(menu.screen().contains("KIOXIA"), "{}", menu.screen());
    let mut menu = Menu::at(Fake::new(), &[Char('r')]);
    assert!(!menu.screen().contains("Prepare"), "{}", menu.screen());
    menu.key(Char('n'));
    assert!(menu.screen().contains("choose where the images are"), "{}", menu.screen());
}
