//! Looking for repositories in the folders of a place: by our own readers, or where it is mounted.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use crate::bytes::ReadAt;
use crate::progress::Cancel;
use crate::volume::{EntryKind, FileId, FileTree, FolderEntry};

use super::access::{REPOSITORY, is_repository};

/// How many folders deep repositories are looked for; the root itself is depth 0.
const DEPTH: usize = 2;

/// Folders looked into at most on one place: a system disk has thousands that hold none.
const FOLDERS_MAX: usize = 5000;

/// Bytes that may be read of one place before it is left to the kernel: fifty KiB for each of so
/// many folders.
const BYTES_MAX: u64 = 256 << 20;

/// A repository found in a place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FoundRepository {
    /// Its folder, below the root of the place.
    pub folder: PathBuf,
    /// Files in its folder of snapshots, which can be counted without a passphrase.
    pub snapshots: Option<usize>,
}

/// Folders that are looked through. `None` stands for a doubt that ends the search.
pub(super) trait Folders {
    /// One of them.
    type Folder;

    /// The one that all others are in.
    fn root(&self) -> Self::Folder;

    /// Whether one looks like a repository from outside.
    fn is_repository(&mut self, folder: &Self::Folder) -> Option<bool>;

    /// The folders in one, links to folders not among them.
    fn below(&mut self, folder: &Self::Folder) -> Option<Vec<(OsString, Self::Folder)>>;

    /// How much is in one.
    fn count(&mut self, folder: &Self::Folder) -> Option<usize>;

    /// There are more folders than are looked into.
    fn too_many(&self) -> Option<()>;
}

/// Repositories in the root and the folders below it, sorted. `None` when a doubt came up, or when
/// it was asked to stop. Of too many folders only as many are looked into; whether the others are
/// repositories is asked all the same.
pub(super) fn repositories<F: Folders>(
    folders: &mut F,
    cancel: &Cancel,
) -> Option<Vec<FoundRepository>> {
    let mut found = Vec::new();
    let mut level = vec![(PathBuf::new(), folders.root())];
    let mut looked_at = 0;
    for depth in 0..=DEPTH {
        let mut next = Vec::new();
        for (path, folder) in level {
            if cancel.is_requested() {
                return None;
            }
            looked_at += 1;
            if looked_at > FOLDERS_MAX {
                folders.too_many()?;
            }
            if folders.is_repository(&folder)? {
                found
                    .push(FoundRepository { snapshots: snapshots(folders, &folder), folder: path });
            } else if depth < DEPTH && looked_at <= FOLDERS_MAX {
                let below = folders.below(&folder)?.into_iter();
                next.extend(below.map(|(name, folder)| (path.join(name), folder)));
            }
        }
        level = next;
    }
    found.sort_by(|one, other| one.folder.cmp(&other.folder));
    Some(found)
}

fn snapshots<F: Folders>(folders: &mut F, repository: &F::Folder) -> Option<usize> {
    let below = folders.below(repository)?;
    let (_, snapshots) = below.iter().find(|(name, _)| name.eq_ignore_ascii_case("snapshots"))?;
    folders.count(snapshots)
}

/// Folders where the kernel has mounted them, as paths below that. What it does not show is not
/// there.
pub(super) struct Mounted<'a>(pub(super) &'a Path);

impl Folders for Mounted<'_> {
    type Folder = PathBuf;

    fn root(&self) -> PathBuf {
        self.0.to_owned()
    }

    fn is_repository(&mut self, folder: &PathBuf) -> Option<bool> {
        Some(is_repository(|name| {
            let kind = fs::metadata(folder.join(name)).ok()?.file_type();
            Some(match (kind.is_dir(), kind.is_file()) {
                (true, _) => EntryKind::Folder,
                (_, true) => EntryKind::File,
                _ => EntryKind::Other,
            })
        }))
    }

    fn below(&mut self, folder: &PathBuf) -> Option<Vec<(OsString, PathBuf)>> {
        let Ok(entries) = fs::read_dir(folder) else { return Some(Vec::new()) };
        let folders =
            entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        Some(folders.take(FOLDERS_MAX).map(|entry| (entry.file_name(), entry.path())).collect())
    }

    fn count(&mut self, folder: &PathBuf) -> Option<usize> {
        Some(fs::read_dir(folder).ok()?.count())
    }

    /// Nobody else can be asked.
    fn too_many(&self) -> Option<()> {
        Some(())
    }
}

