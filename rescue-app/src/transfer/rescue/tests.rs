//! Rescues from media that fail on purpose.

use std::collections::HashMap;
use std::io;
use std::sync::Mutex;

use proptest::prelude::*;

use super::*;
use crate::bytes::{AlignedBuffer, ReadAt};
use crate::progress::{Cancel, Control, Event, Level, Notice, Phase};

const SECTOR: u64 = 512;
const MIB: u64 = 1 << 20;

/// A disk in memory with faults.
#[derive(Default)]
struct Faulty {
    bytes: Vec<u8>,
    /// First byte of each bad sector, and how many reads of it fail before one succeeds.
    bad: HashMap<u64, u32>,
    /// After so many reads, all fail with that error number.
    dies: Option<(usize, i32)>,
    /// Whether a disk that died is seen to be gone.
    is_seen_gone: bool,
    failed: Mutex<HashMap<u64, u32>>,
    /// Where reads began and how long they were.
    log: Mutex<Vec<Extent>>,
}

impl Faulty {
    fn new(size: u64, bad: &[u64]) -> Self {
        let bytes = (0..size).map(|at| (at % 251 + 1).to_le_bytes()[0]).collect();
        let bad = bad.iter().map(|at| (*at, u32::MAX)).collect();
        Self { bytes, bad, ..Self::default() }
    }

    fn is_dead(&self) -> bool {
        self.dies.is_some_and(|(reads, _)| self.log.lock().unwrap().len() > reads)
    }

    /// Reads sectors one after the other, as a disk does: the first bad one ends it.
    fn read_sectors(&self, offset: u64, buf: &mut [u8], around: u64) -> io::Result<()> {
        let range = Extent { start: offset, end: offset + buf.len() as u64 };
        self.log.lock().unwrap().push(range);
        if let Some((_, errno)) = self.dies.filter(|_| self.is_dead()) {
            return Err(io::Error::from_raw_os_error(errno));
        }
        let mut sector = range.start / around * around;
        while sector < range.end.next_multiple_of(around) {
            if let Some(most) = self.bad.get(&sector) {
                let mut failed = self.failed.lock().unwrap();
                let so_far = failed.entry(sector).or_default();
                if *so_far < *most {
                    *so_far += 1;
                    return Err(io::Error::from_raw_os_error(61));
                }
            }
            sector += SECTOR;
        }
        self.bytes.read_at(offset, buf)
    }
}

impl Medium for Faulty {
    fn size(&self) -> u64 {
        self.bytes.size()
    }

    fn read(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        // The page cache asks for whole pages.
        self.read_sectors(offset, buf, 4096)
    }

    fn read_exactly(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.read_sectors(offset, buf, SECTOR)
    }

    fn is_gone(&self) -> bool {
        self.is_seen_gone && self.is_dead()
    }
}

/// Collects chunks.
#[derive(Default)]
struct Collected {
    order: Vec<usize>,
    bytes: HashMap<usize, Vec<u8>>,
    /// One for all chunks, as used as buffers are in a capture.
    spare: Option<AlignedBuffer>,
}

impl Feed for Collected {
    fn buffer(&mut self) -> Result<AlignedBuffer, TransferError> {
        Ok(self.spare.take().unwrap_or_else(|| {
            let mut used_before = AlignedBuffer::default();
            used_before.set_len(8 << 20);
            used_before.fill(0xee);
            used_before
        }))
    }

    fn keep(&mut self, buffer: AlignedBuffer) {
        self.spare = Some(buffer);
    }

    fn send(&mut self, chunk: &Chunk<'_>, buffer: AlignedBuffer) -> Result<(), TransferError> {
        assert_eq!(buffer.len() as u64, chunk.range.len());
        self.order.push(chunk.slot);
        assert!(self.bytes.insert(chunk.slot, buffer.to_vec()).is_none(), "a chunk was sent twice");
        self.spare = Some(buffer);
        Ok(())
    }
}

