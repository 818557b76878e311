//! A physical volume that is its group's only one, for a device of another size: which extents go where, and the
//! metadata that says so. `pvresize` refuses what is allocated behind the new end, and `pvmove` takes the kernel.
//!
//! Sources: LVM2 `lib/format_text/` (see the modules beside this one).

use std::collections::HashMap;

use super::LabelSector;
use super::area::{self, Found};
use super::config::{Section, Value};
use super::group::{self, Area, Group, Logical, Segment};
use super::label::{self, Label};
use super::room::{Room, Stretch};
use crate::bytes::{Extent, ReadAt};
use crate::volume::{Doubt, Placement};

/// Metadata counts sizes in sectors of this many bytes.
const SECTOR: u64 = 512;
/// Where a metadata area that lies at the end of the device may begin, bytes.
const ALIGNMENT: u64 = 64 << 10;

/// Words in the status of a volume that is being moved.
const MOVING: [&str; 2] = ["LOCKED", "PVMOVE"];

/// A volume group that lies on one device alone.
pub(crate) struct OneDevice {
    label: Label,
    sector: LabelSector,
    text: String,
    group: Group,
    /// Byte of the first extent.
    start: u64,
}

/// A logical volume of it.
pub(crate) struct Inside<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// Its extents.
    pub(crate) extents: u64,
    /// Where its bytes lie, when it is linear and nothing else depends on it: such a one may be cut.
    pub(crate) placement: Option<Placement>,
}

/// Bytes of the new device that are those of the old one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Moved {
    /// Byte on the new device.
    pub(crate) to: u64,
    /// Byte on the old one.
    pub(crate) from: u64,
    /// How many.
    pub(crate) len: u64,
    /// The logical volume whose they are, by its name, and the byte in it, where it may be cut.
    pub(crate) volume: Option<(String, u64)>,
}

/// A larger device.
pub(crate) struct Larger {
    /// Labels and metadata, by their places.
    pub(crate) written: Vec<(u64, Vec<u8>)>,
    /// Where the volume lies that took what there is more.
    pub(crate) placement: Option<Placement>,
}

/// A smaller device.
pub(crate) struct Smaller {
    /// Its extents that are allocated.
    pub(crate) moved: Vec<Moved>,
    /// What is written besides: labels and metadata.
    pub(crate) written: Vec<(u64, Vec<u8>)>,
}

impl OneDevice {
    /// Reads the group on a device.
    ///
    /// # Errors
    /// When there is none, it lies on other devices too, or something of it is not understood.
    pub(crate) fn open(volume: &dyn ReadAt) -> Result<Self, Doubt> {
        let reading = Doubt::reading("the label");
        let found = super::label_sector(volume).map_err(reading)?;
        let found = found.filter(|(label, _)| label.intact);
        let (label, sector) = found.ok_or_else(|| Doubt::because("its label is damaged"))?;
        let text = newest_text(volume, &label)?;
        let group = group::parse(&text)?;
        let [physical] = &group.physical[..] else {
            return Err(Doubt::because("its volume group has other physical volumes, too"));
        };
        let is_moving =
            |volume: &Logical| volume.strange.as_deref().is_some_and(|word| MOVING.contains(&word));
        if let Some(moving) = group.logical.iter().find(|volume| is_moving(volume)) {
            return Err(Doubt::because(format!("the move of {} was not finished", moving.name)));
        }
        let start = physical.start;
        Ok(Self { label, sector, text, group, start })
    }

    /// Bytes of an extent.
    pub(crate) fn extent(&self) -> u64 {
        self.group.extent
    }

    /// Byte of its first extent: what lies before it stays.
    pub(crate) fn start(&self) -> u64 {
        self.start
    }

    /// The name of the group.
    pub(crate) fn name(&self) -> &str {
        &self.group.name
    }

