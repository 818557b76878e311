//! What the menu shows of the machine: values of the operation layer, and how a person chose among them.

mod machine;
mod order;

pub use machine::{Confirmation, DiskList, Places};
pub use order::{CaptureOrder, Job, Keep, Origin, Planned, PrepareOrder, Repository, WriteOrder};

use crate::disk::{Agreement, Hold};
use crate::operation::{ImageSummary, LayoutEntry, Space, Unpartitioned};

/// What the header says about the running system; fixed while the menu runs.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Lifeboat's version.
    pub version: String,
    /// Firmware mode and Secure Boot state in a few words.
    pub firmware: String,
    /// Host name, or empty.
    pub host: String,
    /// Whether the system was started from the boot medium, so that the menu owns the machine.
    pub boot_medium: bool,
}

/// What a capture would do. All counts are bytes.
#[derive(Clone, Debug, Default)]
pub struct CapturePlan {
    /// To be read.
    pub read: u64,
    /// Not read, because a filesystem's map says that nothing uses it.
    pub unused: u64,
    /// Not read, since systems make it anew.
    pub left_out: Option<String>,
    /// Not read, in partitions that were not chosen.
    pub not_chosen: u64,
    /// Large stretches outside of all partitions.
    pub unpartitioned: Option<Unpartitioned>,
    /// What it takes where the repository is.
    pub space: Space,
    /// Whether there is an NTFS of which more than what is used is stored, or could be.
    pub has_unclosed_ntfs: bool,
    /// What a person should know before it starts.
    pub warnings: Vec<String>,
    /// What this machine's clock says, when that can hardly be right.
    pub wrong_clock: Option<String>,
    /// The plan itself, to be carried out.
    pub planned: Option<Planned>,
}

/// What writing a disk would do. All counts are bytes.
#[derive(Clone, Debug, Default)]
pub struct WritePlan {
    /// The images of other disks that are taken along.
    pub with: Vec<ImageSummary>,
    /// The target as it is.
    pub before: Vec<LayoutEntry>,
    /// The target as it will be.
    pub after: Vec<LayoutEntry>,
    /// To be written.
    pub writes: u64,
    /// What the target holds now and loses.
    pub lost: Vec<String>,
    /// What else a person should know before it starts.
    pub notices: Vec<String>,
    /// The plan itself, to be carried out.
    pub planned: Option<Planned>,
}

/// What preparing a disk would do.
#[derive(Clone, Debug, Default)]
pub struct PreparePlan {
    /// What the disk holds now and loses.
    pub lost: Vec<String>,
    /// What is agreed to with it.
    pub agreement: Option<Agreement>,
    /// Keeps the disk open while the plan is looked at and carried out.
    pub hold: Option<Hold>,
}

/// How a job went that succeeded.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Names and values for the result page, in order.
    pub facts: Vec<(String, String)>,
    /// What lessens the result.
    pub warnings: Vec<String>,
}

/// Why something did not work.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    /// The cause as a chain of plain words.
    pub text: String,
    /// What to do about it.
    pub next_step: Option<String>,
    /// It stopped because the person asked for it.
    pub cancelled: bool,
    /// The repository needs its own passphrase: none or a wrong one was given.
    pub needs_passphrase: bool,
}

/// The run's log.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// Where it is kept.
    pub path: String,
    /// Its newest part.
    pub text: String,
}
