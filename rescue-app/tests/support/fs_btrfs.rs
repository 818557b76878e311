//! Btrfs, judged by btrfs-progs and by the kernel: its counters, its checker, its scrub.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use lifeboat::bytes::{Extents, ReadAt, Window};
use lifeboat::filesystem::{self, Alone, Companions, Coverage, Inspection, Kind, State};
use tempfile::TempDir;

use crate::fs_tools::{self as tools, Numbers, Volume};

const MIB: u64 = 1 << 20;

/// What no extent stands for: the reserved start, and the copy of the superblock at 64 MiB.
const OUTSIDE: u64 = MIB + 4096;

/// Images as block devices, for as long as this lives.
struct Loops(Vec<String>);

impl Loops {
    fn new(images: &[PathBuf]) -> Self {
        let attach = |image: &PathBuf| {
            let device = tools::run("losetup", &["-f", "--show", image.to_str().unwrap()]);
            device.trim().to_owned()
        };
        Self(images.iter().map(attach).collect())
    }
}

impl Drop for Loops {
    fn drop(&mut self) {
        for device in &self.0 {
            // The kernel must not take a copy with the same identity for this device.
            tools::output_of("btrfs", &["device", "scan", "--forget", device]);
            tools::run("losetup", &["-d", device]);
        }
    }
}

/// Images mounted by the kernel. Two filesystems of the same identity must never be mounted at
/// the same time.
struct Mount {
    folder: TempDir,
    loops: Loops,
}

impl Mount {
    fn new(images: &[PathBuf], options: &str) -> Self {
        Self::try_new(images, options).expect("it cannot be mounted")
    }

