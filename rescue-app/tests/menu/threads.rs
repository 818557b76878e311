//! The real loop with its background threads, on a screen in memory.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lifeboat::operation::{
    Browsed, Container, Control, ImagePlace, ImageSummary, Passphrase, Phase, Place, Progress,
};
use lifeboat::tui::app::{Host, run_menu};
use lifeboat::tui::key::Key::{self, Char, Enter};
use lifeboat::tui::machine::Machine;
use lifeboat::tui::model::*;
use lifeboat::tui::state::Event;
use lifeboat::tui::{Exit, TuiError};
use lifeboat::volume::VolumeKey;
use ratatui::Terminal;
use ratatui::backend::{Backend, ClearType, TestBackend, WindowSize};
use ratatui::buffer::Cell;
use ratatui::layout::{Position, Size};

use crate::fake::Fake;
use crate::harness::COLOUR;

/// What a script does next.
enum Step {
    Press(Key),
    /// The background answers, and this is seen.
    See(&'static str),
    Terminate,
    /// The line is cut.
    HangUp,
}

/// A screen in memory that whoever plays the person looks at.
struct Screen {
    backend: TestBackend,
    seen: Rc<RefCell<String>>,
}

impl Screen {
    fn new(seen: &Rc<RefCell<String>>) -> Self {
        Self { backend: TestBackend::new(80, 25), seen: Rc::clone(seen) }
    }
}

type Drawn = Result<(), <TestBackend as Backend>::Error>;

impl Backend for Screen {
    type Error = <TestBackend as Backend>::Error;

    fn draw<'a, I: Iterator<Item = (u16, u16, &'a Cell)>>(&mut self, content: I) -> Drawn {
        self.backend.draw(content)
    }

    fn flush(&mut self) -> Drawn {
        let rows = self.backend.buffer().content().chunks(80);
        let text = |row: &[Cell]| row.iter().map(Cell::symbol).collect::<String>() + "\n";
        *self.seen.borrow_mut() = rows.map(text).collect();
        self.backend.flush()
    }

    fn hide_cursor(&mut self) -> Drawn {
        self.backend.hide_cursor()
    }

    fn show_cursor(&mut self) -> Drawn {
        self.backend.show_cursor()
    }

    fn get_cursor_position(&mut self) -> Result<Position, Self::Error> {
        self.backend.get_cursor_position()
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> Drawn {
        self.backend.set_cursor_position(position)
    }

    fn clear(&mut self) -> Drawn {
        self.backend.clear()
    }

    fn clear_region(&mut self, clear_type: ClearType) -> Drawn {
        self.backend.clear_region(clear_type)
    }

    fn size(&self) -> Result<Size, Self::Error> {
        self.backend.size()
    }

    fn window_size(&mut self) -> Result<WindowSize, Self::Error> {
        self.backend.window_size()
    }
}

/// Plays a script instead of a keyboard.
struct Script {
    steps: VecDeque<Step>,
    exits: Vec<Exit>,
    seen: Rc<RefCell<String>>,
    started: Instant,
}

impl Script {
    fn new(steps: Vec<Step>) -> Self {
        let started = Instant::now();
        Self { steps: steps.into(), exits: Vec::new(), seen: Rc::default(), started }
    }

