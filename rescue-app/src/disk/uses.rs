//! What uses a disk: mounts, swap, and block devices built on top of it.

use std::fs;
use std::path::{Path, PathBuf};

use super::attributes::text;
use super::mount::{Mount, mounts, swaps};
use super::{DiskError, Sysfs, Use, file_users};

/// Everything in use on this machine, read once for all disks.
pub(super) struct InUse {
    mounts: Vec<Mount>,
    swaps: Vec<PathBuf>,
    /// Loop devices and what they stand on.
    loops: Vec<(PathBuf, PathBuf)>,
    /// Devices of each mounted Btrfs that has several: its mounts name only one of them.
    btrfs: Vec<Vec<PathBuf>>,
}

impl InUse {
    pub(super) fn read(system: &Sysfs) -> Result<Self, DiskError> {
        let mounts = mounts(&system.proc)?;
        let swaps = swaps(&system.proc)?;
        Ok(Self { mounts, swaps, loops: loops(system), btrfs: btrfs(system) })
    }

    /// Uses of an image file.
    pub(super) fn of_file(&self, system: &Sysfs, path: &Path) -> Vec<Use> {
        let mut uses = self.loops_on(path);
        uses.extend(self.swap_on(path));
        uses.extend(file_users::of(&system.proc, path));
        uses
    }

    /// Uses of a disk and its partitions; `dir` is the disk's directory in sysfs.
    pub(super) fn of_device(&self, system: &Sysfs, dir: &Path) -> Vec<Use> {
        let mut uses = self.of_one(system, dir);
        for partition in partitions(dir) {
            uses.extend(self.of_one(system, &partition));
        }
        uses
    }

    fn of_one(&self, system: &Sysfs, dir: &Path) -> Vec<Use> {
        let Some(name) = dir.file_name().and_then(|name| name.to_str()) else { return Vec::new() };
        let device = system.node(name);
        let number = text(dir, "dev");
        // By number for most; by name for Btrfs, whose mounts carry an anonymous number.
        let here = |mount: &&Mount| {
            number.as_deref() == Some(mount.device_number.as_str())
                || mount.source == device
                || self.are_mounted_together(&mount.source, &device)
        };
        let mounted = self.mounts.iter().filter(here).map(|mount| Use::Mounted {
            device: device.clone(),
            mountpoint: mount.mountpoint.clone(),
        });
        let mut uses: Vec<Use> = mounted.collect();
        uses.extend(self.swap_on(&device));
        uses.extend(
            names_in(&dir.join("holders"))
                .into_iter()
                .map(|holder| Use::Holder { device: device.clone(), holder: system.node(&holder) }),
        );
        uses.extend(self.loops_on(&device));
        uses
    }

    fn are_mounted_together(&self, a: &PathBuf, b: &PathBuf) -> bool {
        self.btrfs.iter().any(|devices| devices.contains(a) && devices.contains(b))
    }

    fn swap_on(&self, path: &Path) -> Option<Use> {
        let found = self.swaps.iter().any(|swap| swap == path);
        found.then(|| Use::Swap { device: path.to_owned() })
    }

    fn loops_on(&self, path: &Path) -> Vec<Use> {
        let on_path = self.loops.iter().filter(|(_, backing)| backing == path);
        on_path
            .map(|(holder, _)| Use::Holder { device: path.to_owned(), holder: holder.clone() })
            .collect()
    }
}

/// Directories of a disk's partitions.
fn partitions(dir: &Path) -> Vec<PathBuf> {
    let names = names_in(dir).into_iter();
    names.map(|name| dir.join(name)).filter(|part| part.join("partition").exists()).collect()
}

fn loops(system: &Sysfs) -> Vec<(PathBuf, PathBuf)> {
    let block = system.sys.join("block");
    let names = names_in(&block).into_iter().filter(|name| name.starts_with("loop"));
    let backing = |name: &str| text(&block.join(name), "loop/backing_file").map(PathBuf::from);
    names.filter_map(|name| Some((system.node(&name), backing(&name)?))).collect()
}

fn btrfs(system: &Sysfs) -> Vec<Vec<PathBuf>> {
    let folder = system.sys.join("fs/btrfs");
    let devices = |id: String| {
        let names = names_in(&folder.join(id).join("devices"));
        names.iter().map(|name| system.node(name)).collect()
    };
    names_in(&folder).into_iter().map(devices).collect()
}

/// Sorted names in a directory; none when it is not there.
fn names_in(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    names
}
