//! What will be done to a target, as data.

use serde::Serialize;

use crate::bytes::{Extents, OverlayRoom};
use crate::disk::{Agreement, Disk, Hold};
use crate::image::marker::Marker;
use crate::operation::OperationError;
use crate::operation::consent;
use crate::resize::Shrink;
use crate::signature::Signature;
use crate::table::Patch;
use crate::transfer::{Rewritten, Transfer};

use super::absent::Absent;
use super::booting::Booting;
use super::grow::Growth;
use super::preview::Preview;
use super::scope::Scope;
use super::virtual_disk::VirtualDisk;

/// What will be done to a target.
#[derive(Clone, Debug, Serialize)]
pub struct TargetPlan {
    /// The disk to overwrite.
    pub target: Disk,
    /// What `--erase` has to say for it.
    pub erase: String,
    /// What is agreed to with this plan.
    #[serde(skip)]
    pub agreement: Agreement,
    /// Keeps the target open for as long as the plan counts; `None` for a file that is to be made.
    #[serde(skip)]
    pub hold: Option<Hold>,
    /// Whether the target is a file that does not exist yet.
    pub creates_file: bool,
    /// The file that it will be, if that is no plain disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtual_disk: Option<VirtualDisk>,
    /// The target before and after.
    #[serde(flatten)]
    pub preview: Preview,
    /// Partitions of the source's table that are not written, and what will be there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<Absent>,
    /// Filesystems that are made smaller before anything is written.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shrinks: Vec<Shrink>,
    /// Filesystems that are grown once everything is written.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub grows: Vec<Growth>,
    /// What is done besides so that it starts.
    #[serde(skip_serializing_if = "Booting::is_nothing")]
    pub booting: Booting,
    /// Signatures of before that are erased, by their places on the target.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stale: Vec<Signature>,
    /// Whether only what differs is written: as it was asked for, or because this was begun before.
    pub only_changed: bool,
    /// Whether the target is read back after writing.
    #[serde(skip)]
    pub(in crate::operation) read_back: bool,
    /// Which bytes of the source go where.
    #[serde(skip)]
    pub(in crate::operation) transfers: Vec<Transfer>,
    /// Which bytes of it are read, where these are others: a filesystem that is made smaller is read whole.
    #[serde(skip)]
    pub(super) needed: Option<Vec<Transfer>>,
    /// Bytes of filesystems that were made smaller, and where they go.
    #[serde(skip)]
    pub(super) rewritten: Vec<Rewritten>,
    /// What there is to warn of in these.
    #[serde(skip)]
    pub(in crate::operation) smaller_warnings: Vec<String>,
    /// Where what they write is kept apart meanwhile.
    #[serde(skip)]
    pub(super) room: OverlayRoom,
    /// What of the target is replaced.
    #[serde(skip)]
    pub(super) scope: Scope,
    /// What the target says of itself until all is written.
    #[serde(skip)]
    pub(super) note: Marker,
    /// Partitions the source leaves out: their place on the target is never touched.
    #[serde(skip)]
    pub(super) kept: Extents,
    /// What of the table is not as in the source.
    #[serde(skip)]
    pub(super) patches: Vec<Patch>,
    /// The bytes of the signatures that are erased.
    #[serde(skip)]
    pub(super) erased: Extents,
}

impl TargetPlan {
    /// The consent of a person who was shown this plan and agreed, for [`super::TargetRequest::erase`].
    ///
    /// # Errors
    /// Refuses where the word for the target is that of another attached disk too.
    pub fn agreed(&self) -> Result<String, OperationError> {
        consent::only_one(&self.target, &self.erase)?;
        Ok(self.erase.clone())
    }

    /// How much of what is written lies in `unreadable`, bytes of the source.
    pub(in crate::operation) fn lacking(&self, unreadable: &Extents) -> u64 {
        let lacking = |transfer: &Transfer| transfer.used.intersection(unreadable).total();
        self.needed().iter().map(lacking).sum()
    }

    /// What the target will lack afterwards that its table names.
    pub(in crate::operation) fn missing(&self) -> impl Iterator<Item = &Absent> {
        self.absent.iter().filter(|absent| absent.is_missing())
    }

    /// Whether what was written is read back.
    pub(in crate::operation) fn reads_back(&self) -> bool {
        self.read_back
    }

    /// Where is kept apart what is written to views.
    pub(in crate::operation) fn room(&self) -> &OverlayRoom {
        &self.room
    }

    /// Bytes that are read back.
    pub(in crate::operation) fn bytes_read_back(&self) -> u64 {
        if self.read_back { self.preview.writes } else { 0 }
    }
}
