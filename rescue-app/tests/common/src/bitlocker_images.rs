//! Volumes that Windows encrypted with BitLocker: the test data of Debian's source package of
//! cryptsetup, as `scripts/fetch-foreign-images` lays them out.

use std::fs;
use std::path::PathBuf;

use crate::project;

/// A volume. Most of its content was cut out to make it small: zeros stand in its place.
pub struct Image {
    /// The file.
    pub path: PathBuf,
    /// Its name without the ending: which kind of encryption it has.
    pub name: String,
    facts: String,
}

impl Image {
    /// What the list that comes with the images says of it.
    pub fn fact(&self, key: &str) -> Option<&str> {
        let found = self.facts.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        found.filter(|fact| !fact.is_empty())
    }
}

/// All of them.
pub fn all() -> Vec<Image> {
    let folder = project().join("build/foreign/cryptsetup/bitlk-images");
    let list = folder.join("images.conf");
    assert!(list.is_file(), "{} is missing: scripts/fetch-foreign-images", list.display());
    let list = fs::read_to_string(list).unwrap();
    let image = |section: &str| {
        let (name, facts) = section.split_once(']').unwrap();
        let path = folder.join(format!("{name}.img"));
        Image { path, name: name.to_owned(), facts: facts.to_owned() }
    };
    list.split('[').skip(1).map(image).collect()
}
