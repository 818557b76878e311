//! What servers are used with, from the environment: it is not in any list of processes.

use std::time::Duration;

use anyhow::{Context, bail};

use crate::job::RepoArgs;
use crate::store::{Login, NetworkOptions, S3Key, Secret};

use super::hardening;

/// Whole seconds that whatever is temporary is tried again.
const PATIENCE: &str = "LIFEBOAT_NETWORK_PATIENCE";

/// The options for a repository. To be called while there is one thread only.
pub(super) fn options(args: &RepoArgs) -> anyhow::Result<NetworkOptions> {
    let mut options = NetworkOptions {
        cacert: args.cacert.clone().or_else(|| Some(std::env::var_os("RESTIC_CACERT")?.into())),
        rest: Login {
            user: shown(["LIFEBOAT_REST_USERNAME", "RESTIC_REST_USERNAME"])?,
            password: variable(["LIFEBOAT_REST_PASSWORD", "RESTIC_REST_PASSWORD"])?,
        },
        s3: S3Key {
            key_id: shown(["AWS_ACCESS_KEY_ID"])?,
            key: variable(["AWS_SECRET_ACCESS_KEY"])?,
            token: variable(["AWS_SESSION_TOKEN"])?,
            region: shown(["AWS_REGION", "AWS_DEFAULT_REGION"])?,
        },
        sftp_command: shown(["LIFEBOAT_SFTP_COMMAND"])?,
        ..NetworkOptions::default()
    };
    if let Some(patience) = variable([PATIENCE])? {
        let seconds = patience.reveal().parse();
        let seconds = seconds.with_context(|| format!("{PATIENCE} is not a number of seconds"))?;
        options.patience = Duration::from_secs(seconds);
    }
    Ok(options)
}

/// [`variable`] for what is no secret.
fn shown<const N: usize>(names: [&str; N]) -> anyhow::Result<Option<String>> {
    Ok(variable(names)?.map(|value| value.reveal().to_owned()))
}

/// The first of these variables that is set to something; all of them are gone afterwards.
fn variable<const N: usize>(names: [&str; N]) -> anyhow::Result<Option<Secret>> {
    let mut found = None;
    for name in names {
        let Some(bytes) = hardening::take_variable(name).filter(|bytes| !bytes.is_empty()) else {
            continue;
        };
        match std::str::from_utf8(&bytes) {
            Ok(text) => found = found.or_else(|| Some(Secret::new(text))),
            Err(_) => bail!("{name} is not UTF-8; set it in a UTF-8 locale"),
        }
    }
    Ok(found)
}
