//! A disk image that is written piece by piece.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use common::Random;

/// An image file.
pub struct Disk {
    file: File,
}

impl Disk {
    /// A new one of `size` zero bytes.
    pub fn create(path: &Path, size: u64) -> Self {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path);
        let file = file.unwrap();
        file.set_len(size).unwrap();
        Self { file }
    }

    /// One that is there.
    pub fn open(path: &Path) -> Self {
        Self { file: OpenOptions::new().read(true).write(true).open(path).unwrap() }
    }

    /// Size in bytes.
    pub fn size(&self) -> u64 {
        self.file.metadata().unwrap().len()
    }

    /// Writes what of `bytes` fits on the disk.
    pub fn put(&self, at: u64, bytes: &[u8]) {
        let fits = usize::try_from(self.size().saturating_sub(at)).unwrap().min(bytes.len());
        self.file.write_all_at(&bytes[..fits], at).unwrap();
    }

    /// `len` bytes at `at`; zeros behind the end.
    pub fn get(&self, at: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        let fits = usize::try_from(self.size().saturating_sub(at)).unwrap().min(len);
        self.file.read_exact_at(&mut bytes[..fits], at).unwrap();
        bytes
    }

    /// A sector of bytes that stand nowhere else.
    pub fn mark(&self, at: u64, random: &mut Random) {
        let noise = random.bytes(512);
        self.put(at, &noise);
    }

    /// Cuts the end off, or adds to it.
    pub fn resize(&self, size: u64) {
        self.file.set_len(size).unwrap();
    }
}

/// Where two files begin to differ.
pub fn first_difference(one: &Path, other: &Path) -> Option<u64> {
    first_difference_outside(one, other, &(0..0))
}

/// Where two files begin to differ, leaving out `except`.
pub fn first_difference_outside(one: &Path, other: &Path, except: &Range<u64>) -> Option<u64> {
    let (mut one, mut other) = (File::open(one).unwrap(), File::open(other).unwrap());
    let (mut a, mut b) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    let mut at = 0;
    loop {
        let (read, also) = (fill(&mut one, &mut a), fill(&mut other, &mut b));
        if a[..read] != b[..also] {
            let places = (at..).zip(a[..read].iter().zip(&b[..also]));
            let mut wrong = places.filter(|(at, (a, b))| a != b && !except.contains(at));
            if let Some((at, _)) = wrong.next() {
                return Some(at);
            }
            if read != also {
                return Some(at + read.min(also) as u64);
            }
        }
        if read == 0 {
            return None;
        }
        at += read as u64;
    }
}

fn fill(file: &mut File, buffer: &mut [u8]) -> usize {
    let mut done = 0;
    while done < buffer.len() {
        match file.read(&mut buffer[done..]).unwrap() {
            0 => break,
            read => done += read,
        }
    }
    done
}