/// Reads the whole disk in chunks of `chunk` bytes.
fn run(
    disk: &Faulty,
    chunk: u64,
    used: &Extents,
    options: &RescueOptions,
) -> Result<(Collected, Vec<BadRange>), TransferError> {
    let (feed, bad, _) = watched(disk, chunk, used, options, &|_| ())?;
    Ok((feed, bad))
}

/// The same with somebody who hears what is told; besides, what became of the map.
fn watched(
    disk: &Faulty,
    chunk: u64,
    used: &Extents,
    options: &RescueOptions,
    sink: &(dyn Fn(Event) + Sync),
) -> Result<(Collected, Vec<BadRange>, Option<String>), TransferError> {
    let cancel = Cancel::new();
    let control = Control { sink, cancel: &cancel, resume: None };
    let reporter = Reporter::start(control, Phase::Capturing, disk.bytes.size(), 0);
    let mut rescue = Rescue::new(disk, 512, options, &reporter)?;
    let mut feed = Collected::default();
    let mut late = Vec::new();
    let size = disk.bytes.size();
    for slot in 0..usize::try_from(size.div_ceil(chunk)).unwrap() {
        let start = slot as u64 * chunk;
        let range = Extent { start, end: (start + chunk).min(size) };
        let chunk = Chunk { slot, range, used };
        if chunk.used_bytes() > 0 && !rescue.offer(&chunk, &mut feed)? {
            late.push(chunk);
        }
    }
    rescue.finish(late, &mut feed)?;
    Ok((feed, rescue.bad(used), rescue.map_problem()))
}

fn all(disk: &Faulty) -> Extents {
    Extents::of(0, disk.bytes.size())
}

/// What was collected is the disk, with zeros where it is bad or unused.
fn check(disk: &Faulty, feed: &Collected, chunk: u64, used: &Extents, bad: &[BadRange]) {
    let lost = Extents::from(bad.iter().map(|bad| (bad.offset, bad.len)).collect::<Vec<_>>());
    for (slot, bytes) in &feed.bytes {
        let start = *slot as u64 * chunk;
        let end = start + bytes.len() as u64;
        let mut expected = vec![0; bytes.len()];
        for part in used.within(start, end) {
            for kept in lost.gaps_within(part.start, part.end).iter() {
                let inside = |at: u64| usize::try_from(at - start).unwrap();
                let from = usize::try_from(kept.start).unwrap()..usize::try_from(kept.end).unwrap();
                expected[inside(kept.start)..inside(kept.end)].copy_from_slice(&disk.bytes[from]);
            }
        }
        assert!(*bytes == expected, "chunk {slot} differs");
    }
}

#[test]
fn a_healthy_disk_is_read_once_in_large_pieces() {
    let disk = Faulty::new(64 * MIB, &[]);
    let (feed, bad) = run(&disk, 4 * MIB, &all(&disk), &RescueOptions::default()).unwrap();
    assert!(bad.is_empty());
    assert_eq!(feed.order, (0..16).collect::<Vec<_>>());
    assert_eq!(disk.log.lock().unwrap().len(), 16);
    check(&disk, &feed, 4 * MIB, &all(&disk), &bad);
}

#[test]
fn a_bad_sector_costs_only_itself_and_comes_last() {
    let at = 21 * MIB + 512 * 77;
    let disk = Faulty::new(64 * MIB, &[at, at + 512, 50 * MIB]);
    let options = RescueOptions { retries: 2, map_file: None };
    let (feed, bad) = run(&disk, 4 * MIB, &all(&disk), &options).unwrap();
    let range = |offset, len| BadRange { offset, len, errno: 61, tries: 3 };
    assert_eq!(bad, [range(at, 1024), range(50 * MIB, 512)]);
    check(&disk, &feed, 4 * MIB, &all(&disk), &bad);
    let order = &feed.order;
    assert_eq!(order.len(), 16);
    assert_eq!(order[14..], [5, 12], "the bad ones are settled last, in order: {order:?}");
    assert!(order[..14].starts_with(&[0, 1, 2, 3, 4]), "{order:?}");
}

