//! Loop devices and what they stand on.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::attributes::{names_in, text};
use super::object::device_number;
use super::{Object, Sysfs, ioctl};

/// A loop device with a file or device behind it.
#[derive(Clone, Debug)]
pub(super) struct LoopDevice {
    /// Its node.
    pub(super) node: PathBuf,
    /// Its own number.
    pub(super) number: u64,
    /// What it stands on.
    pub(super) backing: Object,
    /// The name that this had when it was attached. It may have another by now, or be in another
    /// mount namespace.
    pub(super) name: PathBuf,
}

impl LoopDevice {
    /// A path that leads to what it stands on, as far as the name still does.
    pub(super) fn path(&self) -> Option<&Path> {
        (Object::at(&self.name) == Some(self.backing)).then_some(self.name.as_path())
    }
}

/// All loop devices in use.
pub(super) fn loops(system: &Sysfs) -> Vec<LoopDevice> {
    let block = system.sys.join("block");
    let names = names_in(&block).into_iter().filter(|name| name.starts_with("loop"));
    names.filter_map(|name| loop_device(system, &block, &name)).collect()
}

fn loop_device(system: &Sysfs, block: &Path, name: &str) -> Option<LoopDevice> {
    let dir = block.join(name);
    let shown = backing_file(&dir)?;
    let node = system.node(name);
    let number = device_number(&text(&dir, "dev")?)?;
    // The numbers first: the name says nothing when the file was renamed or removed.
    let told = File::open(&node).ok().and_then(|file| ioctl::loop_backing(&file).ok());
    let backing = match told {
        Some(found) if found.rdevice != 0 => Object::Device(found.rdevice),
        Some(found) => Object::File { device: found.device, inode: found.inode },
        None => Object::at(&shown)?,
    };
    Some(LoopDevice { node, number, backing, name: shown })
}

/// The attribute as it is, but for the line end: the name of a file may end in blanks.
fn backing_file(dir: &Path) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    let mut name = fs::read(dir.join("loop/backing_file")).ok()?;
    if name.last() == Some(&b'\n') {
        name.pop();
    }
    (!name.is_empty()).then(|| std::ffi::OsString::from_vec(name).into())
}

/// What a device stands on that is written along with it, from the nearest: a loop device's file or
/// device, and again what that stands on.
pub(super) fn below(loops: &[LoopDevice], device: u64) -> Vec<&LoopDevice> {
    let mut chain: Vec<&LoopDevice> = Vec::new();
    let mut at = device;
    while let Some(found) = loops.iter().find(|it| it.number == at) {
        // The kernel refuses circles; a tree that shows one is not followed for ever.
        if chain.len() > loops.len() {
            break;
        }
        chain.push(found);
        match found.backing {
            Object::Device(next) => at = next,
            Object::File { .. } => break,
        }
    }
    chain
}
