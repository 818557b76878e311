//! `lifeboat run`: a job, without a person.
//!
//! Each step is a run of this program of its own: what one of them does wrong, or leaves behind, is no matter
//! of the next one's, and its lines of JSON are the same that a person would get.

mod file;
mod rule;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use crate::console;
use crate::store::Location;

use super::args::RunArgs;
use super::ending::Ending;
use super::output::SCHEMA;
use super::signals::{CANCEL, Caught};
use file::{Job, Step};

/// Statuses of a step after which the next one is taken.
const GOES_ON: [i32; 2] = [0, 3];

/// A step with the disks that it is about.
struct Ready {
    verb: String,
    words: Vec<OsString>,
}

pub(super) fn run(args: &RunArgs) -> anyhow::Result<Ending> {
    let name = console::path(&args.job);
    let text = fs::read_to_string(&args.job).with_context(|| format!("reading {name}"))?;
    let job = Job::parse(&text).with_context(|| name.clone())?;
    let repo = job.repo.as_ref().or(args.repo.as_ref());
    // Before the first step, so that nothing is done of a job that cannot be done whole.
    let steps = job.steps.iter().enumerate().map(|(index, step)| {
        Ready::find(step).with_context(|| format!("{name}: step {}", index + 1))
    });
    let steps = steps.collect::<anyhow::Result<Vec<Ready>>>()?;
    for (number, step) in (1..).zip(&steps) {
        console::tell(&format!("step {number}: lifeboat {}", step.shown()));
    }
    if args.plan {
        return Ok(Ending::Done);
    }
    let mut report = Report::open(&job.report)?;
    let _caught = Caught::now();
    count_down(job.countdown)?;
    let mut ending = Ending::Done;
    for (number, step) in (1..).zip(&steps) {
        let status = step.carry_out(repo, &mut report)?;
        let told = json!({
            "event": "step", "step": number, "verb": step.verb, "status": status, "schema": SCHEMA,
        });
        report.line(&told.to_string())?;
        if !GOES_ON.contains(&status) {
            bail!(
                "{name}: step {number} ({}) ended with status {status}, and {} of {} were not begun",
                step.verb,
                steps.len() - number,
                steps.len()
            );
        }
        if status != 0 {
            ending = Ending::NeedsAttention;
        }
    }
    Ok(ending)
}

impl Ready {
    fn find(step: &Step) -> anyhow::Result<Self> {
        let source = step.source.as_ref().map(rule::Chosen::find).transpose()?;
        let target = step.target.as_ref().map(rule::Chosen::find).transpose()?;
        let erase = target.as_ref().map_or_else(String::new, |target| target.erase.clone());
        let path = |found: rule::Found| found.path.into_os_string();
        let words = step.arguments(source.map(path), target.map(path), &erase);
        let verb = step.words.first().cloned().unwrap_or_default();
        Ok(Self { verb, words })
    }

    fn shown(&self) -> String {
        let words: Vec<String> = self.words.iter().map(console::path).collect();
        words.join(" ")
    }

    /// Runs it, and reports what it says; its exit status, 130 where it was stopped by a signal.
    fn carry_out(&self, repo: Option<&Location>, report: &mut Report) -> anyhow::Result<i32> {
        let program = std::env::current_exe().context("looking for this program")?;
        let mut command = Command::new(program);
        command.args(&self.words).stdin(Stdio::null()).stdout(Stdio::piped());
        if let Some(repo) = repo {
            command.env("LIFEBOAT_REPO", repo.to_os());
        }
        let mut child = command.spawn().context("starting this program")?;
        for line in BufReader::new(child.stdout.take().context("reading from it")?).lines() {
            let line = line.context("reading from it")?;
            if !is_progress(&line) {
                report.line(&line)?;
            }
        }
        let status = child.wait().context("waiting for it")?;
        Ok(status.code().unwrap_or(130))
    }
}

/// Whether a line only says how far the work is.
fn is_progress(line: &str) -> bool {
    let value: Option<Value> = serde_json::from_str(line).ok();
    value.is_some_and(|value| value.get("event").and_then(Value::as_str) == Some("progress"))
}

/// Where the results go: standard output, and files that they are added to.
struct Report(Vec<(PathBuf, File)>);

impl Report {
    fn open(paths: &[PathBuf]) -> anyhow::Result<Self> {
        let open = |path: &PathBuf| {
            let file = File::options().append(true).create(true).open(path);
            file.map(|file| (path.clone(), file)).with_context(|| told(path))
        };
        Ok(Self(paths.iter().map(open).collect::<anyhow::Result<_>>()?))
    }

    fn line(&mut self, line: &str) -> anyhow::Result<()> {
        console::say(line);
        for (path, file) in &mut self.0 {
            writeln!(file, "{line}").with_context(|| told(path))?;
        }
        Ok(())
    }
}

fn told(path: &Path) -> String {
    format!("adding the results to {}", console::path(path))
}

/// Gives a person at the terminal time to stop it by Ctrl-C.
fn count_down(seconds: u64) -> anyhow::Result<()> {
    if !std::io::stderr().is_terminal() {
        return Ok(());
    }
    for left in (1..=seconds).rev() {
        console::draw(&format!("\rbegins in {left} s; Ctrl-C stops it "));
        thread::sleep(Duration::from_secs(1));
        if CANCEL.is_requested() {
            bail!("stopped before the first step; nothing was done");
        }
    }
    if seconds > 0 {
        console::draw("\n");
    }
    Ok(())
}
