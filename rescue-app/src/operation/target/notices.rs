//! What a person should know before a target is written.

use crate::bytes::{ReadAt as _, Window, le32};
use crate::disk::{self, Disk, DiskKind, Source};
use crate::image::manifest::Region;
use crate::inspect;
use crate::operation::error::OperationError;
use crate::operation::format::size as human;
use crate::table::{self, Patch, Scheme};
use crate::volume::Kind;

use super::Aim;
use super::scope::Scope;

impl Aim<'_> {
    /// All of them, those of the target first.
    pub(super) fn notices(&self, patches: &[Patch]) -> Result<Vec<String>, OperationError> {
        let survey = &self.state.survey;
        let mut notices: Vec<String> = survey.note.iter().cloned().collect();
        if self.carries_on {
            notices.push(
                "this was begun before: what is there already is read and not written again"
                    .to_owned(),
            );
        }
        notices.extend(survey.table.remarks().map(|remark| format!("target: {remark}")));
        notices.extend(self.content.notices.iter().cloned());
        notices.extend(self.meanwhile());
        notices.extend(self.same_identity());
        notices.extend(self.moved()?);
        notices.extend(self.fitted(patches));
        if !self.request.read_back {
            notices.push(
                "what is written will not be read back: errors of the target stay hidden"
                    .to_owned(),
            );
        }
        Ok(notices)
    }

    /// What the target is until the restore has finished.
    fn meanwhile(&self) -> Option<String> {
        let meanwhile = match self.content.partitions {
            _ if self.state.blank => return None,
            None => "the target does not start, not even as it was before",
            Some(_) => "the partitions to be restored hold nothing, not even what they held before",
        };
        Some(format!("until it has finished {meanwhile}"))
    }

    /// Another disk of this machine that carries the identities that are restored: systems mix the
    /// two up, or refuse both.
    fn same_identity(&self) -> Option<String> {
        let target = &self.state.survey.disk;
        if target.kind == DiskKind::ImageFile {
            return None;
        }
        let twin = disk::list()
            .ok()?
            .into_iter()
            .find(|other| other.path != target.path && self.is_twin(other).unwrap_or(false))?;
        Some(format!(
            "{} ({}) carries the same identities (table, filesystems, LVM) as what is written: \
             detach one of the two disks before a system uses the other",
            twin.identity(),
            crate::console::path(&twin.path)
        ))
    }

    /// Whether a disk has the table's identity, or on a disk without one that of its filesystem.
    fn is_twin(&self, other: &Disk) -> Option<bool> {
        let manifest = self.content.manifest;
        let source = Source::open(&other.path).ok()?;
        let found = table::read(&source, other.logical_sector).ok()?;
        if manifest.table.scheme != Scheme::None {
            let named = found.disk_id.filter(|id| !id.bytes().all(|digit| digit == b'0'));
            return Some(named.is_some() && named == manifest.table.disk_id);
        }
        let own =
            manifest.regions.iter().find_map(|region| region.filesystem.as_ref()?.uuid.clone());
        let theirs = inspect::recognise(&source).ok()??.uuid;
        Some(theirs.is_some() && own == theirs)
    }

    /// Partitions that get another start than they had: what of them counts on it.
    fn moved(&self) -> Result<Vec<String>, OperationError> {
        let mut notices = Vec::new();
        let manifest = self.content.manifest;
        for transfer in self.transfers.iter().filter(|transfer| transfer.from != transfer.to) {
            let region = manifest.regions.iter().find(|region| region.start == transfer.from);
            let Some(region) = region.filter(|region| region.partition.is_some()) else { continue };
            let number = region.partition.unwrap_or_default();
            notices.push(format!(
                "partition {number} began at byte {} and will begin at byte {}: a boot loader that \
                 finds it by its place (GRUB's lists of blocks, boot sectors) has to be installed \
                 anew{}",
                transfer.from,
                transfer.to,
                if self.tells_start(region)? {
                    "; its own boot sector says where it began (\"hidden sectors\"), by which \
                     Windows and DOS start"
                } else {
                    ""
                }
            ));
        }
        Ok(notices)
    }

    /// Whether the boot sector of a FAT or NTFS says where the partition began: sectors before it,
    /// at byte 28 (Microsoft FAT specification, `BPB_HiddSec`).
    fn tells_start(&self, region: &Region) -> Result<bool, OperationError> {
        let kind = region.filesystem.as_ref().map(|found| found.kind);
        if !matches!(kind, Some(Kind::Fat12 | Kind::Fat16 | Kind::Fat32 | Kind::Ntfs)) {
            return Ok(false);
        }
        let sector = u64::from(self.content.manifest.disk.logical_sector);
        let boot = Window::new(self.content.disk, region.start, region.size)
            .read_vec(0, 512)
            .map_err(|error| OperationError::io("reading a boot sector of the source", error))?;
        Ok(le32(&boot, 28).is_some_and(|hidden| u64::from(hidden) == region.start / sector))
    }

    /// What of the table is not as it was captured.
    fn fitted(&self, patches: &[Patch]) -> Vec<String> {
        let (target, image) = (self.state.survey.disk.size, self.content.manifest.disk.size);
        let extra = target.saturating_sub(image);
        let mut notices = Vec::new();
        if self.scope == Scope::Disk && self.content.partitions.is_none() && extra > 0 {
            notices.push(format!(
                "the target is larger: {} stay free at its end, partitions keep their sizes",
                human(extra)
            ));
        }
        if !patches.is_empty() {
            let mut what: Vec<&str> = patches.iter().map(|patch| patch.what).collect();
            what.dedup();
            notices.push(format!("of the partition table is written anew: {}", what.join(", ")));
        }
        notices
    }
}
