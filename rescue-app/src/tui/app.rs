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

/// Shows the menu until it is left.
pub fn run_menu<B>(
    terminal: &mut Terminal<B>,
    machine: Arc<dyn Machine>,
    host: &mut dyn Host,
    look: Look,
) -> Result<(), TuiError>
where
    B: Backend<Error: Send + Sync + 'static>,
{
    let size = terminal.size().map_err(TuiError::screen)?;
    let state = State::new(machine.facts(), (size.width, size.height));
    let (sender, events) = channel();
    let runner = Runner::new(machine, sender);
    let start = Instant::now();
    let mut app = App { runner, events, state: Some(state), start, exit: None, redraw: false };
    app.run(terminal, host, look)
}

struct App {
    runner: Runner,
    events: Receiver<Event>,
    /// Taken while an event is folded in.
    state: Option<State>,
    start: Instant,
    exit: Option<Exit>,
    redraw: bool,
}

impl App {
    fn run<B>(
        &mut self,
        terminal: &mut Terminal<B>,
        host: &mut dyn Host,
        look: Look,
    ) -> Result<(), TuiError>
    where
        B: Backend<Error: Send + Sync + 'static>,
    {
        let mut dirty = true;
        let mut drawn: Option<Instant> = None;
        let mut ticked = Instant::now();
        loop {
            let mut urgent = false;
            if let Some(event) = host.next(PATIENCE)? {
                urgent = true;
                dirty |= self.fold(event);
            }
            while let Ok(event) = self.events.try_recv() {
                dirty |= self.fold(event);
            }
            if ticked.elapsed() >= TICK {
                ticked = Instant::now();
                dirty |= self.fold(Event::Tick);
            }
            match self.exit.take() {
                Some(Exit::Quit) => return self.wind_up(),
                Some(exit) => dirty |= self.leave(exit, host),
                None => {}
            }
            if std::mem::take(&mut self.redraw) {
                terminal.clear().map_err(TuiError::screen)?;
                (dirty, urgent) = (true, true);
            }
            let due = drawn.is_none_or(|drawn| drawn.elapsed() >= FRAME);
            if dirty && (urgent || due) {
                if let Some(state) = &self.state {
                    terminal.draw(|frame| state.draw(frame, look)).map_err(TuiError::screen)?;
                }
                drawn = Some(Instant::now());
                dirty = false;
            }
        }
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
                Effect::Redraw => self.redraw = true,
                Effect::Exit(exit) => self.exit = Some(exit),
            }
        }
        update.redraw
    }

    /// Lets cancelled work reach a safe point before the program ends.
    fn wind_up(&mut self) -> Result<(), TuiError> {
        let asked = Instant::now();
        while self.runner.is_working() && asked.elapsed() < GRACE {
            if let Ok(Event::Reply(ticket, _)) = self.events.recv_timeout(PATIENCE) {
                self.runner.finished(ticket);
            }
        }
        Ok(())
    }
}
