//! What lies where on a disk, before its table is damaged.

use std::fs;
use std::path::Path;

use common::{Random, tool};

use super::disk::Disk;
use super::{damage, pick, tables};
use crate::support::{Bench, MIB};

/// Filesystems that are copied onto the disks: in none of them is a byte that is not zero unused.
pub struct Templates(Vec<(&'static str, Vec<u8>)>);

impl Templates {
    pub fn make() -> Self {
        let bench = Bench::empty();
        let make = |name: &'static str, size: u64, program: &str, args: &[&str]| {
            let file = bench.arg(name);
            fs::File::create(bench.path(name)).unwrap().set_len(size).unwrap();
            tool(program, &[args, &[file.as_str()]].concat());
            (name, fs::read(bench.path(name)).unwrap())
        };
        let files = bench.path("files");
        fs::create_dir(&files).unwrap();
        let mut random = Random::new(7);
        let noise = random.bytes(400_000);
        fs::write(files.join("noise"), noise).unwrap();
        let from = files.to_str().unwrap();
        Self(vec![
            make("ext4", 2 * MIB, "mkfs.ext4", &["-q", "-F", "-d", from]),
            make("ext2", MIB / 4, "mkfs.ext2", &["-q", "-F"]),
            make("fat", MIB / 4, "mkfs.vfat", &[]),
            make("ntfs", 2 * MIB, "mkfs.ntfs", &["-q", "-F", "-f"]),
            make("swap", MIB / 16, "mkswap", &["-q"]),
        ])
    }

    fn pick(&self, random: &mut Random) -> usize {
        usize::try_from(random.below(self.0.len() as u64)).unwrap()
    }

    fn bytes(&self, index: usize) -> &[u8] {
        &self.0[index].1
    }
}

/// What is in a place of the disk.
#[derive(Clone, Copy, Debug)]
pub enum Content {
    /// One of the templates.
    Filesystem(usize),
    /// Bytes of no known kind.
    Noise,
}

/// A place of the disk that the undamaged table has as a partition.
#[derive(Clone, Copy, Debug)]
pub struct Volume {
    /// In bytes.
    pub start: u64,
    /// In bytes; more than the filesystem in it at times.
    pub size: u64,
    pub content: Content,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Style {
    Gpt,
    Mbr,
    Nothing,
}

/// A disk as it was meant to be.
#[derive(Debug)]
pub struct Layout {
    pub size: u64,
    pub sector: u64,
    pub style: Style,
    pub volumes: Vec<Volume>,
}

impl Layout {
    pub fn random(random: &mut Random, templates: &Templates) -> Self {
        let sector = if random.below(8) == 0 { 4096 } else { 512 };
        let style = match random.below(10) {
            0 => Style::Nothing,
            1..5 => Style::Gpt,
            _ => Style::Mbr,
        };
        let first = match style {
            Style::Nothing => 0,
            _ => pick(random, &[MIB, MIB, 63 * sector, 64 * sector]),
        };
        let (mut at, mut volumes) = (first, Vec::new());
        for _ in 0..random.below(7) + 1 {
            if style != Style::Nothing {
                let any = random.below(600) * sector;
                at += pick(random, &[0, 0, sector, MIB, any]);
            }
            let content = match random.below(3) {
                0 => Content::Noise,
                _ => Content::Filesystem(templates.pick(random)),
            };
            let least = match content {
                Content::Filesystem(index) => templates.bytes(index).len() as u64,
                Content::Noise => (random.below(1000) + 1) * sector,
            };
            let more = if random.below(3) == 0 { random.below(400) * sector } else { 0 };
            volumes.push(Volume { start: at, size: least + more, content });
            at += least + more;
            // A logical partition has its record in front of it.
            at += 2 * sector;
        }
        let gap = if random.below(12) == 0 { 150 * MIB } else { random.below(MIB) };
        let size = (at + gap + 34 * sector).next_multiple_of(sector);
        Self { size, sector, style, volumes }
    }

    /// Writes the disk and returns what was done to it.
    pub fn write(&self, path: &Path, random: &mut Random, templates: &Templates) -> String {
        let disk = Disk::create(path, self.size);
        for volume in &self.volumes {
            match volume.content {
                Content::Filesystem(index) => {
                    disk.put(volume.start, templates.bytes(index));
                    let behind = volume.start + templates.bytes(index).len() as u64;
                    self.mark(&disk, behind, volume.start + volume.size, random);
                }
                Content::Noise => {
                    self.mark(&disk, volume.start, volume.start + volume.size, random);
                }
            }
        }
        self.mark_gaps(&disk, random);
        let mut story = format!("{self:?}");
        match self.style {
            Style::Gpt => tables::write_gpt(&disk, self, random),
            Style::Mbr => tables::write_mbr(&disk, self, random),
            Style::Nothing => {}
        }
        if self.style != Style::Nothing {
            for _ in 0..random.below(4) {
                story.push_str("; ");
                story.push_str(&damage::random(&disk, self, random));
            }
        }
        story
    }

    /// Some sectors between `start` and `end` that are not zero, the last one among them.
    fn mark(&self, disk: &Disk, start: u64, end: u64, random: &mut Random) {
        let sectors = end.saturating_sub(start) / self.sector;
        if sectors == 0 {
            return;
        }
        for _ in 0..3 {
            disk.mark(start + random.below(sectors) * self.sector, random);
        }
        disk.mark(start + (sectors - 1) * self.sector, random);
    }

    fn mark_gaps(&self, disk: &Disk, random: &mut Random) {
        let mut at = 0;
        for volume in &self.volumes {
            self.mark(disk, at, volume.start, random);
            at = volume.start + volume.size;
        }
        self.mark(disk, at, self.size, random);
    }
}
