//! Who can open a repository.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};

use crate::bytes::os_text;

use super::repository::WorkArgs;

/// Arguments of `key`.
#[derive(Args, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyArgs {
    /// What is done.
    #[command(subcommand)]
    #[serde(flatten)]
    pub work: KeyVerb,
}

/// What can be done with keys.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyVerb {
    /// Lists the keys: when, by whom and where each was made.
    List(WorkArgs),
    /// Adds a passphrase that opens the repository too.
    Add(NewKeyArgs),
    /// Removes a key: its passphrase no longer opens the repository.
    Remove(RemoveKeyArgs),
    /// Changes the passphrase that the repository was opened with.
    Change(NewKeyArgs),
}

/// Arguments of `key add` and `key change`.
#[derive(Args, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewKeyArgs {
    /// File with the new passphrase; asked for when absent.
    #[arg(long, value_name = "FILE")]
    #[serde(default, with = "os_text::option")]
    pub new_passphrase_file: Option<PathBuf>,
    /// The repository.
    #[command(flatten)]
    #[serde(flatten)]
    pub work: WorkArgs,
}

/// Arguments of `key remove`.
#[derive(Args, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoveKeyArgs {
    /// The start of the key's name, as `key list` shows it.
    #[arg(value_name = "KEY")]
    pub key: String,
    /// The repository.
    #[command(flatten)]
    #[serde(flatten)]
    pub work: WorkArgs,
}
