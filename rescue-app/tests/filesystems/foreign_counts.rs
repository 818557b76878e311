//! What is in use on images that others made, counted by the tools of each filesystem. A map may
//! hold more than a tool counts, for a reason; less only where the tool is known to miscount.

use std::path::Path;

use common::{output_of, succeeds, tool};
use lifeboat::bytes::Extents;
use lifeboat::volume::{Inspection, Kind, State};

use crate::{btrfs_tools, ext};

/// How a map compares with a tool's count.
#[derive(Debug, PartialEq, Eq)]
pub enum Count {
    Equal,
    /// Another one, because of this.
    Differs(&'static str),
    /// The tool gives no count of this image.
    None,
    Wrong(String),
}

/// Compares a map with what the filesystem's own tool counts.
pub fn compare(image: &Path, found: &Inspection, size: u64) -> Count {
    let filesystem = found.filesystem.as_ref().unwrap();
    let free = found.used.gaps_within(0, size);
    match filesystem.kind {
        Kind::Ext2 | Kind::Ext3 | Kind::Ext4 => ext(image, &free),
        Kind::Fat12 | Kind::Fat16 | Kind::Fat32 => fat(image, free.total()),
        Kind::ExFat => exfat(image, free.total(), &filesystem.state),
        Kind::Btrfs => btrfs(image, filesystem.used),
        _ => Count::None,
    }
}

/// The very blocks.
fn ext(image: &Path, free: &Extents) -> Count {
    let words = [image.to_str().unwrap()];
    if !succeeds("dumpe2fs", &words) {
        return Count::None;
    }
    let theirs = ext::free_by_dumpe2fs(image);
    let header = tool("dumpe2fs", &["-h", words[0]]);
    let common = free.intersection(&theirs);
    if *free == theirs {
        Count::Equal
    } else if common == *free && header.contains("needs_recovery") {
        Count::Differs("what waits in the journal is kept")
    } else if common == theirs && header.contains("bigalloc") {
        let missing = free.total() - theirs.total();
        let most =
            2 * u64::try_from(theirs.count()).unwrap() * ext::field(&header, "Cluster size:");
        if missing < most {
            Count::Differs("dumpe2fs ends ranges with the first block of a cluster")
        } else {
            Count::Wrong(format!("{missing} bytes more are free"))
        }
    } else {
        Count::Wrong("other blocks are free".into())
    }
}

/// Clusters: `fsck.fat` counts those that it found in files.
fn fat(image: &Path, free: u64) -> Count {
    let said = output_of("fsck.fat", &["-n", "-v", image.to_str().unwrap()]);
    let number = |end: &str| {
        let line = said.lines().find_map(|line| line.trim().strip_suffix(end))?;
        line.rsplit(' ').next()?.parse::<u64>().ok()
    };
    let mut counts =
        said.lines().filter_map(|line| line.strip_suffix(" clusters")?.rsplit_once(' '));
    let counts = counts.next_back().and_then(|(_, counts)| counts.split_once('/'));
    let (Some(size), Some((theirs, all))) = (number(" bytes per cluster"), counts) else {
        return Count::None;
    };
    let (theirs, all): (u64, u64) = (theirs.parse().unwrap(), all.parse().unwrap());
    match (all - free / size).cmp(&theirs) {
        std::cmp::Ordering::Equal => Count::Equal,
        std::cmp::Ordering::Greater => Count::Differs("clusters of no file are kept"),
        std::cmp::Ordering::Less => Count::Wrong(format!("{} of {theirs}", all - free / size)),
    }
}

/// Clusters by the bitmap.
fn exfat(image: &Path, free: u64, state: &State) -> Count {
    let listing = tool("dump.exfat", &[image]);
    let field = |name: &str| -> u64 {
        let line = listing.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
        line.split(':').nth(1).unwrap().trim().parse().unwrap()
    };
    let unit = field("Cluster size");
    if field("Free Clusters") > field("Total Clusters") {
        return Count::None;
    }
    let theirs = field("Free Clusters") * unit;
    match state {
        _ if free == theirs => Count::Equal,
        _ if free > theirs && free - theirs < 8 * unit => {
            Count::Differs("dump.exfat counts the bits behind the last cluster too")
        }
        State::Dirty(_) if free < theirs => Count::Differs("files outside the bitmap are kept"),
        _ => Count::Wrong(format!("{free} of {theirs} bytes are free")),
    }
}

/// Bytes that extents take, by the superblock; the map holds every copy of them.
fn btrfs(image: &Path, ours: Option<u64>) -> Count {
    let theirs = btrfs_tools::superblock_field(image, "bytes_used");
    if ours == Some(theirs) { Count::Equal } else { Count::Wrong(format!("{ours:?}, {theirs}")) }
}