/// Folders of a filesystem that is not mounted.
pub(super) struct Unmounted<'a>(pub(super) &'a dyn FileTree);

impl Folders for Unmounted<'_> {
    type Folder = FileId;

    fn root(&self) -> FileId {
        self.0.root()
    }

    /// What a link leads to is the kernel's to say.
    fn is_repository(&mut self, folder: &FileId) -> Option<bool> {
        let is_exact = self.0.is_case_sensitive();
        let mut parts = REPOSITORY.map(|(name, _)| (name, None));
        let listed = self.0.list(*folder, &mut |entry| {
            let is_part = |name: &str| match is_exact {
                true => entry.name == name.as_bytes(),
                false => entry.name.eq_ignore_ascii_case(name.as_bytes()),
            };
            for (_, kind) in parts.iter_mut().filter(|(name, _)| is_part(name)) {
                *kind = Some(entry.kind);
            }
        });
        listed.ok()?;
        if parts.iter().any(|(_, kind)| *kind == Some(EntryKind::Link)) {
            return None;
        }
        Some(is_repository(|name| parts.iter().find(|part| part.0 == name)?.1))
    }

    fn below(&mut self, folder: &FileId) -> Option<Vec<(OsString, FileId)>> {
        let (mut folders, mut is_clear) = (Vec::new(), true);
        let listed = self.0.list(*folder, &mut |FolderEntry { name, kind, file }| {
            if kind == EntryKind::Folder {
                is_clear &= is_name(name) && folders.len() < FOLDERS_MAX;
                if is_clear {
                    folders.push((OsStr::from_bytes(name).to_owned(), file));
                }
            }
        });
        listed.ok()?;
        is_clear.then_some(folders)
    }

    fn count(&mut self, folder: &FileId) -> Option<usize> {
        let mut count = 0;
        self.0.list(*folder, &mut |_| count += 1).ok()?;
        Some(count)
    }

    fn too_many(&self) -> Option<()> {
        None
    }
}

/// Whether it can be a name in a path.
fn is_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && !name.iter().any(|byte| matches!(byte, b'/' | b'\0'))
}

/// A volume that fails when it was asked to stop, and when too much of it was read.
pub(super) struct Limited<'a> {
    volume: &'a dyn ReadAt,
    cancel: &'a Cancel,
    read: AtomicU64,
}

impl<'a> Limited<'a> {
    /// A volume nothing of which was read yet.
    pub(super) fn new(volume: &'a dyn ReadAt, cancel: &'a Cancel) -> Self {
        Self { volume, cancel, read: AtomicU64::new(0) }
    }
}

