//! Mounts in other mount namespaces: of services, containers and `unshare -m`.

use std::collections::HashSet;
use std::fmt;
use std::fs;
use std::path::Path;

use super::mount::{Mount, parse_mounts};
use crate::console;

/// A mount that this process does not see.
pub(super) struct ForeignMount {
    pub(super) mount: Mount,
    /// A process that sees it.
    process: String,
}

impl fmt::Display for ForeignMount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = console::path(&self.mount.mountpoint);
        write!(f, "a mount at {at} that {} sees, in another mount namespace", self.process)
    }
}

/// What is mounted in the namespaces of other processes and not in `own`, as far as they may be
/// looked at (namespaces(7): the link tells which one it is); `proc` is where procfs is mounted.
pub(super) fn foreign_mounts(proc: &Path, own: &[Mount]) -> Vec<ForeignMount> {
    let mut known = HashSet::new();
    known.extend(fs::read_link(proc.join("self/ns/mnt")));
    let seen: HashSet<&str> = own.iter().map(|mount| mount.device_number.as_str()).collect();
    let mut found = Vec::new();
    for pid in super::file_users::processes(proc) {
        let dir = proc.join(&pid);
        let Ok(namespace) = fs::read_link(dir.join("ns/mnt")) else { continue };
        if !known.insert(namespace) {
            continue;
        }
        let Ok(text) = fs::read(dir.join("mountinfo")) else { continue };
        let mounts = parse_mounts(&text).into_iter();
        let process = super::file_users::process_name(proc, &pid);
        found.extend(
            mounts
                .filter(|mount| !seen.contains(mount.device_number.as_str()))
                .map(|mount| ForeignMount { mount, process: process.clone() }),
        );
    }
    found
}
