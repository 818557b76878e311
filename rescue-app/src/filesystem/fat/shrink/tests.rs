//! Volumes made and filled by dosfstools and mtools, and judged by them afterwards.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use common::{Random, output_of, tool};
use tempfile::TempDir;

use super::*;
use crate::bytes::{Overlay, OverlayRoom, ReadAt};
use crate::inspect;

const MIB: u64 = 1 << 20;

/// A volume in a file, and a folder for it.
struct Volume {
    folder: TempDir,
}

impl Volume {
    /// Fragmented and a third full, with most of it at its end.
    fn new(kib: u64, options: &str) -> Self {
        let volume = Self { folder: tempfile::tempdir().unwrap() };
        let size = kib << 10;
        File::create(volume.image()).unwrap().set_len(size).unwrap();
        let mut words: Vec<&str> = options.split_whitespace().collect();
        words.extend(["-n", "STICK"]);
        let image = volume.text();
        tool("mkfs.fat", &[&words[..], &[&image]].concat());
        let first = volume.tree("first", 1, size / 4);
        fs::write(volume.path("filler"), vec![7; usize::try_from(size * 4 / 10).unwrap()]).unwrap();
        volume.copy_in(&[first, volume.path("filler")]);
        let doomed: Vec<String> = (0..24).step_by(2).map(|at| format!("::/first/{at}")).collect();
        tool("mdeltree", &[&["-i".to_owned(), image.clone()], &doomed[..]].concat());
        volume.copy_in(&[volume.tree("second", 2, size / 5)]);
        tool("mdel", &["-i", &image, "::/filler"]);
        tool("fsck.fat", &["-n", &image]);
        volume
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn image(&self) -> PathBuf {
        self.path("image")
    }

    fn text(&self) -> String {
        self.image().to_str().unwrap().to_owned()
    }

    /// Folders of a tree with long names in them, one of them deep.
    fn tree(&self, name: &str, seed: u64, total: u64) -> PathBuf {
        let (root, mut random) = (self.path(name), Random::new(seed));
        for at in 0..24u64 {
            let folder = root.join(at.to_string()).join("a folder with a long name");
            let folder = if at == 7 { folder.join("a/b/c/d/e/f/g") } else { folder };
            fs::create_dir_all(&folder).unwrap();
            for file in 0..3 {
                let len = usize::try_from(random.below(total / 36 + 1)).unwrap();
                fs::write(folder.join(format!("Größe {file}.long")), random.bytes(len)).unwrap();
            }
        }
        fs::write(root.join("empty"), "").unwrap();
        root
    }

    fn copy_in(&self, what: &[PathBuf]) {
        let mut args = vec!["-s".into(), "-i".into(), self.image()];
        args.extend_from_slice(what);
        tool("mcopy", &[&args[..], &["::/".into()]].concat());
    }

    /// All files with what they hold, by mtools.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let mut mcopy = common::command("mcopy");
        mcopy.args(["-s", "-n", "-i", &self.text(), "::/*"]).arg(root);
        // Its check takes the number of the last cluster for one too many.
        common::stdout_of(mcopy.env("MTOOLS_SKIP_CHECK", "1"));
        let (mut found, mut folders) = (BTreeMap::new(), vec![root.to_owned()]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.strip_prefix(root).unwrap().to_owned();
                let is_folder = path.is_dir();
                let bytes = if is_folder { Vec::new() } else { fs::read(&path).unwrap() };
                found.insert(name, bytes);
                folders.extend(is_folder.then_some(path));
            }
        }
        found
    }

    fn bytes(&self) -> Overlay<Vec<u8>> {
        let bytes = fs::read(self.image()).unwrap();
        Overlay::new(bytes, OverlayRoom { memory: 400 * MIB, folder: None })
    }

    fn boot(&self) -> BootSector {
        let mut sector = [0; 512];
        File::open(self.image()).unwrap().read_exact_at(&mut sector, 0).unwrap();
        BootSector::parse(&sector).unwrap()
    }

    fn least(&self) -> u64 {
        inspect::inspect(&fs::read(self.image()).unwrap()).minimum_size.unwrap()
    }

    fn shrink(&self, size: u64) -> Result<(), Doubt> {
        let bytes = self.bytes();
        shrink(&bytes, size, &Cancel::new())?;
        let smaller = bytes.read_vec(0, usize::try_from(size).unwrap()).unwrap();
        fs::write(self.image(), smaller).unwrap();
        Ok(())
    }

    fn refusal(&self, size: u64) -> String {
        self.shrink(size).unwrap_err().to_string()
    }

    /// Makes it smaller; then it has to be sound, and to hold the same files.
    fn shrink_and_judge(&self, size: u64, what: &str) {
        let before = self.files();
        assert!(before.len() > 100, "{what}");
        let counted = |text: String| text.lines().last().unwrap().to_owned();
        let used = counted(output_of("fsck.fat", &["-n", &self.text()]));
        let used = used.rsplit_once('/').unwrap().0;
        self.shrink(size).unwrap();
        let verdict = tool("fsck.fat", &["-n", &self.text()]);
        assert!(verdict.contains(&format!("{used}/{}", self.boot().clusters)), "{what}: {verdict}");
        assert!(self.files() == before, "{what}: other files after it");
        let label = tool("fatlabel", &[&self.text()]);
        assert_eq!(label.trim(), "STICK", "{what}");
    }

    /// Writes a number into all tables of a FAT16.
    fn set_entry(&self, cluster: u32, value: u32) {
        let (boot, mut bytes) = (self.boot(), fs::read(self.image()).unwrap());
        for copy in 0..boot.fats {
            let at = usize::try_from(boot.fat(copy)).unwrap() + cluster as usize * 2;
            bytes[at..at + 2].copy_from_slice(&value.to_le_bytes()[..2]);
        }
        fs::write(self.image(), bytes).unwrap();
    }

    /// As Linux marks a FAT16 that is in use.
    fn mark_dirty(&self) {
        let mut bytes = fs::read(self.image()).unwrap();
        bytes[37] |= 1;
        fs::write(self.image(), bytes).unwrap();
    }

    /// The entries of a FAT16.
    fn entries(&self) -> Vec<u16> {
        let (boot, bytes) = (self.boot(), fs::read(self.image()).unwrap());
        let table = &bytes[usize::try_from(boot.fat(0)).unwrap()..];
        (0..boot.clusters as usize + 2).map(|at| le16(table, at * 2).unwrap()).collect()
    }

    /// Free clusters of a FAT16.
    fn free(&self) -> Vec<u32> {
        (2u32..).zip(&self.entries()[2..]).filter(|(_, next)| **next == 0).map(|it| it.0).collect()
    }
}

