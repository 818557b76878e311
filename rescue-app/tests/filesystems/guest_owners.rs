//! Whose given bytes are, on filesystems that another kernel wrote: every sector of these files has
//! a content of its own, so that where it lies tells whose it is.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use lifeboat::bytes::{Extents, ReadAt};
use lifeboat::inspect::owners;

use crate::tools::{self, Volume};

const SECTOR: usize = 512;

/// Whole sectors of the files below a folder, with the path that they have below `to`.
fn sectors(folder: &Path, to: &str, all: &mut HashMap<Vec<u8>, String>) {
    for name in tools::hashes(folder).into_keys() {
        let file = folder.join(&name);
        if !file.is_file() {
            continue;
        }
        let path = format!("{to}/{}", name.display());
        let content = fs::read(&file).unwrap();
        let sectors = content.chunks_exact(SECTOR);
        all.extend(sectors.map(|sector| (sector.to_vec(), path.clone())));
    }
}

/// The files of `tree` are those of the image, but for some that were removed or cut short.
pub fn check(image: &Path, used: &Extents, tree: &Path, name: &str) {
    let mut known = HashMap::new();
    sectors(&tree.join("first"), "/a", &mut known);
    sectors(&tree.join("second"), "/b", &mut known);
    let volume = Volume::open(image);
    let mut found = Vec::new();
    for extent in used.iter() {
        let bytes = volume.read_vec(extent.start, usize::try_from(extent.len()).unwrap()).unwrap();
        for (at, sector) in (extent.start..).step_by(SECTOR).zip(bytes.chunks_exact(SECTOR)) {
            found.extend(known.get(sector).map(|path| (at, path)));
        }
    }
    assert!(found.len() > 1000, "{name}: {} sectors", found.len());
    for (at, path) in found.iter().step_by(found.len() / 100) {
        let owners = owners(&volume, &Extents::of(*at, at + 512));
        let named: Vec<_> = owners.files.iter().map(|file| (&file.path, file.bytes)).collect();
        assert_eq!(named, [(*path, 512)], "{name}: byte {at}, {:?}", owners.note);
        assert_eq!((owners.metadata, owners.note), (0, None), "{name}: byte {at}");
    }
    let start = owners(&volume, &Extents::of(0, 512));
    assert_eq!((start.metadata, start.files.len()), (512, 0), "{name}");
}
