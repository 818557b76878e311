//! What clients do, step by step. A client is known by the answers it got: its code is run with
//! them from the beginning, and its next step is the one that follows. What follows what is found
//! out once and kept.

use std::collections::HashMap;
use std::sync::Arc;

use super::place::{Answer, Contents, File, Place, Step};
use super::{Identity, Work};
use crate::repository::Repository;
use crate::repository::format::PUBLIC_PASSPHRASE;
use crate::store::{LocalStore, Store};

/// Where a client is: a number of [`Clients`].
pub(super) type Position = usize;

/// What tells a position from others: who it is, what it wrote, and what it did and learned since
/// it last wrote or listed something. What came before led it there and is of no more use to it:
/// the code keeps no answer beyond its next list or write. Whenever two histories come to one
/// position, their next steps are compared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Essence {
    client: usize,
    written: Vec<File>,
    since: Vec<(Step, Answer)>,
}

impl Essence {
    /// After a step more.
    fn after(&self, step: Step, answer: &Answer) -> Self {
        let mut after = self.clone();
        if matches!(step, Step::Write(_) | Step::List(_)) {
            after.since.clear();
        }
        match step {
            Step::Write(file) => after.written.push(file),
            _ => after.since.push((step, answer.clone())),
        }
        after
    }
}

/// What is known of a position.
struct Known {
    /// One way to come there.
    answers: Vec<Answer>,
    essence: Essence,
    next: Step,
}

/// All clients, and all positions that are known.
pub(super) struct Clients {
    repo: Repository,
    pub(super) works: Vec<Work>,
    contents: Contents,
    known: Vec<Known>,
    numbers: HashMap<Essence, Position>,
    after: HashMap<(Position, Answer), Position>,
}

impl Clients {
    /// These clients, and where each begins.
    pub(super) fn new(works: &[Work]) -> (Self, Vec<Position>) {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(LocalStore::new(dir.path().join("images")));
        let repo = Repository::init(store, PUBLIC_PASSPHRASE).unwrap();
        let mut clients = Self {
            repo,
            works: works.to_vec(),
            contents: Contents::default(),
            known: Vec::new(),
            numbers: HashMap::new(),
            after: HashMap::new(),
        };
        let essence = |client| Essence { client, written: Vec::new(), since: Vec::new() };
        let begin = |client| clients.number(essence(client), Vec::new());
        let positions = (0..works.len()).map(begin).collect();
        (clients, positions)
    }

    /// What the client does next.
    pub(super) fn next(&self, position: Position) -> Step {
        self.known[position].next
    }

    /// Where it is after that.
    pub(super) fn after(&mut self, position: Position, answer: Answer) -> Position {
        if let Some(after) = self.after.get(&(position, answer.clone())) {
            return *after;
        }
        let known = &self.known[position];
        let essence = known.essence.after(known.next, &answer);
        let answers = [&known.answers[..], std::slice::from_ref(&answer)].concat();
        let after = self.number(essence, answers);
        self.after.insert((position, answer), after);
        after
    }

    fn number(&mut self, essence: Essence, answers: Vec<Answer>) -> Position {
        let next = self.run(essence.client, &answers);
        if let Some(position) = self.numbers.get(&essence) {
            assert_eq!(next, self.next(*position), "two positions taken for one: {essence:?}");
            return *position;
        }
        self.known.push(Known { answers, essence: essence.clone(), next });
        self.numbers.insert(essence, self.known.len() - 1);
        self.known.len() - 1
    }

    /// Runs the client's code; the step that comes after those that are answered.
    fn run(&self, client: usize, answers: &[Answer]) -> Step {
        let place = Arc::new(Place::new(client, answers, &self.contents));
        let hostname = format!("machine {client}");
        let identity = Identity { hostname, ..self.repo.identity.clone() };
        let repo = self.repo.opened_by(Arc::clone(&place) as Arc<dyn Store>, identity);
        let result = self.works[client].run(&repo, &*place);
        place.next().unwrap_or(Step::End(result.is_ok()))
    }
}
