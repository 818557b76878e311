//! exFAT: recognised only.
//!
//! Source: Microsoft, "exFAT file system specification", §3.1 (boot sector), §7.3 (volume label).

use std::io;

use super::format::Format;
use super::probe::{byte, has, read};
use super::{Filesystem, Kind, State, text};
use crate::bytes::{ReadAt, le16, le32, le64, slice};

/// `VolumeDirty` of `VolumeFlags`, §3.1.13.2.
const VOLUME_DIRTY: u16 = 2;

/// The reader.
pub(super) struct ExFat;

impl Format for ExFat {
    fn probe(&self, volume: &dyn ReadAt) -> io::Result<Option<Filesystem>> {
        let Some(sector) = read(volume, 0, 512)? else { return Ok(None) };
        let Some((mut filesystem, root)) = parse(&sector) else { return Ok(None) };
        if let Some(entries) = read(volume, root, 4096)? {
            filesystem.label = label(&entries);
        }
        Ok(Some(filesystem))
    }
}

/// The filesystem without its label, and the byte at which its root directory starts.
fn parse(sector: &[u8]) -> Option<(Filesystem, u64)> {
    let (sector_shift, cluster_shift) = (byte(sector, 108)?, byte(sector, 109)?);
    let sane = has(sector, 3, b"EXFAT   ")
        && (9..=12).contains(&sector_shift)
        && cluster_shift <= 25u8.checked_sub(sector_shift)?;
    if !sane {
        return None;
    }
    let sectors_to_bytes = |sectors: u64| sectors.checked_mul(1 << sector_shift);
    let block_size = 1u32.checked_shl(sector_shift.checked_add(cluster_shift)?.into())?;
    let root_cluster = u64::from(le32(sector, 96)?).checked_sub(2)?;
    let root = root_cluster
        .checked_mul(block_size.into())?
        .checked_add(sectors_to_bytes(le32(sector, 88)?.into())?)?;
    let percent = u64::from(byte(sector, 112)?);
    let heap = u64::from(le32(sector, 92)?).checked_mul(block_size.into())?;
    let filesystem = Filesystem {
        kind: Kind::ExFat,
        label: None,
        uuid: Some(text::serial32(le32(sector, 100)?)),
        size: sectors_to_bytes(le64(sector, 72)?)?,
        block_size,
        used: if percent <= 100 { (heap / 100).checked_mul(percent) } else { None },
        state: if le16(sector, 106)? & VOLUME_DIRTY == 0 {
            State::Clean
        } else {
            State::Dirty("marked dirty".into())
        },
    };
    Some((filesystem, root))
}

/// The volume label entry (type 0x83) in the first bytes of the root directory.
fn label(entries: &[u8]) -> Option<String> {
    let entry = entries
        .chunks_exact(32)
        .take_while(|entry| byte(entry, 0) != Some(0))
        .find(|entry| byte(entry, 0) == Some(0x83))?;
    let units = usize::from(byte(entry, 1)?).min(11);
    text::label_utf16(slice(entry, 2, units.checked_mul(2)?)?)
}
