//! Systems that may lack the driver of the disk that they are written to.

use crate::bytes::Window;
use crate::disk::{DiskKind, Transport};
use crate::image::manifest::Region;
use crate::inspect::{self, OwnDrivers};
use crate::table::UNKNOWN_TYPE;

use super::Aim;
use super::scope::Scope;

/// How disks are attached that a system starts from with a driver of its own. Of what hung at a USB port,
/// or was a file, nothing is known.
const CONTROLLERS: [Transport; 6] = [
    Transport::Sata,
    Transport::Nvme,
    Transport::Virtio,
    Transport::Mmc,
    Transport::Scsi,
    Transport::Sas,
];

impl Aim<'_> {
    /// What a person should know of systems that go to a disk which is attached otherwise.
    pub(super) fn missing_drivers(&self) -> Vec<String> {
        let target = &self.state.survey.disk;
        let was = self.content.manifest.disk.transport.as_str();
        let is_moved = is_another(was, target.transport) && target.kind == DiskKind::Device;
        if !is_moved || self.scope == Scope::Volume {
            return Vec::new();
        }
        let regions = self.content.manifest.regions.iter().filter(|region| {
            let is_written = self.transfers.iter().any(|transfer| transfer.from == region.start);
            region.system.is_some() && is_written
        });
        let found = regions.filter_map(|region| {
            let volume = Window::new(self.content.disk, region.start, region.size);
            let drivers = inspect::own_drivers(&volume)?;
            Some(sentence(region, drivers, &format!("{was} to {}", target.transport)))
        });
        found.collect()
    }
}

/// Whether both are known, and are not the same.
fn is_another(was: &str, is: Transport) -> bool {
    let known = |name: &str| CONTROLLERS.iter().any(|it| it.to_string() == name);
    CONTROLLERS.contains(&is) && known(was) && is.to_string() != was
}

fn sentence(region: &Region, drivers: OwnDrivers, moved: &str) -> String {
    let name = region.system.as_deref().unwrap_or(UNKNOWN_TYPE);
    let may_lack = match drivers {
        OwnDrivers::Windows => "it starts only drivers of controllers that it has met: where it stops with \
             INACCESSIBLE_BOOT_DEVICE, attach the disk as it was, set safe mode (bcdedit /set {default} \
             safeboot minimal), and start it here again"
            .to_owned(),
        OwnDrivers::Initramfs(program) => format!(
            "its initramfs was made by {program} for the machine that it was on: where it does not find its \
             disk, start the rescue or fallback entry of its boot menu, and have {program} make it anew"
        ),
    };
    let number =
        region.partition.map_or_else(String::new, |number| format!("partition {number}: "));
    format!("{number}{name} goes from {moved} and may lack the driver, since {may_lack}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_of_both_disks_makes_a_difference() {
        assert!(is_another("SATA", Transport::Nvme));
        assert!(is_another("virtio", Transport::Scsi));
        assert!(!is_another("NVMe", Transport::Nvme));
        assert!(!is_another("USB", Transport::Nvme));
        assert!(!is_another("SATA", Transport::Usb));
        assert!(!is_another("file", Transport::Loop));
    }
}
