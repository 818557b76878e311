//! A volume group as its metadata describes it.
//!
//! Sources: LVM2 `lib/format_text/import_vsn1.c` for the names, `lib/format_text/flags.c` for the
//! words in `status` and `flags`; vgcfgbackup(8) writes the same text.

use std::collections::{HashMap, HashSet};

use crate::volume::Doubt;

use super::config::{Section, Value};

/// Metadata counts sizes in sectors of this many bytes.
const SECTOR: u64 = 512;

/// Words in a group's `status` under which nobody else changes it behind our back.
const GROUP_STATUS: [&str; 4] = ["RESIZEABLE", "READ", "WRITE", "EXPORTED"];
/// Words in a physical volume's `status` and `flags`.
const PHYSICAL_STATUS: [&str; 3] = ["ALLOCATABLE", "EXPORTED", "MISSING"];
/// Words in a logical volume's `status` and `flags` that leave its content what its segments say.
const LOGICAL_STATUS: [&str; 5] = ["READ", "WRITE", "VISIBLE", "FIXED_MINOR", "ACTIVATION_SKIP"];

/// A volume group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    /// Its name.
    pub(super) name: String,
    /// Its identity.
    pub(super) id: String,
    /// Grows with every change.
    pub(super) seqno: u64,
    /// Bytes of an extent.
    pub(super) extent: u64,
    /// Its devices.
    pub(super) physical: Vec<Physical>,
    /// Its volumes, hidden ones too.
    pub(super) logical: Vec<Logical>,
}

/// A device of the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Physical {
    /// Its identity, without dashes.
    pub(super) id: String,
    /// First byte of its first extent.
    pub(super) start: u64,
    /// Extents it has.
    pub(super) extents: u64,
    /// Whether the group has given it up for the time being.
    pub(super) missing: bool,
}

/// A logical volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Logical {
    /// Its name.
    pub(super) name: String,
    /// Its identity.
    pub(super) id: String,
    /// Whether it is there for people, not for another volume.
    pub(super) visible: bool,
    /// A word in its status that is not understood.
    pub(super) strange: Option<String>,
    /// Whether another volume is made of it, or reads from it.
    pub(super) referred: bool,
    /// Its segments, which follow each other without a gap.
    pub(super) segments: Vec<Segment>,
}

/// Consecutive extents of a logical volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// Extents of it.
    pub(super) extents: u64,
    /// Its type's name.
    pub(super) kind: String,
    /// For a striped segment (linear is the one with one stripe) the bytes of a turn.
    pub(super) stripe: Option<u64>,
    /// Extents that it takes of each area.
    pub(super) area_extents: u64,
    /// Where they lie.
    pub(super) areas: Vec<Area>,
}

impl Segment {
    /// Whether its extents follow each other in one place.
    pub(super) fn is_linear(&self) -> bool {
        self.stripe.is_some() && self.areas.len() == 1
    }
}

/// Where a part of a segment lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Area {
    /// On a device of the group, by its place in the list, from that extent on.
    Physical(usize, u64),
    /// On another logical volume.
    Logical,
}

/// Reads a group from its metadata.
pub(super) fn parse(text: &str) -> Result<Group, Doubt> {
    let top = Section::parse(text.trim_end_matches('\0'))
        .ok_or_else(|| Doubt::because("the text of the metadata cannot be read"))?;
    if top.text("contents") != Some("Text Format Volume Group") || top.number("version") != Some(1)
    {
        return Err(Doubt::because("the metadata is of an unknown version"));
    }
    let [(name, section)] = top.sections() else {
        return Err(Doubt::because("the metadata holds more or less than one volume group"));
    };
    check_group(section)?;
    group(name, section).ok_or_else(|| Doubt::because("the metadata contradicts itself"))?
}

fn check_group(section: &Section<'_>) -> Result<(), Doubt> {
    if section.text("format").is_some_and(|format| format != "lvm2") {
        return Err(Doubt::because("the volume group is not of LVM2's own format"));
    }
    if section.text("lock_type").is_some_and(|kind| kind != "none") {
        return Err(Doubt::because("other machines may use the volume group at the same time"));
    }
    match unknown_word(section, &GROUP_STATUS) {
        None => Ok(()),
        Some(word) => Err(Doubt::because(format!("the volume group has the status {word}"))),
    }
}

/// A word in `status` or `flags` that is not known; what is no word is not known either.
fn unknown_word(section: &Section<'_>, known: &[&str]) -> Option<String> {
    let Some(status) = section.list("status") else { return Some("(none)".to_owned()) };
    let words = status.iter().chain(section.list("flags").unwrap_or_default());
    let mut unknown = words.filter_map(|word| match word {
        Value::Text(word) if known.contains(word) => None,
        Value::Text(word) => Some((*word).to_owned()),
        _ => Some("(not a word)".to_owned()),
    });
    unknown.next()
}

fn has_word(section: &Section<'_>, word: &str) -> bool {
    ["status", "flags"]
        .into_iter()
        .any(|name| section.list(name).unwrap_or_default().contains(&Value::Text(word)))
}

