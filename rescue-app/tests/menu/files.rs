//! The files in an image: browsed, looked for, shown and copied.

use lifeboat::operation::{Browsed, BrowsedFile, BrowsedVolume, ImagePlace};
use lifeboat::tui::key::Key::{Backspace, Char, Down, Enter, Esc, Up};
use lifeboat::tui::machine::Request;
use lifeboat::tui::model::{CopyOrder, Failure, Job, Outcome};
use lifeboat::volume::EntryKind;
use time::macros::datetime;

use crate::fake::{Fake, GIB};
use crate::harness::Menu;
use crate::{assert_screen, walk};

fn file(path: &str, kind: EntryKind, size: u64) -> BrowsedFile {
    let modified = Some(datetime!(2026-10-02 09:05 UTC));
    let (owner, attributes, target, problem) = (None, None, None, None);
    let path = path.into();
    BrowsedFile { path, kind, size, modified, owner, attributes, target, problem }
}

/// What a small image holds.
pub fn browsed(place: &ImagePlace) -> Result<Browsed, Failure> {
    let volume = |name: &str, size, problem: Option<&str>| BrowsedVolume {
        name: name.into(),
        size,
        problem: problem.map(Into::into),
    };
    Ok(match (place.volume.as_deref(), place.path.as_str()) {
        (None, _) => Browsed::Volumes(vec![
            volume("3-Windows", 280 * GIB, None),
            volume("6-swap", 16 * GIB, Some("its files are not read: it holds swap")),
        ]),
        (Some("3-Windows"), "") => Browsed::Files(vec![
            file("3-Windows/Users", EntryKind::Folder, 0),
            file("3-Windows/bootmgr", EntryKind::File, 413_738),
            BrowsedFile {
                problem: Some("it was encrypted by Windows".into()),
                ..file("3-Windows/secret.txt", EntryKind::File, 100)
            },
        ]),
        (Some("3-Windows"), "Users") => Browsed::Files(vec![
            file("3-Windows/Users/letter.txt", EntryKind::File, 2048),
            BrowsedFile {
                target: Some("../bootmgr".into()),
                ..file("3-Windows/Users/link", EntryKind::Link, 0)
            },
        ]),
        _ => {
            return Err(Failure {
                text: format!("The files of {place} are not read."),
                next_step: Some("Look at another volume.".into()),
                ..Failure::default()
            });
        }
    })
}

/// Files with such a name.
pub fn found(name: &str) -> Result<Browsed, Failure> {
    let all = [
        file("3-Windows/Users/letter.txt", EntryKind::File, 2048),
        file("3-Windows/secret.txt", EntryKind::File, 100),
    ];
    Ok(Browsed::Files(all.into_iter().filter(|file| file.path.contains(name)).collect()))
}

fn at_files() -> Menu {
    Menu::at(Fake::new(), &[Char('i'), Enter, Enter, Char('b')])
}

fn copied(menu: &Menu) -> &CopyOrder {
    match &menu.jobs.last().expect("no job was started").1 {
        Request::Run(Job::Copy(order)) => order,
        other => panic!("{other:?}"),
    }
}

#[test]
fn files_are_ticked_in_any_folder_and_copied() {
    let mut menu = at_files();
    assert_screen!("files_volumes", menu);
    walk!(menu, [Enter] => "files_root", [Down, Char(' ')] => "files_ticked");
    menu.keys(&[Up, Up, Enter, Char(' ')]);
    assert!(menu.screen().contains("2 ticked"), "{}", menu.screen());
    walk!(menu, [Char('c')] => "files_destination");
    menu.key(Enter);
    let order = copied(&menu);
    let places: Vec<&str> = order.places.iter().map(|place| place.path.as_str()).collect();
    assert_eq!(places, ["Users/letter.txt", "bootmgr"]);
    assert!(order.places.iter().all(|it| it.volume.as_deref() == Some("3-Windows")));
    assert!(order.to.writable);
    menu.finish(Ok(Outcome { facts: vec![("Files".into(), "2".into())], warnings: Vec::new() }));
    assert!(menu.screen().contains("The files are copied."), "{}", menu.screen());
}

#[test]
fn the_way_back_leads_through_the_folders_above() {
    let mut menu = at_files();
    menu.keys(&[Enter, Enter]);
    assert!(menu.screen().contains("3-Windows/Users"), "{}", menu.screen());
    assert!(menu.screen().contains("link -> ../bootmgr"), "{}", menu.screen());
    menu.key(Backspace);
    assert!(menu.screen().contains("it was encrypted by Windows"), "{}", menu.screen());
    menu.key(Esc);
    assert!(menu.screen().contains("it holds swap"), "{}", menu.screen());
    // What cannot be looked into says why, and leads back.
    menu.keys(&[Down, Enter]);
    assert!(menu.screen().contains("Look at another volume."), "{}", menu.screen());
    menu.keys(&[Esc, Esc]);
    assert!(menu.screen().contains("Partitions"), "the page of the image: {}", menu.screen());
}

#[test]
fn a_file_is_found_by_its_name_and_shown() {
    let mut menu = at_files();
    menu.key(Char('f')).typed("letter").key(Enter);
    assert_screen!("files_found", menu);
    menu.key(Enter);
    assert!(menu.screen().contains("Dear reader"), "{}", menu.screen());
    menu.keys(&[Esc, Esc]);
    assert!(menu.screen().contains("6-swap"), "{}", menu.screen());
    menu.key(Char('f')).typed("nothing like it").key(Enter);
    assert!(menu.screen().contains("Nothing was found."), "{}", menu.screen());
    assert!(menu.jobs.is_empty());
}
