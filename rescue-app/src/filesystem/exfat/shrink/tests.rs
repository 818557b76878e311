//! Volumes made by exfatprogs, filled here, and judged by exfatprogs and, file by file, by The Sleuth Kit.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use common::exfat_maker::{END_OF_CHAIN, ENTRY, Maker};
use common::{Random, tool};
use tempfile::TempDir;

use super::*;
use crate::bytes::{Overlay, OverlayRoom, ReadAt, le16, le32, le64};
use crate::inspect;

const MIB: u64 = 1 << 20;

/// A volume and what is in it.
struct Volume {
    bytes: Vec<u8>,
    files: BTreeMap<String, Vec<u8>>,
}

impl Volume {
    /// About half full, all of that at its end, in pieces and not; folders in folders, long names.
    fn new(mib: u64, cluster: &str) -> Self {
        let mut maker = Maker::new(mib, &["-c", cluster, "-L", "STICK"]);
        let files = maker.fill(maker.free_bytes() / 2);
        Self { bytes: maker.bytes, files }
    }

    fn overlay(&self) -> Overlay<Vec<u8>> {
        Overlay::new(self.bytes.clone(), OverlayRoom { memory: 400 * MIB, folder: None })
    }

    fn least(&self) -> u64 {
        let found = inspect::inspect(&self.bytes);
        assert_eq!(found.minimum_size, inspect::least_size(&self.bytes));
        found.minimum_size.unwrap()
    }

    fn shrink(&mut self, size: u64) -> Result<(), Doubt> {
        let bytes = self.overlay();
        shrink(&bytes, size, &Cancel::new())?;
        self.bytes = bytes.read_vec(0, usize::try_from(size).unwrap()).unwrap();
        Ok(())
    }

    fn refusal(&mut self, size: u64) -> String {
        self.shrink(size).unwrap_err().to_string()
    }

    /// Sound, and with all files as they were.
    fn judge(&self, what: &str) {
        let (folder, image) = self.written();
        tool("fsck.exfat", &["-n", image.to_str().unwrap()]);
        let out = folder.path().join("out");
        tool("tsk_recover", &["-a", "-f", "exfat", image.to_str().unwrap(), out.to_str().unwrap()]);
        for (name, content) in self.files.iter().filter(|it| !it.1.is_empty()) {
            let found = fs::read(out.join(name)).unwrap_or_default();
            assert!(found == *content, "{what}: {name}");
        }
        // exfatprogs counts what is free by the bitmap, and the files by themselves.
        let listing = tool("dump.exfat", &[image.to_str().unwrap()]);
        let field = |name: &str| -> u64 {
            let line = listing.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
            line.split(':').nth(1).unwrap().trim().parse().unwrap()
        };
        let clusters = u64::from(le32(&self.bytes, 92).unwrap());
        assert_eq!(field("Total Clusters"), clusters, "{listing}");
        let used = clusters - field("Free Clusters");
        assert_eq!(u64::from(self.bytes[112]), used * 100 / clusters, "{what}: PercentInUse");
    }

    fn written(&self) -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("image");
        fs::write(&image, &self.bytes).unwrap();
        (folder, image)
    }

    /// Changes the boot regions, whose checksum is made right.
    fn reseal(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
        let (_, regions) = super::super::boot_region::seal(&self.bytes).unwrap();
        self.bytes[..regions.len()].copy_from_slice(&regions);
    }
}

#[test]
fn clusters_of_all_sizes_get_as_small_as_what_they_hold() {
    for (mib, cluster) in [(6, "512"), (24, "4K"), (48, "32K"), (96, "256K")] {
        let mut volume = Volume::new(mib, cluster);
        volume.reseal(112, &[0]);
        let least = volume.least();
        assert!(least < mib * MIB * 3 / 4, "{cluster}: {least}");
        volume.shrink((least + least / 33).next_multiple_of(512)).unwrap();
        volume.judge(cluster);
        volume.shrink(least).unwrap();
        volume.judge(cluster);
        let bytes = &volume.bytes;
        assert_eq!(le64(bytes, 72), Some(least / 512));
        assert_eq!(bytes[..12 * 512], bytes[12 * 512..24 * 512], "the backup");
        assert_eq!(inspect::inspect(bytes).minimum_size, None, "{cluster}");
    }
}

#[test]
fn a_file_in_one_piece_stays_so_or_gets_a_chain() {
    let mut maker = Maker::new(24, &["-c", "4K"]);
    let mut root = maker.root();
    let mut files = BTreeMap::new();
    for (name, len) in [("moves whole", 300 << 10), ("cut", 6 << 20)] {
        let content = Random::new(len as u64).bytes(len);
        maker.add(&mut root, name, &content, true);
        files.insert(name.to_owned(), content);
    }
    let (last_free, root) = (*maker.free.last().unwrap(), maker.root);
    let mut volume = Volume { bytes: maker.bytes, files };
    let boot = boot_sector(&volume.bytes).unwrap();
    volume.shrink(boot.layout.cluster(last_free) + 3 * MIB).unwrap();
    volume.judge("pieces");
    let root = usize::try_from(boot.layout.cluster(root)).unwrap();
    let streams = volume.bytes[root..root + 4096].chunks(ENTRY).filter(|entry| entry[0] == 0xc0);
    let flags: Vec<u8> = streams.map(|entry| entry[1]).collect();
    assert_eq!(flags, [3, 1]);
}

