//! The arguments of `lifeboat`; the doc comments here, and those of its verbs, are its manual.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::job::Verb;
use crate::store::Location;

/// Captures, restores and verifies whole disks. Without a command it opens the menu.
///
/// Images live in a repository: a folder in restic's format, which stock restic lists, checks
/// and restores too. A disk is read, never written, while it is captured; a disk that is to be
/// overwritten has to be named by its serial number.
#[derive(Debug, Parser)]
#[command(name = "lifeboat", version, max_term_width = 100, help_expected = true)]
#[command(after_help = HELP, after_long_help = EXIT_CODES)]
pub struct Cli {
    /// The repository of whatever command follows, as if given behind it.
    #[arg(long, short = 'r', value_name = "DIR")]
    pub repo: Option<OsString>,
    /// How much is told.
    #[command(flatten)]
    pub manner: MannerArgs,
    /// What to do; the menu when absent.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// How much is told besides what was asked for; may stand anywhere.
#[derive(Args, Clone, Debug, Default)]
pub struct MannerArgs {
    /// Only errors, warnings and lists: no progress, no notes, no report of work that went well.
    #[arg(long, short = 'q', global = true, conflicts_with = "verbose", help_heading = "Output")]
    pub quiet: bool,
    /// Also each step when it begins, and, without a terminal, how far it is.
    #[arg(long, short = 'v', global = true, help_heading = "Output")]
    pub verbose: bool,
    /// No line that shows how far the work is. Without a terminal there is none anyway.
    #[arg(long, global = true, help_heading = "Output")]
    pub no_progress: bool,
    /// Add what is done, and how it ends, to FILE instead of /var/log/lifeboat.log. [env: LIFEBOAT_LOG]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Output")]
    pub log: Option<PathBuf>,
}

/// Arguments of `run`.
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// The file with the job.
    #[arg(value_name = "JOB")]
    pub job: PathBuf,
    /// The repository of steps that name none, where the job names none either.
    #[arg(long, short = 'r', value_name = "DIR")]
    pub repo: Option<Location>,
    /// Print the commands, with the disks that are found, and do nothing.
    #[arg(long, visible_alias = "dry-run", short_alias = 'n')]
    pub plan: bool,
}

const RUN: &str = "\
Examples:
  lifeboat run nightly.toml --plan   # which disks, which commands
  lifeboat run nightly.toml";

const HELP: &str = "\
`lifeboat COMMAND -h` lists the options in brief, with examples; `--help` tells all of each.";

const EXIT_CODES: &str = "\
`lifeboat COMMAND -h` lists the options in brief, with examples; `--help` tells all of each.

Exit status:
  0    done, and proven: what was stored or written was read back and compared
  1    failed; the message names the cause and the next step
  2    the arguments or the configuration are wrong; nothing was touched
  3    done, but something needs attention: sectors that could not be read when the disk was
       captured are missing (of capture, verify and restore), a restored table has partitions that
       are not in the image, or tidying up left something; damage that is found in a repository is 1
  4    refused before anything was written (mounted, boot medium, wrong disk, no consent, …)
  5    the place of the repository is full; with space made, the same command carries on
  10   there is no repository in the place that was named
  11   somebody else is at work on the repository
  12   the passphrase does not open the repository, or there is none and nobody to ask
  130  stopped by Ctrl-C or SIGTERM; running the same command again carries on

Configuration: /etc/lifeboat.toml, then ~/.config/lifeboat/config.toml, whose entries win:
  repo = \"@office\"            repository used when neither --repo nor the environment names one
  [places.office]             a name for --repo @office, with its repo, passphrase-file and cacert
  [capture]                   level, chunk-size and retries that are usual

Environment:
  LIFEBOAT_REPO                repository used when --repo is not given
  LIFEBOAT_PASSPHRASE          passphrase of the repository; or with _FILE behind it the file that
                               holds it, with _COMMAND a command line of `sh` that prints it
  RESTIC_REPOSITORY, RESTIC_PASSWORD, RESTIC_PASSWORD_FILE, RESTIC_PASSWORD_COMMAND
                               the same, where those of Lifeboat are not set
  NO_COLOR                     the menu uses no colours";

/// A command with its arguments.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Work on disks and images.
    #[command(flatten)]
    Verb(Box<Verb>),
    /// Does what is in a file, without a person: captures, restores, clones, verifies, one after the other.
    ///
    /// Disks are named by rules that exactly one disk of this machine has to keep. The rule of a target is the consent to
    /// erase it. All of the file is looked at, and all disks are looked for, before the first step; a step that fails ends
    /// the job. Results are JSON lines. docs/unattended.md says what the file looks like.
    #[command(after_help = RUN)]
    Run(RunArgs),
    /// Prints the script that completes commands and options in a shell.
    ///
    /// For bash: `lifeboat completions bash > /usr/share/bash-completion/completions/lifeboat`.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Writes the manual pages into a folder: lifeboat.1, and one for each command.
    Man {
        /// A folder that is there.
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
    /// Start-up of the boot medium; its init calls this.
    #[command(hide = true)]
    StartMedium,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
