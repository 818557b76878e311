//! Volumes that `ntfsresize` refuses, made by mkntfs and ntfs-3g and judged by the same tools afterwards.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::super::boot_sector::BootSector;
use super::*;
use crate::bytes::{Overlay, OverlayRoom, ReadAt};
use crate::tool;

const MIB: u64 = 1 << 20;

fn run(name: &str, args: &[&str]) -> Result<String, tool::ToolError> {
    let mut command = tool::command(name)?;
    command.args(args);
    tool::run(command, |status| status == 0)
}

/// A volume in a file, and a folder for it.
struct Volume {
    folder: TempDir,
}

impl Volume {
    /// Of 96 MiB, fragmented, with most of what is left of it at its end.
    fn new(cluster: u32) -> Self {
        let volume = Self { folder: tempfile::tempdir().unwrap() };
        File::create(volume.path()).unwrap().set_len(96 * MIB).unwrap();
        run("mkntfs", &["-F", "-Q", "-q", "-c", &cluster.to_string(), &volume.text()]).unwrap();
        volume.mounted(|root| {
            fs::write(root.join("filler"), vec![7; 40 << 20]).unwrap();
            fs::create_dir(root.join("folder")).unwrap();
            for at in 0..600u32 {
                let bytes = at.to_le_bytes().repeat(2000 + at as usize * 3);
                fs::write(root.join(format!("folder/file{at}")), bytes).unwrap();
            }
            fs::write(root.join("large"), vec![9; 12 << 20]).unwrap();
            let sparse = File::create(root.join("sparse")).unwrap();
            sparse.write_at(b"far behind nothing", 30 * MIB).unwrap();
            fs::remove_file(root.join("filler")).unwrap();
            (0..600u32).step_by(2).for_each(|at| {
                fs::remove_file(root.join(format!("folder/file{at}"))).unwrap();
            });
        });
        volume
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("volume")
    }

    fn text(&self) -> String {
        self.path().to_str().unwrap().to_owned()
    }

    fn mounted<T>(&self, work: impl FnOnce(&Path) -> T) -> T {
        let root = self.folder.path().join("root");
        fs::create_dir(&root).unwrap();
        run("ntfs-3g", &[&self.text(), root.to_str().unwrap()]).unwrap();
        let done = work(&root);
        run("umount", &[root.to_str().unwrap()]).unwrap();
        fs::remove_dir(&root).unwrap();
        done
    }

    /// All files with what they hold.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        self.mounted(|root| {
            let folders = [root.to_owned(), root.join("folder")];
            let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
            let files = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
            let name = |path: &Path| path.strip_prefix(root).unwrap().to_owned();
            files.map(|path| (name(&path), fs::read(&path).unwrap())).collect()
        })
    }

    fn bytes(&self) -> Overlay<Vec<u8>> {
        let bytes = fs::read(self.path()).unwrap();
        Overlay::new(bytes, OverlayRoom { memory: 200 * MIB, folder: None })
    }

    /// Where runs of a value lie.
    fn stream(&self, number: u64, name: &[u8]) -> (Vec<(u64, u64)>, BootSector) {
        let bytes = fs::read(self.path()).unwrap();
        let boot = BootSector::parse(bytes.get(..512).unwrap()).unwrap();
        let master = Master::open(&bytes, boot.clone()).unwrap();
        (master.stream(number, kind::DATA, name).unwrap().places().collect(), boot)
    }

    fn patch(&self, at: u64, bytes: &[u8]) {
        File::options().write(true).open(self.path()).unwrap().write_all_at(bytes, at).unwrap();
    }

    /// What the tool says of that size.
    fn refusal(&self, size: u64) -> String {
        let copy = self.folder.path().join("copy");
        fs::copy(self.path(), &copy).unwrap();
        let args = ["-f", "-f", "-P", "--size", &size.to_string(), copy.to_str().unwrap()];
        run("ntfsresize", &args).unwrap_err().to_string()
    }

    /// Makes it smaller; then it has to be sound, and to hold the same files.
    fn shrink_and_judge(&self, size: u64) {
        let before = self.files();
        let bytes = self.bytes();
        shrink(&bytes, size, &Cancel::new()).unwrap();
        let smaller = bytes.read_vec(0, usize::try_from(size).unwrap()).unwrap();
        fs::write(self.path(), smaller).unwrap();
        run("ntfsresize", &["-f", "-P", "--info", &self.text()]).unwrap();
        run("ntfsfix", &["-n", &self.text()]).unwrap();
        assert!(self.files() == before, "other files after it");
    }
}

