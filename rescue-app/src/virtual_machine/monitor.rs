//! QEMU's control connection (QMP, `docs/interop/qmp-spec.rst`): JSON, a line each way.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long QEMU may take for an answer.
const PATIENCE: Duration = Duration::from_secs(60);
const INTERVAL: Duration = Duration::from_millis(50);

/// A machine's monitor.
pub(super) struct Monitor {
    stream: BufReader<UnixStream>,
    /// Events that came in between.
    events: Vec<String>,
}

impl Monitor {
    /// Waits until a machine that was told of the socket connects to it.
    pub(super) fn accept(listener: &UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let limit = Instant::now() + PATIENCE;
        let stream = loop {
            match listener.accept() {
                Ok((stream, _)) => break stream,
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                Err(error) if Instant::now() > limit => return Err(error),
                Err(_) => thread::sleep(INTERVAL),
            }
        };
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut monitor = Self { stream: BufReader::new(stream), events: Vec::new() };
        monitor.receive()?;
        monitor.execute("qmp_capabilities", &json!({}))?;
        Ok(monitor)
    }

    /// Runs a command.
    pub(super) fn execute(&mut self, command: &str, arguments: &Value) -> io::Result<Value> {
        let request = json!({ "execute": command, "arguments": arguments });
        writeln!(self.stream.get_mut(), "{request}")?;
        loop {
            let mut answer = self.receive()?;
            if let Some(error) = answer.get("error") {
                return Err(io::Error::other(format!("QEMU refuses {command}: {error}")));
            }
            if let Some(result) = answer.get_mut("return") {
                return Ok(result.take());
            }
            if let Some(event) = answer.get("event").and_then(Value::as_str) {
                self.events.push(event.to_owned());
            }
        }
    }

    /// Whether this event came.
    pub(super) fn has_seen(&self, event: &str) -> bool {
        self.events.iter().any(|seen| seen == event)
    }

    /// Puts what the screen shows into a file, as a portable pixmap.
    pub(super) fn screen(&mut self, file: &Path) -> io::Result<()> {
        self.execute("screendump", &json!({ "filename": file.to_string_lossy() })).map(drop)
    }

    /// Puts bytes of the machine's memory into a file.
    pub(super) fn memory(&mut self, at: u64, len: u64, file: &Path) -> io::Result<()> {
        let filename = file.to_string_lossy();
        let arguments = json!({ "val": at, "size": len, "filename": filename });
        self.execute("pmemsave", &arguments).map(drop)
    }

    fn receive(&mut self) -> io::Result<Value> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        serde_json::from_str(&line).map_err(io::Error::other)
    }
}
