//! Capturing: from the list of disks to the report.

use std::time::Duration;

use lifeboat::operation::{
    Compression, Event, Level, Notice, Phase, Progress, Reading, Shortage, Unpartitioned,
};
use lifeboat::store::Location;
use lifeboat::tui::key::Key::{self, Backspace, Char, ClearField, Down, End, Enter, Esc, Tab};
use lifeboat::tui::model::{Failure, Outcome};

use time::macros::datetime;

use crate::fake::{Fake, GIB, MIB, SECRET, mounted};
use crate::harness::{Menu, warning_event};
use crate::{assert_screen, walk};

/// A menu on the page that asks for the place.
fn at_places() -> Menu {
    Menu::at(Fake::new(), &[Char('c'), Enter, Enter])
}

/// A menu with the summary of a capture of the whole laptop disk.
fn at_summary() -> Menu {
    Menu::at(Fake::new(), &[Char('c'), Enter, Enter, Enter, Enter])
}

/// How much the capture that was started reads.
fn reading(menu: &Menu) -> Reading {
    menu.capture_order().args.source.reading
}

/// A folder of the usual place.
fn on_the_backup(folder: &str) -> Location {
    Location::Partition { device: "/dev/sdb1".into(), folder: folder.into() }
}

#[test]
fn a_whole_disk_into_a_repository_that_is_there() {
    let mut menu = Menu::new(Fake::new());
    walk!(
        menu,
        [Char('c')] => "capture_disks",
        [Enter] => "capture_partitions",
        [Enter] => "capture_places",
        [Enter] => "capture_level",
        [Enter] => "capture_summary",
    );
    assert!(menu.jobs.is_empty(), "nothing starts before the summary was seen");
    menu.key(Enter);
    let order = menu.capture_order();
    assert_eq!(order.disk.disk.path, std::path::Path::new("/dev/sda"));
    assert_eq!(order.args.source.partitions, None);
    assert_eq!(order.args.level, Compression::Balanced);
    assert!(order.repository.passphrase.is_none());
    let location = on_the_backup("lifeboat");
    assert_eq!(order.repository.location, location);
}

#[test]
fn what_partitions_could_be_shrunk_to() {
    let mut machine = Fake::new();
    machine.list.disks[0].volumes[3].minimum_size = Some(64 * GIB);
    machine.images[0].partitions[3].volume.minimum_size = Some(64 * GIB);
    let mut menu = Menu::at(machine, &[Char('c')]);
    assert_screen!("capture_disks_least_size", menu);
    menu.key(Enter);
    assert!(menu.screen().contains("could be shrunk to about 64.0 GiB"), "{}", menu.screen());
    menu.keys(&[Esc, Esc, Char('i'), Enter, Enter]);
    assert!(menu.screen().contains("could be shrunk to about 64.0 GiB"), "{}", menu.screen());
}

#[test]
fn how_stubbornly_bad_sectors_are_read_is_set_on_the_summary() {
    let mut menu = at_summary();
    menu.keys(&[Char('t'), Char('m')]);
    assert_screen!("capture_summary_stubborn", menu);
    menu.key(Enter);
    let order = menu.capture_order();
    assert_eq!((order.args.source.retries, order.args.keep_map), (3, true));
    let mut menu = at_summary();
    menu.keys(&[Char('T'), Char('T'), Char('T')]);
    assert!(menu.screen().contains("not tried again, no map kept"), "{}", menu.screen());
    menu.keys(&[Char('t'), Char('m'), Char('m'), Enter]);
    let order = menu.capture_order();
    let args = &order.args;
    assert_eq!((args.source.retries, args.keep_map), (1, false), "as it was at first");
}

