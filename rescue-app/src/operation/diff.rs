//! What differs between two images, file by file, without mounting anything.

use std::collections::{BTreeMap, HashSet};
use std::io;

use serde::Serialize;

use crate::bytes::{Extent, ReadAt};
use crate::export::ExportedFile;
use crate::inspect;
use crate::progress::Control;
use crate::volume::{EntryKind, FileError, FileId, FileTree, Scrutiny};

use super::access::RepoAccess;
use super::browse::{
    BrowsedFile, ImagePlace, MOST_FOLDERS, find_file, find_volume, joined, name_of, tree_of,
    volumes,
};
use super::error::OperationError;
use super::image_files::ImageFiles;

/// Bytes of two files that are compared at once.
const PIECE: u64 = 1 << 20;

/// What is compared, and where the images are.
#[derive(Clone, Debug)]
pub struct DiffRequest {
    /// An image, a volume, a folder or a file.
    pub before: ImagePlace,
    /// Another. Where it names no volume, that of the first is meant.
    pub after: ImagePlace,
    /// Where the images are.
    pub repo: RepoAccess,
}

/// How a file or folder differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// It is in the second only. A folder stands for all that is in it.
    Added,
    /// It is in the first only. A folder stands for all that is in it.
    Removed,
    /// It is in both, and not the same.
    Changed,
}

/// In what a file differs that is in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Aspect {
    /// One is a file, the other a folder, say; of those nothing else is told.
    Kind,
    /// Its size.
    Size,
    /// When it was last written to. That of folders does not count.
    Time,
    /// Its owner, group or mode.
    Owner,
    /// Its attributes of Windows.
    Attributes,
    /// Where a link leads.
    Target,
    /// Its bytes, of which there are as many.
    Content,
}

/// A file or folder that is not the same in both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// How it differs.
    pub change: Change,
    /// Volume and path; what is no UTF-8 of a name is U+FFFD.
    pub path: String,
    /// In what it differs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub what: Vec<Aspect>,
    /// What it is in the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<BrowsedFile>,
    /// What it is in the second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<BrowsedFile>,
}

/// What a comparison came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiffReport {
    /// Files and folders that are in the second only.
    pub added: u64,
    /// Those that are in the first only.
    pub removed: u64,
    /// Those that are in both, and not the same.
    pub changed: u64,
    /// Folders and files that could not be compared, each of which was warned of.
    pub not_compared: u64,
}

/// Calls `each` for all files and folders that differ, and for volumes whose files are not looked at (swap
/// space, encrypted ones) and whose bytes differ. Of two files with the same size and time that lie in
/// the same place of their volumes the bytes are taken to be the same; of others with the same size they are
/// compared.
///
/// # Errors
/// Any failure to read the images; that a volume or path is not there, or that its files are not read; and that it
/// was asked to stop.
pub fn diff(
    request: &DiffRequest,
    control: Control<'_>,
    each: &mut dyn FnMut(Difference),
) -> Result<DiffReport, OperationError> {
    let before = ImageFiles::open(&request.before.image, &request.repo, control)?;
    let after = ImageFiles::open(&request.after.image, &request.repo, control)?;
    let mut comparison = Comparison { control, each, report: DiffReport::default() };
    let places = same_volume(&request.before, &request.after);
    match (&places[0].volume, &places[1].volume) {
        (Some(one), Some(other)) => {
            let (volume, other) = (find_volume(&before, one)?, find_volume(&after, other)?);
            let (tree, other_tree) = (tree_of(volume)?, tree_of(other)?);
            let trees = Both { before: tree.as_ref(), after: other_tree.as_ref() };
            let files = Both {
                before: find_file(trees.before, &places[0])?,
                after: find_file(trees.after, &places[1])?,
            };
            comparison.places(trees, files, joined(name_of(other), &places[1].path))?;
        }
        _ => comparison.images(&before, &after)?,
    }
    before.ensure_held()?;
    after.ensure_held()?;
    Ok(comparison.report)
}

/// Two places; one that names no volume gets that of the other.
fn same_volume(before: &ImagePlace, after: &ImagePlace) -> [ImagePlace; 2] {
    let filled = |place: &ImagePlace, other: &ImagePlace| match place.volume {
        Some(_) => place.clone(),
        None => ImagePlace { image: place.image.clone(), ..other.clone() },
    };
    [filled(before, after), filled(after, before)]
}

/// The same of both images.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Both<T> {
    before: T,
    after: T,
}

type Trees<'a> = Both<&'a dyn FileTree>;
type Entry = (FileId, EntryKind);

struct Comparison<'a> {
    control: Control<'a>,
    each: &'a mut dyn FnMut(Difference),
    report: DiffReport,
}

