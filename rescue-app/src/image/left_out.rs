//! Files whose content is not stored: page, swap and hibernation files, which a system makes anew, and what
//! somebody asked for.
//!
//! Of the former only their beginnings are stored. The files stay what they are, and the rest of them reads as zeros
//! after a restore. That is done in the map of what is used, and only where every byte of such a
//! file lies as it is in blocks of its own: on NTFS and ext2/3/4.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::bytes::{Extents, ReadAt};
use crate::inspect;
use crate::volume::{Coverage, EntryKind, FileError, FileId, FileTree, Kind, Scrutiny, path};

/// What is stored of a file of Windows, bytes: more than the headers that it has.
const HEADER: u64 = 64 << 10;

/// More folders than this are not looked into.
const MOST_FOLDERS: usize = 1 << 22;

/// Where Windows keeps them, on each of its drives.
const WINDOWS: [&str; 3] = ["pagefile.sys", "swapfile.sys", "hiberfil.sys"];

/// Where installers and guides put swap files: Ubuntu's and Debian's, and what people make by hand.
const LINUX: [&str; 7] =
    ["swapfile", "swap.img", "swap", ".swapfile", "swap/swapfile", "var/swap", "var/swapfile"];

/// What a page file begins with while it holds a crash dump that Windows has not fetched yet
/// (`DUMP_HEADER`, `DUMP_HEADER64`: signature and valid dump).
const CRASH_DUMPS: [&[u8]; 2] = [b"PAGEDUMP", b"PAGEDU64"];

/// What a hibernation file begins with once Windows has woken from it (libyal, "Windows hibernation
/// file format": `WAKE` or `wake`), or before it was ever used.
const WOKEN: [&[u8]; 3] = [b"WAKE", b"wake", &[0; 4]];

/// A file of which only the beginning is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Its path.
    pub path: String,
    /// Bytes that are not stored.
    pub bytes: u64,
    /// Whether somebody asked for it: no system makes it anew.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub asked: bool,
}

/// A file or folder that is not to be stored: `3/home/anna/films`, its partition first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Excluded {
    /// Number of the partition.
    pub partition: u32,
    /// Names from its root, with slashes between.
    pub path: String,
}

impl fmt::Display for Excluded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.partition, self.path)
    }
}

impl FromStr for Excluded {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/').map(|(number, path)| (number.parse(), path));
        match parts {
            Some((Ok(partition), path)) if !path.trim_matches('/').is_empty() => {
                Ok(Self { partition, path: path.trim_matches('/').to_owned() })
            }
            _ => Err(format!("`{text}` is no partition and path, such as 3/home/anna/films")),
        }
    }
}

impl From<Excluded> for String {
    fn from(excluded: Excluded) -> Self {
        excluded.to_string()
    }
}