#[test]
fn what_lies_outside_of_partitions_can_be_left_out() {
    let mut machine = Fake::new();
    machine.unpartitioned = Some(Unpartitioned {
        bytes: 150 * GIB,
        left_out: false,
        seconds: Some(1100.0),
        samples_are_zero: true,
    });
    let mut menu = Menu::at(machine, &[Char('c'), Enter, Enter, Enter, Enter]);
    assert_screen!("capture_summary_unpartitioned", menu);
    menu.key(Char('u'));
    assert_screen!("capture_summary_partitioned", menu);
    menu.key(Enter);
    assert!(reading(&menu).skips_unpartitioned());
    let mut menu = at_summary();
    menu.keys(&[Char('u'), Enter]);
    assert_eq!(reading(&menu), Reading::default(), "there is hardly any");
}

#[test]
fn a_clock_that_can_hardly_be_right_is_set_before_the_capture() {
    let mut machine = Fake::new();
    machine.wrong_clock = true;
    let mut menu = Menu::at(machine, &[Char('c'), Enter, Enter, Enter, Enter, Char('c')]);
    menu.typed("2026-02-30 12:00").key(Enter);
    assert_screen!("clock", menu);
    menu.key(ClearField).typed("2026-11-29 18:50 +01:00").key(Enter);
    let screen = menu.screen();
    assert!(screen.contains("Capture: summary") && !screen.contains("C Clock"), "{screen}");
    let set = *menu.machine.clock.lock().unwrap();
    assert_eq!(set, Some(datetime!(2026-11-29 17:50 UTC)));
    menu.key(Char('c'));
    assert!(menu.screen().contains("Capture: summary"), "a right clock is left alone");
}

#[test]
fn every_byte_can_be_stored() {
    let mut menu = at_summary();
    menu.key(Char('w'));
    assert!(menu.screen().contains("--trust-unclosed"), "{}", menu.screen());
    menu.key(Char('a'));
    assert_screen!("capture_summary_whole", menu);
    menu.key(Enter);
    assert_eq!(reading(&menu), Reading::Whole);
    let mut menu = at_summary();
    menu.keys(&[Char('a'), Char('A'), Enter]);
    assert_eq!(reading(&menu), Reading::default(), "as it was at first");
}

#[test]
fn of_a_windows_that_was_not_shut_down_everything_is_stored_unless_a_person_says_otherwise() {
    let mut menu = at_summary();
    assert!(menu.screen().contains("not shut down: every byte is stored"), "{}", menu.screen());
    menu.key(Char('w'));
    assert!(menu.screen().contains("stored is what its tables call used"), "{}", menu.screen());
    assert!(menu.screen().contains("--trust-unclosed"), "{}", menu.screen());
    menu.key(Enter);
    assert!(reading(&menu).trusts_unclosed());
    let mut menu = at_summary();
    menu.keys(&[Char('w'), Char('W'), Enter]);
    assert!(!reading(&menu).trusts_unclosed());
}

#[test]
fn chosen_partitions_with_another_compression() {
    let mut menu = Menu::at(Fake::new(), &[Char('c'), Enter, Char('a')]);
    assert!(menu.screen().contains("Tick at least one partition."));
    menu.key(Enter);
    assert!(menu.screen().contains("choose partitions"), "nothing ticked goes nowhere");
    menu.keys(&[Char(' '), Down, Down, Char(' ')]);
    assert_screen!("capture_some_partitions", menu);
    menu.keys(&[Enter, Enter, Char('s')]);
    assert!(menu.screen().contains("--partitions 1,3"));
    menu.key(Enter);
    let args = &menu.capture_order().args;
    assert_eq!((&args.source.partitions, args.level), (&Some(vec![1, 3]), Compression::Small));
}

#[test]
fn a_disk_without_a_table_needs_no_choice_of_partitions() {
    let mut menu = Menu::at(Fake::new(), &[Char('c'), Down, Down, Enter]);
    assert!(menu.screen().contains("choose where the image goes"));
}

