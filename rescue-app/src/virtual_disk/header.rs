//! Headers, field by field.

use std::io;

/// Bytes that fields are put into; zero elsewhere.
pub(super) struct Header(Vec<u8>);

impl Header {
    pub(super) fn new(len: usize) -> Self {
        Self(vec![0; len])
    }

    /// Puts a field at byte `at`, as far as it fits.
    pub(super) fn with(mut self, at: usize, field: &[u8]) -> Self {
        for (to, from) in self.0.iter_mut().skip(at).zip(field) {
            *to = *from;
        }
        self
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

impl From<Vec<u8>> for Header {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

/// A new random identity (UUID version 4, RFC 9562): two disks in a virtual machine must not have the same.
pub(super) fn new_uuid() -> io::Result<[u8; 16]> {
    let mut uuid = [0; 16];
    getrandom::fill(&mut uuid).map_err(|error| io::Error::other(error.to_string()))?;
    // Right in the order of RFC 9562 and in that of Microsoft, whose third field is turned round.
    uuid[6] = (uuid[6] & 0x0f) | 0x40;
    uuid[7] = (uuid[7] & 0x0f) | 0x40;
    uuid[8] = (uuid[8] & 0x3f) | 0x80;
    Ok(uuid)
}
