//! The real terminal: raw mode, its size, its keys, and giving it back whatever happens.

use std::collections::VecDeque;
use std::io::{self, BufWriter, Stdout};
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crossterm::cursor::{Hide, Show};
use crossterm::terminal::{self as tty, EnterAlternateScreen, LeaveAlternateScreen};
use crossterm::{event, execute};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use ratatui::backend::{Backend, ClearType, CrosstermBackend, WindowSize};
use ratatui::buffer::Cell;
use ratatui::layout::{Position, Size};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::console;

use super::TuiError;
use super::app::Host;
use super::key::{Assembler, ESCAPE_WAIT, Key};
use super::page::Exit;
use super::state::Event;

/// Size of a terminal that does not tell: a serial line reports 0 by 0.
const USUAL_SIZE: Size = Size { width: 80, height: 24 };

/// The shell of the boot medium and of every other system.
const SHELL: &str = "/bin/sh";

/// Takes the terminal over; it is given back when this is dropped, and also on a panic.
pub(super) struct Screen;

impl Screen {
    /// Raw mode, alternate screen, no cursor.
    pub(super) fn enter() -> Result<Self, TuiError> {
        take().map_err(TuiError::Terminal)?;
        let screen = thread::current().id();
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            // A panic in a background thread becomes a failure page; the menu goes on.
            if thread::current().id() == screen {
                give_back();
                before(info);
            }
        }));
        Ok(Self)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn take() -> io::Result<()> {
    tty::enable_raw_mode()?;
    execute!(io::stdout(), EnterAlternateScreen, tty::Clear(tty::ClearType::All), Hide)
}

/// Best effort: when the terminal is gone there is nobody to tell. The kernel console has no
/// alternate screen, so it is cleared as well.
fn give_back() {
    let clear = tty::Clear(tty::ClearType::All);
    let _ = execute!(io::stdout(), clear, LeaveAlternateScreen, Show);
    let _ = tty::disable_raw_mode();
}

/// The size in columns and rows, from the terminal itself, else from the environment, else usual.
fn size() -> Size {
    let told = tty::window_size().map(|size| Size::new(size.columns, size.rows)).ok();
    let usable = |size: &Size| size.width > 0 && size.height > 0;
    told.filter(usable).or_else(|| size_from_environment().filter(usable)).unwrap_or(USUAL_SIZE)
}

/// `COLUMNS` and `LINES`, which a person can set on a line that tells no size.
fn size_from_environment() -> Option<Size> {
    let number = |name| std::env::var(name).ok()?.parse::<u16>().ok();
    Some(Size::new(number("COLUMNS")?, number("LINES")?))
}

/// Crossterm's backend, except that it never asks the terminal a question: many serial lines do not
/// answer, and the program would wait.
pub(super) struct QuietBackend {
    inner: CrosstermBackend<BufWriter<Stdout>>,
}

impl QuietBackend {
    /// Draws to standard output, a screenful at a time.
    pub(super) fn new() -> Self {
        let writer = BufWriter::with_capacity(1 << 16, io::stdout());
        Self { inner: CrosstermBackend::new(writer) }
    }
}

impl Backend for QuietBackend {
    type Error = io::Error;

    fn draw<'a, I>(&mut self, content: I) -> io::Result<()>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        self.inner.draw(content)
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        self.inner.hide_cursor()
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        self.inner.show_cursor()
    }

    fn get_cursor_position(&mut self) -> io::Result<Position> {
        Ok(Position::ORIGIN)
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        self.inner.set_cursor_position(position)
    }

    fn clear(&mut self) -> io::Result<()> {
        self.inner.clear()
    }

    fn clear_region(&mut self, clear_type: ClearType) -> io::Result<()> {
        self.inner.clear_region(clear_type)
    }

    fn size(&self) -> io::Result<Size> {
        Ok(size())
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        Ok(WindowSize { columns_rows: size(), pixels: Size::ZERO })
    }

    fn flush(&mut self) -> io::Result<()> {
        Backend::flush(&mut self.inner)
    }
}

