//! LVM2 physical volumes: the group's metadata says which extents belong to which logical volume,
//! and what lies in a volume that is linear or striped says which bytes of it are in use.
//!
//! Sources: LVM2 `lib/format_text/` (see the modules), lvm(8), lvmraid(7), lvmthin(7).

mod area;
mod config;
mod group;
mod label;
mod metadata;
mod others;
mod resized;
mod room;

use std::io;

pub use self::others::{PhysicalVolume, VolumeGroup};
pub(crate) use self::resized::{Larger, Moved, OneDevice, Smaller};

use self::group::{Area, Group, Logical, Segment};
use self::label::Label;
use self::metadata::Metadata;
use self::others::{Other, Others};
use crate::bytes::{Extent, Extents, ReadAt};
use crate::volume::probe::read;
use crate::volume::{
    Companions, Content, Doubt, Filesystem, Format, Kind, OpenContent, Part, PartName, Placement,
    Spot, UsedMap, text,
};

/// What lies before the first extent at the usual place, in bytes; of a volume whose extents
/// begin earlier, whatever is in this much of its start is kept too.
const HEAD: u64 = 1 << 20;

/// The reader.
pub(crate) struct Lvm;

impl Format for Lvm {
    fn probe(&self, volume: &dyn ReadAt) -> io::Result<Option<Filesystem>> {
        Ok(label(volume)?.map(|label| {
            let size = Some(label.device_size).filter(|&size| size != 0).unwrap_or(volume.size());
            Filesystem::container(Kind::Lvm2, size, label.id.as_deref().and_then(label::dashed))
        }))
    }

    fn content<'a>(&self, volume: &dyn ReadAt, companions: &'a dyn Companions) -> OpenContent<'a> {
        let label = label(volume).map_err(Doubt::reading("the label"))?;
        let label = label.filter(|label| label.intact);
        let label = label.ok_or_else(|| Doubt::because("the label's checksum is wrong"))?;
        let mut warnings = Vec::new();
        let metadata = metadata::newest(volume, &label, &mut warnings)?;
        let others = Others::find(companions, &label);
        let content = match (metadata, others.newest(&label)?) {
            (Metadata::Group(own), Some(other))
                if own.id != other.id || own.seqno < other.seqno =>
            {
                return Err(Doubt::because("its metadata and that on other devices differ"));
            }
            (Metadata::Group(group), _) => content(volume, &label, &group, others)?,
            (Metadata::Unused, None) => unused(volume, &label)?,
            (Metadata::Elsewhere, Some(group)) => {
                let group = group.clone();
                content(volume, &label, &group, others)?
            }
            (Metadata::Unused, Some(_)) | (Metadata::Elsewhere, None) => {
                let words = "its metadata is kept on other devices of its volume group";
                return Err(Doubt::because(words));
            }
        };
        Ok(Some(Content { warnings, ..content }))
    }

    /// Creating a physical volume erases the table, and LVM does not take a disk that has one
    /// (`lib/filters/filter-partitioned.c`): the label is the older.
    fn is_of_disk(&self, _disk: &dyn ReadAt, partitions: &[Extent]) -> bool {
        partitions.is_empty()
    }

    fn is_container(&self) -> bool {
        true
    }
}

/// What a physical volume says of itself and its volume group; `None` for what is none, and for
/// what is damaged.
pub fn physical_volume(volume: &dyn ReadAt) -> Option<PhysicalVolume> {
    let label = label(volume).ok()??;
    let group = match metadata::newest(volume, &label, &mut Vec::new()).ok()? {
        Metadata::Group(group) => Some(VolumeGroup {
            id: group.id,
            seqno: group.seqno,
            members: group.physical.into_iter().map(|physical| physical.id).collect(),
        }),
        Metadata::Elsewhere => None,
        Metadata::Unused => return None,
    };
    Some(PhysicalVolume { id: label.id.filter(|_| label.intact)?, group })
}

/// The first label on the volume.
fn label(volume: &dyn ReadAt) -> io::Result<Option<Label>> {
    Ok(label_sector(volume)?.map(|(label, _)| label))
}

/// The first label on the volume, and the sector that it stands in.
fn label_sector(volume: &dyn ReadAt) -> io::Result<Option<(Label, LabelSector)>> {
    for number in 0..label::SECTORS {
        let at = number.saturating_mul(label::SECTOR);
        let Some(bytes) = read(volume, at, 512)? else { return Ok(None) };
        if let Some(label) = Label::parse(&bytes, number) {
            return Ok(Some((label, LabelSector { at, bytes })));
        }
    }
    Ok(None)
}

