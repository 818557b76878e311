//! A store that asks before it gives up on a full place.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{Claim, FileEntry, FileKind, Result, Store, StoreError};

/// What to do about a place that is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// Space was made: write the same file again.
    TryAgain,
    /// Report [`StoreError::Full`].
    GiveUp,
}

/// Another store, in which a writer whose file does not fit waits until somebody has decided
/// what to do. Nothing of the file is left in the place meanwhile, and its bytes stay in memory:
/// it is written again without being made again.
///
/// Lock files do not wait: whoever confirms a lock has other means, and must not stand still.
pub struct PausingStore {
    inner: Arc<dyn Store>,
    when_full: Box<dyn Fn() -> WhenFull + Send + Sync>,
    packs_written: AtomicU64,
}

impl PausingStore {
    /// A store that calls `when_full`, from any thread, for each file that does not fit.
    pub fn new(
        inner: Arc<dyn Store>,
        when_full: impl Fn() -> WhenFull + Send + Sync + 'static,
    ) -> Self {
        Self { inner, when_full: Box::new(when_full), packs_written: AtomicU64::new(0) }
    }

    /// Bytes of packs written so far.
    pub fn packs_written(&self) -> u64 {
        self.packs_written.load(Ordering::Relaxed)
    }
}

impl Store for PausingStore {
    fn claim(&self) -> Result<Claim> {
        self.inner.claim()
    }

    fn can_claim(&self) -> bool {
        self.inner.can_claim()
    }

    fn create_layout(&self) -> Result<()> {
        self.inner.create_layout()
    }

    fn refuse_links(&self) -> Result<()> {
        self.inner.refuse_links()
    }

    fn list(&self, kind: FileKind) -> Result<Vec<FileEntry>> {
        self.inner.list(kind)
    }

    fn size(&self, kind: FileKind, name: &str) -> Result<u64> {
        self.inner.size(kind, name)
    }

    fn read_range(&self, kind: FileKind, name: &str, offset: u64, buf: &mut [u8]) -> Result<()> {
        self.inner.read_range(kind, name, offset, buf)
    }

    fn write(&self, kind: FileKind, name: &str, bytes: &[u8]) -> Result<()> {
        loop {
            match self.inner.write(kind, name, bytes) {
                Err(StoreError::Full { .. })
                    if kind != FileKind::Lock && (self.when_full)() == WhenFull::TryAgain => {}
                written => {
                    if kind == FileKind::Pack && written.is_ok() {
                        self.packs_written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                    }
                    return written;
                }
            }
        }
    }

    fn remove(&self, kind: FileKind, name: &str) -> Result<()> {
        self.inner.remove(kind, name)
    }

    fn sync_names(&self, kind: FileKind) -> Result<()> {
        self.inner.sync_names(kind)
    }

    fn age(&self, kind: FileKind, name: &str) -> Result<Option<Duration>> {
        self.inner.age(kind, name)
    }

    fn remove_leftovers_older_than(&self, kind: FileKind, name: &str) -> Result<u64> {
        self.inner.remove_leftovers_older_than(kind, name)
    }

    fn write_note(&self, name: &str, text: &str) -> Result<()> {
        self.inner.write_note(name, text)
    }

    fn takes_notes(&self) -> bool {
        self.inner.takes_notes()
    }

    fn connections(&self) -> usize {
        self.inner.connections()
    }

    fn settle_time(&self) -> Duration {
        self.inner.settle_time()
    }

    fn free_space(&self) -> Option<u64> {
        self.inner.free_space()
    }

    fn location(&self) -> String {
        self.inner.location()
    }
}
