//! Entries of a file's tables, of which what was read is kept for a while.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Run, wrong};
use crate::bytes::{ReadAt, slice};

/// Bytes that are read of a table at once.
const PAGE: u64 = 64 << 10;
/// Pages that are kept, at most.
const PAGES: usize = 64;

/// Entries that are looked at to know what a file holds: those of a VDI or VHDX of 64 TiB in blocks of a mebibyte. They
/// are half a gibibyte at most, which is read within seconds.
const MOST_ENTRIES: u64 = 1 << 26;
/// Entries that are compared at once.
const AT_ONCE: usize = 64;

/// A file with tables.
pub(super) struct Tables {
    file: Arc<dyn ReadAt>,
    pages: Mutex<HashMap<u64, Arc<[u8]>>>,
}

impl Tables {
    pub(super) fn new(file: Arc<dyn ReadAt>) -> Self {
        Self { file, pages: Mutex::default() }
    }

    /// The file itself.
    pub(super) fn file(&self) -> &dyn ReadAt {
        &*self.file
    }

    /// Entries of `len` bytes that are looked at, at most: as many as the file has room for.
    pub(super) fn most(&self, len: u64) -> u64 {
        MOST_ENTRIES.min(self.file.size() / len)
    }

    /// How many entries from byte `at` on are held or not like the first one, which says how it is with one block each:
    /// `most` of them, or as many as are read at once.
    pub(super) fn run<const N: usize>(
        &self,
        at: u64,
        most: u64,
        is_held: impl Fn([u8; N]) -> bool,
    ) -> io::Result<Run> {
        let first = self.entry(at)?;
        let is_first_held = is_held(first);
        let page = self.page(at / PAGE)?;
        let from = usize::try_from(at % PAGE).unwrap_or(usize::MAX);
        let (entries, _) = page.get(from..).unwrap_or_default().as_chunks::<N>();
        let entries = entries.get(..usize::try_from(most).unwrap_or(usize::MAX)).unwrap_or(entries);
        // Most runs are the same entry again and again, which is seen many at a time.
        let same = [first; AT_ONCE];
        let same =
            AT_ONCE * entries.chunks_exact(AT_ONCE).take_while(|some| **some == same).count();
        let others =
            entries.iter().skip(same).take_while(|entry| is_held(**entry) == is_first_held);
        let count = ((same + others.count()) as u64).max(1);
        Ok(Run { is_held: is_first_held, blocks: count, entries: count })
    }

    /// The `N` bytes at byte `at`.
    pub(super) fn entry<const N: usize>(&self, at: u64) -> io::Result<[u8; N]> {
        let page = self.page(at / PAGE)?;
        let from = usize::try_from(at % PAGE).unwrap_or(usize::MAX);
        match slice(&page, from, N).and_then(|bytes| bytes.try_into().ok()) {
            Some(entry) => Ok(entry),
            // A table that lies crooked, or past the end.
            None => {
                let bytes = self.file.read_vec(at, N)?;
                bytes.try_into().map_err(|_| wrong("a table is cut short"))
            }
        }
    }

    fn page(&self, number: u64) -> io::Result<Arc<[u8]>> {
        let pages = || self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(page) = pages().get(&number) {
            return Ok(Arc::clone(page));
        }
        let start = number * PAGE;
        let len = PAGE.min(self.file.size().saturating_sub(start));
        let page = self.file.read_vec(start, usize::try_from(len).unwrap_or_default())?;
        let page: Arc<[u8]> = page.into();
        let mut pages = pages();
        if pages.len() >= PAGES {
            pages.clear();
        }
        pages.insert(number, Arc::clone(&page));
        Ok(page)
    }
}
