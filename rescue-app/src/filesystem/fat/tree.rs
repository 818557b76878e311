//! The tree of directories, held against an allocation table of which there is no second copy.

use super::boot_sector::BootSector;
use super::directory;
use super::table::Chains;
use crate::bytes::ReadAt;
use crate::volume::Doubt;

/// More folders than this are not remembered.
const MOST_FOLDERS: usize = 1 << 20;

/// Clusters that belong to a file that was seen.
struct Claims<'a> {
    chains: Chains<'a>,
    boot: &'a BootSector,
    /// A bit for each cluster.
    taken: Vec<u8>,
}

/// Fails unless every file and folder has a chain that is long enough, comes to an end, and is its
/// alone: an entry that fell out of the table, or is another's, shows there.
pub(super) fn check(volume: &dyn ReadAt, boot: &BootSector) -> Result<(), Doubt> {
    let bytes = usize::try_from(boot.clusters.div_ceil(8)).unwrap_or(0);
    let mut claims = Claims { chains: Chains::new(volume, boot)?, boot, taken: vec![0; bytes] };
    let root = directory::root(boot);
    root.map_or(Ok(()), |root| claims.claim(root, 0))?;
    let mut folders = vec![root];
    while let Some(folder) = folders.pop() {
        let content = directory::read(volume, boot, &mut claims.chains, folder);
        for entry in directory::entries(directory::until_end(&content.bytes), boot.kind) {
            if entry.cluster == 0 && entry.size == 0 && !entry.is_folder {
                continue;
            }
            claims.claim(entry.cluster, entry.size)?;
            folders.extend(entry.is_folder.then_some(Some(entry.cluster)));
        }
        if folders.len() > MOST_FOLDERS {
            let words = "its folders are too many to hold its only allocation table against them";
            return Err(Doubt::because(words));
        }
    }
    Ok(())
}

impl Claims<'_> {
    /// Claims the chain of what is `size` bytes large, or of unknown size (0).
    fn claim(&mut self, first: u32, size: u32) -> Result<(), Doubt> {
        let unit = u64::from(self.boot.cluster_size);
        let (mut len, mut shared) = (0u64, false);
        let taken = &mut self.taken;
        let ended = self.chains.follow(first, |cluster| {
            len = len.saturating_add(unit);
            shared = !take(taken, cluster);
            !shared
        });
        if shared {
            let words = format!("the chain from cluster {first} leads into another one");
            return Err(Doubt::because(words));
        }
        if !ended || len < size.into() {
            return Err(Doubt::because(format!("the chain from cluster {first} is cut short")));
        }
        Ok(())
    }
}

/// Whether nobody had the cluster before.
fn take(taken: &mut [u8], cluster: u32) -> bool {
    let byte = usize::try_from(cluster / 8).ok().and_then(|at| taken.get_mut(at));
    let Some(byte) = byte else { return false };
    let bit = 1u8 << (cluster % 8);
    let is_free = *byte & bit == 0;
    *byte |= bit;
    is_free
}
