//! Partition tables made to hurt: random sectors, and valid tables with fields changed and all
//! checksums made right again. Nothing may panic, hang or allocate without bound, and what is
//! believed must hold together.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use lifeboat::bytes::ReadAt;
use lifeboat::image::layout::spans;
use lifeboat::table::{Scheme, Table, fit_to_disk, metadata_extents, read};
use proptest::prelude::*;

const SECTORS: u64 = 512;
const LAST: u64 = SECTORS - 1;
/// No table is worth reading more than this: 256 boot records and some copies of a GPT.
const READ_LIMIT: u64 = 32 << 20;

/// Counts what is read, so that a parser that goes wild is found even when it ends.
struct Counted {
    bytes: Vec<u8>,
    size: u64,
    read: AtomicU64,
}

impl ReadAt for Counted {
    fn size(&self) -> u64 {
        self.size
    }

    /// Zeros follow behind the bytes, as on a disk of any size.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.read.fetch_add(buf.len() as u64, Ordering::Relaxed);
        assert!(offset + buf.len() as u64 <= self.size);
        for (at, byte) in (offset..).zip(buf) {
            *byte = usize::try_from(at).ok().and_then(|at| self.bytes.get(at)).map_or(0, |b| *b);
        }
        Ok(())
    }
}

fn check(bytes: Vec<u8>, size: u64, sector_size: u32) -> Table {
    let disk = Counted { bytes, size, read: AtomicU64::new(0) };
    let table = read(&disk, sector_size).unwrap();
    if table.scheme == Scheme::None {
        assert!(table.partitions.is_empty());
    }
    let data = table.partitioned();
    let mut at = 0;
    for span in spans(size, &table) {
        assert_eq!(span.start, at, "{table:?}");
        at += span.size;
    }
    assert_eq!(at, size);
    let sizes = table.data_partitions().map(|partition| partition.size);
    let sum = sizes.fold(0, u64::saturating_add);
    let metadata = metadata_extents(&disk, &table);
    let contradicts =
        data.end() > size || data.total() != sum || !metadata.intersection(&data).is_empty();
    assert!(!contradicts || !table.doubts.is_empty(), "{table:?}");
    let mut numbers: Vec<u32> = table.partitions.iter().map(|p| p.number).collect();
    numbers.dedup();
    assert_eq!(numbers.len(), table.partitions.len());
    for target in [size, size + 10 * u64::from(sector_size)] {
        let Ok(patches) = fit_to_disk(&disk, &table, target, true) else { continue };
        let mut end = 0;
        for patch in patches {
            assert!(patch.offset >= end, "patches overlap");
            end = patch.offset + patch.bytes.len() as u64;
            assert!(end <= target);
            // Sector 0 is the table's, whatever an entry says.
            let hits = data.within(patch.offset.max(512), end).next();
            assert!(hits.is_none(), "a patch hits data");
        }
    }
    assert!(disk.read.into_inner() < READ_LIMIT);
    table
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 }
        })
    })
}

