//! Apple HFS+ and HFSX: recognised only.
//!
//! Source: Apple Technical Note TN1150, "Volume Header".

use std::io;

use super::format::Format;
use super::probe::{has, read};
use super::{Filesystem, Kind, State};
use crate::bytes::{ReadAt, be16, be32};

/// Bit 8 of the volume attributes: unmounted properly.
const UNMOUNTED: u32 = 1 << 8;

/// The reader.
pub(super) struct HfsPlus;

impl Format for HfsPlus {
    fn probe(&self, volume: &dyn ReadAt) -> io::Result<Option<Filesystem>> {
        Ok(read(volume, 1024, 512)?.and_then(|header| parse(&header)))
    }
}

fn parse(header: &[u8]) -> Option<Filesystem> {
    let version = be16(header, 2)?;
    let block_size = be32(header, 40)?;
    let sane = (has(header, 0, b"H+") && version == 4 || has(header, 0, b"HX") && version == 5)
        && block_size.is_power_of_two()
        && block_size >= 512;
    if !sane {
        return None;
    }
    let (total, free) = (u64::from(be32(header, 44)?), u64::from(be32(header, 48)?));
    Some(Filesystem {
        kind: Kind::HfsPlus,
        label: None,
        uuid: None,
        size: total.checked_mul(block_size.into())?,
        block_size,
        used: total.checked_sub(free).and_then(|used| used.checked_mul(block_size.into())),
        state: if be32(header, 4)? & UNMOUNTED == 0 {
            State::Dirty("not marked as unmounted".into())
        } else {
            State::Clean
        },
    })
}
