//! The boot sector and its BIOS parameter block.

use crate::bytes::{le16, le32, put, slice};
use crate::volume::probe::byte;
use crate::volume::{Doubt, Filesystem, Kind, State, text};

/// The geometry, with the names of the specification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BootSector {
    /// FAT12, FAT16 or FAT32, by the rule of the specification: the number of clusters.
    pub(super) kind: Kind,
    /// Bytes of a sector.
    pub(super) sector_size: u32,
    /// Bytes of a cluster.
    pub(super) cluster_size: u32,
    /// Sectors before the first FAT.
    reserved_sectors: u32,
    /// Copies of the FAT.
    pub(super) fats: u32,
    /// Sectors of one FAT.
    pub(super) fat_sectors: u32,
    /// First sector of cluster 2.
    data_sector: u64,
    /// Clusters of the data area.
    pub(super) clusters: u32,
    /// Sectors of the volume.
    total_sectors: u64,
    /// The mark that Linux and Windows leave in the boot sector while it is in use.
    pub(super) marked_dirty: bool,
    /// FAT32: sector of the boot sector's copy.
    pub(super) backup_sector: Option<u16>,
    ext_flags: u16,
    /// FAT32: cluster at which the root directory starts, as the FAT counts.
    pub(super) root_cluster: u32,
    root_bytes: u32,
    serial: Option<u32>,
    label: Option<String>,
}

/// `BS_Reserved1`, bit 0 (Linux: `FAT_STATE_DIRTY`).
const DIRTY: u8 = 1;

/// `BPB_ExtFlags`: only one FAT is kept up to date, the one in the lowest four bits.
const NOT_MIRRORED: u16 = 0x80;

/// Entries of the FAT before that of the first cluster.
pub(super) const RESERVED: u32 = 2;

impl BootSector {
    /// Reads the first 512 bytes; `None` when they cannot start a FAT volume. Master boot records
    /// look alike, so every field has to make sense.
    pub(super) fn parse(sector: &[u8]) -> Option<Self> {
        let (sector_size, per_cluster) = (le16(sector, 11)?, byte(sector, 13)?);
        let (reserved, fats) = (le16(sector, 14)?, byte(sector, 16)?);
        let media = byte(sector, 21)?;
        let sane = le16(sector, 510)? == 0xaa55
            && matches!(byte(sector, 0)?, 0xeb | 0xe9)
            && matches!(sector_size, 512 | 1024 | 2048 | 4096)
            && per_cluster.is_power_of_two()
            && reserved != 0
            && matches!(fats, 1..=4)
            && (media == 0xf0 || media >= 0xf8);
        if !sane {
            return None;
        }
        let sector_size = u32::from(sector_size);
        let (small_fat, small_total) = (le16(sector, 22)?, le16(sector, 19)?);
        let fat_sectors = if small_fat == 0 { le32(sector, 36)? } else { small_fat.into() };
        let total = if small_total == 0 { le32(sector, 32)? } else { small_total.into() };
        let root_bytes = u32::from(le16(sector, 17)?).checked_mul(32)?;
        let data_sector = u64::from(fat_sectors)
            .checked_mul(fats.into())?
            .checked_add(reserved.into())?
            .checked_add(root_bytes.div_ceil(sector_size).into())?;
        let data_sectors = u64::from(total).checked_sub(data_sector)?;
        let clusters = u32::try_from(data_sectors.checked_div(per_cluster.into())?).ok()?;
        let kind = kind(small_fat == 0, clusters);
        let wide = kind == Kind::Fat32;
        let extended = sector.get(if wide { 64 } else { 36 }..)?;
        let signature = byte(extended, 2)?;
        let labelled = signature == 0x29;
        let found = Self {
            kind,
            sector_size,
            cluster_size: sector_size.checked_mul(per_cluster.into())?,
            reserved_sectors: reserved.into(),
            fats: fats.into(),
            fat_sectors,
            data_sector,
            clusters,
            total_sectors: total.into(),
            ext_flags: if wide { le16(sector, 40)? } else { 0 },
            backup_sector: le16(sector, 50).filter(|at| wide && !matches!(at, 0 | 0xffff)),
            root_cluster: if wide { le32(sector, 44)? } else { 0 },
            root_bytes,
            marked_dirty: byte(extended, 1)? & DIRTY != 0,
            serial: le32(extended, 3).filter(|_| labelled || signature == 0x28),
            label: slice(extended, 7, 11).filter(|_| labelled).and_then(label),
        };
        (fat_sectors != 0 && clusters != 0 && wide == (root_bytes == 0)).then_some(found)
    }

    /// Bytes of the volume.
    pub(super) fn size(&self) -> u64 {
        self.total_sectors.saturating_mul(self.sector_size.into())
    }

    fn sectors(&self, count: u64) -> u64 {
        count.saturating_mul(self.sector_size.into())
    }

    /// Whether another boot sector describes the same places.
    pub(super) fn same_geometry(&self, other: &Self) -> bool {
        let places = |boot: &Self| {
            let areas = (boot.reserved_sectors, boot.fats, boot.fat_sectors, boot.data_sector);
            (boot.kind, boot.sector_size, boot.cluster_size, areas, boot.total_sectors)
        };
        places(self) == places(other)
    }

