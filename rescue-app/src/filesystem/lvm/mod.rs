//! LVM2 physical volumes: the group's metadata says which extents belong to which logical volume,
//! and what lies in a volume that is linear or striped says which bytes of it are in use.
//!
//! Sources: LVM2 `lib/format_text/` (see the modules), lvm(8), lvmraid(7), lvmthin(7).

mod area;
mod config;
mod group;
mod label;

use std::io;

use self::area::Found;
use self::group::{Area, Group, Logical, Segment};
use self::label::Label;
use super::container::{Content, Part, PartName};
use super::format::{Doubt, Format};
use super::placement::Placement;
use super::probe::read;
use super::used_map::UsedMap;
use super::{Filesystem, Kind, State, text};
use crate::bytes::{Extent, Extents, ReadAt};

/// What lies before the first extent at the usual place, in bytes; of a volume whose extents
/// begin earlier, whatever is in this much of its start is kept too.
const HEAD: u64 = 1 << 20;

/// The reader.
pub(super) struct Lvm;

impl Format for Lvm {
    fn probe(&self, volume: &dyn ReadAt) -> io::Result<Option<Filesystem>> {
        Ok(label(volume)?.map(|label| Filesystem {
            kind: Kind::Lvm2,
            label: None,
            uuid: label.id.as_deref().and_then(label::dashed),
            size: Some(label.device_size).filter(|&size| size != 0).unwrap_or(volume.size()),
            block_size: 0,
            used: None,
            state: State::Unknown,
        }))
    }

    fn content(
        &self,
        volume: &dyn ReadAt,
        found: &mut Filesystem,
    ) -> Result<Option<Content>, Doubt> {
        let label = label(volume).map_err(Doubt::reading("the label"))?;
        let label = label.filter(|label| label.intact);
        let label = label.ok_or_else(|| Doubt::because("the label's checksum is wrong"))?;
        let areas = label.metadata.clone().filter(|areas| !areas.is_empty());
        let areas = areas.ok_or_else(|| Doubt::because("its metadata is on other devices only"))?;
        let mut warnings = Vec::new();
        let content = match newest(volume, &areas, &mut warnings)? {
            Some(group) => content(volume, &label, &areas, &group)?,
            None => unused(volume, &label, &areas)?,
        };
        let allocated = content.1;
        found.used = Some(allocated);
        Ok(Some(Content { warnings, ..content.0 }))
    }

    fn is_container(&self) -> bool {
        true
    }
}

/// The first label on the volume.
fn label(volume: &dyn ReadAt) -> io::Result<Option<Label>> {
    for number in 0..label::SECTORS {
        let at = number.saturating_mul(label::SECTOR);
        let Some(sector) = read(volume, at, 512)? else { return Ok(None) };
        if let Some(label) = Label::parse(&sector, number) {
            return Ok(Some(label));
        }
    }
    Ok(None)
}

/// The group as the newest of the intact copies has it; `None` when there is no group.
fn newest(
    volume: &dyn ReadAt,
    areas: &[Extent],
    warnings: &mut Vec<String>,
) -> Result<Option<Group>, Doubt> {
    let mut newest: Option<Group> = None;
    let mut damage = None;
    let mut empty = false;
    for &area in areas {
        match area::read(volume, area) {
            Ok(Found::Text(text)) => {
                let group = group::parse(&String::from_utf8_lossy(&text))?;
                if newest.as_ref().is_some_and(|other| other.id != group.id) {
                    return Err(Doubt::because("its metadata speaks of two volume groups"));
                }
                if newest.as_ref().is_none_or(|other| other.seqno < group.seqno) {
                    newest = Some(group);
                }
            }
            Ok(Found::Nothing) => empty = true,
            Ok(Found::Ignored) => {}
            Err(doubt) => damage = Some(doubt),
        }
    }
    match (newest, damage) {
        (Some(_), _) if empty => Err(Doubt::because("one copy of its metadata has no group")),
        (Some(group), damage) => {
            warnings.extend(damage.map(|doubt| format!("one of two copies is used: {doubt}")));
            Ok(Some(group))
        }
        (None, Some(doubt)) => Err(doubt),
        (None, None) if empty => Ok(None),
        (None, None) => Err(Doubt::because("its metadata is kept on other devices of the group")),
    }
}

/// A volume that was prepared and given to no group, which nothing can be in.
fn unused(volume: &dyn ReadAt, label: &Label, areas: &[Extent]) -> Result<(Content, u64), Doubt> {
    if label.used != Some(false) {
        return Err(Doubt::because("it may belong to a volume group that its metadata lacks"));
    }
    let mut own = Extents::of(0, HEAD.min(volume.size()));
    for area in areas {
        own = own.union(&Extents::of(area.start, area.end.min(volume.size())));
    }
    Ok((Content { own, parts: Vec::new(), warnings: Vec::new() }, 0))
}

/// What the group has on this device, and how many bytes of it are allocated.
fn content(
    volume: &dyn ReadAt,
    label: &Label,
    areas: &[Extent],
    group: &Group,
) -> Result<(Content, u64), Doubt> {
    let device = Device::find(volume, label, areas, group)?;
    let parts: Vec<Part> = group.logical.iter().map(|logical| device.part(logical)).collect();
    let allocated = device.check_allocation()?;
    let mut own = Extents::of(0, device.start.max(HEAD).min(volume.size()));
    own.push(device.end, volume.size());
    Ok((Content { own, parts, warnings: Vec::new() }, allocated))
}

/// This device in its group.
struct Device<'a> {
    group: &'a Group,
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
        areas: &[Extent],
        group: &'a Group,
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
        if physical.start < label::SECTORS.saturating_mul(label::SECTOR) || areas.iter().any(hit) {
            return Err(Doubt::because("its extents overlap its metadata"));
        }
        Ok(Self { group, index, start: physical.start, end })
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
        }
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
                self.extents(*first, segment.area_extents).map(|bytes| bytes.start)
            }
            _ => None,
        });
        placement.push(len, stripe.min(column), columns.collect());
        true
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

/// Why a logical volume's bytes are not only what its own segments and its own content say.
fn doubt(logical: &Logical) -> Option<String> {
    let odd = logical
        .segments
        .iter()
        .find(|segment| segment.stripe.is_none() || segment.areas.contains(&Area::Logical));
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
