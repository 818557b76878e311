//! What QEMU's storage daemon makes of images, as files through FUSE.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::tool::succeeds;

/// The longest that the daemon may take to start.
const START: Duration = Duration::from_secs(30);

/// A file that is there as long as this is.
pub struct Exported {
    daemon: Child,
    folder: TempDir,
}

impl Exported {
    /// Exports the node named `top` of `nodes`, which has `size` bytes. `objects` are what the nodes
    /// refer to, such as secrets.
    pub fn new(objects: &[Value], nodes: &[Value], size: u64, writable: bool) -> Self {
        let folder = tempfile::Builder::new().prefix("lifeboat-exported-").tempdir().unwrap();
        let disk = folder.path().join("disk");
        fs::write(&disk, b"").unwrap();
        let mut command = Command::new("qemu-storage-daemon");
        for object in objects {
            command.args(["--object", &object.to_string()]);
        }
        for node in nodes {
            command.args(["--blockdev", &node.to_string()]);
        }
        let export = json!({
            "type": "fuse", "id": "disk", "node-name": "top", "mountpoint": disk,
            "writable": writable, "growable": false,
        });
        command.args(["--export", &export.to_string()]).stdin(Stdio::null());
        let mut daemon = command
            .spawn()
            .unwrap_or_else(|error| panic!("qemu-storage-daemon: {error}; run `make setup`"));
        let limit = Instant::now() + START;
        while fs::metadata(&disk).unwrap().len() != size {
            assert!(daemon.try_wait().unwrap().is_none(), "qemu-storage-daemon ended");
            assert!(Instant::now() < limit, "qemu-storage-daemon does not export the disk");
            thread::sleep(Duration::from_millis(10));
        }
        Self { daemon, folder }
    }

    /// The file.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("disk")
    }
}

impl Drop for Exported {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
        let _ = succeeds("umount", &[Path::new("-l"), &self.path()]);
    }
}