#[test]
fn every_kind_gets_as_small_as_its_files_or_its_kind_allow() {
    for (kib, options) in [
        (1440, "-F 12"),
        (8 << 10, "-F 12 -s 8 -f 1"),
        (12 << 10, "-F 16 -s 1"),
        (24 << 10, "-F 16 -S 2048 -s 1"),
        (48 << 10, "-F 32 -s 1"),
        (48 << 10, "-F 32 -s 1 -f 1 -b 12"),
    ] {
        let volume = Volume::new(kib, options);
        let least = volume.least();
        assert!(least < (kib << 10) * 3 / 4, "{options}: {least}");
        volume.shrink_and_judge((least + least / 33).next_multiple_of(4096), options);
        volume.shrink_and_judge(least, options);
        assert_eq!(inspect::inspect(&volume.bytes()).minimum_size, None, "{options}");
    }
}

#[test]
fn sectors_of_4096_bytes_and_large_clusters_are_no_different() {
    for (kib, options, size) in
        [(40 << 10, "-F 16 -S 4096 -s 1", 24 * MIB + 4096), (80 << 10, "-F 16 -s 32", 66 * MIB)]
    {
        Volume::new(kib, options).shrink_and_judge(size, options);
    }
}

#[test]
fn what_is_wrong_without_harm_stays() {
    let volume = Volume::new(24 << 10, "-F 16 -s 4");
    // Bad clusters at both ends, two lost chains of which one leads to and fro, and a volume left open.
    let free: Vec<u32> = volume.free().into_iter().rev().collect();
    [free[0], free[free.len() - 1]].into_iter().for_each(|at| volume.set_entry(at, 0xfff7));
    for (from, to) in [(1, free[4]), (4, free[2]), (2, 0xffff), (3, 0xfff8)] {
        volume.set_entry(free[from], to);
    }
    volume.mark_dirty();
    let lost = |volume: &Volume| {
        let said = output_of("fsck.fat", &["-n", &volume.text()]);
        said.lines().find(|line| line.contains("Reclaimed")).unwrap().trim().to_owned()
    };
    let (before, files) = (lost(&volume), volume.files());
    assert!(before.contains("Reclaimed 4 unused clusters"), "{before}");
    volume.shrink(17 * MIB).unwrap();
    assert_eq!(lost(&volume), before);
    assert!(volume.files() == files);
    assert!(volume.boot().marked_dirty);
    assert!(volume.entries().iter().all(|next| *next != 0xfff7), "bad clusters");
}

