//! The main boot region and its backup: geometry, flags, checksum.
//!
//! Source: Microsoft, "exFAT file system specification", §2 and §3.

use crate::bytes::{ReadAt, WriteAt, le16, le32, le64, put};
use crate::filesystem::moving::unwritten;
use crate::volume::probe::{byte, has};
use crate::volume::{Doubt, Filesystem, Kind, State, text};

/// Sectors that the checksum covers; the next one holds it, over and over (§3.4).
const SUMMED_SECTORS: usize = 11;
/// First sector of the backup boot region.
const BACKUP: u64 = 12;
/// The number that the FAT gives the first cluster of the heap.
pub(super) const FIRST_CLUSTER: u32 = 2;
/// Most clusters that can be numbered (§3.1.9).
const MOST_CLUSTERS: u32 = u32::MAX - 10;
/// Least bytes of a volume (§3.1.5).
const LEAST_SIZE: u64 = 1 << 20;
/// `ActiveFat`, `VolumeDirty` and `MediaFailure` of `VolumeFlags` (§3.1.13).
const ACTIVE_FAT: u16 = 1;
const VOLUME_DIRTY: u16 = 2;
const MEDIA_FAILURE: u16 = 4;

/// Where things lie, in bytes of the volume unless said otherwise. Equal when all that the
/// checksum protects is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Bytes of a sector.
    sector_size: u32,
    /// Bytes of a cluster.
    pub(super) cluster_size: u32,
    /// Bytes of the volume.
    size: u64,
    fat: u64,
    fat_size: u64,
    fats: u8,
    /// Where the first cluster starts.
    pub(super) heap: u64,
    /// Clusters of the heap.
    pub(super) clusters: u32,
    /// First cluster of the root directory, as the FAT counts.
    pub(super) root: u32,
    serial: u32,
    revision: u16,
}

/// The boot sector.
#[derive(Clone, Debug)]
pub(super) struct BootSector {
    /// What never changes.
    pub(super) layout: Layout,
    flags: u16,
    percent: u8,
}

impl BootSector {
    /// Reads the first 512 bytes; `None` when this is no exFAT.
    pub(super) fn parse(sector: &[u8]) -> Option<Self> {
        let (sector_shift, cluster_shift) = (byte(sector, 108)?, byte(sector, 109)?);
        let sane = has(sector, 3, b"EXFAT   ")
            && (9..=12).contains(&sector_shift)
            && cluster_shift <= 25u8.checked_sub(sector_shift)?;
        if !sane {
            return None;
        }
        let bytes = |sectors: u64| sectors.checked_mul(1 << sector_shift);
        let layout = Layout {
            sector_size: 1u32.checked_shl(sector_shift.into())?,
            cluster_size: 1u32.checked_shl(sector_shift.checked_add(cluster_shift)?.into())?,
            size: bytes(le64(sector, 72)?)?,
            fat: bytes(le32(sector, 80)?.into())?,
            fat_size: bytes(le32(sector, 84)?.into())?,
            fats: byte(sector, 110)?,
            heap: bytes(le32(sector, 88)?.into())?,
            clusters: le32(sector, 92)?,
            root: le32(sector, 96)?,
            serial: le32(sector, 100)?,
            revision: le16(sector, 104)?,
        };
        Some(Self { layout, flags: le16(sector, 106)?, percent: byte(sector, 112)? })
    }

    /// The copy of FAT and allocation bitmap that counts: 0, or 1 in TexFAT.
    pub(super) fn active_fat(&self) -> u8 {
        u8::from(self.flags & ACTIVE_FAT != 0)
    }

    /// Where the FAT that counts starts.
    pub(super) fn fat(&self) -> u64 {
        let before = self.layout.fat_size.saturating_mul(self.active_fat().into());
        self.layout.fat.saturating_add(before)
    }

    /// The common description, without the label. Linux leaves `PercentInUse` as it was when the
    /// volume was formatted, so it is good for a first impression only.
    pub(super) fn describe(&self) -> Filesystem {
        let heap = self.layout.bytes(self.layout.clusters);
        Filesystem {
            kind: Kind::ExFat,
            label: None,
            uuid: Some(text::serial32(self.layout.serial)),
            size: self.layout.size,
            block_size: self.layout.cluster_size,
            used: (heap / 100).checked_mul(self.percent.into()).filter(|_| self.percent <= 100),
            last_use: None,
            state: self.state(),
        }
    }

