//! Who works on a repository: what locks, keys and snapshots say about their maker.

use std::fs;

use nix::unistd;
use serde::{Deserialize, Serialize};

use super::Id;

/// Set apart from what other programs derive from a machine's id, which is not to be published
/// (`machine-id(5)`).
const PURPOSE: &str = "lifeboat lock";

/// Host, user and process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Host name, which several machines may have.
    pub hostname: String,
    /// User name.
    pub username: String,
    /// Process id.
    pub pid: u32,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// What tells machines of one name apart; unknown without `/proc`.
    pub origin: Option<Origin>,
}

/// Which kernel a process runs under.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Derived from `/etc/machine-id`, which the boot medium has not got.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<Id>,
    /// The kernel's id of this boot (`random(4)`, `boot_id`).
    pub boot: String,
    /// The PID namespace (`namespaces(7)`): process ids mean the same only within one.
    pub processes: String,
}

impl Origin {
    fn of_this_process() -> Option<Self> {
        let machine = fs::read_to_string("/etc/machine-id").ok();
        let machine = machine.map(|id| id.trim().to_owned()).filter(|id| !id.is_empty());
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let processes = fs::read_link("/proc/self/ns/pid").ok()?;
        Some(Self {
            machine: machine.map(|id| Id::of(format!("{PURPOSE} {id}").as_bytes())),
            boot: boot.trim().to_owned(),
            processes: processes.to_string_lossy().into_owned(),
        })
    }
}

impl Identity {
    /// Of the process that asks.
    pub fn of_this_process() -> Self {
        let uid = unistd::getuid();
        let hostname = unistd::gethostname().ok().and_then(|name| name.into_string().ok());
        let user = unistd::User::from_uid(uid).ok().flatten();
        Self {
            hostname: hostname.unwrap_or_else(|| "unknown".to_owned()),
            username: user.map_or_else(|| uid.to_string(), |user| user.name),
            pid: std::process::id(),
            uid: uid.as_raw(),
            gid: unistd::getgid().as_raw(),
            origin: Origin::of_this_process(),
        }
    }
}
