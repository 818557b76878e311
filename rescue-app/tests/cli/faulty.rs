//! Disks that fail, as files: QEMU's storage daemon injects errors sector by sector (its drivers
//! `blkdebug` and `null-co`).

use std::fs;
use std::path::{Path, PathBuf};

use common::Exported;
use serde_json::{Value, json};

/// A failing disk; it goes away when dropped.
pub struct Faulty(Exported);

impl Faulty {
    /// The image with sectors (of 512 bytes) that cannot be read.
    pub fn reading(image: &Path, sectors: &[u64]) -> Self {
        Self::blkdebug(image, "read", sectors, false)
    }

    /// The image, for writing, with sectors that cannot be written.
    pub fn writing(image: &Path, sectors: &[u64]) -> Self {
        Self::blkdebug(image, "write", sectors, true)
    }

    /// A disk that takes everything and keeps nothing.
    pub fn forgetful(size: u64) -> Self {
        let node = json!({
            "driver": "null-co", "node-name": "top", "size": size, "read-zeroes": true,
        });
        Self(Exported::new(&[], &[node], size, true))
    }

    fn blkdebug(image: &Path, kind: &str, sectors: &[u64], writable: bool) -> Self {
        let rule = |sector: &u64| json!({ "event": "none", "iotype": kind, "errno": 5, "sector": sector, "once": false });
        let errors: Vec<Value> = sectors.iter().map(rule).collect();
        // What only reads leaves the image file free for captures.
        let file = json!({
            "driver": "file", "node-name": "file", "filename": image, "read-only": !writable,
        });
        let top = json!({
            "driver": "blkdebug", "node-name": "top", "image": "file", "inject-error": errors,
            "read-only": !writable,
        });
        let size = fs::metadata(image).unwrap().len();
        Self(Exported::new(&[], &[file, top], size, writable))
    }

    /// The disk.
    pub fn path(&self) -> PathBuf {
        self.0.path()
    }

    /// The same as an argument.
    pub fn arg(&self) -> String {
        self.path().to_str().unwrap().to_owned()
    }
}
