//! Copying files out of an image.
//!
//! What is made is new, and no link in it is followed: whatever names and links the image holds, nothing
//! outside of what is made is touched.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;
use serde::Serialize;
use time::OffsetDateTime;

use crate::bytes::is_zero;
use crate::console;
use crate::progress::Control;
use crate::volume::{EntryKind, FileId, FileTree, Stat};

use super::access::RepoAccess;
use super::browse::{BrowseRequest, ImagePlace, at_place};
use super::error::OperationError;

/// How much is copied at once, bytes.
const PIECE: usize = 1 << 20;

/// More folders than this are not gone into.
const MOST_FOLDERS: usize = 1 << 22;

/// So many folders of one image are told apart by a number.
const MOST_TRIES: u32 = 10_000;

/// What was copied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CopyReport {
    /// Where it is now.
    #[serde(serialize_with = "console::serialize_path")]
    pub to: PathBuf,
    /// Plain files.
    pub files: u64,
    /// Folders.
    pub folders: u64,
    /// Links.
    pub links: u64,
    /// Bytes of the files.
    pub bytes: u64,
    /// What was not copied, or not with all that belongs to it.
    pub warnings: Vec<String>,
}

/// Copies the file or folder at a place, with all that is in it, to `to`: into it when that is a folder
/// already, and otherwise under that name. Owners, modes and times come along as far as the image has them
/// and the system lets us.
///
/// # Errors
/// Refuses to overwrite anything; otherwise any failure to read the image or to write. A file that
/// cannot be read is warned of, and left out.
pub fn copy_files(
    request: &BrowseRequest,
    to: &Path,
    control: Control<'_>,
) -> Result<CopyReport, OperationError> {
    at_place(request, control, |tree, file, kind| {
        let name = request.place.path.rsplit('/').next().filter(|name| !name.is_empty());
        let to = match name {
            Some(name) if to.is_dir() => to.join(name),
            _ => to.to_owned(),
        };
        let report = CopyReport { to: to.clone(), ..CopyReport::default() };
        let mut copy = Copy { tree, control, seen: HashSet::new(), report };
        match copy.one(file, kind, &to) {
            Ok(()) => Ok(copy.report),
            Err(Problem::Fatal(error)) => Err(error),
            Err(Problem::Left(why)) => Err(OperationError::refused(
                format!("{} was not copied: {why}", request.place),
                "choose another name, or another file",
            )),
        }
    })
}

