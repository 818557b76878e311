//! Microsoft ReFS: recognised only.
//!
//! Source: libfsrefs, "Resilient File System (ReFS) format", "Volume header".

use std::io;

use crate::bytes::{ReadAt, le32, le64};
use crate::volume::probe::{has, read};
use crate::volume::{Filesystem, Format, Kind, State};

/// The reader.
pub(crate) struct ReFs;

impl Format for ReFs {
    fn probe(&self, volume: &dyn ReadAt) -> io::Result<Option<Filesystem>> {
        Ok(read(volume, 0, 512)?.and_then(|sector| parse(&sector)))
    }
}

fn parse(sector: &[u8]) -> Option<Filesystem> {
    if !has(sector, 0, b"\0\0\0ReFS\0") {
        return None;
    }
    let bytes_per_sector = le32(sector, 32)?;
    Some(Filesystem {
        kind: Kind::ReFs,
        label: None,
        uuid: Some(format!("{:016X}", le64(sector, 56)?)),
        size: le64(sector, 24)?.checked_mul(bytes_per_sector.into())?,
        block_size: bytes_per_sector.checked_mul(le32(sector, 36)?)?,
        used: None,
        last_use: None,
        state: State::Unknown,
    })
}
