//! Decryption, judged by the sums that cryptsetup's tests expect of volumes that Windows encrypted.

use std::fs;

use common::bitlocker_images::{self, Image};
use sha2::{Digest, Sha256};

use super::*;

/// The sum of the content as it is seen through a secret.
fn sum_of(image: &Image, secret: &str) -> String {
    let volume = fs::read(&image.path).unwrap();
    let key = BitLocker.unlock(&volume, secret.as_bytes(), Effort::with_memory(0)).unwrap();
    let container = BitLocker.decrypted(&volume, &key).unwrap();
    let mut hash = Sha256::new();
    let mut piece = vec![0; 1 << 20];
    for at in (0..container.content.size()).step_by(piece.len()) {
        container.content.read_at(at, &mut piece).unwrap();
        hash.update(&piece);
    }
    hex::encode(hash.finalize())
}

/// How many of the volumes with `word` in their names have the expected content, seen through the
/// secret that the list has under `secret`. All have to.
fn windows_volumes(word: &str, secret: &str) -> usize {
    let named = |image: &Image| image.name.contains(word);
    let read = bitlocker_images::all().into_iter().filter(named).filter(|image| {
        let (Some(expected), Some(secret)) = (image.fact("SHA256SUM"), image.fact(secret)) else {
            return false;
        };
        assert_eq!(sum_of(image, secret), expected, "{}", image.name);
        true
    });
    read.count()
}

#[test]
fn volumes_encrypted_with_xts_are_read_as_cryptsetup_does() {
    assert_eq!(windows_volumes("xts", "RP"), 8);
}

#[test]
fn volumes_encrypted_with_cbc_are_read_as_cryptsetup_does() {
    assert_eq!(windows_volumes("cbc", "PW"), 6);
}
