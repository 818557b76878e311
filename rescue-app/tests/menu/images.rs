//! Looking at images, verifying and forgetting them.

use lifeboat::tui::key::Key::{Char, Down, Enter, Esc};
use lifeboat::tui::machine::Request;
use lifeboat::tui::model::{Failure, Job, Keep, Outcome};

use crate::assert_screen;
use crate::fake::{Fake, damage_warnings};
use crate::harness::{Menu, warning_event};

#[test]
fn the_details_of_an_image() {
    let mut menu = Menu::at(Fake::new(), &[Char('i'), Enter]);
    assert_screen!("images", menu);
    menu.key(Enter);
    assert_screen!("image_details", menu);
    menu.key(Char('r'));
    assert!(menu.screen().contains("choose the disk to overwrite"));
}

#[test]
fn forgetting_needs_the_typed_id() {
    let mut menu = Menu::at(Fake::new(), &[Char('i'), Enter, Down, Enter, Char('f')]);
    assert_screen!("forget_confirm", menu);
    menu.typed("b3f2").key(Enter);
    assert!(menu.machine.forgotten.lock().unwrap().is_empty(), "that is the other image");
    menu.typed("A3F2").key(Enter);
    assert_eq!(menu.machine.forgotten.lock().unwrap().len(), 1);
    let screen = menu.screen();
    assert!(screen.contains("b3f29c51") && !screen.contains("a3f29c51"), "{screen}");
}

#[test]
fn an_empty_repository_says_so() {
    let mut machine = Fake::new();
    machine.images.clear();
    let mut menu = Menu::at(machine, &[Char('v'), Enter, Enter]);
    assert!(menu.screen().contains("There are no images in this repository yet."));
    assert!(menu.jobs.is_empty());
}

#[test]
fn all_images_or_one_are_verified() {
    let mut menu = Menu::at(Fake::new(), &[Char('v'), Enter]);
    assert_screen!("verify_images", menu);
    menu.key(Enter);
    assert!(matches!(&menu.jobs[0].1, Request::Run(Job::Verify { image: None, .. })));
    assert_screen!("verify_starting", menu);
    let facts = vec![("Images".into(), "2".into())];
    menu.finish(Ok(Outcome { facts, warnings: Vec::new() }));
    assert_screen!("verify_done", menu);
    menu.keys(&[Esc, Char('v'), Enter, Down, Down, Enter]);
    match &menu.jobs[0].1 {
        Request::Run(Job::Verify { image: Some(image), .. }) => {
            assert!(image.id.starts_with('a'));
        }
        other => panic!("{other:?}"),
    }
    menu.finish(Err(Failure {
        text: "Verifying: pack 77aa12 holds other bytes than were stored.".into(),
        next_step: Some("Run \"restic check --read-data\" and capture the disk again.".into()),
        ..Failure::default()
    }));
    assert_screen!("verify_failed", menu);
}

#[test]
fn verifying_repeats_what_the_disk_did_not_give() {
    let mut menu = Menu::at(Fake::new(), &[Char('v'), Enter, Enter]);
    let warnings: Vec<String> =
        damage_warnings().iter().map(|warning| format!("image b3f29c51: {warning}")).collect();
    for warning in &warnings {
        menu.progress(warning_event(warning));
    }
    menu.finish(Ok(Outcome { facts: vec![("Images".into(), "2".into())], warnings }));
    assert_screen!("verify_done_damaged", menu);
}

#[test]
fn space_is_freed_after_the_number_of_lost_images_is_typed() {
    let mut menu = Menu::at(Fake::new(), &[Char('i'), Enter, Char('f')]);
    assert_screen!("free_space", menu);
    menu.keys(&[Down, Down, Down, Enter]);
    assert_screen!("free_space_confirm", menu);
    menu.typed("7").key(Enter);
    assert!(menu.jobs.is_empty(), "that is not the number");
    menu.typed("1").key(Enter);
    assert!(matches!(&menu.jobs[0].1, Request::Run(Job::Free { keep: Keep::One, .. })));
    let facts = vec![("Freed".into(), "12.0 GiB".into())];
    menu.finish(Ok(Outcome { facts, warnings: Vec::new() }));
    assert_screen!("free_space_done", menu);
}

#[test]
fn what_loses_no_image_needs_no_agreement() {
    for downs in [0, 2] {
        let mut menu = Menu::new(Fake::new());
        menu.keys(&[Char('i'), Enter, Char('f')]);
        menu.keys(&vec![Down; downs]).key(Enter);
        assert!(matches!(&menu.jobs[0].1, Request::Run(Job::Free { .. })));
    }
}

#[test]
fn the_repository_is_checked() {
    let mut menu = Menu::at(Fake::new(), &[Char('i'), Enter, Char('k')]);
    assert!(matches!(&menu.jobs[0].1, Request::Run(Job::Check { .. })));
    menu.finish(Ok(Outcome { facts: vec![("Images".into(), "2".into())], warnings: Vec::new() }));
    assert!(menu.screen().contains("All files are there and fit together."));
}

#[test]
fn what_an_image_lacks_is_seen_in_the_list_and_before_it_is_forgotten() {
    let mut machine = Fake::new();
    machine.images[0].only_partitions = Some(vec![1, 2]);
    machine.images[0].missing_sectors = 12;
    machine.images[1].incomplete = Some("packs are missing".into());
    let mut menu = Menu::at(machine, &[Char('i'), Enter]);
    assert_screen!("images_marked", menu);
    menu.key(Enter);
    let screen = menu.screen();
    assert!(screen.contains("Lacks           partitions 1, 2; 12 sectors missing"), "{screen}");
    menu.key(Char('f'));
    assert!(menu.screen().contains("[12 sectors missing]"), "{}", menu.screen());
}
