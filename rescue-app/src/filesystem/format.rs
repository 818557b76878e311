//! The common shape of a filesystem reader.

use std::io;

use super::container::Content;
use super::encryption::Encryption;
use super::files::FileTree;
use super::owners::{Names, Tally};
use super::{Companions, Coverage, Filesystem, Kind};
use crate::bytes::{Extent, Extents, ReadAt};

/// A reader of one family of filesystems.
pub(super) trait Format: Sync {
    /// Looks at superblocks only. `Ok(None)` when the magic is missing or its surroundings make no
    /// sense; an error only when the device fails to read.
    fn probe(&self, volume: &dyn ReadAt) -> io::Result<Option<Filesystem>>;

    /// Which bytes of the volume have to be stored. `found` is what [`Format::probe`] said and may
    /// be refined (its state above all), also when the map itself is refused.
    fn map(&self, _volume: &dyn ReadAt, found: &mut Filesystem) -> Result<Map, Doubt> {
        Err(Doubt::NoMap(found.kind))
    }

    /// [`Format::map`] for what may be spread over several volumes: the others it can be read from
    /// are among `companions`.
    fn map_among(
        &self,
        volume: &dyn ReadAt,
        _companions: &dyn Companions,
        found: &mut Filesystem,
    ) -> Result<Map, Doubt> {
        self.map(volume, found)
    }

    /// [`Format::map_among`] for a person who takes what the tables call used although the
    /// filesystem was not closed and they may be out of date ([`Filesystem::is_unclosed_ntfs`]).
    fn map_trusting(
        &self,
        volume: &dyn ReadAt,
        companions: &dyn Companions,
        found: &mut Filesystem,
    ) -> Result<Map, Doubt> {
        self.map_among(volume, companions, found)
    }

    /// The volumes inside a container, whose maps make its own; `None` for anything else.
    /// Other devices that they lie on are among `companions`. `found` may be refined.
    fn content<'a>(
        &self,
        _volume: &dyn ReadAt,
        _companions: &'a dyn Companions,
        _found: &mut Filesystem,
    ) -> Result<Option<Content<'a>>, Doubt> {
        Ok(None)
    }

    /// Counts what of the filesystem and of which files lies in the lost bytes, and names the
    /// files. Reads what it can of a damaged volume.
    fn owners(
        &self,
        volume: &dyn ReadAt,
        _tally: &mut Tally<'_>,
        _names: &mut Names,
    ) -> Result<(), Doubt> {
        let kind = self.probe(volume).ok().flatten().map(|found| found.kind);
        Err(kind.map_or(Doubt::because("it cannot be recognised"), Doubt::NoNames))
    }

    /// Opens a file by its path from the root. `None` when there is none, and for formats whose
    /// files are not looked up by this version.
    fn open<'a>(&self, _volume: &'a dyn ReadAt, _path: &[&str]) -> Option<Box<dyn ReadAt + 'a>> {
        None
    }

    /// Its folders; see [`super::files`].
    fn files<'a>(&self, _volume: &'a dyn ReadAt) -> Option<Box<dyn FileTree + 'a>> {
        None
    }

    /// How an encrypted container is opened; `None` for anything else.
    fn encryption(&self) -> Option<&'static dyn Encryption> {
        None
    }

    /// The least size it can be shrunk to, where its superblock and little more tell that: see
    /// [`super::Inspection::minimum_size`].
    fn least_size(&self, _volume: &dyn ReadAt) -> Option<u64> {
        None
    }

    /// Whether it is the whole disk's, when it is found on one that has a table with these
    /// partitions: not a partition's own at the end of the disk, and not from an earlier life.
    fn is_of_disk(&self, _disk: &dyn ReadAt, _partitions: &[Extent]) -> bool {
        true
    }

    /// Whether it wraps other content, whose signatures may then show through.
    fn is_container(&self) -> bool {
        false
    }
}

/// A map that passed every check.
pub(super) struct Map {
    /// How much of the volume it asks for.
    pub(super) coverage: Coverage,
    /// The bytes to be stored.
    pub(super) used: Extents,
    /// See [`super::Inspection::minimum_size`].
    pub(super) minimum_size: Option<u64>,
    /// Remarks that do not shake the map.
    pub(super) warnings: Vec<String>,
}

/// Why a map is not to be trusted, so that the volume is captured whole.
#[derive(Debug, thiserror::Error)]
pub(super) enum Doubt {
    /// Recognised only.
    #[error("used blocks of {0} are not mapped by this version")]
    NoMap(Kind),
    /// Files are not looked up.
    #[error("files of {0} are not looked up by this version")]
    NoNames(Kind),
    /// The device failed.
    #[error("{what} cannot be read: {source}")]
    Read {
        /// The structure.
        what: &'static str,
        /// The failure.
        source: io::Error,
    },
    /// Anything else, in words.
    #[error("{0}")]
    Because(String),
}

impl Doubt {
    /// A doubt in words.
    pub(super) fn because(words: impl Into<String>) -> Self {
        Self::Because(words.into())
    }

    /// Something tells of more bytes than the volume has.
    pub(super) fn larger(kind: Kind, bytes: u64, volume: u64) -> Self {
        Self::because(format!("the {kind} has {bytes} bytes and the partition only {volume}"))
    }

    /// For `map_err`: a failure to read the structure named `what`.
    pub(super) fn reading(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Read { what, source }
    }
}

/// All readers: containers first, then swap, then filesystems; FAT last, since its signature is
/// the weakest.
pub(super) static FORMATS: &[&dyn Format] = &[
    &super::mdraid::MdRaid,
    &super::firmware_raid::FirmwareRaid,
    &super::lvm::Lvm,
    &super::luks::Luks,
    &super::bitlocker::BitLocker,
    &super::zfs::Zfs,
    &super::swap::Swap,
    &super::ext::Ext,
    &super::xfs::Xfs,
    &super::btrfs::Btrfs,
    &super::ntfs::Ntfs,
    &super::exfat::ExFat,
    &super::refs::ReFs,
    &super::f2fs::F2fs,
    &super::apfs::Apfs,
    &super::hfsplus::HfsPlus,
    &super::squashfs::Squashfs,
    &super::iso9660::Iso9660,
    &super::fat::Fat,
];
