//! What sysfs says of a disk: its attributes, and from them its model, serial number, WWN and transport.

use std::fs;
use std::path::Path;

use super::Transport;
use crate::bytes::slice;

/// Who a disk is.
pub(super) struct Identified {
    pub(super) model: Option<String>,
    pub(super) serial: Option<String>,
    pub(super) wwn: Option<String>,
    pub(super) transport: Transport,
}

/// `dir` is the disk's real directory below `/sys/devices`, `name` its kernel name.
pub(super) fn identify(name: &str, dir: &Path) -> Identified {
    let transport = transport(name, dir);
    let device = dir.join("device");
    let (model, serial) = match transport {
        Transport::Loop => (None, text(dir, "loop/backing_file")),
        // A logical volume, or whatever else is mapped, is known for good by the name of the mapping.
        _ if name.starts_with("dm-") => (None, text(dir, "dm/name")),
        Transport::Mmc => (text(&device, "name"), text(&device, "serial")),
        Transport::Nvme => (text(&device, "model"), text(&device, "serial")),
        Transport::Usb => (scsi_model(&device), usb_serial(dir).or_else(|| scsi_serial(&device))),
        _ => {
            let ata = ata_identity(&device);
            let model = ata.as_ref().and_then(|ata| ata.model.clone());
            let serial = ata.and_then(|ata| ata.serial);
            (
                model.or_else(|| scsi_model(&device)),
                serial.or_else(|| scsi_serial(&device)).or_else(|| text(dir, "serial")),
            )
        }
    };
    Identified { model, serial, wwn: wwn(dir), transport }
}

/// A text attribute without surrounding blanks; `None` when missing or empty. Control characters,
/// which a hostile device could put there to talk to the terminal, are replaced.
pub(super) fn text(dir: &Path, name: &str) -> Option<String> {
    let bytes = fs::read(dir.join(name)).ok()?;
    clean(&bytes)
}

fn clean(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    let text: String = text.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    (!text.is_empty()).then_some(text)
}

/// A decimal attribute.
pub(super) fn number(dir: &Path, name: &str) -> Option<u64> {
    text(dir, name)?.parse().ok()
}

/// Sorted names in a directory; none when it is not there.
pub(super) fn names_in(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// The transport shows in the name and in the buses along the device's path.
fn transport(name: &str, dir: &Path) -> Transport {
    for (prefix, transport) in
        [("nvme", Transport::Nvme), ("mmcblk", Transport::Mmc), ("loop", Transport::Loop)]
    {
        if name.starts_with(prefix) {
            return transport;
        }
    }
    // The first that fits decides: an ATA disk in a USB enclosure hangs on USB.
    let buses = [
        ("usb", Transport::Usb),
        ("ata", Transport::Sata),
        ("virtio", Transport::Virtio),
        ("end_device-", Transport::Sas),
        ("host", Transport::Scsi),
    ];
    let steps: Vec<&str> = dir.iter().filter_map(|step| step.to_str()).collect();
    let numbered = |step: &str, bus: &str| {
        step.strip_prefix(bus).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    let on = |bus: &str| steps.iter().any(|step| numbered(step, bus));
    buses.iter().find(|(bus, _)| on(bus)).map_or(Transport::Other, |(_, transport)| *transport)
}

/// Vendor and model of the SCSI inquiry. The vendor `ATA` is the translation layer's, not the
/// disk's; a vendor that the model repeats is said once.
fn scsi_model(device: &Path) -> Option<String> {
    // A virtio device has a number as "vendor" and no model.
    let model = text(device, "model")?;
    match text(device, "vendor") {
        Some(vendor) if vendor != "ATA" && !model.starts_with(&vendor) => {
            Some(format!("{vendor} {model}"))
        }
        _ => Some(model),
    }
}

/// VPD page 0x80, unit serial number (SPC-4, 7.8.15): text from byte 4.
fn scsi_serial(device: &Path) -> Option<String> {
    let page = fs::read(device.join("vpd_pg80")).ok()?;
    clean(page.get(4..)?)
}

struct AtaIdentity {
    model: Option<String>,
    serial: Option<String>,
}

/// VPD page 0x89, ATA information (SAT-3, 12.4.2): the IDENTIFY DEVICE data from byte 60, with
/// the serial number in words 10–19 and the model in words 27–46, two characters a word, the
/// first in the high byte (ACS-3, 7.12.7). The inquiry's model has room for 16 characters only.
fn ata_identity(device: &Path) -> Option<AtaIdentity> {
    let page = fs::read(device.join("vpd_pg89")).ok()?;
    let words = |first: usize, count: usize| {
        let bytes = slice(&page, 60 + first * 2, count * 2)?;
        let swapped: Vec<u8> =
            bytes.chunks_exact(2).flat_map(|w| w.iter().rev().copied()).collect();
        clean(&swapped)
    };
    Some(AtaIdentity { model: words(27, 20), serial: words(10, 10) })
}

/// The serial number in the descriptor of the USB device that the disk hangs on.
fn usb_serial(dir: &Path) -> Option<String> {
    let usb_device = dir.ancestors().find(|step| step.join("idVendor").exists())?;
    text(usb_device, "serial")
}

/// A name that is unique in the world. `t10.` names are vendor, model and serial once more.
fn wwn(dir: &Path) -> Option<String> {
    let name = text(dir, "wwid").or_else(|| text(dir, "device/wwid"))?;
    let real = ["naa.", "eui.", "nvme.", "uuid."].iter().any(|kind| name.starts_with(kind));
    real.then_some(name)
}
