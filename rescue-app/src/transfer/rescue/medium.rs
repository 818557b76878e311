//! How a source is asked for bytes.

use std::io;
use std::sync::OnceLock;

use crate::bytes::ReadAt;
use crate::disk::{DirectSource, ShortTimeout, Source};

/// A disk that may be failing.
pub(crate) trait Medium: Sync {
    /// Size in bytes.
    fn size(&self) -> u64;

    /// Fills `buf` from byte `offset` the fast way, which may fail because of a neighbour.
    fn read(&self, offset: u64, buf: &mut [u8]) -> io::Result<()>;

    /// Fills `buf` from byte `offset`; fails only because of sectors that `buf` asks for.
    fn read_exactly(&self, offset: u64, buf: &mut [u8]) -> io::Result<()>;

    /// Whether the disk is no longer there.
    fn is_gone(&self) -> bool;
}

/// A disk or image file.
pub(crate) struct DiskMedium<'a> {
    source: &'a Source,
    sector: u32,
    /// Once something failed.
    failing: OnceLock<Failing>,
}

/// A disk that has failed.
struct Failing {
    /// The way around the page cache, where there is one.
    direct: Option<DirectSource>,
    /// One that does not answer is not waited for as long as usual.
    _timeout: Option<ShortTimeout>,
}

impl<'a> DiskMedium<'a> {
    pub(crate) fn new(source: &'a Source, sector: u32) -> Self {
        Self { source, sector, failing: OnceLock::new() }
    }
}

impl Medium for DiskMedium<'_> {
    fn size(&self) -> u64 {
        self.source.size()
    }

    fn read(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.source.read_at(offset, buf)
    }

    /// Where the page cache cannot be gone around (an image file on a tmpfs), through it.
    fn read_exactly(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let failing = || Failing {
            direct: self.source.open_direct(self.sector),
            _timeout: self.source.shorten_timeout(),
        };
        match &self.failing.get_or_init(failing).direct {
            Some(direct) => direct.read_at(offset, buf),
            None => self.source.read_at(offset, buf),
        }
    }

    fn is_gone(&self) -> bool {
        self.source.is_gone()
    }
}