    /// Its logical volumes.
    pub(crate) fn volumes(&self) -> impl Iterator<Item = Inside<'_>> {
        self.group.logical.iter().map(|volume| Inside {
            name: &volume.name,
            extents: extents_of(volume),
            placement: self.linear(volume),
        })
    }

    /// Extents that a device of `size` bytes has.
    pub(crate) fn capacity(&self, size: u64) -> u64 {
        let end = self.areas(size).into_iter().map(|area| area.start).filter(|at| *at > self.start);
        let end = end.min().unwrap_or(size);
        end.saturating_sub(self.start).checked_div(self.group.extent).unwrap_or(0)
    }

    /// Extents that are allocated.
    pub(crate) fn allocated(&self) -> u64 {
        let segments = self.group.logical.iter().flat_map(|volume| &volume.segments);
        let areas = segments.map(|segment| {
            let own = segment.areas.iter().filter(|area| matches!(area, Area::Physical(..)));
            segment.area_extents.saturating_mul(own.count() as u64)
        });
        areas.fold(0, u64::saturating_add)
    }

    /// The device with `size` bytes, on which the volumes in `sizes` have only so many extents.
    ///
    /// # Errors
    /// When what is left has no room, or the metadata none for what describes it.
    pub(crate) fn resized(
        &self,
        size: u64,
        sizes: &HashMap<String, u64>,
    ) -> Result<Smaller, Doubt> {
        let volumes: Vec<Logical> = self.group.logical.iter().map(|it| cut(it, sizes)).collect();
        let extents = self.capacity(size);
        let placed = self.place(&volumes, extents)?;
        let mut moved = Vec::new();
        for ((volume, segment, _), stretches) in &placed {
            let Some(logical) = volumes.get(*volume) else { continue };
            let first = first_extent(logical, *segment);
            let is_linear = self.linear(logical).is_some();
            for stretch in stretches {
                let within = self.bytes(first.saturating_add(stretch.skipped));
                moved.push(Moved {
                    to: self.start.saturating_add(self.bytes(stretch.to)),
                    from: self.start.saturating_add(self.bytes(stretch.from)),
                    len: self.bytes(stretch.count),
                    volume: is_linear.then(|| (logical.name.clone(), within)),
                });
            }
        }
        moved.sort_by_key(|it| it.to);
        let text = self.rewritten(size, extents, &volumes, &placed)?;
        Ok(Smaller { moved, written: self.written(size, &text)? })
    }

    /// Extents that a device of `size` bytes has more.
    pub(crate) fn more(&self, size: u64) -> u64 {
        let now: u64 = self.group.physical.iter().map(|physical| physical.extents).sum();
        self.capacity(size).saturating_sub(now)
    }

    /// The device with `size` bytes, of which `volume`, a linear one, takes all that it has more. Nothing moves.
    ///
    /// # Errors
    /// When the metadata have no room for what describes it.
    pub(crate) fn grown(&self, size: u64, volume: Option<&str>) -> Result<Larger, Doubt> {
        let extents = self.capacity(size);
        let more = self.more(size);
        let mut volumes = self.group.logical.clone();
        let mut grown = volumes.iter_mut().find(|it| Some(it.name.as_str()) == volume);
        if let Some(grown) = &mut grown {
            let areas = vec![Area::Physical(0, extents.saturating_sub(more))];
            let kind = "striped".to_owned();
            let stripe = Some(u64::MAX);
            grown.segments.push(Segment { extents: more, kind, stripe, area_extents: more, areas });
        }
        let placement = grown.and_then(|grown| self.linear(grown));
        let placed = self.place(&volumes, extents)?;
        let text = self.rewritten(size, extents, &volumes, &placed)?;
        Ok(Larger { written: self.written(size, &text)?, placement })
    }

    fn bytes(&self, extents: u64) -> u64 {
        extents.saturating_mul(self.group.extent)
    }

    /// The bytes of a volume that is linear and that nothing depends on.
    fn linear(&self, volume: &Logical) -> Option<Placement> {
        let is_linear = |segment: &Segment| {
            segment.is_linear() && matches!(segment.areas[..], [Area::Physical(..)])
        };
        let is_plain = volume.visible && !volume.referred && volume.strange.is_none();
        if !is_plain || !volume.segments.iter().all(is_linear) {
            return None;
        }
        let mut placement = Placement::default();
        for segment in &volume.segments {
            let [Area::Physical(_, first)] = segment.areas[..] else { return None };
            let at = self.start.checked_add(self.bytes(first))?;
            let len = self.bytes(segment.extents);
            placement.push(len, len, vec![Some(crate::volume::Spot::here(at))]);
        }
        Some(placement)
    }

    /// Places for all areas among the first `extents`.
    fn place(&self, volumes: &[Logical], extents: u64) -> Result<Placed, Doubt> {
        let mut room = Room::new(extents);
        for (at, volume) in volumes.iter().enumerate() {
            for (number, segment) in volume.segments.iter().enumerate() {
                let is_linear = segment.is_linear();
                for (index, area) in segment.areas.iter().enumerate() {
                    if let Area::Physical(_, first) = area {
                        room.add((at, number, index), *first, segment.area_extents, is_linear);
                    }
                }
            }
        }
        room.place().ok_or_else(|| {
            Doubt::because(format!(
                "what its logical volumes take of {} has no room in {extents} extents",
                self.group.name
            ))
        })
    }

    /// The metadata areas on a device of that size: those at the start stay, the others keep their distance from
    /// the end.
    fn areas(&self, size: u64) -> Vec<Extent> {
        let mut end = size;
        let mut areas: Vec<Extent> = self.label.areas().to_vec();
        for area in areas.iter_mut().rev().filter(|area| area.start >= self.start) {
            let start = end.saturating_sub(area.len());
            let start = start.saturating_sub(start.checked_rem(ALIGNMENT).unwrap_or(0));
            *area = Extent { start, end: start.saturating_add(area.len()) };
            end = start;
        }
        areas
    }

    /// The text of the group as it will be.
    fn rewritten(
        &self,
        size: u64,
        extents: u64,
        volumes: &[Logical],
        placed: &Placed,
    ) -> Result<String, Doubt> {
        let damaged = || Doubt::because("its metadata contradicts itself");
        let most = placed.values().map(Vec::len).fold(volumes.len(), usize::saturating_add);
        let most = volumes.iter().map(|it| it.segments.len()).fold(most, usize::saturating_add);
        let names: Vec<String> = (1..=most).map(|number| format!("segment{number}")).collect();
        let mut top = Section::parse(self.text.trim_end_matches('\0')).ok_or_else(damaged)?;
        let group = top.section_mut(&self.group.name).ok_or_else(damaged)?;
        group.set_number("seqno", self.group.seqno.saturating_add(1));
        let devices = group.section_mut("physical_volumes").ok_or_else(damaged)?;
        let [(_, device)] = &mut devices.sections_mut()[..] else { return Err(damaged()) };
        device.set_number("pe_count", extents);
        device.set_number("dev_size", size.checked_div(SECTOR).unwrap_or(0));
        for (at, volume) in volumes.iter().enumerate() {
            let logical = group.section_mut("logical_volumes");
            let section = logical.and_then(|all| all.section_mut(&volume.name));
            let section = section.ok_or_else(damaged)?;
            let stretches = |segment, index| placed.get(&(at, segment, index)).map(Vec::as_slice);
            rewrite_segments(section, volume, &names, stretches).ok_or_else(damaged)?;
        }
        let mut text = String::new();
        top.write(&mut text);
        text.push('\0');
        let reread = group::parse(&text)?;
        (reread.logical.len() == volumes.len()).then_some(text).ok_or_else(damaged)
    }

    /// Label and metadata areas as they will be.
    fn written(&self, size: u64, text: &str) -> Result<Vec<(u64, Vec<u8>)>, Doubt> {
        let areas = self.areas(size);
        let label = label::rewritten(&self.sector.bytes, size, &areas);
        let label = label.ok_or_else(|| Doubt::because("its label is damaged"))?;
        let mut written = vec![(self.sector.at, label)];
        for area in areas {
            let bytes = area::write(area, text.as_bytes()).ok_or_else(|| {
                Doubt::because("its metadata areas are too small for what describes the move")
            })?;
            written.push((area.start, bytes));
        }
        Ok(written)
    }
}

