//! What is asked of a target.

use std::path::PathBuf;

use crate::layout::Wishes;
use crate::operation::error::OperationError;
use crate::virtual_disk::Format;

/// Which disk is overwritten, with which parts of the source, and how.
#[derive(Clone, Debug)]
pub struct TargetRequest {
    /// Block device or image file to overwrite; a missing file is created.
    pub disk: PathBuf,
    /// Logical sector size of an image file, bytes.
    pub sector_size: Option<u32>,
    /// Size of a new image file, bytes; that of the source when `None`.
    pub size: Option<u64>,
    /// Serial number, WWN, path of a file, or the word of the plan: the consent to erase the target.
    pub erase: Option<String>,
    /// How a file holds the disk; all but plain ones are made as a whole.
    pub format: Format,
    /// Whether a file that is there is made anew in that format.
    pub replace: bool,
    /// Write only what differs.
    pub only_changed: bool,
    /// Read the target back after writing.
    pub read_back: bool,
    /// Write a damaged copy of the GPT anew from the other one, also on a disk of the same size.
    pub mend_table: bool,
    /// Sizes of partitions, where the table is written.
    pub layout: Wishes,
    /// Whether this machine's firmware may get boot entries for what is written.
    pub nvram: bool,
    /// A folder for what has no place in memory while filesystems are made smaller.
    pub scratch: Option<PathBuf>,
}

impl TargetRequest {
    /// All of the disk at `disk`, read back, with the consent `erase`.
    pub fn all_of(disk: impl Into<PathBuf>, erase: &str) -> Self {
        Self {
            disk: disk.into(),
            sector_size: None,
            size: None,
            erase: Some(erase.to_owned()),
            format: Format::default(),
            replace: false,
            only_changed: false,
            read_back: true,
            mend_table: false,
            layout: Wishes::default(),
            nvram: true,
            scratch: None,
        }
    }

    /// Whether the target is a file that does not exist yet.
    pub(in crate::operation) fn creates_file(&self) -> bool {
        !self.disk.exists() && !self.disk.starts_with("/dev")
    }

    /// Refuses to write without consent.
    pub(in crate::operation) fn refuse_unnamed(&self) -> Result<(), OperationError> {
        if self.erase.is_some() {
            return Ok(());
        }
        Err(OperationError::refused(
            "nothing is overwritten without the name of the disk",
            "say --erase with the serial number of the target, or the word that --plan shows",
        ))
    }
}
