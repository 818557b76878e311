//! The boot sector: where the metadata are.
//!
//! Source: libbde, "Volume header".

use crate::bytes::{le16, le64};
use crate::volume::Doubt;
use crate::volume::probe::{has, piece};

/// 4967d63b-2e29-4ad8-8399-f6a339e3d001: an encrypted volume.
const ENCRYPTED: [u8; 16] = [
    0x3b, 0xd6, 0x67, 0x49, 0x29, 0x2e, 0xd8, 0x4a, 0x83, 0x99, 0xf6, 0xa3, 0x39, 0xe3, 0xd0, 0x01,
];
/// 92a84d3b-dd80-4d0e-9e4e-b1e3284eaed8: one that encrypts what is written, and nothing before.
const ON_WRITE: [u8; 16] = [
    0x3b, 0x4d, 0xa8, 0x92, 0x80, 0xdd, 0x0e, 0x4d, 0x9e, 0x4e, 0xb1, 0xe3, 0x28, 0x4e, 0xae, 0xd8,
];
/// Place of the identifier, bytes; in the FAT-like boot sector of BitLocker To Go.
const FIXED: usize = 160;
const TO_GO: usize = 424;

/// Where the identifier is, if this is a boot sector of BitLocker.
pub(super) fn place(sector: &[u8]) -> Option<usize> {
    let to_go = has(sector, 3, b"MSWIN4.1") && has(sector, TO_GO, &ENCRYPTED);
    let fixed = has(sector, 3, b"-FVE-FS-");
    fixed.then_some(FIXED).or_else(|| to_go.then_some(TO_GO))
}

/// What the boot sector says.
pub(super) struct Boot {
    /// Bytes that are encrypted as one.
    pub(super) sector_size: u64,
    /// First bytes of the copies of the metadata.
    pub(super) copies: [u64; 3],
    /// Whether it encrypts only what is written to it, and has not finished.
    pub(super) on_write: bool,
}

impl Boot {
    /// Reads the first 512 bytes of a volume.
    pub(super) fn parse(sector: &[u8]) -> Result<Self, Doubt> {
        let at = place(sector).ok_or_else(|| Doubt::because("it is no BitLocker volume"))?;
        if has(sector, 0, &[0xeb, 0x52, 0x90]) {
            return Err(Doubt::because(
                "it was encrypted by Windows Vista, which is not supported",
            ));
        }
        let sector_size = match le16(sector, 11) {
            Some(size @ (512 | 4096)) => u64::from(size),
            _ => return Err(Doubt::because("its sectors have a size that is not known")),
        };
        let on_write = match piece::<16>(sector, at) {
            Some(ENCRYPTED) => false,
            Some(ON_WRITE) => true,
            _ => return Err(Doubt::because("its identifier is not known")),
        };
        let offset = |slot: usize| le64(sector, at.checked_add(16)?.checked_add(slot)?);
        let copies = (offset(0), offset(8), offset(16));
        let (Some(first), Some(second), Some(third)) = copies else {
            return Err(Doubt::because("its boot sector is cut short"));
        };
        Ok(Self { sector_size, copies: [first, second, third], on_write })
    }
}
