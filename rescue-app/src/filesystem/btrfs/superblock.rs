//! The superblock: identity, features, where the trees begin.
//!
//! Sources: btrfs documentation, "On-disk format"; Linux `include/uapi/linux/btrfs_tree.h`,
//! `struct btrfs_super_block`.

use super::checksum::Checksum;
use super::feature::incompat;
use crate::bytes::{ReadAt, le16, le32, le64, slice};
use crate::volume::probe::{byte, has, piece};
use crate::volume::{Doubt, Filesystem, Kind, State, text};

/// Where the superblock starts, in bytes.
pub(super) const PRIMARY: u64 = 64 << 10;
/// Where its copies start.
pub(super) const COPIES: [u64; 3] = [64 << 20, 256 << 30, 1 << 50];
/// Its length.
pub(super) const LEN: usize = 4096;

/// Block sizes that the format allows.
const BLOCK_SIZES: std::ops::RangeInclusive<u32> = 4096..=65536;

/// Byte of `sys_chunk_array` and its length.
const SYSTEM_CHUNKS: (usize, usize) = (811, 2048);

/// Where a tree begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Root {
    /// Logical address of its topmost block.
    pub(super) address: u64,
    /// Transaction that wrote that block, where it is known.
    pub(super) generation: Option<u64>,
    /// Its level; leaves have 0.
    pub(super) level: u8,
}

/// The device that carries this superblock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Device {
    /// Number within the filesystem.
    pub(super) id: u64,
    /// Bytes of it that belong to the filesystem.
    pub(super) size: u64,
    /// Its own UUID.
    pub(super) uuid: [u8; 16],
}

/// What the map needs from the superblock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Superblock {
    /// Identity of the filesystem.
    pub(super) fsid: [u8; 16],
    /// Identity as tree blocks and device items carry it.
    pub(super) metadata_uuid: [u8; 16],
    /// `BTRFS_SUPER_FLAG_…` bits.
    pub(super) flags: u64,
    /// Number of the last complete transaction.
    pub(super) generation: u64,
    /// The tree of trees.
    pub(super) root_tree: Root,
    /// The tree of chunks.
    pub(super) chunk_tree: Root,
    /// The tree of log trees, while one waits to be replayed.
    pub(super) log_tree: Option<Root>,
    /// Bytes in use by all extents of all devices, copies not counted.
    pub(super) bytes_used: u64,
    /// Devices of the filesystem.
    pub(super) devices: u64,
    /// Smallest unit of allocation, bytes.
    pub(super) sector_size: u32,
    /// Bytes of a tree block.
    pub(super) node_size: u32,
    /// Features that only allow reading to who does not know them.
    pub(super) compat_ro: u64,
    /// Features that allow nothing to who does not know them.
    pub(super) incompat: u64,
    /// How blocks are checked; `None` when it is not known.
    pub(super) checksum: Option<Checksum>,
    /// This device.
    pub(super) device: Device,
    /// Keys and items of the chunks that hold the chunk tree.
    pub(super) system_chunks: Vec<u8>,
    label: Option<String>,
}

