//! Small, large and monochrome screens, and names that try to break them.

use lifeboat::tui::key::Key::{Char, Down, Enter};
use lifeboat::tui::look::Look;
use lifeboat::tui::model::Outcome;

use crate::assert_screen;
use crate::fake::Fake;
use crate::harness::Menu;

/// Keys that lead from the main menu to each page.
fn tours() -> Vec<Vec<lifeboat::tui::key::Key>> {
    let capture = [Char('c'), Enter, Enter, Enter, Enter, Enter];
    let restore = [Char('r'), Enter, Enter, Down, Down, Enter, Enter, Enter];
    let images = [Char('i'), Enter, Enter, Char('f')];
    let create = [Char('c'), Enter, Enter, Down, Down, Enter];
    let others = [
        vec![Char('?')],
        vec![Char('p')],
        vec![Char('c'), Enter, Enter, Char('f')],
        vec![Char('c'), Enter, Enter, Down, Enter],
        vec![Char('v'), Enter],
        create.to_vec(),
    ];
    let prefixes = |keys: &[lifeboat::tui::key::Key]| -> Vec<Vec<_>> {
        (0..=keys.len()).map(|count| keys[..count].to_vec()).collect()
    };
    [prefixes(&capture), prefixes(&restore), prefixes(&images), others.to_vec()].concat()
}

#[test]
fn every_page_survives_every_size() {
    for tour in tours() {
        let mut menu = Menu::new(Fake::new());
        menu.keys(&tour);
        for (columns, rows) in [(1, 1), (20, 5), (30, 8), (31, 9), (40, 12), (59, 17), (80, 10)] {
            menu.resize(columns, rows);
            menu.screen();
        }
        for size in 1..60 {
            menu.resize(size * 3, size);
            menu.screen();
        }
    }
}

#[test]
fn a_serial_line_of_80_by_24() {
    let mut menu = Menu::sized(Fake::new(), 80, 24);
    assert_screen!("home_80x24", menu);
    menu.key(Char('c'));
    assert_screen!("capture_disks_80x24", menu);
}

#[test]
fn a_small_screen_of_60_by_20() {
    let mut menu = Menu::sized(Fake::new(), 60, 20);
    assert_screen!("home_60x20", menu);
    menu.key(Char('c'));
    assert_screen!("capture_disks_60x20", menu);
    menu.keys(&[Enter, Enter]);
    assert_screen!("capture_places_60x20", menu);
    menu.keys(&[Enter, Enter]);
    assert_screen!("capture_summary_60x20", menu);
    menu.key(Enter);
    assert_screen!("capture_starting_60x20", menu);
    menu.finish(Ok(Outcome::default()));
    menu.keys(&[Enter, Char('r'), Enter]);
    assert_screen!("restore_images_60x20", menu);
    menu.keys(&[Enter, Down, Down, Enter]);
    assert_screen!("restore_options_60x20", menu);
    menu.key(Enter);
    assert_screen!("restore_summary_60x20", menu);
    menu.key(Enter);
    assert_screen!("restore_confirm_60x20", menu);
}

#[test]
fn a_large_screen_of_132_by_43() {
    let mut menu = Menu::sized(Fake::new(), 132, 43);
    menu.key(Char('c'));
    assert_screen!("capture_disks_132x43", menu);
    menu.keys(&[Enter, Enter, Enter, Enter]);
    assert_screen!("capture_summary_132x43", menu);
}

#[test]
fn the_screen_follows_a_resize() {
    let mut menu = Menu::new(Fake::new());
    menu.resize(100, 30);
    let screen = menu.screen();
    assert_eq!(screen.lines().count(), 30);
    assert!(screen.lines().nth(1).unwrap().ends_with('┐'));
    assert_eq!(screen.lines().nth(1).unwrap().chars().count(), 100);
}

#[test]
fn without_colours_the_choice_is_marked_and_reversed() {
    let mut menu = Menu::new(Fake::new()).with_look(Look::PLAIN);
    let reversed = menu.reversed();
    assert_eq!(reversed.len(), 2, "the header and the chosen row: {reversed:?}");
    assert!(reversed[1].starts_with("► C  Capture"), "{reversed:?}");
    menu.keys(&[Char('c'), Down]);
    assert!(menu.reversed()[1].starts_with("► WD Elements"));
    assert_screen!("capture_disks_no_color", menu);
    menu.keys(&[Enter, Enter]);
    assert!(menu.reversed()[1].starts_with("►"));
    menu.keys(&[lifeboat::tui::key::Key::Esc; 4]).key(Char('p'));
    let reversed = menu.reversed();
    assert!(reversed.iter().any(|row| row.starts_with("► N  Stay")), "{reversed:?}");
    assert!(!reversed.iter().any(|row| row.contains("Y  Power off")), "{reversed:?}");
}

#[test]
fn foreign_names_cannot_break_the_screen() {
    let mut machine = Fake::new();
    machine.list.disks[0].disk.model = Some("Evil\u{1b}[2J\u{7}Disk\n (Ünï)".into());
    let esp = machine.list.disks[0].volumes[0].filesystem.as_mut().unwrap();
    esp.label = Some("Диск 数据\u{202e}".into());
    let mut menu = Menu::new(machine).with_look(Look { colour: true, console_font: true });
    menu.key(Char('c'));
    let screen = menu.screen();
    assert!(screen.contains("► Evil"), "{screen}");
    assert!(screen.contains("(Ünï)"), "{screen}");
    assert!(screen.contains("????"), "{screen}");
    assert!(!screen.contains(['\u{1b}', '\u{7}', '\u{202e}']));
}