#[test]
fn what_would_do_harm_is_refused() {
    let sound = Volume::new(12 << 10, "-F 16 -s 1");
    let least = sound.least();
    let refused = |volume: &Volume, size, why: &str| {
        let refusal = volume.refusal(size);
        assert!(refusal.contains(why), "{refusal}");
    };
    refused(&sound, 12 * MIB, "not larger");
    refused(&sound, 2 * MIB, "no FAT16 any more");
    refused(&sound, least - 512, "does not fit");
    let cancel = Cancel::new();
    cancel.request();
    let stopped = shrink(&sound.bytes(), least, &cancel).unwrap_err().to_string();
    assert!(stopped.contains("stopped"), "{stopped}");
    let (entries, free) = (sound.entries(), sound.free());
    let image = fs::read(sound.image()).unwrap();
    let chained: Vec<u32> = (2u32..)
        .zip(&entries[2..])
        .filter(|it| u32::from(*it.1) == it.0 + 1)
        .map(|it| it.0)
        .collect();
    // Into another file, into nothing, in a circle, and a lost chain that leads to a free cluster.
    let at = chained[chained.len() / 2];
    let cases = [
        (at, entries[chained[3] as usize].into(), "leads into another"),
        (at, free[0], "cut short"),
        (at, at, "leads into another"),
        (free[0], free[1], "which is free"),
    ];
    for (at, value, why) in cases {
        sound.set_entry(at, value);
        refused(&sound, least + 4096, why);
        fs::write(sound.image(), &image).unwrap();
    }
}

#[test]
fn the_fields_of_fat32_tell_what_is_there() {
    let volume = Volume::new(48 << 10, "-F 32 -s 1");
    let size = volume.least() + 512 * 5;
    volume.shrink(size).unwrap();
    let bytes = fs::read(volume.image()).unwrap();
    let word = |at: usize| le32(&bytes, at).unwrap();
    for boot in [0, 6 * 512] {
        assert_eq!(u64::from(word(boot + 32)) * 512, size);
        let (boot_sector, info) = (&bytes[boot..], boot + 512);
        assert_eq!(le16(boot_sector, 19), Some(0));
        let said = output_of("fsck.fat", &["-n", "-v", &volume.text()]);
        let counted = said.lines().last().unwrap().rsplit(' ').nth(1).unwrap().to_owned();
        let (used, all) = counted.split_once('/').unwrap();
        let free = all.parse::<u32>().unwrap() - used.parse::<u32>().unwrap();
        assert_eq!(word(info + 488), free, "{said}");
    }
}
