//! Registry hives, as far as looking one key up needs.
//!
//! Source: "Windows registry file format specification" (libregf).

use crate::bytes::{ReadAt, le16, le32, slice};
use crate::volume::probe::{has, piece};
use crate::volume::text;

/// Offsets count from the end of the base block.
const BASE: u64 = 4096;
/// Bytes of a named key before its name.
const KEY: usize = 76;
/// Bytes of a value before its name.
const VALUE: usize = 20;
/// Names of keys have 255 characters at most.
const LONGEST_NAME: usize = 512;
/// More subkeys or values than this are not searched.
const MOST_ENTRIES: u16 = u16::MAX;
const MOST_VALUES: u32 = 4096;
/// More cells than this are not read in one look-up.
const MOST_CELLS: usize = 20_000;

/// An open hive.
pub(super) struct Hive<'a> {
    file: &'a dyn ReadAt,
    root: u32,
}

/// A key.
pub(super) struct Key(Vec<u8>);

impl<'a> Hive<'a> {
    /// Reads the base block.
    pub(super) fn open(file: &'a dyn ReadAt) -> Option<Self> {
        let base = file.read_vec(0, 512).ok()?;
        has(&base, 0, b"regf").then_some(Self { file, root: le32(&base, 36)? })
    }

    /// The start of a cell's content; `most` bytes or all.
    fn cell(&self, offset: u32, most: usize) -> Option<Vec<u8>> {
        let at = BASE.checked_add(offset.into())?;
        let size: [u8; 4] = self.file.read_vec(at, 4).ok()?.try_into().ok()?;
        // Cells in use have negative sizes.
        let size = i32::from_le_bytes(size).checked_neg()?;
        let len = usize::try_from(size).ok()?.checked_sub(4)?.min(most);
        self.file.read_vec(at.checked_add(4)?, len).ok()
    }

    fn key(&self, offset: u32) -> Option<Key> {
        let cell = self.cell(offset, KEY.saturating_add(LONGEST_NAME))?;
        has(&cell, 0, b"nk").then_some(Key(cell))
    }

    /// The key at a path from the root.
    pub(super) fn find(&self, path: &[&str]) -> Option<Key> {
        let mut left = MOST_CELLS;
        path.iter().try_fold(self.key(self.root)?, |key, name| self.child(&key, name, &mut left))
    }

    fn child(&self, key: &Key, name: &str, left: &mut usize) -> Option<Key> {
        if le32(&key.0, 20)? == 0 {
            return None;
        }
        let list = self.list(le32(&key.0, 28)?)?;
        if !has(&list, 0, b"ri") {
            return self.in_list(&list, name, left);
        }
        let count = usize::from(le16(&list, 2)?);
        let lists = list.get(4..)?.chunks_exact(4).take(count).filter_map(|entry| le32(entry, 0));
        lists.filter_map(|offset| self.list(offset)).find_map(|list| {
            *left = left.checked_sub(1)?;
            self.in_list(&list, name, left)
        })
    }

    fn list(&self, offset: u32) -> Option<Vec<u8>> {
        self.cell(offset, usize::from(MOST_ENTRIES).saturating_mul(8).saturating_add(4))
    }

    /// Looks for a name among keys that are listed with a hash of their names, or without.
    fn in_list(&self, list: &[u8], name: &str, left: &mut usize) -> Option<Key> {
        let (width, hash) = match piece::<2>(list, 0)? {
            [b'l', b'h'] => (8, Some(hash(name))),
            [b'l', b'f'] => (8, None),
            [b'l', b'i'] => (4, None),
            _ => return None,
        };
        let entries = list.get(4..)?.chunks_exact(width).take(le16(list, 2)?.into());
        let candidates = entries.filter(|entry| hash.is_none() || le32(entry, 4) == hash);
        for offset in candidates.filter_map(|entry| le32(entry, 0)) {
            *left = left.checked_sub(1)?;
            if let Some(key) = self.key(offset).filter(|key| key.is(name)) {
                return Some(key);
            }
        }
        None
    }

    /// A value that is text, by its name.
    pub(super) fn text(&self, key: &Key, name: &str) -> Option<String> {
        /// A longer text is not read, bytes.
        const LONGEST_TEXT: u32 = 1024;
        /// The type of a value: `REG_SZ`.
        const TEXT: u32 = 1;
        /// In the size of a value: it stands where its offset would.
        const RESIDENT: u32 = 1 << 31;
        let count = usize::try_from(le32(&key.0, 36)?.min(MOST_VALUES)).ok()?;
        let list = self.cell(le32(&key.0, 40)?, count.checked_mul(4)?)?;
        let mut values = list.chunks_exact(4).filter_map(|entry| {
            let value = self.cell(le32(entry, 0)?, VALUE.saturating_add(LONGEST_NAME))?;
            has(&value, 0, b"vk").then_some(value)
        });
        let value =
            values.find(|value| value_name(value).is_some_and(|found| same(&found, name)))?;
        let size = le32(&value, 4)?;
        if le32(&value, 12)? != TEXT || size & RESIDENT != 0 || size > LONGEST_TEXT {
            return None;
        }
        text::label_utf16(&self.cell(le32(&value, 8)?, usize::try_from(size).ok()?)?)
    }
}

impl Key {
    fn is(&self, name: &str) -> bool {
        /// `KEY_COMP_NAME`: the name has one byte a character.
        const ASCII: u16 = 0x20;
        let bytes = le16(&self.0, 72).and_then(|len| slice(&self.0, KEY, len.into()));
        let ascii = le16(&self.0, 2).is_some_and(|flags| flags & ASCII != 0);
        bytes.is_some_and(|bytes| same(&decoded(bytes, ascii), name))
    }
}

fn value_name(value: &[u8]) -> Option<String> {
    /// `VALUE_COMP_NAME`: the name has one byte a character.
    const ASCII: u16 = 1;
    let bytes = slice(value, VALUE, le16(value, 2)?.into())?;
    Some(decoded(bytes, le16(value, 16)? & ASCII != 0))
}

fn decoded(bytes: &[u8], ascii: bool) -> String {
    match ascii {
        true => bytes.iter().copied().map(char::from).collect(),
        false => text::utf16(bytes),
    }
}

fn same(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

/// The hash in lists of the kind `lh`.
fn hash(name: &str) -> u32 {
    name.chars().fold(0, |hash: u32, character| {
        hash.wrapping_mul(37).wrapping_add(character.to_ascii_uppercase().into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hive that Windows' own library wrote (`offreg.dll`), which the tests of the crate
    /// `nt-hive` read. Its author lists what is in it.
    #[test]
    fn keys_and_values_that_windows_wrote_are_found() {
        let path = "../build/foreign/nt-hive/testdata/testhive";
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        let file = std::fs::read(&path).unwrap_or_else(|_| {
            panic!("{} is missing: scripts/fetch-foreign-images", path.display());
        });
        let hive = Hive::open(&file).unwrap();
        let key = hive.find(&["Data-Test"]).unwrap();
        assert_eq!(hive.text(&key, "REG-SZ").as_deref(), Some("sz-test"));
        let ended = hive.text(&key, "reg-sz-with-terminating-nul");
        assert_eq!(ended.as_deref(), Some("sz-test"));
        assert_eq!(hive.text(&key, "dword"), None, "a number");
        // So many that Windows makes a list of lists.
        for number in 0..512 {
            assert!(hive.find(&["subkey-test", &format!("key{number}")]).is_some(), "{number}");
        }
        assert!(hive.find(&["subkey-test", "key512"]).is_none());
    }
}