    /// Plays it to the end on this machine.
    fn play(&mut self, machine: &Arc<Slow>) -> Result<(), TuiError> {
        let mut terminal = Terminal::new(Screen::new(&self.seen)).unwrap();
        run_menu(&mut terminal, Arc::<Slow>::clone(machine), self, COLOUR)
    }
}

impl Host for Script {
    fn next(&mut self, patience: Duration) -> Result<Option<Event>, TuiError> {
        let seen = self.seen.borrow();
        assert!(self.started.elapsed() < Duration::from_secs(60), "the menu does not end: {seen}");
        if let Some(Step::See(text)) = self.steps.front() {
            if seen.contains(text) {
                self.steps.pop_front();
            }
            std::thread::sleep(Duration::from_millis(10));
            return Ok(None);
        }
        Ok(match self.steps.pop_front() {
            Some(Step::Press(key)) => Some(Event::Key(key)),
            Some(Step::Terminate) => Some(Event::Terminate),
            Some(Step::HangUp) => return Err(TuiError::NoTerminal),
            Some(Step::See(_)) | None => {
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
    fn places(&self, control: Control<'_>) -> Result<Places, Failure> {
        self.fake.places(control)
    }

    fn set_clock(&self, time: time::OffsetDateTime) -> Result<(), Failure> {
        self.fake.set_clock(time)
    }

    fn plan_prepare(&self, order: &PrepareOrder) -> Result<PreparePlan, Failure> {
        self.fake.plan_prepare(order)
    }

    fn prepare(&self, order: &PrepareOrder, control: Control<'_>) -> Result<Place, Failure> {
        self.fake.prepare(order, control)
    }
    fn plan_stick(&self, order: &StickOrder) -> Result<StickPlan, Failure> {
        self.fake.plan_stick(order)
    }
    fn use_stick(&self, order: &StickOrder, control: Control<'_>) -> Result<Place, Failure> {
        self.fake.use_stick(order, control)
    }
    fn images(&self, repository: &Repository) -> Result<Vec<ImageSummary>, Failure> {
        self.fake.images(repository)
    }
    fn create(&self, repository: &Repository) -> Result<(), Failure> {
        self.fake.create(repository)
    }
    fn browse(
        &self,
        repository: &Repository,
        place: &ImagePlace,
        control: Control<'_>,
    ) -> Result<Browsed, Failure> {
        self.fake.browse(repository, place, control)
    }
    fn find_files(
        &self,
        repository: &Repository,
        place: &ImagePlace,
        name: &str,
        control: Control<'_>,
    ) -> Result<Browsed, Failure> {
        self.fake.find_files(repository, place, name, control)
    }
    fn peek(
        &self,
        repository: &Repository,
        place: &ImagePlace,
        control: Control<'_>,
    ) -> Result<String, Failure> {
        self.fake.peek(repository, place, control)
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
    fn plan_write(&self, order: &WriteOrder, control: Control<'_>) -> Result<WritePlan, Failure> {
        self.fake.plan_write(order, control)
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
    fn forget(&self, repository: &Repository, image: &ImageSummary) -> Result<(), Failure> {
        self.fake.forget(repository, image)
    }
    fn plan_free(&self, repository: &Repository, keep: Keep) -> Result<Vec<String>, Failure> {
        self.fake.plan_free(repository, keep)
    }
    fn keep_log(&self, repository: &Repository) -> Result<String, Failure> {
        self.fake.keep_log(repository)
    }
    fn log(&self) -> Result<Log, Failure> {
        panic!("a bug in the log");
    }
}

fn play(steps: Vec<Step>) -> Script {
    let mut script = Script::new(steps);
    script.play(&Arc::new(Slow::new(Fake::new()))).unwrap();
    script
}

/// From the main menu to a verification that runs, and what comes after.
fn verifying(then: impl IntoIterator<Item = Step>) -> Vec<Step> {
    use Step::{Press, See};
    let way = [
        Press(Char('v')),
        See("3 images"),
        Press(Enter),
        See("All images (2)"),
        Press(Enter),
        See("Verify: running"),
    ];
    way.into_iter().chain(then).collect()
}

#[test]
fn a_job_is_stopped_and_a_bug_becomes_a_page() {
    use Step::{Press, See, Terminate};
    play(verifying([
        Press(Key::Esc),
        Press(Char('y')),
        See("Verify: stopped"),
        Press(Char('l')),
        See("internal error: a bug in the log"),
        Terminate,
    ]));
}

#[test]
fn a_request_to_end_stops_the_running_job_first() {
    let machine = Arc::new(Slow::new(Fake::new()));
    Script::new(verifying([Step::Terminate])).play(&machine).unwrap();
    assert!(machine.stopped.load(Ordering::Acquire), "the job reached its safe point");
}

#[test]
fn a_terminal_that_goes_away_stops_the_running_job_first() {
    let machine = Arc::new(Slow::new(Fake::new()));
    let ended = Script::new(verifying([Step::HangUp])).play(&machine);
    assert!(ended.is_err());
    assert!(machine.stopped.load(Ordering::Acquire), "the job reached its safe point");
}

#[test]
fn the_shell_and_the_power_switch_are_reached() {
    use Step::{Press, Terminate};
    let steps = vec![Press(Char('s')), Press(Char('b')), Press(Char('y')), Terminate];
    let script = play(steps);
    assert_eq!(script.exits, [Exit::Shell, Exit::Reboot]);
}
