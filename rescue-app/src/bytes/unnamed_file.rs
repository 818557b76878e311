//! Files that nobody else sees and that are gone with the program.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// A new file in a folder, for its owner alone, whose name is removed at once.
///
/// # Errors
/// The system's, as when the folder takes no files.
pub fn unnamed_file(folder: &Path) -> io::Result<File> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let path = folder.join(format!(".lifeboat-{}", hex::encode(random)));
    let file = File::options().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}
