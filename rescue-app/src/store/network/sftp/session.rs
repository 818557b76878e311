//! One `ssh` that speaks to one server.

use std::collections::{HashMap, VecDeque};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::packet::{self, Payload, Reply};

/// Requests that are sent before their answers are waited for. Nobody's pipe fills up with so few: of
/// what is asked and what is answered one is always short.
const WINDOW: usize = 64;

/// Bytes read or written by one request; every server takes so many (the draft, section 3).
pub(super) const PIECE: usize = 32 << 10;

/// The most that is read of what `ssh` complains of, bytes.
const COMPLAINT: u64 = 4 << 10;

/// A program that passes on what is said to a server. It is ended with the session.
pub(super) struct Process(Mutex<Child>);

impl Process {
    /// Ends it, and what it started.
    pub(super) fn kill(&self) {
        let mut child = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Once it was waited for its number may be another one's.
        if child.try_wait().is_ok_and(|ended| ended.is_some()) {
            return;
        }
        if let Ok(group) = i32::try_from(child.id()) {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        let _ = child.wait();
    }

    /// What it complained of, once it has ended.
    fn complaint(&self) -> String {
        self.kill();
        let mut child = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut said = Vec::new();
        if let Some(errors) = child.stderr.take() {
            // A connection that `ssh` shares (`ControlPersist`) stays, and holds the pipe open.
            let _ = fcntl(&errors, FcntlArg::F_SETFL(OFlag::O_NONBLOCK));
            let _ = errors.take(COMPLAINT).read_to_end(&mut said);
        }
        String::from_utf8_lossy(&said).trim().to_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A connection, used by one thread at a time.
pub(super) struct Session {
    pub(super) process: Arc<Process>,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    extensions: Vec<Vec<u8>>,
    next: u32,
    /// Answers that came before their turn.
    early: HashMap<u32, Reply>,
}

impl Session {
    /// Starts `words` and greets the server.
    ///
    /// # Errors
    /// What the program complains of, in its own words.
    pub(super) fn start(
        words: &[String],
        register: impl FnOnce(&Arc<Process>),
    ) -> io::Result<Self> {
        let (program, args) = words.split_first().ok_or(io::ErrorKind::NotFound)?;
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Ctrl-C is for this program, which ends what it has begun.
        command.process_group(0);
        let mut child = command.spawn()?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let process = Arc::new(Process(Mutex::new(child)));
        register(&process);
        let (to, from) = pipes.ok_or(io::ErrorKind::BrokenPipe)?;
        let from = BufReader::with_capacity(PIECE * 2, from);
        let mut session =
            Self { process, to, from, extensions: Vec::new(), next: 0, early: HashMap::new() };
        session.greet().map_err(|error| session.complained(error))?;
        Ok(session)
    }

    fn greet(&mut self) -> io::Result<()> {
        self.to.write_all(&packet::packet(packet::INIT, None, &Payload::default().number(3).0))?;
        let (kind, bytes) = packet::receive(&mut self.from)?;
        if kind != packet::VERSION {
            return Err(packet::broken("something else than a greeting"));
        }
        self.extensions = packet::extensions(&bytes);
        Ok(())
    }

    /// Whether the server has one of OpenSSH's extensions.
    pub(super) fn has(&self, extension: &str) -> bool {
        self.extensions.iter().any(|name| name == extension.as_bytes())
    }

    fn complained(&self, error: io::Error) -> io::Error {
        let said = self.process.complaint();
        if said.is_empty() { error } else { io::Error::other(said) }
    }

    fn send(&mut self, kind: u8, payload: &Payload) -> io::Result<u32> {
        let id = self.next;
        self.next = self.next.wrapping_add(1);
        self.to.write_all(&packet::packet(kind, Some(id), &payload.0))?;
        Ok(id)
    }

    /// The answer to a request. OpenSSH's server answers in the order it is asked, others need not.
    fn receive(&mut self, expected: u32) -> io::Result<Reply> {
        while !self.early.contains_key(&expected) && self.early.len() < WINDOW {
            let (kind, bytes) = packet::receive(&mut self.from)?;
            let known = packet::reply(kind, &bytes);
            let (id, reply) = known.ok_or_else(|| packet::broken("what is no answer"))?;
            self.early.insert(id, reply);
        }
        let reply = self.early.remove(&expected);
        reply.ok_or_else(|| packet::broken("answers to what it was not asked"))
    }

    /// Asks, and waits for the answer.
    pub(super) fn ask(&mut self, kind: u8, payload: &Payload) -> io::Result<Reply> {
        let id = self.send(kind, payload).map_err(|error| self.complained(error))?;
        self.receive(id).map_err(|error| self.complained(error))
    }

    /// Asks much, several at a time; `each` is given the answers in order, and says whether to go on.
    pub(super) fn ask_all(
        &mut self,
        requests: impl Iterator<Item = (u8, Payload)>,
        mut each: impl FnMut(Reply) -> bool,
    ) -> io::Result<()> {
        let mut waiting = VecDeque::new();
        let mut requests = requests.fuse();
        let mut goes_on = true;
        loop {
            while goes_on && waiting.len() < WINDOW {
                let Some((kind, payload)) = requests.next() else { break };
                waiting.push_back(self.send(kind, &payload).map_err(|it| self.complained(it))?);
            }
            let Some(id) = waiting.pop_front() else { return Ok(()) };
            let reply = self.receive(id).map_err(|error| self.complained(error))?;
            goes_on &= each(reply);
        }
    }
}
