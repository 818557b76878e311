//! Physical volumes on loop devices, and lvm2 at work on them. Without a device mapper: lvm2 writes
//! and reads metadata, and the extents that it names are copied here.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use common::{Loop, succeeds, tool};
use lifeboat::bytes::{Extents, ReadAt};
use tempfile::TempDir;

use crate::tools::Volume;

const MIB: u64 = 1 << 20;

/// Images attached as loop devices, which lvm2 sees alone.
pub struct Devices {
    pub images: Vec<PathBuf>,
    devices: Vec<Loop>,
    locks: TempDir,
}

impl Devices {
    pub fn attach(images: &[&Path]) -> Self {
        Self {
            images: images.iter().map(|image| image.to_path_buf()).collect(),
            devices: images.iter().map(Loop::new).collect(),
            locks: TempDir::new().unwrap(),
        }
    }

    fn args(&self, words: &str) -> Vec<String> {
        let accept: Vec<String> =
            self.devices.iter().map(|device| format!("\"a|^{}$|\"", device.name())).collect();
        let config = format!(
            "devices{{use_devicesfile=0 filter=[{},\"r|.*|\"]}} \
             activation{{udev_sync=0 udev_rules=0}} backup{{backup=0 archive=0}} \
             global{{use_lvmpolld=0 event_activation=0 locking_dir=\"{}\"}}",
            accept.join(","),
            self.locks.path().display(),
        );
        let mut args: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        for (index, device) in self.devices.iter().enumerate() {
            args.iter_mut()
                .for_each(|arg| *arg = arg.replace(&format!("PV{index}"), device.name()));
        }
        args.extend(["--driverloaded".into(), "n".into(), "--config".into(), config]);
        args
    }

    /// Runs an lvm2 command that must succeed; `PV0` and so on stand for the devices.
    pub fn lvm(&self, words: &str) -> String {
        tool("lvm", &self.args(words))
    }

    pub fn succeeds(&self, words: &str) -> bool {
        succeeds("lvm", &self.args(words))
    }

    /// A group `vg` of all the devices with 1 MiB extents, and the logical volumes of `volumes`,
    /// each a name and what `lvcreate` needs to know.
    pub fn make_group(&self, copies: u32, volumes: &[(&str, &str)]) {
        let all: Vec<String> = (0..self.devices.len()).map(|index| format!("PV{index}")).collect();
        let all = all.join(" ");
        self.lvm(&format!("pvcreate -q -y --metadatacopies {copies} {all}"));
        self.lvm(&format!("vgcreate -q -y -s 1M vg {all}"));
        volumes.iter().for_each(|(name, how)| self.create(name, how));
    }

    pub fn create(&self, name: &str, how: &str) {
        self.lvm(&format!("lvcreate -q -y -an -Zn -Wn -n {name} vg {how}"));
    }

    /// The metadata as lvm2 writes it, without what differs every time.
    pub fn backup(&self) -> String {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("backup");
        self.lvm(&format!("vgcfgbackup -q -f {} vg", file.display()));
        let text = fs::read_to_string(file).unwrap();
        let fickle = ["#", "description", "creation_time = ", "device = "];
        let kept = text.lines().filter(|line| !fickle.iter().any(|f| line.trim().starts_with(f)));
        kept.collect::<Vec<_>>().join("\n")
    }

    /// Replaces the metadata by what `change` makes of it.
    pub fn edit(&self, change: impl Fn(&str) -> String) {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("backup");
        self.lvm(&format!("vgcfgbackup -q -f {} vg", file.display()));
        fs::write(&file, change(&fs::read_to_string(&file).unwrap())).unwrap();
        self.lvm(&format!("vgcfgrestore -q -y --force -f {} vg", file.display()));
    }

    /// The pieces of a logical volume in order: device and first byte, length, by `lvs`.
    pub fn pieces(&self, name: &str) -> Vec<(usize, u64, u64)> {
        let options = "-o stripes,stripe_size,seg_pe_ranges --segments --noheadings --units b";
        let mut pieces = Vec::new();
        let listing = self.lvm(&format!("lvs -a {options} --nosuffix -S lv_name={name} vg"));
        for line in listing.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let stripe: u64 = words[1].parse().unwrap();
            let columns: Vec<(usize, u64, u64)> =
                words[2..].iter().map(|range| self.range(range)).collect();
            let len = columns[0].2;
            let turn = if columns.len() > 1 { stripe } else { len };
            for row in 0..len / turn {
                pieces.extend(columns.iter().map(|(pv, at, _)| (*pv, at + row * turn, turn)));
            }
        }
        assert!(!pieces.is_empty(), "{name}");
        pieces
    }

    /// `/dev/loop0:3-5` as device, first byte and length.
    fn range(&self, range: &str) -> (usize, u64, u64) {
        let (device, extents) = range.rsplit_once(':').unwrap();
        let (first, last) = extents.split_once('-').unwrap();
        let (first, last): (u64, u64) = (first.parse().unwrap(), last.parse().unwrap());
        let index = self.devices.iter().position(|own| own.name() == device).unwrap();
        let start =
            self.lvm(&format!("pvs -o pe_start --noheadings --nosuffix --units b PV{index}"));
        let start: u64 = start.trim().parse().unwrap();
        (index, start + first * MIB, (last + 1 - first) * MIB)
    }

    /// Copies a file into a logical volume.
    pub fn insert(&self, name: &str, file: &Path) {
        let bytes = fs::read(file).unwrap();
        let mut from = 0;
        for (pv, at, len) in self.pieces(name) {
            let image = OpenOptions::new().write(true).open(&self.images[pv]).unwrap();
            let to = bytes.len().min(from + usize::try_from(len).unwrap());
            image.write_all_at(&bytes[from..to], at).unwrap();
            from = to;
        }
        assert_eq!(from, bytes.len(), "{name} is too small");
        tool("sync", &["-f", self.images[0].to_str().unwrap()]);
    }

    /// Copies a logical volume out.
    pub fn extract(&self, name: &str, file: &Path) {
        let mut bytes = Vec::new();
        for (pv, at, len) in self.pieces(name) {
            let part = Volume::open(&self.images[pv]).read_vec(at, usize::try_from(len).unwrap());
            bytes.extend(part.unwrap());
        }
        fs::write(file, bytes).unwrap();
    }

    /// What a logical volume takes of one device.
    pub fn taken(&self, name: &str, pv: usize) -> Extents {
        let own = self.pieces(name).into_iter().filter(|(device, ..)| *device == pv);
        Extents::from(own.map(|(_, at, len)| (at, len)).collect::<Vec<_>>())
    }
}
