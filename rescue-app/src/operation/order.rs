//! The order in which images were stored, which is not that of their times where a clock was wrong.
//!
//! Each image carries the tag `stored=N`, one more than the largest of all images in the repository
//! when it was stored; restic keeps tags when it rewrites a snapshot, and does nothing with them.
//! Images without one are from before the counting began.

use crate::repository::{Snapshot, SnapshotFile};

/// What the tag begins with.
pub(super) const TAG: &str = "stored=";

/// The place of an image in the order; 0 without one.
fn number(snapshot: &Snapshot) -> u64 {
    let numbers = snapshot.tags.iter().filter_map(|tag| tag.strip_prefix(TAG)?.parse().ok());
    numbers.max().unwrap_or(0)
}

/// Whether a tag says the place in the order.
pub(super) fn is_order_s(tag: &str) -> bool {
    tag.starts_with(TAG)
}

/// The tag of an image that is stored after all these.
pub(super) fn next_tag(snapshots: &[SnapshotFile]) -> String {
    let last = snapshots.iter().map(|file| number(&file.snapshot)).max().unwrap_or(0);
    format!("{TAG}{}", last.saturating_add(1))
}

/// The one that was stored last; by time among those without a place in the order.
pub(super) fn stored_last<'s>(
    snapshots: impl Iterator<Item = &'s SnapshotFile>,
) -> Option<&'s SnapshotFile> {
    snapshots.max_by_key(|file| (number(&file.snapshot), file.snapshot.time, file.id))
}

/// An image that was stored after one with a later time: first the one stored later.
pub(super) fn contradiction<'s>(
    snapshots: impl Iterator<Item = &'s SnapshotFile>,
) -> Option<(&'s SnapshotFile, &'s SnapshotFile)> {
    let mut by_time: Vec<&SnapshotFile> = snapshots.collect();
    by_time.sort_by_key(|file| (file.snapshot.time, file.id));
    // The largest jump back is the one to tell: the newest that some image was stored before.
    let mut latest: Option<&SnapshotFile> = None;
    let mut found = None;
    for file in by_time {
        match latest {
            Some(last) if number(&file.snapshot) < number(&last.snapshot) => {
                found = Some((last, file));
            }
            _ => latest = Some(file),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;
    use crate::repository::Id;

    fn file(year: i64, tags: &[&str]) -> SnapshotFile {
        let time = OffsetDateTime::from_unix_timestamp((year - 1970) * 31_556_952).unwrap();
        let stored_tags = tags.iter().map(ToString::to_string).collect();
        let paths = Vec::new();
        let snapshot = Snapshot { time, tags: stored_tags, paths, ..Snapshot::of_nothing() };
        SnapshotFile { id: Id::of(format!("{year} {tags:?}").as_bytes()), snapshot }
    }

    #[test]
    fn the_count_goes_on_whatever_the_clock_says() {
        let mut files = vec![file(2020, &["lifeboat"]), file(2021, &["lifeboat"])];
        assert_eq!(next_tag(&[]), "stored=1");
        assert_eq!(next_tag(&files), "stored=1");
        assert!(contradiction(files.iter()).is_none());
        assert_eq!(stored_last(files.iter()), Some(&files[1]));
        files.push(file(2035, &["x", "stored=4"]));
        assert!(contradiction(files.iter()).is_none());
        assert_eq!(next_tag(&files), "stored=5");
        files.push(file(2001, &["stored=5"]));
        assert_eq!(stored_last(files.iter()), Some(&files[3]));
        assert_eq!(contradiction(files.iter()), Some((&files[3], &files[2])));
        files.push(file(2036, &["stored=6", "stored=later"]));
        assert_eq!(stored_last(files.iter()), Some(&files[4]));
        assert!(contradiction(files[2..].iter()).is_some());
        assert_eq!(contradiction(files[4..].iter()), None);
    }
}
