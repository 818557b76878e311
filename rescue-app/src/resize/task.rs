//! Which filesystems are made smaller, and by what.

use serde::Serialize;

use crate::image::manifest::Region;
use crate::layout;
use crate::table;
use crate::tool;
use crate::volume::{Filesystem, Kind};

/// What tools write besides what they move, bytes: tables, bitmaps and journals that they look through.
const BESIDES: u64 = 16 << 20;

/// A filesystem that is made smaller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shrink {
    /// Number of its partition; `None` on a disk without a table.
    pub number: Option<u32>,
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
    /// What lies in the volumes in it.
    #[serde(skip)]
    pub(super) inside: Vec<Kind>,
}

/// What stands for a program where there is none: it is done here.
const BY_HAND: &str = "lifeboat";

impl Shrink {
    /// What it is and where, for a person.
    pub fn name(&self) -> String {
        format!("the {} of {}", self.kind, table::name_of(self.number))
    }

    /// Whether the filesystem is made anew and filled with its files.
    pub fn is_made_anew(&self) -> bool {
        is_made_anew(self.kind)
    }

    /// Whether the kernel has to mount it for that, or something in it.
    pub fn is_mounted(&self) -> bool {
        self.kinds().any(|kind| matches!(kind, Kind::Btrfs | Kind::Xfs))
    }

    /// The programs that it takes, or may take.
    pub fn programs(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.kinds().filter_map(shrinker)
    }

    fn kinds(&self) -> impl Iterator<Item = Kind> + '_ {
        [self.kind].into_iter().chain(self.inside.iter().copied())
    }

    /// Whether its clusters are moved without a program that would have to see them.
    pub fn is_moved(&self) -> bool {
        matches!(self.kind, Kind::Fat12 | Kind::Fat16 | Kind::Fat32 | Kind::ExFat)
    }

    /// What is to be done for the filesystem in a region to lie in a partition of `size` bytes; `None` where
    /// it does so as it is, or cannot be made smaller.
    pub fn find(region: &Region, size: u64) -> Option<Self> {
        let found = region.filesystem.as_ref()?;
        let is_possible = layout::is_shrunk(region, size) && layout::shrunk_size(region) <= size;
        let tool = shrinker(found.kind).filter(|_| is_possible)?;
        let inside: Vec<Kind> = region
            .logical_volumes
            .iter()
            .filter_map(|it| Some(it.filesystem.as_ref()?.kind))
            .collect();
        let is_filled = is_made_anew(found.kind) || inside.iter().copied().any(is_made_anew);
        let from = if is_filled { region.start } else { region.start + size };
        let moved: u64 = region.used.within(from, region.end()).map(|it| it.len()).sum();
        Some(Self {
            number: region.partition,
            kind: found.kind,
            start: region.start,
            from: region.size,
            size,
            tool,
            scratch: moved + moved / 16 + BESIDES,
            block: found.block_size,
            inside,
        })
    }
}

/// What is to be done for a filesystem in a logical volume of the partition of `task`, whose bytes stand by
/// themselves, from so many bytes down to so many; `None` where it cannot get smaller.
pub(super) fn inside(
    found: &Filesystem,
    (from, size): (u64, u64),
    task: &Shrink,
) -> Option<Shrink> {
    Some(Shrink {
        number: task.number,
        kind: found.kind,
        start: 0,
        from,
        size,
        tool: shrinker(found.kind)?,
        scratch: 0,
        block: found.block_size,
        inside: Vec::new(),
    })
}

/// The program that makes a filesystem smaller, or anew where it cannot get smaller, if there is one.
fn shrinker(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Xfs => Some("mkfs.xfs"),
        Kind::Fat12 | Kind::Fat16 | Kind::Fat32 | Kind::ExFat => Some(BY_HAND),
        kind => grower(kind),
    }
}

/// The program that makes a filesystem larger, if there is one.
pub fn grower(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Ext2 | Kind::Ext3 | Kind::Ext4 => Some("resize2fs"),
        Kind::Ntfs => Some("ntfsresize"),
        Kind::Btrfs => Some("btrfs"),
        Kind::Xfs => Some("xfs_growfs"),
        Kind::Lvm2 => Some(BY_HAND),
        _ => None,
    }
}

/// Whether what gives a filesystem another size is there.
pub fn is_there(tool: &str) -> bool {
    tool == BY_HAND || tool::find(tool).is_some()
}

/// Whether it cannot get smaller, but be made anew and filled with its files.
fn is_made_anew(kind: Kind) -> bool {
    kind == Kind::Xfs
}
