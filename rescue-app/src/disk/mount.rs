//! What is mounted, and mounting without changing what is mounted.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::object::device_number;
use super::{DiskError, Object, WriteLift};

/// One line of `/proc/self/mountinfo` (proc_pid_mountinfo(5)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The mount's own number.
    pub id: u64,
    /// `major:minor` of the filesystem's device; an anonymous number (`0:…`) for Btrfs and for
    /// filesystems without a device.
    pub device_number: String,
    /// Where it is mounted.
    pub mountpoint: PathBuf,
    /// Filesystem type as the kernel calls it.
    pub kind: String,
    /// What was mounted: a device path for filesystems on block devices.
    pub source: PathBuf,
    /// Options of the filesystem itself, divided by commas.
    pub options: String,
}

/// The mounts of this process's namespace. `proc` is where procfs is mounted.
///
/// # Errors
/// When `self/mountinfo` cannot be read.
pub fn mounts(proc: &Path) -> Result<Vec<Mount>, DiskError> {
    let path = proc.join("self/mountinfo");
    let text = fs::read(&path).map_err(DiskError::io("reading", path))?;
    Ok(parse_mounts(&text))
}

/// The mounts that a file in the format of `/proc/self/mountinfo` lists; lines that are not in
/// that format are left out.
pub fn parse_mounts(text: &[u8]) -> Vec<Mount> {
    text.split(|byte| *byte == b'\n').filter_map(parse_mount).collect()
}

fn parse_mount(line: &[u8]) -> Option<Mount> {
    // 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
    let mut fields = line.split(|byte| *byte == b' ');
    let id = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
    let device_number = String::from_utf8_lossy(fields.nth(1)?).into_owned();
    let mountpoint = unescape(fields.nth(1)?);
    let mut rest = fields.skip_while(|field| *field != b"-").skip(1);
    let kind = String::from_utf8_lossy(rest.next()?).into_owned();
    let source = unescape(rest.next()?);
    let options = String::from_utf8_lossy(rest.next().unwrap_or_default()).into_owned();
    Some(Mount { id, device_number, mountpoint, kind, source, options })
}

impl Mount {
    /// The number of the block device that it is on: its own, or where that is anonymous (major
    /// number 0: `get_anon_bdev`) that of the device it was mounted from, as of Btrfs.
    pub(super) fn device(&self) -> Option<u64> {
        if !self.device_number.starts_with("0:") {
            return device_number(&self.device_number);
        }
        match self.source.is_absolute().then(|| Object::at(&self.source))?? {
            Object::Device(number) => Some(number),
            Object::File { .. } => None,
        }
    }

    /// What follows `name=` in its options, the kernel's escapes undone.
    pub(super) fn option(&self, name: &str) -> Option<PathBuf> {
        let mut options = self.options.split(',').filter_map(|option| option.split_once('='));
        options.find(|(key, _)| *key == name).map(|(_, value)| unescape(value.as_bytes()))
    }
}

/// Devices and files that the kernel swaps to. `proc` is where procfs is mounted.
///
/// # Errors
/// When `swaps` exists and cannot be read; a kernel without swap has no such file.
pub fn swaps(proc: &Path) -> Result<Vec<PathBuf>, DiskError> {
    let path = proc.join("swaps");
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(DiskError::io("reading", path)(error)),
    };
    let lines = text.split(|byte| *byte == b'\n').skip(1);
    let names = lines.filter_map(|line| line.split(u8::is_ascii_whitespace).next());
    Ok(names.filter(|name| !name.is_empty()).map(unescape).collect())
}

/// Undoes the kernel's octal escapes of blank, tab, newline and backslash (`\040`).
fn unescape(field: &[u8]) -> PathBuf {
    let mut path = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, tail)) = rest.split_first() {
        match octal_byte(rest) {
            Some(byte) => {
                path.push(byte);
                rest = rest.get(4..).unwrap_or_default();
            }
            None => {
                path.push(*first);
                rest = tail;
            }
        }
    }
    std::ffi::OsString::from_vec(path).into()
}

fn octal_byte(bytes: &[u8]) -> Option<u8> {
    let digits = bytes.get(1..4).filter(|_| bytes.first() == Some(&b'\\'))?;
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()
}

/// A mounted filesystem; dropping it unmounts it and protects its device again.
#[derive(Debug)]
pub struct Mounted {
    dir: Option<PathBuf>,
    /// Put back after unmounting, hence dropped with the struct's fields.
    _protection: Option<WriteLift>,
}

