//! The log that QEMU's `blklogwrites` keeps of a disk, and what the disk holds when the power goes
//! at any point of it. Format: Linux' Documentation/admin-guide/device-mapper/log-writes.rst.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use common::Random;

const MAGIC: u64 = 0x006a_7366_7773_6872;
const FLUSH: u64 = 1;
const FUA: u64 = 2;
const DISCARD: u64 = 4;

/// A disk keeps or loses these as a whole, bytes.
const BLOCK: usize = 4096;

/// One thing the machine asked of the disk.
struct Entry {
    /// Where on the disk, bytes.
    offset: u64,
    /// How much, bytes.
    len: u64,
    flags: u64,
    /// Where its bytes are in the log.
    data: u64,
}

pub struct WriteLog {
    file: File,
    entries: Vec<Entry>,
}

fn number(file: &File, at: u64) -> u64 {
    let mut bytes = [0; 8];
    file.read_exact_at(&mut bytes, at).unwrap();
    u64::from_le_bytes(bytes)
}

/// How many entries a log has that is still being written; it is empty before the first one.
pub fn entries_so_far(path: &Path) -> u64 {
    let log = File::open(path).unwrap();
    if log.metadata().unwrap().len() == 0 { 0 } else { number(&log, 16) }
}

impl WriteLog {
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        assert_eq!((number(&file, 0), number(&file, 8)), (MAGIC, 1), "not a log of writes");
        let sector = number(&file, 24) & 0xffff_ffff;
        let mut entries = Vec::new();
        let mut at = sector;
        for _ in 0..number(&file, 16) {
            let len = number(&file, at + 8) * sector;
            let flags = number(&file, at + 16);
            let entry = Entry { offset: number(&file, at) * sector, len, flags, data: at + sector };
            at = entry.data + if flags & DISCARD == 0 { len } else { 0 };
            entries.push(entry);
        }
        Ok(Self { file, entries })
    }

    /// Whether the machine ever asked the disk to empty its cache between two entries.
    pub fn flushes(&self, from: u64, to: u64) -> usize {
        self.range(from, to).iter().filter(|entry| entry.flags & FLUSH != 0).count()
    }

    fn range(&self, from: u64, to: u64) -> &[Entry] {
        &self.entries[usize::try_from(from).unwrap()..usize::try_from(to).unwrap()]
    }

    /// Brings a disk to where it is after `cut` entries, none of them lost.
    pub fn replay_all(&self, disk: &File, cut: u64) {
        self.range(0, cut).iter().for_each(|entry| self.write(entry, disk, |_| true));
    }

    /// Brings a disk to where it is when the power goes after `cut` entries: all that came before
    /// the last flush is there; of what came later each write is there, lost or torn, as chance
    /// will have it.
    pub fn replay(&self, disk: &File, cut: u64, random: &mut Random) {
        let before = self.range(0, cut);
        let flushed = before.iter().rposition(|entry| entry.flags & FLUSH != 0).unwrap_or(0);
        for (index, entry) in before.iter().enumerate() {
            let certain = index < flushed || entry.flags & FUA != 0;
            let (whole, torn) = (random.below(2) == 0, random.below(4) == 0);
            let mut is_kept = |_| certain || (whole && !(torn && random.below(2) == 0));
            self.write(entry, disk, &mut is_kept);
        }
    }

    /// Writes the blocks of an entry that are kept. What was discarded may hold anything and keeps
    /// what it held.
    fn write(&self, entry: &Entry, disk: &File, mut is_kept: impl FnMut(u64) -> bool) {
        if entry.flags & DISCARD != 0 || entry.len == 0 {
            return;
        }
        let mut bytes = vec![0; usize::try_from(entry.len).unwrap()];
        self.file.read_exact_at(&mut bytes, entry.data).unwrap();
        for (block, number) in bytes.chunks(BLOCK).zip(0..) {
            if is_kept(number) {
                disk.write_all_at(block, entry.offset + number * BLOCK as u64).unwrap();
            }
        }
    }
}
