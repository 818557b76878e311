//! `$LogFile`: whether the journal was closed.
//!
//! Source: ntfs-3g `include/ntfs-3g/logfile.h`, `libntfs-3g/logfile.c`.

use super::master::Master;
use super::record::{fix_up, kind};
use crate::bytes::{le16, le32, le64};
use crate::filesystem::format::Doubt;

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