#[test]
fn behind_a_failure_ever_more_is_put_off() {
    // Every chunk from 4 MiB to 200 MiB has a bad sector.
    let bad: Vec<u64> = (1..50).map(|chunk| chunk * 4 * MIB + MIB).collect();
    let disk = Faulty::new(256 * MIB, &bad);
    let (feed, found) = run(&disk, 4 * MIB, &all(&disk), &RescueOptions::default()).unwrap();
    assert_eq!(found.len(), bad.len());
    check(&disk, &feed, 4 * MIB, &all(&disk), &found);
    // The good chunks at the end were reached after few failures: 1, 2, 4, … 64 MiB were left out.
    let log = disk.log.lock().unwrap();
    let reached = log.iter().position(|read| read.start >= 200 * MIB).unwrap();
    let failures = bad
        .iter()
        .filter(|at| log[..reached].iter().any(|read| read.start <= **at && **at < read.end));
    assert!(failures.count() <= 12, "skipping did not grow");
    assert_eq!(feed.order[0], 0);
    assert!(feed.order[1..15].iter().all(|slot| *slot >= 50), "{:?}", feed.order);
}

#[test]
fn an_error_that_passes_costs_nothing() {
    let mut disk = Faulty::new(16 * MIB, &[5 * MIB]);
    // The whole chunk, the small piece, the sector: the fourth try of all succeeds.
    disk.bad.insert(5 * MIB, 3);
    let (feed, bad) = run(&disk, 4 * MIB, &all(&disk), &RescueOptions::default()).unwrap();
    assert!(bad.is_empty(), "{bad:?}");
    check(&disk, &feed, 4 * MIB, &all(&disk), &bad);
    let mut disk = Faulty::new(16 * MIB, &[]);
    disk.bad.insert(5 * MIB, 3);
    let none = RescueOptions { retries: 0, map_file: None };
    let (_, bad) = run(&disk, 4 * MIB, &all(&disk), &none).unwrap();
    assert_eq!(bad.len(), 1, "without retries it is lost");
}

#[test]
fn a_disk_that_goes_away_is_an_error_not_bad_sectors() {
    for (errno, is_seen_gone) in [(5, true), (19, false), (6, false), (5, false)] {
        let mut disk = Faulty::new(64 * MIB, &[9 * MIB]);
        disk.dies = Some((10, errno));
        disk.is_seen_gone = is_seen_gone;
        let error = run(&disk, 4 * MIB, &all(&disk), &RescueOptions::default()).err().unwrap();
        assert!(matches!(error, TransferError::SourceGone { .. }), "{errno}: {error}");
        let reads = disk.log.lock().unwrap().len();
        assert!(reads < 120, "{reads} reads of a dead disk");
    }
}

#[test]
fn what_an_earlier_run_found_bad_is_tried_last() {
    let folder = tempfile::tempdir().unwrap();
    let map = folder.path().join("map");
    let options = RescueOptions { retries: 0, map_file: Some(map.clone()) };
    let at = 9 * MIB + 512;
    let disk = Faulty::new(64 * MIB, &[at]);
    run(&disk, 4 * MIB, &all(&disk), &options).unwrap();
    let text = std::fs::read_to_string(&map).unwrap();
    assert!(text.contains(&format!("0x{at:08X}  0x00000200  -\n")), "{text}");
    let again = Faulty::new(64 * MIB, &[at]);
    let (feed, bad) = run(&again, 4 * MIB, &all(&again), &options).unwrap();
    assert_eq!(bad.len(), 1);
    assert_eq!(feed.order, [0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 2]);
    let log = again.log.lock().unwrap();
    assert_eq!(log.last().unwrap(), &Extent { start: at, end: at + 512 });
    assert_eq!(log.iter().filter(|read| read.start <= at && at < read.end).count(), 1);
    check(&again, &feed, 4 * MIB, &all(&again), &bad);
}

