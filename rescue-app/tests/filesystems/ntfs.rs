//! NTFS, judged by ntfs-3g and its tools.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{Random, command, succeeds, tool};
use lifeboat::bytes::{Extents, ReadAt};
use lifeboat::inspect;
use lifeboat::volume::{Alone, Coverage, Inspection, Kind, State, VolumeKeys};
use tempfile::TempDir;

use crate::tools::{self, Judge, Volume};

const MIB: u64 = 1 << 20;

/// A mounted image; unmounted, and its driver waited for, when dropped.
pub struct Mount {
    folder: TempDir,
    driver: Child,
}

impl Mount {
    pub fn new(image: &Path, options: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let before = fs::metadata(folder.path()).unwrap();
        let mut driver = Command::new("ntfs-3g")
            .args(["-o", &format!("no_detach,streams_interface=windows,{options}")])
            .args([image, folder.path()])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let start = Instant::now();
        loop {
            let now = fs::metadata(folder.path()).unwrap();
            if std::os::unix::fs::MetadataExt::dev(&now)
                != std::os::unix::fs::MetadataExt::dev(&before)
            {
                return Self { folder, driver };
            }
            assert!(driver.try_wait().unwrap().is_none(), "ntfs-3g gave up");
            assert!(start.elapsed() < Duration::from_secs(30), "ntfs-3g does not mount");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        tools::unmount(self.folder.path());
        assert!(self.driver.wait().unwrap().success());
    }
}

pub fn format(image: &Path, options: &str) {
    let mut args: Vec<&str> = vec!["-q", "-F", "-f", "-L", "Windows data", "-p", "0", "-H", "255"];
    args.extend(["-S", "63"]);
    if !options.contains("-s ") {
        args.extend(["-s", "512"]);
    }
    args.extend(options.split_whitespace());
    args.push(image.to_str().unwrap());
    tool("mkntfs", &args);
}

fn is_sound(image: &Path) -> bool {
    let image = image.to_str().unwrap();
    succeeds("ntfsfix", &["-n", image])
        && succeeds("ntfsresize", &["--info", "--force", "--no-progress-bar", image])
}

fn contents(image: &Path) -> BTreeMap<PathBuf, String> {
    let mount = Mount::new(image, "ro");
    tools::hashes(mount.path())
}

pub const JUDGE: Judge = Judge { is_sound, contents };

pub fn free_by_ntfsinfo(image: &Path) -> u64 {
    let listing = tool("ntfsinfo", &["-m", image.to_str().unwrap()]);
    let field = |name: &str| -> u64 {
        let line = listing.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
        line.split(": ").nth(1).unwrap().split_whitespace().next().unwrap().parse().unwrap()
    };
    field("Free Clusters") * field("Cluster Size")
}

/// Plain files, sparse and compressed ones, streams, a folder large enough for an index tree.
fn fill(root: &Path, seed: u64, total: u64) {
    tools::make_tree(root, seed, total);
    let many = root.join("many");
    fs::create_dir(&many).unwrap();
    for index in 0..300 {
        fs::write(many.join(format!("a rather long name of file {index}")), [7; 20]).unwrap();
    }
    let sparse = fs::File::create(root.join("sparse")).unwrap();
    sparse.set_len(8 * MIB).unwrap();
    sparse.write_all_at(&Random::new(seed).bytes(70_000), 5 * MIB).unwrap();
    fs::write(root.join("sparse:stream"), Random::new(seed + 1).bytes(90_000)).unwrap();
}

/// The least size is one that `ntfsresize` can shrink it to.
fn check_least_size(image: &Path, found: &Inspection, name: &str) {
    let path = image.to_str().unwrap();
    // "You might resize at 12345678 bytes or 13 MB (freeing 55 MB)."
    let said = tool("ntfsresize", &["-i", "-f", path]);
    let (_, rest) = said.split_once("You might resize at ").unwrap();
    let theirs: u64 = rest.split(' ').next().unwrap().parse().unwrap();
    let ours = found.minimum_size.unwrap();
    assert!(ours >= theirs, "{name}: {ours}, and {theirs} by ntfsresize");
    assert!(ours < theirs / 32 * 33 + 2 * MIB, "{name}: {ours}, and {theirs} by ntfsresize");
    let size = ours.to_string();
    tool("ntfsresize", &["-n", "-f", "-P", "-s", &size, path]);
}

#[test]
fn ntfs_maps_hold_everything_that_matters() {
    let scratch = TempDir::new().unwrap();
    for (name, mib, options) in [
        ("4k", 64, "-Q"),
        ("512", 48, "-Q -c 512"),
        ("64k", 96, "-Q -c 65536"),
        ("2m", 512, "-Q -c 2097152"),
        ("4k-sectors", 64, "-Q -s 4096"),
        ("slow", 32, ""),
    ] {
        let image = scratch.path().join(name);
        tools::old_medium(&image, mib * MIB + 5 * 4096);
        format(&image, options);
        {
            let mount = Mount::new(&image, "compression");
            fill(mount.path(), 3, if name == "2m" { 2 * MIB } else { 12 * MIB });
        }
        {
            let mount = Mount::new(&image, "compression");
            tools::churn(mount.path(), 4, 100 << 10);
        }
        let found = inspect::inspect(&Volume::open(&image));
        assert_eq!(found.coverage, Coverage::Used, "{name}: {:?}", found.warnings);
        assert_eq!(found.warnings, Vec::<String>::new(), "{name}");
        let size = fs::metadata(&image).unwrap().len();
        assert_eq!(size - found.used.total(), free_by_ntfsinfo(&image), "{name}");
        assert!(JUDGE.accepts(&image, &found.used), "{name}");
        check_least_size(&image, &found, name);

        let filesystem = found.filesystem.unwrap();
        assert_eq!((filesystem.kind, filesystem.state), (Kind::Ntfs, State::Clean), "{name}");
        assert_eq!(filesystem.label.as_deref(), Some("Windows data"));
        fs::remove_file(&image).unwrap();
    }
}

#[test]
fn an_ntfs_map_without_the_backup_boot_sector_is_caught() {
    let scratch = TempDir::new().unwrap();
    let image = scratch.path().join("image");
    tools::old_medium(&image, 32 * MIB);
    format(&image, "-Q");
    let mount = Mount::new(&image, "rw");
    tools::make_tree(mount.path(), 5, 2 * MIB);
    drop(mount);
    let used = inspect::inspect(&Volume::open(&image)).used;
    assert!(JUDGE.accepts(&image, &used));
    let tail = Extents::of(32 * MIB - 512, 32 * MIB);
    assert!(!JUDGE.accepts(&image, &tools::without(&used, &tail, 32 * MIB)));
}

/// Small files in every second hole of a full volume: `$MFT` grows in pieces too many for its
/// first record, so that an attribute list has to be followed.
#[test]
fn a_fragmented_master_file_table_is_followed() {
    let scratch = TempDir::new().unwrap();
    let image = scratch.path().join("image");
    tools::old_medium(&image, 24 * MIB);
    format(&image, "-Q -c 512 -z 1");
    let mount = Mount::new(&image, "rw");
    let mut count = 0;
    while fs::write(mount.path().join(format!("f{count}")), vec![9; 2048]).is_ok() {
        count += 1;
    }
    for index in (0..count).step_by(2) {
        fs::remove_file(mount.path().join(format!("f{index}"))).unwrap();
    }
    let mut grown = 0;
    while grown < 9000 && fs::write(mount.path().join(format!("g{grown}")), b"small").is_ok() {
        grown += 1;
    }
    drop(mount);
    let record = tool("ntfsinfo", &["-i", "0", "-v", image.to_str().unwrap()]);
    assert!(record.contains("$ATTRIBUTE_LIST"), "{record}");
    let found = inspect::inspect(&Volume::open(&image));
    assert_eq!(found.coverage, Coverage::Used, "{:?}", found.warnings);
    assert!(JUDGE.accepts(&image, &found.used));
}

/// Somebody who trusts the tables gets every file as it is on the disk, and is told.
fn check_trusted(image: &Path) {
    let volume = Volume::open(image);
    let found = inspect::inspect_trusting(&volume, &Alone, &VolumeKeys::new());
    assert_eq!(found.coverage, Coverage::Used, "{:?}", found.warnings);
    assert!(found.used.total() < 16 * MIB, "{}", found.used.total());
    assert_eq!(found.minimum_size, None);
    let told = |words: &str| found.warnings.iter().any(|warning| warning.contains(words));
    assert!(told("as was asked for"), "{:?}", found.warnings);
    let copy = tools::scribbled_copy(image, &found.used, 0x5a);
    let (before, after) = (contents(image), contents(&copy));
    assert!(before.len() >= 200 && before == after, "files are lost");
    claimed_clusters_are_not_given_up(image);
}

/// A cluster that fell out of `$Bitmap` and that a file record claims gives the whole volume,
/// whoever trusts it.
fn claimed_clusters_are_not_given_up(image: &Path) {
    let bitmap = command("ntfscat").args(["-f", "-i", "6"]).arg(image).output().unwrap().stdout;
    let bitmap = &bitmap[..900];
    let mut bytes = fs::read(image).unwrap();
    let place = (0..bytes.len()).step_by(512).find(|&at| bytes[at..].starts_with(bitmap)).unwrap();
    let used: Vec<usize> = (0..8 * 900).filter(|at| bitmap[at / 8] >> (at % 8) & 1 == 1).collect();
    for bit in used.iter().step_by(used.len() / 40) {
        bytes[place + bit / 8] ^= 1 << (bit % 8);
        let found = inspect::inspect_trusting(&bytes, &Alone, &VolumeKeys::new());
        bytes[place + bit / 8] ^= 1 << (bit % 8);
        assert_eq!(found.coverage, Coverage::Whole, "cluster {bit}");
        assert!(found.warnings[0].contains("$Bitmap calls clusters"), "{:?}", found.warnings);
    }
}

#[test]
fn dirty_and_hibernated_volumes_are_told_and_kept_whole() {
    let scratch = TempDir::new().unwrap();
    let image = scratch.path().join("image");
    tools::old_medium(&image, 32 * MIB);
    format(&image, "-Q");
    let mount = Mount::new(&image, "rw");
    for index in 0..200 {
        fs::write(mount.path().join(format!("in the root directory {index}")), [1; 9]).unwrap();
    }
    fs::write(mount.path().join("HIBERFIL.SYS"), [0; 8192]).unwrap();
    drop(mount);
    let state = || {
        let found = inspect::inspect(&Volume::open(&image));
        (found.filesystem.unwrap().state, found.coverage, found.used.total(), found.warnings)
    };
    assert_eq!((state().0, state().1), (State::Clean, Coverage::Used));

    let mount = Mount::new(&image, "rw");
    let file = OpenOptions::new().write(true).open(mount.path().join("HIBERFIL.SYS")).unwrap();
    file.write_all_at(b"hibr", 0).unwrap();
    drop((file, mount));
    let (found, coverage, total, warnings) = state();
    assert!(matches!(found, State::Hibernated(_)), "{found:?}");
    assert_eq!((coverage, total), (Coverage::Whole, 32 * MIB));
    assert!(warnings.iter().any(|words| words.contains("Fast Startup")), "{warnings:?}");
    check_trusted(&image);

    let mount = Mount::new(&image, "rw");
    fs::remove_file(mount.path().join("HIBERFIL.SYS")).unwrap();
    drop(mount);
    assert_eq!(state().0, State::Clean);
    tool("ntfsfix", &[&image]);
    let (found, coverage, total, _) = state();
    assert!(matches!(found, State::Dirty(_)), "{found:?}");
    assert_eq!((coverage, total), (Coverage::Whole, 32 * MIB));
    check_trusted(&image);
    let volume = Volume::open(&image);
    let recognised = inspect::recognise(&volume).unwrap().unwrap();
    assert!(matches!(recognised.state, State::Dirty(_)));
    assert_eq!(recognised.size, volume.size());
}
