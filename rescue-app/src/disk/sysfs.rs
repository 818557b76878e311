//! Enumerating disks from sysfs and procfs, where the kernel describes its block devices
//! (`Documentation/ABI/stable/sysfs-block`).

use std::fs;
use std::os::linux::fs::MetadataExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::stat::{major, minor};

use crate::console;

use super::attributes::{self, number, text};
use super::{DEFAULT_SECTOR_SIZE, Disk, DiskError, DiskKind, Object, Transport, boot_medium, uses};

/// sysfs counts in these, whatever the sector size of the disk.
const SYSFS_SECTOR: u64 = 512;

/// How long it is waited before the medium is looked for again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Kernel names of block devices that are no disks of their own.
const NO_DISKS: [&str; 9] =
    ["ram", "zram", "dm-", "md", "fd", "mtdblock", "ubiblock", "zd", "drbd"];

/// Where the kernel describes the machine. Tests point it at a tree of their own.
#[derive(Clone, Debug)]
pub struct Sysfs {
    /// Where sysfs is mounted.
    pub sys: PathBuf,
    /// Where procfs is mounted.
    pub proc: PathBuf,
    /// Where device nodes are.
    pub dev: PathBuf,
}

impl Sysfs {
    /// The running system's `/sys`, `/proc` and `/dev`.
    pub fn host() -> Self {
        Self { sys: "/sys".into(), proc: "/proc".into(), dev: "/dev".into() }
    }

