//! The command line as it is meant: its words, and where they say nothing, the environment and what is
//! configured.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;

use anyhow::anyhow;
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Arg, ArgMatches, Command, CommandFactory, FromArgMatches};

use super::args::Cli;
use super::hardening;
use super::settings::Settings;

/// The variables that name a repository, the first that is set.
const REPOSITORY: [&str; 2] = ["LIFEBOAT_REPO", "RESTIC_REPOSITORY"];

/// What the program was started with; where that makes no sense the process ends with status 2. To be
/// called while there is one thread only.
pub(super) fn command_line() -> Cli {
    let words: Vec<OsString> = std::env::args_os().collect();
    // The menu and help are there whatever is configured.
    let settings = match seen(&words).map(|seen| seen.subcommand_name().is_some()) {
        Ok(true) => Settings::load().unwrap_or_else(|error| wrong(&format!("{error:#}")).exit()),
        _ => Settings::default(),
    };
    let usual = usual_repository().or_else(|| settings.repo.clone());
    parsed(&words, usual, settings).unwrap_or_else(|error| error.exit())
}

fn wrong(why: &str) -> clap::Error {
    Cli::command().error(ErrorKind::InvalidValue, why)
}

/// What `words` say, with the repository that is `usual`, and what is configured.
fn parsed(
    words: &[OsString],
    usual: Option<OsString>,
    settings: Settings,
) -> Result<Cli, clap::Error> {
    let seen = seen(words)?;
    let repo = named(&seen).map(OsStr::to_owned).or(usual);
    let place = repo.as_deref().and_then(|word| settings.place(word)).cloned();
    let capture = settings.capture.clone();
    let settings = Arc::new(settings);
    let mut command = each_arg(Cli::command(), &|arg| match (arg.get_id().as_str(), &place) {
        ("repo", _) => {
            let settings = Arc::clone(&settings);
            let parser = OsStringValueParser::new().try_map(move |word| settings.location(&word));
            usually(arg.value_parser(parser), repo.clone())
        }
        ("passphrase_file", Some(place)) => usually(arg, place.passphrase_file.clone()),
        ("cacert", Some(place)) => usually(arg, place.cacert.clone()),
        _ => arg,
    });
    command = command.mut_subcommand("capture", |verb| {
        verb.mut_args(|arg| {
            let value = arg.get_long().and_then(|name| capture.get(name)).map(OsString::from);
            usually(arg, value)
        })
    });
    let matches = command.try_get_matches_from_mut(words)?;
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

/// An argument with what it is when nobody says anything.
fn usually(arg: Arg, value: Option<OsString>) -> Arg {
    match value {
        None => arg,
        // An address may have a password in it.
        Some(value) => arg.required(false).default_value(value).hide_default_value(true),
    }
}

/// Looks at words without the program's name, which need not name a repository.
///
/// # Errors
/// What the command line would be refused for.
pub(super) fn check(words: &[OsString]) -> anyhow::Result<()> {
    let words: Vec<OsString> = [OsString::from("lifeboat")].iter().chain(words).cloned().collect();
    parsed(&words, Some("/".into()), Settings::default()).map(drop).map_err(|error| refusal(&error))
}

/// What the command line was refused for, in one line.
pub(super) fn refusal(error: &clap::Error) -> anyhow::Error {
    let said = error.to_string();
    let said: Vec<&str> = said.lines().take_while(|line| !line.is_empty()).collect();
    anyhow!("{}", said.join(" ").trim_start_matches("error: "))
}

/// The words by their places: what stands before the verb, and elsewhere behind it, is known only once
/// all was parsed. A repository may be named anywhere, and by whatever name.
pub(super) fn seen(words: &[OsString]) -> Result<ArgMatches, clap::Error> {
    let any = |arg: Arg| match arg.get_id() == "repo" {
        true => arg.required(false).value_parser(OsStringValueParser::new()),
        false => arg,
    };
    each_arg(Cli::command(), &any).try_get_matches_from(words)
}

/// The repository that the environment names. No program that is started is told: it may have a
/// password in it.
fn usual_repository() -> Option<OsString> {
    let named = REPOSITORY.map(hardening::take_variable);
    let named = named.into_iter().flatten().find(|word| !word.is_empty())?;
    Some(OsString::from_vec(named.to_vec()))
}

/// The repository that the words name.
fn named(seen: &ArgMatches) -> Option<&OsStr> {
    let mut innermost = seen;
    while let Some((_, verb)) = innermost.subcommand() {
        innermost = verb;
    }
    let word = |of: &str| innermost.try_get_one::<OsString>(of).ok().flatten();
    let place = word("repo").or_else(|| match seen.subcommand_name() {
        Some("init") => word("place"),
        _ => None,
    });
    place.or_else(|| seen.get_one("repo")).map(OsString::as_os_str)
}

/// The command with the arguments of all verbs changed.
fn each_arg(command: Command, change: &dyn Fn(Arg) -> Arg) -> Command {
    command.mut_subcommands(|verb| each_arg(verb.mut_args(change), change))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples in the help of a verb, without what they say of themselves.
    fn examples(verb: &Command) -> Vec<String> {
        let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
        let lines = help.lines().filter(|line| line.trim_start().starts_with("lifeboat "));
        lines.map(|line| line.split(" # ").next().unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn every_verb_has_examples_that_are_understood() {
        let others = ["completions", "man", "start-medium"];
        for verb in Cli::command().get_subcommands() {
            let examples = examples(verb);
            let is_other = others.contains(&verb.get_name());
            assert!(is_other || examples.len() >= 2, "{}: {examples:?}", verb.get_name());
            for example in examples {
                let words = example.split_whitespace().map(|word| word.replace('\'', "").into());
                let words: Vec<OsString> = words.collect();
                let understood = parsed(&words, Some("/mnt/images".into()), Settings::default());
                assert!(understood.is_ok(), "{example}: {:?}", understood.err());
            }
        }
    }
}