#[test]
fn a_new_repository_with_a_passphrase() {
    let mut menu = at_places();
    menu.keys(&[Down, Down, Enter]);
    assert_screen!("create_repository", menu);
    menu.keys(&[Backspace; 8]).typed("taken/").keys(&[Enter, Enter]);
    menu.typed("low tide").key(Enter).typed("high tide").keys(&[Enter, Enter]);
    assert_screen!("create_passphrases_differ", menu);
    assert!(menu.machine.created.lock().unwrap().is_empty());
    menu.key(Key::Up).typed("low tide").keys(&[Enter, Enter]);
    assert!(menu.screen().contains("the folder is not empty"), "{}", menu.screen());

    menu.keys(&[Tab, Key::ClearField]).typed("images").keys(&[Key::BackTab, Enter]);
    assert!(menu.screen().contains("choose the compression"), "{}", menu.screen());
    let created = menu.machine.created.lock().unwrap().clone();
    assert_eq!(created.len(), 1);
    let location = on_the_backup("images");
    assert_eq!(created[0].location, location);
    assert_eq!(created[0].passphrase.as_ref().unwrap().reveal(), "low tide");
    menu.key(Enter);
    assert!(menu.screen().contains("yes, with your passphrase"));
    assert!(!menu.screen().contains("low tide"), "the passphrase is shown nowhere");
    menu.keys(&[Esc, Esc]);
    assert!(menu.screen().contains("choose where the image goes"), "the form is not there twice");
}

#[test]
fn a_new_repository_without_a_passphrase_says_so() {
    let mut menu = at_places();
    menu.keys(&[End, Key::Up, Key::Up, Enter]);
    menu.keys(&[Down, Down, Enter, Enter]);
    assert!(menu.screen().contains("choose the compression"), "{}", menu.screen());
    assert!(menu.machine.created.lock().unwrap()[0].passphrase.is_none());
    menu.key(Enter);
    assert!(menu.screen().contains("no: whoever has the disk can read the image"));
}

#[test]
fn an_empty_passphrase_is_not_taken_for_none() {
    let mut menu = at_places();
    menu.keys(&[Down, Down, Enter, Enter, Enter, Enter, Enter, Enter]);
    assert!(menu.screen().contains("Type a passphrase, or choose"), "{}", menu.screen());
    assert!(menu.machine.created.lock().unwrap().is_empty());
}

#[test]
fn a_repository_with_a_passphrase_asks_for_it() {
    let mut menu = at_places();
    menu.keys(&[Down, Enter]);
    assert_screen!("passphrase", menu);
    menu.typed("high?").key(Enter);
    assert_screen!("passphrase_wrong", menu);
    menu.typed(SECRET).key(Enter);
    assert!(menu.screen().contains("choose the compression"));
    menu.keys(&[Enter, Enter]);
    assert_eq!(menu.capture_order().repository.passphrase.as_ref().unwrap().reveal(), SECRET);
}

#[test]
fn a_folder_can_be_typed() {
    let mut menu = at_places();
    menu.key(Char('f')).typed("nowhere").key(Enter);
    assert_screen!("open_failed", menu);
    menu.key(Esc);
    menu.keys(&[Key::ClearField, Enter]);
    assert!(menu.screen().contains("Type a whole path"));
    menu.typed("/mnt/share").keys(&[Tab, Char(' '), Enter]);
    assert!(menu.screen().contains("Folder: /mnt/share"), "{}", menu.screen());
    menu.keys(&[Down, Enter, Enter]);
    let created = menu.machine.created.lock().unwrap().clone();
    assert_eq!(created[0].location, Location::Folder("/mnt/share".into()));
}

#[test]
fn a_disk_in_use_cannot_be_captured() {
    let mut machine = Fake::new();
    machine.list.disks[0].disk.uses = vec![mounted("/dev/sda5", "/home")];
    let mut menu = Menu::new(machine);
    menu.key(Char('c'));
    assert!(menu.screen().contains("► WD Elements"), "the cursor starts where it can choose");
    menu.keys(&[Key::Up, Enter]);
    let screen = menu.screen();
    assert!(screen.contains("Not possible: /dev/sda5 is mounted at /home"), "{screen}");
}

