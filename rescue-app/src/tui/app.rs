//! The loop around the menu's state: events in, effects out, the screen drawn when it changed.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::Backend;

use super::TuiError;
use super::look::Look;
use super::machine::Machine;
use super::page::Exit;
use super::runner::Runner;
use super::state::{Effect, Event, State};

/// Time between ticks.
const TICK: Duration = Duration::from_millis(250);

/// Shortest time between two drawings that no key asked for: a serial line must keep up.
const FRAME: Duration = Duration::from_millis(200);

/// How long a key is waited for before the background is looked after.
const PATIENCE: Duration = Duration::from_millis(50);

/// How long running work gets to reach a safe point when the program is told to end.
const GRACE: Duration = Duration::from_secs(10);

/// What the loop needs of the world besides a screen.
pub trait Host {
    /// The next key, resize or wish to terminate, waiting at most `patience`.
    fn next(&mut self, patience: Duration) -> Result<Option<Event>, TuiError>;
    /// Hands the terminal to a shell until it ends.
    fn shell(&mut self) -> Result<(), TuiError>;
    /// Restarts or switches off the computer.
    fn power(&mut self, exit: Exit) -> Result<(), TuiError>;
}

/// What the menu is drawn on: anything whose errors can be told.
pub trait Screen: Backend<Error: Send + Sync + 'static> {}

impl<B: Backend<Error: Send + Sync + 'static>> Screen for B {}

/// Shows the menu until it is left.
pub fn run_menu(
    terminal: &mut Terminal<impl Screen>,
    machine: Arc<dyn Machine>,
    host: &mut dyn Host,
    look: Look,
) -> Result<(), TuiError> {
    let size = terminal.size().map_err(TuiError::screen)?;
    let state = State::new(machine.facts(), (size.width, size.height));
    let (sender, events) = channel();
    let runner = Runner::new(machine, sender);
    let start = Instant::now();
    let mut app =
        App { runner, events, state: Some(state), start, ticked: start, exit: None, redraw: false };
    app.run(terminal, host, look)
}

struct App {
    runner: Runner,
    events: Receiver<Event>,
    /// Taken while an event is folded in.
    state: Option<State>,
    start: Instant,
    ticked: Instant,
    exit: Option<Exit>,
    redraw: bool,
}

impl App {
    /// Runs until the menu is left; work under way then gets to a safe point, also when the
    /// terminal is gone.
    fn run(
        &mut self,
        terminal: &mut Terminal<impl Screen>,
        host: &mut dyn Host,
        look: Look,
    ) -> Result<(), TuiError> {
        let ended = self.turns(terminal, host, look);
        if ended.is_err() {
            self.fold(Event::Terminate);
        }
        self.wind_up();
        ended
    }

    fn turns(
        &mut self,
        terminal: &mut Terminal<impl Screen>,
        host: &mut dyn Host,
        look: Look,
    ) -> Result<(), TuiError> {
        let mut dirty = true;
        let mut drawn: Option<Instant> = None;
        loop {
            let pressed = host.next(PATIENCE)?;
            let mut urgent = pressed.is_some();
            dirty |= pressed.is_some_and(|event| self.fold(event));
            dirty |= self.fold_background();
            match self.exit.take() {
                Some(Exit::Quit) => return Ok(()),
                Some(exit) => dirty |= self.leave(exit, host),
                None => {}
            }
            if std::mem::take(&mut self.redraw) {
                terminal.clear().map_err(TuiError::screen)?;
                (dirty, urgent) = (true, true);
            }
            let due = drawn.is_none_or(|drawn| drawn.elapsed() >= FRAME);
            if let Some(state) = self.state.as_ref().filter(|_| dirty && (urgent || due)) {
                terminal.draw(|frame| state.draw(frame, look)).map_err(TuiError::screen)?;
                drawn = Some(Instant::now());
                dirty = false;
            }
        }
    }

    /// Folds what the background sent, and a tick when it is time; true if the screen changed.
    fn fold_background(&mut self) -> bool {
        let mut dirty = false;
        while let Ok(event) = self.events.try_recv() {
            dirty |= self.fold(event);
        }
        if self.ticked.elapsed() >= TICK {
            self.ticked = Instant::now();
            dirty |= self.fold(Event::Tick);
        }
        dirty
    }

    /// Leaves the menu for a while; what does not work is told in it.
    fn leave(&mut self, exit: Exit, host: &mut dyn Host) -> bool {
        let left = match exit {
            Exit::Shell => {
                self.redraw = true;
                host.shell()
            }
            exit => host.power(exit),
        };
        left.is_err_and(|error| self.fold(Event::Trouble(error.to_string())))
    }

    /// Folds one event into the state and carries out what comes of it; true if the screen changed.
    fn fold(&mut self, event: Event) -> bool {
        if let Event::Reply(ticket, _) = &event {
            self.runner.finished(*ticket);
        }
        let Some(state) = self.state.take() else { return false };
        let (state, update) = state.on_event(self.start.elapsed(), event);
        self.state = Some(state);
        for effect in update.effects {
            match effect {
                Effect::Start(ticket, request) => self.runner.start(ticket, request),
                Effect::Cancel(ticket) => self.runner.cancel(ticket),
                Effect::Resume(ticket) => self.runner.resume(ticket),
                Effect::Redraw => self.redraw = true,
                Effect::Exit(exit) => self.exit = Some(exit),
            }
        }
        update.redraw
    }

    /// Lets cancelled work reach a safe point before the program ends.
    fn wind_up(&mut self) {
        let asked = Instant::now();
        while self.runner.is_working() && asked.elapsed() < GRACE {
            if let Ok(Event::Reply(ticket, _)) = self.events.recv_timeout(PATIENCE) {
                self.runner.finished(ticket);
            }
        }
    }
}
