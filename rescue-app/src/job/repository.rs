//! The repository that a verb works on.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};
use serde::{Deserialize, Serialize};

use crate::bytes::os_text;
use crate::store::Location;

/// Where images are and how they are opened.
#[derive(Args, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepoArgs {
    /// The repository: a folder; `partition:DEVICE:/FOLDER`, which is mounted while it is used;
    /// `stick:/FOLDER`, on the stick that Lifeboat was started from; or on the network, as restic names it: `rest:https://USER@HOST/PATH/`, `s3:https://HOST/BUCKET/PREFIX`,
    /// `sftp:USER@HOST:/FOLDER`; or `@NAME` of a configured place. May stand before the verb too. [env: LIFEBOAT_REPO, RESTIC_REPOSITORY]
    #[arg(long, short = 'r', value_name = "DIR", value_parser = location())]
    pub repo: Location,
    /// File with the certificates (PEM) of those who may vouch for a server on the network; otherwise
    /// those that this machine trusts.
    #[arg(long, value_name = "FILE", env = "LIFEBOAT_CACERT")]
    #[serde(default, with = "os_text::option")]
    pub cacert: Option<PathBuf>,
    /// File with the passphrase, read as restic does: a byte order mark and blanks or line ends
    /// around the passphrase do not count.
    #[arg(long, value_name = "FILE")]
    #[serde(default, with = "os_text::option")]
    pub passphrase_file: Option<PathBuf>,
}

impl RepoArgs {
    /// The repository at `location`, its passphrase to be asked for where it has one.
    pub fn at(location: Location) -> Self {
        Self { repo: location, cacert: None, passphrase_file: None }
    }
}

fn location() -> impl TypedValueParser<Value = Location> {
    OsStringValueParser::new().try_map(|word| Location::from_os(&word))
}

/// The repository that is worked on, and how that is told.
#[derive(Args, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkArgs {
    /// The repository.
    #[command(flatten)]
    #[serde(flatten)]
    pub repo: RepoArgs,
    /// One JSON object a line, for programs.
    #[arg(long)]
    #[serde(default)]
    pub json: bool,
}
