//! Fills an exFAT: there is no tool for that, and not every kernel knows it.
//!
//! Source: Microsoft, "exFAT file system specification".

use std::collections::BTreeMap;
use std::fs::{self, File};

use crate::{Random, tool};

/// Bytes of an entry of a folder.
pub const ENTRY: usize = 32;
/// What the FAT says of the last cluster of a chain.
pub const END_OF_CHAIN: u32 = u32::MAX;

/// A volume that is filled, from its end on.
pub struct Maker {
    /// All of it.
    pub bytes: Vec<u8>,
    fat: usize,
    heap: usize,
    unit: usize,
    /// First cluster of the root directory.
    pub root: u32,
    /// Free clusters in ascending order.
    pub free: Vec<u32>,
    random: Random,
}

/// A folder with entries to come.
pub struct Folder {
    clusters: Vec<u32>,
    len: usize,
}

impl Maker {
    /// An empty volume of so many mebibytes, made by mkfs.exfat with these options.
    pub fn new(mib: u64, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("image");
        File::create(&image).unwrap().set_len(mib << 20).unwrap();
        tool("mkfs.exfat", &[options, &[image.to_str().unwrap()]].concat());
        let bytes = fs::read(image).unwrap();
        let le32 = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        let sectors = |at: usize| le32(at) as usize * 512;
        let (fat, heap, unit) = (sectors(80), sectors(88), 512usize << bytes[109]);
        let (clusters, root) = (le32(92), le32(96));
        let is_used = |at: u32| bytes[heap + at as usize / 8] & (1 << (at % 8)) != 0;
        let free: Vec<u32> = (0..clusters).filter(|at| !is_used(*at)).map(|at| at + 2).collect();
        Self { bytes, fat, heap, unit, root, free, random: Random::new(5) }
    }

