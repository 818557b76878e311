//! Cloning: two disks, the plan, the typed agreement; no repository anywhere.

use lifeboat::job::What;
use lifeboat::operation::{Event, Phase, Progress};
use lifeboat::tui::key::Key::{self, Char, Down, End, Enter, Esc};
use lifeboat::tui::machine::Request;
use lifeboat::tui::model::{Failure, Job, Origin, Outcome, WriteOrder};

use crate::fake::{Fake, GIB, planned_for};
use crate::harness::Menu;
use crate::{assert_screen, walk};

fn started(menu: &Menu) -> &WriteOrder {
    match &menu.jobs.last().expect("no job was started").1 {
        Request::Run(Job::Write(order)) => order,
        other => panic!("{other:?}"),
    }
}

/// A menu in which a clone of the laptop's disk to the NVMe disk was agreed to.
fn running() -> Menu {
    let mut menu = Menu::at(Fake::new(), &[Char('l'), Enter, Down, Enter, Enter, Enter]);
    menu.typed("khld").key(Enter);
    menu
}

#[test]
fn a_whole_disk_with_all_pages_on_the_way() {
    let mut menu = Menu::new(Fake::new());
    walk!(
        menu,
        [Char('l')] => "clone_sources",
        [Enter, Down] => "clone_targets",
        [Enter] => "clone_options",
        [Enter] => "clone_summary",
        [End] => "clone_summary_end",
        [Enter] => "clone_confirm",
    );
    menu.typed("khld").key(Enter);
    let order = started(&menu);
    let Origin::Disk(source) = &order.from else { panic!("{order:?}") };
    assert_eq!(source.disk.path, std::path::Path::new("/dev/sda"));
    assert_eq!(order.disk.disk.path, std::path::Path::new("/dev/nvme0n1"));
    assert_eq!(order.what, What::Disk);
    assert!(!order.target.only_changed && !order.target.no_read_back);
    assert_eq!(planned_for(order), Some(&order.disk.disk.path), "the plan that was shown");
}

#[test]
fn only_some_partitions() {
    let mut menu = Menu::at(Fake::new(), &[Char('l'), Enter, Down, Enter]);
    menu.keys(&[Char('p'), Down, Down, Char(' '), Down, Down, Down, Char(' '), Enter]);
    let planned = menu.machine.writes_planned.lock().unwrap().last().unwrap().clone();
    assert_eq!(planned.what, What::Partitions(vec![2, 3, 6]));
    menu.key(End);
    assert!(menu.screen().contains("--partitions"), "{}", menu.screen());
}

#[test]
fn disks_that_cannot_be_the_target_are_told_why() {
    let mut machine = Fake::new();
    machine.list.disks[2].disk.size = 150 * GIB;
    let mut menu = Menu::at(machine, &[Char('l'), Enter, Key::Home, Enter]);
    assert!(menu.screen().contains("Not possible: it is the disk to clone"), "{}", menu.screen());
    menu.keys(&[Down, Down, Enter]);
    let screen = menu.screen();
    assert!(screen.contains("Not possible: smaller than the disk to clone (466 GiB)"), "{screen}");
    assert!(screen.contains("Clone: choose the disk to overwrite"), "{screen}");
    assert!(menu.machine.writes_planned.lock().unwrap().is_empty());
}

#[test]
fn how_it_runs_and_ends() {
    let mut menu = running();
    menu.progress(Event::Progress(Progress {
        phase: Phase::Cloning,
        done: 40 * GIB,
        total: 185 * GIB,
        skipped: 0,
        written: 39 * GIB,
        bad_areas: 2,
    }));
    assert_screen!("clone_running", menu);
    menu.key(Esc);
    assert!(menu.screen().contains("Stop the clone?"), "{}", menu.screen());
    menu.key(Esc);
    let facts = vec![("Read".to_owned(), "185 GiB".to_owned())];
    menu.finish(Ok(Outcome { facts, warnings: Vec::new() }));
    assert_screen!("clone_done", menu);
    assert!(!menu.screen().contains("Keep log"), "there is no place to keep it in");

    let mut menu = running();
    menu.finish(Err(Failure { text: "No.".into(), ..Failure::default() }));
    assert!(menu.screen().contains("The clone failed."), "{}", menu.screen());
}
