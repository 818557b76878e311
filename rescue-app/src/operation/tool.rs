//! Programs of others that an operation runs.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::console;

use super::error::OperationError;

/// Where programs are that only root needs, and that are not in everybody's `PATH`.
const SYSTEM_FOLDERS: [&str; 3] = ["/usr/sbin", "/sbin", "/usr/bin"];

/// The program called `name`, if it is installed.
pub(super) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = SYSTEM_FOLDERS.iter().map(PathBuf::from);
    let mut places = std::env::split_paths(&path).chain(system).map(|folder| folder.join(name));
    places.find(|program| program.is_file())
}

/// Runs a program that asks nothing; what it writes to its standard output. `succeeds` tells by its exit status.
///
/// # Errors
/// When it does not start, or fails: the end of what it says is the cause.
pub(super) fn run(
    mut command: Command,
    succeeds: impl Fn(i32) -> bool,
) -> Result<String, OperationError> {
    let name = Path::new(command.get_program()).file_name().unwrap_or_default().to_owned();
    let running = |error| OperationError::io(format!("running {}", console::path(&name)), error);
    // Labels are taken apart by the rules of the locale.
    command.env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
    let output = command.output().map_err(running)?;
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.code().is_some_and(succeeds) {
        return Ok(out);
    }
    let said = out + &String::from_utf8_lossy(&output.stderr);
    let cause = said.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("it failed");
    Err(running(io::Error::other(cause.to_owned())))
}