impl ReadAt for Limited<'_> {
    fn size(&self) -> u64 {
        self.volume.size()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let read = self.read.fetch_add(buf.len() as u64, Ordering::Relaxed);
        if self.cancel.is_requested() || read > BYTES_MAX {
            return Err(io::Error::other("no more is read"));
        }
        self.volume.read_at(offset, buf)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::{EachEntry, EachExtent, FileError, Stat};

    /// Folders by their numbers: name, kind and number of what is in them.
    struct Fake {
        folders: Vec<Vec<(String, EntryKind, u64)>>,
        is_exact: bool,
    }

    impl FileTree for Fake {
        fn root(&self) -> FileId {
            FileId(0, 0)
        }

        fn list(&self, folder: FileId, each: &mut EachEntry<'_>) -> Result<(), FileError> {
            let entries = usize::try_from(folder.0).ok().and_then(|at| self.folders.get(at));
            let entries = entries.ok_or_else(|| FileError::Damaged("no folder".into()))?;
            for (name, kind, number) in entries {
                let file = FileId(*number, 0);
                each(FolderEntry { name: name.as_bytes(), kind: *kind, file });
            }
            Ok(())
        }

        fn stat(&self, _: FileId) -> Result<Stat, FileError> {
            unreachable!()
        }

        fn link_target(&self, _: FileId) -> Result<Vec<u8>, FileError> {
            unreachable!()
        }

        fn open(&self, _: FileId) -> Result<Box<dyn ReadAt + '_>, FileError> {
            unreachable!()
        }

        fn extents(&self, _: FileId, _: &mut EachExtent<'_>) -> Result<(), FileError> {
            unreachable!()
        }

        fn is_case_sensitive(&self) -> bool {
            self.is_exact
        }
    }

    fn folder(name: &str, number: u64) -> (String, EntryKind, u64) {
        (name.to_owned(), EntryKind::Folder, number)
    }

    /// A repository whose folders are all the one with this number.
    fn repository(config: &str, empty: u64) -> Vec<(String, EntryKind, u64)> {
        let mut parts: Vec<_> =
            ["data", "index", "keys", "snapshots"].map(|name| folder(name, empty)).into();
        parts.push((config.to_owned(), EntryKind::File, 0));
        parts
    }

    fn search(folders: Vec<Vec<(String, EntryKind, u64)>>) -> Option<Vec<FoundRepository>> {
        let tree = Fake { folders, is_exact: true };
        repositories(&mut Unmounted(&tree), &Cancel::new())
    }

    #[test]
    fn case_counts_where_it_does_on_the_filesystem() {
        for (is_exact, expected) in [(true, 0), (false, 1)] {
            let folders = vec![vec![folder("a", 1)], repository("CONFIG", 2), vec![]];
            let tree = Fake { folders, is_exact };
            let found = repositories(&mut Unmounted(&tree), &Cancel::new()).unwrap();
            assert_eq!(found.len(), expected, "{found:?}");
        }
    }

    #[test]
    fn a_folder_in_itself_and_too_many_folders_end() {
        let below = |count: usize, number| -> Vec<_> {
            (0..count).map(|at| folder(&format!("{at:05}"), number)).collect()
        };
        assert_eq!(search(vec![below(2, 0)]), Some(vec![]));
        // The root is one of those that are looked into.
        let found = search(vec![below(FOLDERS_MAX - 1, 1), repository("config", 2), vec![]]);
        assert_eq!(found.unwrap().len(), FOLDERS_MAX - 1);
        for count in [FOLDERS_MAX, FOLDERS_MAX + 1] {
            assert_eq!(search(vec![below(count, 1), repository("config", 2), vec![]]), None);
        }
        assert_eq!(search(vec![below(100, 0)]), None);
    }

    #[test]
    fn where_it_is_mounted_a_repository_beside_many_folders_is_found() {
        let place = tempfile::tempdir().unwrap();
        let make = |path: String| fs::create_dir_all(place.path().join(path)).unwrap();
        (0..FOLDERS_MAX + 10).for_each(|at| make(format!("a/{at}")));
        for part in ["data", "index", "keys", "snapshots"] {
            make(format!("b/images/{part}"));
        }
        fs::write(place.path().join("b/images/config"), b"").unwrap();
        let found = repositories(&mut Mounted(place.path()), &Cancel::new()).unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
    }

    #[test]
    fn what_our_readers_cannot_answer_for_is_a_doubt() {
        for name in ["..", ".", "", "a/../../etc", "a\0b"] {
            assert_eq!(search(vec![vec![folder(name, 1)], vec![]]), None, "{name:?}");
        }
        let mut linked = repository("config", 1);
        linked[0].1 = EntryKind::Link;
        assert_eq!(search(vec![linked, vec![]]), None);
        assert_eq!(search(vec![vec![folder("a", 7)]]), None, "a folder that cannot be listed");
        let cancel = Cancel::new();
        cancel.request();
        let tree = Fake { folders: vec![vec![]], is_exact: true };
        assert_eq!(repositories(&mut Unmounted(&tree), &cancel), None);
    }

    #[test]
    fn reads_end_with_the_wish_to_stop_and_when_they_are_too_many() {
        let (volume, cancel) = (vec![0; 1 << 20], Cancel::new());
        let limited = Limited::new(&volume, &cancel);
        let reads = (0..1000).take_while(|_| limited.read_vec(0, 1 << 20).is_ok()).count();
        assert_eq!(reads, 257);
        let limited = Limited::new(&volume, &cancel);
        assert!(limited.read_vec(0, 1).is_ok());
        cancel.request();
        assert!(limited.read_vec(0, 1).is_err());
    }
}
