//! The command line: arguments, plain output and exit codes.

mod args;
mod boot;
mod browse;
mod capture;
mod clone;
mod consent;
mod diff;
mod disks;
mod ending;
mod failure;
mod forget;
mod given;
mod hardening;
mod images;
mod key;
mod maintenance;
mod manual;
mod mount;
mod network;
mod output;
mod parse;
mod passphrase;
mod prepare;
mod prune;
mod restore;

mod serve;
mod settings;
mod signals;
mod source;
mod stick;
mod target;
mod unattended;
mod unlock;
mod verify;

use std::process::ExitCode;

use anyhow::bail;

use crate::console;
use crate::job::Verb;

use args::{Cli, Command};
use ending::Ending;

/// Runs the program; the returned code is the process's exit status.
pub fn main() -> ExitCode {
    hardening::no_core_dumps();
    let Cli { manner, command, .. } = parse::command_line();
    let is_json = matches!(&command, Some(Command::Verb(verb)) if verb.answers_in_json());
    match output::tell_as(manner).and_then(|()| run(command)).and_then(all_was_said) {
        Ok(Ending::Done) => ExitCode::SUCCESS,
        Ok(Ending::NeedsAttention) => ExitCode::from(3),
        Ok(Ending::Damaged) => ExitCode::FAILURE,
        Err(error) => {
            let (text, status) = (failure::text(&error), failure::status(&error));
            if is_json {
                output::error(&text, status);
            }
            console::tell(&format!("lifeboat: {text}"));
            ExitCode::from(status)
        }
    }
}

/// A result that did not reach the file it was to go to is not a success.
fn all_was_said(ending: Ending) -> anyhow::Result<Ending> {
    if !console::is_complete() {
        bail!("writing standard output failed: its place may be full; the work itself was done");
    }
    Ok(ending)
}

fn run(command: Option<Command>) -> anyhow::Result<Ending> {
    match command {
        None => menu(),
        Some(Command::Verb(verb)) => carry_out(&verb),
        Some(Command::Run(args)) => unattended::run(&args),
        Some(Command::Completions { shell }) => manual::completions(shell),
        Some(Command::Man { folder }) => manual::pages(&folder),
        Some(Command::StartMedium) => Ok(crate::boot::run().map(|()| Ending::Done)?),
    }
}

fn carry_out(verb: &Verb) -> anyhow::Result<Ending> {
    match verb {
        Verb::Disks(args) => disks::run(args),
        Verb::Init(args) => images::init(args),
        Verb::Capture(args) => capture::run(args),
        Verb::Clone(args) => clone::run(args),
        Verb::Images(args) => images::list(args),
        Verb::Stats(args) => images::stats(args),
        Verb::Show(args) => images::show(args),
        Verb::Restore(args) => restore::run(args),
        Verb::Mount(args) => mount::run(args),
        Verb::Serve(args) => serve::run(args),
        Verb::Boot(args) => boot::run(args),
        Verb::Ls(args) => browse::list(args),
        Verb::Copy(args) => browse::copy(args),
        Verb::Find(args) => browse::find(args),
        Verb::Diff(args) => diff::run(args),
        Verb::Verify(args) => verify::run(args),
        Verb::Forget(args) => forget::run(args),
        Verb::Prune(args) => prune::run(args),
        Verb::Check(args) => maintenance::check(args),
        Verb::Repair(args) => maintenance::repair(args),
        Verb::Unlock(args) => maintenance::unlock(args),
        Verb::Key(args) => key::run(args),
        Verb::Prepare(args) => prepare::run(args),
        Verb::MakeStick(args) => stick::run(args),
        Verb::CheckMedium(args) => stick::check(args),
    }
}

fn menu() -> anyhow::Result<Ending> {
    Ok(crate::tui::run().map(|()| Ending::Done)?)
}
