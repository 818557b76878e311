//! The boot sector: geometry of the volume.

use crate::bytes::{le16, le64};
use crate::volume::probe::{byte, has};

/// The geometry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BootSector {
    /// Bytes of a sector.
    pub(super) sector_size: u32,
    /// Bytes of a cluster: 512 to 2 MiB.
    pub(super) cluster_size: u32,
    /// Bytes of the volume, from the start of the boot sector to the end of its backup.
    pub(super) size: u64,
    /// First cluster of `$MFT`.
    pub(super) mft: u64,
    /// First cluster of `$MFTMirr`.
    pub(super) mft_mirror: u64,
    /// Bytes of a file record.
    pub(super) record_size: u32,
    /// Volume serial number.
    pub(super) serial: u64,
}

impl BootSector {
    /// Reads the first 512 bytes; `None` when this is no NTFS or its geometry makes no sense.
    pub(super) fn parse(sector: &[u8]) -> Option<Self> {
        let sector_size = u32::from(le16(sector, 11)?);
        let sane = has(sector, 3, b"NTFS    ")
            && sector_size.is_power_of_two()
            && (256..=4096).contains(&sector_size);
        if !sane {
            return None;
        }
        let cluster_size = scaled(byte(sector, 13)?, sector_size)?;
        let record_size = record_size(byte(sector, 64)?, cluster_size)?;
        let sane = (512..=1 << 21).contains(&cluster_size)
            && cluster_size.is_power_of_two()
            && (512..=1 << 16).contains(&record_size)
            && record_size.is_power_of_two();
        // The sector count leaves out the backup boot sector behind the last cluster.
        let sectors = le64(sector, 40)?;
        let size = sectors.checked_add(1)?.checked_mul(sector_size.into())?;
        let found = Self {
            sector_size,
            cluster_size,
            size,
            mft: le64(sector, 48)?,
            mft_mirror: le64(sector, 56)?,
            record_size,
            serial: le64(sector, 72)?,
        };
        (sane && sectors != 0).then_some(found)
    }

    /// Clusters of the volume: bits of `$Bitmap` that mean something.
    pub(super) fn clusters(&self) -> u64 {
        let sized = self.size.saturating_sub(self.sector_size.into());
        sized.checked_div(self.cluster_size.into()).unwrap_or(0)
    }
}

/// Sectors per cluster: a count up to 128, above that 256 − v is the exponent of two.
fn scaled(sectors: u8, sector_size: u32) -> Option<u32> {
    if sectors <= 128 {
        sector_size.checked_mul(sectors.into())
    } else {
        let shift = 256u32.checked_sub(sectors.into())?;
        sector_size.checked_mul(1u32.checked_shl(shift)?)
    }
}

/// A count of clusters, or, when negative, −log₂ of the bytes.
fn record_size(value: u8, cluster_size: u32) -> Option<u32> {
    match i8::from_le_bytes([value]) {
        clusters @ 1.. => cluster_size.checked_mul(u32::from(clusters.unsigned_abs())),
        exponent => 1u32.checked_shl(u32::from(exponent.unsigned_abs())),
    }
}
