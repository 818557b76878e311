//! Signatures of before, where the image leaves the target's bytes as they are.
//!
//! A restored partition would be taken for what was there earlier: `mdadm` assembles the old array
//! over it, `mount` finds two filesystems and takes neither. The bytes that make such a signature
//! are erased, wherever [`crate::signature`] looks and the image holds no used byte.

use crate::bytes::{Extent, Extents};
use crate::signature::Signature;
use crate::transfer::{Transfer, written};

use super::scope::Scope;
use super::state::{TargetState, names};

/// What is erased of a target.
#[derive(Clone, Debug, Default)]
pub(in crate::operation) struct Stale {
    /// The signatures, by their places on the target.
    pub(in crate::operation) signatures: Vec<Signature>,
    /// Their bytes.
    pub(in crate::operation) bytes: Extents,
    /// What could not be looked at.
    pub(in crate::operation) unknown: Option<String>,
}

impl Stale {
    /// Looks for what `volumes` of the target show besides what the transfers write, within what
    /// is `replaced`.
    pub(in crate::operation) fn find(
        state: &TargetState,
        transfers: &[Transfer],
        volumes: &[Extent],
        replaced: &Extents,
    ) -> Self {
        let written = written(transfers);
        let mut stale = Self::default();
        for volume in volumes {
            match state.signatures_at(*volume) {
                Ok(found) => {
                    found.into_iter().for_each(|found| stale.add(found, &written, replaced));
                }
                Err(error) => stale.unknown = Some(error.to_string()),
            }
        }
        stale.signatures.sort_by_key(|signature| (signature.offset, signature.name));
        stale.signatures.dedup();
        stale
    }

    fn add(&mut self, signature: Signature, written: &Extents, replaced: &Extents) {
        let free = written.gaps_within(signature.offset, signature.end()).intersection(replaced);
        if !free.is_empty() {
            self.bytes = self.bytes.union(&free);
            self.signatures.push(signature);
        }
    }

    /// For a person, if there is something to say.
    pub(in crate::operation) fn notices(&self) -> Vec<String> {
        let erased = (!self.signatures.is_empty()).then(|| {
            format!(
                "signatures of before in places that are left as they are will be erased: \
                 {}",
                names(&self.signatures)
            )
        });
        let unknown = self.unknown.as_ref().map(|why| {
            format!(
                "places where signatures of before may be cannot be read ({why}): look at the \
                 target with wipefs afterwards"
            )
        });
        erased.into_iter().chain(unknown).collect()
    }
}

/// The volumes that the target will have, and what of it is replaced.
pub(in crate::operation) fn volumes(
    state: &TargetState,
    partitions: impl Iterator<Item = Extent>,
    scope: Scope,
    kept: &Extents,
) -> (Vec<Extent>, Extents) {
    let size = state.survey.disk.size;
    let partitions = partitions.map(|place| Extent { end: place.end.min(size), ..place });
    let mut volumes: Vec<Extent> = partitions.filter(|place| !place.is_empty()).collect();
    if !scope.replaces_all() {
        let replaced = volumes.iter().map(|place| (place.start, place.len()));
        let replaced = Extents::from(replaced.collect::<Vec<_>>());
        return (volumes, replaced);
    }
    volumes.push(Extent { start: 0, end: size });
    (volumes, kept.gaps_within(0, size))
}