impl Mounted {
    /// Where it is mounted; empty once it is unmounted.
    pub fn dir(&self) -> &Path {
        self.dir.as_deref().unwrap_or(Path::new(""))
    }

    /// Unmounts now and says how that went.
    ///
    /// # Errors
    /// When files on it are still open; it then stays mounted.
    pub fn unmount(mut self) -> Result<(), DiskError> {
        let Some(dir) = self.dir.take() else { return Ok(()) };
        umount2(&dir, MntFlags::empty()).map_err(|errno| {
            self.dir = Some(dir.clone());
            DiskError::io("unmounting", dir)(errno)
        })
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Some(dir) = self.dir.take()
            && umount2(&dir, MntFlags::empty()).is_err()
        {
            // Still in use: it disappears from the tree now and is released with the last file.
            let _ = umount2(&dir, MntFlags::MNT_DETACH);
        }
    }
}

/// How a filesystem is mounted.
struct Way {
    /// The kernel's name of the filesystem.
    kind: &'static str,
    /// Mount options of this filesystem.
    options: &'static str,
}

/// Whether [`mount_read_only`] knows this kind of filesystem.
pub fn can_mount_read_only(fs_kind: &str) -> bool {
    read_only_way(fs_kind).is_some()
}

/// Whether [`mount_read_write`] knows this kind of filesystem.
pub fn can_mount_read_write(fs_kind: &str) -> bool {
    read_write_way(fs_kind).is_some()
}

/// What mount(8) has to be told to mount as [`mount_read_only`] does, or with `write` as
/// [`mount_read_write`] does: `-t ext4 -o ro,noload`. BusyBox does not find out the kind by itself
/// while the kernel has not loaded its driver. `None` for a kind that is not mounted so.
pub fn mount_words(fs_kind: &str, write: bool) -> Option<String> {
    let Way { kind, options } = match write {
        true => read_write_way(fs_kind)?,
        false => read_only_way(fs_kind)?,
    };
    let ro = (!write).then_some("ro");
    let options: Vec<&str> =
        ro.into_iter().chain(Some(options).filter(|options| !options.is_empty())).collect();
    Some(match options.is_empty() {
        true => format!("-t {kind}"),
        false => format!("-t {kind} -o {}", options.join(",")),
    })
}

/// How to mount so that not even a journal is replayed. Options from the kernel's
/// `Documentation/filesystems` and `Documentation/admin-guide`.
fn read_only_way(kind: &str) -> Option<Way> {
    let (kind, options) = match kind {
        // The ext4 driver reads all three, and only there `noload` is known.
        "ext2" | "ext3" | "ext4" => ("ext4", "noload"),
        // nouuid: a clone of a mounted filesystem is wanted as well.
        "xfs" => ("xfs", "norecovery,nouuid"),
        "btrfs" => ("btrfs", "rescue=nologreplay"),
        "f2fs" => ("f2fs", "norecovery"),
        "ntfs" | "ntfs3" => ("ntfs3", ""),
        "fat" | "fat12" | "fat16" | "fat32" | "vfat" => ("vfat", "utf8"),
        "exfat" => ("exfat", ""),
        "iso9660" => ("iso9660", ""),
        "squashfs" => ("squashfs", ""),
        "udf" => ("udf", ""),
        _ => return None,
    };
    Some(Way { kind, options })
}

/// How to mount for writing what images can be stored on.
fn read_write_way(kind: &str) -> Option<Way> {
    let (kind, options) = match kind {
        "ext2" | "ext3" | "ext4" => ("ext4", ""),
        "xfs" => ("xfs", ""),
        "btrfs" => ("btrfs", ""),
        "f2fs" => ("f2fs", ""),
        "ntfs" | "ntfs3" => ("ntfs3", ""),
        "fat" | "fat12" | "fat16" | "fat32" | "vfat" => ("vfat", "utf8"),
        "exfat" => ("exfat", ""),
        _ => return None,
    };
    Some(Way { kind, options })
}

