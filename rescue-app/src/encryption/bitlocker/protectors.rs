//! What opens a volume: the ways that its master key was wrapped.
//!
//! Source: libbde, "FVE metadata entry", "FVE Volume Master Key (VMK)".

use zeroize::Zeroizing;

use super::keys::Sealed;
use crate::bytes::{le16, slice};
use crate::volume::probe::piece;

/// Header of an entry, bytes.
const HEADER: usize = 8;
/// What stands before the properties of a master key, bytes.
const MASTER_KEY: usize = 28;
/// Types of values.
const VALUE_KEY: u16 = 1;
const VALUE_STRETCHED: u16 = 3;
const VALUE_SEALED: u16 = 5;
/// Kinds of protection.
const BY_CLEAR_KEY: u16 = 0;
const BY_RECOVERY_KEY: u16 = 0x0800;
const BY_PASSWORD: u16 = 0x2000;

/// A piece of metadata.
pub(super) struct Entry<'a> {
    /// What it is.
    pub(super) kind: u16,
    /// The form of its data.
    value: u16,
    /// Its data.
    pub(super) data: &'a [u8],
}

impl Entry<'_> {
    /// Its data if they are a key sealed with another.
    pub(super) fn sealed(&self) -> Option<&[u8]> {
        (self.value == VALUE_SEALED).then_some(self.data)
    }
}

/// The entries that follow each other in `bytes`, up to the first that makes no sense.
pub(super) fn entries(bytes: &[u8]) -> impl Iterator<Item = Entry<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let len = usize::from(le16(rest, 0)?);
        let (entry, after) = rest.split_at_checked(len)?;
        let found =
            Entry { kind: le16(entry, 2)?, value: le16(entry, 4)?, data: entry.get(HEADER..)? };
        rest = after;
        Some(found)
    })
}

/// A master key and what it is wrapped with.
pub(super) struct Protector {
    /// What opens it.
    pub(super) by: Secret,
    /// The master key.
    pub(super) master_key: Sealed,
}

/// What opens a protector.
pub(super) enum Secret {
    /// The key lies beside it: protection is suspended.
    Clear(Zeroizing<Vec<u8>>),
    /// A password, with this salt.
    Password([u8; 16]),
    /// A recovery key, with this salt.
    RecoveryKey([u8; 16]),
}

impl Protector {
    /// `None` for what this version cannot open: TPM, smart card, key file.
    pub(super) fn parse(entry: &Entry<'_>) -> Option<Self> {
        let properties = entry.data.get(MASTER_KEY..)?;
        let property = |value| entries(properties).find(|property| property.value == value);
        // Four bytes of method go before the salt and before a key.
        let salt = || piece(property(VALUE_STRETCHED)?.data, 4);
        let by = match le16(entry.data, 26)? {
            BY_CLEAR_KEY => {
                Secret::Clear(Zeroizing::new(slice(property(VALUE_KEY)?.data, 4, 32)?.to_vec()))
            }
            BY_RECOVERY_KEY => Secret::RecoveryKey(salt()?),
            BY_PASSWORD => Secret::Password(salt()?),
            _ => return None,
        };
        Some(Self { by, master_key: Sealed::parse(&property(VALUE_SEALED)?)? })
    }
}