/// Runs with a map while `on_notice` does something to its place; the map, what became of it and
/// the warnings. The disk's bytes arrive in any case.
fn with_map_in(
    place: &std::path::Path,
    on_notice: impl Fn(&Notice) + Sync,
) -> (Option<String>, Option<String>, Vec<String>) {
    let map = place.join("map");
    let options = RescueOptions { retries: 0, map_file: Some(map.clone()) };
    let disk = Faulty::new(16 * MIB, &[9 * MIB]);
    let warnings = Mutex::new(Vec::new());
    let sink = |event| {
        let Event::Notice(notice) = event else { return };
        on_notice(&notice);
        if notice.level == Level::Warning {
            warnings.lock().unwrap().push(notice.text);
        }
    };
    let used = all(&disk);
    let (feed, bad, problem) = watched(&disk, 4 * MIB, &used, &options, &sink).unwrap();
    assert_eq!(bad.len(), 1);
    check(&disk, &feed, 4 * MIB, &used, &bad);
    (std::fs::read_to_string(&map).ok(), problem, warnings.into_inner().unwrap())
}

#[test]
fn a_map_that_cannot_be_written_costs_only_the_map() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("place");
    let (map, problem, warnings) = with_map_in(&place, |_| ());
    assert_eq!((map, warnings.len()), (None, 1), "told once: {warnings:?}");
    assert_eq!(problem.as_ref(), warnings.first());
    assert!(warnings[0].contains("place/map cannot be written: No such file"), "{warnings:?}");

    // It goes away once the disk turns out to be bad.
    std::fs::create_dir(&place).unwrap();
    let (map, problem, warnings) = with_map_in(&place, |notice| {
        if notice.text.contains("cannot be read near") {
            std::fs::remove_dir_all(&place).unwrap();
        }
    });
    assert!(map.is_none() && problem.is_some());
    assert_eq!(warnings.len(), 1, "{warnings:?}");

    // It comes back.
    let (map, problem, warnings) = with_map_in(&place, |notice| {
        if notice.level == Level::Warning {
            std::fs::create_dir(&place).unwrap();
        }
    });
    assert!(map.unwrap().contains("0x00900000  0x00000200  -\n"));
    assert_eq!((problem, warnings.len()), (None, 1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn exactly_the_bad_sectors_are_lost(
        sectors in 1u64..4000,
        bad in prop::collection::btree_set((0u64..4000, 0u64..40), 0..12),
        free in prop::collection::vec((0u64..4000, 1u64..600), 0..6),
        chunk in 1u64..600,
        retries in 0u32..3,
    ) {
        let size = sectors * SECTOR;
        let bad: Vec<u64> = bad.iter().flat_map(|(at, len)| *at..=at + len)
            .filter(|at| *at < sectors).map(|at| at * SECTOR).collect();
        let disk = Faulty::new(size, &bad);
        let free = Extents::from(
            free.into_iter().map(|(at, len)| (at * SECTOR, len * SECTOR)).collect::<Vec<_>>(),
        );
        let used = free.gaps_within(0, size);
        let options = RescueOptions { retries, map_file: None };
        let (feed, found) = run(&disk, chunk * SECTOR, &used, &options).unwrap();
        let expected: Extents = bad.iter().fold(Extents::new(), |all, at| {
            all.union(&Extents::of(*at, at + SECTOR))
        }).intersection(&used);
        let lost = Extents::from(found.iter().map(|b| (b.offset, b.len)).collect::<Vec<_>>());
        prop_assert_eq!(lost, expected);
        prop_assert!(found.iter().all(|bad| bad.tries == retries + 1 && bad.errno == 61));
        check(&disk, &feed, chunk * SECTOR, &used, &found);
        let expected: usize = (0..size.div_ceil(chunk * SECTOR)).filter(|index| {
            used.within(index * chunk * SECTOR, (index + 1) * chunk * SECTOR).next().is_some()
        }).count();
        prop_assert_eq!(feed.bytes.len(), expected);
    }
}
