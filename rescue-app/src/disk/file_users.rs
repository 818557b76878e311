//! Programs that work on an image file: above all virtual machines whose disk it is.
//!
//! Three things tell of them. Locks on the file: QEMU takes "open file description" locks on single
//! bytes, shared ones for all that it does (QEMU, "Image locking" and `block/file-posix.c`:
//! byte 100 and on for what is done, in the order of `BlockPermission`, so that byte 101 says that
//! the machine writes). The kernel's list of open files, which knows of machines without locks, as
//! long as they run beside this program. And lock files beside it, which VMware makes, also over a
//! network (`NAME.lck`, a folder with a file for each machine that has the disk open).

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use crate::console;

use super::{Object, Use};

/// QEMU's byte for "this machine writes".
const QEMU_WRITES: i64 = 101;

/// Who uses the image file `object`; `path` may lead to it no more. `proc` is where procfs is mounted.
pub(super) fn of(proc: &Path, object: Object, path: &Path) -> Vec<Use> {
    let named = |by: String, writes| Use::Open { file: path.to_owned(), by, writes };
    let writer = writer(proc, object);
    if let Some(by) = writer {
        return vec![named(by, true)];
    }
    if Object::at(path) != Some(object) {
        return Vec::new();
    }
    if let Some(writes) = File::open(path).ok().and_then(|file| locked(&file)) {
        return vec![named(
            "a program that has locked it, such as a running machine".into(),
            writes,
        )];
    }
    let lock = lock_file(path).into_iter();
    lock.map(|lock| named(format!("a machine whose lock is {}", console::path(lock)), true))
        .collect()
}

/// Whether somebody holds a lock on a part of the file, and then whether he may write to it.
fn locked(file: &File) -> Option<bool> {
    let whole = held(file, 0, 0)?;
    let exclusive = i32::from(whole.l_type) == libc::F_WRLCK;
    Some(exclusive || held(file, QEMU_WRITES, 1).is_some())
}

/// The first lock of somebody else on `len` bytes from `start`; all that follow when `len` is 0.
fn held(file: &File, start: i64, len: i64) -> Option<libc::flock> {
    let mut asked = libc::flock {
        l_type: libc::c_short::try_from(libc::F_WRLCK).ok()?,
        l_whence: libc::c_short::try_from(libc::SEEK_SET).ok()?,
        l_start: start,
        l_len: len,
        l_pid: 0,
    };
    fcntl(file, FcntlArg::F_OFD_GETLK(&mut asked)).ok()?;
    (i32::from(asked.l_type) != libc::F_UNLCK).then_some(asked)
}

/// Another process that has the file open for writing (proc(5): `fd` and `fdinfo`, whose flags are
/// octal and those of open(2)).
fn writer(proc: &Path, object: Object) -> Option<String> {
    let pid = processes(proc).into_iter().find(|pid| {
        let descriptors = fs::read_dir(proc.join(pid).join("fd")).into_iter().flatten().flatten();
        let mut ours =
            descriptors.filter(|descriptor| Object::at(&descriptor.path()) == Some(object));
        ours.any(|descriptor| {
            let info = proc.join(pid).join("fdinfo").join(descriptor.file_name());
            fs::read_to_string(info).is_ok_and(|info| is_open_for_writing(&info))
        })
    })?;
    Some(process_name(proc, &pid))
}

/// The numbers of all processes but this one.
pub(super) fn processes(proc: &Path) -> Vec<String> {
    let own = std::process::id().to_string();
    let entries = fs::read_dir(proc).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|pid| *pid != own && pid.bytes().all(|c| c.is_ascii_digit())).collect()
}

/// "qemu-system-x86 (process 4711)".
pub(super) fn process_name(proc: &Path, pid: &str) -> String {
    let name = fs::read_to_string(proc.join(pid).join("comm")).unwrap_or_default();
    format!("{} (process {pid})", name.trim_end())
}

fn is_open_for_writing(info: &str) -> bool {
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|flags| i32::from_str_radix(flags.trim(), 8).ok());
    flags.is_some_and(|flags| flags & libc::O_ACCMODE != libc::O_RDONLY)
}

/// VMware's lock for the disk file, or for the descriptor that names it: `disk-flat.vmdk` belongs
/// to `disk.vmdk`. An empty folder is left over from a machine that was shut down.
fn lock_file(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    let descriptor = name.strip_suffix("-flat.vmdk").map(|stem| format!("{stem}.vmdk.lck"));
    let locks = [Some(format!("{name}.lck")), descriptor].into_iter().flatten();
    let is_held = |lock: &PathBuf| match fs::read_dir(lock) {
        Ok(mut machines) => machines.next().is_some(),
        Err(_) => lock.is_file(),
    };
    locks.map(|lock| path.with_file_name(lock)).find(is_held)
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;

    use super::*;

    fn uses(path: &Path) -> Vec<bool> {
        let found = users(path).into_iter();
        let writes = found.map(|found| match found {
            Use::Open { writes, .. } => writes,
            other => panic!("{other}"),
        });
        writes.collect()
    }

    fn users(path: &Path) -> Vec<Use> {
        of(Path::new("/proc"), Object::at(path).unwrap(), path)
    }

    /// A shared lock of an open file description, as QEMU takes them.
    fn lock(file: &File, byte: i64) {
        let wanted = libc::flock {
            l_type: libc::c_short::try_from(libc::F_RDLCK).unwrap(),
            l_whence: 0,
            l_start: byte,
            l_len: 1,
            l_pid: 0,
        };
        fcntl(file, FcntlArg::F_OFD_SETLK(&wanted)).unwrap();
    }

    #[test]
    fn locks_tell_whether_a_machine_reads_or_writes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk.img");
        fs::write(&path, [0; 512]).unwrap();
        assert!(uses(&path).is_empty());
        let file = File::open(&path).unwrap();
        lock(&file, 100);
        assert_eq!(uses(&path), [false]);
        lock(&file, 101);
        assert_eq!(uses(&path), [true]);
    }

    #[test]
    fn a_process_that_may_write_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk.img");
        fs::write(&path, [0; 512]).unwrap();
        let open = OpenOptions::new().append(true).open(&path).unwrap();
        let mut child = std::process::Command::new("sleep").arg("60").stdout(open).spawn().unwrap();
        let found = users(&path);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(found[0].to_string().contains(&format!("process {}", child.id())), "{found:?}");
        assert!(uses(&path).is_empty());
    }

    #[test]
    fn lock_files_of_vmware_count_while_they_hold_something() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk-flat.vmdk");
        fs::write(&path, [0; 512]).unwrap();
        let lock = folder.path().join("disk.vmdk.lck");
        fs::create_dir(&lock).unwrap();
        assert!(uses(&path).is_empty());
        fs::write(lock.join("M12345.lck"), "machine").unwrap();
        assert_eq!(uses(&path), [true]);
    }
}
