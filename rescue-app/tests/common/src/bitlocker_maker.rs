//! Volumes that Windows encrypted, with a content of one's own: their metadata and keys are those
//! that Windows made, their sectors are encrypted here, and dislocker has to read what was meant.

use std::fs::{self, File, OpenOptions};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use aes::Aes128;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use xts_mode::Xts128;

use crate::bitlocker_images::{self, Image};
use crate::tool::{tool, tool_with_input};

/// The password of all volumes that have one.
pub const PASSWORD: &str = "anaconda";
/// Room that each copy of the metadata has, bytes.
const METADATA: u64 = 64 << 10;

/// The volume of that name.
pub fn image(name: &str) -> Image {
    bitlocker_images::all().into_iter().find(|image| image.name == name).unwrap()
}

/// A cipher with its key.
enum Cipher {
    Xts(Box<Xts128<Aes128>>),
    Cbc(Box<Aes128>),
}

impl Cipher {
    /// That of a volume with a key of 128 bits, as `cryptsetup` tells.
    fn of(image: &Image) -> Self {
        let key = volume_key(&image.path);
        let half = |at: usize| Aes128::new_from_slice(&key[at..at + 16]).unwrap();
        match image.fact("CIPHER").unwrap() {
            "aes-xts-plain64" => Self::Xts(Box::new(Xts128::new(half(0), half(16)))),
            "aes-cbc-eboiv" => Self::Cbc(Box::new(half(0))),
            other => panic!("{other}"),
        }
    }

    /// Encrypts a sector that is stored at byte `place`.
    fn encrypt(&self, sector: &mut [u8], place: u64) {
        match self {
            Self::Xts(cipher) => {
                let number = u128::from(place / sector.len() as u64);
                cipher.encrypt_sector(sector, number.to_le_bytes().into());
            }
            Self::Cbc(cipher) => {
                let mut last = u128::from(place).to_le_bytes().into();
                cipher.encrypt_block(&mut last);
                for block in sector.chunks_exact_mut(16) {
                    last.iter_mut().zip(&*block).for_each(|(last, byte)| *last ^= byte);
                    cipher.encrypt_block(&mut last);
                    block.copy_from_slice(&last);
                }
            }
        }
    }
}

fn volume_key(volume: &Path) -> Vec<u8> {
    let args =
        ["bitlkDump", "-q", "--dump-volume-key", "--key-file", "-", volume.to_str().unwrap()];
    let told = tool_with_input("cryptsetup", &args, PASSWORD);
    let (_, digits) = told.split_once("MK dump:").unwrap();
    hex::decode(digits.split_whitespace().collect::<String>()).unwrap()
}

/// Where BitLocker keeps its metadata, and where the content's first bytes were moved to.
fn places(volume: &File) -> ([Range<u64>; 3], Range<u64>) {
    let bytes = |at: u64, len: usize| {
        let mut bytes = [0; 8];
        volume.read_exact_at(&mut bytes[..len], at).unwrap();
        u64::from_le_bytes(bytes)
    };
    // The boot sector of BitLocker To Go has a place of its own for its identifier.
    let to_go = bytes(3, 8) == u64::from_le_bytes(*b"MSWIN4.1");
    let list = if to_go { 440 } else { 176 };
    let copies = [0, 8, 16].map(|slot| bytes(list + slot, 8));
    let moved = bytes(copies[0] + 56, 8);
    let moved = moved..moved + bytes(copies[0] + 28, 4) * bytes(11, 2);
    (copies.map(|at| at..at + METADATA), moved)
}

/// Bytes of a volume that BitLocker has for itself: the copies of the metadata, the content's first
/// bytes, and what took their place.
pub fn overhead(volume: &Path) -> u64 {
    let (_, moved) = places(&File::open(volume).unwrap());
    3 * METADATA + 2 * (moved.end - moved.start)
}

/// A copy of a volume, as `to`, with `plain` for its content. That has to be zero where BitLocker
/// keeps something of its own.
pub fn seal(from: &Image, plain: &Path, to: &Path) {
    fs::copy(&from.path, to).unwrap();
    let volume = OpenOptions::new().read(true).write(true).open(to).unwrap();
    let (copies, moved) = places(&volume);
    let cipher = Cipher::of(from);
    let mut content = fs::read(plain).unwrap();
    assert_eq!(content.len() as u64, volume.metadata().unwrap().len());
    let sector = if from.name.ends_with("-4k") { 4096 } else { 512 };
    for (at, sector) in (0..).step_by(sector).zip(content.chunks_exact_mut(sector)) {
        if copies.iter().chain([&moved]).any(|own| own.contains(&at)) {
            assert!(sector.iter().all(|byte| *byte == 0), "byte {at} is BitLocker's own");
            continue;
        }
        let place = if at < moved.end - moved.start { moved.start + at } else { at };
        cipher.encrypt(sector, place);
        volume.write_all_at(sector, place).unwrap();
    }
    let same = fs::read(decrypted(to)).unwrap() == fs::read(plain).unwrap();
    assert!(same, "{}: dislocker reads something else", from.name);
}

/// What dislocker makes of a volume, as a file next to it.
pub fn decrypted(volume: &Path) -> PathBuf {
    let to = volume.with_extension("decrypted");
    // dislocker writes no file that is there.
    let _ = fs::remove_file(&to);
    let (from, password) = (volume.to_str().unwrap(), format!("-u{PASSWORD}"));
    tool("dislocker-file", &["-q", "-r", "-V", from, &password, to.to_str().unwrap()]);
    to
}