#[test]
fn every_size_of_cluster_gets_smaller() {
    for cluster in [512, 1024, 4096, 65536] {
        Volume::new(cluster).shrink_and_judge(56 * MIB);
    }
}

#[test]
fn clusters_that_no_file_has_are_free_again() {
    let volume = Volume::new(4096);
    // The last clusters but a few.
    let (bitmap, boot) = volume.stream(BITMAP, &[]);
    volume.patch(bitmap[0].0 + boot.clusters() / 8 - 100, &[0xff; 90]);
    let refusal = volume.refusal(56 * MIB);
    assert!(refusal.contains("repaired"), "{refusal}");
    volume.shrink_and_judge(56 * MIB);
}

#[test]
fn a_mirror_where_the_end_is_moves_whole() {
    let volume = Volume::new(512);
    let (mirror, boot) = volume.stream(MIRROR, &[]);
    assert_eq!(boot.cluster_size, 512);
    // Its half, and the backup boot sector.
    let size = mirror[0].0 + 2048 + 512;
    assert!(!volume.refusal(size).is_empty());
    volume.shrink_and_judge(size);
}

#[test]
fn bad_clusters_are_forgotten() {
    let volume = Volume::new(4096);
    let bytes = volume.bytes();
    let boot = BootSector::parse(&bytes.read_vec(0, 512).unwrap()).unwrap();
    let bad = boot.clusters() - 500;
    let master = Master::open(&bytes, boot.clone()).unwrap();
    let mover = Mover {
        volume: &bytes,
        unit: 4096,
        before: boot.clusters(),
        end: boot.clusters(),
        space: Space::default(),
        taken: Bits::free(0).unwrap(),
        table: master.table.clone(),
        record_size: boot.record_size as usize,
        cancel: &Cancel::new(),
    };
    let mut record = mover.read(BAD_CLUSTERS).unwrap();
    let at = record.attributes().find(|(_, it)| it.is(kind::DATA, BAD)).unwrap().0;
    let run = |vcn, lcn, len| Run { vcn, lcn, len };
    let runs = [run(0, None, bad), run(bad, Some(bad), 3), run(bad + 3, None, 497)];
    assert!(record.set_runs(at, &runs));
    mover.write(BAD_CLUSTERS, record).unwrap();
    let whole = bytes.read_vec(0, usize::try_from(bytes.size()).unwrap()).unwrap();
    fs::write(volume.path(), whole).unwrap();
    let (bitmap, _) = volume.stream(BITMAP, &[]);
    let byte = bitmap[0].0 + bad / 8;
    let was = volume.bytes().read_vec(byte, 2).unwrap();
    let bits = u16::from_le_bytes([was[0], was[1]]) | 7 << (bad % 8);
    volume.patch(byte, &bits.to_le_bytes());
    assert!(!volume.refusal(56 * MIB).is_empty());
    volume.shrink_and_judge(56 * MIB);
}

#[test]
fn what_does_not_fit_or_makes_no_sense_is_refused() {
    let volume = Volume::new(4096);
    let shrunk = |volume: &Volume, size| shrink(&volume.bytes(), size, &Cancel::new());
    let error = shrunk(&volume, 16 * MIB).unwrap_err().to_string();
    assert!(error.contains("does not fit"), "{error}");
    let error = shrunk(&volume, 96 * MIB).unwrap_err().to_string();
    assert!(error.contains("not larger"), "{error}");
    let cancel = Cancel::new();
    cancel.request();
    let error = shrink(&volume.bytes(), 56 * MIB, &cancel).unwrap_err().to_string();
    assert!(error.contains("stopped"), "{error}");
    // A record that is torn may have clusters.
    let (table, boot) = volume.stream(MFT, &[]);
    volume.patch(table[0].0 + 71 * u64::from(boot.record_size) + 510, b"no");
    let error = shrunk(&volume, 56 * MIB).unwrap_err().to_string();
    assert!(error.contains("file record 71"), "{error}");
}