/// Where each area went: by volume, segment and place in the segment.
pub(super) type Placed = HashMap<(usize, usize, usize), Vec<Stretch>>;

/// The one text that all areas hold.
fn newest_text(volume: &dyn ReadAt, label: &Label) -> Result<String, Doubt> {
    let mut newest: Option<Vec<u8>> = None;
    for area in label.areas() {
        match area::read(volume, *area)? {
            Found::Text(text) if newest.as_ref().is_none_or(|other| *other == text) => {
                newest = Some(text);
            }
            _ => return Err(Doubt::because("its metadata areas differ, or one is not in use")),
        }
    }
    let newest = newest.ok_or_else(|| Doubt::because("it has no metadata"))?;
    String::from_utf8(newest).map_err(|_| Doubt::because("its metadata is no text"))
}

fn extents_of(volume: &Logical) -> u64 {
    volume.segments.iter().fold(0, |sum, segment| sum.saturating_add(segment.extents))
}

fn first_extent(volume: &Logical, segment: usize) -> u64 {
    volume.segments.iter().take(segment).fold(0, |sum, it| sum.saturating_add(it.extents))
}

/// The volume, of a linear one only as many extents as it gets.
fn cut(volume: &Logical, sizes: &HashMap<String, u64>) -> Logical {
    let mut left = sizes.get(&volume.name).copied().unwrap_or(u64::MAX);
    let mut segments = Vec::new();
    for segment in &volume.segments {
        let extents = segment.extents.min(left);
        left = left.saturating_sub(extents);
        if extents == segment.extents {
            segments.push(segment.clone());
        } else if extents > 0 {
            segments.push(Segment { extents, area_extents: extents, ..segment.clone() });
        }
    }
    Logical { segments, ..volume.clone() }
}

