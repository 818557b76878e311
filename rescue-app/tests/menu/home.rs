//! The main menu, help, questions, and machines without disks.

use std::time::Duration;

use lifeboat::tui::Exit;
use lifeboat::tui::key::Key::{Char, Enter, Esc, Help, Right};

use crate::assert_screen;
use crate::fake::{Fake, laptop};
use crate::harness::Menu;

#[test]
fn the_main_menu_of_the_boot_medium() {
    let mut menu = Menu::new(Fake::new());
    assert_screen!("home", menu);
    menu.key(Esc);
    assert!(menu.screen().contains("Main menu"), "there is nothing to go back to");
    menu.key(Char('s'));
    assert_eq!(menu.exits, [Exit::Shell]);
}

#[test]
fn the_main_menu_on_a_running_system_quits() {
    let mut menu = Menu::new(Fake::on_a_running_system());
    assert_screen!("home_running_system", menu);
    menu.key(Char('s')).key(Char('b')).key(Char('p'));
    assert_eq!(menu.exits, [], "the machine is not ours to restart");
    menu.key(Char('Q'));
    assert_eq!(menu.exits, [Exit::Quit]);
}

#[test]
fn switching_off_is_asked_with_no_as_the_answer() {
    let mut menu = Menu::new(Fake::new());
    menu.key(Char('p'));
    assert_screen!("power_off_question", menu);
    menu.key(Enter);
    assert_eq!(menu.exits, []);
    menu.keys(&[Char('b'), Esc]);
    assert_eq!(menu.exits, []);
    menu.keys(&[Char('b'), Right, Enter]);
    menu.keys(&[Char('p'), Char('y')]);
    assert_eq!(menu.exits, [Exit::Reboot, Exit::PowerOff]);
}

#[test]
fn help_opens_over_the_page_and_closes() {
    let mut menu = Menu::new(Fake::new());
    menu.key(Char('?'));
    assert_screen!("help", menu);
    menu.key(Help);
    assert!(!menu.screen().contains("┌ Help"));
    menu.keys(&[Char('c'), Help]);
    assert!(menu.screen().contains("opened for reading only"));
    menu.key(Esc);
    assert!(menu.screen().contains("choose the disk to store"), "help leaves the page alone");
}

#[test]
fn a_machine_without_disks_explains_itself() {
    let mut menu = Menu::new(Fake::without_disks());
    menu.key(Char('c'));
    assert_screen!("no_disks", menu);
    menu.keys(&[Esc, Char('r')]);
    assert_screen!("no_places", menu);
}

#[test]
fn a_disk_that_is_plugged_in_appears_and_the_cursor_stays() {
    let mut menu = Menu::new(Fake::without_disks());
    menu.key(Char('c'));
    menu.machine.list.signature = 2;
    menu.machine.list.disks = vec![laptop()];
    menu.wait(Duration::from_secs(2));
    assert!(menu.screen().contains("► Samsung SSD 870"));

    let mut first = laptop();
    first.disk.path = "/dev/nvme0n1".into();
    first.disk.model = Some("KIOXIA".into());
    first.disk.serial = Some("72UB60FZKHLD".into());
    menu.machine.list.signature = 3;
    menu.machine.list.disks.insert(0, first);
    menu.wait(Duration::from_secs(2));
    let screen = menu.screen();
    assert!(screen.contains("  KIOXIA") && screen.contains("► Samsung SSD 870"), "{screen}");
    menu.key(Char('m'));
    assert_screen!("missing_a_disk", menu);
}

#[test]
fn trouble_outside_of_the_pages_is_told() {
    let mut menu = Menu::new(Fake::new());
    menu.event(lifeboat::tui::state::Event::Trouble("starting /bin/sh: no such file".into()));
    assert!(menu.screen().contains("starting /bin/sh: no such file"));
    menu.key(Esc);
    assert!(!menu.screen().contains("/bin/sh"));
}
