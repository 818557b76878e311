//! The files in an image: listed, looked for and read by our own readers, without mounting anything.

use std::collections::HashSet;
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use time::OffsetDateTime;

use crate::bytes::ReadAt;
use crate::export::ExportedFile;
use crate::image::stored::{DISK_FILE, MANIFEST_FILE};
use crate::inspect;
use crate::progress::Control;
use crate::volume::{EntryKind, FileError, FileId, FileTree, Scrutiny, Stat, path};

use super::access::RepoAccess;
use super::error::OperationError;
use super::image_files::ImageFiles;

/// Ends the names of the files that volumes are shown as.
const ENDING: &str = ".img";
/// More folders than this are not looked through.
pub(super) const MOST_FOLDERS: usize = 1 << 22;

/// A place in an image: `VOLUME/PATH`, the volume by the number of its partition or by the name that
/// `lifeboat mount` shows, without `.img`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImagePlace {
    /// The image: the start of its id, or `latest`.
    pub image: String,
    /// The volume; `None` for the image itself.
    pub volume: Option<String>,
    /// Names from the volume's root, with slashes between; empty for that.
    pub path: String,
}

impl FromStr for ImagePlace {
    type Err = Infallible;

    /// `IMAGE`, `IMAGE:VOLUME` or `IMAGE:VOLUME/PATH`.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        let (image, rest) = text.split_once(':').unwrap_or((text, ""));
        let (volume, path) = rest.split_once('/').unwrap_or((rest, ""));
        let volume = Some(volume.to_owned()).filter(|volume| !volume.is_empty());
        Ok(Self { image: image.to_owned(), volume, path: path.trim_end_matches('/').to_owned() })
    }
}

impl fmt::Display for ImagePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.image)?;
        let Some(volume) = &self.volume else { return Ok(()) };
        write!(f, ":{volume}")?;
        if self.path.is_empty() { Ok(()) } else { write!(f, "/{}", self.path) }
    }
}

/// What is looked at, and where the image is.
#[derive(Clone, Debug)]
pub struct BrowseRequest {
    /// The image (with `latest:DISK` too), the volume and the path.
    pub place: ImagePlace,
    /// Where the image is.
    pub repo: RepoAccess,
}

/// A volume of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BrowsedVolume {
    /// Its name in a place.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Why its files cannot be looked at.
    pub problem: Option<String>,
}

/// A file or folder of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BrowsedFile {
    /// Volume and path; what is no UTF-8 of a name is U+FFFD.
    pub path: String,
    /// What it is.
    pub kind: EntryKind,
    /// Bytes of a file.
    pub size: u64,
    /// When it was last written to.
    #[serde(with = "time::serde::rfc3339::option")]
    pub modified: Option<OffsetDateTime>,
    /// Its owner, group and mode, where it has such.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<(u32, u32, u16)>,
    /// `FILE_ATTRIBUTE_*` of Windows, where it has such.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attributes: Option<u32>,
    /// Where it leads, when it is a link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Why more could not be said of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl BrowsedFile {
    pub(super) fn new(tree: &dyn FileTree, file: FileId, kind: EntryKind, path: String) -> Self {
        let (stat, problem) = match tree.stat(file) {
            Ok(stat) => (Some(stat), None),
            Err(error) => (None, Some(error.to_string())),
        };
        let target = (kind == EntryKind::Link).then(|| tree.link_target(file).ok()).flatten();
        let permissions = stat.and_then(|stat: Stat| stat.permissions);
        Self {
            path,
            kind,
            size: stat.map_or(0, |stat| stat.size),
            modified: stat.and_then(|stat| stat.times.modified),
            owner: permissions.map(|has| (has.uid, has.gid, has.mode)),
            attributes: stat.and_then(|stat| stat.attributes),
            target: target.map(|target| String::from_utf8_lossy(&target).into_owned()),
            problem,
        }
    }
}

/// What is at a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Browsed {
    /// The volumes of an image.
    Volumes(Vec<BrowsedVolume>),
    /// What is in a folder, or a file by itself.
    Files(Vec<BrowsedFile>),
}

/// The volumes of an image, what is in a folder of one, or a file by itself; sorted by name.
///
/// # Errors
/// Any failure to read the image; that a volume or path is not there; and why its files are not read.
pub fn list(request: &BrowseRequest, control: Control<'_>) -> Result<Browsed, OperationError> {
    let image = ImageFiles::open(&request.place.image, &request.repo, control)?;
    let listed = match &request.place.volume {
        None => Browsed::Volumes(volumes(&image).map(volume_of).collect()),
        Some(name) => {
            let volume = find_volume(&image, name)?;
            let tree = tree_of(volume)?;
            let (file, kind) = find_file(tree.as_ref(), &request.place)?;
            let path = joined(name_of(volume), &request.place.path);
            Browsed::Files(files_at(tree.as_ref(), (file, kind), &path, &request.place)?)
        }
    };
    image.ensure_held()?;
    Ok(listed)
}

