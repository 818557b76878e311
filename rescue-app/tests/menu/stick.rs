//! Making a stick, and the rest of the running one as a place for images.

use std::path::Path;

use lifeboat::operation::FoundRepository;
use lifeboat::table::{Partition, Role, Scheme, Table};
use lifeboat::tui::key::Key::{Char, ClearField, Down, Enter, Esc, Up};
use lifeboat::tui::model::{Failure, Outcome};

use crate::assert_screen;
use crate::fake::{Fake, MIB, agreement};
use crate::harness::Menu;

#[test]
fn a_stick_is_made_of_a_disk_that_is_agreed_to() {
    let mut menu = Menu::at(Fake::new(), &[Char('t')]);
    assert_screen!("tools", menu);
    menu.key(Char('m'));
    let screen = menu.screen();
    assert!(screen.contains("Not possible: Lifeboat was started from it"), "{screen}");
    menu.keys(&[Down, Enter]);
    assert_screen!("stick_form", menu);
    menu.typed("/wrong.iso").keys(&[Enter, Enter, Enter]);
    assert!(menu.screen().contains("no ISO of Lifeboat"), "{}", menu.screen());
    menu.keys(&[Up, Up]);
    menu.keys(&[ClearField, Down, Down, Enter]);
    assert_screen!("stick_agree", menu);
    menu.typed("WXYZ").key(Enter);
    assert!(menu.jobs.is_empty(), "nothing happens before the agreement");
    menu.key(ClearField).typed("7t30").key(Enter);
    let order = menu.stick_order();
    assert_eq!(order.disk.disk.path, Path::new("/dev/sdb"));
    assert_eq!((&order.args.iso, order.args.data_only), (&None, false));
    assert_eq!(order.agreed, Some(agreement(&order.disk)), "what the plan was made for");
}

/// A machine that was started from a stick to which the ISO was written and nothing else.
fn started_from_a_plain_stick() -> Fake {
    let mut machine = Fake::new();
    let medium = machine.list.disks.iter_mut().find(|disk| disk.disk.boot_medium).unwrap();
    let iso = Partition {
        number: 1,
        start: 32768,
        size: 40 * MIB,
        type_id: "0xcd".into(),
        type_name: String::new(),
        uuid: None,
        name: None,
        attributes: 0,
        role: Role::Primary,
        bootable: true,
    };
    medium.table =
        Table { scheme: Scheme::Mbr, partitions: vec![iso], ..Table::none(512, Vec::new()) };
    machine
}

#[test]
fn the_rest_of_the_running_stick_is_the_first_place_and_asked_for() {
    let mut menu = Menu::at(started_from_a_plain_stick(), &[Char('c'), Enter, Enter]);
    assert_screen!("stick_place", menu);
    menu.key(Enter);
    assert_screen!("stick_rest", menu);
    menu.key(Enter);
    assert!(menu.machine.sticks.lock().unwrap().is_empty());
    menu.typed("0419").key(Enter);
    let order = menu.machine.sticks.lock().unwrap()[0].clone();
    assert!(order.args.data_only, "{order:?}");
    assert_eq!(order.agreed, Some(agreement(&order.disk)));
    assert!(menu.screen().contains("LIFEBOAT on sdc3"), "{}", menu.screen());
}

#[test]
fn images_that_were_on_the_stick_before_are_found_again() {
    let mut machine = started_from_a_plain_stick();
    machine.on_stick = vec![FoundRepository { folder: "lifeboat".into(), snapshots: Some(2) }];
    let mut menu = Menu::at(machine, &[Char('c'), Enter, Enter, Enter, Enter]);
    menu.key(Esc);
    assert!(menu.machine.sticks.lock().unwrap().is_empty());
    menu.key(Enter).typed("0419").key(Enter);
    assert!(menu.screen().contains("choose where the image goes"), "{}", menu.screen());
    // To restore, too, and then it is not the first thing to do.
    let mut menu = Menu::at(started_from_a_plain_stick(), &[Char('r')]);
    let chosen = menu.reversed().concat();
    assert!(!chosen.contains("earlier Lifeboat"), "{chosen}");
    menu.keys(&[Char('n'), Enter]).typed("0419").key(Enter);
    assert!(menu.screen().contains("choose where the images are"), "{}", menu.screen());
    assert_eq!(menu.machine.sticks.lock().unwrap().len(), 1);
}

#[test]
fn the_medium_is_checked_from_the_list_of_tools() {
    let mut menu = Menu::at(Fake::new(), &[Char('t'), Char('c')]);
    menu.finish(Ok(Outcome::default()));
    assert!(menu.screen().contains("The medium is whole"), "{}", menu.screen());
    let mut menu = Menu::at(Fake::new(), &[Char('t'), Down, Enter]);
    let text = "The medium is damaged: /boot/vmlinuz (1 in all).".into();
    menu.finish(Err(Failure { text, ..Failure::default() }));
    assert!(menu.screen().contains("damaged: /boot/vmlinuz"), "{}", menu.screen());
}
