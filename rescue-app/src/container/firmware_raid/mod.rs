//! Members of arrays that the firmware of a PC or of a controller puts together, as Intel's RAID
//! (Matrix Storage, Rapid Storage, VROC; mdadm's "imsm") and SNIA's Common RAID Disk Data Format
//! (mdadm's "ddf") describe them at the end of the disk. A mirror's member holds the array's
//! content as it is, and the map is that of the content. Of all other levels a member is captured
//! whole.

mod ddf;
mod intel;

use std::io;

use crate::bytes::{Extent, ReadAt};
use crate::volume::{
    Companions, Content, Doubt, Filesystem, Format, Kind, OpenContent, Part, Placement,
};

/// The reader.
pub(crate) struct FirmwareRaid;

/// What the metadata on a disk say of it.
struct Member {
    /// The array's name.
    label: Option<String>,
    /// Where the content of an array lies on it as it is; or why nothing is known of that.
    data: Result<Extent, String>,
}

impl Member {
    fn in_doubt(why: impl Into<String>) -> Self {
        Self { label: None, data: Err(why.into()) }
    }

    /// A spare, or a disk whose arrays were deleted: what is on it belongs to no array.
    fn of_none(size: u64) -> Self {
        Self { label: None, data: Ok(Extent { start: 0, end: size }) }
    }

    /// Of arrays that share a disk the first that can be read: the rest counts as used.
    fn of(arrays: Vec<Self>, size: u64) -> Self {
        let start = |array: &Self| array.data.as_ref().map_or(u64::MAX, |data| data.start);
        arrays.into_iter().min_by_key(start).unwrap_or_else(|| Self::of_none(size))
    }
}

impl Format for FirmwareRaid {
    fn probe(&self, volume: &dyn ReadAt) -> io::Result<Option<Filesystem>> {
        Ok(member(volume)?.map(|member| {
            let container = Filesystem::container(Kind::FirmwareRaid, volume.size(), None);
            Filesystem { label: member.label, ..container }
        }))
    }

    fn content<'a>(&self, volume: &dyn ReadAt, _companions: &'a dyn Companions) -> OpenContent<'a> {
        let found = member(volume).map_err(Doubt::reading("the RAID metadata"))?;
        let Some(member) = found else { return Ok(None) };
        let data = member.data.map_err(Doubt::because)?;
        let array = Part::only(Placement::at(data));
        Ok(Some(Content::around(data, array, volume.size())))
    }

    fn is_container(&self) -> bool {
        true
    }
}

/// What makes changed metadata pass their checksums.
#[cfg(any(test, fuzzing))]
pub(crate) fn seal(volume: &dyn ReadAt) -> Vec<(u64, Vec<u8>)> {
    ddf::seal(volume).into_iter().flatten().chain(intel::seal(volume)).collect()
}

fn member(volume: &dyn ReadAt) -> io::Result<Option<Member>> {
    Ok(intel::member(volume)?.or(ddf::member(volume)?))
}

/// `len` sectors from sector `start` on, when they lie before byte `end`.
fn data(start: u64, len: u64, sector: u64, end: u64) -> Result<Extent, String> {
    let start = start.checked_mul(sector);
    let len = len.checked_mul(sector);
    let range = start
        .zip(len)
        .and_then(|(start, len)| Some(Extent { start, end: start.checked_add(len)? }));
    range
        .filter(|range| !range.is_empty() && range.end <= end)
        .ok_or_else(|| "the geometry in its metadata contradicts itself".to_owned())
}

fn not_mapped(level: &str) -> String {
    format!("members of {level} by the firmware are not mapped by this version")
}
