//! Writing to a filesystem that somebody else has mounted read-only.

use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use nix::sys::statvfs::{FsFlags, statvfs};

use super::mount::mounts;
use super::{DiskError, WriteLift};
use crate::console;

/// A filesystem that somebody else mounted read-only, made writable for as long as this lives.
#[derive(Debug)]
pub struct Remounted {
    dir: PathBuf,
    flags: MsFlags,
    /// Put back after the filesystem is read-only again, hence dropped with the struct's fields.
    _protection: Option<WriteLift>,
}

impl Drop for Remounted {
    fn drop(&mut self) {
        // Files still open for writing keep it writable until it is unmounted.
        let _ = remount(&self.dir, self.flags | MsFlags::MS_RDONLY);
    }
}

/// Whether the filesystem mounted at `dir` takes no writes.
pub fn is_read_only(dir: &Path) -> bool {
    statvfs(dir).is_ok_and(|stat| stat.flags().contains(FsFlags::ST_RDONLY))
}

/// Makes the filesystem of `disk` that is mounted at `dir` writable; `None` when it is already.
///
/// # Errors
/// When the kernel refuses: the disk is write-protected by itself, or the filesystem was mounted in
/// a way that leaves its journal aside.
pub fn make_writable(disk: &Path, dir: &Path) -> Result<Option<Remounted>, DiskError> {
    let stat = statvfs(dir).map_err(DiskError::io("looking at", dir))?;
    if !stat.flags().contains(FsFlags::ST_RDONLY) {
        return Ok(None);
    }
    if leaves_journal_aside(dir)? {
        return Err(DiskError::Refused {
            disk: console::path(disk),
            why: "it was mounted without its journal".into(),
        });
    }
    let flags = kept_flags(stat.flags());
    let protection = WriteLift::new(disk)?;
    remount(dir, flags).map_err(DiskError::io("making writable", dir))?;
    Ok(Some(Remounted { dir: dir.to_owned(), flags, _protection: protection }))
}

/// Whether the filesystem at `dir` was mounted without its journal, as [`super::mount::mount_read_only`] does:
/// ext4 would go on without one. All drivers that can do so show it as `norecovery`.
fn leaves_journal_aside(dir: &Path) -> Result<bool, DiskError> {
    let mounts = mounts(Path::new("/proc"))?;
    let here = mounts.iter().rev().find(|mount| mount.mountpoint == dir);
    Ok(here.is_some_and(|mount| mount.options.split(',').any(|option| option == "norecovery")))
}

/// A remount sets all flags anew (mount(2)): those of the mount that are to stay.
fn kept_flags(flags: FsFlags) -> MsFlags {
    let pairs = [
        (FsFlags::ST_NOSUID, MsFlags::MS_NOSUID),
        (FsFlags::ST_NODEV, MsFlags::MS_NODEV),
        (FsFlags::ST_NOEXEC, MsFlags::MS_NOEXEC),
        (FsFlags::ST_NOATIME, MsFlags::MS_NOATIME),
    ];
    let kept = pairs.into_iter().filter(|(flag, _)| flags.contains(*flag));
    kept.map(|(_, flag)| flag).collect()
}

fn remount(dir: &Path, flags: MsFlags) -> nix::Result<()> {
    mount(None::<&Path>, dir, None::<&str>, flags | MsFlags::MS_REMOUNT, None::<&str>)
}
