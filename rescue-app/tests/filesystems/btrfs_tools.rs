//! Btrfs over several images, filled and judged by btrfs-progs and by the kernel.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use common::{Loop, output_of, succeeds, tool};
use lifeboat::bytes::{Extents, ReadAt, Window};
use lifeboat::inspect;
use lifeboat::volume::{Companions, Inspection, Kind};
use tempfile::TempDir;

use crate::tools::{self, Volume};

const MIB: u64 = 1 << 20;

/// Images as block devices, for as long as this lives.
pub struct Loops(pub Vec<Loop>);

impl Loops {
    pub fn new(images: &[PathBuf]) -> Self {
        Self(images.iter().map(Loop::new).collect())
    }

    pub fn first(&self) -> &str {
        self.0[0].name()
    }
}

impl Drop for Loops {
    fn drop(&mut self) {
        for device in &self.0 {
            // The kernel must not take a copy with the same identity for this device.
            output_of("btrfs", &["device", "scan", "--forget", device.name()]);
        }
    }
}

/// Images mounted by the kernel. Two filesystems of the same identity must never be mounted at
/// the same time.
pub struct Mount {
    folder: TempDir,
    pub loops: Loops,
}

impl Mount {
    pub fn new(images: &[PathBuf], options: &str) -> Self {
        Self::try_new(images, options).expect("it cannot be mounted")
    }

    pub fn try_new(images: &[PathBuf], options: &str) -> Option<Self> {
        let mount = Self { folder: TempDir::new().unwrap(), loops: Loops::new(images) };
        let devices: String =
            mount.loops.0.iter().map(|device| format!(",device={}", device.name())).collect();
        let options = format!("{options}{devices}");
        let folder = mount.path().to_str().unwrap();
        let args = ["-t", "btrfs", "-o", &options, mount.loops.first(), folder];
        succeeds("mount", &args).then_some(mount)
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn btrfs(&self, words: &str) -> String {
        let mut args: Vec<&str> = words.split(' ').collect();
        args.push(self.path().to_str().unwrap());
        tool("btrfs", &args)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if succeeds("mountpoint", &["-q", self.path().to_str().unwrap()]) {
            tools::unmount(self.path());
        }
    }
}

/// A filesystem over one or more images, all of them full of old bytes.
pub fn format(folder: &Path, devices: usize, mib: u64, options: &str) -> Vec<PathBuf> {
    let images: Vec<_> = (0..devices).map(|index| folder.join(format!("device-{index}"))).collect();
    for image in &images {
        // A tail that the filesystem does not cover belongs to the partition all the same.
        tools::old_medium(image, mib * MIB + 3 * 512);
    }
    let loops = Loops::new(&images);
    let mut args = vec!["-q", "-f", "-K", "-L", "lifeboat"];
    args.extend(options.split_whitespace());
    args.extend(loops.0.iter().map(Loop::name));
    tool("mkfs.btrfs", &args);
    images
}

/// Files, and half of them deleted or changed; clones, snapshots, compressed and preallocated ones.
pub fn fill(mount: &Mount, total: u64) {
    let root = mount.path();
    let run = |program: &str, args: &[&str]| {
        let path = |word: &&str| word.replace('@', root.to_str().unwrap());
        tool(program, &args.iter().map(path).collect::<Vec<_>>());
    };
    run("btrfs", &["-q", "subvolume", "create", "@/home"]);
    tools::make_tree(&root.join("home"), 1, total);
    mount.btrfs("filesystem sync");
    run("btrfs", &["-q", "subvolume", "snapshot", "@/home", "@/before"]);
    run("btrfs", &["-q", "subvolume", "snapshot", "-r", "@/home", "@/gone"]);
    tools::churn(&root.join("home"), 2, 200 << 10);
    run("cp", &["-r", "--reflink=always", "@/before/folder 1", "@/clones"]);
    let clone = fs::read_dir(root.join("clones/sub1")).unwrap().next().unwrap().unwrap().path();
    let file = File::options().write(true).open(clone).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[7; 5000], 4096).unwrap();
    run("btrfs", &["-q", "property", "set", "@/home", "compression", "zstd"]);
    fs::write(root.join("home/text"), "compresses well ".repeat(30_000)).unwrap();
    run("fallocate", &["-l", "700000", "@/preallocated"]);
    fs::write(root.join("tiny"), "lies in its inode").unwrap();
    mount.btrfs("filesystem sync");
    run("btrfs", &["-q", "subvolume", "delete", "-c", "@/gone"]);
    mount.btrfs("subvolume sync");
    mount.btrfs("filesystem sync");
}