/// The sector of a label.
struct LabelSector {
    /// Its first byte.
    at: u64,
    bytes: Vec<u8>,
}

/// A volume that was prepared and given to no group, which nothing can be in.
fn unused<'a>(volume: &dyn ReadAt, label: &Label) -> Result<Content<'a>, Doubt> {
    if label.used != Some(false) {
        return Err(Doubt::because("it may belong to a volume group that its metadata lacks"));
    }
    let mut own = Extents::of(0, HEAD.min(volume.size()));
    for area in label.areas() {
        own = own.union(&Extents::of(area.start, area.end.min(volume.size())));
    }
    let (parts, others) = (Vec::new(), Vec::new());
    Ok(Content { own, parts, others, used: Some(0), unit: None, warnings: Vec::new() })
}

/// What the group has on this device; in use is what is allocated of it.
fn content<'a>(
    volume: &dyn ReadAt,
    label: &Label,
    group: &Group,
    others: Others<'a>,
) -> Result<Content<'a>, Doubt> {
    let others = others.of(group);
    let device = Device::find(volume, label, group, &others)?;
    let parts: Vec<Part> = group.logical.iter().map(|logical| device.part(logical)).collect();
    let used = Some(device.check_allocation()?);
    let mut own = Extents::of(0, device.start.max(HEAD).min(volume.size()));
    own.push(device.end, volume.size());
    let others = others.into_iter().map(|other| other.window).collect();
    // Other devices would have to be told of a change.
    let unit = (group.physical.len() == 1).then_some(group.extent);
    Ok(Content { own, parts, others, used, unit, warnings: Vec::new() })
}

/// This device in its group.
struct Device<'a> {
    group: &'a Group,
    /// The group's other devices that are there.
    others: &'a [Other<'a>],
    index: usize,
    /// The extents' first byte.
    start: u64,
    /// One past their last byte.
    end: u64,
}

