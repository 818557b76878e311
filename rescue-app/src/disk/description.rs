//! What is known of a disk.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::console;

/// Sector size of image files unless another is asked for, in bytes.
pub const DEFAULT_SECTOR_SIZE: u32 = 512;

/// Whether a disk is a device or a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskKind {
    /// A block device.
    Device,
    /// A plain file that holds a disk byte by byte.
    ImageFile,
}

/// How a disk is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// ATA over SATA or parallel cable.
    Sata,
    /// NVM Express.
    Nvme,
    /// USB mass storage, bulk-only or UAS.
    Usb,
    /// A virtual machine's virtio-blk or virtio-scsi disk.
    Virtio,
    /// SD card or eMMC.
    Mmc,
    /// SCSI of any other kind: parallel, RAID controllers, iSCSI.
    Scsi,
    /// Serial attached SCSI.
    Sas,
    /// A loop device.
    Loop,
    /// An image file.
    File,
    /// Anything else.
    Other,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Sata => "SATA",
            Self::Nvme => "NVMe",
            Self::Usb => "USB",
            Self::Virtio => "virtio",
            Self::Mmc => "MMC",
            Self::Scsi => "SCSI",
            Self::Sas => "SAS",
            Self::Loop => "loop",
            Self::File => "file",
            Self::Other => "other",
        })
    }
}

/// What uses a disk or a partition of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "use")]
pub enum Use {
    /// A filesystem on it is mounted.
    Mounted {
        /// The disk or partition.
        #[serde(serialize_with = "console::serialize_path")]
        device: PathBuf,
        /// Where it is mounted.
        #[serde(serialize_with = "console::serialize_path")]
        mountpoint: PathBuf,
    },
    /// The kernel swaps to it.
    Swap {
        /// The disk or partition.
        #[serde(serialize_with = "console::serialize_path")]
        device: PathBuf,
    },
    /// Another block device is built on it: device mapper (LVM, LUKS), md, loop.
    Holder {
        /// The disk, partition or image file.
        #[serde(serialize_with = "console::serialize_path")]
        device: PathBuf,
        /// The device built on it.
        #[serde(serialize_with = "console::serialize_path")]
        holder: PathBuf,
    },
    /// Something out of sight holds it, such as a mount in another mount namespace.
    Claimed {
        /// The disk or partition.
        #[serde(serialize_with = "console::serialize_path")]
        device: PathBuf,
        /// What it is, in words.
        by: String,
    },
    /// A program has the image file open, such as a virtual machine whose disk it is.
    Open {
        /// The image file.
        #[serde(serialize_with = "console::serialize_path")]
        file: PathBuf,
        /// Who it is, as far as it can be told: "qemu-system-x86 (process 4711)".
        by: String,
        /// Whether it may write to it.
        writes: bool,
    },
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mounted { device, mountpoint } => {
                write!(f, "{} is mounted at {}", console::path(device), console::path(mountpoint))
            }
            Self::Swap { device } => write!(f, "{} is used as swap", console::path(device)),
            Self::Holder { device, holder } => {
                write!(f, "{} is in use by {}", console::path(device), console::path(holder))
            }
            Self::Claimed { device, by } => {
                write!(f, "{} is in use by {by}", console::path(device))
            }
            Self::Open { file, by, .. } => write!(f, "{} is in use by {by}", console::path(file)),
        }
    }
}

impl Use {
    /// What a person can do about it.
    pub fn way_out(&self) -> String {
        match self {
            Self::Mounted { mountpoint, .. } => {
                format!("unmount it: umount {}", console::path(mountpoint))
            }
            Self::Swap { device } => format!("switch it off: swapoff {}", console::path(device)),
            Self::Holder { .. } => "close what uses it (LVM, LUKS, RAID or a loop device)".into(),
            Self::Claimed { .. } => {
                "end what uses it ('lsns -t mnt' shows mount namespaces)".into()
            }
            Self::Open { .. } => "shut the machine down, or end that program".into(),
        }
    }
}

/// Why a disk is not free to be written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Busy {
    /// The running system was started from it.
    BootMedium,
    /// Something uses it.
    Used(Use),
}

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BootMedium => f.write_str("Lifeboat was started from it"),
            Self::Used(found) => found.fmt(f),
        }
    }
}

/// A whole disk, or an image file taken for one, as it was when it was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Device node or absolute path of the image file.
    #[serde(serialize_with = "console::serialize_path")]
    pub path: PathBuf,
    /// Device or file.
    pub kind: DiskKind,
    /// Model name, as complete as the device tells it.
    pub model: Option<String>,
    /// Serial number.
    pub serial: Option<String>,
    /// World wide name: `naa.…`, `eui.…`, `nvme.…`, `uuid.…` as sysfs writes it.
    pub wwn: Option<String>,
    /// Size in bytes.
    pub size: u64,
    /// Logical sector size in bytes: the unit of its partition table.
    pub logical_sector: u32,
    /// Physical sector size in bytes.
    pub physical_sector: u32,
    /// How it is attached.
    pub transport: Transport,
    /// Whether the medium can be taken out.
    pub removable: bool,
    /// Whether the kernel refuses writes at present. At boot every disk is set so.
    pub read_only: bool,
    /// Whether the running system was started from it.
    pub boot_medium: bool,
    /// What uses it or a partition of it; empty when it is free.
    pub uses: Vec<Use>,
}

impl Disk {
    /// One that is put together from what is in a folder, before its size is known.
    pub fn of_folder(path: &Path, name: String) -> Self {
        Self {
            path: path.to_owned(),
            kind: DiskKind::ImageFile,
            model: Some(name),
            serial: None,
            wwn: None,
            size: 0,
            logical_sector: DEFAULT_SECTOR_SIZE,
            physical_sector: DEFAULT_SECTOR_SIZE,
            transport: Transport::File,
            removable: false,
            read_only: true,
            boot_medium: false,
            uses: Vec::new(),
        }
    }

    /// Why nothing may be written to it, whatever it is.
    pub fn busy(&self) -> Option<Busy> {
        match self.boot_medium {
            true => Some(Busy::BootMedium),
            false => self.uses.first().cloned().map(Busy::Used),
        }
    }

    /// The same disk, judged by its uses alone: for work that adds to the boot medium and leaves what it
    /// is started from as it is.
    #[must_use]
    pub fn apart_from_the_medium(&self) -> Self {
        Self { boot_medium: false, ..self.clone() }
    }

    /// The device node of partition `number` as the kernel names it (`sda1`, `nvme0n1p1`);
    /// `None` for image files.
    pub fn partition_path(&self, number: u32) -> Option<PathBuf> {
        if self.kind == DiskKind::ImageFile {
            return None;
        }
        let mut path = self.path.as_os_str().to_owned();
        // The kernel's rule (block/partitions/core.c): a "p" when the disk's name ends in a digit.
        if path.as_encoded_bytes().last().is_some_and(u8::is_ascii_digit) {
            path.push("p");
        }
        path.push(number.to_string());
        Some(path.into())
    }
}
