//! What `mkfs.xfs` has to be told to make a filesystem like another one, of another size.
//!
//! Sources: mkfs.xfs(8); Linux `fs/xfs/libxfs/xfs_format.h`, `struct xfs_dsb` and `XFS_SB_FEAT_*`.

use super::feature::{features2, incompat, ro_compat, version};
use super::superblock::{self, Superblock};
use crate::bytes::{ReadAt, be16};
use crate::volume::probe::byte;
use crate::volume::{Doubt, text};

/// `sb_qflags` and `sb_imax_pct` in the superblock.
const QUOTA: usize = 176;
const INODE_SHARE: usize = 127;
/// mkfs.xfs makes none smaller, bytes (xfsprogs 5.19 and later).
const LEAST: u64 = 300 << 20;
/// The least log of that one, bytes.
const LEAST_LOG: u64 = 64 << 20;
/// What the kernel keeps back for itself, bytes: 8192 blocks at most (`xfs_default_resblks`).
const KEPT_BACK: u64 = 32 << 20;

/// A filesystem like another one.
pub(crate) struct Recipe {
    /// What mkfs.xfs is called with, besides the device.
    pub(crate) options: Vec<String>,
    /// Whether quotas are kept, whose limits no copy of the files has.
    pub(crate) has_quotas: bool,
}

/// How to make one like the one in a volume.
///
/// # Errors
/// When there is none, or one with a part on another device.
pub(crate) fn recipe(volume: &dyn ReadAt) -> Result<Recipe, Doubt> {
    let found = super::superblock(volume)?;
    if found.log_start == 0 || found.realtime_blocks != 0 {
        return Err(Doubt::because("its log or a realtime section is on another device"));
    }
    let sector = volume.read_vec(0, superblock::LEN).map_err(Doubt::reading("the superblock"))?;
    let share = byte(&sector, INODE_SHARE).unwrap_or_default();
    let mut options = vec!["-q".to_owned(), "-f".to_owned(), "-K".to_owned()];
    let mut add = |letter: &str, words: String| options.extend([letter.to_owned(), words]);
    add("-b", format!("size={}", found.block_size));
    add("-s", format!("size={}", found.sector_size));
    // Stripes were those of the other disk, and need a log that a small one has no room for.
    add("-d", "noalign".to_owned());
    add("-m", metadata(&found));
    add("-i", inodes(&found, share));
    add("-n", names(&found));
    if let Some(label) = found.label() {
        add("-L", label.to_owned());
    }
    let has_quotas = be16(&sector, QUOTA).is_some_and(|flags| flags != 0);
    Ok(Recipe { options, has_quotas })
}

fn metadata(found: &Superblock) -> String {
    let uuid = text::uuid(found.uuid()).unwrap_or_default();
    if !found.has_checksums() {
        return format!("crc=0,uuid={uuid}");
    }
    let has = |bit: u32| u8::from(found.ro_compat & bit != 0);
    format!(
        "crc=1,uuid={uuid},finobt={},rmapbt={},reflink={},inobtcount={},bigtime={}",
        has(ro_compat::FREE_INODES),
        has(ro_compat::REVERSE_MAP),
        has(ro_compat::REFLINK),
        has(ro_compat::INODE_COUNTS),
        u8::from(found.incompat & incompat::BIG_TIME != 0),
    )
}

/// What only newer ones of mkfs.xfs know is said where it is wanted; they do not do it by themselves.
fn inodes(found: &Superblock, share: u8) -> String {
    let mut words = format!("size={},maxpct={share}", found.inode_size);
    if found.has_checksums() {
        let has = |bit: u32| u8::from(found.incompat & bit != 0);
        words += &format!(",sparse={}", has(incompat::SPARSE_INODES));
        words += &format!(",nrext64={}", has(incompat::LARGE_COUNTS));
        if has(incompat::EXCHANGE_RANGE) == 1 {
            words += ",exchange=1";
        }
    } else {
        let wide = u8::from(found.features2 & features2::WIDE_PROJECT_IDS != 0);
        words += &format!(",projid32bit={wide}");
    }
    words
}

fn names(found: &Superblock) -> String {
    let mut words =
        format!("size={}", found.directory_block_size().unwrap_or_else(|| found.block_size.into()));
    if !found.has_checksums() {
        words += &format!(",ftype={}", u8::from(found.has_file_types()));
    }
    if found.version & version::ASCII_CASE != 0 {
        words += ",version=ci";
    }
    if found.incompat & incompat::PARENTS != 0 {
        words += ",parent=1";
    }
    words
}

/// Features that a filesystem has and the one it was made like has not: older kernels and boot loaders may
/// not read it.
pub(crate) fn has_more_features(made: &dyn ReadAt, like: &dyn ReadAt) -> Result<bool, Doubt> {
    let (made, like) = (super::superblock(made)?, super::superblock(like)?);
    // needsrepair and another identity for metadata are no matter of what a reader has to know.
    let known = like.incompat | incompat::META_UUID;
    Ok(made.version_number() != like.version_number()
        || made.ro_compat & !like.ro_compat != 0
        || made.incompat & !known != 0)
}

/// Bytes that a filesystem with the files of this one needs, of which `used` bytes are used. What several files
/// share counts once.
pub(super) fn least_size(found: &Superblock, used: u64) -> u64 {
    let log = u64::from(found.log_blocks).saturating_mul(found.block_size.into());
    let files = used.saturating_sub(log);
    // A group keeps blocks back for each of these trees (`xfs_ag_resv_init`): up to a fiftieth of all.
    let trees = ro_compat::REVERSE_MAP | ro_compat::REFLINK;
    let trees = if found.ro_compat & trees != 0 { files.div_ceil(40) } else { 0 };
    let sum = [files.div_ceil(32), trees, LEAST_LOG, KEPT_BACK];
    sum.iter().fold(files, |all, part| all.saturating_add(*part)).max(LEAST)
}