    /// Whether it was closed, and reads and writes succeeded.
    pub(super) fn state(&self) -> State {
        if self.flags & VOLUME_DIRTY != 0 {
            State::Dirty("marked dirty".into())
        } else if self.flags & MEDIA_FAILURE != 0 {
            State::Dirty("read or write errors were recorded in it".into())
        } else {
            State::Clean
        }
    }

    /// Whether it has one FAT only, and is no TexFAT.
    pub(super) fn is_plain(&self) -> bool {
        self.layout.fats == 1
    }

    /// The least size that it can have with so many clusters in use, bytes; `None` where it has no other.
    pub(super) fn least_size(&self, used: u32) -> Option<u64> {
        let clusters = used.max(1);
        let heap_end = Layout { clusters, ..self.layout.clone() }.heap_end();
        let least = heap_end.max(LEAST_SIZE).next_multiple_of(self.layout.sector_size.into());
        let can =
            self.is_plain() && self.state() == State::Clean && clusters < self.layout.clusters;
        Some(least).filter(|least| can && *least < self.layout.size)
    }

    /// Fails unless every area lies where the specification allows it to (§3.1).
    pub(super) fn check(&self, volume_size: u64) -> Result<(), Doubt> {
        let layout = &self.layout;
        if layout.revision >> 8 != 1 {
            return Err(Doubt::because("its revision is unknown"));
        }
        if layout.size > volume_size {
            return Err(Doubt::larger(Kind::ExFat, layout.size, volume_size));
        }
        let entries = u64::from(layout.clusters).saturating_add(FIRST_CLUSTER.into());
        let fats_end = layout.fat_size.saturating_mul(layout.fats.into());
        let sane = matches!(layout.fats, 1 | 2)
            && self.active_fat() < layout.fats
            && layout.fat >= BACKUP.saturating_mul(2).saturating_mul(layout.sector_size.into())
            && layout.fat_size >= entries.saturating_mul(4)
            && layout.heap >= layout.fat.saturating_add(fats_end)
            && (1..=MOST_CLUSTERS).contains(&layout.clusters)
            && layout.heap_end() <= layout.size
            && layout.holds(layout.root, 1);
        if sane { Ok(()) } else { Err(Doubt::because("its boot sector makes no sense")) }
    }

    /// Compares the boot region with its checksum and its backup. One of the two has to be intact
    /// and both have to tell the same layout; what is wrong beyond that is a remark.
    pub(super) fn check_regions(&self, volume: &dyn ReadAt) -> Result<Vec<String>, Doubt> {
        let size = self.layout.sector_size;
        let main = region(volume, 0, size).map_err(Doubt::reading("the boot region"))?;
        let at = BACKUP.saturating_mul(size.into());
        let backup = region(volume, at, size).map_err(Doubt::reading("the backup boot region"))?;
        let same = Self::parse(&backup).is_some_and(|other| other.layout == self.layout);
        match (is_intact(&main, size), is_intact(&backup, size)) {
            (true, true) if !same => {
                Err(Doubt::because("the boot region and its backup describe different layouts"))
            }
            (true, true) => Ok(Vec::new()),
            (true, false) => Ok(vec!["the backup boot region of exFAT is damaged".into()]),
            (false, true) if same => Ok(vec!["the boot region's checksum is wrong".into()]),
            (false, _) => Err(Doubt::because("the boot region's checksum is wrong")),
        }
    }
}

