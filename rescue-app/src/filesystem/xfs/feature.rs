//! Features, by the names that `xfs_info` and `xfs_db version` give them.
//!
//! Source: Linux `fs/xfs/libxfs/xfs_format.h`, `XFS_SB_VERSION_*` and `XFS_SB_FEAT_*`. A feature
//! outside `KNOWN` may change what a free-space record means, so it ends in the whole volume
//! being captured.

/// `sb_versionnum` above its lowest four bits.
pub(super) mod version {
    pub(in crate::filesystem::xfs) const LOG_V2: u16 = 0x400;
    pub(in crate::filesystem::xfs) const ASCII_CASE: u16 = 0x4000;
    pub(in crate::filesystem::xfs) const MORE: u16 = 0x8000;
    /// attr, nlink, quota, align, dalign, logv2, sector, extflg, dirv2, asciici, morebits; not
    /// shared (0x200), which no Linux ever mounted.
    pub(in crate::filesystem::xfs) const KNOWN: u16 =
        0x10 | 0x20 | 0x40 | 0x80 | 0x100 | 0x400 | 0x800 | 0x1000 | 0x2000 | 0x4000 | 0x8000;
}
/// `sb_features2`.
pub(super) mod features2 {
    pub(in crate::filesystem::xfs) const WIDE_PROJECT_IDS: u32 = 0x80;
    pub(in crate::filesystem::xfs) const FILE_TYPES: u32 = 0x200;
    /// lazysbcount, attr2, projid32bit, crc, ftype.
    pub(in crate::filesystem::xfs) const KNOWN: u32 = 0x2 | 0x8 | 0x80 | 0x100 | 0x200;
}
/// Features without which the filesystem must not be written (version 5).
pub(super) mod ro_compat {
    /// finobt.
    pub(in crate::filesystem::xfs) const FREE_INODES: u32 = 0x1;
    /// rmapbt.
    pub(in crate::filesystem::xfs) const REVERSE_MAP: u32 = 0x2;
    pub(in crate::filesystem::xfs) const REFLINK: u32 = 0x4;
    /// inobtcount.
    pub(in crate::filesystem::xfs) const INODE_COUNTS: u32 = 0x8;
    pub(in crate::filesystem::xfs) const KNOWN: u32 =
        FREE_INODES | REVERSE_MAP | REFLINK | INODE_COUNTS;
}
/// Features without which the filesystem must not be mounted (version 5).
pub(super) mod incompat {
    pub(in crate::filesystem::xfs) const FILE_TYPES: u32 = 0x1;
    pub(in crate::filesystem::xfs) const SPARSE_INODES: u32 = 0x2;
    pub(in crate::filesystem::xfs) const META_UUID: u32 = 0x4;
    pub(in crate::filesystem::xfs) const BIG_TIME: u32 = 0x8;
    pub(in crate::filesystem::xfs) const NEEDS_REPAIR: u32 = 0x10;
    /// nrext64.
    pub(in crate::filesystem::xfs) const LARGE_COUNTS: u32 = 0x20;
    /// exchange.
    pub(in crate::filesystem::xfs) const EXCHANGE_RANGE: u32 = 0x40;
    /// parent.
    pub(in crate::filesystem::xfs) const PARENTS: u32 = 0x80;
    /// Metadata directories, and the realtime groups and zones that build on them, are not known.
    pub(in crate::filesystem::xfs) const KNOWN: u32 = FILE_TYPES
        | SPARSE_INODES
        | META_UUID
        | BIG_TIME
        | NEEDS_REPAIR
        | LARGE_COUNTS
        | EXCHANGE_RANGE
        | PARENTS;
}
/// Features of what the log holds (version 5).
pub(super) mod log_incompat {
    /// Logged extended attributes.
    pub(in crate::filesystem::xfs) const KNOWN: u32 = 0x1;
}
