//! What speaks against reading a disk, and against overwriting it. It is judged here for the command
//! line and for the menu, which put it into their own words.

use std::fmt;
use std::path::Path;

use crate::disk::{Busy, Disk, Use};

use super::format::size as human;

/// What speaks against reading a disk: it must not change under the reader. That a program has an
/// image file open is no harm when it only reads, and none when a person says so with `in_use`; nor
/// is then what holds a device out of sight.
pub fn source_refusal(disk: &Disk, in_use: bool) -> Option<Busy> {
    let harmless = |found: &&Use| match found {
        Use::Open { writes, .. } => in_use || !writes,
        Use::Claimed { .. } => in_use,
        _ => false,
    };
    disk.uses.iter().find(|found| !harmless(found)).cloned().map(Busy::Used)
}

/// What speaks against overwriting a disk, whatever with.
pub fn target_refusal(disk: &Disk) -> Option<Busy> {
    disk.busy()
}

/// A disk that has less room than what is to go onto it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooSmall {
    /// Size of the disk, bytes.
    pub size: u64,
    /// The least size that would do, bytes.
    pub needed: u64,
}

impl TooSmall {
    /// Whether a disk of `size` bytes is too small for what needs one of `needed` bytes.
    pub fn judge(size: u64, needed: u64) -> Option<Self> {
        (size < needed).then_some(Self { size, needed })
    }
}

impl fmt::Display for TooSmall {
    /// What is said of the disk, behind its name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { size, needed } = *self;
        write!(
            f,
            "has {} ({size} bytes), and the smallest disk that this fits on has {} ({needed} bytes)",
            human(size),
            human(needed)
        )
    }
}

/// What is to go onto a disk that is still to be chosen.
#[derive(Clone, Copy, Debug)]
pub struct Load<'a> {
    /// The disk that the images are on.
    pub images_on: Option<&'a Path>,
    /// The disk that is read.
    pub source: Option<&'a Path>,
    /// What it is, "captured disk", and its size in bytes.
    pub whole: (&'static str, u64),
    /// Size of the least part that may go onto the disk alone, bytes.
    pub least: u64,
}

/// Why a disk cannot take a [`Load`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// The images are on it.
    HoldsImages,
    /// It is the disk that is read.
    IsSource,
    /// It is too small.
    TooSmall {
        /// What goes onto it: "captured disk".
        than: &'static str,
        /// Bytes of that.
        size: u64,
    },
}

impl fmt::Display for Misfit {
    /// A few words, for a list.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HoldsImages => f.write_str("the images are on it"),
            Self::IsSource => f.write_str("it is the disk to clone"),
            Self::TooSmall { than, size } => {
                write!(f, "smaller than the {than} ({})", human(*size))
            }
        }
    }
}

impl Load<'_> {
    /// Whether the load comes from the disk at `path` itself, as far as paths tell: the plan asks
    /// again, by the kernel's numbers.
    pub fn comes_from(&self, path: &Path) -> Option<Misfit> {
        match path {
            _ if self.images_on == Some(path) => Some(Misfit::HoldsImages),
            _ if self.source == Some(path) => Some(Misfit::IsSource),
            _ => None,
        }
    }

    /// Whether no part of it has room on a disk of `size` bytes.
    pub fn is_too_large(&self, size: u64) -> Option<Misfit> {
        let (than, whole) = self.whole;
        TooSmall::judge(size, self.least).map(|_| Misfit::TooSmall { than, size: whole })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{DiskKind, Transport};

    fn disk(uses: Vec<Use>) -> Disk {
        Disk {
            path: "/srv/disk.img".into(),
            kind: DiskKind::ImageFile,
            model: None,
            serial: None,
            wwn: None,
            size: 1 << 30,
            logical_sector: 512,
            physical_sector: 512,
            transport: Transport::File,
            removable: false,
            read_only: false,
            boot_medium: false,
            uses,
        }
    }

    #[test]
    fn a_reader_does_no_harm_to_a_source_and_a_writer_only_when_a_person_says_so() {
        let open = |writes| Use::Open { file: "/srv/disk.img".into(), by: "x".into(), writes };
        let swap = Use::Swap { device: "/srv/disk.img".into() };
        assert_eq!(source_refusal(&disk(vec![open(false)]), false), None);
        assert_eq!(
            source_refusal(&disk(vec![open(false), open(true)]), false),
            Some(Busy::Used(open(true)))
        );
        assert_eq!(source_refusal(&disk(vec![open(true)]), true), None);
        let refused = source_refusal(&disk(vec![open(true), swap.clone()]), true);
        assert_eq!(refused, Some(Busy::Used(swap)));
        assert_eq!(target_refusal(&disk(vec![open(false)])), Some(Busy::Used(open(false))));
    }

    #[test]
    fn the_medium_is_told_before_what_uses_it() {
        let medium = Disk { boot_medium: true, ..disk(vec![Use::Swap { device: "x".into() }]) };
        assert_eq!(target_refusal(&medium), Some(Busy::BootMedium));
    }

    #[test]
    fn a_disk_of_just_the_size_that_is_needed_is_not_too_small() {
        assert_eq!(TooSmall::judge(512, 512), None);
        let small = TooSmall::judge(511, 512).unwrap();
        assert_eq!(
            small.to_string(),
            "has 511 B (511 bytes), and the smallest disk that this fits on has 512 B (512 bytes)"
        );
    }

    #[test]
    fn what_goes_onto_a_disk_may_lie_on_it_or_be_too_large() {
        let (images, source, other) =
            (Path::new("/dev/a"), Path::new("/dev/b"), Path::new("/dev/c"));
        let load = Load {
            images_on: Some(images),
            source: Some(source),
            whole: ("disk to clone", 2 << 30),
            least: 1 << 30,
        };
        assert_eq!(load.comes_from(images), Some(Misfit::HoldsImages));
        assert_eq!(load.comes_from(source), Some(Misfit::IsSource));
        assert_eq!(load.comes_from(other), None);
        assert_eq!(load.is_too_large(1 << 30), None);
        let small = load.is_too_large((1 << 30) - 1).unwrap();
        assert_eq!(small.to_string(), "smaller than the disk to clone (2.0 GiB)");
    }
}
