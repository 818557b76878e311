//! Loop devices.

use std::path::Path;

use crate::tool::{succeeds, tool};

/// A loop device over a file: unmounted and detached when dropped.
pub struct Loop(String);

impl Loop {
    /// Over that file.
    #[track_caller]
    pub fn new(file: impl AsRef<Path>) -> Self {
        Self::with(&[], file)
    }

    /// With more options of `losetup`.
    #[track_caller]
    pub fn with(options: &[&str], file: impl AsRef<Path>) -> Self {
        let file = file.as_ref().to_str().unwrap();
        let args = [&["--find", "--show"], options, &[file]].concat();
        Self(tool("losetup", &args).trim().to_owned())
    }

    /// With a number that `losetup --find` gives to nobody: for tests that detach it and attach
    /// something else, while others look for a free one.
    #[track_caller]
    pub fn numbered(number: u32, file: impl AsRef<Path>) -> Self {
        let device = format!("/dev/loop{number}");
        tool("losetup", &[Path::new(&device), file.as_ref()]);
        Self(device)
    }

    /// The device's path.
    pub fn path(&self) -> &Path {
        Path::new(&self.0)
    }

    /// The same as a word of a command.
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        // Most are not mounted, and some were detached by their test.
        let _ = succeeds("umount", &[&self.0]);
        let _ = succeeds("losetup", &["-d", &self.0]);
    }
}
