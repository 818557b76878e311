//! Hibernation and Fast Startup: `hiberfil.sys` in the root directory.
//!
//! Source: ntfs-3g `libntfs-3g/volume.c` (`ntfs_volume_check_hiberfile`).

use super::directory::{self, ROOT};
use super::master::Master;
use super::record::kind;
use crate::volume::Doubt;

/// The file looked for.
const NAME: &str = "hiberfil.sys";

/// Whether a Windows that is not shut down keeps this volume's state in its hibernation file.
pub(super) fn is_hibernated(master: &Master<'_>) -> Result<bool, Doubt> {
    let Some(file) = directory::find(master, ROOT, NAME)? else { return Ok(false) };
    let record = master.record(file)?;
    let Some(data) = record.find(kind::DATA, &[]) else { return Ok(false) };
    let mut start = [0; 4];
    if let Some(value) = data.value() {
        start.iter_mut().zip(value).for_each(|(to, from)| *to = *from);
    } else {
        let stream = master.stream(file, kind::DATA, &[])?;
        if stream.size >= 4 {
            let read = master.read(&stream, 0, &mut start);
            read.map_err(Doubt::reading("the start of hiberfil.sys"))?;
        }
    }
    // A resumed Windows overwrites the start: with zeros, or with "wake" in old versions.
    Ok(matches!(&start.to_ascii_lowercase()[..], b"hibr" | b"rstr"))
}
