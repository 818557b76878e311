//! Paths through a filesystem's folders, symbolic links followed.
//!
//! Source: `path_resolution(7)`.

use super::files::{EntryKind, FileError, FileId, FileTree};

/// `MAXSYMLINKS` of Linux.
const MOST_LINKS: u32 = 40;
/// `PATH_MAX` of Linux: no link is longer, bytes.
pub(crate) const LONGEST_LINK: u64 = 4096;

/// What is at a path from a folder, which absolute links and `..` do not leave; `None` when there is
/// nothing.
///
/// # Errors
/// When a folder on the way cannot be read, or links lead in a circle.
pub(crate) fn find(
    tree: &dyn FileTree,
    start: FileId,
    path: &[&[u8]],
) -> Result<Option<(FileId, EntryKind)>, FileError> {
    let mut folders = vec![(start, EntryKind::Folder)];
    // The names to come, the next one last.
    let mut names: Vec<Vec<u8>> = path.iter().rev().map(|name| name.to_vec()).collect();
    let mut links = 0u32;
    while let Some(name) = names.pop() {
        match name.as_slice() {
            b"" | b"." => {}
            b".." if folders.len() > 1 => drop(folders.pop()),
            b".." => {}
            name => {
                let folder = folders.last().filter(|(_, kind)| *kind == EntryKind::Folder);
                let Some((folder, _)) = folder else { return Ok(None) };
                let Some((file, kind)) = tree.lookup(*folder, name)? else { return Ok(None) };
                if kind != EntryKind::Link {
                    folders.push((file, kind));
                    continue;
                }
                links = links.saturating_add(1);
                if links > MOST_LINKS {
                    return Err(FileError::damaged("its symbolic links lead in a circle"));
                }
                let target = tree.link_target(file)?;
                if target.starts_with(b"/") {
                    folders.truncate(1);
                }
                names.extend(target.split(|byte| *byte == b'/').rev().map(<[u8]>::to_vec));
            }
        }
    }
    Ok(folders.pop())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::ReadAt;
    use crate::volume::{EachEntry, EachExtent, FolderEntry, Stat};

    /// Folder, name, file; and what links hold.
    struct Plain(&'static [(u64, &'static str, u64)], &'static [(u64, &'static str)]);

    impl FileTree for Plain {
        fn root(&self) -> FileId {
            FileId(0, 0)
        }

        fn list(&self, folder: FileId, each: &mut EachEntry<'_>) -> Result<(), FileError> {
            for (_, name, file) in self.0.iter().filter(|entry| entry.0 == folder.0) {
                let kind = match self.1.iter().any(|link| link.0 == *file) {
                    true => EntryKind::Link,
                    false => EntryKind::Folder,
                };
                each(FolderEntry { name: name.as_bytes(), kind, file: FileId(*file, 0) });
            }
            Ok(())
        }

        fn stat(&self, _: FileId) -> Result<Stat, FileError> {
            Err(FileError::no_file())
        }

        fn link_target(&self, link: FileId) -> Result<Vec<u8>, FileError> {
            let found = self.1.iter().find(|known| known.0 == link.0);
            found.map(|found| found.1.into()).ok_or_else(FileError::no_link)
        }

        fn open(&self, _: FileId) -> Result<Box<dyn ReadAt + '_>, FileError> {
            Err(FileError::no_file())
        }

        fn extents(&self, _: FileId, _: &mut EachExtent<'_>) -> Result<(), FileError> {
            Ok(())
        }
    }

    fn found(tree: &Plain, path: &str) -> Option<u64> {
        let names: Vec<_> = path.split('/').map(str::as_bytes).collect();
        find(tree, tree.root(), &names).ok().flatten().map(|(file, _)| file.0)
    }

    #[test]
    fn links_are_followed() {
        let names = &[
            (0, "etc", 1),
            (0, "usr", 2),
            (2, "lib", 3),
            (3, "file", 4),
            (0, "lib", 5),
            (1, "a", 6),
        ];
        let links = &[(5, "usr/lib"), (6, "../../..//lib/./file")];
        let tree = Plain(names, links);
        assert_eq!(found(&tree, "etc/a"), Some(4));
        assert_eq!(found(&tree, "/lib/file"), Some(4));
        assert_eq!(found(&tree, "lib/other"), None);
        assert_eq!(found(&tree, ""), Some(0));
        assert_eq!(found(&Plain(names, &[(6, "/usr/lib/file")]), "etc/a"), Some(4));
        assert_eq!(found(&Plain(names, &[(6, "a")]), "etc/a"), None);
        assert_eq!(found(&Plain(names, &[(6, "a/a/a")]), "etc/a"), None);
    }
}
