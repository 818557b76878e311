//! The files of a folder that hold what is in partitions.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::console;
use crate::import::error::ImportError;
use crate::import::packing::Packing;

/// Endings by which Clonezilla tells how a file is packed; what is not here splits it.
const PACKED: [&str; 10] =
    ["uncomp", "gz", "bz2", "lzo", "lz4", "lzma", "xz", "lzip", "lrz", "zst"];

/// The files by their names.
pub(super) struct Files {
    folder: PathBuf,
    /// Names and sizes in bytes, in the order in which pieces follow each other.
    sizes: BTreeMap<String, u64>,
}

/// What a partition holds: pieces of one stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) paths: Vec<PathBuf>,
    /// How they are packed, where only their name tells.
    pub(super) packing: Option<Packing>,
}

impl Files {
    pub(super) fn list(folder: &Path) -> Result<Self, ImportError> {
        let mut sizes = BTreeMap::new();
        for entry in fs::read_dir(folder).map_err(ImportError::reading(folder))? {
            let entry = entry.map_err(ImportError::reading(folder))?;
            let meta = fs::metadata(entry.path()).map_err(ImportError::reading(&entry.path()))?;
            if let (Ok(name), true) = (entry.file_name().into_string(), meta.is_file()) {
                sizes.insert(name, meta.len());
            }
        }
        Ok(Self { folder: folder.to_owned(), sizes })
    }

    /// The pieces of a partition, each with the name of the whole and what tells it from the others.
    fn pieces<'a>(&'a self, part: &'a str) -> impl Iterator<Item = (&'a str, &'a str, u64)> {
        self.sizes.iter().filter_map(move |(name, size)| {
            let rest = name.strip_prefix(part)?.strip_prefix('.')?;
            let at = rest.find("-img")? + "-img".len();
            let (_, ends) = rest.split_at_checked(at)?;
            if ends.ends_with(".info") || !(ends.is_empty() || ends.starts_with('.')) {
                return None;
            }
            match name.rsplit_once('.') {
                Some((whole, piece)) if !ends.is_empty() && !PACKED.contains(&piece) => {
                    Some((whole, piece, *size))
                }
                _ => Some((name.as_str(), "", *size)),
            }
        })
    }

    /// Bytes of the files of a partition.
    pub(super) fn bytes_of(&self, part: &str) -> u64 {
        self.pieces(part).map(|(_, _, size)| size).sum()
    }

    /// The files of a partition.
    ///
    /// # Errors
    /// When there are several sets of them, or a piece is missing between two others.
    pub(super) fn of(&self, part: &str) -> Result<Option<Found>, ImportError> {
        let pieces: Vec<(&str, &str, u64)> = self.pieces(part).collect();
        let Some((whole, first, _)) = pieces.first() else { return Ok(None) };
        let refused = |why: String| {
            let folder = console::path(&self.folder);
            Err(ImportError::refused(
                format!("{folder} is not in order: {why}"),
                "copy the image of Clonezilla anew, with all of its files and no others",
            ))
        };
        if let Some((other, _, _)) = pieces.iter().find(|(other, _, _)| other != whole) {
            return refused(format!("{whole} and {other} are both of {part}"));
        }
        let mut expected = match first.bytes().next() {
            Some(b'a') => "a".repeat(first.len()),
            Some(b'0') => "0".repeat(first.len()),
            _ => (*first).to_owned(),
        };
        for (_, piece, _) in &pieces {
            if *piece != expected {
                return refused(format!("{whole}.{expected} is missing"));
            }
            expected = following(piece);
        }
        let name = |piece: &str| match piece {
            "" => (*whole).to_owned(),
            _ => format!("{whole}.{piece}"),
        };
        let paths = pieces.iter().map(|(_, piece, _)| self.folder.join(name(piece))).collect();
        let packing = whole.ends_with(".lzma").then_some(Packing::Lzma);
        Ok(Some(Found { paths, packing }))
    }
}

/// The next ending that `split` gives: "ab" for "aa", "ba" for "az", "010" for "009".
fn following(piece: &str) -> String {
    let mut bytes = piece.as_bytes().to_vec();
    for byte in bytes.iter_mut().rev() {
        match byte {
            b'z' => *byte = b'a',
            b'9' => *byte = b'0',
            _ => {
                *byte = byte.saturating_add(1);
                break;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(names: &[&str]) -> (tempfile::TempDir, Files) {
        let folder = tempfile::tempdir().unwrap();
        names.iter().for_each(|name| fs::write(folder.path().join(name), b"12").unwrap());
        let files = Files::list(folder.path()).unwrap();
        (folder, files)
    }

    #[test]
    fn pieces_come_in_their_order_and_none_is_missing() {
        let all =
            ["sda1.ntfs-ptcl-img.zst.ab", "sda1.ntfs-ptcl-img.zst.aa", "sda1.info", "sda10.dd-img"];
        let (folder, found) = files(&all);
        let paths =
            ["aa", "ab"].map(|end| folder.path().join(format!("sda1.ntfs-ptcl-img.zst.{end}")));
        let expected = Found { paths: paths.to_vec(), packing: None };
        assert_eq!(found.of("sda1").unwrap(), Some(expected));
        assert_eq!(found.bytes_of("sda1"), 4);
        assert_eq!(found.of("sda2").unwrap(), None);
        assert_eq!(found.of("sda10").unwrap().unwrap().paths.len(), 1);
        for (names, why) in [
            (&["a.x-ptcl-img.gz.aa", "a.x-ptcl-img.gz.ac"][..], "a.x-ptcl-img.gz.ab is missing"),
            (&["a.x-ptcl-img.gz.ab"], "a.x-ptcl-img.gz.aa is missing"),
            (&["a.x-ptcl-img.gz", "a.y-ptcl-img.gz"], "are both of a"),
        ] {
            let error = files(names).1.of("a").unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn one_file_needs_no_ending_and_one_packing_is_told_by_it() {
        for (name, packing) in [
            ("sda1.ext4-ptcl-img.zst", None),
            ("sda1.ext4-ptcl-img.uncomp", None),
            ("sda1.dd-img", None),
            ("sda1.ext4-ptcl-img.lzma.aa", Some(Packing::Lzma)),
        ] {
            let found = files(&[name, "sda1.dd-img.info"]).1.of("sda1").unwrap().unwrap();
            assert_eq!((found.paths.len(), found.packing), (1, packing), "{name}");
        }
        assert_eq!(["aa", "az", "009"].map(following), ["ab", "ba", "010"]);
    }
}
