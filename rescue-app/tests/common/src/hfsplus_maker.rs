//! Makes an empty HFS+ volume, for no tool of Debian does. The kernel, which fills it, is its
//! judge.
//!
//! Source: Apple Technical Note TN1150.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes of an allocation block and of a node of both trees.
pub const BLOCK: u32 = 4096;
/// Blocks of each tree.
const TREE: u32 = 64;

struct Image(Vec<u8>);

impl Image {
    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn put16(&mut self, at: usize, value: u16) {
        self.put(at, &value.to_be_bytes());
    }

    fn put32(&mut self, at: usize, value: u32) {
        self.put(at, &value.to_be_bytes());
    }

    fn put64(&mut self, at: usize, value: u64) {
        self.put(at, &value.to_be_bytes());
    }

    /// Fork data: one run.
    fn fork(&mut self, at: usize, start: u32, blocks: u32) {
        self.put64(at, u64::from(blocks * BLOCK));
        self.put32(at + 8, BLOCK);
        self.put32(at + 12, blocks);
        self.put32(at + 16, start);
        self.put32(at + 20, blocks);
    }

    /// The header node of a tree with `leaves` records in node 1.
    fn tree(&mut self, block: u32, leaves: u32, longest_key: u16, attributes: u32) {
        let node = (block * BLOCK) as usize;
        let used = u32::from(leaves != 0);
        self.put(node + 8, &[1, 0, 0, 3]);
        self.put16(node + 14, u16::from(leaves != 0));
        for (at, value) in [(16, used), (20, leaves), (24, used), (28, used)] {
            self.put32(node + at, value);
        }
        self.put16(node + 32, u16::try_from(BLOCK).unwrap());
        self.put16(node + 34, longest_key);
        self.put32(node + 36, TREE);
        self.put32(node + 40, TREE - 1 - used);
        self.put32(node + 46, BLOCK);
        self.put32(node + 52, attributes);
        self.put(node + 248, &[0x80 | if leaves == 0 { 0 } else { 0x40 }]);
        let end = node + BLOCK as usize;
        let last = u16::try_from(BLOCK - 8).unwrap();
        for (back, offset) in [(2, 14), (4, 120), (6, 248), (8, last)] {
            self.put16(end - back, offset);
        }
    }

    /// The catalog's only leaf: the root folder and its thread, named `disk`.
    fn root(&mut self, block: u32) {
        let node = (block * BLOCK) as usize;
        let name = [0, 4, 0, b'd', 0, b'i', 0, b's', 0, b'k'];
        self.put(node + 8, &[0xff, 1, 0, 2]);
        let folder = node + 14;
        self.put16(folder, 6 + 8);
        self.put32(folder + 2, 1);
        self.put(folder + 6, &name);
        self.put16(folder + 16, 1);
        self.put32(folder + 24, 2);
        self.put16(folder + 16 + 42, 0o40755);
        let thread = folder + 16 + 88;
        self.put16(thread, 6);
        self.put32(thread + 2, 2);
        self.put16(thread + 8, 3);
        self.put32(thread + 12, 1);
        self.put(thread + 16, &name);
        let end = node + BLOCK as usize;
        for (back, at) in [(2, folder), (4, thread), (6, thread + 26)] {
            self.put16(end - back, u16::try_from(at - node).unwrap());
        }
    }
}

/// Makes a volume over what an image holds, `journal` with an empty journal of one block.
pub fn make(path: &Path, journal: bool) {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    let size = file.metadata().unwrap().len();
    let blocks = u32::try_from(size / u64::from(BLOCK)).unwrap();
    let bitmap = blocks.div_ceil(8 * BLOCK);
    let (extents, catalog) = (1 + bitmap, 1 + bitmap + TREE);
    let info = catalog + TREE;
    let used = info + if journal { 2 } else { 0 };
    let mut image = Image(vec![0; (used * BLOCK) as usize]);
    for block in (0..used).chain([blocks - 1]) {
        let at = (BLOCK + block / 8) as usize;
        if let Some(byte) = image.0.get_mut(at) {
            *byte |= 0x80 >> (block % 8);
        }
    }
    image.tree(extents, 0, 10, 2);
    image.tree(catalog, 2, 516, 6);
    image.root(catalog + 1);
    image.put(1024, b"H+\0\x04");
    image.put32(1028, 1 << 8 | if journal { 1 << 13 } else { 0 });
    image.put(1032, b"10.0");
    let fields = [(40, BLOCK), (44, blocks), (48, blocks - used - 1), (52, used), (64, 16)];
    for (at, value) in fields.into_iter().chain([(56, BLOCK), (60, BLOCK)]) {
        image.put32(1024 + at, value);
    }
    image.put64(1024 + 72, 1);
    for (at, start, len) in [(112, 1, bitmap), (192, extents, TREE), (272, catalog, TREE)] {
        image.fork(1024 + at, start, len);
    }
    if journal {
        image.put32(1024 + 12, info);
        let at = (info * BLOCK) as usize;
        image.put32(at, 1);
        image.put64(at + 36, u64::from((info + 1) * BLOCK));
        image.put64(at + 44, u64::from(BLOCK));
        image.journal(at + BLOCK as usize, 512);
    }
    file.write_all_at(&image.0, 0).unwrap();
    file.write_all_at(&image.0[1024..1536], size - 1024).unwrap();
    file.write_all_at(&[0; 512], size - 512).unwrap();
}

impl Image {
    /// A journal header whose transactions end at that byte; they start at 512.
    fn journal(&mut self, at: usize, end: u64) {
        self.put32(at, 0x4a4e_4c78);
        self.put32(at + 4, 0x1234_5678);
        for (place, value) in [(8, 512), (16, end), (24, u64::from(BLOCK))] {
            self.put64(at + place, value);
        }
        self.put32(at + 32, 512);
        self.put32(at + 40, 512);
        self.put32(at + 36, 0);
        let sum = self.0[at..at + 44]
            .iter()
            .fold(0u32, |sum, &byte| (sum << 8) ^ sum.wrapping_add(byte.into()));
        self.put32(at + 36, !sum);
    }
}

/// Puts a transaction into the journal of a volume that [`make`] made.
pub fn open_journal(path: &Path) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut field = [0; 8];
    file.read_exact_at(&mut field[..4], 1024 + 12).unwrap();
    let info = u64::from(u32::from_be_bytes(field[..4].try_into().unwrap())) * u64::from(BLOCK);
    file.read_exact_at(&mut field, info + 36).unwrap();
    let mut header = Image(vec![0; 44]);
    header.journal(0, 1024);
    file.write_all_at(&header.0, u64::from_be_bytes(field)).unwrap();
}