fn capture_progress(phase: Phase, done: u64) -> Event {
    Event::Progress(Progress {
        phase,
        done: done * GIB,
        total: 185 * GIB,
        skipped: 281 * GIB,
        written: done * GIB / 3,
        bad_areas: 0,
    })
}

#[test]
fn a_running_capture_and_its_report() {
    let mut menu = at_summary();
    menu.key(Enter);
    assert_screen!("capture_starting", menu);
    menu.wait(Duration::from_secs(1));
    menu.progress(Event::Phase { phase: Phase::Capturing });
    for (second, done) in (0_u64..40).zip([0, 1, 2, 3, 3, 4, 6, 8, 9].into_iter().cycle()) {
        menu.progress(capture_progress(Phase::Capturing, second * 2 + done / 3));
        menu.wait(Duration::from_secs(1));
    }
    let text = "partition 3: Windows is hibernated; its files are stored as they are on the disk";
    menu.progress(warning_event(text));
    assert_screen!("capture_running", menu);
    menu.progress(Event::Phase { phase: Phase::Verifying });
    menu.progress(capture_progress(Phase::Verifying, 185));
    assert!(menu.screen().contains("Checking what was stored"));
    assert!(menu.screen().contains("100 %"));
    let facts = [("Image", "b3f29c51, 2026-11-22 03:10"), ("Stored", "61.3 GiB new")];
    let facts = facts.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    menu.finish(Ok(Outcome { facts, warnings: Vec::new() }));
    assert_screen!("capture_done", menu);
    menu.key(Char('k'));
    assert_screen!("capture_done_log_kept", menu);
    menu.key(Char('l'));
    assert_screen!("log", menu);
    menu.keys(&[Esc, Enter]);
    assert!(menu.screen().contains("Main menu"));
}

#[test]
fn a_job_that_stands_still_is_not_shown_as_running() {
    let mut menu = at_summary();
    menu.key(Enter);
    for second in 0..5 {
        menu.progress(capture_progress(Phase::Capturing, second));
        menu.wait(Duration::from_secs(1));
    }
    assert!(!menu.screen().contains("nothing moved"));
    menu.wait(Duration::from_secs(20));
    let screen = menu.screen();
    assert!(screen.contains("nothing moved for 21 s"), "{screen}");
    assert!(screen.contains("Speed now  0 B/s"), "{screen}");
    menu.progress(capture_progress(Phase::Capturing, 6));
    assert!(!menu.screen().contains("nothing moved"));
}

fn full(free: u64) -> Event {
    let location = "/run/lifeboat/sdb1/lifeboat".into();
    Event::Paused(Shortage { location, free: Some(free * MIB), needed: 61 * GIB })
}

#[test]
fn a_full_place_pauses_the_capture_until_the_person_decides() {
    let mut menu = at_summary();
    menu.key(Enter).progress(capture_progress(Phase::Capturing, 124));
    menu.progress(full(3));
    assert_screen!("capture_full", menu);
    menu.key(Char('m'));
    assert_screen!("capture_more_space", menu);
    menu.progress(full(900)).key(Esc);
    assert!(menu.screen().contains("900 MiB"), "the free space is kept up to date");
    menu.wait(Duration::from_secs(60));
    assert!(menu.resumed.is_empty() && menu.cancelled.is_empty(), "nothing happens by itself");

    menu.key(Enter);
    assert_eq!(menu.resumed, [menu.jobs[0].0]);
    assert!(menu.screen().contains("Trying again"));
    menu.progress(Event::Continued);
    menu.progress(capture_progress(Phase::Capturing, 125));
    let screen = menu.screen();
    assert!(screen.contains("125 GiB") && !screen.contains("full"), "{screen}");
    assert!(!screen.contains("nothing moved"), "{screen}");
}

