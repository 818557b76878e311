//! The devices of a filesystem, as far as they can be read.

use std::collections::BTreeMap;
use std::io;

use super::chunk::Stripe;
use super::superblock::{self, Superblock};
use crate::bytes::{ReadAt, Window};
use crate::volume::{Companions, Doubt, Kind};

/// Devices by their numbers.
pub(super) struct Devices<'a>(BTreeMap<u64, Device<'a>>);

struct Device<'a> {
    volume: Window<'a>,
    uuid: [u8; 16],
}

impl<'a> Devices<'a> {
    /// `volume`, which carries `superblock`, and those that belong to it among its companions.
    pub(super) fn new(
        volume: &'a dyn ReadAt,
        superblock: &Superblock,
        companions: &'a dyn Companions,
    ) -> Result<Self, Doubt> {
        let own = Window::new(volume, 0, superblock.device.size);
        let own = Device { volume: own, uuid: superblock.device.uuid };
        let mut found = Self(BTreeMap::from([(superblock.device.id, own)]));
        if superblock.devices > 1 {
            for window in companions.of_kind(Kind::Btrfs) {
                found.add(window, superblock)?;
            }
        }
        Ok(found)
    }

    /// Takes a volume in when it is of the same filesystem and of the same moment.
    fn add(&mut self, volume: Window<'a>, own: &Superblock) -> Result<(), Doubt> {
        let Ok((other, _)) = superblock::newest(&volume) else { return Ok(()) };
        if other.fsid != own.fsid || other.device.id == own.device.id {
            return Ok(());
        }
        if other.generation > own.generation {
            let words = "another device of it was written without this one, which is out of date";
            return Err(Doubt::because(words));
        }
        if other.generation == own.generation {
            let device = Device { volume, uuid: other.device.uuid };
            self.0.entry(other.device.id).or_insert(device);
        }
        Ok(())
    }

    /// Bytes of all devices that can be read.
    pub(super) fn size(&self) -> u64 {
        self.0.values().fold(0, |sum, device| sum.saturating_add(device.volume.size()))
    }

    /// `len` bytes at `at` of the device that `stripe` lies on; `None` when that is not here.
    pub(super) fn read(&self, stripe: &Stripe, at: u64, len: usize) -> Option<io::Result<Vec<u8>>> {
        let device = self.0.get(&stripe.device)?;
        (device.uuid == stripe.device_uuid).then(|| device.volume.read_vec(at, len))
    }
}
