//! What is needed to use a server, besides its address.

use std::path::PathBuf;
use std::time::Duration;

use super::secret::Secret;

/// How long whatever is temporary is tried again.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// A user and a password.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Login {
    /// The user, where one was given apart from the address.
    pub user: Option<String>,
    /// The password, where one was given apart from the address.
    pub password: Option<Secret>,
}

/// What requests to an object store are signed with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct S3Key {
    /// The key's name.
    pub key_id: Option<String>,
    /// The key.
    pub key: Option<Secret>,
    /// What goes with a key that holds for a while only.
    pub token: Option<Secret>,
    /// Where the bucket is; otherwise what the host's name says, or `us-east-1`.
    pub region: Option<String>,
}

/// How servers are used, and who is told to them.
#[derive(Clone, Debug)]
pub struct NetworkOptions {
    /// File with the certificates, PEM, of those who may vouch for a server; otherwise those that
    /// this machine trusts.
    pub cacert: Option<PathBuf>,
    /// For servers of restic's protocol.
    pub rest: Login,
    /// For object stores.
    pub s3: S3Key,
    /// The program, and its words, that takes the place of `ssh … -s sftp` (restic's
    /// `-o sftp.command`).
    pub sftp_command: Option<String>,
    /// How long whatever is temporary is tried again.
    pub patience: Duration,
}

impl Default for NetworkOptions {
    fn default() -> Self {
        Self {
            cacert: None,
            rest: Login::default(),
            s3: S3Key::default(),
            sftp_command: None,
            patience: PATIENCE,
        }
    }
}