impl BootSector {
    /// Writes both boot regions, of a volume that was made smaller, from the one that is intact. The first one, which
    /// counts, comes last.
    pub(super) fn write_regions(
        &self,
        volume: &dyn WriteAt,
        now: &Layout,
        used: u32,
    ) -> Result<(), Doubt> {
        let size = self.layout.sector_size;
        let backup = BACKUP.saturating_mul(size.into());
        let reading = || Doubt::reading("the boot region");
        let mut intact = region(volume, 0, size).map_err(reading())?;
        if !is_intact(&intact, size) {
            intact = region(volume, backup, size).map_err(reading())?;
        }
        let sectors = now.size.checked_div(size.into()).unwrap_or(0);
        put(&mut intact, 72, &sectors.to_le_bytes());
        put(&mut intact, 92, &now.clusters.to_le_bytes());
        put(&mut intact, 96, &now.root.to_le_bytes());
        if self.percent <= 100 {
            let percent = u64::from(used).saturating_mul(100).checked_div(now.clusters.into());
            put(&mut intact, 112, &[percent.and_then(|it| it.try_into().ok()).unwrap_or(u8::MAX)]);
        }
        let summed = (size as usize).saturating_mul(SUMMED_SECTORS);
        let sum = checksum(intact.get(..summed).unwrap_or_default()).to_le_bytes();
        put(&mut intact, summed, &sum.repeat((size / 4) as usize));
        for at in [backup, 0] {
            volume.write_at(at, &intact).map_err(unwritten)?;
        }
        Ok(())
    }
}

impl Layout {
    /// The same with `size` bytes; `None` where no cluster is left, or fewer bytes than it may have.
    pub(super) fn cut(&self, size: u64) -> Option<Self> {
        let sectors = size.checked_div(self.sector_size.into())?;
        let size = sectors.checked_mul(self.sector_size.into())?;
        let clusters = size.checked_sub(self.heap)?.checked_div(self.cluster_size.into())?;
        let clusters = u32::try_from(clusters).ok()?;
        let cut = Self { size, clusters, ..self.clone() };
        (clusters > 0 && size >= LEAST_SIZE && size < self.size).then_some(cut)
    }

    /// The same with the root directory from another cluster on.
    pub(super) fn with_root(self, root: u32) -> Self {
        Self { root, ..self }
    }

    /// Bytes of the allocation bitmap (§7.1.5).
    pub(super) fn bitmap_size(&self) -> u64 {
        u64::from(self.clusters).div_ceil(8)
    }

    /// Bytes of so many clusters.
    pub(super) fn bytes(&self, clusters: u32) -> u64 {
        u64::from(clusters).saturating_mul(self.cluster_size.into())
    }

    /// Where a cluster starts, by the number that the FAT gives it.
    pub(super) fn cluster(&self, number: u32) -> u64 {
        self.heap.saturating_add(self.bytes(number.saturating_sub(FIRST_CLUSTER)))
    }

    /// One past the last cluster.
    pub(super) fn heap_end(&self) -> u64 {
        self.heap.saturating_add(self.bytes(self.clusters))
    }

    /// Whether `count` clusters from that number exist.
    pub(super) fn holds(&self, number: u32, count: u32) -> bool {
        let before = number.checked_sub(FIRST_CLUSTER).and_then(|index| index.checked_add(count));
        before.is_some_and(|end| end <= self.clusters)
    }

    /// Clusters that so many bytes take; `None` when the heap is smaller.
    pub(super) fn clusters_of(&self, bytes: u64) -> Option<u32> {
        let count = bytes.checked_add(u64::from(self.cluster_size).checked_sub(1)?)?;
        let count = u32::try_from(count.checked_div(self.cluster_size.into())?).ok()?;
        (count <= self.clusters).then_some(count)
    }
}

/// The sectors of a boot region that matter, checksum included.
fn region(volume: &dyn ReadAt, at: u64, sector_size: u32) -> std::io::Result<Vec<u8>> {
    let len = (sector_size as usize).saturating_mul(SUMMED_SECTORS.saturating_add(1));
    volume.read_vec(at, len)
}

fn is_intact(region: &[u8], sector_size: u32) -> bool {
    let summed = (sector_size as usize).saturating_mul(SUMMED_SECTORS);
    let Some((content, sums)) = region.split_at_checked(summed) else { return false };
    let expected = checksum(content).to_le_bytes();
    sums.chunks_exact(4).all(|sum| sum == expected)
}

