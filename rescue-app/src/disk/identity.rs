//! Naming a disk by what it is instead of where it is plugged in.

use std::path::Path;

use crate::console;

use super::{Disk, DiskKind, Object, Transport};

/// Where udev keeps its links; the prefix may be written in front of a name.
const BY_ID: &str = "/dev/disk/by-id/";

impl Disk {
    /// Model and serial number for a person's eyes: `Samsung SSD 870 (S5Y1NJ0R)`; for an image
    /// file its path.
    pub fn identity(&self) -> String {
        if self.kind == DiskKind::ImageFile {
            return console::path(&self.path);
        }
        let model = self.model.clone().unwrap_or_else(|| format!("{} disk", self.transport));
        let mark = self.serial.as_deref().or(self.wwn.as_deref());
        match mark {
            Some(mark) => format!("{model} ({mark})"),
            None => format!("{model} at {}", console::path(&self.path)),
        }
    }

    /// Whether `name` names this disk for good: its serial number, its WWN (with or without
    /// `wwn-`, `0x`, `naa.`, `eui.`), a name as under `/dev/disk/by-id`, for an image file its
    /// path, for a logical volume a path with its name (`/dev/vg/root`). A device node such as
    /// `/dev/sda` does not: it names another disk after the next boot.
    pub fn matches_identity(&self, name: &str) -> bool {
        let name = name.trim();
        if name.is_empty() {
            return false;
        }
        if self.kind == DiskKind::ImageFile {
            return same_file(&self.path, Path::new(name));
        }
        let name = name.strip_prefix(BY_ID).unwrap_or(name);
        if self.is_mapped() && Path::new(name).is_absolute() {
            return !is_mapper_number(name) && same_file(&self.path, Path::new(name));
        }
        let is_serial = self.serial.as_deref().is_some_and(|serial| serial == name);
        is_serial || self.is_wwn(name) || self.by_id_names().iter().any(|known| known == name)
    }

    /// The names udev would give the disk under `/dev/disk/by-id` (rules
    /// `60-persistent-storage.rules`), computed from sysfs since no udev runs here.
    pub fn by_id_names(&self) -> Vec<String> {
        let mut names = Vec::new();
        let prefix = match self.transport {
            Transport::Sata => "ata",
            Transport::Nvme => "nvme",
            Transport::Usb => "usb",
            Transport::Virtio => "virtio",
            Transport::Mmc => "mmc",
            Transport::Scsi | Transport::Sas => "scsi",
            Transport::Loop | Transport::File | Transport::Other => "",
        };
        if let (Some(serial), false) = (&self.serial, prefix.is_empty()) {
            let serial = udev_name(serial);
            if let Some(model) = &self.model {
                names.push(format!("{prefix}-{}_{serial}", udev_name(model)));
            }
            if self.transport == Transport::Usb {
                names = self.model.iter().flat_map(|model| usb_names(model, &serial)).collect();
            }
            if matches!(self.transport, Transport::Virtio | Transport::Scsi | Transport::Sas) {
                names.push(format!("{prefix}-{serial}"));
            }
        }
        if let Some(wwn) = &self.wwn {
            match self.transport {
                Transport::Nvme => names.push(format!("nvme-{wwn}")),
                _ => names.push(format!("wwn-0x{}", bare_wwn(wwn))),
            }
        }
        names
    }

    /// Whether it is one of device mapper, such as a logical volume: these have lasting names.
    fn is_mapped(&self) -> bool {
        self.path.file_name().is_some_and(|name| is_mapper_number(&name.to_string_lossy()))
    }

    fn is_wwn(&self, name: &str) -> bool {
        let wanted = bare_wwn(name);
        !wanted.is_empty() && self.wwn.as_deref().is_some_and(|wwn| bare_wwn(wwn) == wanted)
    }
}

/// Whether a path or name is the kernel's `dm-0`, which is another volume's after the next start.
fn is_mapper_number(name: &str) -> bool {
    name.rsplit('/').next().is_some_and(|name| name.starts_with("dm-"))
}

/// udev writes vendor, model and serial number of a USB disk, then target and LUN, which are 0 for
/// nearly every stick. Our model leaves out a vendor that the model begins with.
fn usb_names(model: &str, serial: &str) -> Vec<String> {
    let repeated = model.split_whitespace().next().map(|vendor| format!("{vendor} {model}"));
    let models = std::iter::once(model.to_owned()).chain(repeated);
    let names = models.map(|model| format!("usb-{}_{serial}", udev_name(&model)));
    names.flat_map(|name| [format!("{name}-0:0"), name]).collect()
}

/// A WWN without the marks that tools put in front of it, in lower case.
fn bare_wwn(name: &str) -> String {
    let mut rest = name.trim().to_ascii_lowercase();
    for mark in ["nvme-", "wwn-", "0x", "naa.", "eui.", "uuid.", "t10."] {
        if let Some(bare) = rest.strip_prefix(mark) {
            rest = bare.to_owned();
        }
    }
    rest
}

/// udev's `util_replace_whitespace` and `util_replace_chars`: runs of blanks become one `_`, and
/// so does every character outside a small harmless set.
fn udev_name(text: &str) -> String {
    let joined = text.split_whitespace().collect::<Vec<_>>().join("_");
    let harmless = |c: char| c.is_ascii_alphanumeric() || "#+-.:=@_".contains(c) || !c.is_ascii();
    joined.chars().map(|c| if harmless(c) { c } else { '_' }).collect()
}

/// Whether both paths, the first of them absolute, lead to the same file. One that does not exist is
/// compared as it is written; what of it is not UTF-8 counts as U+FFFD, as which it is handed on.
fn same_file(one: &Path, other: &Path) -> bool {
    match (Object::at(one), Object::at(other)) {
        (Some(one), Some(other)) => one == other,
        _ => std::path::absolute(other)
            .is_ok_and(|other| one.to_string_lossy() == other.to_string_lossy()),
    }
}
