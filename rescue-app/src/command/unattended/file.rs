//! A job: what is done without a person, as a file in TOML.

use std::ffi::OsString;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use anyhow::{Context, anyhow, bail};
use toml_edit::{Item, TableLike};

use crate::command::parse;
use crate::command::settings::{line_of, parsed, word};
use crate::store::Location;

use super::rule::Chosen;

/// What a job consists of.
#[derive(Debug, Default)]
pub(super) struct Job {
    /// The repository of all steps that name none.
    pub(super) repo: Option<Location>,
    /// Files that get the results, one JSON object a line.
    pub(super) report: Vec<PathBuf>,
    /// Seconds in which a person at the terminal may stop it.
    pub(super) countdown: u64,
    pub(super) steps: Vec<Step>,
}

/// One command of a job.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// The verb, its image if it takes one, and options.
    pub(super) words: Vec<String>,
    pub(super) source: Option<Chosen>,
    pub(super) target: Option<Chosen>,
}

/// The longest countdown, seconds: an hour.
const COUNTDOWN: RangeInclusive<i64> = 0..=3600;

impl Job {
    /// What a file says. All of it is looked at before anything is done.
    ///
    /// # Errors
    /// With the line, for whatever is not known there, and for steps that the command line would refuse.
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let document = parsed(text)?;
        let mut job = Self::default();
        for (key, item) in document.iter() {
            let here = || format!("line {}: {key}", line_of(text, document.as_table(), key));
            match key {
                "repo" => {
                    let word = word(item).with_context(here)?;
                    job.repo = Some(word.parse().with_context(here)?);
                }
                "report" => {
                    job.report =
                        words(item).with_context(here)?.into_iter().map(PathBuf::from).collect();
                }
                "countdown" => {
                    let seconds = item.as_integer().filter(|it| COUNTDOWN.contains(it));
                    let seconds = seconds.and_then(|seconds| u64::try_from(seconds).ok());
                    job.countdown = seconds
                        .with_context(|| format!("{} has to be seconds, 3600 at most", here()))?;
                }
                "step" => job.steps = steps(text, item).with_context(here)?,
                _ => {
                    bail!("{} is not known; there are repo, report, countdown and [[step]]", here())
                }
            }
        }
        if job.steps.is_empty() {
            bail!("it has no [[step]]: nothing would be done");
        }
        Ok(job)
    }
}

fn steps(text: &str, item: &Item) -> anyhow::Result<Vec<Step>> {
    let tables: Vec<&dyn TableLike> = match (item.as_array_of_tables(), item.as_array()) {
        (Some(tables), _) => tables.iter().map(|table| table as &dyn TableLike).collect(),
        (None, Some(array)) => array
            .iter()
            .map(|value| value.as_inline_table().map(|table| table as &dyn TableLike))
            .collect::<Option<_>>()
            .context("each step has to be a table")?,
        _ => bail!("each step begins with [[step]]"),
    };
    let numbered = (1..).zip(tables);
    numbered
        .map(|(number, table)| step(text, table).with_context(|| format!("step {number}")))
        .collect()
}

fn step(text: &str, table: &dyn TableLike) -> anyhow::Result<Step> {
    let mut step = Step { words: Vec::new(), source: None, target: None };
    for (key, item) in table.iter() {
        let here = || format!("line {}: {key}", line_of(text, table, key));
        let chosen = || word(item).and_then(|text| text.parse::<Chosen>()).with_context(here);
        match key {
            "run" => step.words = words(item).with_context(here)?,
            "source" => step.source = Some(chosen()?),
            "target" => step.target = Some(chosen()?),
            _ => bail!("{} is not known; a step has run, source and target", here()),
        }
    }
    step.check()?;
    Ok(step)
}

/// A text, or several of them.
fn words(item: &Item) -> anyhow::Result<Vec<String>> {
    let Some(array) = item.as_array() else { return Ok(vec![word(item)?]) };
    let each = array.iter().map(|value| value.as_str().map(str::to_owned));
    each.collect::<Option<_>>().ok_or_else(|| anyhow!("has to be texts in quotes"))
}

impl Step {
    /// Refuses what the command line would, and disks that are named twice or not at all.
    fn check(&self) -> anyhow::Result<()> {
        let (source, target) = match self.words.first().map(String::as_str) {
            Some("capture" | "backup") => (true, false),
            Some("clone") => (true, true),
            Some("restore") => (false, true),
            Some("verify" | "check" | "forget" | "prune") => (false, false),
            _ => bail!(
                "run has to begin with capture, clone, restore, verify, check, forget or prune; other commands are for people"
            ),
        };
        for (name, wanted, given) in
            [("source", source, self.source.is_some()), ("target", target, self.target.is_some())]
        {
            match (wanted, given) {
                (true, false) => bail!("{name} is missing: the disk, by a rule or its path"),
                (false, true) => bail!("there is no {name} of that command"),
                _ => {}
            }
        }
        let disk = |chosen: &Option<Chosen>| chosen.as_ref().map(|_| OsString::from("/disk"));
        parse::check(&self.arguments(disk(&self.source), disk(&self.target), "word"))
    }

    /// The words of the command line for these disks.
    pub(super) fn arguments(
        &self,
        source: Option<OsString>,
        target: Option<OsString>,
        erase: &str,
    ) -> Vec<OsString> {
        let mut words: Vec<OsString> = self.words.iter().map(OsString::from).collect();
        words.extend(source);
        if let Some(target) = target {
            words.extend([target, format!("--erase={erase}").into()]);
        }
        words.push("--json".into());
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        format!("{:#}", Job::parse(text).unwrap_err())
    }

    #[test]
    fn a_job_is_read() {
        let job = Job::parse(
            "repo = \"/mnt/images\"\nreport = [\"/log\"]\ncountdown = 5\n\
             [[step]]\nrun = \"capture\"\nsource = \"internal, largest\"\n\
             [[step]]\nrun = [\"restore\", \"latest\"]\ntarget = \"serial=X\"\n",
        )
        .unwrap();
        assert_eq!((job.steps.len(), job.countdown, job.report.len()), (2, 5, 1));
        let words = job.steps[1].arguments(None, Some("/dev/sda".into()), "X");
        assert_eq!(words, ["restore", "latest", "/dev/sda", "--erase=X", "--json"]);
    }

    #[test]
    fn what_is_not_known_is_refused_with_its_line() {
        assert!(told("repo = \"/x\"\nwait = 3\n").starts_with("line 2: wait is not known"));
        assert!(told("repo = \"/x\"\n").contains("no [[step]]"));
        assert!(told("countdown = -1\n").contains("line 1: countdown"));
        let step = |lines: &str| told(&format!("repo = \"/x\"\n[[step]]\n{lines}"));
        assert!(step("run = \"capture\"\n").contains("step 1: source is missing"));
        assert!(step("run = \"capture\"\nsorce = \"/x\"\n").contains("line 4: sorce"));
        assert!(step("run = \"prepare\"\n").contains("step 1"));
        assert!(step("run = \"verify\"\nsource = \"/x\"\n").contains("no source"));
        assert!(step("run = [\"capture\", \"--levle=5\"]\nsource = \"/x\"\n").contains("--levle"));
        assert!(
            step("run = [\"restore\", \"latest\", \"/dev/sda\"]\ntarget = \"/x\"\n")
                .contains("unexpected argument")
        );
        assert!(step("run = \"capture\"\nsource = \"any\"\n").contains("no rule for a disk"));
    }
}