impl Comparison<'_> {
    /// Compares volumes that have the same number, or the same name.
    fn images(&mut self, before: &ImageFiles, after: &ImageFiles) -> Result<(), OperationError> {
        for other in volumes(after) {
            match volumes(before).find(|one| identity(name_of(one)) == identity(name_of(other))) {
                None => self.tell(Change::Added, name_of(other).to_owned(), None, None),
                Some(one) => {
                    let opened =
                        [one, other].map(|it| inspect::files(&it.content, Scrutiny::Strict));
                    match opened {
                        [Ok(one), Ok(two)] => {
                            let trees = Both { before: one.as_ref(), after: two.as_ref() };
                            let roots = Both { before: one.root(), after: two.root() };
                            self.below(trees, roots, name_of(other).to_owned())?;
                        }
                        [Err(error), _] | [_, Err(error)] => {
                            let name = name_of(other);
                            self.control.info(format!("{name} is compared as a whole: {error}"));
                            self.whole(one, other)?;
                        }
                    }
                }
            }
        }
        for one in volumes(before) {
            if !volumes(after).any(|other| identity(name_of(one)) == identity(name_of(other))) {
                self.tell(Change::Removed, name_of(one).to_owned(), None, None);
            }
        }
        Ok(())
    }

    /// Compares volumes whose files are not looked at by their bytes.
    fn whole(&mut self, one: &ExportedFile, other: &ExportedFile) -> Result<(), OperationError> {
        let aspect = match one.content.size() == other.content.size() {
            false => Aspect::Size,
            true if self.is_same_volume(one, other)? => return Ok(()),
            true => Aspect::Content,
        };
        self.report.changed += 1;
        let (path, what) = (name_of(other).to_owned(), vec![aspect]);
        (self.each)(Difference { change: Change::Changed, path, what, before: None, after: None });
        Ok(())
    }

    /// Whether volumes of the same size hold the same bytes.
    fn is_same_volume(
        &self,
        one: &ExportedFile,
        other: &ExportedFile,
    ) -> Result<bool, OperationError> {
        let reading = |error| OperationError::io(format!("reading {}", other.name), error);
        for piece in one.data.union(&other.data).iter().flat_map(pieces) {
            if self.control.cancel.is_requested() {
                return Err(OperationError::Cancelled);
            }
            if !has_same_bytes(&one.content, &other.content, piece).map_err(reading)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Compares two folders with all that is in them, or two files.
    fn places(
        &mut self,
        trees: Trees<'_>,
        files: Both<Entry>,
        path: String,
    ) -> Result<(), OperationError> {
        let Both { before, after } = files;
        if (before.1, after.1) == (EntryKind::Folder, EntryKind::Folder) {
            return self.below(trees, Both { before: before.0, after: after.0 }, path);
        }
        self.compare(trees, files, &path);
        Ok(())
    }

    fn below(
        &mut self,
        trees: Trees<'_>,
        folders: Both<FileId>,
        path: String,
    ) -> Result<(), OperationError> {
        let mut seen = HashSet::from([folders]);
        let mut waiting = vec![(folders, path)];
        while let Some((folders, path)) = waiting.pop() {
            if self.control.cancel.is_requested() {
                return Err(OperationError::Cancelled);
            }
            let names = match names(trees, folders) {
                Ok(names) => names,
                Err(error) => {
                    self.left(&path, &error);
                    continue;
                }
            };
            for (name, entries) in names {
                let path = joined(&path, &String::from_utf8_lossy(&name));
                let Both { before: Some(before), after: Some(after) } = entries else {
                    self.only_in_one(trees, entries, path);
                    continue;
                };
                self.compare(trees, Both { before, after }, &path);
                let are_folders = (before.1, after.1) == (EntryKind::Folder, EntryKind::Folder);
                let below = Both { before: before.0, after: after.0 };
                if are_folders && seen.len() < MOST_FOLDERS && seen.insert(below) {
                    waiting.push((below, path));
                }
            }
        }
        Ok(())
    }

    fn only_in_one(&mut self, trees: Trees<'_>, entries: Both<Option<Entry>>, path: String) {
        let of = |tree, entry: Option<Entry>| {
            entry.map(|(file, kind)| BrowsedFile::new(tree, file, kind, path.clone()))
        };
        let (before, after) = (of(trees.before, entries.before), of(trees.after, entries.after));
        let change = if after.is_some() { Change::Added } else { Change::Removed };
        self.tell(change, path, before, after);
    }

    fn compare(&mut self, trees: Trees<'_>, files: Both<Entry>, path: &str) {
        let of = |tree, (file, kind): Entry| BrowsedFile::new(tree, file, kind, path.to_owned());
        let (before, after) = (of(trees.before, files.before), of(trees.after, files.after));
        if let Some(problem) = before.problem.as_ref().or(after.problem.as_ref()) {
            return self.left(path, problem);
        }
        let mut what = aspects(&before, &after);
        let are_files = (before.kind, after.kind) == (EntryKind::File, EntryKind::File);
        if are_files && before.size == after.size {
            let ids = Both { before: files.before.0, after: files.after.0 };
            let is_untouched = before.modified == after.modified;
            match has_same_content(trees, ids, is_untouched) {
                Ok(true) => {}
                Ok(false) => what.push(Aspect::Content),
                Err(error) => self.left(path, &error),
            }
        }
        if !what.is_empty() {
            self.report.changed += 1;
            let (before, after) = (Some(before), Some(after));
            let path = path.to_owned();
            (self.each)(Difference { change: Change::Changed, path, what, before, after });
        }
    }

    fn tell(
        &mut self,
        change: Change,
        path: String,
        before: Option<BrowsedFile>,
        after: Option<BrowsedFile>,
    ) {
        match change {
            Change::Added => self.report.added += 1,
            Change::Removed => self.report.removed += 1,
            Change::Changed => self.report.changed += 1,
        }
        (self.each)(Difference { change, path, what: Vec::new(), before, after });
    }

    fn left(&mut self, path: &str, why: &impl std::fmt::Display) {
        self.report.not_compared += 1;
        self.control.warn(format!("{path} is not compared: {why}"));
    }
}

/// What makes two volumes the same one: the number of a partition, whose label may change, or the name.
fn identity(name: &str) -> &str {
    let number = name.split_once('-').map(|(number, _)| number);
    number.filter(|number| number.bytes().all(|byte| byte.is_ascii_digit())).unwrap_or(name)
}

/// What has a name in either of two folders, or in both.
fn names(
    trees: Trees<'_>,
    folders: Both<FileId>,
) -> Result<BTreeMap<Vec<u8>, Both<Option<Entry>>>, FileError> {
    let mut names: BTreeMap<Vec<u8>, Both<Option<Entry>>> = BTreeMap::new();
    let none = Both { before: None, after: None };
    trees.before.list(folders.before, &mut |entry| {
        let found = names.entry(entry.name.to_vec()).or_insert(none);
        found.before = Some((entry.file, entry.kind));
    })?;
    trees.after.list(folders.after, &mut |entry| {
        let found = names.entry(entry.name.to_vec()).or_insert(none);
        found.after = Some((entry.file, entry.kind));
    })?;
    Ok(names)
}

/// All in which two files or folders differ but their bytes.
fn aspects(before: &BrowsedFile, after: &BrowsedFile) -> Vec<Aspect> {
    if before.kind != after.kind {
        return vec![Aspect::Kind];
    }
    let is_folder = before.kind == EntryKind::Folder;
    let is_file = before.kind == EntryKind::File;
    let differ = [
        (Aspect::Size, is_file && before.size != after.size),
        (Aspect::Time, !is_folder && before.modified != after.modified),
        (Aspect::Owner, before.owner != after.owner),
        (Aspect::Attributes, before.attributes != after.attributes),
        (Aspect::Target, before.target != after.target),
    ];
    differ.into_iter().filter(|(_, differs)| *differs).map(|(aspect, _)| aspect).collect()
}

/// Whether two files of the same size hold the same bytes.
fn has_same_content(
    trees: Trees<'_>,
    files: Both<FileId>,
    is_untouched: bool,
) -> Result<bool, FileError> {
    if is_untouched {
        let (before, after) =
            (extents(trees.before, files.before)?, extents(trees.after, files.after)?);
        // What lies in a record itself has no place to go by.
        if before == after && !before.is_empty() {
            return Ok(true);
        }
    }
    let (before, after) = (trees.before.open(files.before)?, trees.after.open(files.after)?);
    let whole = Extent { start: 0, end: before.size() };
    for piece in pieces(whole) {
        let same = has_same_bytes(before.as_ref(), after.as_ref(), piece);
        let failed = |source| FileError::Read { what: "its content", source };
        if !same.map_err(failed)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A stretch in pieces that fit into memory.
fn pieces(whole: Extent) -> impl Iterator<Item = Extent> {
    let starts = (0..whole.len().div_ceil(PIECE)).map(move |number| whole.start + number * PIECE);
    starts.map(move |start| Extent { start, end: whole.end.min(start + PIECE) })
}

fn has_same_bytes(before: &dyn ReadAt, after: &dyn ReadAt, piece: Extent) -> io::Result<bool> {
    let len = usize::try_from(piece.len()).map_err(io::Error::other)?;
    Ok(before.read_vec(piece.start, len)? == after.read_vec(piece.start, len)?)
}

fn extents(tree: &dyn FileTree, file: FileId) -> Result<Vec<Extent>, FileError> {
    let mut found = Vec::new();
    tree.extents(file, &mut |extent| found.push(extent))?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_are_told_by_number_or_name_and_a_place_without_one_takes_the_others() {
        assert_eq!(identity("3-root"), identity("3-Linux"));
        assert_ne!(identity("3-root"), identity("4-root"));
        assert_eq!(identity("vg-home"), "vg-home");
        assert_eq!(identity("disk"), "disk");
        let [before, after] = ["abcd:3/etc", "latest"].map(|text| {
            let Ok(place) = text.parse::<ImagePlace>();
            place
        });
        let places = same_volume(&before, &after).map(|place| place.to_string());
        assert_eq!(places, ["abcd:3/etc", "latest:3/etc"]);
    }
}