/// [`copy_files`] of several, all of one image, into a new folder on the partition that `root` leads to.
///
/// # Errors
/// Those of [`copy_files`] but for single files and folders: these are warned of, and the others copied.
pub fn copy_to_new_folder(
    places: &[ImagePlace],
    repo: &RepoAccess,
    root: &RepoAccess,
    control: Control<'_>,
) -> Result<CopyReport, OperationError> {
    let id = places.first().map_or("", |place| place.image.as_str());
    let Some(root) = root.folder() else {
        return Err(OperationError::refused(
            format!("files cannot be copied to {}", root.location()),
            "choose a place on a disk",
        ));
    };
    let to = new_folder(root, id.get(..8).unwrap_or(id))?;
    let mut whole = CopyReport { to: to.clone(), folders: 1, ..CopyReport::default() };
    for place in places {
        let request = BrowseRequest { place: place.clone(), repo: repo.clone() };
        match copy_files(&request, &to, control) {
            Ok(part) => whole.add(part),
            Err(error) if error.is_refusal() => {
                control.warn(error.to_string());
                whole.warnings.push(error.to_string());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(whole)
}

/// A folder that nobody has made yet.
fn new_folder(root: &Path, id: &str) -> Result<PathBuf, OperationError> {
    let mut number = 1;
    loop {
        let name = match number {
            1 => format!("files-of-{id}"),
            number => format!("files-of-{id}-{number}"),
        };
        let folder = root.join(name);
        match fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < MOST_TRIES => {
                number += 1;
            }
            Err(error) => {
                return Err(OperationError::io(
                    format!("making {}", console::path(&folder)),
                    error,
                ));
            }
        }
    }
}

impl CopyReport {
    fn add(&mut self, part: Self) {
        self.files += part.files;
        self.folders += part.folders;
        self.links += part.links;
        self.bytes += part.bytes;
        self.warnings.extend(part.warnings);
    }
}

struct Copy<'a> {
    tree: &'a dyn FileTree,
    control: Control<'a>,
    /// Folders that were gone into: none is a second time.
    seen: HashSet<FileId>,
    report: CopyReport,
}

/// Why something was not copied.
enum Problem {
    /// Only this one.
    Left(String),
    /// Nothing more can be.
    Fatal(OperationError),
}

impl Copy<'_> {
    fn one(&mut self, file: FileId, kind: EntryKind, to: &Path) -> Result<(), Problem> {
        if self.control.cancel.is_requested() {
            return Err(Problem::Fatal(OperationError::Cancelled));
        }
        match kind {
            EntryKind::File => self.file(file, to)?,
            EntryKind::Folder => self.folder(file, to)?,
            EntryKind::Link => self.link(file, to)?,
            EntryKind::Other => {
                return Err(Problem::Left("it is a device, a pipe or a socket".into()));
            }
        }
        match self.tree.stat(file) {
            Ok(stat) => self.describe(&stat, kind, to),
            Err(error) => self.warn(to, &format!("its owner and times are not known: {error}")),
        }
        Ok(())
    }

    fn warn(&mut self, path: &Path, why: &str) {
        let text = format!("{}: {why}", console::path(path));
        self.control.warn(text.clone());
        self.report.warnings.push(text);
    }

    fn file(&mut self, file: FileId, to: &Path) -> Result<(), Problem> {
        let content = self.tree.open(file).map_err(|error| Problem::Left(error.to_string()))?;
        let made = File::create_new(to).map_err(|error| making(to, error))?;
        made.set_len(content.size()).map_err(|error| making(to, error))?;
        let mut at = 0;
        while at < content.size() {
            if self.control.cancel.is_requested() {
                return Err(Problem::Fatal(OperationError::Cancelled));
            }
            let len = usize::try_from(content.size() - at).unwrap_or(PIECE).min(PIECE);
            let bytes = content.read_vec(at, len).map_err(|error| {
                let _ = fs::remove_file(to);
                Problem::Left(format!("reading it at byte {at}: {error}"))
            })?;
            if !is_zero(&bytes) {
                made.write_all_at(&bytes, at).map_err(|error| making(to, error))?;
            }
            at += len as u64;
        }
        self.report.files += 1;
        self.report.bytes += content.size();
        Ok(())
    }

    fn folder(&mut self, folder: FileId, to: &Path) -> Result<(), Problem> {
        if self.seen.len() >= MOST_FOLDERS || !self.seen.insert(folder) {
            return Err(Problem::Left("it is in itself, or there are too many folders".into()));
        }
        fs::create_dir(to).map_err(|error| making(to, error))?;
        self.report.folders += 1;
        let mut entries: Vec<(Vec<u8>, FileId, EntryKind)> = Vec::new();
        let listed = self.tree.list(folder, &mut |entry| {
            entries.push((entry.name.to_vec(), entry.file, entry.kind));
        });
        if let Err(error) = listed {
            self.warn(to, &format!("not all that is in it was copied: {error}"));
        }
        for (name, file, kind) in entries {
            let path = to.join(OsStr::from_bytes(&name));
            if !is_name(&name) {
                self.warn(&path, "this is no name for a file; it was left out");
                continue;
            }
            match self.one(file, kind, &path) {
                Err(Problem::Left(why)) => self.warn(&path, &format!("{why}; it was left out")),
                other => other?,
            }
        }
        Ok(())
    }

    fn link(&mut self, link: FileId, to: &Path) -> Result<(), Problem> {
        let target = self.tree.link_target(link);
        let target = target.map_err(|error| Problem::Left(error.to_string()))?;
        symlink(OsStr::from_bytes(&target), to).map_err(|error| making(to, error))?;
        self.report.links += 1;
        Ok(())
    }

    /// Owner first: changing it clears what may be in the mode.
    fn describe(&mut self, stat: &Stat, kind: EntryKind, to: &Path) {
        let mut done = Ok(());
        if let Some(has) = stat.permissions {
            if nix::unistd::geteuid().is_root() {
                done = lchown(to, Some(has.uid), Some(has.gid));
            }
            if kind != EntryKind::Link {
                let mode = Permissions::from_mode(has.mode.into());
                done = done.and(fs::set_permissions(to, mode));
            }
        }
        if let Some(modified) = stat.times.modified {
            let accessed = stat.times.accessed.unwrap_or(modified);
            let flag = UtimensatFlags::NoFollowSymlink;
            let set = utimensat(AT_FDCWD, to, &time_of(accessed), &time_of(modified), flag);
            done = done.and(set.map_err(io::Error::from));
        }
        if let Err(error) = done {
            self.warn(to, &format!("its owner, mode or time was not set: {error}"));
        }
    }
}

/// Whether a folder may hold a file of that name.
fn is_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && !name.contains(&b'/') && !name.contains(&0)
}

/// What exists already loses nothing, and everything else may go on; a full disk ends it all.
fn making(path: &Path, error: io::Error) -> Problem {
    match error.kind() {
        io::ErrorKind::AlreadyExists => Problem::Left("there is something of that name".into()),
        io::ErrorKind::InvalidFilename | io::ErrorKind::InvalidInput => {
            Problem::Left(format!("it cannot be made there: {error}"))
        }
        _ => {
            let what = format!("writing {}", console::path(path));
            Problem::Fatal(OperationError::io(what, error))
        }
    }
}

fn time_of(time: OffsetDateTime) -> TimeSpec {
    TimeSpec::new(time.unix_timestamp(), time.nanosecond().into())
}