fn files_at(
    tree: &dyn FileTree,
    (file, kind): (FileId, EntryKind),
    path: &str,
    place: &ImagePlace,
) -> Result<Vec<BrowsedFile>, OperationError> {
    if kind != EntryKind::Folder {
        return Ok(vec![BrowsedFile::new(tree, file, kind, path.to_owned())]);
    }
    let mut found = entries(tree, file).map_err(|error| reading(place, error))?;
    found.sort_by(|one, other| one.0.cmp(&other.0));
    let files = found.into_iter();
    Ok(files
        .map(|(name, file, kind)| BrowsedFile::new(tree, file, kind, joined(path, &name)))
        .collect())
}

/// Calls `each` for all files and folders below a place whose name a pattern fits: any part of it, or
/// with `*` (anything) and `?` (one character) all of it, whatever the case of ASCII letters. What
/// cannot be looked into is warned of. Without a volume all are looked through.
///
/// # Errors
/// As [`list`]; and that it was asked to stop.
pub fn find(
    request: &BrowseRequest,
    pattern: &str,
    control: Control<'_>,
    each: &mut dyn FnMut(BrowsedFile),
) -> Result<(), OperationError> {
    let image = ImageFiles::open(&request.place.image, &request.repo, control)?;
    let mut search = Search { pattern, control, each };
    match &request.place.volume {
        None => {
            for volume in volumes(&image) {
                match inspect::files(&volume.content, Scrutiny::Strict) {
                    Ok(tree) => search.below(tree.as_ref(), tree.root(), name_of(volume))?,
                    Err(error) => control.warn(format!("{}: {error}", name_of(volume))),
                }
            }
        }
        Some(name) => {
            let volume = find_volume(&image, name)?;
            let tree = tree_of(volume)?;
            let (folder, _) = find_file(tree.as_ref(), &request.place)?;
            let path = joined(name_of(volume), &request.place.path);
            search.below(tree.as_ref(), folder, &path)?;
        }
    }
    image.ensure_held()
}

/// Does something with what is at a place, given the tree that it is in.
pub(super) fn at_place<T>(
    request: &BrowseRequest,
    control: Control<'_>,
    work: impl FnOnce(&dyn FileTree, FileId, EntryKind) -> Result<T, OperationError>,
) -> Result<T, OperationError> {
    let image = ImageFiles::open(&request.place.image, &request.repo, control)?;
    let Some(name) = &request.place.volume else {
        return Err(OperationError::refused(
            format!("{} names no volume", request.place),
            "name one behind a colon; `lifeboat ls` shows which there are",
        ));
    };
    let tree = tree_of(find_volume(&image, name)?)?;
    let (file, kind) = find_file(tree.as_ref(), &request.place)?;
    let result = work(tree.as_ref(), file, kind)?;
    image.ensure_held()?;
    Ok(result)
}

struct Search<'a> {
    pattern: &'a str,
    control: Control<'a>,
    each: &'a mut dyn FnMut(BrowsedFile),
}

impl Search<'_> {
    fn below(
        &mut self,
        tree: &dyn FileTree,
        folder: FileId,
        path: &str,
    ) -> Result<(), OperationError> {
        let mut seen = HashSet::from([folder]);
        let mut waiting = vec![(folder, path.to_owned())];
        while let Some((folder, path)) = waiting.pop() {
            if self.control.cancel.is_requested() {
                return Err(OperationError::Cancelled);
            }
            let found = match entries(tree, folder) {
                Ok(found) => found,
                Err(error) => {
                    self.control.warn(format!("{path}: {error}"));
                    continue;
                }
            };
            for (name, file, kind) in found {
                let path = joined(&path, &name);
                if fits(self.pattern, &name) {
                    (self.each)(BrowsedFile::new(tree, file, kind, path.clone()));
                }
                let is_new = kind == EntryKind::Folder && seen.len() < MOST_FOLDERS;
                if is_new && seen.insert(file) {
                    waiting.push((file, path));
                }
            }
        }
        Ok(())
    }
}

type Entry = (String, FileId, EntryKind);

fn entries(tree: &dyn FileTree, folder: FileId) -> Result<Vec<Entry>, FileError> {
    let mut found = Vec::new();
    tree.list(folder, &mut |entry| {
        let name = String::from_utf8_lossy(entry.name).into_owned();
        found.push((name, entry.file, entry.kind));
    })?;
    Ok(found)
}

