//! What a file or folder stands on in the end: its filesystem, the devices of that, and what these
//! are made of.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::libc;

use super::attributes::{names_in, text};
use super::loops::{LoopDevice, below, loops};
use super::mount::{Mount, mounts};
use super::object::device_number;
use super::uses::btrfs;
use super::{Disk, DiskError, Object, Sysfs};

/// The layers below one path.
struct Stack<'a> {
    system: &'a Sysfs,
    mounts: Vec<Mount>,
    loops: Vec<LoopDevice>,
    btrfs: Vec<Vec<u64>>,
    found: HashSet<Object>,
}

impl Disk {
    /// Whether writing to the disk would change what lies at `path`, which exists: the filesystem there
    /// is on the disk or on a partition of it, through however many layers (loop devices, device
    /// mapper, md, overlay, Btrfs), or it is the very file.
    ///
    /// # Errors
    /// When the list of mounts cannot be read.
    pub fn holds(&self, path: &Path) -> Result<bool, DiskError> {
        let system = Sysfs::host();
        let mut stack = Stack::new(&system)?;
        stack.add_path(path);
        let Some(own) = Object::at(&self.path) else { return Ok(false) };
        let written = written_with(&stack.loops, own);
        Ok(written.iter().any(|object| stack.found.contains(object)))
    }

    /// The files that writing to the disk changes, as far as there are paths to them: an image file
    /// itself, and the file below a loop device.
    pub fn files(&self) -> Vec<PathBuf> {
        match Object::at(&self.path) {
            Some(Object::Device(number)) => {
                let loops = loops(&Sysfs::host());
                let files = below(&loops, number).into_iter().filter_map(LoopDevice::path);
                files.filter(|path| path.is_file()).map(Path::to_owned).collect()
            }
            _ => vec![self.path.clone()],
        }
    }
}

/// What is written when `object` is: itself, and what it stands on as a loop device.
fn written_with(loops: &[LoopDevice], object: Object) -> Vec<Object> {
    let mut written = vec![object];
    if let Object::Device(number) = object {
        written.extend(below(loops, number).iter().map(|it| it.backing));
    }
    written
}

impl<'a> Stack<'a> {
    fn new(system: &'a Sysfs) -> Result<Self, DiskError> {
        Ok(Self {
            mounts: mounts(&system.proc)?,
            loops: loops(system),
            btrfs: btrfs(system),
            found: HashSet::new(),
            system,
        })
    }

    fn add_path(&mut self, path: &Path) {
        match Object::at(path) {
            Some(Object::Device(number)) => self.add_device(number),
            Some(file) if self.found.insert(file) => self.add_filesystem_at(path),
            _ => {}
        }
    }

    fn add_filesystem_at(&mut self, path: &Path) {
        let id = mount_id(&self.system.proc, path).ok().flatten();
        let Some(mount) = self.mounts.iter().find(|mount| Some(mount.id) == id).cloned() else {
            return;
        };
        if let Some(number) = mount.device() {
            self.add_device(number);
        }
        // Layers of an overlay (`Documentation/filesystems/overlayfs.rst`).
        let layers = ["upperdir", "lowerdir", "lowerdir+", "workdir"].into_iter();
        for paths in layers.filter_map(|name| mount.option(name)) {
            paths_of(&paths).iter().for_each(|layer| self.add_path(layer));
        }
    }

    fn add_device(&mut self, number: u64) {
        if !self.found.insert(Object::Device(number)) {
            return;
        }
        let together = self.btrfs.iter().filter(|devices| devices.contains(&number));
        let mut next: Vec<u64> = together.flatten().copied().collect();
        if let Some(dir) = self.system.dir_of(number) {
            next.extend(parts(&dir));
        }
        next.into_iter().for_each(|number| self.add_device(number));
        let on = self.loops.iter().find(|it| it.number == number).cloned();
        match on {
            Some(LoopDevice { backing: Object::Device(number), .. }) => self.add_device(number),
            Some(on) => {
                self.found.insert(on.backing);
                match on.path() {
                    Some(path) => self.add_filesystem_at(path),
                    None => self.add_filesystem_of(on.backing),
                }
            }
            None => {}
        }
    }

    /// The filesystem of a file to which no path is known, unless its number is anonymous.
    fn add_filesystem_of(&mut self, file: Object) {
        if let Object::File { device, .. } = file
            && self.mounts.iter().any(|it| device_number(&it.device_number) == Some(device))
            && nix::sys::stat::major(device) != 0
        {
            self.add_device(device);
        }
    }
}

/// The numbers of what a device is a part of or made of: the disk of a partition, the devices below
/// device mapper and md.
fn parts(dir: &Path) -> Vec<u64> {
    let slaves = dir.join("slaves");
    let mut parts: Vec<PathBuf> = names_in(&slaves).iter().map(|name| slaves.join(name)).collect();
    if dir.join("partition").exists() {
        parts.extend(dir.parent().map(Path::to_owned));
    }
    parts.iter().filter_map(|dir| device_number(&text(dir, "dev")?)).collect()
}

/// The number of the mount that `path` lies in, as mountinfo counts them (proc(5), `fdinfo`).
fn mount_id(proc: &Path, path: &Path) -> io::Result<Option<u64>> {
    let file: File = OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(path)?;
    let info = fs::read_to_string(proc.join("self/fdinfo").join(file.as_raw_fd().to_string()))?;
    let id = info.lines().find_map(|line| line.strip_prefix("mnt_id:"));
    Ok(id.and_then(|id| id.trim().parse().ok()))
}

/// The folders of an overlay's option, divided by colons of which those in names are escaped.
fn paths_of(option: &Path) -> Vec<PathBuf> {
    let text = option.to_string_lossy();
    let mut paths = vec![String::new()];
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, paths.last_mut()) {
            (':', _) => paths.push(String::new()),
            ('\\', Some(path)) => path.extend(chars.next()),
            (c, Some(path)) => path.push(c),
            (_, None) => {}
        }
    }
    paths.into_iter().filter(|path| !path.is_empty()).map(PathBuf::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_of_an_overlay_may_have_colons_in_their_names() {
        let paths = paths_of(Path::new("/a:/b\\:c::/d"));
        assert_eq!(paths, ["/a", "/b:c", "/d"].map(PathBuf::from));
    }

    #[test]
    fn the_mount_of_a_path_is_found_by_its_number() {
        let system = Sysfs::host();
        let id = mount_id(&system.proc, Path::new("/proc/self")).unwrap();
        let all = mounts(&system.proc).unwrap();
        let found = all.iter().find(|mount| Some(mount.id) == id).unwrap();
        assert_eq!(found.kind, "proc");
    }
}
