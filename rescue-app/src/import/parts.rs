//! Files that are read one behind the other as one stream.

use std::fs::File;
use std::io::{self, BufRead, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use super::error::ImportError;
use crate::console;
use crate::progress::Cancelled;

/// Bytes that are read at once.
const BUFFER: usize = 256 << 10;

/// What libzstd says of a frame with a large window.
const TOO_MUCH: &str = "too much memory";

/// Where reading has come to, seen from outside while a decoder owns the [`Parts`].
#[derive(Debug)]
pub(super) struct Progress {
    files: Vec<PathBuf>,
    /// Which file, and the byte in it.
    file: AtomicUsize,
    at: AtomicU64,
    /// Bytes of all files that were taken.
    taken: AtomicU64,
    /// Whether more was asked for than there is.
    past_end: AtomicBool,
}

impl Progress {
    /// The file that is read, and the byte in it.
    fn place(&self) -> (&Path, u64) {
        let file = self.files.get(self.file.load(Ordering::Relaxed)).or(self.files.last());
        (file.map_or(Path::new(""), PathBuf::as_path), self.at.load(Ordering::Relaxed))
    }

    /// Bytes that were taken so far.
    pub(super) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// What is read cannot be right.
    pub(super) fn damaged(&self, why: impl Into<String>) -> ImportError {
        let (file, at) = self.place();
        ImportError::Damaged { file: file.to_owned(), at, why: why.into() }
    }

    /// An error of reading, by the system or by a decoder that the bytes made no sense to.
    pub(super) fn failed(&self, error: io::Error) -> ImportError {
        if error.get_ref().is_some_and(|inner| inner.is::<Cancelled>()) {
            return ImportError::Cancelled;
        }
        let (file, _) = self.place();
        if error.kind() == io::ErrorKind::OutOfMemory || error.to_string().contains(TOO_MUCH) {
            return ImportError::refused(
                format!("{} takes more memory to unpack than it gets", console::path(file)),
                "unpack it by the program that packed it, and go on with what is in it",
            );
        }
        match error.raw_os_error() {
            Some(_) => ImportError::reading(file)(error),
            None if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.damaged("it ends too early")
            }
            None => self.damaged(error.to_string()),
        }
    }
}

/// The stream.
#[derive(Debug)]
pub(super) struct Parts {
    progress: Arc<Progress>,
    file: Option<File>,
    buffer: Vec<u8>,
    from: usize,
    to: usize,
}

impl Parts {
    /// Of these files, in their order.
    pub(super) fn new(files: Vec<PathBuf>) -> Self {
        let progress = Progress {
            files,
            file: AtomicUsize::new(0),
            at: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            past_end: AtomicBool::new(false),
        };
        Self { progress: Arc::new(progress), file: None, buffer: vec![0; BUFFER], from: 0, to: 0 }
    }

    /// Where reading comes to.
    pub(super) fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    /// Whether more was asked for than there is, since the last time that this was asked.
    pub(super) fn was_past_end(&self) -> bool {
        self.progress.past_end.swap(false, Ordering::Relaxed)
    }

    /// Fills the buffer from the file that is read, or from the next one.
    fn fill(&mut self) -> io::Result<()> {
        (self.from, self.to) = (0, 0);
        loop {
            let number = self.progress.file.load(Ordering::Relaxed);
            let Some(path) = self.progress.files.get(number) else {
                self.progress.past_end.store(true, Ordering::Relaxed);
                return Ok(());
            };
            if self.file.is_none() {
                self.file = Some(File::open(path)?);
                self.progress.at.store(0, Ordering::Relaxed);
            }
            let Some(file) = &mut self.file else { return Ok(()) };
            self.to = match file.read(&mut self.buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            if self.to > 0 {
                return Ok(());
            }
            let is_last = number + 1 == self.progress.files.len();
            if is_last {
                self.progress.past_end.store(true, Ordering::Relaxed);
                return Ok(());
            }
            self.file = None;
            self.progress.file.store(number + 1, Ordering::Relaxed);
        }
    }
}

impl BufRead for Parts {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.from >= self.to {
            self.fill()?;
        }
        Ok(self.buffer.get(self.from..self.to).unwrap_or_default())
    }

    fn consume(&mut self, amount: usize) {
        let amount = amount.min(self.to.saturating_sub(self.from));
        self.from += amount;
        self.progress.at.fetch_add(amount as u64, Ordering::Relaxed);
        self.progress.taken.fetch_add(amount as u64, Ordering::Relaxed);
    }
}

impl Read for Parts {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let read = self.fill_buf()?.read(buf)?;
        self.consume(read);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_one_stream_and_errors_name_the_right_one() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = Vec::new();
        for (name, bytes) in [("a", &b"one"[..]), ("b", b""), ("c", b"two")] {
            files.push(folder.path().join(name));
            std::fs::write(files.last().unwrap(), bytes).unwrap();
        }
        let mut parts = Parts::new(files);
        let progress = parts.progress();
        let mut four = [0; 4];
        parts.read_exact(&mut four).unwrap();
        assert_eq!(&four, b"onet");
        assert_eq!(progress.taken(), 4);
        let error = progress.damaged("why").to_string();
        assert!(error.contains("/c is damaged or cut short at byte 1: why"), "{error}");
        assert!(!parts.was_past_end());
        let mut rest = String::new();
        parts.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "wo");
        assert!(parts.was_past_end() && !parts.was_past_end());
    }
}