/// Puts segments in the place of those of a volume.
fn rewrite_segments<'a, 's>(
    section: &mut Section<'a>,
    volume: &Logical,
    names: &'a [String],
    stretches: impl Fn(usize, usize) -> Option<&'s [Stretch]>,
) -> Option<()> {
    let mut before: Vec<Section<'a>> =
        section.sections().iter().map(|(_, segment)| segment.clone()).collect();
    before.sort_by_key(|segment| segment.number("start_extent"));
    let mut after = Vec::new();
    let mut start = 0u64;
    for (number, segment) in volume.segments.iter().enumerate() {
        // One that is new is like the last one.
        let was = before.get(number).or(before.last())?;
        let is_linear = segment.is_linear();
        let lengths: Vec<u64> = match stretches(number, 0).filter(|_| is_linear) {
            Some(parts) => parts.iter().map(|part| part.count).collect(),
            None => vec![segment.extents],
        };
        for (part, extents) in lengths.into_iter().enumerate() {
            let mut one = was.clone();
            one.set_number("start_extent", start);
            one.set_number("extent_count", extents);
            for key in ["stripes", "mirrors"] {
                if let Some(list) = one.list(key) {
                    let list = moved_list(list, |index| stretches(number, index)?.get(part))?;
                    one.set_list(key, list);
                }
            }
            start = start.checked_add(extents)?;
            after.push(one);
        }
    }
    section.set_number("segment_count", after.len() as u64);
    let named: Vec<_> = names.iter().map(String::as_str).zip(after).collect();
    *section.sections_mut() = named;
    Some(())
}

/// Pairs of a volume's name and an extent of it, of which those on the device have moved.
fn moved_list<'a, 's>(
    list: &[Value<'a>],
    to: impl Fn(usize) -> Option<&'s Stretch>,
) -> Option<Vec<Value<'a>>> {
    let mut moved = list.to_vec();
    for (index, pair) in moved.chunks_mut(2).enumerate() {
        if let ([_, extent], Some(stretch)) = (pair, to(index)) {
            *extent = Value::Number(i64::try_from(stretch.to).ok()?);
        }
    }
    Some(moved)
}