impl Superblock {
    /// Reads the fields of one that stands at byte `place`; `None` when it is none or its sizes
    /// make no sense. Does not verify its checksum.
    pub(super) fn parse(block: &[u8], place: u64) -> Option<Self> {
        let sizes = [le32(block, 144)?, le32(block, 148)?];
        let sane = has(block, 64, b"_BHRfS_M")
            && le64(block, 48)? == place
            && sizes.iter().all(|size| size.is_power_of_two() && BLOCK_SIZES.contains(size));
        if !sane {
            return None;
        }
        let [sector_size, node_size] = sizes;
        let generation = le64(block, 72)?;
        let root = |address: usize, generation: u64, level: usize| -> Option<Root> {
            let (address, level) = (le64(block, address)?, byte(block, level)?);
            Some(Root { address, generation: Some(generation), level })
        };
        let incompat = le64(block, 188)?;
        let own_id = incompat & incompat::METADATA_UUID != 0;
        let system_chunks = usize::try_from(le32(block, 160)?).ok()?.min(SYSTEM_CHUNKS.1);
        Some(Self {
            fsid: piece(block, 32)?,
            metadata_uuid: piece(block, if own_id { 571 } else { 32 })?,
            flags: le64(block, 56)?,
            generation,
            root_tree: root(80, generation, 198)?,
            chunk_tree: root(88, le64(block, 164)?, 199)?,
            // Its blocks belong to the transaction that did not complete.
            log_tree: root(96, generation.saturating_add(1), 200)?.present(),
            bytes_used: le64(block, 120)?,
            devices: le64(block, 136)?,
            sector_size,
            node_size,
            compat_ro: le64(block, 180)?,
            incompat,
            checksum: Checksum::from_number(le16(block, 196)?),
            device: Device {
                id: le64(block, 201)?,
                size: le64(block, 209)?,
                uuid: piece(block, 267)?,
            },
            system_chunks: slice(block, SYSTEM_CHUNKS.0, system_chunks)?.to_vec(),
            label: text::label(slice(block, 299, 256)?),
        })
    }

    /// Itself, when the checksum in `block`, which it was read from, is right.
    fn verified(self, block: &[u8]) -> Result<Self, Doubt> {
        match self.checksum {
            None => Err(Doubt::because("the kind of its checksums is not known")),
            Some(checksum) if !checksum.is_right(block) => {
                Err(Doubt::because("the superblock's checksum is wrong"))
            }
            Some(_) => Ok(self),
        }
    }

    /// What can be said of it without reading more.
    pub(super) fn describe(&self) -> Filesystem {
        let waits =
            "a log of changes waits to be replayed; it is kept, and the next mount replays it";
        Filesystem {
            kind: Kind::Btrfs,
            label: self.label.clone(),
            uuid: text::uuid(self.fsid),
            size: self.device.size,
            block_size: self.sector_size,
            // The count is of all devices together: it says something about this one only when
            // there is no other.
            used: (self.devices == 1).then_some(self.bytes_used),
            last_use: None,
            state: match self.log_tree {
                Some(_) => State::Dirty(waits.into()),
                None => State::Clean,
            },
        }
    }
}

impl Root {
    /// Address 0 stands for no tree.
    fn present(self) -> Option<Self> {
        (self.address != 0).then_some(self)
    }
}

/// The superblock of a volume, and a warning when it is a copy. Copies are written with every
/// transaction, but not when a file is synced: only the first one knows the log tree.
pub(super) fn newest(volume: &dyn ReadAt) -> Result<(Superblock, Option<String>), Doubt> {
    let block = volume.read_vec(PRIMARY, LEN).map_err(Doubt::reading("the superblock"))?;
    let claimed = Superblock::parse(&block, PRIMARY)
        .ok_or_else(|| Doubt::because("the superblock is damaged"))?;
    let copies = COPIES.iter().filter_map(|place| copy(volume, *place));
    let newest = copies.filter(|copy| copy.fsid == claimed.fsid).max_by_key(|copy| copy.generation);
    let doubt = match claimed.verified(&block) {
        Ok(first) if newest.as_ref().is_some_and(|copy| copy.generation > first.generation) => {
            return Err(Doubt::because("a copy of the superblock is newer than the superblock"));
        }
        Ok(first) => return Ok((first, None)),
        Err(doubt) => doubt,
    };
    // What is damaged may be the very fields that are compared: then no copy will do.
    let log = le64(&block, 96).filter(|address| *address != 0);
    let same = |copy: &Superblock| le64(&block, 72) == Some(copy.generation) && log.is_none();
    match newest.filter(same) {
        Some(copy) => {
            let way = "btrfs rescue super-recover mends it";
            Ok((copy, Some(format!("{doubt}; the map is by a copy of it ({way})"))))
        }
        None => Err(doubt),
    }
}

fn copy(volume: &dyn ReadAt, place: u64) -> Option<Superblock> {
    let block = volume.read_vec(place, LEN).ok()?;
    Superblock::parse(&block, place)?.verified(&block).ok()
}
