//! The kernel's read-only flag on every disk.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use crate::console;
use crate::disk::ioctl;

/// Sets disks read-only when they come, each once: a disk whose flag was lifted for a confirmed
/// target must keep what it was given, even when announcements were lost and all disks are looked
/// at again.
pub(super) struct Protector {
    /// Where the kernel lists disks: `/sys/block`.
    block: PathBuf,
    /// Name and sequence number; another disk under the same name has another number.
    seen: HashSet<(String, String)>,
}

impl Protector {
    /// Knows no disk yet.
    pub(super) fn new(block: &Path) -> Self {
        Self { block: block.to_owned(), seen: HashSet::new() }
    }

    /// Sets every disk read-only that is new.
    pub(super) fn protect_all(&mut self) {
        for entry in fs::read_dir(&self.block).into_iter().flatten().flatten() {
            if let Some(name) = entry.file_name().to_str() {
                self.protect(name);
            }
        }
    }

    /// Sets a disk read-only if it is new, and with it its partitions, those that come later too.
    /// Says on standard error when that fails.
    pub(super) fn protect(&mut self, name: &str) {
        if is_virtual(&self.block, name) || !self.is_new(name) {
            return;
        }
        match set_read_only(&Path::new("/dev").join(name)) {
            Ok(()) => {
                console::say(&format!("{name}: set read-only"));
                announce_change(&self.block, name);
            }
            Err(error) => {
                console::tell(&format!("{name}: could not be set read-only: {error}"));
            }
        }
    }

    fn is_new(&mut self, name: &str) -> bool {
        let sequence =
            fs::read_to_string(self.block.join(name).join("diskseq")).unwrap_or_default();
        self.seen.insert((name.to_owned(), sequence))
    }
}

/// Loop devices, RAM disks, device mapper, md: made by a person's own commands out of something
/// that is protected itself.
fn is_virtual(block: &Path, name: &str) -> bool {
    fs::canonicalize(block.join(name))
        .is_ok_and(|path| path.components().any(|part| part.as_os_str() == "virtual"))
}

fn set_read_only(device: &Path) -> io::Result<()> {
    // Not blocking: opens a card reader without a card too, whose flag then holds for the card.
    let disk: File =
        OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(device)?;
    ioctl::set_read_only(&disk, true)?;
    if ioctl::read_only(&disk)? {
        Ok(())
    } else {
        Err(io::Error::other("the kernel took the read-only flag and did not keep it"))
    }
}

/// Setting the flag announces nothing; whoever listed the disk before it was set is told so here.
fn announce_change(block: &Path, name: &str) {
    if let Err(error) = fs::write(block.join(name).join("uevent"), "change") {
        console::tell(&format!("{name}: announcing the change: {error}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_without_hardware_are_told_by_where_they_are() {
        let sys = tempfile::tempdir().unwrap();
        let block = sys.path().join("block");
        fs::create_dir(&block).unwrap();
        for (name, at) in [("loop0", "devices/virtual/block/loop0"), ("sda", "devices/pci0/sda")] {
            fs::create_dir_all(sys.path().join(at)).unwrap();
            std::os::unix::fs::symlink(Path::new("..").join(at), block.join(name)).unwrap();
        }
        assert!(is_virtual(&block, "loop0"));
        assert!(!is_virtual(&block, "sda"));
    }

    #[test]
    fn a_disk_is_new_once_and_another_under_its_name_is_new_again() {
        let block = tempfile::tempdir().unwrap();
        fs::create_dir(block.path().join("sda")).unwrap();
        fs::write(block.path().join("sda/diskseq"), "7\n").unwrap();
        let mut protector = Protector::new(block.path());
        assert!(protector.is_new("sda"));
        assert!(!protector.is_new("sda"));
        fs::write(block.path().join("sda/diskseq"), "8\n").unwrap();
        assert!(protector.is_new("sda"));
    }

    #[test]
    fn what_is_no_block_device_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(set_read_only(file.path()).is_err());
    }
}
