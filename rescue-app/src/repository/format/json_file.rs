//! The small files of a repository: JSON, compressed and sealed, named by the sealed bytes' sum
//! (restic `doc/design.rst`, "Unpacked Data Format").

use std::io::Read;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::crypto::Key;
use super::{Id, compression};
use crate::repository::error::{RepositoryError, Result, WRONG_SUM};
use crate::store::{FileKind, Store};

/// First byte of a plain text that continues with a zstd frame.
const COMPRESSED: u8 = 2;

/// The largest such file accepted, in bytes; restic's index files have a few MB.
const FILE_LIMIT: u64 = 64 << 20;

/// The largest JSON text of an index file accepted, in bytes; that of a full one has about 9 MB.
const INDEX_TEXT_LIMIT: u64 = 128 << 20;

/// The largest JSON text of any other file accepted, in bytes: a thousand times the usual.
const TEXT_LIMIT: u64 = 1 << 20;

/// The sealed form of a value, and its name.
pub(super) fn seal(key: &Key, value: &impl Serialize) -> Result<(Id, Vec<u8>)> {
    let json = to_json(value)?;
    let mut plain = vec![COMPRESSED];
    plain.append(&mut compression::compress_text(&json)?);
    let sealed = key.seal(&plain)?;
    Ok((Id::of(&sealed), sealed))
}

/// Seals and stores a value; returns its name.
pub(in crate::repository) fn save(
    store: &dyn Store,
    key: &Key,
    kind: FileKind,
    value: &impl Serialize,
) -> Result<Id> {
    let (id, sealed) = seal(key, value)?;
    store.write(kind, &id.to_string(), &sealed)?;
    Ok(id)
}

/// Reads, proves and parses a file.
pub(in crate::repository) fn load<T: DeserializeOwned>(
    store: &dyn Store,
    key: &Key,
    kind: FileKind,
    id: &Id,
) -> Result<T> {
    let name = id.to_string();
    let mut sealed = store.read(kind, &name, FILE_LIMIT)?;
    let damaged = |problem: String| RepositoryError::Damaged { kind, name: name.clone(), problem };
    if Id::of(&sealed) != *id {
        return Err(damaged(WRONG_SUM.to_owned()));
    }
    let limit = if kind == FileKind::Index { INDEX_TEXT_LIMIT } else { TEXT_LIMIT };
    let plain = open(key, &mut sealed).map_err(damaged)?;
    parse_plain(plain, limit).map_err(damaged)
}

/// Opens and parses the sealed bytes of a file; errors say what is wrong with them.
pub(in crate::repository) fn parse<T: DeserializeOwned>(
    key: &Key,
    sealed: &mut [u8],
) -> Result<T, String> {
    parse_plain(open(key, sealed)?, TEXT_LIMIT)
}

fn open<'s>(key: &Key, sealed: &'s mut [u8]) -> Result<&'s [u8], String> {
    let plain = key.open_in_place(sealed);
    Ok(plain.ok_or("it was altered, or sealed with another key")?)
}

/// Parses an opened file: JSON as it is, or [`COMPRESSED`] and zstd, of at most `limit` bytes.
fn parse_plain<T: DeserializeOwned>(plain: &[u8], limit: u64) -> Result<T, String> {
    let too_long = || format!("it has more than the {limit} bytes a sane one can have");
    match plain.split_first() {
        Some((&COMPRESSED, frame)) => {
            let text = compression::bounded_reader(frame).map_err(|error| error.to_string())?;
            let mut json = Vec::new();
            text.take(limit + 1).read_to_end(&mut json).map_err(|error| error.to_string())?;
            if json.len() as u64 > limit {
                return Err(too_long());
            }
            serde_json::from_slice(&json).map_err(|error| error.to_string())
        }
        Some((b'{' | b'[', _)) if plain.len() as u64 > limit => Err(too_long()),
        Some((b'{' | b'[', _)) => serde_json::from_slice(plain).map_err(|error| error.to_string()),
        _ => Err("unknown encoding".to_owned()),
    }
}

/// The JSON text of a value.
pub(in crate::repository) fn to_json(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut json = Vec::new();
    write_json(value, &mut json)?;
    Ok(json)
}

/// Appends the JSON text of a value.
pub(super) fn write_json(value: &impl Serialize, json: &mut Vec<u8>) -> Result<()> {
    serde_json::to_writer(json, value).map_err(|error| RepositoryError::Refused {
        what: format!("JSON ({error})"),
        problem: "a value in it cannot be written down",
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn both_encodings_are_read() {
        let key = Key::random().unwrap();
        let value = json!({"a": [1, 2, 3]});
        let (id, mut sealed) = seal(&key, &value).unwrap();
        assert_eq!(id, Id::of(&sealed));
        assert_eq!(parse::<Value>(&key, &mut sealed).unwrap(), value);
        let mut plain = key.seal(value.to_string().as_bytes()).unwrap();
        assert_eq!(parse::<Value>(&key, &mut plain).unwrap(), value);
        assert!(parse::<Value>(&key, &mut key.seal(b"").unwrap()).is_err());
        assert!(parse::<Value>(&key, &mut key.seal(b"\x01{}").unwrap()).is_err());
    }

    proptest! {
        #[test]
        fn no_plain_text_makes_the_parser_panic(mut plain in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse_plain::<Value>(&plain, TEXT_LIMIT);
            plain.insert(0, COMPRESSED);
            let _ = parse_plain::<Value>(&plain, TEXT_LIMIT);
        }
    }
}
