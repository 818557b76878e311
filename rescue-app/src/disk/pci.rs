//! Storage controllers that no driver has taken: why a disk may be missing from the list.

use std::fs;
use std::path::Path;

use serde::Serialize;

/// PCI base class of mass storage controllers (PCI Code and ID Assignment Specification, 1.2).
const MASS_STORAGE: u32 = 0x01;
const INTEL: u16 = 0x8086;

/// Intel Volume Management Devices, by PCI device id (Linux `drivers/pci/controller/vmd.c`).
const VMD_IDS: [u16; 10] =
    [0x201d, 0x28c0, 0x467f, 0x4c3d, 0x7d0b, 0x9a0b, 0xa77f, 0xad0b, 0xb06f, 0xb60b];

/// A storage controller that works, if at all, without its disks being seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Controller {
    /// PCI address: `0000:00:0e.0`.
    pub address: String,
    /// PCI vendor id.
    pub vendor: u16,
    /// PCI device id.
    pub device: u16,
    /// Class code: base class, subclass, programming interface, one byte each.
    pub class: u32,
    /// The class in words.
    pub class_name: &'static str,
    /// NVMe disks that an AHCI controller in RST mode hides behind itself.
    pub hidden_nvme: u32,
    /// What the person can do about it.
    pub hint: Option<&'static str>,
}

const VMD_HINT: &str = "Intel VMD hides the NVMe disks of this machine. If they are not in the \
    list, switch VMD off in the firmware setup (Storage, VMD controller). An installed Windows \
    then needs the change announced first (safe mode once), or switch VMD back on afterwards.";
const RST_HINT: &str = "Intel RST (RAID mode) hides the disks of this machine. Switch the storage \
    mode from RAID/RST to AHCI/NVMe in the firmware setup. An installed Windows then needs the \
    change announced first (safe mode once), or switch RST back on afterwards.";

/// Storage controllers without a driver, and AHCI controllers that hide NVMe disks. `sys` is
/// where sysfs is mounted; a machine without PCI has none.
pub fn silent_controllers(sys: &Path) -> Vec<Controller> {
    let Ok(entries) = fs::read_dir(sys.join("bus/pci/devices")) else { return Vec::new() };
    let mut found: Vec<Controller> =
        entries.filter_map(|entry| controller(&entry.ok()?.path())).collect();
    found.sort_by(|one, other| one.address.cmp(&other.address));
    found
}

fn controller(dir: &Path) -> Option<Controller> {
    let class = hex(dir, "class")?;
    if class >> 16 != MASS_STORAGE {
        return None;
    }
    // The ahci driver counts there the NVMe disks that RST keeps behind the controller.
    let hidden_nvme = attribute(dir, "remapped_nvme").and_then(|n| n.parse().ok()).unwrap_or(0);
    if dir.join("driver").exists() && hidden_nvme == 0 {
        return None;
    }
    let vendor = u16::try_from(hex(dir, "vendor")?).ok()?;
    let device = u16::try_from(hex(dir, "device")?).ok()?;
    Some(Controller {
        address: dir.file_name()?.to_string_lossy().into_owned(),
        vendor,
        device,
        class,
        class_name: class_name(class),
        hidden_nvme,
        hint: hint(vendor, device, class, hidden_nvme),
    })
}

fn hint(vendor: u16, device: u16, class: u32, hidden_nvme: u32) -> Option<&'static str> {
    if vendor != INTEL {
        return None;
    }
    if VMD_IDS.contains(&device) {
        return Some(VMD_HINT);
    }
    (class >> 8 == 0x0104 || hidden_nvme > 0).then_some(RST_HINT)
}

/// Subclasses of mass storage, named as the specification does.
fn class_name(class: u32) -> &'static str {
    match class >> 8 & 0xff {
        0x00 => "SCSI controller",
        0x01 => "IDE controller",
        0x02 => "floppy controller",
        0x04 => "RAID controller",
        0x05 => "ATA controller",
        0x06 => "SATA controller",
        0x07 => "SAS controller",
        0x08 => "NVMe controller",
        0x09 => "UFS controller",
        _ => "mass storage controller",
    }
}

fn attribute(dir: &Path, name: &str) -> Option<String> {
    Some(fs::read_to_string(dir.join(name)).ok()?.trim().to_owned())
}

fn hex(dir: &Path, name: &str) -> Option<u32> {
    u32::from_str_radix(attribute(dir, name)?.strip_prefix("0x")?, 16).ok()
}