/// Keys and signals of the process's own terminal.
pub(super) struct TerminalHost {
    assembler: Assembler,
    ready: VecDeque<Key>,
    terminated: Arc<AtomicBool>,
    /// Apart from the others: while a shell runs, Ctrl-C is meant for the shell's programs.
    interrupted: Arc<AtomicBool>,
    told: bool,
}

impl TerminalHost {
    /// Catches the signals that ask the program to end.
    pub(super) fn new() -> Result<Self, TuiError> {
        let terminated = Arc::new(AtomicBool::new(false));
        let interrupted = Arc::new(AtomicBool::new(false));
        // A terminal that is gone shows when it is read; a hang-up that somebody sends may be no more
        // than the question of `restic unlock` whether this process exists.
        let unheard = Arc::default();
        for (signal, flag) in [(SIGTERM, &terminated), (SIGHUP, &unheard), (SIGINT, &interrupted)] {
            signal_hook::flag::register(signal, Arc::clone(flag)).map_err(TuiError::Signals)?;
        }
        Ok(Self {
            assembler: Assembler::default(),
            ready: VecDeque::new(),
            terminated,
            interrupted,
            told: false,
        })
    }

    /// Reads one event if there is one in time; `None` for those without a meaning here.
    fn read(&mut self, patience: Duration) -> Result<Option<Event>, TuiError> {
        let patience = if self.assembler.waits() { ESCAPE_WAIT } else { patience };
        if hung_up(patience) {
            self.terminated.store(true, Ordering::Release);
            return Ok(None);
        }
        if !event::poll(Duration::ZERO).map_err(TuiError::Terminal)? {
            self.ready.extend(self.assembler.flush());
            return Ok(None);
        }
        match event::read().map_err(TuiError::Terminal)? {
            event::Event::Key(key) => {
                if let Ok(key) = Key::try_from(key) {
                    self.ready.extend(self.assembler.push(key));
                }
                Ok(None)
            }
            event::Event::Resize(..) => {
                let size = size();
                Ok(Some(Event::Resize(size.width, size.height)))
            }
            _ => Ok(None),
        }
    }
}

/// Waits for a key, and says whether there is nobody left to press one. Asked before every read,
/// because crossterm goes on reading a terminal that has ended, for ever.
fn hung_up(patience: Duration) -> bool {
    let stdin = io::stdin();
    let mut fds = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
    // A signal ends the wait early; what it means is found out by the callers.
    let _ = poll(&mut fds, PollTimeout::try_from(patience).unwrap_or(PollTimeout::ZERO));
    let ended = PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL;
    fds.first().and_then(PollFd::revents).is_some_and(|found| found.intersects(ended))
}

impl Host for TerminalHost {
    fn next(&mut self, patience: Duration) -> Result<Option<Event>, TuiError> {
        let asked = [&self.terminated, &self.interrupted];
        if !self.told && asked.iter().any(|flag| flag.load(Ordering::Acquire)) {
            self.told = true;
            return Ok(Some(Event::Terminate));
        }
        if self.ready.is_empty()
            && let Some(event) = self.read(patience)?
        {
            return Ok(Some(event));
        }
        while self.assembler.waits() && self.ready.is_empty() {
            if let Some(event) = self.read(patience)? {
                return Ok(Some(event));
            }
        }
        Ok(self.ready.pop_front().map(Event::Key))
    }

    fn shell(&mut self) -> Result<(), TuiError> {
        give_back();
        console::say("Type \"exit\" to return to the menu.");
        let ended = Command::new(SHELL).arg("-i").status();
        self.interrupted.store(false, Ordering::Release);
        take().map_err(TuiError::Terminal)?;
        ended.map(|_| ()).map_err(|cause| TuiError::Program { name: SHELL, cause })
    }

    fn power(&mut self, exit: Exit) -> Result<(), TuiError> {
        let name = if exit == Exit::Reboot { "reboot" } else { "poweroff" };
        let ended = Command::new(name).status();
        ended.map(|_| ()).map_err(|cause| TuiError::Program { name, cause })
    }
}
