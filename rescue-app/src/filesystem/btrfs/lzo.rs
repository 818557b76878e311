//! The compression LZO1X, as Btrfs frames it.
//!
//! Source: Linux `Documentation/staging/lzo.rst`; `fs/btrfs/lzo.c`.

use crate::bytes::{le16, le32, slice};
use crate::volume::probe::byte;

/// Bytes of the lengths that stand before all, and before each part.
const LENGTH: usize = 4;

/// What a file's compressed extent holds, at most `len` bytes: parts of a sector each, whose length
/// does not lie across two sectors. `None` when it makes no sense.
pub(super) fn expand_extent(stored: &[u8], len: usize, sector: usize) -> Option<Vec<u8>> {
    let total = usize::try_from(le32(stored, 0)?).ok()?;
    let stored = stored.get(..total)?;
    let (mut bytes, mut at) = (Vec::new(), LENGTH);
    while at < stored.len() && bytes.len() < len {
        let left = sector.checked_sub(at.checked_rem(sector)?)?;
        if left < LENGTH {
            at = at.checked_add(left)?;
            continue;
        }
        let size = usize::try_from(le32(stored, at)?).ok()?;
        at = at.checked_add(LENGTH)?;
        let room = sector.min(len.checked_sub(bytes.len())?);
        bytes.extend(expand(slice(stored, at, size)?, room)?);
        at = at.checked_add(size)?;
    }
    Some(bytes)
}

/// What the last instruction leaves behind.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    /// A copy with no literals behind it, or the start.
    Copy,
    /// A copy with one to three literals behind it.
    FewLiterals,
    /// Four or more literals.
    Literals,
}

struct Decoder<'a> {
    stored: &'a [u8],
    bytes: Vec<u8>,
    most: usize,
}

/// What one part holds, at most `most` bytes.
fn expand(stored: &[u8], most: usize) -> Option<Vec<u8>> {
    let mut decoder = Decoder { stored, bytes: Vec::new(), most };
    let mut after = decoder.first()?;
    while let Some(next) = decoder.instruction(after)? {
        after = next;
    }
    Some(decoder.bytes)
}

impl Decoder<'_> {
    fn take(&mut self) -> Option<u8> {
        let (first, rest) = self.stored.split_first()?;
        self.stored = rest;
        Some(*first)
    }

    fn literals(&mut self, count: usize) -> Option<()> {
        let (literals, rest) = self.stored.split_at_checked(count)?;
        self.bytes.len().checked_add(count).filter(|len| *len <= self.most)?;
        self.bytes.extend(literals);
        self.stored = rest;
        Some(())
    }

    /// Copies from so far back, and then literals; a copy may reach into itself.
    fn copy(&mut self, back: usize, len: usize, literals: u8) -> Option<After> {
        let from = self.bytes.len().checked_sub(back)?;
        self.bytes.len().checked_add(len).filter(|len| *len <= self.most)?;
        for at in from..from.checked_add(len)? {
            self.bytes.push(*self.bytes.get(at)?);
        }
        self.literals(literals.into())?;
        Some(if literals == 0 { After::Copy } else { After::FewLiterals })
    }

    /// A length whose bits in the instruction were all zero goes on in bytes: 255 for each zero, and
    /// the first that is none.
    fn length(&mut self, bits: u8, largest: usize) -> Option<usize> {
        if bits != 0 {
            return Some(bits.into());
        }
        let mut length = largest;
        loop {
            match self.take()? {
                0 => length = length.checked_add(255).filter(|length| *length <= self.most)?,
                last => return length.checked_add(last.into()),
            }
        }
    }

    /// The first byte may stand for literals alone.
    fn first(&mut self) -> Option<After> {
        match byte(self.stored, 0)? {
            first @ 18.. => {
                self.take()?;
                let count = first.checked_sub(17)?;
                self.literals(count.into())?;
                Some(if count < 4 { After::FewLiterals } else { After::Literals })
            }
            _ => Some(After::Copy),
        }
    }

    /// The next instruction; `Some(None)` is the end.
    fn instruction(&mut self, after: After) -> Option<Option<After>> {
        let code = self.take()?;
        match code {
            0..16 => self.short(code, after).map(Some),
            16..32 => self.far(code),
            32..64 => {
                let len = self.length(code & 31, 31)?.checked_add(2)?;
                let (back, literals) = self.distance()?;
                self.copy(back.checked_add(1)?, len, literals).map(Some)
            }
            64.. => {
                // Three and four bytes below 128, five to eight from there on.
                let len = (code >> 5).checked_add(1)?;
                let back = usize::from(self.take()?) << 3 | usize::from(code >> 2 & 7);
                self.copy(back.checked_add(1)?, len.into(), code & 3).map(Some)
            }
        }
    }

    /// Many literals, or a copy of two or three bytes.
    fn short(&mut self, code: u8, after: After) -> Option<After> {
        if after == After::Copy {
            let count = self.length(code, 15)?.checked_add(3)?;
            self.literals(count)?;
            return Some(After::Literals);
        }
        let back = usize::from(self.take()?) << 2 | usize::from(code >> 2);
        match after {
            After::Literals => self.copy(back.checked_add(2049)?, 3, code & 3),
            After::FewLiterals | After::Copy => self.copy(back.checked_add(1)?, 2, code & 3),
        }
    }

    /// A copy from 16 KiB back or further, or the end.
    fn far(&mut self, code: u8) -> Option<Option<After>> {
        let len = self.length(code & 7, 7)?.checked_add(2)?;
        let (distance, literals) = self.distance()?;
        let distance = distance | usize::from(code >> 3 & 1) << 14;
        if distance == 0 {
            return Some(None);
        }
        self.copy(distance.checked_add(16384)?, len, literals).map(Some)
    }

    /// Fourteen bits of a distance, and two that count literals.
    fn distance(&mut self) -> Option<(usize, u8)> {
        let word = le16(self.stored, 0)?;
        self.stored = self.stored.get(2..)?;
        Some((usize::from(word >> 2), u8::try_from(word & 3).ok()?))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn literals_copies_and_the_end_are_told_apart() {
        // Five literals; three bytes from five back with one literal; the end.
        let stored = [22, b'a', b'b', b'c', b'd', b'e', 64 | 4 << 2 | 1, 0, b'x', 17, 0, 0];
        assert_eq!(expand(&stored, 100).unwrap(), b"abcdeabcx");
        assert_eq!(expand(&stored, 8), None, "more than there is room for");
        // A copy of a byte that runs into itself: 2 + 31 + 7 bytes.
        let stored = [18, b'z', 32, 7, 0, 0, 17, 0, 0];
        assert_eq!(expand(&stored, 100).unwrap(), vec![b'z'; 41]);
        assert_eq!(expand(&[64, 0, 17, 0, 0], 100), None, "from before the start");
    }

    #[test]
    fn nothing_makes_it_panic_or_give_more_than_was_asked_for() {
        let mut random = 7u32;
        for _ in 0..20_000 {
            let mut bytes = Vec::new();
            for _ in 0..40 {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                bytes.push(random.to_be_bytes().first().copied().unwrap());
            }
            assert!(expand(&bytes, 5000).is_none_or(|found| found.len() <= 5000));
            assert!(expand_extent(&bytes, 5000, 4096).is_none_or(|found| found.len() <= 5000));
        }
    }
}
