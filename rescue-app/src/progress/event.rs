//! What an operation tells its caller while it runs.

use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use super::Cancelled;

/// A stretch of an operation with its own progress count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Reading tables and filesystem maps.
    Examining,
    /// Unpacking a file that holds a disk, before it is read.
    Unpacking,
    /// Reading the source and storing what is new.
    Capturing,
    /// Making filesystems smaller, before the target is written.
    Shrinking,
    /// Making filesystems larger, before a file is written.
    Growing,
    /// Starting an image in a virtual machine, and watching it.
    Starting,
    /// Writing the target.
    Restoring,
    /// Reading the source and writing the target.
    Cloning,
    /// Reading the target back and comparing it with the source.
    ReadingBack,
    /// Reading stored data back and checking every hash.
    Verifying,
    /// Removing what no image uses from the repository, and moving what is used out of its way.
    Pruning,
    /// Writing the index, the snapshot, the first mebibyte: the steps that make the work count.
    Finishing,
}

impl Phase {
    /// The phase in a few words, for a progress line.
    pub fn title(self) -> &'static str {
        match self {
            Self::Examining => "Examining",
            Self::Unpacking => "Unpacking",
            Self::Capturing => "Capturing",
            Self::Shrinking => "Shrinking filesystems",
            Self::Growing => "Growing filesystems",
            Self::Starting => "Starting",
            Self::Restoring => "Restoring",
            Self::Cloning => "Cloning",
            Self::ReadingBack => "Reading back",
            Self::Verifying => "Verifying",
            Self::Pruning => "Freeing",
            Self::Finishing => "Finishing",
        }
    }
}

/// How far a phase has come. All counts but the last are bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// The phase counted.
    pub phase: Phase,
    /// Bytes dealt with so far.
    pub done: u64,
    /// Bytes this phase has to deal with.
    pub total: u64,
    /// Bytes not read or written because nothing uses them or they are already there.
    pub skipped: u64,
    /// Bytes added to the repository (capture) or written to the target (restore).
    pub written: u64,
    /// Places on the source that cannot be read so far; more tries may still lower it.
    pub bad_areas: u64,
}

/// Something a person should read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Notice {
    /// Whether it lessens what the operation achieved.
    pub level: Level,
    /// One or two plain sentences.
    pub text: String,
}

/// Weight of a [`Notice`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// For the log.
    Info,
    /// The result is affected; repeated on the result page.
    Warning,
}

/// One message of a running operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A phase begins.
    Phase {
        /// Which one.
        phase: Phase,
    },
    /// The current phase moved on.
    Progress(Progress),
    /// Something worth telling.
    Notice(Notice),
    /// The place of the repository is full: the operation waits for [`Resume`] or [`Cancel`].
    /// Repeated when the numbers change.
    Paused(Shortage),
    /// The wait is over.
    Continued,
}

/// A place that is full while more is to be stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shortage {
    /// The place.
    pub location: String,
    /// Bytes free there now, where it can tell.
    pub free: Option<u64>,
    /// Bytes that are still to be stored at most: not yet read, or not yet written.
    pub needed: u64,
}

/// Asks a running operation to stop at the next safe point.
#[derive(Debug, Default)]
pub struct Cancel(AtomicBool);

impl Cancel {
    /// A flag that is not set.
    pub const fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// Asks for the stop; may be called from any thread or a signal handler.
    pub fn request(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether the stop was asked for.
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Asks an operation that waits for free space to try again.
#[derive(Debug, Default)]
pub struct Resume(AtomicBool);

impl Resume {
    /// A flag that is not set.
    pub const fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// Asks for another try; may be called from any thread.
    pub fn request(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether another try was asked for since the last call.
    pub(crate) fn take(&self) -> bool {
        self.0.swap(false, Ordering::AcqRel)
    }
}

/// What every operation is given besides its request: where events go, and when to stop.
#[derive(Clone, Copy)]
pub struct Control<'a> {
    /// Receives events, from any thread.
    pub sink: &'a (dyn Fn(Event) + Sync),
    /// Checked between chunks.
    pub cancel: &'a Cancel,
    /// Ends the wait for free space; without it a full place ends the operation at once.
    pub resume: Option<&'a Resume>,
}

impl Control<'static> {
    /// Tells nobody anything, and never stops.
    pub fn silent() -> Self {
        static NEVER: Cancel = Cancel::new();
        Self { sink: &|_| {}, cancel: &NEVER, resume: None }
    }
}

impl Control<'_> {
    /// An error when the person asked to stop.
    pub(crate) fn check_cancel(&self) -> Result<(), Cancelled> {
        if self.cancel.is_requested() { Err(Cancelled) } else { Ok(()) }
    }

    /// Announces a phase.
    pub fn phase(&self, phase: Phase) {
        (self.sink)(Event::Phase { phase });
    }

    /// Reports progress.
    pub fn progress(&self, progress: Progress) {
        (self.sink)(Event::Progress(progress));
    }

    /// A line for the log.
    pub fn info(&self, text: impl Into<String>) {
        (self.sink)(Event::Notice(Notice { level: Level::Info, text: text.into() }));
    }

    /// A warning for the result page.
    pub fn warn(&self, text: impl Into<String>) {
        (self.sink)(Event::Notice(Notice { level: Level::Warning, text: text.into() }));
    }
}
