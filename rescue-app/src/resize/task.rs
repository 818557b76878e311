//! Which filesystems are made smaller, and by what.

use serde::Serialize;

use crate::image::manifest::Region;
use crate::layout;
use crate::volume::Kind;

/// What tools write besides what they move, bytes: tables, bitmaps and journals that they look through.
const BESIDES: u64 = 16 << 20;

/// A filesystem that is made smaller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shrink {
    /// Number of its partition.
    pub number: u32,
    /// What it is.
    pub kind: Kind,
    /// First byte in the source.
    pub start: u64,
    /// Size of the partition there, bytes.
    pub from: u64,
    /// Size that it gets, bytes.
    pub size: u64,
    /// The program that does it.
    pub tool: &'static str,
    /// Bytes that have to be kept apart for it, about.
    pub scratch: u64,
    /// Its block or cluster size, bytes.
    #[serde(skip)]
    pub(super) block: u32,
}

impl Shrink {
    /// What is to be done for the filesystem in a region to lie in a partition of `size` bytes; `None` where
    /// it does so as it is, or cannot be made smaller.
    pub fn find(region: &Region, size: u64) -> Option<Self> {
        let found = region.filesystem.as_ref()?;
        let is_possible = layout::is_shrunk(region, size) && layout::shrunk_size(region) <= size;
        let tool = tool_for(found.kind).filter(|_| is_possible)?;
        let moved: u64 =
            region.used.within(region.start + size, region.end()).map(|it| it.len()).sum();
        Some(Self {
            number: region.partition.unwrap_or_default(),
            kind: found.kind,
            start: region.start,
            from: region.size,
            size,
            tool,
            scratch: moved + moved / 16 + BESIDES,
            block: found.block_size,
        })
    }
}

/// The program that gives a filesystem another size, if there is one.
pub fn tool_for(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Ext2 | Kind::Ext3 | Kind::Ext4 => Some("resize2fs"),
        Kind::Ntfs => Some("ntfsresize"),
        Kind::Btrfs => Some("btrfs"),
        Kind::Xfs => Some("xfs_growfs"),
        _ => None,
    }
}