/// The other devices of a filesystem, when its first is inspected.
pub struct Others(pub Vec<Volume>);

impl Companions for Others {
    fn of_kind(&self, kind: Kind) -> Vec<Window<'_>> {
        assert_eq!(kind, Kind::Btrfs);
        self.0.iter().map(|volume| Window::new(volume, 0, volume.size())).collect()
    }
}

/// The maps of all devices, each read with all of them at hand.
pub fn inspect_all(images: &[PathBuf]) -> Vec<Inspection> {
    let all = Others(images.iter().map(|image| Volume::open(image)).collect());
    all.0.iter().map(|volume| inspect::inspect_among(volume, &all)).collect()
}

pub fn inspect(image: &Path) -> Inspection {
    inspect::inspect(&Volume::open(image))
}

/// Whether checker and scrub find nothing, and every file's hash. Mounted read-only.
pub fn judge(images: &[PathBuf]) -> Option<BTreeMap<PathBuf, String>> {
    {
        let loops = Loops::new(images);
        if !succeeds("btrfs", &["check", "--readonly", "--check-data-csum", loops.first()]) {
            return None;
        }
    }
    let mount = Mount::try_new(images, "ro")?;
    let scrub = ["scrub", "start", "-B", "-r", mount.path().to_str().unwrap()];
    let report = output_of("btrfs", &scrub);
    report.contains("no errors found").then(|| tools::hashes(mount.path()))
}

/// The scribble test: nothing that the maps leave out may matter.
pub fn accepts(images: &[PathBuf], maps: &[Extents]) -> bool {
    let expected = judge(images).expect("not sound to begin with");
    assert!(expected.len() > 40, "{} files", expected.len());
    [0x00, 0x5a].into_iter().all(|byte| {
        let scribbled = |(image, used): (&PathBuf, _)| tools::scribbled_copy(image, used, byte);
        let copies: Vec<_> = images.iter().zip(maps).map(scribbled).collect();
        let same = judge(&copies).is_some_and(|found| found == expected);
        copies.iter().for_each(|copy| fs::remove_file(copy).unwrap());
        same
    })
}

/// What no extent stands for: the reserved start, and the copy of the superblock at 64 MiB.
pub const OUTSIDE: u64 = MIB + 4096;

/// Bytes that the kernel counts as used, all copies of them.
pub fn used_by_kernel(images: &[PathBuf]) -> u64 {
    let mount = Mount::new(images, "ro");
    let listing = mount.btrfs("filesystem df -b");
    let lines = listing.lines().filter(|line| !line.starts_with("GlobalReserve"));
    lines
        .map(|line| {
            let (profile, counts) = line.split_once(": ").unwrap();
            let copies = match profile.rsplit(' ').next().unwrap() {
                "single" | "RAID0" => 1,
                "DUP" | "RAID1" | "RAID10" => 2,
                "RAID1C3" => 3,
                "RAID1C4" => 4,
                other => panic!("profile {other}"),
            };
            copies * counts.rsplit('=').next().unwrap().parse::<u64>().unwrap()
        })
        .sum()
}

/// A field of the superblock, as btrfs-progs print it.
pub fn superblock_field(image: &Path, name: &str) -> u64 {
    let args = ["inspect-internal", "dump-super", image.to_str().unwrap()];
    let listing = tool("btrfs", &args);
    let line = listing.lines().find(|line| line.starts_with(&format!("{name}\t"))).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Where the copies of the topmost block of a tree lie, by btrfs-progs.
pub fn copies_of_tree(image: &Path, tree: &str) -> Vec<u64> {
    let image = image.to_str().unwrap();
    let dump = tool("btrfs", &["inspect-internal", "dump-tree", "-t", tree, image]);
    let is_block = |line: &&str| line.starts_with("leaf ") || line.starts_with("node ");
    let address = dump.lines().find(is_block).unwrap().split(' ').nth(1).unwrap();
    let lines = tool("btrfs-map-logical", &["-l", address, "-b", "4096", image]);
    let place = |line: &str| {
        let (_, rest) = line.split_once(" physical ")?;
        rest.split(' ').next()?.parse().ok()
    };
    lines.lines().filter_map(place).collect()
}

/// Superblocks and tree blocks of 4 KiB: they carry their own address.
pub fn metadata(image: &[u8], used: &Extents) -> Vec<usize> {
    let fsid = &image[65536 + 32..65536 + 48];
    let starts = used.iter().flat_map(|extent| (extent.start..extent.end).step_by(4096));
    let starts = starts.map(|start| usize::try_from(start).unwrap());
    starts.filter(|start| image.get(start + 32..start + 48) == Some(fsid)).collect()
}
