//! The boot medium that `make iso` builds.

use std::path::{Path, PathBuf};

/// The bar of the project, in bytes.
const LARGEST_ISO: u64 = 64 << 20;

fn iso() -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../build/lifeboat.iso");
    assert!(path.exists(), "{} is missing: run `make iso` (or `make test`)", path.display());
    path
}

#[test]
fn the_iso_is_small() {
    let size = iso().metadata().unwrap().len();
    assert!(size <= LARGEST_ISO, "the ISO has {size} bytes, more than {LARGEST_ISO}");
}