    /// As [`super::list`].
    ///
    /// # Errors
    /// When `block` in sysfs cannot be read.
    pub fn list(&self) -> Result<Vec<Disk>, DiskError> {
        let block = self.sys.join("block");
        let entries = fs::read_dir(&block).map_err(DiskError::io("reading", &block))?;
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| is_disk_name(name) && !is_optical(&block.join(name)))
            .collect();
        // Shorter first, so that sdaa comes after sdz and nvme10n1 after nvme9n1.
        names.sort_by_key(|name| (stem(name), name.len(), name.clone()));
        let used = uses::InUse::read(self)?;
        let medium = boot_medium::marker(&self.proc);
        if medium.is_some() {
            names.retain(|name| !boot_medium::is_own_programs(&block.join(name)));
        }
        let disk = |name: &String| self.disk(name, &used, medium.as_deref());
        Ok(names.iter().filter_map(disk).collect())
    }

    /// The device, stick or disc, that the running system was started from; `None` when that was
    /// something else than our medium, or when it was pulled out. It is waited for as long as `patience`: the
    /// system runs from memory, and may be up before the kernel has found all drives.
    pub fn medium(&self, patience: Duration) -> Option<PathBuf> {
        let (id, begun) = (boot_medium::marker(&self.proc)?, Instant::now());
        loop {
            let found = self.drive_with(&id);
            if found.is_some() || begun.elapsed() >= patience {
                return found;
            }
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// The device with the medium of that volume id.
    fn drive_with(&self, id: &str) -> Option<PathBuf> {
        let entries = fs::read_dir(self.sys.join("block")).ok()?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut nodes: Vec<PathBuf> =
            names.filter(|name| is_disk_name(name)).map(|name| self.node(&name)).collect();
        nodes.sort();
        nodes.into_iter().find(|node| boot_medium::is_on(node, id))
    }

    /// As [`super::open`].
    ///
    /// # Errors
    /// As [`super::open`].
    pub fn open(&self, path: &Path, sector_size: Option<u32>) -> Result<Disk, DiskError> {
        let real = match path.canonicalize() {
            Ok(real) => real,
            Err(_) => return self.by_identity(path, sector_size),
        };
        let meta = fs::metadata(&real).map_err(DiskError::io("looking at", path))?;
        if meta.file_type().is_block_device() {
            let disk = self.device(&real, meta.st_rdev())?;
            return checked_sector(disk, sector_size);
        }
        if !meta.is_file() {
            return Err(DiskError::NotADisk { path: path.to_owned() });
        }
        self.image_file(real, &meta, sector_size)
    }

    /// What is open: `meta` are those of the descriptor, `path` is only how it is called. Sectors of an
    /// image file have `sector_size` bytes.
    pub(super) fn of_open(
        &self,
        meta: &fs::Metadata,
        path: &Path,
        sector_size: u32,
    ) -> Result<Disk, DiskError> {
        match meta.file_type().is_block_device() {
            true => self.device(path, meta.st_rdev()),
            false => self.image_file(path.to_owned(), meta, Some(sector_size)),
        }
    }

    /// The directory of the block device of that number.
    pub(super) fn dir_of(&self, number: u64) -> Option<PathBuf> {
        let link = self.sys.join(format!("dev/block/{}:{}", major(number), minor(number)));
        link.canonicalize().ok()
    }

    /// A name as udev would put under `/dev/disk/by-id`, were it here.
    fn by_identity(&self, path: &Path, sector_size: Option<u32>) -> Result<Disk, DiskError> {
        let missing = || DiskError::NotFound { path: path.to_owned() };
        let by_id = path.strip_prefix("/dev/disk/by-id").map_err(|_| missing())?;
        let name = by_id.to_str().ok_or_else(missing)?;
        let mut found: Vec<Disk> =
            self.list()?.into_iter().filter(|disk| disk.matches_identity(name)).collect();
        let disk = found.pop().ok_or_else(missing)?;
        if found.is_empty() {
            return checked_sector(disk, sector_size);
        }
        found.push(disk);
        let paths: Vec<String> = found.iter().map(|d| console::path(&d.path)).collect();
        Err(DiskError::Ambiguous { name: name.to_owned(), disks: paths.join(", ") })
    }

    /// A disk by its device number.
    fn device(&self, path: &Path, rdev: u64) -> Result<Disk, DiskError> {
        let missing = || DiskError::NotFound { path: path.to_owned() };
        let dir = self.dir_of(rdev).ok_or_else(missing)?;
        let name_of = |dir: &Path| Some(dir.file_name()?.to_str()?.to_owned());
        if dir.join("partition").exists() {
            let disk = dir.parent().and_then(name_of).ok_or_else(missing)?;
            let disk = self.node(&disk);
            return Err(DiskError::IsPartition { path: path.to_owned(), disk });
        }
        let name = name_of(&dir).ok_or_else(missing)?;
        let used = uses::InUse::read(self)?;
        let medium = boot_medium::marker(&self.proc);
        self.disk(&name, &used, medium.as_deref()).ok_or_else(missing)
    }

    fn image_file(
        &self,
        path: PathBuf,
        meta: &fs::Metadata,
        sector_size: Option<u32>,
    ) -> Result<Disk, DiskError> {
        let sector = sector_size.unwrap_or(DEFAULT_SECTOR_SIZE);
        if !matches!(sector, 512 | 1024 | 2048 | 4096) {
            let why = "512, 1024, 2048 and 4096 are".into();
            return Err(DiskError::SectorSize { path, asked: sector, why });
        }
        let writable = nix::unistd::access(&path, nix::unistd::AccessFlags::W_OK).is_ok();
        let uses = uses::InUse::read(self)?.of_file(self, Object::of(meta), &path);
        Ok(Disk {
            path,
            kind: DiskKind::ImageFile,
            model: None,
            serial: None,
            wwn: None,
            size: meta.len(),
            logical_sector: sector,
            physical_sector: sector,
            transport: Transport::File,
            removable: false,
            read_only: !writable,
            boot_medium: false,
            uses,
        })
    }

    /// `None` when the device has no size, or went away.
    fn disk(&self, name: &str, used: &uses::InUse, medium: Option<&str>) -> Option<Disk> {
        let dir = self.sys.join("block").join(name).canonicalize().ok()?;
        // A path of a multipath NVMe disk is hidden: it has no node, the disk itself is listed.
        if number(&dir, "hidden") == Some(1) {
            return None;
        }
        let size = number(&dir, "size")?.checked_mul(SYSFS_SECTOR).filter(|size| *size > 0)?;
        let node = self.node(name);
        let who = attributes::identify(name, &dir);
        let sector = |attribute| {
            number(&dir.join("queue"), attribute)
                .and_then(|bytes| u32::try_from(bytes).ok())
                .unwrap_or(DEFAULT_SECTOR_SIZE)
        };
        Some(Disk {
            kind: DiskKind::Device,
            model: who.model,
            serial: who.serial,
            wwn: who.wwn,
            size,
            logical_sector: sector("logical_block_size"),
            physical_sector: sector("physical_block_size"),
            transport: who.transport,
            removable: number(&dir, "removable") == Some(1),
            read_only: number(&dir, "ro") == Some(1),
            boot_medium: medium.is_some_and(|id| boot_medium::is_on(&node, id)),
            uses: used.of_device(self, &dir),
            path: node,
        })
    }

    /// The node of a kernel name; the kernel writes `!` for `/` (`cciss!c0d0`).
    pub(super) fn node(&self, name: &str) -> PathBuf {
        self.dev.join(name.replace('!', "/"))
    }
}

/// What SCSI (`sdev_states` in drivers/scsi/scsi_sysfs.c) and NVMe (drivers/nvme/host/sysfs.c)
/// call a device that answers no more.
const DEAD_STATES: [&str; 6] =
    ["offline", "transport-offline", "cancel", "deleted", "dead", "deleting"];

/// Whether the block device of that number has left the tree at `sys`, or is known to be dead.
pub(super) fn is_gone(sys: &Path, rdev: u64) -> bool {
    let dir = sys.join(format!("dev/block/{}:{}", major(rdev), minor(rdev)));
    let state = text(&dir, "device/state");
    !dir.exists() || state.is_some_and(|state| DEAD_STATES.contains(&state.as_str()))
}

/// The device has one sector size; another one asked for is a mistake to be told.
fn checked_sector(disk: Disk, asked: Option<u32>) -> Result<Disk, DiskError> {
    match asked {
        Some(asked) if asked != disk.logical_sector => Err(DiskError::SectorSize {
            why: format!("the device has {}", disk.logical_sector),
            path: disk.path,
            asked,
        }),
        _ => Ok(disk),
    }
}

/// SCSI peripheral device type 5 (SPC-4, table 138). Whether a disc is in the drive only opening it
/// would tell, which pulls an open tray in.
fn is_optical(dir: &Path) -> bool {
    text(dir, "device/type").as_deref() == Some("5")
}

fn is_disk_name(name: &str) -> bool {
    let other = NO_DISKS.iter().any(|prefix| name.starts_with(prefix));
    // The hardware partitions of an eMMC are firmware, not disks.
    let firmware = name.starts_with("mmcblk") && (name.contains("boot") || name.contains("rpmb"));
    !other && !firmware
}

/// The letters at the front of a name: `sd` of `sda` is not told from `sda`, but `nvme`, `sd`,
/// `vd` and `mmcblk` are kept apart.
fn stem(name: &str) -> String {
    let letters: String = name.chars().take_while(char::is_ascii_alphabetic).collect();
    match letters.get(..2) {
        Some(two @ ("sd" | "vd" | "hd")) => two.to_owned(),
        _ => letters,
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::stat::makedev;

    use super::*;

    #[test]
    fn a_device_is_gone_when_its_node_is_or_the_kernel_gave_it_up() {
        let sys = tempfile::tempdir().unwrap();
        let device = sys.path().join("dev/block/8:16/device");
        fs::create_dir_all(&device).unwrap();
        let gone = || is_gone(sys.path(), makedev(8, 16));
        assert!(!gone());
        for (state, expected) in [("running\n", false), ("live\n", false), ("offline\n", true)] {
            fs::write(device.join("state"), state).unwrap();
            assert_eq!(gone(), expected, "{state}");
        }
        assert!(is_gone(sys.path(), makedev(8, 32)));
    }
}
