//! Filesystems of 2 TiB in sparse files, which their drivers fill and churn.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use common::tool;
use lifeboat::bytes::Extents;
use lifeboat::inspect;
use lifeboat::volume::Coverage;
use tempfile::TempDir;

use crate::tools::{self, Judge, Mount, Volume};
use crate::{btrfs_tools, exfat, ext, f2fs, ntfs, xfs};

const MIB: u64 = 1 << 20;
const SIZE: u64 = 2 << 40;
/// Bytes at either end of a gap that are written to.
const EDGE: u64 = 64 << 10;

fn create(folder: &Path) -> PathBuf {
    let image = folder.join("image");
    tools::sparse_medium(&image, SIZE);
    image
}

/// The map of a volume that has to have one; where it leaves bytes out.
fn gaps(image: &Path) -> Extents {
    let found = inspect::inspect(&Volume::open(image));
    assert_eq!(found.coverage, Coverage::Used, "{}: {:?}", image.display(), found.warnings);
    found.used.gaps_within(0, SIZE)
}

/// Files before and after a tebibyte was taken, which then is given back, and some are changed. Of
/// Btrfs the later ones lie in the second tebibyte; ext4 and XFS find room before it too.
fn fill(root: &Path) {
    let room = root.join("room");
    tools::make_tree(&root.join("first"), 31, 8 * MIB);
    tool("fallocate", &["-l", "1T", room.to_str().unwrap()]);
    tools::make_tree(&root.join("second"), 32, 8 * MIB);
    fs::remove_file(room).unwrap();
    tools::churn(&root.join("first"), 33, 200 << 10);
    tools::churn(&root.join("second"), 34, 200 << 10);
}

/// Overwrites both ends of every gap, then makes holes of all of them: nothing may change.
fn assert_gaps_do_not_matter(image: &Path, gaps: &Extents, judge: &Judge) {
    let files = (judge.contents)(image);
    assert!((judge.is_sound)(image), "not sound to begin with");
    assert!(files.len() > 40, "{} files", files.len());
    let file = OpenOptions::new().write(true).open(image).unwrap();
    for gap in gaps.iter() {
        let len = gap.len().min(EDGE);
        let bytes = vec![0x5a; usize::try_from(len).unwrap()];
        file.write_all_at(&bytes, gap.start).unwrap();
        file.write_all_at(&bytes, gap.end - len).unwrap();
    }
    assert!((judge.is_sound)(image), "damaged at the edges");
    assert_eq!((judge.contents)(image), files);
    for gap in gaps.iter() {
        let (start, len) = (gap.start.to_string(), gap.len().to_string());
        tool("fallocate", &["-p", "-o", &start, "-l", &len, image.to_str().unwrap()]);
    }
    assert!((judge.is_sound)(image), "damaged by holes");
    assert_eq!((judge.contents)(image), files);
}

#[test]
fn ext4_of_two_tebibytes_is_mapped_exactly() {
    let scratch = TempDir::new().unwrap();
    let image = create(scratch.path());
    ext::format(&image, "-t ext4", None);
    fill(Mount::new(&image, "ext4", "rw").path());
    let gaps = gaps(&image);
    assert_eq!(gaps, ext::free_by_dumpe2fs(&image));
    let contents = |image: &Path| tools::hashes(Mount::new(image, "ext4", "ro").path());
    assert_gaps_do_not_matter(&image, &gaps, &Judge { is_sound: ext::is_sound, contents });
}

#[test]
fn xfs_of_two_tebibytes_is_mapped_exactly() {
    let scratch = TempDir::new().unwrap();
    let image = create(scratch.path());
    xfs::format(&image, "");
    fill(Mount::new(&image, "xfs", "rw").path());
    xfs::check_against_xfs_db(&image, &xfs::inspect(&image), "large");
    assert_gaps_do_not_matter(&image, &gaps(&image), &xfs::JUDGE);
}

#[test]
fn btrfs_of_two_tebibytes_is_mapped_exactly() {
    let scratch = TempDir::new().unwrap();
    let image = create(scratch.path());
    tool("mkfs.btrfs", &["-q", "-f", image.to_str().unwrap()]);
    let images = [image];
    fill(btrfs_tools::Mount::new(&images, "noatime").path());
    let [image] = &images;
    let gaps = gaps(image);
    // The superblock has one more copy, at 256 GiB.
    let used = btrfs_tools::used_by_kernel(&images) + btrfs_tools::OUTSIDE + 4096;
    assert_eq!(SIZE - gaps.total(), used);
    assert!(gaps.gaps_within(0, SIZE).end() > SIZE / 2, "nothing lies far behind");
    let contents = |image: &Path| btrfs_tools::judge(&[image.to_owned()]).unwrap();
    let is_sound = |image: &Path| btrfs_tools::judge(&[image.to_owned()]).is_some();
    assert_gaps_do_not_matter(image, &gaps, &Judge { is_sound, contents });
}

#[test]
fn ntfs_of_two_tebibytes_is_mapped_exactly() {
    let scratch = TempDir::new().unwrap();
    let image = create(scratch.path());
    ntfs::format(&image, "-Q");
    let mount = ntfs::Mount::new(&image, "rw");
    tools::make_tree(&mount.path().join("tree"), 35, 8 * MIB);
    tools::churn(&mount.path().join("tree"), 36, 200 << 10);
    drop(mount);
    let gaps = gaps(&image);
    assert_eq!(gaps.total(), ntfs::free_by_ntfsinfo(&image));
    assert_gaps_do_not_matter(&image, &gaps, &ntfs::JUDGE);
}

#[test]
fn exfat_and_f2fs_of_two_tebibytes_are_counted_exactly() {
    let scratch = TempDir::new().unwrap();
    let image = create(scratch.path());
    tool("mkfs.exfat", &[image.to_str().unwrap()]);
    assert_eq!(gaps(&image).total(), exfat::free_by_dump(&image));
    fs::remove_file(&image).unwrap();
    let image = create(scratch.path());
    tool("mkfs.f2fs", &["-q", "-f", image.to_str().unwrap()]);
    assert_eq!(SIZE - gaps(&image).total(), f2fs::used_by_dump(&image));
}
