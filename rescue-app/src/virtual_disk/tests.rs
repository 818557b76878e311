//! Disks that are written and read again; that others read them too is for the tests of the program.

use std::io;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use super::*;
use crate::bytes::is_zero;

const ALL: [Format; 8] = [
    Format::Raw,
    Format::Qcow2,
    Format::Vhd,
    Format::VhdFixed,
    Format::Vhdx,
    Format::Vmdk,
    Format::VmdkStream,
    Format::Vdi,
];

/// A file in memory.
#[derive(Default)]
struct Memory(Mutex<Vec<u8>>);

impl PutAt for Memory {
    fn put_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.0.lock().unwrap();
        let start = usize::try_from(offset).unwrap();
        let end = start + bytes.len();
        if file.len() < end {
            file.resize(end, 0);
        }
        file[start..end].copy_from_slice(bytes);
        Ok(())
    }
}

/// Writes a disk, without and with what makes it one.
fn written(format: Format, disk: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let size = disk.len() as u64;
    let shape = Shape { size, sector: 512, name: "disk".into() };
    let (mut writer, mut packer) = (format.writer(&shape).unwrap(), format.packer().unwrap());
    let len = usize::try_from(format.block_size(size)).unwrap();
    let out = Memory::default();
    for (number, block) in (0..).zip(disk.chunks(len)) {
        if is_zero(block) {
            continue;
        }
        let mut block = block.to_vec();
        block.resize(len, 0);
        let mut packed = Vec::new();
        let is_packed = match &mut packer {
            Some(packer) => packer.pack(number, &block, &mut packed).unwrap(),
            None => {
                packed = block;
                false
            }
        };
        let block = Block { number, len: packed.len(), is_packed };
        let at = writer.place(block, &out).unwrap();
        out.put_at(at, &packed).unwrap();
    }
    let seal = writer.finish(&out).unwrap();
    let mut file = out.0.into_inner().unwrap();
    file.resize(usize::try_from(seal.size).unwrap(), 0);
    let unsealed = file.clone();
    let out = Memory(Mutex::new(file));
    out.put_at(seal.at, &seal.bytes).unwrap();
    (unsealed, out.0.into_inner().unwrap())
}

/// What packs well, what does not, zeros, and an end in the middle of a block.
fn disk() -> Vec<u8> {
    let mut disk = vec![0; (9 << 20) + 1536];
    for (index, byte) in disk.iter_mut().enumerate().take(300_000).skip(70_000) {
        *byte = u8::try_from(index / 100 % 251).unwrap();
    }
    getrandom::fill(&mut disk[4 << 20..(4 << 20) + 200_000]).unwrap();
    for block in 0..8 {
        disk[(5 << 20) + block * 70_000] = 1;
    }
    disk[(9 << 20) + 1535] = 7;
    disk
}

#[test]
fn what_was_written_is_read_in_any_parts() {
    let disk = disk();
    for format in ALL {
        let (unsealed, file) = written(format, &disk);
        if format != Format::Raw {
            assert!(open(format, Arc::new(unsealed)).is_err(), "{format} that is not whole");
        }
        let reader = open(format, Arc::new(file)).unwrap();
        assert_eq!(reader.size(), disk.len() as u64, "{format}");
        for part in [512, 65_536, 1 << 20, 3_000_000, disk.len()] {
            let mut at = 0;
            for expected in disk.chunks(part) {
                assert!(reader.read_vec(at, expected.len()).unwrap() == expected, "{format} {at}");
                at += expected.len() as u64;
            }
        }
        assert!(reader.read_vec(disk.len() as u64 - 1, 2).is_err(), "{format}");
    }
}

#[test]
fn a_disk_without_anything_is_one_and_takes_no_room() {
    for format in ALL {
        let (_, file) = written(format, &vec![0; 20 << 20]);
        let is_full = matches!(format, Format::Raw | Format::VhdFixed);
        assert!(is_full || file.len() <= 4 << 20, "{format}: {}", file.len());
        let reader = open(format, Arc::new(file)).unwrap();
        assert!(is_zero(&reader.read_vec(0, 20 << 20).unwrap()), "{format}");
    }
}

/// A qcow2 of 4,096 tables that are one and the same, of clusters that read as zeros: 2 PiB of them.
#[test]
fn tables_that_share_their_entries_are_not_walked_to_their_end() {
    let mut file = vec![0; 6 << 20];
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    let (size, tables) = (1_u64 << 51, 4096_u32);
    put(0, b"QFI\xfb\0\0\0\x02");
    put(20, &21_u32.to_be_bytes());
    put(24, &size.to_be_bytes());
    put(36, &tables.to_be_bytes());
    put(40, &(2_u64 << 20).to_be_bytes());
    for table in 0..4096 {
        put((2 << 20) + table * 8, &(4_u64 << 20).to_be_bytes());
    }
    let data = open(Format::Qcow2, Arc::new(file)).unwrap().data().unwrap();
    // The file has room for three of them.
    assert_eq!(data.end(), size);
    assert!(data.total() > size / 2, "what was not looked at counts as held");
}

#[test]
fn only_known_endings_stand_for_a_format() {
    let of = |name: &str| Format::of_ending(name.as_ref());
    assert_eq!(of("/a.b/Disk.VHDX"), Some(Format::Vhdx));
    assert_eq!(of("x.qcow2"), Some(Format::Qcow2));
    for other in ["x", "x.img", "x.raw", "vmdk", ".vdi", "x.vmdk.part"] {
        assert_eq!(of(other), None, "{other}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Damaged and hostile files are errors or other bytes, and nothing worse.
    #[test]
    fn no_file_does_harm(
        format in proptest::sample::select(&ALL[..]),
        places in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        near in any::<bool>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut disk = vec![0; 300_000 / 512 * 512];
        disk[100_000..200_000].fill(3);
        let (_, mut file) = written(format, &disk);
        let reach = if near { 1024 } else { file.len() };
        for (place, byte) in places {
            let at = place.index(reach.min(file.len()));
            file[at] = byte;
        }
        if !near {
            file.truncate(cut.index(file.len()) + 1);
        }
        if let Ok(reader) = open(format, Arc::new(file)) {
            let size = reader.size();
            for at in [0, size / 2, size.saturating_sub(4096)] {
                let len = usize::try_from(size.saturating_sub(at).min(4096)).unwrap();
                let _ = reader.read_vec(at, len);
            }
        }
    }
}
