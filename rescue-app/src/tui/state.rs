//! The whole menu as one value: a stack of pages, folded over events.

use std::collections::HashMap;
use std::time::Duration;

use ratatui::Frame;

use super::key::Key;
use super::look::Look;
use super::machine::{Reply, Request};
use super::model::Facts;
use super::page::{Action, Context, Exit, Page};
use super::screens::{Home, TextWindow};
use super::{verbs, view};
use crate::operation;

/// Names one request while it is running.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(u64);

/// What happens to the menu.
#[derive(Clone, Debug)]
pub enum Event {
    /// A key was pressed.
    Key(Key),
    /// The terminal has this many columns and rows now.
    Resize(u16, u16),
    /// A quarter of a second passed.
    Tick,
    /// A running request moved on.
    Progress(Ticket, operation::Event),
    /// A request was answered.
    Reply(Ticket, Reply),
    /// Something outside of the pages did not work.
    Trouble(String),
    /// The program is asked to end.
    Terminate,
}

/// What the menu wants done; carried out by the loop around it.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Run a request in the background.
    Start(Ticket, Box<Request>),
    /// Stop it at the next safe point.
    Cancel(Ticket),
    /// Let it go on that waits for space.
    Resume(Ticket),
    /// Draw the whole screen afresh.
    Redraw,
    /// Leave the menu.
    Exit(Exit),
}

/// What came of an event.
#[derive(Debug, Default)]
pub struct Update {
    /// To be done, in order.
    pub effects: Vec<Effect>,
    /// Whether the screen may look different now.
    pub redraw: bool,
}

struct Entry {
    id: u64,
    page: Box<dyn Page>,
}

/// The menu.
pub struct State {
    facts: Facts,
    size: (u16, u16),
    now: Duration,
    pages: Vec<Entry>,
    asked: HashMap<Ticket, u64>,
    counter: u64,
}

impl State {
    /// The main menu on a terminal of `size` columns and rows.
    pub fn new(facts: Facts, size: (u16, u16)) -> Self {
        let home = Entry { id: 0, page: Box::new(Home::new(&verbs::MENU, facts.boot_medium)) };
        let now = Duration::ZERO;
        Self { facts, size, now, pages: vec![home], asked: HashMap::new(), counter: 0 }
    }

    /// Folds one event that happened `now`, counted from the start of the menu.
    pub fn on_event(mut self, now: Duration, event: Event) -> (Self, Update) {
        self.now = now;
        let mut update = Update { effects: Vec::new(), redraw: true };
        match event {
            Event::Key(key) => self.on_key(key, &mut update),
            Event::Resize(columns, rows) => self.size = (columns, rows),
            Event::Tick => self.on_tick(&mut update),
            Event::Progress(ticket, event) => self.on_progress(ticket, &event),
            Event::Reply(ticket, reply) => self.on_reply(ticket, reply, &mut update),
            Event::Trouble(text) => {
                let top = self.pages.len().saturating_sub(1);
                let window = TextWindow::message("Not possible", vec![text]);
                self.apply(top, Action::Push(Box::new(window)), &mut update);
            }
            Event::Terminate => {
                let tickets: Vec<Ticket> = self.asked.keys().copied().collect();
                update.effects.extend(tickets.into_iter().map(Effect::Cancel));
                update.effects.push(Effect::Exit(Exit::Quit));
            }
        }
        (self, update)
    }

    /// Draws the menu.
    pub fn draw(&self, frame: &mut Frame<'_>, look: Look) {
        let pages: Vec<&dyn Page> = self.pages.iter().map(|entry| entry.page.as_ref()).collect();
        view::draw(frame, &self.facts, &pages, look, self.now);
    }

    fn context(&self, index: usize) -> Context {
        let window = self.pages.get(index).and_then(|entry| entry.page.window());
        Context { now: self.now, body: view::body(self.size, window) }
    }

    /// Lets the page at `index` act, then does what it wants.
    fn with_page(
        &mut self,
        index: usize,
        update: &mut Update,
        act: impl FnOnce(&mut dyn Page, &Context) -> Action,
    ) {
        let context = self.context(index);
        if let Some(entry) = self.pages.get_mut(index) {
            let action = act(entry.page.as_mut(), &context);
            self.apply(index, action, update);
        }
    }

    fn on_key(&mut self, key: Key, update: &mut Update) {
        let top = self.pages.len().saturating_sub(1);
        let Some(entry) = self.pages.get(top) else { return };
        let takes_text = entry.page.takes_text();
        let is_window = entry.page.window().is_some();
        match key {
            Key::Redraw => update.effects.push(Effect::Redraw),
            Key::Esc => self.with_page(top, update, |page, _| page.on_escape()),
            Key::Help if !is_window => self.open_help(top, update),
            Key::Char('?') if !takes_text && !is_window => self.open_help(top, update),
            key => self.with_page(top, update, |page, context| page.on_key(key, context)),
        }
    }

