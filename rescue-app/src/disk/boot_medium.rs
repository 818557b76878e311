//! Telling the stick or disc that the running system was started from.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::attributes::text;

/// Kernel command line parameter that the boot medium's boot loader passes: its volume id.
pub const PARAMETER: &str = "lifeboat.medium=";

/// The file that the medium's programs are mounted from (`initramfs/init`): memory, no disk.
const PROGRAMS: &str = "/system/usr.squashfs";

/// Byte offset and length of the volume identifier in the primary volume descriptor, which lies
/// in sector 16 of 2048 bytes (ECMA-119, 8.4.8).
const VOLUME_ID: u64 = 16 * 2048 + 40;
const VOLUME_ID_LEN: usize = 32;

/// The volume id that the kernel command line names; `None` when the system was not started from
/// our medium.
pub(super) fn marker(proc: &Path) -> Option<String> {
    let line = fs::read_to_string(proc.join("cmdline")).ok()?;
    let id = line.split_ascii_whitespace().find_map(|word| word.strip_prefix(PARAMETER))?;
    (!id.is_empty()).then(|| id.to_owned())
}

/// Whether the block device that sysfs describes at `dir` is the loop device under the running
/// medium's own programs.
pub(super) fn is_own_programs(dir: &Path) -> bool {
    text(dir, "loop/backing_file").as_deref() == Some(PROGRAMS)
}

/// Whether an ISO 9660 filesystem of that volume id starts at the beginning of the device.
pub(super) fn is_on(device: &Path, volume_id: &str) -> bool {
    let Ok(file) = File::open(device) else { return false };
    let mut found = [0; VOLUME_ID_LEN];
    file.read_exact_at(&mut found, VOLUME_ID).is_ok()
        && String::from_utf8_lossy(&found).trim_end() == volume_id
}
