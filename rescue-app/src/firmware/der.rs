//! Values in DER (ITU-T X.690): each a tag, a length and a content.

/// Tags of the values that certificates are made of.
pub(super) const INTEGER: u8 = 0x02;
pub(super) const OBJECT_ID: u8 = 0x06;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;
/// The first field of its own kind of a sequence, `[0]`.
pub(super) const FIRST: u8 = 0xa0;

/// A value.
#[derive(Clone, Copy)]
pub(super) struct Value<'a> {
    pub(super) tag: u8,
    pub(super) content: &'a [u8],
    /// With its tag and length.
    pub(super) whole: &'a [u8],
}

/// Values in a row; ends at what is none.
#[derive(Clone, Copy)]
pub(super) struct Values<'a>(pub(super) &'a [u8]);

impl<'a> Values<'a> {
    /// The next value, if it has that tag.
    pub(super) fn value(&mut self, tag: u8) -> Option<Value<'a>> {
        self.next().filter(|value| value.tag == tag)
    }

    /// What is in the next value, if it has that tag.
    pub(super) fn enter(&mut self, tag: u8) -> Option<Self> {
        self.value(tag).map(|value| Self(value.content))
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        let (tag, first) = (*self.0.first()?, *self.0.get(1)?);
        // Short form: the length itself; long form: the number of bytes that hold it (8.1.3).
        let long = usize::from(first & 0x7f);
        let (header, len) = match first {
            0..=0x7f => (2, long),
            0x81..=0x84 => {
                let bytes = self.0.get(2..2 + long)?;
                let len = bytes.iter().fold(0u32, |len, byte| (len << 8) | u32::from(*byte));
                (2 + long, usize::try_from(len).ok()?)
            }
            _ => return None,
        };
        let end = len.checked_add(header)?;
        let value = Value { tag, content: self.0.get(header..end)?, whole: self.0.get(..end)? };
        self.0 = self.0.get(end..)?;
        Some(value)
    }
}
