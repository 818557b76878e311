use proptest::prelude::*;

use super::*;

/// Bytes at places of a volume of `size` bytes, each a signature's name.
fn names(volume: &[u8]) -> Vec<(&'static str, u64)> {
    find(&volume).unwrap().into_iter().map(|found| (found.name, found.offset)).collect()
}

fn volume(size: usize, parts: &[(usize, &[u8])]) -> Vec<u8> {
    let mut volume = vec![0; size];
    for (at, bytes) in parts {
        volume[*at..at + bytes.len()].copy_from_slice(bytes);
    }
    volume
}

#[test]
fn nothing_is_on_a_blank_volume() {
    for size in [0, 1, 511, 512, 4096, 3 << 20] {
        assert_eq!(names(&vec![0; size]), [], "{size} bytes");
    }
}

#[test]
fn places_at_the_end_count_from_the_last_whole_unit() {
    // Version 0.90 of md lies in the last whole 64 KiB, 1.0 at 8 KiB before the last whole 4 KiB.
    let size = (3 << 20) + 70_000;
    let md = b"\xfc\x4e\x2b\xa9";
    let version_0 = (size / 65536 - 1) * 65536;
    let version_1 = size / 4096 * 4096 - 8192;
    let volume = volume(size, &[(version_0, md), (version_1, md)]);
    let member = |at: usize| ("linux_raid_member", at as u64);
    assert_eq!(names(&volume), [member(version_0), member(version_1)]);
}

#[test]
fn few_bytes_are_a_signature_only_with_what_belongs_to_them() {
    let mut sector = [0; 512];
    sector[..3].copy_from_slice(&[0x55, 0xaa, 2]);
    assert_eq!(names(&volume(1 << 20, &[((1 << 20) - 512, &sector)])), []);
    sector[50] = 0x55u8.wrapping_add(0xaa).wrapping_add(2);
    let there = volume(1 << 20, &[((1 << 20) - 512, &sector)]);
    assert_eq!(names(&there), [("via_raid_member", (1 << 20) - 512)]);
    assert_eq!(names(&volume(1 << 20, &[(1024, b"BD")])), []);
    assert_eq!(names(&volume(1 << 20, &[(0, b"HM")])), []);
    assert_eq!(names(&volume(1 << 20, &[(1040, b"\x7f\x13")])), []);
}

#[test]
fn a_backup_gpt_in_the_middle_is_found_by_the_primary_one() {
    let mut header =
        *b"EFI PART\0\0\x01\0\x5c\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\x08\0\0\0\0\0\0";
    header[24] = 1;
    let disk = volume(4 << 20, &[(512, &header), (0x800 * 512, b"EFI PART")]);
    assert_eq!(names(&disk), [("gpt", 512), ("gpt", 1 << 20)]);
}

#[test]
fn what_cannot_be_read_is_an_error() {
    struct Broken;
    impl ReadAt for Broken {
        fn size(&self) -> u64 {
            8 << 20
        }
        fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
            buf.fill(0);
            let reaches = offset + buf.len() as u64 > (8 << 20) - 512;
            if reaches { Err(io::ErrorKind::Other.into()) } else { Ok(()) }
        }
    }
    assert!(find(&Broken).is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_looked_at_and_every_signature_lies_in_them(
        size in 0usize..200_000, seed in prop::collection::vec(any::<u8>(), 1..600),
    ) {
        let bytes: Vec<u8> = seed.iter().copied().cycle().take(size).collect();
        for found in find(&bytes).unwrap() {
            prop_assert!(found.end() <= size as u64);
        }
    }
}