/// §3.4: the flags and `PercentInUse` change often and are left out.
pub(crate) fn checksum(content: &[u8]) -> u32 {
    let stable = content.iter().enumerate().filter(|(at, _)| !matches!(at, 106 | 107 | 112));
    stable.fold(0u32, |sum, (_, &byte)| sum.rotate_right(1).wrapping_add(byte.into()))
}

/// The boot regions with the checksum made right and the backup made the same, for changes to get
/// past them.
#[cfg(any(test, fuzzing))]
pub(super) fn seal(volume: &dyn ReadAt) -> Option<(u64, Vec<u8>)> {
    let sector = volume.read_vec(0, 512).ok()?;
    let size = BootSector::parse(&sector)?.layout.sector_size;
    let mut content = region(volume, 0, size).ok()?;
    content.truncate((size as usize).checked_mul(SUMMED_SECTORS)?);
    let sum = checksum(&content).to_le_bytes();
    content.extend(sum.repeat((size / 4) as usize));
    Some((0, content.repeat(2)))
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
pub(super) mod tests {
    use super::*;

    /// A volume of 64 clusters of 512 bytes behind a FAT at sector 24, all empty.
    pub(crate) fn volume() -> Vec<u8> {
        let mut volume = vec![0; (32 + 64) * 512];
        volume[3..11].copy_from_slice(b"EXFAT   ");
        for (at, value) in [(72, 96u32), (80, 24), (84, 1), (88, 32), (92, 64), (96, 4)] {
            volume[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        volume[105] = 1;
        volume[108] = 9;
        volume[110] = 1;
        seal(&mut volume);
        volume
    }

    fn seal(volume: &mut [u8]) {
        let (_, regions) = super::seal(&volume.to_vec()).unwrap();
        volume[..regions.len()].copy_from_slice(&regions);
    }

    fn regions(volume: &[u8]) -> Result<Vec<String>, Doubt> {
        BootSector::parse(&volume[..512]).unwrap().check_regions(&volume.to_vec())
    }

    #[test]
    fn one_intact_region_that_agrees_is_enough() {
        let sound = volume();
        assert!(regions(&sound).unwrap().is_empty());
        for (at, remarks) in [(400, 1), (11 * 512 + 4, 1), (12 * 512 + 400, 1), (13 * 512, 1)] {
            let mut volume = sound.clone();
            volume[at] ^= 1;
            assert_eq!(regions(&volume).unwrap().len(), remarks, "byte {at}");
        }
        // A layout that only the damaged region tells.
        let mut volume = sound.clone();
        volume[92] ^= 1;
        assert!(regions(&volume).is_err());
        // Two regions that are intact each and differ.
        seal(&mut volume);
        volume[..12 * 512].copy_from_slice(&sound[..12 * 512]);
        assert!(regions(&volume).is_err());
        // Flags and percentage belong to no checksum.
        let mut volume = sound;
        volume[106] = 0x0e;
        volume[112] = 55;
        assert!(regions(&volume).unwrap().is_empty());
    }

    #[test]
    fn layouts_that_cannot_be_are_refused() {
        let check = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut volume = volume();
            change(&mut volume);
            BootSector::parse(&volume[..512]).unwrap().check(volume.len() as u64)
        };
        assert!(check(&|_| ()).is_ok());
        assert!(check(&|volume| volume[106] = 1).is_err(), "second FAT of one");
        assert!(check(&|volume| (volume[106], volume[110]) = (1, 2)).is_ok(), "TexFAT");
        assert!(check(&|volume| volume[105] = 2).is_err(), "revision");
        assert!(check(&|volume| volume[80] = 23).is_err(), "FAT inside the backup");
        assert!(check(&|volume| volume[84] = 0).is_err(), "no FAT");
        assert!(check(&|volume| volume[88] = 24).is_err(), "heap over the FAT");
        assert!(check(&|volume| volume[92] = 65).is_err(), "heap past the end");
        assert!(check(&|volume| volume[72] = 97).is_err(), "larger than the volume");
        assert!(check(&|volume| volume[96] = 66).is_err(), "root past the end");
        assert!(check(&|volume| volume[96] = 1).is_err(), "root before the heap");
    }
}
