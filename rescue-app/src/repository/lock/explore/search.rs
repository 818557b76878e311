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
    /// In order: what is the same but for the order of writing is one state.
    files: Vec<File>,
    positions: Vec<Position>,
    /// Who removed the pack that is not there.
    remover: Option<usize>,
    /// For each client a list of locks that it will take for the present one, if lists come late.
    remembered: Vec<Option<Vec<File>>>,
}

impl State {
    fn has(&self, kind: FileKind) -> bool {
        self.files.iter().any(|file| file.kind == kind)
    }

    fn list(&self, kind: FileKind) -> Vec<File> {
        self.files.iter().copied().filter(|file| file.kind == kind).collect()
    }

    fn remove(&mut self, file: File) -> bool {
        let before = self.files.len();
        self.files.retain(|there| *there != file);
        self.files.len() < before
    }
}

/// One thing that can happen next: a client takes its step, and this one of several things comes
/// of it.
#[derive(Clone, Copy, Debug)]
struct Next {
    client: usize,
    outcome: usize,
}

/// A state, what can still be tried in it, and what is being tried.
struct Branch {
    state: State,
    untried: Vec<Next>,
    tried: Option<Next>,
}

/// Runs clients in all orders.
pub(super) struct Explorer {
    clients: Clients,
    start: Vec<Position>,
    /// Whether time passes: then whoever looks may find a lock old, whenever that is. This holds
    /// every sleep, of any length, of anyone, and clocks that disagree.
    sleeps: bool,
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
            files: vec![File::PACK],
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
            branch.tried = Some(next);
            let state = self.after(&branch.state, next);
            if self.is_loss(&state) {
                return Some(path.iter().filter_map(|branch| self.describe(branch)).collect());
            }
            if self.seen.insert(BuildHasherDefault::<DefaultHasher>::default().hash_one(&state)) {
                path.push(self.branch(state));
            }
        }
        None
    }

    fn branch(&self, state: State) -> Branch {
        Branch { untried: self.nexts(&state), state, tried: None }
    }

    fn is_loss(&self, state: &State) -> bool {
        let mut steps = state.positions.iter().map(|position| self.clients.next(*position));
        let is_over = steps.all(|step| matches!(step, Step::End(_)));
        let ended_well =
            |client: usize| self.clients.next(state.positions[client]) == Step::End(true);
        is_over && state.has(FileKind::Snapshot) && state.remover.is_some_and(ended_well)
    }

    fn nexts(&self, state: &State) -> Vec<Next> {
        if self.is_settled(state) {
            return Vec::new();
        }
        let steps = state.positions.iter().map(|position| self.clients.next(*position));
        let of = |(client, step): (usize, Step)| {
            (0..self.outcomes(state, step)).map(move |outcome| Next { client, outcome })
        };
        let vain = steps.clone().enumerate().find(|(_, step)| is_in_vain(state, *step));
        match vain {
            Some(vain) => of(vain).collect(),
            None => steps.enumerate().flat_map(of).collect(),
        }
    }

    /// Whether nothing can be lost any more: there is no image and nobody to make one, or nobody
    /// removed the pack or is going to.
    fn is_settled(&self, state: &State) -> bool {
        let works = |is_it: fn(&Work) -> bool| {
            let mut clients = self.clients.works.iter().zip(&state.positions);
            clients.any(|(work, at)| is_it(work) && !matches!(self.clients.next(*at), Step::End(_)))
        };
        let has_image =
            state.has(FileKind::Snapshot) || works(|work| matches!(work, Work::Capture(_)));
        let is_pruned = !state.has(FileKind::Pack) || works(|work| matches!(work, Work::Prune(_)));
        !(has_image && is_pruned)
    }

    /// How many things can come of a step.
    fn outcomes(&self, state: &State, step: Step) -> usize {
        match step {
            Step::End(_) => 0,
            Step::List(kind) => (1..=state.list(kind).len()).product(),
            Step::Age(_) if self.sleeps => 2,
            _ => 1,
        }
    }

    fn describe(&self, branch: &Branch) -> Option<String> {
        let Next { client, outcome } = branch.tried?;
        let step = self.clients.next(branch.state.positions[client]);
        Some(format!("{client}: {step:?}, outcome {outcome}"))
    }

    fn after(&mut self, state: &State, Next { client, outcome }: Next) -> State {
        let mut state = state.clone();
        let position = state.positions[client];
        let answer = self.take(&mut state, client, self.clients.next(position), outcome);
        state.positions[client] = self.clients.after(position, answer);
        state
    }

    /// Does a client's step in the place.
    fn take(&self, state: &mut State, client: usize, step: Step, outcome: usize) -> Answer {
        let is_there = match step {
            Step::End(_) => true,
            Step::List(kind) => return Answer::Files(self.list(state, client, kind, outcome)),
            Step::Write(file) => {
                state.remove(file);
                state.files.push(file);
                state.files.sort_unstable();
                true
            }
            Step::Read(file) => state.files.contains(&file),
            Step::Age(file) if state.files.contains(&file) => return Answer::Old(outcome == 1),
            Step::Age(_) => false,
            Step::Remove(file) => state.remove(file),
        };
        match step {
            Step::Write(File::PACK) => state.remover = None,
            Step::Remove(File::PACK) if is_there => state.remover = Some(client),
            _ => {}
        }
        if is_there { Answer::Done } else { Answer::NotFound }
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

/// Whether a client goes for a file that is not there, nor ever will be again: no name is used
/// twice. What others do makes no difference to that, nor that to them, so it needs to be tried
/// only before everything else. It never goes on so for ever: after a vain look comes a new list.
fn is_in_vain(state: &State, step: Step) -> bool {
    let (Step::Read(file) | Step::Age(file) | Step::Remove(file)) = step else { return false };
    file != File::PACK && !state.files.contains(&file)
}

/// Puts files into the order of a number below the factorial of theirs.
fn arrange(files: &mut [File], mut order: usize) {
    for at in 1..files.len() {
        files.swap(at, order % (at + 1));
        order /= at + 1;
    }
}
