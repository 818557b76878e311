//! What a person should know before a target is written.

use crate::console;
use crate::disk::{self, Disk, DiskKind, Source};
use crate::inspect;
use crate::operation::error::OperationError;
use crate::operation::format::size as human;
use crate::table::{self, Patch, Scheme};

use super::scope::Scope;
use super::{Aim, smaller, virtual_disk};

impl Aim<'_> {
    /// All of them, those of the target first.
    pub(super) fn notices(
        &self,
        table: &[Patch],
        inner: &[Patch],
    ) -> Result<Vec<String>, OperationError> {
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
        notices.extend(virtual_disk::notice(&self.state));
        notices.extend(self.excluded());
        notices.extend(self.meanwhile());
        notices.extend(self.same_identity());
        notices.extend(self.moved(inner));
        if let Some(relaid) = &self.relaid {
            notices.extend(relaid.notices(self.content.manifest, self.content.disk));
        }
        notices.extend(smaller::notices(&self.shrinks));
        notices.extend(self.fitted(table));
        if !self.request.read_back {
            notices.push(
                "what is written will not be read back: errors of the target stay hidden"
                    .to_owned(),
            );
        }
        Ok(notices)
    }

    /// What the image has no content of.
    fn excluded(&self) -> Option<String> {
        let written = |number: u32| match &self.content.partitions {
            Some(numbers) => numbers.contains(&number),
            None => true,
        };
        let regions = self.content.manifest.regions.iter();
        let regions = regions.filter(|region| region.partition.is_some_and(written));
        let asked = regions.flat_map(|region| {
            region.left_out.iter().filter(|file| file.asked).map(|file| console::name(&file.path))
        });
        let names: Vec<String> = asked.collect();
        (!names.is_empty()).then(|| {
            let names = names.join(", ");
            format!("the content of {names} was left out of the image, and is lost")
        })
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
            console::path(&twin.path)
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

    /// Partitions that get another start than they had: what of them counts on it. `patches` are those
    /// inside of them.
    fn moved(&self, patches: &[Patch]) -> Vec<String> {
        let mut notices = Vec::new();
        let manifest = self.content.manifest;
        for transfer in self.transfers.iter().filter(|transfer| transfer.from != transfer.to) {
            let region = manifest.regions.iter().find(|region| region.start == transfer.from);
            let Some(region) = region.filter(|region| region.partition.is_some()) else { continue };
            let number = region.partition.unwrap_or_default();
            let place = transfer.to..transfer.to.saturating_add(transfer.len);
            let is_told = patches.iter().any(|patch| place.contains(&patch.offset));
            let told = match is_told {
                true => {
                    "; its own boot sector, which said where it began (\"hidden sectors\"), is told \
                     the new place"
                }
                false => "",
            };
            notices.push(format!(
                "partition {number} began at byte {} and will begin at byte {}: a boot loader that \
                 finds it by its place (GRUB's lists of blocks) has to be installed anew{told}",
                transfer.from, transfer.to,
            ));
        }
        notices
    }

    /// What of the table is not as it was captured.
    fn fitted(&self, patches: &[Patch]) -> Vec<String> {
        let (target, image) = (self.state.survey.disk.size, self.content.manifest.disk.size);
        let extra = target.saturating_sub(image);
        let mut notices = Vec::new();
        let keeps_sizes = self.scope == Scope::Disk && self.relaid.is_none();
        if keeps_sizes && self.content.partitions.is_none() && extra > 0 {
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
