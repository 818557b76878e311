//! Labels and identities in the forms that the filesystems' own tools print.

use std::fmt::Write as _;

/// A label in single-byte or UTF-8 text, cut at the first NUL and trimmed; `None` when empty.
pub(crate) fn label(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    clean(&String::from_utf8_lossy(bytes.get(..end)?))
}

/// A label in UTF-16 (little-endian), cut at the first NUL and trimmed; `None` when empty.
pub(crate) fn label_utf16(bytes: &[u8]) -> Option<String> {
    clean(&utf16(bytes))
}

/// A name in UTF-16 (little-endian), cut at the first NUL.
pub(crate) fn utf16(bytes: &[u8]) -> String {
    decode(units(bytes))
}

/// A name in UTF-16 (big-endian).
pub(crate) fn utf16_be(bytes: &[u8]) -> String {
    let units = bytes.chunks_exact(2).filter_map(|pair| pair.try_into().ok());
    decode(units.map(u16::from_be_bytes))
}

fn units(bytes: &[u8]) -> impl Iterator<Item = u16> {
    let units =
        bytes.chunks_exact(2).filter_map(|pair| pair.try_into().ok().map(u16::from_le_bytes));
    units.take_while(|&unit| unit != 0)
}

fn decode(units: impl Iterator<Item = u16>) -> String {
    char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

fn clean(text: &str) -> Option<String> {
    let text = printable(text.trim());
    (!text.is_empty()).then_some(text)
}

/// Control characters would reach a terminal: they become `?`.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The 8-4-4-4-12 form of a UUID stored in big-endian order; `None` when it is all zero.
pub(crate) fn uuid(bytes: [u8; 16]) -> Option<String> {
    if bytes == [0; 16] {
        return None;
    }
    let digits = hex(&bytes);
    let part = |from, to| digits.get(from..to);
    Some([part(0, 8)?, part(8, 12)?, part(12, 16)?, part(16, 20)?, part(20, 32)?].join("-"))
}

/// The same form of a GUID as Windows stores it, its first three parts in little-endian order;
/// `None` when it is all zero.
pub(crate) fn guid([a, b, c, d, e, f, g, h, rest @ ..]: [u8; 16]) -> Option<String> {
    let [i, j, k, l, m, n, o, p] = rest;
    uuid([d, c, b, a, f, e, h, g, i, j, k, l, m, n, o, p])
}

/// A 32-bit volume serial number as Windows prints it: `1A2B-3C4D`.
pub(crate) fn serial32(serial: u32) -> String {
    format!("{:04X}-{:04X}", serial >> 16, serial & 0xffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_trimmed_and_harmless() {
        assert_eq!(label(b"root\0junk").as_deref(), Some("root"));
        assert_eq!(label(b"DATA       ").as_deref(), Some("DATA"));
        assert_eq!(label(b"a\x1b[2Jb").as_deref(), Some("a?[2Jb"));
        assert_eq!(label(b"   \0"), None);
        assert_eq!(label_utf16(b"W\0i\0n\0\0\0x\0").as_deref(), Some("Win"));
        assert_eq!(label_utf16(&[0x00, 0xd8]).as_deref(), Some("\u{fffd}"));
    }

    #[test]
    fn identities_have_their_usual_form() {
        let mut bytes = [0u8; 16];
        assert_eq!(uuid(bytes), None);
        for (value, byte) in (0u8..).zip(&mut bytes) {
            *byte = value;
        }
        assert_eq!(uuid(bytes).as_deref(), Some("00010203-0405-0607-0809-0a0b0c0d0e0f"));
        assert_eq!(guid(bytes).as_deref(), Some("03020100-0504-0706-0809-0a0b0c0d0e0f"));
        assert_eq!(serial32(0x00ab_12cd), "00AB-12CD");
    }
}
