//! A partition as a file that programs write to, while the disk that it lies on stays as it is.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use crate::bytes::{Changes, Overlay, OverlayRoom, ReadAt, Window, WriteAt};
use crate::export::{ExportedFile, Mounted};
use crate::progress::mixed_workers;

use super::error::ResizeError;
use super::mounted::temporary_folder;

/// What the file is called.
const NAME: &str = "filesystem";

/// A partition, shown.
pub(super) struct View {
    bytes: Arc<Watched>,
    mounted: Mounted,
    folder: PathBuf,
    file: PathBuf,
}

impl View {
    /// Shows the `size` bytes of `disk` from `start`.
    pub(super) fn show(
        disk: Arc<dyn ReadAt>,
        start: u64,
        size: u64,
        room: OverlayRoom,
    ) -> Result<Self, ResizeError> {
        let bytes = Arc::new(Watched::new(disk, start, size, room));
        let folder = temporary_folder()?;
        let shown = ExportedFile::writable(NAME, Arc::clone(&bytes) as Arc<dyn WriteAt>);
        let now = SystemTime::now();
        let mounted = Mounted::new(vec![shown], now, &folder, mixed_workers());
        let mounted = mounted.inspect_err(|_| {
            // What cannot be removed is an empty folder.
            let _ = fs::remove_dir(&folder);
        })?;
        let file = folder.join(NAME);
        Ok(Self { bytes, mounted, folder, file })
    }

    /// Where programs find it.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Its bytes, for what writes to them before a program reads the file.
    pub(super) fn bytes(&self) -> &dyn WriteAt {
        &*self.bytes
    }

    /// Waits until all that was written has arrived, and shows it no longer.
    ///
    /// # Errors
    /// Also where something could not be kept or read that a program may not have noticed.
    pub(super) fn end(self) -> Result<Arc<Watched>, ResizeError> {
        let Self { bytes, mounted, folder, file } = self;
        let synced = File::options().write(true).open(file).and_then(|file| file.sync_all());
        let ended = mounted.end();
        // What cannot be removed is an empty folder.
        let _ = fs::remove_dir(folder);
        let failed = bytes.failed.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(error) = failed.or(synced.err()) {
            return Err(ResizeError::io("keeping what was written to the view", error));
        }
        ended?;
        Ok(bytes)
    }
}

/// The bytes of a partition.
#[derive(Clone)]
pub(super) struct Partition {
    pub(super) disk: Arc<dyn ReadAt>,
    pub(super) start: u64,
    pub(super) size: u64,
}

impl ReadAt for Partition {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        Window::new(&*self.disk, self.start, self.size).read_at(offset, buf)
    }
}

/// The partition and what was written, and the first failure of it: a program may not look for one.
pub(super) struct Watched {
    overlay: Overlay<Partition>,
    failed: Mutex<Option<io::Error>>,
}

impl Watched {
    /// The `size` bytes of `disk` from `start`, of which nothing was written yet.
    pub(super) fn new(disk: Arc<dyn ReadAt>, start: u64, size: u64, room: OverlayRoom) -> Self {
        let overlay = Overlay::new(Partition { disk, start, size }, room);
        Self { overlay, failed: Mutex::default() }
    }

    fn watched<T>(&self, done: io::Result<T>) -> io::Result<T> {
        done.inspect_err(|error| {
            let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            failed.get_or_insert_with(|| io::Error::new(error.kind(), error.to_string()));
        })
    }
}

impl ReadAt for Watched {
    fn size(&self) -> u64 {
        self.overlay.size()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.watched(self.overlay.read_at(offset, buf))
    }
}

impl WriteAt for Watched {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.watched(self.overlay.write_at(offset, bytes))
    }

    fn zero_at(&self, offset: u64, len: u64) -> io::Result<()> {
        self.watched(self.overlay.zero_at(offset, len))
    }

    fn changes_within(&self, start: u64, end: u64) -> Changes {
        self.overlay.changes_within(start, end)
    }
}