#[test]
fn a_paused_capture_is_stopped_after_the_usual_question() {
    let mut menu = at_summary();
    menu.key(Enter).progress(full(0));
    menu.keys(&[Down, Down, Enter]);
    assert!(menu.screen().contains("Stop the capture?"));
    menu.key(Char('n'));
    assert!(menu.screen().contains("is full") && menu.cancelled.is_empty());
    menu.keys(&[Char('s'), Char('y')]);
    assert_eq!(menu.cancelled, [menu.jobs[0].0]);
    assert!(menu.screen().contains("Stopping at the next safe point"), "{}", menu.screen());
    menu.key(Char('t'));
    assert!(menu.resumed.is_empty());
}

#[test]
fn stopping_is_asked_with_carry_on_as_the_answer() {
    let mut menu = at_summary();
    menu.keys(&[Enter, Esc]);
    assert_screen!("stop_capture_question", menu);
    menu.key(Enter);
    assert!(menu.cancelled.is_empty());
    menu.key(Char('q')).key(Enter);
    assert!(menu.screen().contains("Capture: running"), "no other key leaves a running job");
    menu.keys(&[Esc, Char('y')]);
    assert_eq!(menu.cancelled, [menu.jobs[0].0]);
    assert!(menu.screen().contains("Stopping at the next safe point"));
    menu.key(Esc);
    assert!(menu.screen().contains("Stopping at the next safe point"));
    menu.finish(Err(Failure { cancelled: true, ..Failure::default() }));
    assert_screen!("capture_stopped", menu);
}

#[test]
fn a_job_that_ends_under_the_question_shows_its_report() {
    let mut menu = at_summary();
    menu.keys(&[Enter, Esc]);
    menu.finish(Ok(Outcome::default()));
    let screen = menu.screen();
    assert!(screen.contains("Capture: done") && !screen.contains("Stop?"), "{screen}");
}

#[test]
fn a_failure_names_cause_and_next_step_and_leads_back_to_the_summary() {
    let mut menu = at_summary();
    menu.key(Enter);
    menu.finish(Err(Failure {
        text: "Capturing Samsung SSD 870 EVO 500GB (S5Y1NJ0R): writing pack 3f29c51a: No space \
               left on device."
            .into(),
        next_step: Some("Make room, or choose a repository elsewhere.".into()),
        ..Failure::default()
    }));
    assert_screen!("capture_failed", menu);
    menu.key(Esc);
    assert!(menu.screen().contains("Capture: summary"));
    menu.key(Enter);
    assert_eq!(menu.jobs.len(), 1, "it can be tried again");
}

#[test]
fn warnings_of_the_run_are_repeated_in_the_report() {
    let mut menu = at_summary();
    menu.key(Enter);
    let warning = "partition 2: captured whole";
    menu.progress(warning_event(warning));
    menu.progress(Event::Notice(Notice { level: Level::Info, text: "just so".into() }));
    menu.finish(Ok(Outcome { facts: Vec::new(), warnings: vec![warning.into(), "other".into()] }));
    let screen = menu.screen();
    assert_eq!(screen.matches(warning).count(), 1, "{screen}");
    assert!(screen.contains("done, with warnings") && screen.contains("There are 2 warnings"));
    assert!(!screen.contains("just so"));
}

#[test]
fn bad_areas_are_shown_while_they_are_read_around() {
    let mut menu = at_summary();
    menu.key(Enter);
    menu.progress(Event::Phase { phase: Phase::Capturing });
    let Event::Progress(progress) = capture_progress(Phase::Capturing, 3) else { unreachable!() };
    menu.progress(Event::Progress(progress.clone()));
    assert!(!menu.screen().contains("bad area"), "{}", menu.screen());
    menu.progress(Event::Progress(Progress { bad_areas: 12, ..progress }));
    assert!(menu.screen().contains("12 bad areas, reading around"), "{}", menu.screen());
}
