//! What the metadata areas of one device hold together.

use crate::bytes::ReadAt;
use crate::volume::Doubt;

use super::area::{self, Found};
use super::group::{self, Group};
use super::label::Label;

/// What a device says of its volume group.
pub(super) enum Metadata {
    /// The group, from the newest of the intact copies.
    Group(Group),
    /// There is no group.
    Unused,
    /// The device keeps no metadata, or none that is up to date.
    Elsewhere,
}

/// Reads all copies.
pub(super) fn newest(
    volume: &dyn ReadAt,
    label: &Label,
    warnings: &mut Vec<String>,
) -> Result<Metadata, Doubt> {
    let mut newest: Option<Group> = None;
    let mut damage = None;
    let mut empty = false;
    let areas = label.metadata.as_ref();
    let areas = areas.ok_or_else(|| Doubt::because("the label's list of metadata has no end"))?;
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
            Ok(Metadata::Group(group))
        }
        (None, Some(doubt)) => Err(doubt),
        (None, None) if empty => Ok(Metadata::Unused),
        (None, None) => Ok(Metadata::Elsewhere),
    }
}