impl TryFrom<String> for Excluded {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// The bytes of a volume that hold the content of a file, or of all files in a folder: of those that have one
/// name, and lie as they are in blocks of their own. `None` when there is nothing at this path.
///
/// # Errors
/// When the files of the volume are not read, or this one's content is not to be told from others'.
pub fn content_below(volume: &dyn ReadAt, name: &str) -> Result<Option<Extents>, FileError> {
    let tree = inspect::files(volume, Scrutiny::Strict)?;
    let tree = tree.as_ref();
    let names: Vec<&[u8]> = name.split('/').map(str::as_bytes).collect();
    let Some((file, kind)) = path::find(tree, tree.root(), &names)? else { return Ok(None) };
    if kind == EntryKind::File {
        return content_of(tree, file).map(Some);
    }
    let (mut places, mut seen) = (Vec::new(), HashSet::new());
    let mut waiting = vec![file];
    while let Some(folder) = waiting.pop().filter(|_| seen.len() < MOST_FOLDERS) {
        if !seen.insert(folder) {
            continue;
        }
        let mut files = Vec::new();
        tree.list(folder, &mut |entry| match entry.kind {
            EntryKind::Folder => waiting.push(entry.file),
            EntryKind::File => files.push(entry.file),
            EntryKind::Link | EntryKind::Other => {}
        })?;
        // What is in another form than most is stored.
        for content in files.into_iter().filter_map(|file| content_of(tree, file).ok()) {
            places.extend(content.iter().map(|place| (place.start, place.len())));
        }
    }
    places.sort_unstable();
    Ok(Some(Extents::from(places)))
}

fn content_of(tree: &dyn FileTree, file: FileId) -> Result<Extents, FileError> {
    let stat = tree.stat(file)?;
    if stat.links != 1 {
        return Err(FileError::unsupported("it has other names too"));
    }
    on_volume(tree, file, &Extents::of(0, stat.size))
}

/// Those on a volume with a filesystem of this kind, and the bytes of the volume that need not be stored.
pub(super) fn find(volume: &dyn ReadAt, kind: Kind) -> (Vec<LeftOut>, Extents) {
    let (mut found, mut all) = (Vec::new(), Extents::new());
    let names: &[&str] = match kind {
        Kind::Ntfs => &WINDOWS,
        Kind::Ext2 | Kind::Ext3 | Kind::Ext4 => &LINUX,
        _ => return (found, all),
    };
    // What is not sure of its files leaves nothing out.
    let Ok(tree) = inspect::files(volume, Scrutiny::Strict) else { return (found, all) };
    for name in names {
        let unneeded = unneeded(tree.as_ref(), kind, name).ok().flatten().unwrap_or_default();
        let unneeded = unneeded.without(&all);
        if !unneeded.is_empty() {
            let (path, bytes) = (format!("/{name}"), unneeded.total());
            found.push(LeftOut { path, bytes, asked: false });
            all = all.union(&unneeded);
        }
    }
    (found, all)
}

/// What of the volume holds the content of the file `name` that means nothing; `None` where there is no
/// such file, or all of it counts.
fn unneeded(tree: &dyn FileTree, kind: Kind, name: &str) -> Result<Option<Extents>, FileError> {
    let names: Vec<&[u8]> = name.split('/').map(str::as_bytes).collect();
    let Some((file, EntryKind::File)) = path::find(tree, tree.root(), &names)? else {
        return Ok(None);
    };
    if tree.stat(file)?.links != 1 {
        return Ok(None);
    }
    let content = tree.open(file)?;
    let needed = match kind {
        Kind::Ntfs => needed_of_windows(content.as_ref(), name)?,
        _ => needed_of_linux(content.as_ref()),
    };
    let Some(needed) = needed else { return Ok(None) };
    let unneeded = needed.gaps_within(0, content.size());
    Ok(Some(on_volume(tree, file, &unneeded)?))
}

/// What counts of a file of Windows, as offsets in it; `None` for all of it.
fn needed_of_windows(content: &dyn ReadAt, name: &str) -> Result<Option<Extents>, FileError> {
    if content.size() <= HEADER {
        return Ok(None);
    }
    let head = content.read_vec(0, 8).map_err(|source| FileError::Read { what: "it", source })?;
    let counts = match name {
        "hiberfil.sys" => !WOKEN.iter().any(|start| head.starts_with(start)),
        _ => CRASH_DUMPS.iter().any(|start| head.starts_with(start)),
    };
    Ok((!counts).then(|| Extents::of(0, HEADER)))
}

/// What counts of a swap file of Linux, as offsets in it; `None` where it is none, or holds the memory
/// of a hibernated system.
fn needed_of_linux(content: &dyn ReadAt) -> Option<Extents> {
    // Whatever else it may hold is not looked into.
    let is_swap = inspect::recognise(&content).ok()?.is_some_and(|it| it.kind == Kind::Swap);
    let found = is_swap.then(|| inspect::inspect(&content))?;
    (found.coverage == Coverage::HeaderOnly).then_some(found.used)
}

/// Where bytes of a file lie on the volume.
fn on_volume(tree: &dyn FileTree, file: FileId, wanted: &Extents) -> Result<Extents, FileError> {
    let mut places = Vec::new();
    tree.content_places(file, &mut |at, place| {
        for part in wanted.within(at, at.saturating_add(place.len())) {
            let start = place.start.saturating_add(part.start.saturating_sub(at));
            places.push((start, part.len()));
        }
    })?;
    places.sort_unstable();
    Ok(Extents::from(places))
}
