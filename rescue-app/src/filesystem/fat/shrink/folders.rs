//! The entries of folders, which tell where files begin.

use super::super::super::moving::{go_on, unwritten};
use super::super::ENTRY;
use super::super::boot_sector::BootSector;
use super::super::directory;
use super::super::table::Chains;
use super::moves::Moves;
use crate::bytes::WriteAt;
use crate::progress::Cancel;
use crate::volume::Doubt;

/// Writes the new numbers into all folders, of a volume whose tables have them, and whose folders were followed
/// to their ends before.
pub(super) fn renumber(
    volume: &dyn WriteAt,
    boot: &BootSector,
    moves: &Moves,
    cancel: &Cancel,
) -> Result<(), Doubt> {
    let mut chains = Chains::new(volume, boot)?;
    let mut folders = vec![directory::root(boot)];
    while let Some(folder) = folders.pop() {
        go_on(cancel)?;
        let mut content = directory::read(volume, boot, &mut chains, folder);
        let end = directory::until_end(&content.bytes).len();
        let (told, behind) = content.bytes.split_at(end.min(content.bytes.len()));
        // Linux shows entries behind the end, where Windows sees none.
        if !content.is_all || behind.iter().step_by(ENTRY).any(|first| *first != 0) {
            return Err(Doubt::because("a folder cannot all be read, or goes on behind its end"));
        }
        let before = content.bytes.clone();
        for found in directory::references(told, boot.kind).collect::<Vec<_>>() {
            let now = moves.now(found.cluster);
            directory::put_first_cluster(&mut content.bytes, found.at, now, boot.kind);
            folders.extend(found.is_subfolder.then_some(Some(now)));
        }
        let mut at = 0;
        for (place, bytes) in content.pieces() {
            if before.get(at..at + bytes.len()) != Some(bytes) {
                volume.write_at(place, bytes).map_err(unwritten)?;
            }
            at += bytes.len();
        }
    }
    Ok(())
}
