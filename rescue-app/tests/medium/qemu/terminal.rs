//! The terminal at the other end of a virtual machine's serial line: 80 by 25, answers when asked
//! where its cursor is, and remembers everything it was sent.

use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const ROWS: NonZeroU16 = NonZeroU16::new(25).unwrap();
const COLUMNS: NonZeroU16 = NonZeroU16::new(80).unwrap();

/// "Device status report: cursor position", as programs ask it (ECMA-48, 8.3.35).
const WHERE_IS_THE_CURSOR: &[u8] = b"\x1b[6n";

struct State {
    parser: vt100::Parser,
    transcript: Vec<u8>,
    open: bool,
}

pub struct Terminal {
    line: UnixStream,
    state: Arc<Mutex<State>>,
}

impl Terminal {
    pub fn new(line: UnixStream) -> Self {
        let state = Arc::new(Mutex::new(State {
            parser: vt100::Parser::new(ROWS, COLUMNS, 0),
            transcript: Vec::new(),
            open: true,
        }));
        let (reader, shared) = (line.try_clone().unwrap(), Arc::clone(&state));
        thread::spawn(move || receive(reader, &shared));
        Self { line, state }
    }

    pub fn send(&self, bytes: &[u8]) {
        (&self.line).write_all(bytes).expect("the virtual machine has gone away");
    }

    /// What is on the screen, a line per row.
    pub fn screen(&self) -> String {
        self.state.lock().unwrap().parser.screen().contents()
    }

    /// Everything that was ever sent, from byte `from`.
    pub fn transcript(&self, from: usize) -> String {
        let state = self.state.lock().unwrap();
        String::from_utf8_lossy(&state.transcript[from.min(state.transcript.len())..]).into_owned()
    }

    pub fn transcript_len(&self) -> usize {
        self.state.lock().unwrap().transcript.len()
    }

    /// Waits until `found` gives something; panics with the screen when it does not in time.
    pub fn wait<T>(&self, what: &str, timeout: Duration, found: impl Fn(&Self) -> Option<T>) -> T {
        let limit = Instant::now() + timeout;
        loop {
            if let Some(value) = found(self) {
                return value;
            }
            let open = self.state.lock().unwrap().open;
            if !open || Instant::now() >= limit {
                let why = if open { "did not come in time" } else { "cannot come: it has ended" };
                panic!("{what} {why}; the screen:\n{}", self.screen());
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
}

fn receive(mut line: UnixStream, state: &Mutex<State>) {
    let mut buffer = [0; 4096];
    while let Ok(len @ 1..) = line.read(&mut buffer) {
        let answers = state.lock().unwrap().take_in(&buffer[..len]);
        if line.write_all(answers.as_bytes()).is_err() {
            break;
        }
    }
    state.lock().unwrap().open = false;
}

impl State {
    /// Takes what was sent; gives what the terminal answers.
    fn take_in(&mut self, bytes: &[u8]) -> String {
        let mut answers = String::new();
        for &byte in bytes {
            self.parser.process(&[byte]);
            self.transcript.push(byte);
            if self.transcript.ends_with(WHERE_IS_THE_CURSOR) {
                let (row, column) = self.parser.screen().cursor_position();
                answers += &format!("\x1b[{};{}R", row + 1, column + 1);
            }
        }
        answers
    }
}
