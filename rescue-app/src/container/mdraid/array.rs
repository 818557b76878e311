//! An array's content, from the members that are there.

use super::{Level, Share, members};
use crate::bytes::Window;
use crate::volume::{Companions, Doubt, Kind, Placement, Spot};

/// More members than this are not looked for; md has 384 roles in a superblock of version 1 at most.
const MOST: u32 = 384;

/// Where the content of the array with the identity `uuid` lies, seen from the member with the share
/// `own`; and the other members.
pub(super) fn assemble<'a>(
    own: &Share,
    uuid: Option<&str>,
    companions: &'a dyn Companions,
) -> Result<(Placement, Vec<Window<'a>>), Doubt> {
    let mut placement = Placement::default();
    let mut others = Vec::new();
    match own.level {
        Level::Mirror => placement = Placement::at(own.data),
        Level::Linear => {
            for (share, spot) in all(own, uuid, companions, &mut others)? {
                placement.push(share.data.len(), share.data.len(), vec![Some(spot)]);
            }
        }
        Level::Striped(chunk) => {
            let members = all(own, uuid, companions, &mut others)?;
            if members.iter().any(|(share, _)| share.data.len() != own.data.len()) {
                return Err(Doubt::because("the members of its array differ in size"));
            }
            let len = own.data.len().saturating_mul(members.len() as u64);
            placement.push(len, chunk, members.into_iter().map(|(_, spot)| Some(spot)).collect());
        }
    }
    Ok((placement, others))
}

/// Every member in the order of their roles. Those beside the own one are put into `others`.
fn all<'a>(
    own: &Share,
    uuid: Option<&str>,
    companions: &'a dyn Companions,
    others: &mut Vec<Window<'a>>,
) -> Result<Vec<(Share, Spot)>, Doubt> {
    let missing = || {
        let words = format!("its array has {} members, and not all of them are here", own.members);
        Doubt::because(words)
    };
    if own.members > MOST {
        return Err(missing());
    }
    let mut found = vec![(own.clone(), Spot::here(own.data.start))];
    for window in companions.of_kind(Kind::MdRaid) {
        let Some(share) = share_of(&window, uuid) else { continue };
        let like = (share.level, share.members, share.events);
        if share.role == own.role || like != (own.level, own.members, own.events) {
            continue;
        }
        if found.iter().any(|(known, _)| known.role == share.role) {
            return Err(Doubt::because("a member of its array is there twice"));
        }
        let spot = Spot { other: Some(others.len()), at: share.data.start };
        others.push(window);
        found.push((share, spot));
    }
    found.sort_by_key(|(share, _)| share.role);
    if found.len() as u64 == u64::from(own.members) { Ok(found) } else { Err(missing()) }
}

/// The share of a volume in the array with that identity.
fn share_of(volume: &Window<'_>, uuid: Option<&str>) -> Option<Share> {
    let mut members = members(volume).ok()?.into_iter();
    let (member, None) = (members.next()?, members.next()) else { return None };
    (uuid.is_some() && member.uuid.as_deref() == uuid).then(|| member.share.ok()).flatten()
}
