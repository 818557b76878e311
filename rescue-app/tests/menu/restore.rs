//! Restoring: refusals, the plan, the typed agreement.

use std::time::Duration;

use lifeboat::job::What;
use lifeboat::operation::{Event, Phase, Progress};
use lifeboat::tui::key::Key::{self, Char, Down, End, Enter, Esc, Up};
use lifeboat::tui::machine::Request;
use lifeboat::tui::model::{Failure, Job, Origin, Outcome, WriteOrder};
use lifeboat::volume::LogicalVolume;

use crate::fake::{
    Fake, GIB, NO_SERIAL, damage_warnings, filesystem, logical_volume, mounted, planned_for,
};
use crate::harness::{Menu, warning_event};
use crate::{assert_screen, walk};

/// A menu on the list of targets.
fn at_targets(machine: Fake) -> Menu {
    Menu::at(machine, &[Char('r'), Enter, Enter])
}

/// A menu with the summary of a restore to the NVMe disk.
fn at_summary(machine: Fake) -> Menu {
    let mut menu = at_targets(machine);
    menu.keys(&[Down, Down, Enter, Enter]);
    menu
}

fn started(menu: &Menu) -> &WriteOrder {
    match &menu.jobs.last().expect("no job was started").1 {
        Request::Run(Job::Write(order)) => order,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_whole_disk_with_all_pages_on_the_way() {
    let mut menu = Menu::new(Fake::new());
    walk!(
        menu,
        [Char('r')] => "restore_places",
        [Enter] => "restore_images",
        [Enter, Down, Down] => "restore_targets",
        [Enter] => "restore_options",
        [Enter] => "restore_summary",
        [End] => "restore_summary_end",
        [Enter] => "restore_confirm",
    );
    menu.typed("khld").key(Enter);
    let order = started(&menu);
    assert_eq!(order.disk.disk.path, std::path::Path::new("/dev/nvme0n1"));
    let Origin::Image { image, .. } = &order.from else { panic!("{order:?}") };
    assert!(image.id.starts_with("b3f29c51"), "the newest image");
    assert_eq!(order.what, What::Disk);
    assert!(!order.target.only_changed && !order.target.no_read_back);
    assert_eq!(planned_for(order), Some(&order.disk.disk.path), "the plan that was shown");
}

#[test]
fn the_image_is_proven_first_when_that_is_chosen() {
    let mut menu = at_summary(Fake::new());
    menu.key(End);
    assert!(!menu.screen().contains("proven"), "{}", menu.screen());
    menu.keys(&[Char('v'), End]);
    assert!(menu.screen().contains("once the image was read and proven"), "{}", menu.screen());
    assert!(menu.screen().contains("--verify-first"), "{}", menu.screen());
    menu.key(Enter).typed("khld").key(Enter);
    assert!(started(&menu).verify_first);
}

#[test]
fn sizes_of_partitions_are_set_by_hand() {
    let mut menu = at_targets(Fake::new());
    menu.keys(&[Down, Down, Enter, Char('z')]);
    walk!(menu, [Enter] => "restore_sizes");
    // Without a number there is no way on, and nothing is forgotten.
    menu.key(Down).typed("much");
    for _ in 0..8 {
        menu.key(Down);
        if menu.screen().contains("► [ Continue ]") {
            break;
        }
    }
    menu.key(Enter);
    assert!(menu.screen().contains("`much`"), "{}", menu.screen());
    assert!(menu.screen().contains("sizes of partitions"), "{}", menu.screen());
    menu.keys(&[Up, Up, Up, Up, Key::Backspace, Key::Backspace, Key::Backspace, Key::Backspace]);
    menu.typed("20G").keys(&[Down, Down, Down, Down, Enter, End]);
    assert!(menu.screen().contains("--size-of"), "{}", menu.screen());
    menu.key(Enter).typed("khld").key(Enter);
    let wishes = &started(&menu).target.sizes.size_of;
    assert_eq!((wishes.len(), wishes[0].size), (1, 20 << 30));
}

#[test]
fn disks_that_must_not_be_written_cannot_be_chosen() {
    let mut menu = at_targets(Fake::new());
    // The disk that holds the images, then the boot medium.
    for (downs, reason) in [(1, "the images are on it"), (3, "Lifeboat was started from it")] {
        menu.key(Key::Home).keys(&vec![Down; downs]).key(Enter);
        let screen = menu.screen();
        assert!(screen.contains("choose the disk to overwrite"), "{screen}");
        assert!(screen.contains(&format!("Not possible: {reason}")), "{screen}");
        assert!(!screen.contains("Enter Choose"), "the key is not offered");
    }
    assert!(menu.machine.writes_planned.lock().unwrap().is_empty());
}

#[test]
fn a_disk_that_is_too_small_or_in_use_cannot_be_chosen() {
    let mut machine = Fake::new();
    machine.list.disks[2].disk.size = 150 * GIB;
    machine.list.disks[4].disk.uses = vec![mounted("/dev/vda1", "/srv")];
    let mut menu = at_targets(machine);
    menu.keys(&[End, Enter, Up, Up, Enter]);
    let screen = menu.screen();
    assert!(screen.contains("smaller than the captured disk (466 GiB)"), "{screen}");
    assert!(screen.contains("Not possible: /dev/vda1 is mounted at /srv"), "{screen}");
    assert!(screen.contains("choose the disk to overwrite"));
}

#[test]
fn a_refusal_of_the_plan_ends_on_the_summary() {
    let mut machine = Fake::new();
    machine.refuse_restore = Some(Failure {
        text: "The target has sectors of 4096 bytes, the image of 512.".into(),
        next_step: Some("Choose a disk with 512-byte sectors.".into()),
        ..Failure::default()
    });
    let mut menu = at_summary(machine);
    assert_screen!("restore_refused", menu);
    menu.key(Enter);
    assert!(menu.screen().contains("Restore: summary"), "there is no way on");
    assert!(menu.jobs.is_empty());
}

#[test]
fn a_wrong_word_changes_nothing() {
    let mut menu = at_summary(Fake::new());
    menu.key(Enter);
    menu.key(Enter);
    assert!(menu.screen().contains("That does not match. Nothing has been changed."));
    menu.typed("yes").key(Enter);
    assert_screen!("restore_confirm_wrong", menu);
    menu.typed("KHL").key(Enter);
    assert!(menu.jobs.is_empty());
    menu.key(Esc);
    assert!(menu.screen().contains("Restore: summary"));
    assert!(menu.jobs.is_empty());
}

#[test]
fn a_disk_without_a_serial_number_is_confirmed_by_size_and_content() {
    let mut menu = at_targets(Fake::new());
    menu.keys(&[End, Enter, Enter, Enter]);
    let screen = menu.screen();
    assert!(screen.contains(&format!("type its size and mark, {NO_SERIAL}, and")), "{screen}");
    menu.typed("vda").key(Enter);
    assert!(menu.jobs.is_empty(), "that may be another disk after the next start");
    menu.typed(NO_SERIAL).key(Enter);
    assert_eq!(started(&menu).disk.disk.path, std::path::Path::new("/dev/vda"));
}

#[test]
fn single_partitions_and_ways_of_writing() {
    let mut menu = at_targets(Fake::new());
    menu.keys(&[Down, Down, Enter, Char('p'), Char('c'), Char('b')]);
    // Partition 6 is not in the image; of the others only the second NTFS one is kept.
    menu.keys(&[Down, Down, Char(' '), Down, Char(' '), Down, Down, Char(' '), Down, Char(' ')]);
    assert_screen!("restore_some_partitions", menu);
    menu.key(Enter);
    let screen = menu.screen();
    assert!(screen.contains("at most 185 GiB, not read back"), "{screen}");
    menu.key(Enter);
    assert!(menu.screen().contains("only partitions 3"), "{}", menu.screen());
    menu.typed("KHLD").key(Enter);
    let order = started(&menu);
    assert_eq!(order.what, What::Partitions(vec![3]));
    assert!(order.target.only_changed && order.target.no_read_back);
}

fn volume_of(name: &str, with: &[String]) -> What {
    What::Volume { name: name.into(), with: with.to_vec() }
}

/// Images whose third partition is a volume group.
fn with_logical_volumes() -> Fake {
    let mut machine = Fake::new();
    let volume =
        |name, gib: u64| logical_volume(name, gib * GIB, filesystem("", Some(gib * GIB / 3)));
    for image in &mut machine.images {
        let partition = &mut image.partitions[2].volume;
        partition.content = "LVM2".into();
        partition.filesystem = Some(filesystem("", Some(124 * GIB)));
        partition.logical_volumes = vec![
            volume("root", 30),
            LogicalVolume { complete: false, ..volume("wide", 40) },
            volume("home", 200),
            LogicalVolume { plain: false, ..volume("thin", 10) },
        ];
    }
    machine
}

#[test]
fn one_logical_volume() {
    let mut menu = at_targets(with_logical_volumes());
    menu.keys(&[Down, Down, Enter, Char('l')]).keys(&[Down; 5]).key(Char(' '));
    menu.keys(&[Down, Char(' '), Up]);
    assert_screen!("restore_one_volume", menu);
    menu.keys(&[Enter, End]);
    assert!(menu.screen().contains("--volume vg/home"), "{}", menu.screen());
    menu.key(Enter);
    assert!(menu.screen().contains("with the logical volume vg/home alone"), "{}", menu.screen());
    menu.typed("KHLD").key(Enter);
    let order = started(&menu);
    assert_eq!(order.what, volume_of("vg/home", &[]));
}

#[test]
fn a_logical_volume_on_several_disks_takes_the_images_of_the_others() {
    let mut machine = with_logical_volumes();
    let mut other = machine.images[0].clone();
    (other.id, other.disk_name) = ("5e6f7081".repeat(8), "WDC WD10EZEX (WCC3F0T7)".into());
    machine.others = vec![other];
    let mut menu = at_targets(machine);
    menu.keys(&[Down, Down, Enter, Char('l')]).keys(&[Down; 4]).keys(&[Char(' '), Enter, End]);
    assert_screen!("restore_volume_of_two_disks", menu);
    let planned = menu.machine.writes_planned.lock().unwrap().last().unwrap().clone();
    assert_eq!(planned.what, volume_of("vg/wide", &[]));
    menu.key(Enter).typed("KHLD").key(Enter);
    assert_eq!(started(&menu).what, volume_of("vg/wide", &["5e6f7081".repeat(8)]));
}

#[test]
fn a_logical_volume_whose_other_disks_have_no_image_cannot_be_restored() {
    let mut machine = with_logical_volumes();
    machine.refuse_restore = Some(Failure {
        text: "The logical volume vg/wide lies on several disks, and there is no image of the \
               others."
            .into(),
        next_step: Some("Capture all the disks that it lies on into this repository.".into()),
        ..Failure::default()
    });
    let mut menu = at_targets(machine);
    menu.keys(&[Down, Down, Enter, Char('l')]).keys(&[Down; 4]).keys(&[Char(' '), Enter]);
    assert_screen!("restore_volume_refused", menu);
    menu.key(Enter);
    assert!(menu.screen().contains("Restore: summary"), "there is no way on");
    assert!(menu.jobs.is_empty());
}

#[test]
fn volumes_that_only_lvm_reads_are_no_choice() {
    let mut machine = with_logical_volumes();
    for image in &mut machine.images {
        image.partitions[2].volume.logical_volumes.retain(|volume| !volume.plain);
    }
    let mut menu = at_targets(machine);
    menu.keys(&[Down, Down, Enter, Char('l')]);
    assert!(!menu.screen().contains("One logical volume"), "{}", menu.screen());
    assert!(menu.screen().contains("(*) W  The whole disk"), "{}", menu.screen());
}

#[test]
fn a_small_target_has_room_for_a_logical_volume_only() {
    let mut machine = with_logical_volumes();
    machine.list.disks[2].disk.size = 100 * GIB;
    machine.list.disks[4].disk.size = 20 * GIB;
    let mut menu = at_targets(machine);
    assert!(menu.screen().contains("smaller than the captured disk"), "{}", menu.screen());
    menu.keys(&[Down, Down, Enter, Down, Down, Down, Char(' '), Char('w'), Char('p')]);
    assert_screen!("restore_volume_that_fits", menu);
    menu.keys(&[Enter, Enter]).typed("KHLD").key(Enter);
    assert_eq!(started(&menu).what, volume_of("vg/root", &[]));
}

#[test]
fn on_a_smaller_target_the_plan_says_whether_the_whole_fits() {
    let mut machine = Fake::new();
    machine.list.disks[2].disk.size = 300 * GIB;
    let mut menu = at_summary(machine);
    assert_eq!(menu.machine.writes_planned.lock().unwrap().last().unwrap().what, What::Disk);
    menu.key(Enter).typed("khld").key(Enter);
    assert_eq!(started(&menu).disk.disk.size, 300 * GIB);
    let mut machine = Fake::new();
    machine.list.disks[2].disk.size = 300 * GIB;
    machine.refuse_restore = Some(Failure {
        text: "the smallest disk that this fits on has 310 GiB".into(),
        ..Failure::default()
    });
    let mut menu = at_summary(machine);
    assert!(menu.screen().contains("fits on has 310 GiB"), "{}", menu.screen());
}

#[test]
fn a_running_restore_its_stop_and_its_reports() {
    let mut menu = at_summary(Fake::new());
    menu.key(Enter).typed("khld").key(Enter);
    menu.progress(Event::Phase { phase: Phase::Restoring });
    for done in 0..30 {
        menu.progress(Event::Progress(Progress {
            phase: Phase::Restoring,
            done: done * GIB,
            total: 185 * GIB,
            skipped: 0,
            written: done * GIB,
            bad_areas: 0,
        }));
        menu.wait(Duration::from_secs(1));
    }
    assert_screen!("restore_running", menu);
    menu.key(Esc);
    assert_screen!("stop_restore_question", menu);
    menu.keys(&[Char('y')]);
    assert_eq!(menu.cancelled.len(), 1);
    menu.finish(Err(Failure { cancelled: true, ..Failure::default() }));
    assert_screen!("restore_stopped", menu);
    menu.key(Esc);
    assert!(menu.screen().contains("Restore: summary"), "back for another try");
    menu.key(Enter).typed("khld").key(Enter);
    menu.finish(Err(Failure {
        text: "Opening the repository failed.".into(),
        ..Failure::default()
    }));
    let screen = menu.screen();
    assert!(screen.contains("It ended before the target was written."), "{screen}");
    menu.keys(&[Esc, Enter]).typed("khld").key(Enter);
    let facts = vec![("Written".into(), "185 GiB".into())];
    menu.finish(Ok(Outcome { facts, warnings: vec!["Restart to see the partitions.".into()] }));
    assert_screen!("restore_done", menu);
    menu.key(Esc);
    assert!(menu.screen().contains("Main menu"), "a finished restore is not gone back to");
}

#[test]
fn a_restore_says_before_and_after_what_the_image_lacks() {
    let mut machine = Fake::new();
    let warnings = damage_warnings();
    machine.lacking = warnings.iter().map(|warning| format!("image: {warning}")).collect();
    let mut menu = at_summary(machine);
    assert_screen!("restore_summary_damaged", menu);
    menu.key(Enter).typed("khld").key(Enter);
    for warning in &warnings {
        menu.progress(warning_event(warning));
    }
    menu.finish(Ok(Outcome { facts: vec![("Written".into(), "185 GiB".into())], warnings }));
    assert_screen!("restore_done_damaged", menu);
}

#[test]
fn the_firmware_can_be_left_alone() {
    let mut machine = Fake::new();
    let mut menu = at_targets(Fake::new());
    menu.keys(&[Down, Down, Enter]);
    assert!(!menu.screen().contains("boot entries"), "the image has none");
    machine.images[0].boot_entries = vec!["\"debian\" (\\EFI\\debian\\shimx64.efi)".into()];
    let mut menu = at_targets(machine);
    menu.keys(&[Down, Down, Enter]);
    let screen = menu.screen();
    assert!(screen.contains("[x] F  Give the firmware the boot entries"), "{screen}");
    menu.keys(&[Char('f'), Enter, Enter]);
    menu.typed("khld").key(Enter);
    assert!(started(&menu).target.no_nvram);
}
