//! Entries of a file's tables, of which what was read is kept for a while.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use super::wrong;
use crate::bytes::{ReadAt, slice};

/// Bytes that are read of a table at once.
const PAGE: u64 = 64 << 10;
/// Pages that are kept, at most.
const PAGES: usize = 64;

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
