//! The real loop with its background threads, on a screen in memory.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lifeboat::filesystem::VolumeKey;
use lifeboat::operation::{Container, Control, Phase, Progress};
use lifeboat::tui::app::{Host, run_menu};
use lifeboat::tui::key::Key::{self, Char, Enter};
use lifeboat::tui::machine::Machine;
use lifeboat::tui::model::*;
use lifeboat::tui::state::Event;
use lifeboat::tui::{Exit, TuiError};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use crate::fake::Fake;
use crate::harness::COLOUR;

/// What a script does next.
enum Step {
    Press(Key),
    /// Time for the background to answer.
    Wait,
    Terminate,
    /// The line is cut.
    HangUp,
}

/// Plays a script instead of a keyboard.
struct Script {
    steps: VecDeque<Step>,
    exits: Vec<Exit>,
    started: Instant,
}

impl Script {
    fn new(steps: Vec<Step>) -> Self {
        Self { steps: steps.into(), exits: Vec::new(), started: Instant::now() }
    }
}

impl Host for Script {
    fn next(&mut self, patience: Duration) -> Result<Option<Event>, TuiError> {
        assert!(self.started.elapsed() < Duration::from_secs(60), "the menu does not end");
        Ok(match self.steps.pop_front() {
            Some(Step::Press(key)) => Some(Event::Key(key)),
            Some(Step::Terminate) => Some(Event::Terminate),
            Some(Step::HangUp) => return Err(TuiError::NoTerminal),
            Some(Step::Wait) => {
                std::thread::sleep(Duration::from_millis(400));
                None
            }
            None => {
                std::thread::sleep(patience);
                None
            }
        })
    }

    fn shell(&mut self) -> Result<(), TuiError> {
        self.exits.push(Exit::Shell);
        Ok(())
    }

    fn power(&mut self, exit: Exit) -> Result<(), TuiError> {
        self.exits.push(exit);
        Ok(())
    }
}

/// A machine whose jobs last until they are cancelled, and whose log is broken by a bug.
struct Slow {
    fake: Fake,
    stopped: AtomicBool,
}

impl Slow {
    fn new(fake: Fake) -> Self {
        Self { fake, stopped: AtomicBool::new(false) }
    }
}

impl Machine for Slow {
    fn facts(&self) -> Facts {
        self.fake.facts()
    }
    fn disks(&self, known: Option<u64>) -> Result<Option<DiskList>, Failure> {
        self.fake.disks(known)
    }
    fn places(&self, control: Control<'_>) -> Result<Vec<Place>, Failure> {
        self.fake.places(control)
    }
    fn images(&self, repository: &Repository) -> Result<Vec<Image>, Failure> {
        self.fake.images(repository)
    }
    fn create(&self, repository: &Repository) -> Result<(), Failure> {
        self.fake.create(repository)
    }
    fn unlock(
        &self,
        disk: &Path,
        container: &Container,
        passphrase: &Passphrase,
    ) -> Result<VolumeKey, Failure> {
        self.fake.unlock(disk, container, passphrase)
    }
    fn plan_capture(
        &self,
        order: &CaptureOrder,
        control: Control<'_>,
    ) -> Result<CapturePlan, Failure> {
        self.fake.plan_capture(order, control)
    }
    fn plan_restore(&self, order: &RestoreOrder) -> Result<RestorePlan, Failure> {
        self.fake.plan_restore(order)
    }
    fn run(&self, _job: &Job, control: Control<'_>) -> Result<Outcome, Failure> {
        for done in 0..3000 {
            let phase = Phase::Verifying;
            control.progress(Progress {
                phase,
                done,
                total: 3000,
                skipped: 0,
                written: 0,
                bad_areas: 0,
            });
            if control.cancel.is_requested() {
                self.stopped.store(true, Ordering::Release);
                return Err(Failure { cancelled: true, ..Failure::default() });
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(Outcome::default())
    }
    fn forget(&self, repository: &Repository, image: &Image) -> Result<(), Failure> {
        self.fake.forget(repository, image)
    }
    fn plan_free(&self, repository: &Repository, keep: Keep) -> Result<Vec<String>, Failure> {
        self.fake.plan_free(repository, keep)
    }
    fn log(&self) -> Result<Log, Failure> {
        panic!("a bug in the log");
    }
}

fn play(machine: Fake, steps: Vec<Step>) -> (Script, String) {
    let mut terminal = Terminal::new(TestBackend::new(80, 25)).unwrap();
    let mut script = Script::new(steps);
    run_menu(&mut terminal, Arc::new(Slow::new(machine)), &mut script, COLOUR).unwrap();
    let buffer = terminal.backend().buffer();
    let rows = buffer.content().chunks(80);
    let screen =
        rows.map(|row| row.iter().map(|cell| cell.symbol()).collect::<String>() + "\n").collect();
    (script, screen)
}

#[test]
fn a_job_is_stopped_and_a_bug_becomes_a_page() {
    use Step::{Press, Terminate, Wait};
    let steps = vec![
        Press(Char('v')),
        Wait,
        Press(Enter),
        Wait,
        Press(Enter),
        Wait,
        Press(Key::Esc),
        Press(Char('y')),
        Wait,
        Wait,
        Press(Char('l')),
        Wait,
        Wait,
        Terminate,
    ];
    let (_, screen) = play(Fake::new(), steps);
    assert!(screen.contains("internal error: a bug in the log"), "{screen}");
}

#[test]
fn a_request_to_end_stops_the_running_job_first() {
    use Step::{Press, Terminate, Wait};
    let steps =
        vec![Press(Char('v')), Wait, Press(Enter), Wait, Press(Enter), Wait, Wait, Terminate];
    let started = Instant::now();
    let (_, screen) = play(Fake::new(), steps);
    assert!(screen.contains("Verify: running"), "{screen}");
    assert!(started.elapsed() < Duration::from_secs(9), "cancelled work ends at once");
}

#[test]
fn a_terminal_that_goes_away_stops_the_running_job_first() {
    use Step::{HangUp, Press, Wait};
    let steps = vec![Press(Char('v')), Wait, Press(Enter), Wait, Press(Enter), Wait, Wait, HangUp];
    let machine = Arc::new(Slow::new(Fake::new()));
    let mut terminal = Terminal::new(TestBackend::new(80, 25)).unwrap();
    let mut script = Script::new(steps);
    let ended = run_menu(&mut terminal, Arc::<Slow>::clone(&machine), &mut script, COLOUR);
    assert!(ended.is_err());
    assert!(machine.stopped.load(Ordering::Acquire), "the job reached its safe point");
}

#[test]
fn the_shell_and_the_power_switch_are_reached() {
    use Step::{Press, Terminate};
    let steps = vec![Press(Char('s')), Press(Char('b')), Press(Char('y')), Terminate];
    let (script, _) = play(Fake::new(), steps);
    assert_eq!(script.exits, [Exit::Shell, Exit::Reboot]);
}
