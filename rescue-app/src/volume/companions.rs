//! The other volumes that something spread over several of them is read from.

use super::kind::Kind;
use crate::bytes::Window;

/// The volumes beside the one that is inspected; members of the same Btrfs, volume group or array
/// may be among them. They are asked for only by what is spread, so that an implementation may
/// look for them as late as that.
pub trait Companions: Sync {
    /// The volumes recognised as `kind`, those of the same disk first.
    ///
    /// The inspected volume itself may be among them, and so may copies and leftovers of members:
    /// the reader has to tell by the identities in it whether one belongs, and to check whatever it
    /// reads there as if it had been damaged.
    fn of_kind(&self, kind: Kind) -> Vec<Window<'_>>;
}

/// No other volumes.
pub struct Alone;

impl Companions for Alone {
    fn of_kind(&self, _kind: Kind) -> Vec<Window<'_>> {
        Vec::new()
    }
}
