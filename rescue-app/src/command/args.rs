//! The arguments of `lifeboat`; the doc comments here, and those of its verbs, are its manual.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::job::Verb;

/// Captures, restores and verifies whole disks. Without a command it opens the menu.
///
/// Images live in a repository: a folder in restic's format, which stock restic lists, checks
/// and restores too. A disk is read, never written, while it is captured; a disk that is to be
/// overwritten has to be named by its serial number.
#[derive(Debug, Parser)]
#[command(name = "lifeboat", version, max_term_width = 100, help_expected = true)]
#[command(after_long_help = EXIT_CODES)]
pub struct Cli {
    /// What to do; the menu when absent.
    #[command(subcommand)]
    pub command: Option<Command>,
}

const EXIT_CODES: &str = "\
Exit status:
  0    done, and proven: what was stored or written was read back and compared
  1    failed; the message names the cause and the next step
  2    the arguments are wrong; nothing was touched
  3    done, but something needs attention: sectors that could not be read when the disk was
       captured are missing (of capture, verify and restore), a restored table has partitions that
       are not in the image, or tidying up left something; damage that is found in a repository is 1
  4    refused before anything was written (mounted, boot medium, wrong disk, too small, …)
  5    the place of the repository is full; with space made, the same command carries on
  130  stopped by Ctrl-C or SIGTERM; running the same command again carries on

Environment:
  LIFEBOAT_REPO        repository used when --repo is not given
  LIFEBOAT_PASSPHRASE  passphrase of the repository
  NO_COLOR             the menu uses no colours";

/// A command with its arguments.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Work on disks and images.
    #[command(flatten)]
    Verb(Box<Verb>),
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