fn at(lba: u64) -> usize {
    usize::try_from(lba * 512).unwrap()
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

/// A header with its checksums made right for whatever the bytes around it say.
fn seal(disk: &mut [u8], lba: u64) {
    let header = at(lba);
    let word = |at: usize| u32::from_le_bytes(disk[at..at + 4].try_into().unwrap());
    let array = u64::from_le_bytes(disk[header + 72..header + 80].try_into().unwrap());
    let len = u64::from(word(header + 80)) * u64::from(word(header + 84));
    let end = array.checked_mul(512).and_then(|start| start.checked_add(len));
    if let Some(end) = end.filter(|end| *end <= disk.len() as u64) {
        let crc = crc32(&disk[at(array)..usize::try_from(end).unwrap()]);
        put(disk, header + 88, &crc.to_le_bytes());
    }
    put(disk, header + 16, &[0; 4]);
    let len =
        usize::try_from(u32::from_le_bytes(disk[header + 12..header + 16].try_into().unwrap()))
            .unwrap()
            .clamp(92, 512);
    let crc = crc32(&disk[header..header + len]);
    put(disk, header + 16, &crc.to_le_bytes());
}

/// A valid GPT of 512 sectors with partitions 1, 3 and 5.
fn gpt() -> Vec<u8> {
    let mut disk = vec![0; at(SECTORS)];
    put(&mut disk, 446, &[0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0xff, 1, 0, 0]);
    put(&mut disk, 510, &[0x55, 0xaa]);
    for (own, other, array) in [(1, LAST, 2), (LAST, 1, LAST - 32)] {
        let header = at(own);
        put(&mut disk, header, b"EFI PART\0\0\x01\0\x5c\0\0\0");
        for (field, value) in [(24, own), (32, other), (40, 34), (48, LAST - 33), (72, array)] {
            put(&mut disk, header + field, &value.to_le_bytes());
        }
        put(&mut disk, header + 56, &[7; 16]);
        put(&mut disk, header + 80, &[128, 0, 0, 0, 128, 0, 0, 0]);
        for (slot, first, last) in [(0u64, 40u64, 99u64), (2, 100, 100), (4, 200, 400)] {
            let entry = at(array) + usize::try_from(slot * 128).unwrap();
            put(&mut disk, entry, &[9; 16]);
            put(&mut disk, entry + 16, &[u8::try_from(slot).unwrap(); 16]);
            put(&mut disk, entry + 32, &first.to_le_bytes());
            put(&mut disk, entry + 40, &last.to_le_bytes());
            put(&mut disk, entry + 56, b"n\0a\0m\0e\0");
        }
        seal(&mut disk, own);
    }
    disk
}

/// Values that sit on edges more often than random ones do.
fn edgy() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        Just(1),
        Just(LAST),
        Just(SECTORS),
        Just(u64::MAX),
        Just(u64::MAX / 512),
        Just(u64::from(u32::MAX)),
        0..SECTORS,
        any::<u64>(),
    ]
}

/// Offsets of fields in a header or an entry, with their widths.
fn field() -> impl Strategy<Value = (u64, usize, usize)> {
    let header = prop::sample::select(vec![
        (8, 4),
        (12, 4),
        (24, 8),
        (32, 8),
        (40, 8),
        (48, 8),
        (72, 8),
        (80, 4),
        (84, 4),
    ]);
    let entry = prop::sample::select(vec![(0, 8), (32, 8), (40, 8), (48, 8), (56, 8)]);
    prop_oneof![
        (prop::sample::select(vec![1, LAST]), header).prop_map(|(lba, (at, len))| (lba, at, len)),
        (prop::sample::select(vec![2, LAST - 32]), 0usize..128, entry)
            .prop_map(|(lba, slot, (at, len))| (lba, slot * 128 + at, len)),
    ]
}

#[test]
fn the_table_that_is_spoilt_below_is_valid() {
    let table = check(gpt(), SECTORS * 512, 512);
    assert_eq!((table.scheme, table.partitions.len()), (Scheme::Gpt, 3));
    assert_eq!(table.notices, Vec::<String>::new());
}

#[test]
fn entries_of_unusual_sizes_are_read() {
    for (count, size) in [(64u32, 256u32), (16, 1024), (4, 4096)] {
        let mut disk = gpt();
        for (own, array) in [(1, 2), (LAST, LAST - 32)] {
            let stride = usize::try_from(size).unwrap();
            let first = disk[at(array)..at(array) + 128].to_vec();
            disk[at(array)..at(array) + 32 * 512].fill(0);
            put(&mut disk, at(array) + 2 * stride, &first);
            put(&mut disk, at(own) + 80, &count.to_le_bytes());
            put(&mut disk, at(own) + 84, &size.to_le_bytes());
            seal(&mut disk, own);
        }
        let table = check(disk, SECTORS * 512, 512);
        assert_eq!(table.notices, Vec::<String>::new());
        let numbers: Vec<u32> = table.partitions.iter().map(|p| p.number).collect();
        assert_eq!(numbers, [3], "{size}");
    }
}

