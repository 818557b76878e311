//! What the program says of itself to shells and to `man`, made from its arguments.

use std::path::Path;

use anyhow::Context;
use clap::{Command, CommandFactory};
use clap_complete::Shell;

use crate::console;

use super::args::Cli;
use super::ending::Ending;

/// `lifeboat completions`: the script that completes commands and options in a shell.
pub(super) fn completions(shell: Shell) -> anyhow::Result<Ending> {
    let command = Cli::command();
    // clap_complete's script for bash offers hidden commands too.
    let shown = command.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    let mut shown = Command::new("lifeboat")
        .version(env!("CARGO_PKG_VERSION"))
        .args(command.get_arguments().cloned())
        .subcommands(shown);
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut shown, "lifeboat", &mut script);
    console::say(String::from_utf8(script)?.trim_end());
    Ok(Ending::Done)
}

/// `lifeboat man`: a page for the program and one for each command (`man(7)`).
pub(super) fn pages(folder: &Path) -> anyhow::Result<Ending> {
    clap_mangen::generate_to(Cli::command(), folder).with_context(|| {
        format!(
            "the pages cannot be written to {}; name a folder that is there",
            console::path(folder)
        )
    })?;
    Ok(Ending::Done)
}
