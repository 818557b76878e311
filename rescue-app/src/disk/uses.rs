//! What uses a disk: mounts, swap, and block devices built on top of it. Things are told by their
//! numbers, never by their names.

use std::path::{Path, PathBuf};

use super::attributes::{names_in, text};
use super::loops::{LoopDevice, below, loops};
use super::mount::{Mount, mounts, swaps};
use super::namespaces::{ForeignMount, foreign_mounts};
use super::object::device_number;
use super::{DiskError, Object, Sysfs, Use, file_users};

/// Everything in use on this machine, read once for all disks.
pub(super) struct InUse {
    /// Mounts of block devices, with the numbers of these.
    mounts: Vec<(u64, Mount)>,
    /// What is mounted only where this process does not see it.
    foreign: Vec<(u64, ForeignMount)>,
    swaps: Vec<Object>,
    loops: Vec<LoopDevice>,
    /// Devices of each mounted Btrfs: its mounts name only one of them.
    btrfs: Vec<Vec<u64>>,
}

impl InUse {
    pub(super) fn read(system: &Sysfs) -> Result<Self, DiskError> {
        let mounts = mounts(&system.proc)?;
        let swaps = swaps(&system.proc)?.iter().filter_map(|path| Object::at(path)).collect();
        let foreign = foreign_mounts(&system.proc, &mounts).into_iter();
        Ok(Self {
            mounts: mounts.into_iter().filter_map(|it| Some((it.device()?, it))).collect(),
            foreign: foreign.filter_map(|it| Some((it.mount.device()?, it))).collect(),
            swaps,
            loops: loops(system),
            btrfs: btrfs(system),
        })
    }

    /// Uses of the image file `object`, called `path`.
    pub(super) fn of_file(&self, system: &Sysfs, object: Object, path: &Path) -> Vec<Use> {
        self.of_plain_file(system, object, path, None)
    }

    fn of_plain_file(
        &self,
        system: &Sysfs,
        object: Object,
        path: &Path,
        above: Option<u64>,
    ) -> Vec<Use> {
        let mut uses = self.loops_on(object, path, above);
        uses.extend(self.swap_on(object, path));
        uses.extend(file_users::of(&system.proc, object, path));
        uses
    }

    /// Uses of a disk and its partitions, and of what it stands on itself if it is a loop device;
    /// `dir` is the disk's directory in sysfs.
    pub(super) fn of_device(&self, system: &Sysfs, dir: &Path) -> Vec<Use> {
        let mut uses = self.of_all(system, dir, None);
        let Some(number) = number_of(dir) else { return uses };
        for found in below(&self.loops, number) {
            uses.extend(match found.backing {
                Object::Device(below) => {
                    let link = system.dir_of(below);
                    link.map_or_else(Vec::new, |dir| self.of_all(system, &dir, Some(found.number)))
                }
                file => self.of_plain_file(system, file, &found.name, Some(found.number)),
            });
        }
        uses
    }

    /// Uses of a device and its partitions; the loop device `above` is not one.
    fn of_all(&self, system: &Sysfs, dir: &Path, above: Option<u64>) -> Vec<Use> {
        let mut uses = self.of_one(system, dir, above);
        for partition in partitions(dir) {
            uses.extend(self.of_one(system, &partition, above));
        }
        uses
    }

    fn of_one(&self, system: &Sysfs, dir: &Path, above: Option<u64>) -> Vec<Use> {
        let Some(name) = dir.file_name().and_then(|name| name.to_str()) else { return Vec::new() };
        let Some(number) = number_of(dir) else { return Vec::new() };
        let device = system.node(name);
        let mounted = self.mounts.iter().filter(|(on, _)| self.is_part_of(*on, number));
        let mut uses: Vec<Use> = mounted
            .map(|(_, mount)| Use::Mounted {
                device: device.clone(),
                mountpoint: mount.mountpoint.clone(),
            })
            .collect();
        if uses.is_empty() {
            uses.extend(self.mounted_out_of_sight(&device, number));
        }
        uses.extend(self.swap_on(Object::Device(number), &device));
        uses.extend(
            names_in(&dir.join("holders"))
                .into_iter()
                .map(|holder| Use::Holder { device: device.clone(), holder: system.node(&holder) }),
        );
        uses.extend(self.loops_on(Object::Device(number), &device, above));
        uses
    }

    /// Whether what is mounted from the device `on` is on the device `number` too.
    fn is_part_of(&self, on: u64, number: u64) -> bool {
        let together = |devices: &Vec<u64>| devices.contains(&on) && devices.contains(&number);
        on == number || self.btrfs.iter().any(together)
    }

    /// A mount of a device that no mount of this process's namespace explains.
    fn mounted_out_of_sight(&self, device: &Path, number: u64) -> Option<Use> {
        let claimed = |by: String| Use::Claimed { device: device.to_owned(), by };
        let foreign = self.foreign.iter().find(|(on, _)| self.is_part_of(*on, number));
        let btrfs = || self.btrfs.iter().any(|devices| devices.contains(&number));
        foreign
            .map(|(_, found)| claimed(found.to_string()))
            .or_else(|| btrfs().then(|| claimed("a mounted Btrfs".to_owned())))
    }

    fn swap_on(&self, object: Object, path: &Path) -> Option<Use> {
        self.swaps.contains(&object).then(|| Use::Swap { device: path.to_owned() })
    }

    fn loops_on(&self, object: Object, path: &Path, above: Option<u64>) -> Vec<Use> {
        let others = self.loops.iter().filter(|it| Some(it.number) != above);
        others
            .filter(|it| it.backing == object)
            .map(|it| Use::Holder { device: path.to_owned(), holder: it.node.clone() })
            .collect()
    }
}

fn number_of(dir: &Path) -> Option<u64> {
    device_number(&text(dir, "dev")?)
}

/// Directories of a disk's partitions.
fn partitions(dir: &Path) -> Vec<PathBuf> {
    let names = names_in(dir).into_iter();
    names.map(|name| dir.join(name)).filter(|part| part.join("partition").exists()).collect()
}

/// The devices of each Btrfs that the kernel has mounted (`fs/btrfs/sysfs.c`), by their numbers.
pub(super) fn btrfs(system: &Sysfs) -> Vec<Vec<u64>> {
    let folder = system.sys.join("fs/btrfs");
    let devices = |id: String| {
        let devices = folder.join(id).join("devices");
        // Each is a link to the device's own directory.
        names_in(&devices).iter().filter_map(|name| number_of(&devices.join(name))).collect()
    };
    names_in(&folder).into_iter().map(devices).collect()
}
