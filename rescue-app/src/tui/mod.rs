//! The text menu: what `lifeboat` shows when it is started without arguments.
//!
//! The menu is one value, [`state::State`]: a stack of pages, folded over [`state::Event`]s by the
//! pure function `State::on_event`, which returns effects to be carried out. The loop in [`app`]
//! is generic over ratatui's `Backend`, so that the whole menu runs in memory in tests.
//!
//! ```text
//!  terminal ──keys──► app ──Event──► state ──► pages (screens/), drawn with widgets/
//!                      │  ◄─Effect──┘
//!                      └─Request─► runner ──► machine ──► crate::operation (live.rs)
//! ```
//!
//! * `model/` is what the menu knows of the machine: plain values without any disk logic.
//! * `machine.rs` is the only way to the layers below, all of it in background threads.
//! * `look.rs` keeps to the sixteen ANSI colours and the glyphs the kernel console has.

pub mod app;
pub mod key;
mod live;
pub mod look;
pub mod machine;
pub mod model;
mod page;
mod runner;
mod screens;
pub mod state;
mod terminal;
mod verbs;
mod view;
mod widgets;

pub use page::Exit;

use std::error::Error;
use std::io;

use std::io::IsTerminal;
use std::sync::Arc;

/// Shows the menu on this terminal until the person leaves it.
///
/// # Errors
/// When standard input or output is no terminal, or the terminal goes away.
pub fn run() -> Result<(), TuiError> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Err(TuiError::NoTerminal);
    }
    let mut host = terminal::TerminalHost::new()?;
    let _screen = terminal::Screen::enter()?;
    let mut screen =
        ratatui::Terminal::new(terminal::QuietBackend::new()).map_err(TuiError::Terminal)?;
    let machine = Arc::new(live::LiveMachine::default());
    app::run_menu(&mut screen, machine, &mut host, look::Look::from_environment())
}

/// Why the menu ended before it was left.
#[derive(Debug, thiserror::Error)]
pub enum TuiError {
    /// The terminal cannot be read or written, or is no terminal.
    #[error("using the terminal: {0}")]
    Terminal(#[source] io::Error),
    /// The screen could not be drawn.
    #[error("drawing the menu: {0}")]
    Screen(#[source] Box<dyn Error + Send + Sync>),
    /// Signals could not be caught.
    #[error("preparing for signals: {0}")]
    Signals(#[source] io::Error),
    /// A program the menu offers could not be started.
    #[error("starting {name}: {cause}")]
    Program {
        /// Its path.
        name: &'static str,
        /// What the kernel said.
        #[source]
        cause: io::Error,
    },
    /// Standard input or output is a file or a pipe.
    #[error("the menu needs a terminal; use the commands instead, see \"lifeboat --help\"")]
    NoTerminal,
}

impl TuiError {
    /// Wraps the error of any screen.
    fn screen(error: impl Error + Send + Sync + 'static) -> Self {
        Self::Screen(Box::new(error))
    }
}
