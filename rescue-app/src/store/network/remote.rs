//! What is asked of each kind of server: one attempt at each thing, no more.

use std::time::Duration;

use crate::store::{FileEntry, FileKind, StoreError};

/// What one attempt returns.
pub(super) type Attempt<T> = Result<T, Failure>;

/// How an attempt failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The file is not there.
    Missing,
    /// There is a file of that name, and the server replaces none.
    Exists,
    /// The file ends before the range that was asked for.
    TooShort,
    /// It may go better in a moment.
    Temporary {
        /// What happened.
        why: String,
        /// How long the server wants to be left alone.
        wait: Option<Duration>,
        /// Whether something came across that need not be asked for again.
        moved: bool,
    },
    /// It would not go better.
    Final(StoreError),
}

impl Failure {
    /// What may go better in a moment.
    pub(super) fn temporary(why: impl Into<String>) -> Self {
        Self::Temporary { why: why.into(), wait: None, moved: false }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Final(error)
    }
}

/// A server, as [`super::NetworkStore`] needs it. Names were checked.
pub(super) trait Remote: Send + Sync {
    /// Makes what an empty repository consists of; there already is no error.
    fn create(&self) -> Attempt<()>;

    /// The files of a kind; what has other names may be among them.
    fn list(&self, kind: FileKind) -> Attempt<Vec<FileEntry>>;

    /// Size in bytes.
    fn size(&self, kind: FileKind, name: &str) -> Attempt<u64>;

    /// Fills `buf` from byte `offset` on; `filled` of it, but not all, is there already, and is added to.
    fn read_range(
        &self,
        kind: FileKind,
        name: &str,
        offset: u64,
        buf: &mut [u8],
        filled: &mut usize,
    ) -> Attempt<()>;

    /// Writes a file, whole or not at all. [`FileKind::Config`] never replaces one.
    fn write(&self, kind: FileKind, name: &str, bytes: &[u8]) -> Attempt<()>;

    /// Removes a file. One that is not there may be no error.
    fn remove(&self, kind: FileKind, name: &str) -> Attempt<()>;

    /// How long ago it was written, by the server's clock.
    fn age(&self, kind: FileKind, name: &str) -> Attempt<Option<Duration>>;

    /// Removes what interrupted writes left behind before that file was written; returns its bytes.
    fn remove_leftovers(&self, _kind: FileKind, _name: &str) -> Attempt<u64> {
        Ok(0)
    }

    /// Writes a file for people, where [`Self::takes_notes`].
    fn write_note(&self, _name: &str, _text: &str) -> Attempt<()> {
        Ok(())
    }

    /// Whether there is a place for other files than a repository's.
    fn takes_notes(&self) -> bool {
        false
    }

    /// Bytes that can still be written, where that can be told.
    fn free_space(&self) -> Option<u64> {
        None
    }

    /// Ends what is under way; it fails then.
    fn stop(&self);

    /// The place in words.
    fn location(&self) -> String;
}
