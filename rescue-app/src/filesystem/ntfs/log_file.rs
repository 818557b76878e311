//! `$LogFile`: whether the journal was closed.
//!
//! Source: ntfs-3g `include/ntfs-3g/logfile.h`, `libntfs-3g/logfile.c`.

use super::master::Master;
use super::record::{fix_up, kind};
use crate::bytes::{le16, le32, le64};
use crate::volume::Doubt;

/// File record of `$LogFile`.
const RECORD: u64 = 2;
/// The log begins with two restart pages of this size, unless they say otherwise.
const PAGE: usize = 4096;
/// `LOGFILE_NO_CLIENT`: end of a list of clients.
const NO_CLIENT: u16 = 0xffff;
/// `RESTART_VOLUME_IS_CLEAN`.
const VOLUME_IS_CLEAN: u16 = 2;

/// Whether the log holds changes that may be missing elsewhere.
pub(super) fn is_open(master: &Master<'_>) -> Result<bool, Doubt> {
    let log = master.stream(RECORD, kind::DATA, &[])?;
    let mut newest: Option<(u64, bool)> = None;
    let mut empty = true;
    for page in 0..2u64 {
        let mut bytes = vec![0; PAGE];
        let at = page.saturating_mul(PAGE as u64);
        master.read(&log, at, &mut bytes).map_err(Doubt::reading("$LogFile"))?;
        empty &= bytes.iter().all(|&byte| byte == 0xff);
        let state = restart(&mut bytes);
        newest = newest.into_iter().chain(state).max_by_key(|(sequence, _)| *sequence);
    }
    match newest {
        Some((_, open)) => Ok(open),
        // Formatting and ntfs-3g empty the log by filling it with ones.
        None if empty => Ok(false),
        None => Err(Doubt::because("$LogFile has no restart page that can be read")),
    }
}

/// The sequence number of a restart page, and whether it leaves the log open.
fn restart(page: &mut [u8]) -> Option<(u64, bool)> {
    // CHKD: chkdsk has rewritten it.
    if fix_up(page, b"RSTR").is_none() {
        fix_up(page, b"CHKD")?;
    }
    if le32(page, 16)? as usize != PAGE {
        return None;
    }
    let area = page.get(usize::from(le16(page, 24)?)..)?;
    let in_use = le16(area, 12)? != NO_CLIENT;
    let clean = le16(area, 14)? & VOLUME_IS_CLEAN != 0;
    Some((le64(area, 0)?, in_use && !clean))
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
mod tests {
    use super::*;

    /// A restart page as Windows writes it: `in_use` is the first client of the list, and the
    /// sequence number of the page stands at the end of each of its sectors.
    fn page(sequence: u64, in_use: u16, flags: u16) -> Vec<u8> {
        let mut page = vec![0u8; PAGE];
        page[..4].copy_from_slice(b"RSTR");
        page[4..6].copy_from_slice(&30u16.to_le_bytes());
        page[6..8].copy_from_slice(&9u16.to_le_bytes());
        page[16..20].copy_from_slice(&4096u32.to_le_bytes());
        page[20..24].copy_from_slice(&4096u32.to_le_bytes());
        page[24..26].copy_from_slice(&48u16.to_le_bytes());
        page[48..56].copy_from_slice(&sequence.to_le_bytes());
        page[60..62].copy_from_slice(&in_use.to_le_bytes());
        page[62..64].copy_from_slice(&flags.to_le_bytes());
        page[30..32].copy_from_slice(&[7, 0]);
        page.chunks_exact_mut(512).for_each(|sector| sector[510..].copy_from_slice(&[7, 0]));
        page
    }

    #[test]
    fn a_log_is_open_while_a_client_uses_it() {
        for (in_use, flags, open) in
            [(NO_CLIENT, 0, false), (0, 0, true), (0, VOLUME_IS_CLEAN, false)]
        {
            assert_eq!(restart(&mut page(5, in_use, flags)), Some((5, open)));
        }
        let mut torn = page(5, 0, 0);
        torn[1022] = 6;
        assert_eq!(restart(&mut torn), None);
        assert_eq!(restart(&mut vec![0xff; PAGE]), None);
    }
}