    fn try_new(images: &[PathBuf], options: &str) -> Option<Self> {
        let mount = Self { folder: TempDir::new().unwrap(), loops: Loops::new(images) };
        let devices: String =
            mount.loops.0.iter().map(|device| format!(",device={device}")).collect();
        let options = format!("{options}{devices}");
        let folder = mount.path().to_str().unwrap();
        let args = ["-t", "btrfs", "-o", &options, &mount.loops.0[0], folder];
        tools::succeeds("mount", &args).then_some(mount)
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn btrfs(&self, words: &str) -> String {
        let mut args: Vec<&str> = words.split(' ').collect();
        args.push(self.path().to_str().unwrap());
        tools::run("btrfs", &args)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if tools::succeeds("mountpoint", &["-q", self.path().to_str().unwrap()]) {
            tools::unmount(self.path());
        }
    }
}

/// A filesystem over one or more images, all of them full of old bytes.
fn format(folder: &Path, devices: usize, mib: u64, options: &str) -> Vec<PathBuf> {
    let images: Vec<_> = (0..devices).map(|index| folder.join(format!("device-{index}"))).collect();
    for image in &images {
        // A tail that the filesystem does not cover belongs to the partition all the same.
        tools::old_medium(image, mib * MIB + 3 * 512);
    }
    let loops = Loops::new(&images);
    let mut args = vec!["-q", "-f", "-K", "-L", "lifeboat"];
    args.extend(options.split_whitespace());
    args.extend(loops.0.iter().map(String::as_str));
    tools::run("mkfs.btrfs", &args);
    images
}

/// Files, and half of them deleted or changed; clones, snapshots, compressed and preallocated ones.
fn fill(mount: &Mount, total: u64) {
    let root = mount.path();
    let run = |program: &str, args: &[&str]| {
        let path = |word: &&str| word.replace('@', root.to_str().unwrap());
        tools::run(program, &args.iter().map(path).collect::<Vec<_>>());
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
struct Others(Vec<Volume>);

impl Companions for Others {
    fn of_kind(&self, kind: Kind) -> Vec<Window<'_>> {
        assert_eq!(kind, Kind::Btrfs);
        self.0.iter().map(|volume| Window::new(volume, 0, volume.size())).collect()
    }
}

/// The maps of all devices, each read with all of them at hand.
fn inspect_all(images: &[PathBuf]) -> Vec<Inspection> {
    let all = Others(images.iter().map(|image| Volume::open(image)).collect());
    all.0.iter().map(|volume| filesystem::inspect_among(volume, &all)).collect()
}

fn inspect(image: &Path) -> Inspection {
    filesystem::inspect(&Volume::open(image))
}

/// Whether checker and scrub find nothing, and every file's hash. Mounted read-only.
fn judge(images: &[PathBuf]) -> Option<BTreeMap<PathBuf, String>> {
    {
        let loops = Loops::new(images);
        if !tools::succeeds("btrfs", &["check", "--readonly", "--check-data-csum", &loops.0[0]]) {
            return None;
        }
    }
    let mount = Mount::try_new(images, "ro")?;
    let scrub = ["scrub", "start", "-B", "-r", mount.path().to_str().unwrap()];
    let report = tools::output_of("btrfs", &scrub);
    report.contains("no errors found").then(|| tools::hashes(mount.path()))
}

/// The scribble test: nothing that the maps leave out may matter.
fn accepts(images: &[PathBuf], maps: &[Extents]) -> bool {
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

/// Bytes that the kernel counts as used, all copies of them.
fn used_by_kernel(images: &[PathBuf]) -> u64 {
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
fn superblock_field(image: &Path, name: &str) -> u64 {
    let args = ["inspect-internal", "dump-super", image.to_str().unwrap()];
    let listing = tools::run("btrfs", &args);
    let line = listing.lines().find(|line| line.starts_with(&format!("{name}\t"))).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Maps of a filesystem that was made with these options and filled are exact, and complete.
fn check_variant(devices: usize, mib: u64, options: &str) {
    let scratch = TempDir::new().unwrap();
    let images = format(scratch.path(), devices, mib, options);
    fill(&Mount::new(&images, "noatime"), 8 * MIB);
    let found = inspect_all(&images);
    for (found, image) in found.iter().zip(&images) {
        assert_eq!(found.coverage, Coverage::Used, "{options}: {:?}", found.warnings);
        assert_eq!(found.warnings.is_empty(), devices == 1, "{options}: {:?}", found.warnings);
        let filesystem = found.filesystem.as_ref().unwrap();
        assert_eq!((filesystem.kind, &filesystem.state), (Kind::Btrfs, &State::Clean));
        assert_eq!(filesystem.size, superblock_field(image, "dev_item.total_bytes"));
        let used = superblock_field(image, "bytes_used");
        assert_eq!(filesystem.used, (devices == 1).then_some(used), "{options}");
    }
    let tails = found.iter().zip(&images).map(|(found, image)| {
        fs::metadata(image).unwrap().len() - found.filesystem.as_ref().unwrap().size
    });
    let outside = OUTSIDE * images.len() as u64 + tails.sum::<u64>();
    let total: u64 = found.iter().map(|found| found.used.total()).sum();
    if !options.contains("raid5") && !options.contains("raid6") {
        assert_eq!(total - outside, used_by_kernel(&images), "{options}");
    }
    let maps: Vec<Extents> = found.into_iter().map(|found| found.used).collect();
    assert!(accepts(&images, &maps), "{options}");
}

#[test]
fn btrfs_maps_of_one_device_hold_everything_that_matters() {
    for options in ["", "-d dup -m single -n 64k", "-n 4k -O ^extref,^no-holes -R ^free-space-tree"]
    {
        check_variant(1, 176, options);
    }
}

#[test]
fn btrfs_maps_of_mixed_block_groups_and_old_formats_hold_everything() {
    for options in ["--mixed -d single -m single", "--mixed -d dup -m dup", "-O ^skinny-metadata"] {
        check_variant(1, 176, options);
    }
}

#[test]
fn btrfs_maps_do_not_depend_on_the_kind_of_checksums() {
    for options in ["--csum xxhash", "--csum sha256 -n 4k", "--csum blake2 --mixed"] {
        check_variant(1, 176, options);
    }
}

#[test]
fn btrfs_maps_of_copied_devices_hold_everything() {
    for (devices, options) in
        [(2, "-d raid1 -m raid1"), (3, "-d raid1c3 -m raid1c3"), (2, "-d single -m raid1")]
    {
        check_variant(devices, 160, options);
    }
}

#[test]
fn btrfs_maps_of_striped_devices_hold_everything() {
    for (devices, options) in
        [(2, "-d raid0 -m raid0"), (3, "-d raid0 -m raid1"), (4, "-d raid10 -m raid10")]
    {
        check_variant(devices, 160, options);
    }
}

#[test]
fn btrfs_maps_of_devices_with_parity_hold_everything() {
    for (devices, options) in [(3, "-d raid5 -m raid5"), (4, "-d raid6 -m raid1c4")] {
        check_variant(devices, 160, options);
    }
}

#[test]
fn btrfs_maps_after_and_during_changes_of_devices_hold_everything() {
    let scratch = TempDir::new().unwrap();
    let images = format(scratch.path(), 3, 256, "-d single -m raid1");
    let mount = Mount::new(&images, "noatime");
    fill(&mount, 8 * MIB);
    // Profiles change, chunks move, and one device leaves.
    mount.btrfs("balance start -dconvert=raid0 -mconvert=dup -f");
    let (path, last) = (mount.path().to_str().unwrap(), &mount.loops.0[2]);
    tools::run("btrfs", &["device", "remove", last, path]);
    drop(mount);
    let (left, gone) = images.split_at(2);
    let maps: Vec<Extents> = inspect_all(left).into_iter().map(|found| found.used).collect();
    let total: u64 = maps.iter().map(Extents::total).sum();
    let tails = 2 * (3 * 512 + OUTSIDE);
    assert_eq!(total - tails, used_by_kernel(left));
    assert!(accepts(left, &maps));
    assert_eq!(filesystem::recognise(&Volume::open(&gone[0])).unwrap(), None);

    // A balance that is paused, and what it looks like when power is cut.
    let mount = Mount::new(left, "noatime");
    let path = mount.path().to_str().unwrap();
    tools::make_tree(&mount.path().join("more"), 5, 60 * MIB);
    mount.btrfs("filesystem sync");
    tools::run("btrfs", &["balance", "start", "--bg", "--full-balance", path]);
    while tools::output_of("btrfs", &["balance", "status", path]).contains("0 out of about") {
        std::thread::yield_now();
    }
    tools::output_of("btrfs", &["balance", "pause", path]);
    let paused = tools::output_of("btrfs", &["balance", "status", path]).contains("paused");
    drop(mount);
    let found = inspect_all(left);
    let told = found[0].warnings.iter().any(|warning| warning.contains("a balance"));
    assert_eq!(told, paused, "{:?}", found[0].warnings);
    let maps: Vec<Extents> = found.into_iter().map(|found| found.used).collect();
    assert!(accepts(left, &maps));
}

#[test]
fn a_btrfs_map_that_drops_one_copy_of_a_used_block_is_caught() {
    let scratch = TempDir::new().unwrap();
    let images = format(scratch.path(), 1, 128, "-d single -m dup");
    fill(&Mount::new(&images, "noatime"), 4 * MIB);
    let used = inspect(&images[0]).used;
    let size = fs::metadata(&images[0]).unwrap().len();
    assert!(accepts(&images, std::slice::from_ref(&used)));
    // The second copy of the tree of checksums, which nothing but scrub reads.
    let places = copies_of_tree(&images[0], "7");
    assert_eq!(places.len(), 2);
    for place in places {
        let hole = Extents::of(place, place + 16384);
        assert!(used.gaps_within(place, place + 16384).is_empty(), "{place}");
        let maps = [tools::without(&used, &hole, size)];
        assert!(!accepts(&images, &maps), "the copy at {place} is not missed");
    }
}

/// Where the copies of the topmost block of a tree lie, by btrfs-progs.
fn copies_of_tree(image: &Path, tree: &str) -> Vec<u64> {
    let image = image.to_str().unwrap();
    let dump = tools::run("btrfs", &["inspect-internal", "dump-tree", "-t", tree, image]);
    let is_block = |line: &&str| line.starts_with("leaf ") || line.starts_with("node ");
    let address = dump.lines().find(is_block).unwrap().split(' ').nth(1).unwrap();
    let lines = tools::run("btrfs-map-logical", &["-l", address, "-b", "4096", image]);
    let place = |line: &str| {
        let (_, rest) = line.split_once(" physical ")?;
        rest.split(' ').next()?.parse().ok()
    };
    lines.lines().filter_map(place).collect()
}

/// Power is cut while files that were synced are in the log tree alone.
fn cut_power_after_sync(mount: &Mount, images: &[PathBuf]) -> Vec<PathBuf> {
    mount.btrfs("filesystem sync");
    let mut numbers = Numbers::new(23);
    for index in 0..20 {
        let mut file = File::create(mount.path().join(format!("synced {index}"))).unwrap();
        file.write_all(&numbers.bytes(200_000)).unwrap();
        file.sync_all().unwrap();
    }
    let cut = |image: &PathBuf| {
        let copy = image.with_extension("cut");
        fs::copy(image, &copy).unwrap();
        copy
    };
    images.iter().map(cut).collect()
}

/// What is there once the log has been replayed.
fn replayed(images: &[PathBuf]) -> Option<BTreeMap<PathBuf, String>> {
    drop(Mount::try_new(images, "noatime")?);
    judge(images)
}

#[test]
fn btrfs_with_a_log_tree_loses_nothing() {
    for (devices, options) in [(1, ""), (1, "--mixed -n 4k"), (2, "-d raid0 -m raid0")] {
        let scratch = TempDir::new().unwrap();
        let images = format(scratch.path(), devices, 160, options);
        let mount = Mount::new(&images, "noatime,commit=900");
        fill(&mount, 4 * MIB);
        let cut = cut_power_after_sync(&mount, &images);
        drop(mount);
        assert_ne!(superblock_field(&cut[0], "log_root"), 0, "{options}: nothing is in the log");
        let found = inspect_all(&cut);
        for found in &found {
            assert_eq!(found.coverage, Coverage::Used, "{options}: {:?}", found.warnings);
            let state = &found.filesystem.as_ref().unwrap().state;
            assert!(matches!(state, State::Dirty(why) if why.contains("replays it")), "{state:?}");
        }
        // What the log adds to the extents of the last transaction.
        let total: u64 = found.iter().map(|found| found.used.total()).sum();
        let committed = superblock_field(&cut[0], "bytes_used");
        assert!(total > committed + 20 * 200_000, "{options}: {total} of {committed}");
        let copies = |byte| -> Vec<PathBuf> {
            let copy = |(image, found): (&PathBuf, &Inspection)| {
                tools::scribbled_copy(image, &found.used, byte)
            };
            cut.iter().zip(&found).map(copy).collect()
        };
        let scribbled = [copies(0x00), copies(0x5a)];
        let expected = replayed(&cut).expect("the log cannot be replayed");
        assert!(expected.contains_key(Path::new("synced 19")), "{options}");
        for copies in scribbled {
            assert!(replayed(&copies).as_ref() == Some(&expected), "{options}: {copies:?}");
        }
    }
}

#[test]
fn btrfs_of_two_tebibytes_is_mapped() {
    let scratch = TempDir::new().unwrap();
    let images = [scratch.path().join("device")];
    tools::sparse_medium(&images[0], 2 << 40);
    tools::run("mkfs.btrfs", &["-q", "-f", "-K", images[0].to_str().unwrap()]);
    {
        let mount = Mount::new(&images, "noatime");
        // Room is taken everywhere, and nearly all of it given back.
        for index in 0..1000 {
            let file = mount.path().join(format!("file {index}"));
            tools::run("fallocate", &["-l", "1900m", file.to_str().unwrap()]);
        }
        mount.btrfs("filesystem sync");
        for index in (0..1000).filter(|index| index % 50 != 0) {
            fs::remove_file(mount.path().join(format!("file {index}"))).unwrap();
        }
        fs::write(mount.path().join("last"), Numbers::new(3).bytes(3_000_000)).unwrap();
    }
    let found = inspect(&images[0]);
    assert_eq!(found.coverage, Coverage::Used, "{:?}", found.warnings);
    // The superblock has one more copy, at 256 GiB.
    assert_eq!(found.used.total() - OUTSIDE - 4096, used_by_kernel(&images));
    assert!(found.used.end() > 1 << 40, "nothing lies far behind");
}

#[test]
fn a_device_whose_companions_are_missing_is_mapped_when_metadata_can_be_read() {
    let scratch = TempDir::new().unwrap();
    // With blocks of 64 KiB each lies on another device than the one before.
    for (options, mapped) in [("-d raid0 -m raid1", true), ("-d raid0 -m raid0 -n 64k", false)] {
        let images = format(scratch.path(), 2, 176, options);
        fill(&Mount::new(&images, "noatime"), 4 * MIB);
        for (image, complete) in images.iter().zip(inspect_all(&images)) {
            let volume = Volume::open(image);
            let found = filesystem::inspect_among(&volume, &Alone);
            if mapped {
                assert_eq!(found, complete, "{options}");
            } else {
                assert_eq!(found.coverage, Coverage::Whole, "{options}");
                let why = &found.warnings[0];
                assert!(why.contains("was not found"), "{why}");
            }
        }
        // A companion from another time has to be left alone, and a newer one tells that this
        // device is out of date.
        let old = images[1].with_extension("old");
        fs::copy(&images[1], &old).unwrap();
        fs::write(Mount::new(&images, "noatime").path().join("later"), "x").unwrap();
        let pair = |a: &Path, b: &Path| {
            let volume = Volume::open(a);
            filesystem::inspect_among(&volume, &Others(vec![Volume::open(b)]))
        };
        let found = pair(&images[0], &old);
        assert_eq!(found.coverage == Coverage::Used, mapped, "{:?}", found.warnings);
        let found = pair(&old, &images[0]);
        assert_eq!(found.coverage, Coverage::Whole);
        assert!(found.warnings[0].contains("out of date"), "{:?}", found.warnings);
    }
}

#[test]
fn damage_to_btrfs_metadata_never_makes_a_map_smaller() {
    let scratch = TempDir::new().unwrap();
    for (options, mended) in [("-m dup -n 4k", true), ("-m single -n 4k", false)] {
        let images = format(scratch.path(), 1, 128, options);
        fill(&Mount::new(&images, "noatime"), 12 * MIB);
        let sound = inspect(&images[0]);
        let mut image = fs::read(&images[0]).unwrap();
        let mut numbers = Numbers::new(29);
        let (mut whole, mut other_copy, mut blocks) = (0, 0, 0);
        for at in metadata(&image, &sound.used) {
            let byte = at + usize::try_from(numbers.below(4096)).unwrap();
            let bit = 1 << numbers.below(8);
            image[byte] ^= bit;
            let found = filesystem::inspect(&image);
            image[byte] ^= bit;
            blocks += 1;
            if found.coverage == Coverage::Whole {
                assert!(!found.warnings.is_empty());
                whole += 1;
            } else {
                assert_eq!(found.used, sound.used, "{options}: byte {byte}");
                other_copy += u32::from(found.warnings.iter().any(|w| w.contains("other copy")));
            }
        }
        assert!(blocks > 60, "{blocks} blocks");
        assert_eq!((whole == 0, other_copy > 0), (mended, mended), "{options}: {whole}");
    }
}

/// Superblocks and tree blocks of 4 KiB: they carry their own address.
fn metadata(image: &[u8], used: &Extents) -> Vec<usize> {
    let fsid = &image[65536 + 32..65536 + 48];
    let starts = used.iter().flat_map(|extent| (extent.start..extent.end).step_by(4096));
    let starts = starts.map(|start| usize::try_from(start).unwrap());
    starts.filter(|start| image.get(start + 32..start + 48) == Some(fsid)).collect()
}

#[test]
fn btrfs_that_cannot_be_mapped_is_kept_whole() {
    let scratch = TempDir::new().unwrap();
    let seed = format(scratch.path(), 1, 128, "");
    tools::run("btrfstune", &["-S", "1", seed[0].to_str().unwrap()]);
    let found = inspect(&seed[0]);
    assert_eq!((found.coverage, found.used.total()), (Coverage::Whole, 128 * MIB + 3 * 512));
    assert!(found.warnings[0].contains("seed device"), "{:?}", found.warnings);

    // A filesystem that builds upon the seed keeps its chunks.
    let sprout = scratch.path().join("sprout");
    tools::old_medium(&sprout, 128 * MIB);
    {
        let mount = Mount::new(&seed, "ro");
        let loops = Loops::new(std::slice::from_ref(&sprout));
        tools::run(
            "btrfs",
            &["device", "add", "-f", "-K", &loops.0[0], mount.path().to_str().unwrap()],
        );
        tools::unmount(mount.path());
    }
    let all = Others(vec![Volume::open(&seed[0]), Volume::open(&sprout)]);
    let found = filesystem::inspect_among(&all.0[1], &all);
    assert_eq!(found.coverage, Coverage::Whole);
    assert!(found.warnings[0].contains("seed device"), "{:?}", found.warnings);
}

#[test]
fn the_least_size_of_a_btrfs_is_one_it_can_be_shrunk_to() {
    let scratch = TempDir::new().unwrap();
    let images = format(scratch.path(), 1, 1024, "");
    let mount = Mount::new(&images, "noatime");
    fill(&mount, 8 * MIB);
    drop(mount);
    let minimum = inspect(&images[0]).minimum_size.unwrap();
    let mount = Mount::new(&images, "noatime");
    let theirs = mount.btrfs("inspect-internal min-dev-size");
    let theirs: u64 = theirs.split(' ').next().unwrap().parse().unwrap();
    assert!((theirs..1000 * MIB).contains(&minimum), "{minimum}, and {theirs} by btrfs");
    mount.btrfs(&format!("filesystem resize {minimum}"));
    drop(mount);
    let found = inspect(&images[0]);
    assert_eq!(found.filesystem.unwrap().size, minimum / 4096 * 4096);
}

/// Files that the kernel refuses to read because their checksums are wrong.
fn unreadable(image: &Path) -> BTreeSet<PathBuf> {
    let mount = Mount::new(&[image.to_path_buf()], "ro");
    let mut found = BTreeSet::new();
    let mut folders = vec![mount.path().to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if fs::read(&path).is_err() {
                found.insert(Path::new("/").join(path.strip_prefix(mount.path()).unwrap()));
            }
        }
    }
    found
}

#[test]
fn btrfs_files_in_lost_bytes_are_those_that_cannot_be_read() {
    let scratch = TempDir::new().unwrap();
    let images = format(scratch.path(), 1, 176, "-d single -m dup -n 4k");
    {
        let mount = Mount::new(&images, "noatime");
        fill(&mount, 8 * MIB);
        // A subvolume in a subvolume's folder, and links in folders of their own.
        let inner = mount.path().join("home/folder 2/inner");
        tools::run("btrfs", &["-q", "subvolume", "create", inner.to_str().unwrap()]);
        tools::make_tree(&inner, 9, 2 * MIB);
    }
    // Data, and one copy of one tree block.
    let used = inspect(&images[0]).used;
    let image = fs::read(&images[0]).unwrap();
    let blocks: BTreeSet<usize> = metadata(&image, &used).into_iter().collect();
    let sectors = used.within(MIB, 1 << 40);
    let sectors: Vec<u64> = sectors
        .flat_map(|extent| (extent.start..extent.end).step_by(4096))
        .filter(|at| !blocks.contains(&usize::try_from(*at).unwrap()))
        .collect();
    let mut numbers = Numbers::new(31);
    let block = copies_of_tree(&images[0], "7")[0];
    let mut lost = Extents::of(block, block + 4096);
    for _ in 0..60 {
        let at = sectors[usize::try_from(numbers.below(sectors.len() as u64)).unwrap()];
        lost = lost.union(&Extents::of(at, at + 4096));
    }
    let file = File::options().write(true).open(&images[0]).unwrap();
    for extent in lost.iter() {
        let bytes = numbers.bytes(usize::try_from(extent.len()).unwrap());
        std::os::unix::fs::FileExt::write_all_at(&file, &bytes, extent.start).unwrap();
    }
    let found = filesystem::owners(&Volume::open(&images[0]), &lost);
    assert_eq!(found.note, None);
    let named: BTreeSet<PathBuf> =
        found.files.iter().map(|owner| PathBuf::from(&owner.path)).collect();
    assert!(!named.is_empty());
    assert_eq!(named, unreadable(&images[0]));
    // The block has another copy; it has to be mended from that.
    assert_eq!(found.metadata, 4096, "{found:?}");
}
