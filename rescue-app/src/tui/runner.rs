//! Runs requests in the background and sends back what comes of them.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread;

use super::machine::{Machine, Reply, Request};
use super::model::Failure;
use super::state::{Event, Ticket};
use crate::operation::{Cancel, Control, Resume};

/// How a request under way is spoken to.
#[derive(Default)]
struct Wishes {
    cancel: Cancel,
    resume: Resume,
}

/// The requests under way, one thread each.
pub(super) struct Runner {
    machine: Arc<dyn Machine>,
    events: Sender<Event>,
    running: HashMap<Ticket, Arc<Wishes>>,
}

impl Runner {
    /// A runner that reports to `events`.
    pub(super) fn new(machine: Arc<dyn Machine>, events: Sender<Event>) -> Self {
        Self { machine, events, running: HashMap::new() }
    }

    /// Starts a request.
    pub(super) fn start(&mut self, ticket: Ticket, request: Box<Request>) {
        let wishes = Arc::new(Wishes::default());
        self.running.insert(ticket, Arc::clone(&wishes));
        let machine = Arc::clone(&self.machine);
        let events = self.events.clone();
        let failed = request.clone();
        let spawned = thread::Builder::new().name("request".into()).spawn(move || {
            let reply = answer(machine.as_ref(), &request, ticket, &events, &wishes);
            // The menu may be gone already: nobody is left to tell.
            let _ = events.send(Event::Reply(ticket, reply));
        });
        if let Err(error) = spawned {
            let failure =
                Failure { text: format!("starting a thread: {error}"), ..Failure::default() };
            let _ = self.events.send(Event::Reply(ticket, failed.failed(failure)));
        }
    }

    /// Asks a request to stop at its next safe point.
    pub(super) fn cancel(&self, ticket: Ticket) {
        if let Some(wishes) = self.running.get(&ticket) {
            wishes.cancel.request();
        }
    }

    /// Asks a request that waits for space to try again.
    pub(super) fn resume(&self, ticket: Ticket) {
        if let Some(wishes) = self.running.get(&ticket) {
            wishes.resume.request();
        }
    }

    /// A request was answered.
    pub(super) fn finished(&mut self, ticket: Ticket) {
        self.running.remove(&ticket);
    }

    /// Whether a request is still running.
    pub(super) fn is_working(&self) -> bool {
        !self.running.is_empty()
    }
}

fn answer(
    machine: &dyn Machine,
    request: &Request,
    ticket: Ticket,
    events: &Sender<Event>,
    wishes: &Wishes,
) -> Reply {
    let sender = events.clone();
    let sink = move |event| {
        let _ = sender.send(Event::Progress(ticket, event));
    };
    let control = Control { sink: &sink, cancel: &wishes.cancel, resume: Some(&wishes.resume) };
    let run = AssertUnwindSafe(|| request.run(machine, control));
    catch_unwind(run).unwrap_or_else(|payload| {
        let cause = payload
            .downcast_ref::<&str>()
            .map(ToString::to_string)
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        request.failed(Failure {
            text: format!("internal error: {cause}"),
            next_step: Some("Please report this with the log.".into()),
            ..Failure::default()
        })
    })
}
