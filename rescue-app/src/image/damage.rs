//! What of a disk could not be read, and what that costs.

use serde::{Deserialize, Serialize};

use crate::bytes::Extents;

/// A stretch of the disk that could not be read; the image holds zeros there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadRange {
    /// First byte on the disk.
    pub offset: u64,
    /// Length in bytes.
    pub len: u64,
    /// The system's error number (Linux `errno`); 5 is EIO, 61 a medium error told by SCSI.
    pub errno: i32,
    /// How often each of its sectors was tried alone.
    pub tries: u32,
}

/// Everything that could not be read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// Where, in ascending order.
    pub ranges: Vec<BadRange>,
}

impl Damage {
    /// Whether everything could be read.
    pub fn is_none(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The bytes that could not be read.
    pub fn bytes(&self) -> Extents {
        Extents::from(self.ranges.iter().map(|bad| (bad.offset, bad.len)).collect::<Vec<_>>())
    }
}
