//! Images that others made: the test data of Debian's source packages, as
//! `scripts/fetch-foreign-images` lays them out.

use std::fs;
use std::path::{Path, PathBuf};

use common::project;

/// The test data of a source package.
pub fn folder(package: &str) -> PathBuf {
    let folder = project().join("build/foreign").join(package);
    assert!(folder.is_dir(), "{} is missing: scripts/fetch-foreign-images", folder.display());
    folder
}

/// The files below a folder whose names end so, in order.
pub fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_str().unwrap().ends_with(end) {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "{}: nothing ends in {end}", folder.display());
    found
}
