//! The machine Lifeboat runs on.

use std::fs;
use std::path::Path;

use crate::image::manifest::Machine;

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