impl<'a> Device<'a> {
    fn find(
        volume: &dyn ReadAt,
        label: &Label,
        group: &'a Group,
        others: &'a [Other<'a>],
    ) -> Result<Self, Doubt> {
        let own = |physical: &group::Physical| label.id.as_deref() == Some(physical.id.as_str());
        let mut all = group.physical.iter().enumerate().filter(|(_, physical)| own(physical));
        let (Some((index, physical)), None) = (all.next(), all.next()) else {
            return Err(Doubt::because("its volume group does not know it"));
        };
        if physical.missing {
            return Err(Doubt::because("its volume group has given it up as missing"));
        }
        let len = physical.extents.checked_mul(group.extent);
        let end = len.and_then(|len| physical.start.checked_add(len));
        let end = end.filter(|end| *end <= volume.size());
        let end = end.ok_or_else(|| Doubt::because("its extents reach past its end"))?;
        let hit = |area: &Extent| area.start < end && area.end > physical.start;
        if physical.start < label::SECTORS.saturating_mul(label::SECTOR)
            || label.areas().iter().any(hit)
        {
            return Err(Doubt::because("its extents overlap its metadata"));
        }
        Ok(Self { group, others, index, start: physical.start, end })
    }

    /// The bytes of extents of this device; `None` past its end.
    fn extents(&self, first: u64, count: u64) -> Option<Extent> {
        let size = self.group.extent;
        let start = self.start.checked_add(first.checked_mul(size)?)?;
        let end = start.checked_add(count.checked_mul(size)?)?;
        (end <= self.end).then_some(Extent { start, end })
    }

    /// Every area on this device.
    fn areas(&self) -> impl Iterator<Item = Option<Extent>> + '_ {
        let segments = self.group.logical.iter().flat_map(|logical| &logical.segments);
        segments.flat_map(move |segment| {
            segment.areas.iter().filter_map(move |area| match area {
                Area::Physical(device, first) if *device == self.index => {
                    Some(self.extents(*first, segment.area_extents))
                }
                _ => None,
            })
        })
    }

    /// Allocated bytes; a doubt when an extent is allocated twice or does not exist.
    fn check_allocation(&self) -> Result<u64, Doubt> {
        let mut map = UsedMap::new();
        let mut sum = 0u64;
        for area in self.areas() {
            let area = area.ok_or_else(|| Doubt::because("a segment lies past its extents"))?;
            map.add(area.start, area.end);
            sum = sum.saturating_add(area.len());
        }
        if map.finish().total() != sum {
            return Err(Doubt::because("two segments lie on the same extents"));
        }
        Ok(sum)
    }

    fn part(&self, logical: &Logical) -> Part {
        let mut placement = Placement::default();
        let mut more = UsedMap::new();
        let mut readable = logical.strange.is_none();
        for segment in &logical.segments {
            if !self.place(segment, &mut placement) {
                readable = false;
                self.all_areas(segment, &mut more);
            }
        }
        let extents = logical.segments.iter().fold(0u64, |sum, s| sum.saturating_add(s.extents));
        Part {
            name: Some(PartName {
                group: text::printable(&self.group.name),
                name: text::printable(&logical.name),
                uuid: text::printable(&logical.id),
                visible: logical.visible,
                size: extents.saturating_mul(self.group.extent),
            }),
            placement,
            more: more.finish(),
            doubt: doubt(logical),
            readable,
            is_here: self.is_here(logical),
        }
    }

    /// Whether nothing of a volume lies on other devices, nor of the hidden ones that it may be made
    /// of (a pool's data, the images of a mirror).
    fn is_here(&self, logical: &Logical) -> bool {
        let hidden = |other: &&Logical| !other.visible || other.segments.iter().any(is_odd);
        let parts = self.group.logical.iter().filter(hidden).chain([logical]);
        let mut areas = parts.flat_map(|part| &part.segments).flat_map(|segment| &segment.areas);
        areas.all(|area| !matches!(area, Area::Physical(device, _) if *device != self.index))
    }

    /// Appends a striped segment to a placement. Whether that could be done.
    fn place(&self, segment: &Segment, placement: &mut Placement) -> bool {
        let size = self.group.extent;
        let (Some(stripe), Some(len)) = (segment.stripe, segment.extents.checked_mul(size)) else {
            return false;
        };
        let column = segment.area_extents.saturating_mul(size);
        let even = segment.areas.len() == 1 || column.checked_rem(stripe) == Some(0);
        if !even || segment.areas.contains(&Area::Logical) {
            return false;
        }
        let columns = segment.areas.iter().map(|area| match area {
            Area::Physical(device, first) if *device == self.index => {
                self.extents(*first, segment.area_extents).map(|bytes| Spot::here(bytes.start))
            }
            Area::Physical(device, first) => self.elsewhere(*device, *first, segment.area_extents),
            Area::Logical => None,
        });
        placement.push(len, stripe.min(column), columns.collect());
        true
    }

    /// The place of extents of another device of the group, if it is there.
    fn elsewhere(&self, device: usize, first: u64, count: u64) -> Option<Spot> {
        let physical = self.group.physical.get(device)?;
        let other = self.others.iter().position(|other| other.id == physical.id)?;
        if physical.missing || first.checked_add(count)? > physical.extents {
            return None;
        }
        let at = physical.start.checked_add(first.checked_mul(self.group.extent)?)?;
        let end = at.checked_add(count.checked_mul(self.group.extent)?)?;
        let size = self.others.get(other)?.window.size();
        (end <= size).then_some(Spot { other: Some(other), at })
    }

    fn all_areas(&self, segment: &Segment, more: &mut UsedMap) {
        for area in &segment.areas {
            if let Area::Physical(device, first) = area
                && *device == self.index
                && let Some(bytes) = self.extents(*first, segment.area_extents)
            {
                more.add(bytes.start, bytes.end);
            }
        }
    }
}

/// Whether a segment is neither linear nor striped over devices.
fn is_odd(segment: &Segment) -> bool {
    segment.stripe.is_none() || segment.areas.contains(&Area::Logical)
}

/// Why a logical volume's bytes are not only what its own segments and its own content say.
fn doubt(logical: &Logical) -> Option<String> {
    let odd = logical.segments.iter().find(|segment| is_odd(segment));
    if let Some(segment) = odd {
        return Some(match segment.stripe {
            None => format!("segments of type {} are not mapped by this version", segment.kind),
            Some(_) => "it is made of other logical volumes".to_owned(),
        });
    }
    if let Some(word) = &logical.strange {
        return Some(format!("it has the status {word}"));
    }
    if logical.referred {
        return Some("another logical volume, such as a snapshot, is made from it".to_owned());
    }
    (!logical.visible).then(|| "it serves another logical volume".to_owned())
}
