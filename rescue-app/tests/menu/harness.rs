//! Drives the menu in memory: keys in, screens out, a machine with fixed disks behind it.

use std::time::Duration;

use lifeboat::operation::{Cancel, Control, Level, Notice};
use lifeboat::tui::Exit;
use lifeboat::tui::key::Key;
use lifeboat::tui::look::{Look, is_console_glyph};
use lifeboat::tui::machine::{Machine, Reply, Request};
use lifeboat::tui::model::{CaptureOrder, Failure, Job, Outcome, StickOrder};
use lifeboat::tui::state::{Effect, Event, State, Ticket};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;

use crate::fake::Fake;

/// A warning of the running job.
pub fn warning_event(text: &str) -> lifeboat::operation::Event {
    lifeboat::operation::Event::Notice(Notice { level: Level::Warning, text: text.into() })
}

/// Colours as on a terminal that has them.
pub const COLOUR: Look = Look { colour: true, console_font: false };

/// The menu on a screen in memory. Requests are answered at once, except jobs: those wait for
/// [`Menu::finish`].
pub struct Menu {
    pub machine: Fake,
    pub exits: Vec<Exit>,
    pub cancelled: Vec<Ticket>,
    pub resumed: Vec<Ticket>,
    pub jobs: Vec<(Ticket, Request)>,
    state: Option<State>,
    terminal: Terminal<TestBackend>,
    look: Look,
    now: Duration,
}

impl Menu {
    pub fn new(machine: Fake) -> Self {
        Self::sized(machine, 80, 25)
    }

    /// A menu in which these keys were pressed.
    pub fn at(machine: Fake, keys: &[Key]) -> Self {
        let mut menu = Self::new(machine);
        menu.keys(keys);
        menu
    }

    pub fn sized(machine: Fake, columns: u16, rows: u16) -> Self {
        let state = State::new(machine.facts(), (columns, rows));
        Self {
            machine,
            exits: Vec::new(),
            cancelled: Vec::new(),
            resumed: Vec::new(),
            jobs: Vec::new(),
            state: Some(state),
            terminal: Terminal::new(TestBackend::new(columns, rows)).unwrap(),
            look: COLOUR,
            now: Duration::ZERO,
        }
    }

    pub fn with_look(mut self, look: Look) -> Self {
        self.look = look;
        self
    }

    pub fn resize(&mut self, columns: u16, rows: u16) {
        self.terminal.backend_mut().resize(columns, rows);
        self.event(Event::Resize(columns, rows));
    }

    /// Folds an event and does what comes of it.
    pub fn event(&mut self, event: Event) {
        let (state, update) = self.state.take().unwrap().on_event(self.now, event);
        self.state = Some(state);
        for effect in update.effects {
            match effect {
                Effect::Start(ticket, request) => match *request {
                    job @ Request::Run(_) => self.jobs.push((ticket, job)),
                    request => self.answer(ticket, &request),
                },
                Effect::Cancel(ticket) => self.cancelled.push(ticket),
                Effect::Resume(ticket) => self.resumed.push(ticket),
                Effect::Redraw => {}
                Effect::Exit(exit) => self.exits.push(exit),
            }
        }
    }

    /// What the last job, a capture, was asked for.
    pub fn capture_order(&self) -> &CaptureOrder {
        match &self.jobs.last().expect("no job was started").1 {
            Request::Run(Job::Capture(order)) => order,
            other => panic!("{other:?}"),
        }
    }

    /// What the last job, a stick, was asked for.
    pub fn stick_order(&self) -> &StickOrder {
        match &self.jobs.last().expect("no job was started").1 {
            Request::Run(Job::Stick(order)) => order,
            other => panic!("{other:?}"),
        }
    }

    fn answer(&mut self, ticket: Ticket, request: &Request) {
        let cancel = Cancel::new();
        let control = Control { sink: &|_| {}, cancel: &cancel, resume: None };
        let reply = request.run(&self.machine, control);
        self.event(Event::Reply(ticket, reply));
    }

    pub fn key(&mut self, key: Key) -> &mut Self {
        self.event(Event::Key(key));
        self
    }

    pub fn keys(&mut self, keys: &[Key]) -> &mut Self {
        for key in keys {
            self.key(*key);
        }
        self
    }

    pub fn typed(&mut self, text: &str) -> &mut Self {
        for c in text.chars() {
            self.key(Key::Char(c));
        }
        self
    }

    /// Lets time pass, with the ticks that come with it.
    pub fn wait(&mut self, span: Duration) -> &mut Self {
        let end = self.now + span;
        while self.now < end {
            self.now += Duration::from_millis(250);
            self.event(Event::Tick);
        }
        self
    }

    /// An event of the running job.
    pub fn progress(&mut self, event: lifeboat::operation::Event) -> &mut Self {
        let ticket = self.jobs.last().expect("no job is running").0;
        self.event(Event::Progress(ticket, event));
        self
    }

    /// Ends the running job.
    pub fn finish(&mut self, result: Result<Outcome, Failure>) -> &mut Self {
        let (ticket, _) = self.jobs.pop().expect("no job is running");
        self.event(Event::Reply(ticket, Reply::Finished(result)));
        self
    }

    /// The screen as text. Checks on the way that it keeps to the console's glyphs and to the
    /// sixteen ANSI colours.
    pub fn screen(&mut self) -> String {
        let state = self.state.as_ref().unwrap();
        let look = self.look;
        self.terminal.draw(|frame| state.draw(frame, look)).unwrap();
        let buffer = self.terminal.backend().buffer();
        for cell in buffer.content() {
            assert!(
                cell.symbol().chars().all(is_console_glyph),
                "the kernel console cannot draw {:?}",
                cell.symbol()
            );
            for colour in [cell.fg, cell.bg] {
                assert!(!matches!(colour, Color::Rgb(..) | Color::Indexed(_)), "{colour:?}");
                assert!(look.colour || colour == Color::Reset, "{colour:?} without colours");
            }
        }
        let width = usize::from(buffer.area.width);
        buffer
            .content()
            .chunks(width)
            .map(|row| {
                let line: String = row.iter().map(|cell| cell.symbol()).collect();
                format!("{}\n", line.trim_end())
            })
            .collect()
    }

    /// The text of the rows drawn in reverse: what a person without colours sees as selected.
    pub fn reversed(&mut self) -> Vec<String> {
        self.screen();
        let buffer = self.terminal.backend().buffer();
        let width = usize::from(buffer.area.width);
        let reversed = |cell: &ratatui::buffer::Cell| {
            cell.modifier.contains(ratatui::style::Modifier::REVERSED)
        };
        buffer
            .content()
            .chunks(width)
            .filter_map(|row| {
                let text: String =
                    row.iter().filter(|cell| reversed(cell)).map(|cell| cell.symbol()).collect();
                (!text.is_empty()).then(|| text.trim().to_owned())
            })
            .collect()
    }
}