    fn open_help(&mut self, top: usize, update: &mut Update) {
        let Some(entry) = self.pages.get(top) else { return };
        let help = TextWindow::help(entry.page.help());
        self.apply(top, Action::Push(Box::new(help)), update);
    }

    fn on_tick(&mut self, update: &mut Update) {
        for index in self.visible() {
            self.with_page(index, update, |page, context| page.on_tick(context));
        }
        let busy = self.visible().any(|i| self.pages.get(i).is_some_and(|e| e.page.is_busy()));
        update.redraw = busy || !update.effects.is_empty();
    }

    /// Indices of the pages that can be seen: the topmost full page and the windows above it.
    fn visible(&self) -> std::ops::Range<usize> {
        let full = self.pages.iter().rposition(|entry| entry.page.window().is_none());
        full.unwrap_or(0)..self.pages.len()
    }

    fn position(&self, ticket: Ticket) -> Option<usize> {
        let id = self.asked.get(&ticket)?;
        self.pages.iter().position(|entry| entry.id == *id)
    }

    fn on_progress(&mut self, ticket: Ticket, event: &operation::Event) {
        let Some(index) = self.position(ticket) else { return };
        let context = self.context(index);
        if let Some(entry) = self.pages.get_mut(index) {
            entry.page.on_progress(event, &context);
        }
    }

    fn on_reply(&mut self, ticket: Ticket, reply: Reply, update: &mut Update) {
        let index = self.position(ticket);
        self.asked.remove(&ticket);
        if let Some(index) = index {
            self.with_page(index, update, |page, context| page.on_reply(reply, context));
        }
    }

    fn apply(&mut self, index: usize, action: Action, update: &mut Update) {
        match action {
            Action::None => {}
            Action::Push(page) => {
                self.truncate(index + 1, update);
                self.push(page, update);
            }
            Action::Replace(page) => {
                self.truncate(index, update);
                self.push(page, update);
            }
            Action::Back => self.back_to(index.saturating_sub(1), update),
            Action::Home => self.back_to(0, update),
            Action::Ask(request) => self.ask(index, request, update),
            Action::Cancel => self.tell(index, Effect::Cancel, update),
            Action::Resume => self.tell(index, Effect::Resume, update),
            Action::Answer(yes) => {
                self.truncate(index, update);
                let below = index.saturating_sub(1);
                self.with_page(below, update, |page, _| page.on_answer(yes));
            }
            Action::Leave(exit) => update.effects.push(Effect::Exit(exit)),
        }
    }

    fn push(&mut self, page: Box<dyn Page>, update: &mut Update) {
        self.counter += 1;
        self.pages.push(Entry { id: self.counter, page });
        let top = self.pages.len() - 1;
        self.with_page(top, update, |page, _| page.on_open());
    }

    /// Leaves the pages above `index`, which comes into view unless only a window was before it.
    fn back_to(&mut self, index: usize, update: &mut Update) {
        let was_hidden =
            self.pages.iter().skip(index + 1).any(|entry| entry.page.window().is_none());
        self.truncate(index + 1, update);
        if was_hidden {
            self.with_page(index, update, |page, _| page.on_open());
        }
    }

    /// Drops pages until `count` are left, and stops what they asked for. The first page stays.
    fn truncate(&mut self, count: usize, update: &mut Update) {
        while self.pages.len() > count.max(1) {
            self.tell(self.pages.len() - 1, Effect::Cancel, update);
            if let Some(entry) = self.pages.pop() {
                self.asked.retain(|_, id| *id != entry.id);
            }
        }
    }

    fn ask(&mut self, index: usize, request: Box<Request>, update: &mut Update) {
        let Some(entry) = self.pages.get(index) else { return };
        self.counter += 1;
        let ticket = Ticket(self.counter);
        self.asked.insert(ticket, entry.id);
        update.effects.push(Effect::Start(ticket, request));
    }

    /// Has something done to all that the page at `index` asked for.
    fn tell(&mut self, index: usize, what: fn(Ticket) -> Effect, update: &mut Update) {
        let Some(id) = self.pages.get(index).map(|entry| entry.id) else { return };
        let tickets = self.asked.iter().filter(|(_, page)| **page == id);
        update.effects.extend(tickets.map(|(ticket, _)| what(*ticket)));
    }
}
