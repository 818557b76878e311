//! What the menu shows of the machine: values of the operation layer, and how a person chose among them.

mod machine;
mod order;

pub use machine::{Confirmation, DiskList, Places};
pub use order::{
    CaptureOrder, CopyOrder, Job, Keep, Origin, Planned, PrepareOrder, Repository, StickOrder,
    WriteOrder,
};

use crate::disk::{Agreement, Hold};
use crate::operation::{CaptureOutlook, ImageSummary, Preview, SourceSummary};

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

/// A capture that was planned.
#[derive(Clone, Debug, Default)]
pub struct CapturePlan {
    /// What is read.
    pub source: SourceSummary,
    /// What it takes.
    pub outlook: CaptureOutlook,
    /// What this machine's clock says, when that can hardly be right.
    pub wrong_clock: Option<String>,
    /// The plan itself, to be carried out.
    pub planned: Option<Planned>,
}

/// The writing of a disk that was planned.
#[derive(Clone, Debug, Default)]
pub struct WritePlan {
    /// The images of other disks that are taken along.
    pub with: Vec<ImageSummary>,
    /// The target before and after.
    pub preview: Preview,
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

/// What making a stick would do.
#[derive(Clone, Debug, Default)]
pub struct StickPlan {
    /// What is written to it and made on it, a sentence each.
    pub said: Vec<String>,
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
