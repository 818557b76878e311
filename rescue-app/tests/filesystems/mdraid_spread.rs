//! Members of linear and striped arrays, with superblocks made here and judged by
//! `mdadm --examine`; the content is put together here and judged by its own checker.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use lifeboat::bytes::{Extents, ReadAt};
use lifeboat::inspect;
use lifeboat::volume::{Coverage, Inspection};
use tempfile::TempDir;

use crate::ext;
use crate::mdraid::{
    CONTENT, examined, filesystem_bytes, put32, put64, version_0, version_1, write,
};
use crate::tools::{self, Together, Volume};

const MIB: u64 = 1 << 20;
const CHUNK: u64 = 64 << 10;

/// An array of two members.
#[derive(Clone, Copy, Debug)]
struct Array {
    version: &'static str,
    level: &'static str,
}

impl Array {
    /// Where the content is on a member.
    fn data(self) -> u64 {
        if self.version == "1.2" { 4 * MIB } else { 0 }
    }

    /// The pieces of the content: member, place on it, length.
    fn pieces(self) -> Vec<(usize, u64, u64)> {
        let at = self.data();
        if self.level == "linear" {
            return vec![(0, at, 24 * MIB), (1, at, 16 * MIB)];
        }
        let turns = 0..CONTENT / CHUNK;
        turns.map(|turn| (usize::from(turn % 2 == 1), at + turn / 2 * CHUNK, CHUNK)).collect()
    }

    fn make(self, folder: &Path, content: &[u8]) -> [PathBuf; 2] {
        let images = [0, 1].map(|member| {
            let image = folder.join(format!("{}-{}-{member}", self.data(), self.level));
            let own = self.pieces().into_iter().filter(|(at, ..)| *at == member);
            let len: u64 = own.map(|(.., len)| len).sum();
            // Less than a chunk more than is used; in version 0.90 the superblock behind it.
            tools::old_medium(&image, self.data() + len + (64 << 10) + 37 * 512);
            let member = u32::try_from(member).unwrap();
            let level = if self.level == "linear" { u32::MAX } else { 0 };
            let chunk = u32::try_from(CHUNK).unwrap();
            if self.version == "1.2" {
                version_1(&image, 4096, 4 * MIB, &|block| {
                    put32(block, 18, level);
                    put32(block, 22, chunk / 512);
                    put64(block, 80, 0);
                    put64(block, 136, len / 512 + 5);
                    put32(block, 40, member);
                    block[168] = block[168].wrapping_add(u8::try_from(member).unwrap());
                });
            } else {
                version_0(&image, &|block| {
                    put32(block, 7, level);
                    put32(block, 65, chunk);
                    for word in [992, 995] {
                        put32(block, word, member);
                    }
                });
            }
            image
        });
        let mut from = 0;
        for (member, at, len) in self.pieces() {
            let to = from + usize::try_from(len).unwrap();
            write(&images[member], at, &content[from..to]);
            from = to;
        }
        assert_eq!(from, content.len());
        images
    }

    fn content(self, images: &[PathBuf; 2], file: &Path) -> BTreeMap<PathBuf, String> {
        let mut bytes = Vec::new();
        for (member, at, len) in self.pieces() {
            let volume = Volume::open(&images[member]);
            bytes.extend(volume.read_vec(at, usize::try_from(len).unwrap()).unwrap());
        }
        fs::write(file, bytes).unwrap();
        assert!(ext::is_sound(file), "{self:?}");
        ext::contents(file)
    }
}

fn inspect(own: usize, images: &[&PathBuf]) -> Inspection {
    let volumes: Vec<Volume> = images.iter().map(|image| Volume::open(image)).collect();
    inspect::inspect_among(&volumes[own], &Together(&volumes))
}

#[test]
fn linear_and_striped_arrays_are_mapped_when_all_members_are_there() {
    let scratch = TempDir::new().unwrap();
    let content = filesystem_bytes(scratch.path());
    let file = scratch.path().join("joined");
    let free = CONTENT - inspect::inspect(&content).used.total();
    for version in ["1.2", "0.90"] {
        for level in ["linear", "raid0"] {
            let array = Array { version, level };
            let images = array.make(scratch.path(), &content);
            let said = examined(&images[1]);
            let level = format!("Raid Level : {level}");
            assert!(said.contains(&level) && said.contains("- correct"), "{said}");
            let both = [&images[0], &images[1]];
            let maps: [Extents; 2] = [0, 1].map(|own| {
                let found = inspect(own, &both);
                assert_eq!(found.coverage, Coverage::Used, "{array:?}: {:?}", found.warnings);
                assert_eq!(found.warnings, Vec::<String>::new(), "{array:?}");
                found.used
            });
            let size: u64 = both.iter().map(|image| fs::metadata(image).unwrap().len()).sum();
            assert_eq!(size - maps[0].total() - maps[1].total(), free, "{array:?}");
            let expected = array.content(&images, &file);
            for byte in [0x00, 0x5a] {
                let copies =
                    [0, 1].map(|own| tools::scribbled_copy(&images[own], &maps[own], byte));
                assert!(array.content(&copies, &file) == expected, "{array:?}");
                assert_eq!(examined(&copies[1]), examined(&images[1]), "{array:?}");
            }
        }
    }
}

#[test]
fn members_without_all_others_are_captured_whole() {
    let scratch = TempDir::new().unwrap();
    let content = filesystem_bytes(scratch.path());
    let array = Array { version: "1.2", level: "linear" };
    let [first, second] = array.make(scratch.path(), &content);
    let other = scratch.path().join("other");
    let whole = |images: &[&PathBuf], why: &str| {
        let found = inspect(0, images);
        assert_eq!(found.coverage, Coverage::Whole, "{why}");
        assert!(found.warnings[0].contains(why), "{why}: {:?}", found.warnings);
    };
    whole(&[&first], "has 2 members, and not all of them are here");
    fs::copy(&second, &other).unwrap();
    whole(&[&first, &second, &other], "is there twice");
    // Of another moment; and a member that takes the place of the first.
    let changes: [fn(&mut [u8]); 2] = [|block| put64(block, 200, 18), |block| put32(block, 40, 0)];
    for change in changes {
        version_1(&other, 4096, 4 * MIB, &|block| {
            put32(block, 18, u32::MAX);
            put64(block, 136, 16 * MIB / 512);
            put32(block, 40, 1);
            change(block);
        });
        whole(&[&first, &other], "not all of them are here");
    }
    let striped = Array { version: "1.2", level: "raid0" };
    let [first, second] = striped.make(scratch.path(), &content);
    version_1(&second, 4096, 4 * MIB, &|block| {
        put32(block, 18, 0);
        put32(block, 22, 128);
        put64(block, 136, 10 * MIB / 512);
        put32(block, 40, 1);
    });
    whole(&[&first, &second], "differ in size");
}
