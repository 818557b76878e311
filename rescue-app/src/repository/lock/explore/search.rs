//! The search through all states that any order of steps leads to.

use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use super::Work;
use super::clients::{Clients, Position};
use super::place::{Answer, File, Step};
use crate::store::FileKind;

/// The steps taken in an order that loses data.
pub(super) type Trace = Vec<String>;

/// Everything that what follows depends on.
#[derive(Clone, Hash)]
struct State {
    /// In order, with whether half an hour has passed since, which is looked at of locks alone.
    files: Vec<(File, bool)>,
    positions: Vec<Position>,
    /// Who removed the pack that is not there.
    remover: Option<usize>,
    /// For each client a list of locks that it will take for the present one, if lists come late.
    remembered: Vec<Option<Vec<File>>>,
}

impl State {
    fn has(&self, kind: FileKind) -> bool {
        self.files.iter().any(|(file, _)| file.kind == kind)
    }

    fn find(&mut self, file: File) -> Option<usize> {
        self.files.iter().position(|(there, _)| *there == file)
    }

    fn list(&self, kind: FileKind) -> Vec<File> {
        self.files.iter().map(|(file, _)| *file).filter(|file| file.kind == kind).collect()
    }
}

/// One thing that can happen next.
#[derive(Clone, Copy, Debug)]
enum Next {
    /// A client takes its step; a list comes in the order of this number.
    Step(usize, usize),
    /// Half an hour passes.
    Sleep,
}

/// A state, what can still be tried in it, and what is being tried.
struct Branch {
    state: State,
    untried: Vec<Next>,
    tried: String,
}

/// Runs clients in all orders.
pub(super) struct Explorer {
    clients: Clients,
    start: Vec<Position>,
    /// Whether time passes. There is no limit to how often it does: a lock is old or it is not.
    pub(super) sleeps: bool,
    pub(super) lists_late: bool,
    /// Sums of the states that were seen: with some million of them, by far too few for two that
    /// share one by chance.
    pub(super) seen: HashSet<u64>,
}

impl Explorer {
    pub(super) fn new(works: &[Work], sleeps: bool) -> Self {
        let (clients, start) = Clients::new(works);
        Self { clients, start, sleeps, lists_late: false, seen: HashSet::new() }
    }

    /// The first order in which an image lacks its data though all went well for who removed them.
    pub(super) fn find_loss(&mut self) -> Option<Trace> {
        let start = State {
            files: vec![(File::PACK, false)],
            positions: self.start.clone(),
            remover: None,
            remembered: vec![None; self.start.len()],
        };
        let mut path = vec![self.branch(start)];
        while let Some(branch) = path.last_mut() {
            let Some(next) = branch.untried.pop() else {
                path.pop();
                continue;
            };
            branch.tried = self.describe(&branch.state, next);
            let state = self.after(&branch.state, next);
            if self.is_loss(&state) {
                return Some(path.into_iter().map(|branch| branch.tried).collect());
            }
            if self.seen.insert(BuildHasherDefault::<DefaultHasher>::default().hash_one(&state)) {
                path.push(self.branch(state));
            }
        }
        None
    }

    fn branch(&self, state: State) -> Branch {
        Branch { untried: self.nexts(&state), state, tried: String::new() }
    }

    fn is_loss(&self, state: &State) -> bool {
        let mut steps = state.positions.iter().map(|position| self.clients.next(*position));
        let is_over = steps.all(|step| matches!(step, Step::End(_)));
        let ended_well =
            |client: usize| self.clients.next(state.positions[client]) == Step::End(true);
        is_over && state.has(FileKind::Snapshot) && state.remover.is_some_and(ended_well)
    }

    fn nexts(&self, state: &State) -> Vec<Next> {
        let mut nexts = Vec::new();
        for (client, position) in state.positions.iter().enumerate() {
            let orders = match self.clients.next(*position) {
                Step::End(_) => 0,
                Step::List(kind) => orders(state.list(kind).len()),
                _ => 1,
            };
            nexts.extend((0..orders).map(|order| Next::Step(client, order)));
        }
        let is_new = |(file, old): &(File, bool)| file.kind == FileKind::Lock && !old;
        if self.sleeps && !nexts.is_empty() && state.files.iter().any(is_new) {
            nexts.push(Next::Sleep);
        }
        nexts
    }

    fn describe(&self, state: &State, next: Next) -> String {
        match next {
            Next::Step(client, _) => {
                format!("{client}: {:?}", self.clients.next(state.positions[client]))
            }
            Next::Sleep => "half an hour passes".to_owned(),
        }
    }

    fn after(&mut self, state: &State, next: Next) -> State {
        let mut state = state.clone();
        match next {
            Next::Step(client, order) => {
                let position = state.positions[client];
                let step = self.clients.next(position);
                let answer = self.take(&mut state, client, step, order);
                state.positions[client] = self.clients.after(position, answer);
            }
            Next::Sleep => {
                for (file, old) in &mut state.files {
                    *old = file.kind == FileKind::Lock;
                }
            }
        }
        state
    }

    /// Does a client's step in the place.
    fn take(&self, state: &mut State, client: usize, step: Step, order: usize) -> Answer {
        match step {
            Step::End(_) => Answer::Done,
            Step::List(kind) => Answer::Files(self.list(state, client, kind, order)),
            Step::Write(file) => {
                state.files.retain(|(there, _)| *there != file);
                state.files.push((file, false));
                state.files.sort_unstable();
                if file == File::PACK {
                    state.remover = None;
                }
                Answer::Done
            }
            Step::Read(file) => state.find(file).map_or(Answer::NotFound, |_| Answer::Done),
            Step::Age(file) => {
                let found = state.find(file);
                found.map_or(Answer::NotFound, |at| Answer::Old(state.files[at].1))
            }
            Step::Remove(file) => {
                let Some(at) = state.find(file) else { return Answer::NotFound };
                state.files.remove(at);
                if file == File::PACK {
                    state.remover = Some(client);
                }
                Answer::Done
            }
        }
    }

    fn list(&self, state: &mut State, client: usize, kind: FileKind, order: usize) -> Vec<File> {
        let mut files = state.list(kind);
        if self.lists_late && kind == FileKind::Lock {
            match state.remembered[client].take() {
                // One's own files show.
                Some(before) => files.retain(|file| file.author == client || before.contains(file)),
                None => state.remembered[client] = Some(files.clone()),
            }
        }
        arrange(&mut files, order);
        files
    }
}

/// In how many orders so many files can be listed.
fn orders(files: usize) -> usize {
    (1..=files).product()
}

/// Puts files into the order of a number below [`orders`].
fn arrange(files: &mut [File], mut order: usize) {
    for at in 1..files.len() {
        files.swap(at, order % (at + 1));
        order /= at + 1;
    }
}
