//! The superblock: geometry, features, identity.
//!
//! Source: Linux `fs/xfs/libxfs/xfs_format.h`, `struct xfs_dsb`; numbers are big-endian.

use super::checksum;
use super::feature::{features2, incompat, version};
use crate::bytes::{be16, be32, be64, slice};
use crate::volume::probe::{byte, has, piece};
use crate::volume::{Filesystem, Kind, State, text};

/// Bytes that hold all fields.
pub(super) const LEN: usize = 512;
/// `XFS_MAX_BLOCKSIZE`, for blocks of directories too, bytes.
const LARGEST_DIRECTORY_BLOCK: u64 = 64 << 10;
/// Byte of `sb_crc`.
const CHECKSUM: usize = 224;

/// What the map needs from the superblock, with the names of `struct xfs_dsb`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Superblock {
    /// Bytes of a block.
    pub(super) block_size: u32,
    /// Blocks of the filesystem.
    pub(super) blocks: u64,
    /// Blocks of the realtime section.
    pub(super) realtime_blocks: u64,
    /// First block of the log: group above `ag_block_log` bits, block in the group below. 0 when
    /// the log lies on another device.
    pub(super) log_start: u64,
    /// Blocks of the log.
    pub(super) log_blocks: u32,
    /// Blocks of an allocation group; the last one may have fewer.
    pub(super) ag_blocks: u32,
    /// Allocation groups.
    pub(super) ag_count: u32,
    /// Bits of a block number inside a group.
    pub(super) ag_block_log: u8,
    /// Bytes of a sector, the unit of the structures at the start of a group.
    pub(super) sector_size: u16,
    /// `sb_versionnum`.
    pub(super) version: u16,
    /// `sb_features2`; 0 where there is no such field.
    pub(super) features2: u32,
    /// Compatible features.
    pub(super) compat: u32,
    /// Read-only compatible features.
    pub(super) ro_compat: u32,
    /// Incompatible features.
    pub(super) incompat: u32,
    /// Incompatible features of the log's content.
    pub(super) log_incompat: u32,
    /// mkfs has not finished.
    pub(super) in_progress: bool,
    /// Free blocks by its own count.
    pub(super) free_blocks: u64,
    /// Number of the root directory's inode.
    pub(super) root_inode: u64,
    /// Bytes of an inode.
    pub(super) inode_size: u16,
    /// Bits of the index of an inode in a block.
    pub(super) inodes_per_block_log: u8,
    /// Bits of the index of a block in a directory's block.
    directory_block_log: u8,
    /// The identity that metadata blocks carry.
    pub(super) metadata_uuid: [u8; 16],
    uuid: [u8; 16],
    label: Option<String>,
}

impl Superblock {
    /// Reads the fields; `None` when this is no XFS superblock.
    pub(super) fn parse(sector: &[u8]) -> Option<Self> {
        let block_size = be32(sector, 4)?;
        let sane = has(sector, 0, b"XFSB")
            && block_size.is_power_of_two()
            && (512..=65536).contains(&block_size);
        if !sane {
            return None;
        }
        let version = be16(sector, 100)?;
        let more = version & version::MORE != 0;
        let v5 = |at: usize| if number(version) == 5 { be32(sector, at) } else { Some(0) };
        let incompat = v5(216)?;
        let own_uuid = piece(sector, 32)?;
        let metadata_uuid =
            if incompat & incompat::META_UUID != 0 { piece(sector, 248)? } else { own_uuid };
        let found = Self {
            block_size,
            blocks: be64(sector, 8)?,
            realtime_blocks: be64(sector, 16)?,
            log_start: be64(sector, 48)?,
            log_blocks: be32(sector, 96)?,
            ag_blocks: be32(sector, 84)?,
            ag_count: be32(sector, 88)?,
            ag_block_log: byte(sector, 124)?,
            sector_size: be16(sector, 102)?,
            version,
            // Some kernels put the field four bytes further down (`sb_bad_features2`).
            features2: if more { be32(sector, 200)? | be32(sector, 204)? } else { 0 },
            compat: v5(208)?,
            ro_compat: v5(212)?,
            incompat,
            log_incompat: v5(220)?,
            in_progress: byte(sector, 126)? != 0,
            free_blocks: be64(sector, 144)?,
            root_inode: be64(sector, 56)?,
            inode_size: be16(sector, 104)?,
            inodes_per_block_log: byte(sector, 123)?,
            directory_block_log: byte(sector, 192)?,
            metadata_uuid,
            uuid: own_uuid,
            label: text::label(slice(sector, 108, 12)?),
        };
        found.size().map(|_| found)
    }

    /// Version of the format: 4, or 5 with checksums.
    pub(super) fn version_number(&self) -> u16 {
        number(self.version)
    }

    /// Whether metadata carries checksums and says what it is (version 5).
    pub(super) fn has_checksums(&self) -> bool {
        self.version_number() == 5
    }

    /// Whether directory entries carry the type of what they name.
    pub(super) fn has_file_types(&self) -> bool {
        self.incompat & incompat::FILE_TYPES != 0 || self.features2 & features2::FILE_TYPES != 0
    }

    /// Bytes of a block of a directory; `None` when that makes no sense.
    pub(super) fn directory_block_size(&self) -> Option<u64> {
        let size = u64::from(self.block_size).checked_shl(self.directory_block_log.into())?;
        (self.block_size.into()..=LARGEST_DIRECTORY_BLOCK).contains(&size).then_some(size)
    }

    /// Whether the sector that it was read from carries the right checksum, if it has any.
    pub(super) fn is_intact(&self, sector: &[u8]) -> bool {
        !self.has_checksums() || checksum::is_intact(sector, CHECKSUM)
    }

    /// The identity that people and boot loaders know it by.
    pub(super) fn uuid(&self) -> [u8; 16] {
        self.uuid
    }

    /// The label, if it has one.
    pub(super) fn label(&self) -> Option<&str> {
        self.label.as_deref()
    }

    /// Bytes the filesystem covers.
    pub(super) fn size(&self) -> Option<u64> {
        self.blocks.checked_mul(self.block_size.into())
    }

    /// What all copies of the superblock agree about, whatever happened since mkfs or the last
    /// growth.
    pub(super) fn geometry(&self) -> [u64; 8] {
        [
            self.block_size.into(),
            self.blocks,
            self.log_start,
            self.log_blocks.into(),
            self.ag_blocks.into(),
            self.ag_count.into(),
            self.ag_block_log.into(),
            self.sector_size.into(),
        ]
    }

    /// The common description.
    pub(super) fn describe(&self) -> Filesystem {
        let used = self.blocks.checked_sub(self.free_blocks);
        Filesystem {
            kind: Kind::Xfs,
            label: self.label.clone(),
            uuid: text::uuid(self.uuid),
            size: self.size().unwrap_or(0),
            block_size: self.block_size,
            used: used.and_then(|used| used.checked_mul(self.block_size.into())),
            last_use: None,
            state: State::Unknown,
        }
    }
}

fn number(version: u16) -> u16 {
    version & 0xf
}