    /// Byte at which a copy of the FAT starts.
    pub(super) fn fat(&self, copy: u32) -> u64 {
        let before = u64::from(self.fat_sectors).saturating_mul(copy.into());
        self.sectors(before.saturating_add(self.reserved_sectors.into()))
    }

    /// Whether all copies of the FAT are kept up to date.
    pub(super) fn is_mirrored(&self) -> bool {
        self.ext_flags & NOT_MIRRORED == 0
    }

    /// The copy of the FAT that counts.
    pub(super) fn active_fat(&self) -> u32 {
        if self.is_mirrored() { 0 } else { u32::from(self.ext_flags & 0xf) }
    }

    /// Byte at which the data area starts.
    pub(super) fn data(&self) -> u64 {
        self.sectors(self.data_sector)
    }

    /// Byte at which a cluster starts; counted from 0, which the FAT calls 2.
    pub(super) fn cluster(&self, index: u32) -> u64 {
        let inside = u64::from(index).saturating_mul(self.cluster_size.into());
        self.data().saturating_add(inside)
    }

    /// A cluster counted from 0, if there is one that the FAT calls by that number.
    pub(super) fn position(&self, number: u32) -> Option<u32> {
        number.checked_sub(RESERVED).filter(|index| *index < self.clusters)
    }

    /// Fails for a root directory of a length that no formatter chooses: nothing else in FAT12 and
    /// FAT16 tells where the clusters begin, and a wrong bit moves them all.
    pub(super) fn check_root(&self) -> Result<(), Doubt> {
        let entries = self.root_bytes / 32;
        // What DOS makes of floppy disks of 360 KiB to 2.88 MB.
        let of_floppy =
            matches!((entries, self.total_sectors), (112, ..=1440) | (224, ..=2880) | (240, 5760));
        if entries == 0 || entries.is_power_of_two() || of_floppy {
            return Ok(());
        }
        Err(Doubt::because(format!("its root directory has an unusual length, {entries} entries")))
    }

    /// The same volume with `size` bytes; `None` where no cluster is left, or so few that readers would
    /// take it for another kind of FAT.
    pub(super) fn cut(&self, size: u64) -> Option<Self> {
        let total_sectors = size.checked_div(self.sector_size.into())?;
        let per_cluster = self.cluster_size.checked_div(self.sector_size)?;
        let data = total_sectors.checked_sub(self.data_sector)?;
        let clusters = u32::try_from(data.checked_div(per_cluster.into())?).ok()?;
        let cut = Self { total_sectors, clusters, ..self.clone() };
        (clusters >= self.fewest_clusters()).then_some(cut)
    }

    /// The same with the root directory of FAT32 from another cluster on.
    pub(super) fn with_root(self, root_cluster: u32) -> Self {
        Self { root_cluster, ..self }
    }

    /// The least size that it can have with so many clusters in use, bytes; `None` when it has that.
    pub(super) fn least_size(&self, used: u32) -> Option<u64> {
        let clusters = used.max(self.fewest_clusters());
        (clusters < self.clusters).then(|| self.cluster(clusters))
    }

    /// Clusters that a volume of its kind has at least. Readers tell the kinds apart by their number, and
    /// some count wrong by up to 16 (fatgen103, "FAT Type Determination").
    fn fewest_clusters(&self) -> u32 {
        match self.kind {
            Kind::Fat12 => 1,
            Kind::Fat16 => 4085 + 16,
            _ => 65_525 + 16,
        }
    }

    /// Writes size and first cluster of the root directory into a boot sector.
    pub(super) fn put_into(&self, sector: &mut [u8]) {
        let total = u32::try_from(self.total_sectors).unwrap_or(0);
        match (le16(sector, 19), u16::try_from(total)) {
            (Some(1..), Ok(small)) => put(sector, 19, &small.to_le_bytes()),
            _ => put(sector, 32, &total.to_le_bytes()),
        }
        if self.kind == Kind::Fat32 {
            put(sector, 44, &self.root_cluster.to_le_bytes());
        }
    }

    /// Byte at which the root directory starts.
    pub(super) fn root(&self) -> u64 {
        match self.kind {
            Kind::Fat32 => self.cluster(self.root_cluster.saturating_sub(RESERVED)),
            _ => self
                .data()
                .saturating_sub(self.sectors(self.root_bytes.div_ceil(self.sector_size).into())),
        }
    }

    /// The common description.
    pub(super) fn describe(&self) -> Filesystem {
        Filesystem {
            kind: self.kind,
            label: self.label.clone(),
            uuid: self.serial.map(text::serial32),
            size: self.size(),
            block_size: self.cluster_size,
            used: None,
            last_use: None,
            state: State::Unknown,
        }
    }
}

/// fatgen103 §3.5; a FAT32 is known by `BPB_FATSz16` = 0, as Linux and Windows do.
fn kind(fat32: bool, clusters: u32) -> Kind {
    match clusters {
        _ if fat32 => Kind::Fat32,
        0..4085 => Kind::Fat12,
        _ => Kind::Fat16,
    }
}

/// `NO NAME` means that there is none.
fn label(bytes: &[u8]) -> Option<String> {
    text::label(bytes).filter(|label| label != "NO NAME")
}
