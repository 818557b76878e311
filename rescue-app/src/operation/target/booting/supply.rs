//! A program where firmware that has no entry for a disk looks for one (UEFI specification 2.10, 3.5.1.1).

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::bytes::{Extent, ReadAt, Window};
use crate::disk::mount::mount_read_write;
use crate::disk::{Disk, Source, ioctl};
use crate::inspect;
use crate::operation::error::OperationError;
use crate::tool;
use crate::volume::{EntryKind, Scrutiny};

use super::super::partition::Partition;
use super::esp::{Esp, is_shim};

/// Bytes that are compared at a time.
const STEP: u64 = 1 << 20;

/// Programs that are put where firmware without an entry looks for one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Supply {
    /// Number of the partition.
    pub partition: u32,
    /// Where it lies on the target.
    #[serde(skip)]
    pub(super) place: Extent,
    /// Which files become which, the program itself last.
    pub copies: Vec<FileCopy>,
}

/// A file of a partition under another name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileCopy {
    /// `\EFI\debian\shimx64.efi`.
    pub from: String,
    /// `\EFI\BOOT\BOOTX64.EFI`.
    pub to: String,
}

/// What has to be copied where there is no program that firmware looks for: `first` is the one that it
/// started, whose system it is then, of which shim comes before what it starts. shim brings what it starts along, since it looks beside itself; not its fallback, which
/// would look for lists of entries.
pub(super) fn find(esp: &Esp<'_>, first: Option<&str>) -> Vec<FileCopy> {
    let is_usual = |path: &str| path.to_ascii_uppercase().starts_with("\\EFI\\BOOT\\");
    let first = first.filter(|path| !is_usual(path));
    let folder = |path: &str| path.rsplit_once('\\').map(|(folder, _)| folder.to_ascii_uppercase());
    let all = esp.installed();
    let beside_first = all.iter().filter(|path| first.is_some_and(|it| folder(it) == folder(path)));
    let installed = beside_first.cloned().chain(first.map(ToOwned::to_owned)).chain(all.clone());
    let mut installed = installed.collect::<Vec<_>>().into_iter();
    let Some((from, to)) = installed.find_map(|from| esp.usual_path(&from).map(|to| (from, to)))
    else {
        return Vec::new();
    };
    if esp.find(&to).is_some() {
        return Vec::new();
    }
    let folder = from.rsplit_once('\\').map_or("", |(folder, _)| folder);
    let beside = match is_shim(&from) {
        true => esp.names(folder, EntryKind::File),
        false => Vec::new(),
    };
    let beside = beside.into_iter().filter(|name| {
        let name = name.to_ascii_lowercase();
        let is_other = ["shim", "fb", "fallback"].iter().all(|first| !name.starts_with(first));
        name.ends_with(".efi") && is_other
    });
    let copies = beside.map(|name| FileCopy {
        from: format!("{folder}\\{name}"),
        to: format!("\\EFI\\BOOT\\{name}"),
    });
    let copies = copies.filter(|copy| esp.find(&copy.to).is_none());
    let copies: Vec<FileCopy> = copies.collect();
    copies.into_iter().chain([FileCopy { from, to }]).collect()
}

impl Supply {
    /// What will be done.
    pub(super) fn sentence(&self) -> String {
        format!(
            "partition {} has no program where firmware without an entry for this disk looks for one: it \
             gets {} once all is written",
            self.partition,
            self.files()
        )
    }

    fn files(&self) -> String {
        let each =
            self.copies.iter().rev().map(|FileCopy { from, to }| format!("{to} from {from}"));
        each.collect::<Vec<_>>().join(", ")
    }

    /// Copies the files on a target that is complete; what was done, or what to warn of.
    pub(super) fn carry_out(&self, target: &Disk) -> Result<String, String> {
        let done = self.copy(target).and_then(|()| self.read_back(target));
        match done {
            Ok(()) => Ok(format!("partition {} got {}", self.partition, self.files())),
            Err(error) => Err(format!(
                "partition {} did not get {}: {error}; firmware that has no entry for this disk may not start \
                 it: copy it there, or add an entry in the firmware's own menu",
                self.partition,
                self.files()
            )),
        }
    }

    fn copy(&self, target: &Disk) -> Result<(), OperationError> {
        let device = Partition::find(target, Some(self.partition), self.place)?;
        let folder = TemporaryFolder::new()?;
        let mounted = mount_read_write(&target.path, &device.path, "vfat", &folder.0)?;
        for copy in &self.copies {
            let copied = copy.carry_out(mounted.dir());
            copied.map_err(|error| OperationError::io(format!("writing {}", copy.to), error))?;
        }
        Ok(mounted.unmount()?)
    }

    /// Compares what the target gives back with what it was copied from.
    fn read_back(&self, target: &Disk) -> Result<(), OperationError> {
        let device = File::open(&target.path).and_then(|it| Ok(ioctl::flush_buffers(&it)?));
        device.map_err(|error| OperationError::io("emptying the target's cache", error))?;
        let disk = Source::open(&target.path)?;
        let volume = Window::new(&disk, self.place.start, self.place.len());
        let wrong = |what: String| OperationError::io(what, io::ErrorKind::InvalidData.into());
        let tree = inspect::files(&volume, Scrutiny::Lenient);
        let tree = tree.map_err(|error| wrong(format!("reading it back ({error})")))?;
        let esp = Esp { tree: tree.as_ref() };
        for FileCopy { from, to } in &self.copies {
            let files = esp.open(from).zip(esp.open(to));
            let same = files
                .is_some_and(|(from, to)| is_same(from.as_ref(), to.as_ref()).unwrap_or(false));
            if !same {
                return Err(wrong(format!("{to} is read back otherwise than it was written")));
            }
        }
        Ok(())
    }
}

impl FileCopy {
    /// In a folder where the partition is mounted. What is there by now stays.
    fn carry_out(&self, folder: &Path) -> io::Result<()> {
        let inside = |path: &str| {
            path.split('\\')
                .filter(|name| !name.is_empty())
                .fold(folder.to_owned(), |at, name| at.join(name))
        };
        let (from, to) = (inside(&self.from), inside(&self.to));
        to.parent().map_or(Ok(()), fs::create_dir_all)?;
        let mut new = File::create_new(&to)?;
        io::copy(&mut File::open(from)?, &mut new)?;
        new.sync_all()
    }
}

fn is_same(one: &dyn ReadAt, other: &dyn ReadAt) -> io::Result<bool> {
    if one.size() != other.size() {
        return Ok(false);
    }
    let mut at = 0u64;
    while at < one.size() {
        let len = usize::try_from(STEP.min(one.size() - at)).map_err(io::Error::other)?;
        if one.read_vec(at, len)? != other.read_vec(at, len)? {
            return Ok(false);
        }
        at += STEP;
    }
    Ok(true)
}

/// A new empty folder to mount in, removed again.
struct TemporaryFolder(PathBuf);

impl TemporaryFolder {
    fn new() -> Result<Self, OperationError> {
        let made = tool::temporary_folder().map(Self);
        made.map_err(|error| OperationError::io("making a folder to mount in", error))
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        // What cannot be removed is an empty folder.
        let _ = fs::remove_dir(&self.0);
    }
}
