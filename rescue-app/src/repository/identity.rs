//! Who works on a repository: what locks, keys and snapshots say about their maker.

use nix::unistd;

/// Host, user and process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Host name; must be unique among the machines that share a repository, since a lock is
    /// taken for dead when its host name equals ours and its process is gone.
    pub hostname: String,
    /// User name.
    pub username: String,
    /// Process id.
    pub pid: u32,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
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
        }
    }
}