/// Partitions and logical volumes; the disk itself, where it has none.
pub(super) fn volumes(image: &ImageFiles) -> impl Iterator<Item = &ExportedFile> {
    let is_part = |file: &&ExportedFile| file.name != DISK_FILE && file.name != MANIFEST_FILE;
    let has_none = !image.files.iter().any(|file| is_part(&file));
    let disk = move |file: &&ExportedFile| has_none && file.name == DISK_FILE;
    image.files.iter().filter(move |file| is_part(file) || disk(file))
}

pub(super) fn name_of(volume: &ExportedFile) -> &str {
    volume.name.trim_end_matches(ENDING)
}

fn volume_of(volume: &ExportedFile) -> BrowsedVolume {
    let problem = inspect::files(&volume.content, Scrutiny::Strict).err();
    BrowsedVolume {
        name: name_of(volume).to_owned(),
        size: volume.content.size(),
        problem: problem.map(|error| error.to_string()),
    }
}

/// By its name, or by the number that its name begins with.
pub(super) fn find_volume<'a>(
    image: &'a ImageFiles,
    wanted: &str,
) -> Result<&'a ExportedFile, OperationError> {
    let is_number = |name: &str| name.split_once('-').is_some_and(|(number, _)| number == wanted);
    let named = volumes(image).find(|volume| name_of(volume) == wanted.trim_end_matches(ENDING));
    named.or_else(|| volumes(image).find(|volume| is_number(name_of(volume)))).ok_or_else(|| {
        let names: Vec<&str> = volumes(image).map(name_of).collect();
        OperationError::refused(
            format!("image {} has no volume {wanted}", image.id),
            format!("name one of these: {}", names.join(", ")),
        )
    })
}

pub(super) fn tree_of(volume: &ExportedFile) -> Result<Box<dyn FileTree + '_>, OperationError> {
    inspect::files(&volume.content, Scrutiny::Strict).map_err(|error| {
        OperationError::refused(
            format!("the files of {} are not read: {error}", name_of(volume)),
            "`lifeboat mount` shows it as a file, for the kernel's own driver",
        )
    })
}

pub(super) fn find_file(
    tree: &dyn FileTree,
    place: &ImagePlace,
) -> Result<(FileId, EntryKind), OperationError> {
    let names: Vec<&[u8]> = place.path.split('/').map(str::as_bytes).collect();
    let found = path::find(tree, tree.root(), &names).map_err(|error| reading(place, error))?;
    found.ok_or_else(|| {
        OperationError::refused(format!("{place} is not there"), "`lifeboat ls` shows what is")
    })
}

fn reading(place: &ImagePlace, error: FileError) -> OperationError {
    OperationError::io(format!("reading {place}"), std::io::Error::other(error))
}

pub(super) fn joined(folder: &str, name: &str) -> String {
    if name.is_empty() { folder.to_owned() } else { format!("{folder}/{name}") }
}

/// Whether a name fits a pattern.
fn fits(pattern: &str, name: &str) -> bool {
    let lower = |text: &str| text.to_ascii_lowercase().chars().collect::<Vec<char>>();
    if !pattern.contains(['*', '?']) {
        return name.to_ascii_lowercase().contains(&pattern.to_ascii_lowercase());
    }
    let (pattern, name) = (lower(pattern), lower(name));
    // Lengths of the name's start that the pattern so far fits.
    let mut lengths: Vec<bool> = (0..=name.len()).map(|length| length == 0).collect();
    for wanted in pattern {
        let before = lengths.clone();
        let mut any = false;
        for (length, fits) in lengths.iter_mut().enumerate() {
            let shorter = length.checked_sub(1);
            let longer = shorter.is_some_and(|at| {
                before.get(at) == Some(&true) && (wanted == '?' || name.get(at) == Some(&wanted))
            });
            any |= before.get(length) == Some(&true);
            *fits = if wanted == '*' { any } else { longer };
        }
    }
    lengths.last() == Some(&true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_they_are_written() {
        for text in ["abcd", "latest:2", "latest:vg-home/etc/fstab", "a:1-EFI/x:y/z"] {
            let Ok(place) = text.parse::<ImagePlace>();
            assert_eq!(place.to_string(), text);
        }
        let Ok(place) = "latest:2/".parse::<ImagePlace>();
        assert_eq!((place.volume.as_deref(), place.path.as_str()), (Some("2"), ""));
        let Ok(place) = "latest:".parse::<ImagePlace>();
        assert_eq!(place.volume, None);
    }

    #[test]
    fn patterns_fit_parts_of_names_or_with_wildcards_all_of_them() {
        for (pattern, name, expected) in [
            ("report", "My Report.odt", true),
            ("report*", "My Report.odt", false),
            ("*REPORT*", "My Report.odt", true),
            ("*.o?t", "a.odt", true),
            ("*.o?t", "a.oodt", false),
            ("a*b*c", "a123b45c", true),
            ("a*b*c", "a123b45cd", false),
            ("*", "", true),
            ("?", "ä", true),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }
}
