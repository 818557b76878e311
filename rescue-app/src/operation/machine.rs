//! The machine Lifeboat runs on.

use std::fs;
use std::path::Path;

use crate::firmware::{BootEntry, Variables};
use crate::image::manifest::Machine;
use crate::table::Table;

/// Vendor and product from DMI, firmware mode from the presence of EFI.
pub(super) fn this_machine() -> Machine {
    let dmi = |name: &str| {
        let text = fs::read_to_string(Path::new("/sys/class/dmi/id").join(name)).ok()?;
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    };
    let firmware = if Path::new("/sys/firmware/efi").exists() { "UEFI" } else { "BIOS" };
    Machine {
        vendor: dmi("sys_vendor"),
        product: dmi("product_name"),
        firmware: Some(firmware.to_owned()),
    }
}

/// Boot entries of this machine's firmware that name a partition of a disk, by its table.
pub(super) fn boot_entries(table: &Table) -> Vec<BootEntry> {
    let Some(variables) = Variables::of_this_machine() else { return Vec::new() };
    let names_one = |entry: &BootEntry| {
        let named = entry.load_option()?.loader()?.drive.part_uuid();
        table.data_partitions().find(|partition| partition.uuid.as_ref() == Some(&named))
    };
    let entries = variables.boot_entries().into_iter();
    entries.filter(|entry| names_one(entry).is_some()).collect()
}
