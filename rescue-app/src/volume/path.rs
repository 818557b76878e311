//! Paths through a filesystem's folders, symbolic links followed.
//!
//! Source: `path_resolution(7)`.

use crate::bytes::ReadAt;

/// `MAXSYMLINKS` of Linux.
const MOST_LINKS: u32 = 40;
/// `PATH_MAX` of Linux: no link is longer, bytes.
pub(crate) const LONGEST_LINK: u64 = 4096;
/// Files are read into memory; of a larger one only the start is, bytes.
const LARGEST_FILE: u64 = 1 << 20;

/// Folders in which names are looked up.
pub(crate) trait Tree {
    /// A file, folder or link.
    type Node: Copy;

    /// The folder that paths begin in.
    fn root(&self) -> Self::Node;

    /// What has a name in a folder.
    fn child(&mut self, folder: Self::Node, name: &[u8]) -> Option<Self::Node>;

    /// The target of a symbolic link; `None` for anything else.
    fn link(&mut self, node: Self::Node) -> Option<Vec<u8>>;

    /// The first bytes of a plain file, at most so many.
    fn content(&mut self, node: Self::Node, most: u64) -> Option<Vec<u8>>;
}

/// The plain file at a path from the root.
pub(crate) fn open<'a>(tree: &mut impl Tree, path: &[&str]) -> Option<Box<dyn ReadAt + 'a>> {
    let node = find(tree, path)?;
    Some(Box::new(tree.content(node, LARGEST_FILE)?))
}

fn find<T: Tree>(tree: &mut T, path: &[&str]) -> Option<T::Node> {
    let mut folders = vec![tree.root()];
    // The names to come, the next one last.
    let mut names: Vec<Vec<u8>> = path.iter().rev().map(|name| name.as_bytes().to_vec()).collect();
    let mut links = 0u32;
    while let Some(name) = names.pop() {
        match name.as_slice() {
            b"" | b"." => {}
            b".." if folders.len() > 1 => drop(folders.pop()),
            b".." => {}
            name => {
                let node = tree.child(*folders.last()?, name)?;
                let Some(target) = tree.link(node) else {
                    folders.push(node);
                    continue;
                };
                links = links.checked_add(1).filter(|links| *links <= MOST_LINKS)?;
                if target.starts_with(b"/") {
                    folders.truncate(1);
                }
                names.extend(target.split(|byte| *byte == b'/').rev().map(<[u8]>::to_vec));
            }
        }
    }
    folders.pop()
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    /// Folder, name, node; and what links hold.
    struct Plain(&'static [(u8, &'static str, u8)], &'static [(u8, &'static str)]);

    impl Tree for Plain {
        type Node = u8;

        fn root(&self) -> u8 {
            0
        }

        fn child(&mut self, folder: u8, name: &[u8]) -> Option<u8> {
            let mut entries = self.0.iter();
            entries
                .find(|entry| entry.0 == folder && entry.1.as_bytes() == name)
                .map(|found| found.2)
        }

        fn link(&mut self, node: u8) -> Option<Vec<u8>> {
            let mut links = self.1.iter();
            links.find(|link| link.0 == node).map(|link| link.1.as_bytes().to_vec())
        }

        fn content(&mut self, node: u8, most: u64) -> Option<Vec<u8>> {
            Some(vec![node; usize::try_from(most.min(1)).unwrap()])
        }
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
        let mut tree = Plain(names, links);
        assert_eq!(find(&mut tree, &["etc", "a"]), Some(4));
        assert_eq!(find(&mut tree, &["lib", "file"]), Some(4));
        assert_eq!(find(&mut tree, &["lib", "other"]), None);
        let mut absolute = Plain(names, &[(6, "/usr/lib/file")]);
        assert_eq!(find(&mut absolute, &["etc", "a"]), Some(4));
        assert_eq!(open(&mut absolute, &["etc", "a"]).unwrap().read_vec(0, 1).unwrap(), [4]);
        let mut endless = Plain(names, &[(6, "a")]);
        assert_eq!(find(&mut endless, &["etc", "a"]), None);
        let mut doubling = Plain(names, &[(6, "a/a/a")]);
        assert_eq!(find(&mut doubling, &["etc", "a"]), None);
    }
}
