//! Disks that fail, as files: QEMU's storage daemon exports an image through FUSE and injects
//! errors sector by sector (its drivers `blkdebug` and `null-co`).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// The longest that the daemon may take to start.
const START: Duration = Duration::from_secs(30);

/// A failing disk; it goes away when dropped.
pub struct Faulty {
    daemon: Child,
    folder: TempDir,
}

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
        Self::export(&[node], size, true)
    }

    fn blkdebug(image: &Path, kind: &str, sectors: &[u64], writable: bool) -> Self {
        let rule = |sector: &u64| json!({ "event": "none", "iotype": kind, "errno": 5, "sector": sector, "once": false });
        let errors: Vec<Value> = sectors.iter().map(rule).collect();
        let file = json!({ "driver": "file", "node-name": "file", "filename": image });
        let top = json!({
            "driver": "blkdebug", "node-name": "top", "image": "file", "inject-error": errors,
        });
        Self::export(&[file, top], fs::metadata(image).unwrap().len(), writable)
    }

    fn export(nodes: &[Value], size: u64, writable: bool) -> Self {
        let folder = tempfile::Builder::new().prefix("lifeboat-faulty-").tempdir().unwrap();
        let disk = folder.path().join("disk");
        fs::write(&disk, b"").unwrap();
        let mut command = Command::new("qemu-storage-daemon");
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

    /// The disk.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    /// The same as an argument.
    pub fn arg(&self) -> String {
        self.path().to_str().unwrap().to_owned()
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
        let _ = Command::new("umount").arg("-l").arg(self.path()).stderr(Stdio::null()).status();
    }
}