/// Mounts `device` at `dir` (created if need be) so that nothing on the device changes: no
/// journal is replayed, no log recovered, no access time written.
///
/// # Errors
/// For a filesystem for which that is not possible, or when the kernel refuses.
pub fn mount_read_only(device: &Path, fs_kind: &str, dir: &Path) -> Result<Mounted, DiskError> {
    let way = read_only_way(fs_kind).ok_or_else(|| cannot(device, fs_kind, "read-only"))?;
    let flags = safe_flags() | MsFlags::MS_RDONLY;
    attach(device, &way, dir, flags)?;
    Ok(Mounted { dir: Some(dir.to_owned()), _protection: None })
}

/// Mounts `device` at `dir` (created if need be) for writing: the place for new images. The
/// write protection of `disk`, on which the device lies, is lifted for as long as it is mounted.
///
/// # Errors
/// For a filesystem that is not written to, or when the kernel refuses.
pub fn mount_read_write(
    disk: &Path,
    device: &Path,
    fs_kind: &str,
    dir: &Path,
) -> Result<Mounted, DiskError> {
    let way = read_write_way(fs_kind).ok_or_else(|| cannot(device, fs_kind, "for writing"))?;
    let protection = WriteLift::new(disk)?;
    attach(device, &way, dir, safe_flags())?;
    Ok(Mounted { dir: Some(dir.to_owned()), _protection: protection })
}

fn safe_flags() -> MsFlags {
    MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC | MsFlags::MS_NOATIME
}

fn attach(device: &Path, way: &Way, dir: &Path, flags: MsFlags) -> Result<(), DiskError> {
    fs::create_dir_all(dir).map_err(DiskError::io("creating", dir))?;
    let policy = on_damage(way.kind, flags.contains(MsFlags::MS_RDONLY));
    let options: Vec<&str> =
        [way.options, policy].into_iter().filter(|options| !options.is_empty()).collect();
    let options = Some(options.join(",")).filter(|options| !options.is_empty());
    let mounted = mount(Some(device), dir, Some(way.kind), flags, options.as_deref());
    mounted.map_err(|errno| {
        let missing = || format!("this system's kernel has no driver for {}", way.kind);
        let error = match errno {
            Errno::ENODEV => io::Error::other(missing()),
            errno => errno.into(),
        };
        DiskError::io("mounting", device)(error)
    })
}

/// What the kernel does when it meets damage. The superblock of an ext4 may ask for a panic
/// (ext4(5), `errors=`), which would stop the whole system; FAT and exFAT know the same options.
fn on_damage(kind: &str, read_only: bool) -> &'static str {
    match (kind, read_only) {
        ("ext4" | "vfat" | "exfat", true) => "errors=continue",
        ("ext4" | "vfat" | "exfat", false) => "errors=remount-ro",
        _ => "",
    }
}

fn cannot(device: &Path, kind: &str, how: &'static str) -> DiskError {
    DiskError::CannotMount { device: device.to_owned(), kind: kind.to_owned(), how }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn mountinfo_with_optional_fields_and_escapes() {
        let line = b"36 35 8:1 / /mnt/my\\040disk rw,noatime master:1 shared:2 - ext4 /dev/sda1 rw";
        let mount = parse_mount(line).unwrap();
        assert_eq!(mount.device_number, "8:1");
        assert_eq!(mount.mountpoint.as_os_str().as_bytes(), b"/mnt/my disk");
        assert_eq!((mount.kind.as_str(), mount.source), ("ext4", PathBuf::from("/dev/sda1")));
        assert_eq!(mount.options, "rw");
        assert_eq!(parse_mount(b"36 35 8:1 / /mnt rw"), None);
        assert_eq!(parse_mount(b""), None);
    }

    #[test]
    fn what_a_shell_has_to_say_leaves_the_journal_alone_too() {
        assert_eq!(mount_words("ext3", false).as_deref(), Some("-t ext4 -o ro,noload"));
        assert_eq!(mount_words("ext4", true).as_deref(), Some("-t ext4"));
        assert_eq!(mount_words("ntfs", false).as_deref(), Some("-t ntfs3 -o ro"));
        assert_eq!(mount_words("fat32", true).as_deref(), Some("-t vfat -o utf8"));
        assert_eq!(mount_words("squashfs", true), None);
    }

    #[test]
    fn backslashes_that_are_no_escape_stay() {
        assert_eq!(unescape(b"a\\04"), PathBuf::from("a\\04"));
        assert_eq!(unescape(b"a\\134b"), PathBuf::from("a\\b"));
        assert_eq!(unescape(b"\\777"), PathBuf::from("\\777"));
    }
}