    fn place(&self, cluster: u32) -> usize {
        self.heap + (cluster as usize - 2) * self.unit
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn mark(&mut self, cluster: u32) {
        let at = cluster as usize - 2;
        // The bitmap is what mkfs.exfat puts into the first clusters.
        self.bytes[self.heap + at / 8] |= 1 << (at % 8);
    }

    /// Clusters for so many bytes: in one piece, or anywhere among the last free ones.
    fn take(&mut self, len: usize, contiguous: bool) -> Vec<u32> {
        let count = len.div_ceil(self.unit);
        let mut taken = Vec::new();
        if contiguous {
            let follows = |at: &usize| {
                let part = &self.free[*at..at + count];
                part.windows(2).all(|pair| pair[0] + 1 == pair[1])
            };
            let start = (0..=self.free.len() - count).rev().find(follows).unwrap();
            taken = self.free.drain(start..start + count).collect();
        } else {
            for _ in 0..count {
                let window = self.free.len().min(60) as u64;
                let back = usize::try_from(self.random.below(window)).unwrap();
                taken.push(self.free.remove(self.free.len() - 1 - back));
            }
            for (at, cluster) in taken.iter().enumerate() {
                let next = taken.get(at + 1).copied().unwrap_or(END_OF_CHAIN);
                self.put(self.fat + *cluster as usize * 4, &next.to_le_bytes());
            }
        }
        taken.iter().for_each(|cluster| self.mark(*cluster));
        taken
    }

    /// Bytes that are free.
    pub fn free_bytes(&self) -> usize {
        self.free.len() * self.unit
    }

    /// The root directory.
    pub fn root(&self) -> Folder {
        let start = self.place(self.root);
        let entries = self.bytes[start..start + self.unit].chunks_exact(ENTRY);
        let len = entries.take_while(|entry| entry[0] != 0).count() * ENTRY;
        Folder { clusters: vec![self.root], len }
    }

    /// Makes a folder with a chain longer.
    pub fn extend(&mut self, folder: &mut Folder, clusters: usize) {
        let last = *folder.clusters.last().unwrap();
        let more = self.take(clusters * self.unit, false);
        self.put(self.fat + last as usize * 4, &more[0].to_le_bytes());
        folder.clusters.extend(more);
    }

    /// Files of about so many bytes, in pieces and not, in folders in folders, with long names; by their paths.
    pub fn fill(&mut self, budget: usize) -> BTreeMap<String, Vec<u8>> {
        let (mut root, mut files) = (self.root(), BTreeMap::new());
        self.extend(&mut root, (16usize << 10).div_ceil(self.unit));
        let mut random = Random::new(3);
        let (mut spent, mut number) = (0, 0);
        while spent < budget {
            let name = format!("folder {number}");
            let mut folder = self.add_folder(&mut root, &name, number % 2 == 0);
            let mut inner = self.add_folder(&mut folder, "in it", number % 3 == 0);
            for at in 0..8 {
                let len = random.below((budget / 40) as u64);
                let content = random.bytes(usize::try_from(len).unwrap());
                let file = format!("{}{at}.bin", "a long name, ".repeat(at));
                let (to, path) = match at % 2 {
                    0 => (&mut folder, format!("{name}/{file}")),
                    _ => (&mut inner, format!("{name}/in it/{file}")),
                };
                self.add(to, &file, &content, at % 4 < 2);
                spent += content.len() + self.unit;
                files.insert(path, content);
            }
            self.add(&mut folder, "empty", &[], false);
            number += 1;
        }
        files
    }

    /// Adds a file, in one piece or in any.
    pub fn add(&mut self, to: &mut Folder, name: &str, content: &[u8], contiguous: bool) {
        let clusters = self.take(content.len(), contiguous);
        for (cluster, part) in clusters.iter().zip(content.chunks(self.unit)) {
            self.put(self.place(*cluster), part);
        }
        self.enter(to, name, (0x20, &clusters, content.len(), contiguous));
    }

    /// Adds a folder.
    pub fn add_folder(&mut self, to: &mut Folder, name: &str, contiguous: bool) -> Folder {
        let len = 8192usize.next_multiple_of(self.unit);
        let clusters = self.take(len, contiguous);
        self.enter(to, name, (0x10, &clusters, len, contiguous));
        Folder { clusters, len: 0 }
    }

    /// The entries of a file (§7.4, §7.6, §7.7).
    fn enter(&mut self, to: &mut Folder, name: &str, what: (u16, &[u32], usize, bool)) {
        let (attributes, clusters, len, contiguous) = what;
        let units: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let names = units.chunks(30).count();
        let mut set = vec![0u8; ENTRY * (2 + names)];
        set[0] = 0x85;
        set[1] = 1 + u8::try_from(names).unwrap();
        set[4..6].copy_from_slice(&attributes.to_le_bytes());
        for at in [8, 12, 16] {
            set[at + 2..at + 4].copy_from_slice(&0x5a21u16.to_le_bytes());
        }
        set[32] = 0xc0;
        set[33] = if contiguous && len > 0 { 3 } else { 1 };
        set[35] = u8::try_from(units.len() / 2).unwrap();
        let upper: Vec<u8> =
            name.to_ascii_uppercase().encode_utf16().flat_map(u16::to_le_bytes).collect();
        let sum = |sum: u16, byte: &u8| sum.rotate_right(1).wrapping_add((*byte).into());
        set[36..38].copy_from_slice(&upper.iter().fold(0, sum).to_le_bytes());
        for at in [40, 56] {
            set[at..at + 8].copy_from_slice(&(len as u64).to_le_bytes());
        }
        set[52..56].copy_from_slice(&clusters.first().copied().unwrap_or(0).to_le_bytes());
        for (at, piece) in units.chunks(30).enumerate() {
            let at = 64 + at * ENTRY;
            set[at] = 0xc1;
            set[at + 2..at + 2 + piece.len()].copy_from_slice(piece);
        }
        let summed = set.iter().enumerate().filter(|(at, _)| !matches!(at, 2 | 3)).map(|it| it.1);
        let checksum: u16 = summed.fold(0, sum);
        set[2..4].copy_from_slice(&checksum.to_le_bytes());
        for entry in set.chunks(ENTRY) {
            let cluster = to.clusters[to.len / self.unit];
            self.put(self.place(cluster) + to.len % self.unit, entry);
            to.len += ENTRY;
        }
    }
}
