//! The tools of others: what makes disks, and what judges them.

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Where administrators' tools are too, whoever runs the tests.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program that will say the same on every computer, with nothing on its standard input.
pub fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env("PATH", PATH).env("LC_ALL", "C.UTF-8").env("TZ", "UTC").stdin(Stdio::null());
    command
}

#[track_caller]
fn output(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; run `make setup`"))
}

/// What a program that ended with success wrote to its standard output.
#[track_caller]
fn success(command: &Command, output: &Output) -> String {
    let [said, errors] =
        [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    assert!(output.status.success(), "{command:?}: {}\n{said}\n{errors}", output.status);
    said.into_owned()
}

/// Runs a command that must succeed; its standard output.
#[track_caller]
pub fn stdout_of(command: &mut Command) -> String {
    let output = output(command);
    success(command, &output)
}

/// Runs a tool that must succeed; its standard output.
#[track_caller]
pub fn tool<S: AsRef<OsStr>>(program: &str, args: &[S]) -> String {
    stdout_of(command(program).args(args))
}

/// The same with something on its standard input.
#[track_caller]
pub fn tool_with_input<S: AsRef<OsStr>>(
    program: &str,
    args: &[S],
    input: impl AsRef<[u8]>,
) -> String {
    let mut command = command(program);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn();
    let mut child = child.unwrap_or_else(|error| panic!("{command:?}: {error}; run `make setup`"));
    child.stdin.take().unwrap().write_all(input.as_ref()).unwrap();
    success(&command, &child.wait_with_output().unwrap())
}

/// Whether a tool succeeds.
#[track_caller]
pub fn succeeds<S: AsRef<OsStr>>(program: &str, args: &[S]) -> bool {
    output(command(program).args(args)).status.success()
}

/// The standard output of a tool, whatever its exit status.
#[track_caller]
pub fn output_of<S: AsRef<OsStr>>(program: &str, args: &[S]) -> String {
    String::from_utf8_lossy(&output(command(program).args(args)).stdout).into_owned()
}

/// Runs stock restic on a repository; it must succeed. Its standard output.
#[track_caller]
pub fn restic(repo: &Path, passphrase: &str, args: &[&str]) -> String {
    let mut command = command("restic");
    command.env("RESTIC_PASSWORD", passphrase).arg("-r").arg(repo).arg("--no-cache");
    stdout_of(command.args(args))
}