#[test]
fn a_bitmap_behind_the_end_moves_in_one_piece() {
    let mut maker = Maker::new(24, &["-c", "4K"]);
    let far = maker.free.pop().unwrap() - 2;
    let files = maker.fill(maker.free_bytes() / 2);
    let mut volume = Volume { bytes: maker.bytes, files };
    let boot = boot_sector(&volume.bytes).unwrap();
    let place = |cluster: u32| usize::try_from(boot.layout.cluster(cluster)).unwrap();
    // It takes one cluster, and its place becomes free.
    let at = place(2);
    volume.bytes[at] &= !1;
    volume.bytes[at + far as usize / 8] |= 1 << (far % 8);
    let content = volume.bytes[at..at + 4096].to_vec();
    volume.bytes[at..at + 4096].fill(0xa5);
    volume.bytes[place(far + 2)..][..4096].copy_from_slice(&content);
    let fat = usize::try_from(boot.fat()).unwrap();
    volume.bytes[fat + (far as usize + 2) * 4..][..4].copy_from_slice(&END_OF_CHAIN.to_le_bytes());
    let root = place(boot.layout.root);
    let entry = (root..).step_by(ENTRY).find(|at| volume.bytes[*at] == 0x81).unwrap();
    volume.bytes[entry + 20..entry + 24].copy_from_slice(&(far + 2).to_le_bytes());
    let (_folder, image) = volume.written();
    tool("fsck.exfat", &["-n", image.to_str().unwrap()]);
    let least = volume.least();
    volume.shrink(least + 40 * 4096).unwrap();
    volume.judge("after");
    let first = le32(&volume.bytes, entry + 20).unwrap();
    assert!(first < far, "{first}");
}

#[test]
fn bad_and_lost_clusters_are_free_again() {
    let mut volume = Volume::new(24, "4K");
    let boot = boot_sector(&volume.bytes).unwrap();
    let fat = usize::try_from(boot.fat()).unwrap();
    let bitmap = usize::try_from(boot.layout.heap).unwrap();
    let used = volume.least();
    for at in [700usize, 701, 900] {
        assert_eq!(volume.bytes[bitmap + at / 8] & (1 << (at % 8)), 0);
        volume.bytes[bitmap + at / 8] |= 1 << (at % 8);
        volume.bytes[fat + (at + 2) * 4..][..4].copy_from_slice(&0xffff_fff7u32.to_le_bytes());
    }
    assert_eq!(volume.least(), used + 3 * 4096);
    volume.shrink(used).unwrap();
    volume.judge("bad clusters");
    assert!(le32(&volume.bytes, fat + 902 * 4) != Some(0xffff_fff7));
}

#[test]
fn what_would_do_harm_is_refused() {
    let sound = Volume::new(6, "512");
    let least = sound.least();
    let root = usize::try_from(boot_sector(&sound.bytes).unwrap().layout.heap).unwrap();
    let boot = boot_sector(&sound.bytes).unwrap();
    let place = |cluster: u32| usize::try_from(boot.layout.cluster(cluster)).unwrap();
    let first = place(boot.layout.root);
    let refused = |change: &dyn Fn(&mut Volume), size: u64, why: &str| {
        let mut volume = Volume { bytes: sound.bytes.clone(), files: BTreeMap::new() };
        change(&mut volume);
        let refusal = volume.refusal(size);
        assert!(refusal.contains(why), "{refusal}");
    };
    refused(&|_| {}, 6 * MIB, "not larger");
    refused(&|_| {}, MIB / 2, "cannot have that size");
    refused(&|_| {}, least - 512, "does not fit");
    refused(&|volume| volume.bytes[106] |= 2, least, "marked dirty");
    refused(&|volume| volume.bytes[106] |= 4, least, "errors");
    refused(&|volume| volume.reseal(110, &[2]), least, "");
    // The first file set of the root: its stream's first cluster, its checksum, an entry of another kind.
    let set = (first..).step_by(ENTRY).find(|at| sound.bytes[*at] == 0x85).unwrap();
    assert!(set + 64 < first + 512 && root < first);
    let checksum = le16(&sound.bytes, set + 2).unwrap();
    let wrong = (checksum ^ 1).to_le_bytes();
    refused(&|volume| volume.bytes[set + 2..set + 4].copy_from_slice(&wrong), least, "checksum");
    let others = boot.layout.root.to_le_bytes();
    refused(&|volume| volume.bytes[set + 52..set + 56].copy_from_slice(&others), least, "another");
    refused(&|volume| volume.bytes[set] = 0xa7, least, "not known");
    let cancel = Cancel::new();
    cancel.request();
    let stopped = shrink(&sound.overlay(), least, &cancel).unwrap_err().to_string();
    assert!(stopped.contains("stopped"), "{stopped}");
}
