//! The other devices of a volume group, as far as they are there.

use crate::bytes::Window;
use crate::volume::{Companions, Doubt, Kind};

use super::group::Group;
use super::label::Label;
use super::metadata::{self, Metadata};

/// A physical volume of LVM, by what lies on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhysicalVolume {
    /// Its identity, without dashes.
    pub id: String,
    /// Its group; `None` when it leaves that to other members to know.
    pub group: Option<VolumeGroup>,
}

/// A volume group in one of the states that it was in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeGroup {
    /// Its identity.
    pub id: String,
    /// Grows with every change of the group.
    pub seqno: u64,
    /// The identities of its physical volumes, without dashes.
    pub members: Vec<String>,
}

/// Another physical volume.
pub(super) struct Other<'a> {
    /// Its identity.
    pub(super) id: String,
    /// Its bytes.
    pub(super) window: Window<'a>,
    /// The group as it knows it.
    group: Option<Group>,
}

/// All other physical volumes, of whatever group.
pub(super) struct Others<'a>(Vec<Other<'a>>);

impl<'a> Others<'a> {
    /// Looks at the volumes beside the one with the label `own`. Of those with the same identity,
    /// such as a disk and its copy, none is taken.
    pub(super) fn find(companions: &'a dyn Companions, own: &Label) -> Self {
        let mut found: Vec<Other<'a>> = Vec::new();
        let mut twice = Vec::new();
        for window in companions.of_kind(Kind::Lvm2) {
            let label = super::label(&window).ok().flatten().filter(|label| label.intact);
            let Some(label) = label.filter(|label| label.id != own.id) else { continue };
            let Some(id) = label.id.clone() else { continue };
            if found.iter().any(|other| other.id == id) {
                twice.push(id);
                continue;
            }
            let group = match metadata::newest(&window, &label, &mut Vec::new()) {
                Ok(Metadata::Group(group)) => Some(group),
                Ok(Metadata::Elsewhere) => None,
                // What is damaged, or belongs to no group, is nothing to rely on.
                Ok(Metadata::Unused) | Err(_) => continue,
            };
            found.push(Other { id, window, group });
        }
        found.retain(|other| !twice.contains(&other.id));
        Self(found)
    }

    /// The newest metadata on them of the group that the device with the label `own` belongs to.
    pub(super) fn newest(&self, own: &Label) -> Result<Option<&Group>, Doubt> {
        let knows = |group: &&Group| group.physical.iter().any(|p| own.id.as_ref() == Some(&p.id));
        let groups: Vec<&Group> =
            self.0.iter().filter_map(|other| other.group.as_ref()).filter(knows).collect();
        let newest = groups.iter().copied().max_by_key(|group| group.seqno);
        if groups.iter().any(|group| newest.is_some_and(|newest| newest.id != group.id)) {
            return Err(Doubt::because("two volume groups claim it"));
        }
        Ok(newest)
    }

    /// Those of `group` that know it as it is, or leave it to others to know.
    pub(super) fn of(self, group: &Group) -> Vec<Other<'a>> {
        let belongs = |other: &Other<'_>| {
            group.physical.iter().any(|physical| physical.id == other.id)
                && other.group.as_ref().is_none_or(|known| known == group)
        };
        self.0.into_iter().filter(belongs).collect()
    }
}
