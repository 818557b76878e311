//! Programs of others that are run.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use crate::console;
use crate::progress::{Cancel, Cancelled};

/// Where programs are that only root needs, and that are not in everybody's `PATH`.
const SYSTEM_FOLDERS: [&str; 3] = ["/usr/sbin", "/sbin", "/usr/bin"];

/// How often a program that runs is looked after.
const INTERVAL: Duration = Duration::from_millis(20);

/// Why a program did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// It is not there.
    #[error("{0} is not installed")]
    Missing(String),
    /// It did not start, or failed.
    #[error("running {name}: {source}")]
    Failed {
        /// Its name.
        name: String,
        /// The end of what it said.
        source: io::Error,
    },
    /// The person asked to stop: it was ended.
    #[error("stopped on request")]
    Cancelled,
}

impl From<Cancelled> for ToolError {
    fn from(Cancelled: Cancelled) -> Self {
        Self::Cancelled
    }
}

/// The program called `name`, if it is installed.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = SYSTEM_FOLDERS.iter().map(PathBuf::from);
    let mut places = std::env::split_paths(&path).chain(system).map(|folder| folder.join(name));
    places.find(|program| program.is_file())
}

/// A command of the program called `name`.
///
/// # Errors
/// [`ToolError::Missing`].
pub fn command(name: &str) -> Result<Command, ToolError> {
    find(name).map(Command::new).ok_or_else(|| ToolError::Missing(name.to_owned()))
}

/// A new empty folder that nobody else looks into, for what programs and drivers show and leave; whoever asks for
/// it removes it.
///
/// # Errors
/// The system's answer.
pub fn temporary_folder() -> io::Result<PathBuf> {
    Ok(nix::unistd::mkdtemp(&std::env::temp_dir().join("lifeboat-XXXXXX"))?)
}

/// Runs a program that asks nothing; what it writes to its standard output. `succeeds` tells by its exit status.
///
/// # Errors
/// When it does not start, or fails: the end of what it says is the cause.
pub fn run(command: Command, succeeds: impl Fn(i32) -> bool) -> Result<String, ToolError> {
    run_until(command, succeeds, &Cancel::new())
}

/// [`run`], for a program that takes its time: it is killed when a person asks to stop.
///
/// # Errors
/// Those of [`run`], and [`ToolError::Cancelled`].
pub fn run_until(
    mut command: Command,
    succeeds: impl Fn(i32) -> bool,
    cancel: &Cancel,
) -> Result<String, ToolError> {
    let name = Path::new(command.get_program()).file_name().unwrap_or_default().to_owned();
    let failed = |source| ToolError::Failed { name: console::path(&name), source };
    // Labels are taken apart by the rules of the locale.
    command.env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(failed)?;
    let said = (collect(child.stdout.take()), collect(child.stderr.take()));
    let ended = wait(&mut child, cancel);
    let [out, rest] = [said.0, said.1].map(|text| text.join().unwrap_or_default());
    let status = ended.map_err(failed)?.ok_or(ToolError::Cancelled)?;
    if status.code().is_some_and(succeeds) {
        return Ok(out);
    }
    let said = out + &rest;
    let cause = said.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("it failed");
    Err(failed(io::Error::other(cause.to_owned())))
}

/// Reads what a program says, while it says it: it would wait for that otherwise.
fn collect(from: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read before an error is what there is.
        let _ = from.map(|mut from| from.read_to_end(&mut bytes));
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Its status once it has ended; `None` when it was killed.
fn wait(child: &mut Child, cancel: &Cancel) -> io::Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if cancel.is_requested() {
            child.kill()?;
            return child.wait().map(|_| None);
        }
        thread::sleep(INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn shell(text: &str) -> Command {
        let mut command = command("sh").unwrap();
        command.args(["-c", text]);
        command
    }

    #[test]
    fn what_it_says_is_the_answer_or_the_cause() {
        assert_eq!(run(shell("echo yes; exit 1"), |status| status == 1).unwrap(), "yes\n");
        let error = run(shell("echo one; echo the cause >&2; exit 3"), |status| status == 0);
        assert_eq!(error.unwrap_err().to_string(), "running sh: the cause");
        // More than a pipe holds.
        assert!(
            run(shell("head -c 300000 /dev/zero"), |status| status == 0).unwrap().len() > 200_000
        );
    }

    #[test]
    fn it_ends_when_it_is_asked_to() {
        let cancel = Cancel::new();
        cancel.request();
        let started = Instant::now();
        let ended = run_until(shell("exec sleep 1000"), |_| true, &cancel);
        assert!(matches!(ended, Err(ToolError::Cancelled)));
        assert!(started.elapsed() < Duration::from_secs(900));
    }
}