/// `None` when something is missing or contradicts itself.
fn group(name: &str, section: &Section<'_>) -> Option<Result<Group, Doubt>> {
    let extent = section.number("extent_size")?.checked_mul(SECTOR).filter(|size| *size != 0)?;
    let empty = Section::default();
    let devices = section.section("physical_volumes")?.sections();
    let volumes = section.section("logical_volumes").unwrap_or(&empty).sections();
    let mut physical = Vec::new();
    for (_, device) in devices {
        if let Some(word) = unknown_word(device, &PHYSICAL_STATUS) {
            let words = format!("a physical volume has the status {word}");
            return Some(Err(Doubt::because(words)));
        }
        physical.push(self::physical(device)?);
    }
    let names = Names {
        physical: devices.iter().enumerate().map(|(at, (name, _))| (*name, at)).collect(),
        logical: volumes.iter().map(|(name, _)| *name).collect(),
    };
    let mut logical = Vec::new();
    let mut referred = HashSet::new();
    for (name, volume) in volumes {
        match self::logical(name, volume, &names)? {
            Ok(volume) => logical.push(volume),
            Err(doubt) => return Some(Err(doubt)),
        }
        let segments = volume.sections().iter().flat_map(|(_, segment)| segment.texts());
        referred.extend(segments.filter(|text| names.logical.contains(text)));
    }
    for volume in &mut logical {
        volume.referred = referred.contains(volume.name.as_str());
    }
    let (id, seqno) = (section.text("id")?.to_owned(), section.number("seqno")?);
    Some(Ok(Group { name: name.to_owned(), id, seqno, extent, physical, logical }))
}

/// What a string in a segment may name.
struct Names<'a> {
    physical: HashMap<&'a str, usize>,
    logical: HashSet<&'a str>,
}

fn physical(section: &Section<'_>) -> Option<Physical> {
    Some(Physical {
        id: section.text("id")?.replace('-', ""),
        start: section.number("pe_start")?.checked_mul(SECTOR)?,
        extents: section.number("pe_count")?,
        missing: has_word(section, "MISSING"),
    })
}

fn logical(name: &str, section: &Section<'_>, names: &Names<'_>) -> Option<Result<Logical, Doubt>> {
    let mut segments: Vec<(u64, Segment)> = Vec::new();
    for (_, segment) in section.sections() {
        match self::segment(segment, names)? {
            Ok(found) => segments.push((segment.number("start_extent")?, found)),
            Err(doubt) => return Some(Err(doubt)),
        }
    }
    segments.sort_by_key(|(start, _)| *start);
    let mut end = 0u64;
    for (start, segment) in &segments {
        if *start != end {
            return None;
        }
        end = end.checked_add(segment.extents)?;
    }
    if section.number("segment_count")? != segments.len() as u64 {
        return None;
    }
    Some(Ok(Logical {
        name: name.to_owned(),
        id: section.text("id")?.to_owned(),
        visible: has_word(section, "VISIBLE"),
        strange: unknown_word(section, &LOGICAL_STATUS),
        referred: false,
        segments: segments.into_iter().map(|(_, segment)| segment).collect(),
    }))
}

fn segment(section: &Section<'_>, names: &Names<'_>) -> Option<Result<Segment, Doubt>> {
    let extents = section.number("extent_count")?;
    let kind = section.text("type").unwrap_or("striped").to_owned();
    if !matches!(kind.as_str(), "striped" | "linear") {
        return other(section, names, kind, extents);
    }
    let count = section.number("stripe_count")?;
    let areas = areas(section.list("stripes")?, names)?;
    if count == 0 || areas.len() as u64 != count || extents.checked_rem(count)? != 0 {
        return None;
    }
    // One stripe has no turns, and then LVM writes no size of them.
    let stripe = match count {
        1 => u64::MAX,
        _ => section.number("stripe_size")?.checked_mul(SECTOR).filter(|size| *size != 0)?,
    };
    let area_extents = extents.checked_div(count)?;
    Some(Ok(Segment { extents, kind, stripe: Some(stripe), area_extents, areas }))
}

/// Mirrors may lie on devices themselves (`pvmove` makes such), every image as long as the whole;
/// of all others only those that lie on logical volumes are understood.
fn other(
    section: &Section<'_>,
    names: &Names<'_>,
    kind: String,
    extents: u64,
) -> Option<Result<Segment, Doubt>> {
    let mirrors = section.list("mirrors").filter(|_| kind == "mirror");
    let areas = match mirrors {
        Some(list) => areas(list, names)?,
        None if section.texts().iter().any(|text| names.physical.contains_key(text)) => {
            let words = format!("a segment of type {kind} lies on a device itself");
            return Some(Err(Doubt::because(words)));
        }
        None => Vec::new(),
    };
    Some(Ok(Segment { extents, kind, stripe: None, area_extents: extents, areas }))
}

/// Pairs of a volume's name and an extent of it.
fn areas(list: &[Value<'_>], names: &Names<'_>) -> Option<Vec<Area>> {
    let area = |pair: &[Value<'_>]| match pair {
        [Value::Text(name), Value::Number(extent)] => {
            let extent = u64::try_from(*extent).ok()?;
            match names.physical.get(name) {
                Some(device) => Some(Area::Physical(*device, extent)),
                None => names.logical.contains(name).then_some(Area::Logical),
            }
        }
        _ => None,
    };
    list.chunks(2).map(area).collect()
}
