//! How long the kernel waits for an answer of a disk.
//!
//! ATA and USB disks are SCSI disks to Linux. A command that is not answered in time is aborted,
//! the disk is reset, and the command is sent again, five times at most (`SD_TIMEOUT` and
//! `SD_MAX_RETRIES` in drivers/scsi/sd.h): with the usual 30 seconds, one sector of a dying disk
//! takes minutes. The time is `timeout` in the device's folder in sysfs, in seconds.

use std::fs;
use std::path::{Path, PathBuf};

use super::Sysfs;
use super::attributes::number;

/// Seconds to wait for a disk that has failed. Disks with error recovery control give up by
/// themselves before that: 7 seconds is what they are usually set to.
const SHORT: u64 = 10;

/// A disk that is waited for shorter than usual, until this is dropped.
#[derive(Debug)]
pub struct ShortTimeout {
    attribute: PathBuf,
    /// Seconds.
    before: u64,
}

impl Sysfs {
    /// Whether the running system is our boot medium: nothing else then uses its disks.
    pub fn is_boot_medium(&self) -> bool {
        super::boot_medium::marker(&self.proc).is_some()
    }

    /// Has the kernel give up sooner on a disk that does not answer. Only on the boot medium;
    /// `None` elsewhere, for what is no SCSI disk, and when the time is short already.
    pub fn shorten_timeout(&self, device: &Path) -> Option<ShortTimeout> {
        let folder = self.sys.join("block").join(device.file_name()?).join("device");
        let before = number(&folder, "timeout").filter(|seconds| *seconds > SHORT)?;
        let attribute = folder.join("timeout");
        let set = self.is_boot_medium() && fs::write(&attribute, SHORT.to_string()).is_ok();
        set.then(|| ShortTimeout { attribute, before })
    }
}

impl Drop for ShortTimeout {
    fn drop(&mut self) {
        // The disk may be gone by now, and its folder with it.
        let _ = fs::write(&self.attribute, self.before.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine with two disks, one of them SCSI; `cmdline` is what its kernel was given.
    fn machine(folder: &Path, cmdline: &str, timeout: &str) -> Sysfs {
        let [sys, proc, dev] = ["sys", "proc", "dev"].map(|name| folder.join(name));
        for made in [sys.join("block/sda/device"), sys.join("block/nvme0n1/device"), proc.clone()] {
            fs::create_dir_all(made).unwrap();
        }
        fs::write(sys.join("block/sda/device/timeout"), timeout).unwrap();
        fs::write(proc.join("cmdline"), cmdline).unwrap();
        Sysfs { sys, proc, dev }
    }

    #[test]
    fn the_time_is_short_for_a_while_and_only_on_the_boot_medium() {
        let folder = tempfile::tempdir().unwrap();
        let timeout = || fs::read_to_string(folder.path().join("sys/block/sda/device/timeout"));
        let ours = "quiet lifeboat.medium=LIFEBOAT";
        let sysfs = machine(folder.path(), ours, "30\n");
        let short = sysfs.shorten_timeout(Path::new("/dev/sda")).unwrap();
        assert_eq!(timeout().unwrap(), "10");
        drop(short);
        assert_eq!(timeout().unwrap(), "30");
        for none in ["/dev/nvme0n1", "/dev/sdb", "/srv/disk.img", "/"] {
            assert!(sysfs.shorten_timeout(Path::new(none)).is_none(), "{none}");
        }
        // Somebody else's system, and a time that is short already.
        for (cmdline, seconds) in [("quiet root=/dev/sda1", "30\n"), (ours, "7\n")] {
            let sysfs = machine(folder.path(), cmdline, seconds);
            assert!(sysfs.shorten_timeout(Path::new("/dev/sda")).is_none());
            assert_eq!(timeout().unwrap(), seconds);
        }
    }
}