#[test]
fn a_longer_header_is_read() {
    let mut disk = gpt();
    for own in [1, LAST] {
        put(&mut disk, at(own) + 12, &512u32.to_le_bytes());
        put(&mut disk, at(own) + 100, b"from a later revision");
        seal(&mut disk, own);
    }
    let table = check(disk.clone(), SECTORS * 512, 512);
    assert_eq!((table.partitions.len(), table.notices.len()), (3, 0), "{table:?}");
    // A bit changed in the part behind the 92 bytes is damage, too.
    disk[at(1) + 110] ^= 1;
    assert!(check(disk, SECTORS * 512, 512).doubts[0].contains("checksum"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn spoilt_gpt(
        changes in prop::collection::vec((field(), edgy()), 1..6),
        sealed in prop::bool::weighted(0.9),
        bits in prop::collection::vec((0usize..at(SECTORS), any::<u8>()), 0..2),
    ) {
        let mut disk = gpt();
        for ((lba, offset, len), value) in changes {
            put(&mut disk, at(lba) + offset, &value.to_le_bytes()[..len]);
        }
        if sealed {
            seal(&mut disk, 1);
            seal(&mut disk, LAST);
        }
        for (place, byte) in bits {
            disk[place] = byte;
        }
        check(disk, SECTORS * 512, 512);
    }

    #[test]
    fn random_sectors(
        seed in prop::collection::vec(any::<u8>(), 0..20_000),
        sector_size in prop::sample::select(vec![512u32, 1024, 2048, 4096]),
        signed in any::<bool>(),
    ) {
        let mut disk = seed;
        if signed && disk.len() > 512 {
            put(&mut disk, 510, &[0x55, 0xaa]);
        }
        let size = disk.len() as u64;
        check(disk, size, sector_size);
    }

    /// Every sector of the disk is a boot record, with entries that point anywhere.
    #[test]
    fn webs_of_boot_records(
        entries in prop::collection::vec(
            (
                prop::sample::select(vec![0u8, 5, 0x0f, 0x85, 0x83, 0x42]),
                prop_oneof![0u32..64, any::<u32>()],
                prop_oneof![0u32..64, any::<u32>()],
                prop::sample::select(vec![0u8, 0x80, 0, 0, 1]),
            ),
            64 * 4,
        ),
        size in prop_oneof![Just(64 * 512u64), Just(1 << 41)],
    ) {
        let mut disk = vec![0; 64 * 512];
        for (index, (kind, start, count, flag)) in entries.into_iter().enumerate() {
            let entry = index / 4 * 512 + 446 + index % 4 * 16;
            // The first sector is a sound MBR more often than chance would have it.
            disk[entry] = if index < 4 { 0 } else { flag };
            disk[entry + 4] = kind;
            put(&mut disk, entry + 8, &start.to_le_bytes());
            put(&mut disk, entry + 12, &count.to_le_bytes());
            put(&mut disk, index / 4 * 512 + 510, &[0x55, 0xaa]);
        }
        check(disk, size, 512);
    }
}

/// On a disk of 2 TiB there is room for any array of entries a header may claim.
#[test]
fn huge_arrays_are_not_read() {
    for (count, size) in [(u32::MAX, 128u32), (1 << 24, 128), (16_384, 4096), (1, 1 << 31)] {
        let mut disk = gpt();
        put(&mut disk, at(1) + 80, &count.to_le_bytes());
        put(&mut disk, at(1) + 84, &size.to_le_bytes());
        seal(&mut disk, 1);
        let table = check(disk, 1 << 41, 512);
        assert!(
            table.doubts[0].contains("impossible") || table.scheme == Scheme::None,
            "{table:?}"
        );
    }
}

/// A chain of records that never ends by itself: each points to the next sector.
#[test]
fn endless_chains_end() {
    let mut disk = vec![0; 4096 * 512];
    for sector in 0..4096usize {
        let record = sector * 512;
        let next = u32::try_from(sector).unwrap();
        put(&mut disk, record + 446 + 4, &[0x0f]);
        put(&mut disk, record + 446 + 8, &(if sector == 0 { 1 } else { next }).to_le_bytes());
        put(&mut disk, record + 446 + 12, &4000u32.to_le_bytes());
        put(&mut disk, record + 510, &[0x55, 0xaa]);
    }
    let table = check(disk, 4096 * 512, 512);
    assert!(table.doubts.iter().any(|doubt| doubt.contains("256")), "{table:?}");
}
