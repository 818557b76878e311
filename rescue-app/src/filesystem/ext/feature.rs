//! Features by the names that `tune2fs` gives them.
//!
//! Source: Linux `fs/ext4/ext4.h`, `EXT4_FEATURE_*`. A feature outside `KNOWN` may change what a
//! bitmap means, so it ends in the whole volume being captured.

/// Compatible features.
pub(super) mod compat {
    pub(in crate::filesystem::ext) const HAS_JOURNAL: u32 = 0x4;
    pub(in crate::filesystem::ext) const RESIZE_INODE: u32 = 0x10;
    pub(in crate::filesystem::ext) const SPARSE_SUPER2: u32 = 0x200;
    pub(in crate::filesystem::ext) const STABLE_INODES: u32 = 0x800;
    /// dir_prealloc, imagic_inodes, has_journal, ext_attr, resize_inode, dir_index,
    /// sparse_super2, fast_commit, stable_inodes, orphan_file.
    pub(in crate::filesystem::ext) const KNOWN: u32 = 0x1e3f;
}
/// Features without which the filesystem must not be mounted.
pub(super) mod incompat {
    pub(in crate::filesystem::ext) const NEEDS_RECOVERY: u32 = 0x4;
    pub(in crate::filesystem::ext) const JOURNAL_DEV: u32 = 0x8;
    pub(in crate::filesystem::ext) const META_BG: u32 = 0x10;
    pub(in crate::filesystem::ext) const EXTENTS: u32 = 0x40;
    pub(in crate::filesystem::ext) const BIT64: u32 = 0x80;
    pub(in crate::filesystem::ext) const FLEX_BG: u32 = 0x200;
    pub(in crate::filesystem::ext) const CSUM_SEED: u32 = 0x2000;
    pub(in crate::filesystem::ext) const CASEFOLD: u32 = 0x20000;
    /// filetype, needs_recovery, meta_bg, extent, 64bit, mmp, flex_bg, ea_inode, dirdata,
    /// metadata_csum_seed, large_dir, inline_data, encrypt, casefold.
    pub(in crate::filesystem::ext) const KNOWN: u32 = 0x3f7d6;
    /// What ext3 knew; anything else makes it an ext4.
    pub(in crate::filesystem::ext) const EXT3: u32 = 0x2 | 0x4 | 0x10;
}
/// Features without which the filesystem must not be written.
pub(super) mod ro_compat {
    pub(in crate::filesystem::ext) const SPARSE_SUPER: u32 = 0x1;
    pub(in crate::filesystem::ext) const GDT_CSUM: u32 = 0x10;
    pub(in crate::filesystem::ext) const BIGALLOC: u32 = 0x200;
    pub(in crate::filesystem::ext) const METADATA_CSUM: u32 = 0x400;
    /// sparse_super, large_file, btree_dir, huge_file, uninit_bg, dir_nlink, extra_isize,
    /// quota, bigalloc, metadata_csum, read-only, project, shared_blocks, verity,
    /// orphan_present.
    pub(in crate::filesystem::ext) const KNOWN: u32 = 0x1f77f;
    /// What ext3 knew; anything else makes it an ext4.
    pub(in crate::filesystem::ext) const EXT3: u32 = 0x1 | 0x2 | 0x4;
}
