//! The common shape of a filesystem reader.

use std::io;

use super::companions::Companions;
use super::content::Content;
use super::description::{Coverage, Filesystem};
use super::doubt::Doubt;
use super::encryption::Encryption;
use super::files::{FileTree, Scrutiny};
use super::owners::Tally;
use super::walk;
use crate::bytes::{Extent, Extents, ReadAt};

/// The files of a filesystem, or why they are not read.
pub(crate) type OpenFiles<'a> = Result<Box<dyn FileTree + 'a>, Doubt>;

/// What is in a container, `None` for anything else; or why it cannot be told.
pub(crate) type OpenContent<'a> = Result<Option<Content<'a>>, Doubt>;

/// A reader of one family of filesystems.
pub(crate) trait Format: Sync {
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
    /// Other devices that they lie on are among `companions`.
    fn content<'a>(&self, _: &dyn ReadAt, _companions: &'a dyn Companions) -> OpenContent<'a> {
        Ok(None)
    }

    /// Counts what of the filesystem and of which files lies in the lost bytes, and names the
    /// files. Reads what it can of a damaged volume.
    fn owners(&self, volume: &dyn ReadAt, tally: &mut Tally<'_>) -> Result<(), Doubt> {
        let tree = self.files(volume, Scrutiny::Lenient)?;
        walk::find(tree.as_ref(), tally).map(drop)
    }

    /// Its files. Fails, with the reason, when they are not read by this version, and when there is
    /// a doubt that `scrutiny` does not put up with.
    fn files<'a>(&self, volume: &'a dyn ReadAt, _scrutiny: Scrutiny) -> OpenFiles<'a> {
        let kind = self.probe(volume).ok().flatten().map(|found| found.kind);
        Err(kind.map_or(Doubt::because("it cannot be recognised"), Doubt::NoNames))
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
        self.encryption().is_some()
    }
}

/// A map that passed every check.
pub(crate) struct Map {
    /// How much of the volume it asks for.
    pub(crate) coverage: Coverage,
    /// The bytes to be stored.
    pub(crate) used: Extents,
    /// See [`super::Inspection::minimum_size`].
    pub(crate) minimum_size: Option<u64>,
    /// Remarks that do not shake the map.
    pub(crate) warnings: Vec<String>,
}
