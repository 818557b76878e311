//! Which operating system lives on a volume, by its own files.

mod drivers;
mod hive;
mod macos;
mod os_release;
mod windows;

pub use drivers::OwnDrivers;
#[cfg(any(test, fuzzing))]
pub(crate) use windows::version as windows_version;

use super::{nested, recognition};
use crate::bytes::ReadAt;
use crate::volume::{Alone, FileId, FileTree, Scrutiny, path};

/// A longer name is cut, characters.
const LONGEST: usize = 64;

/// "Debian GNU/Linux 12 (bookworm)", "Windows 11 Pro 23H2", "Mac OS X 10.11.6": the operating system that is installed
/// on a volume, if any is and its filesystem's files are looked up by this version. Reads a
/// bounded number of blocks; whatever fails means that nothing is known.
pub fn system(volume: &dyn ReadAt) -> Option<String> {
    let name = first_root(volume, 0, &|root| {
        os_release::name(root).or_else(|| windows::name(root)).or_else(|| macos::name(root))
    })?;
    Some(name.chars().take(LONGEST).collect())
}

/// Whether the system that is installed on a volume brings the drivers of the machine alone that it was on. As
/// [`system`], it reads a bounded number of blocks, and whatever fails means that nothing is known.
pub fn own_drivers(volume: &dyn ReadAt) -> Option<OwnDrivers> {
    first_root(volume, 0, &drivers::of)
}

/// The first answer that folders which may be the root of a system give, of a volume that lies in `depth`
/// containers.
fn first_root<T>(
    volume: &dyn ReadAt,
    depth: u32,
    ask: &dyn Fn(&Root<'_>) -> Option<T>,
) -> Option<T> {
    let (format, _) = recognition::found_on(volume)?;
    if let Ok(Some(content)) = format.content(volume, &Alone) {
        let deeper = depth.checked_add(1).filter(|depth| *depth <= nested::DEEPEST)?;
        return nested::first(volume, &content, &mut |part| first_root(part, deeper, ask));
    }
    let tree = format.files(volume, Scrutiny::Lenient).ok()?;
    let mut roots = tree.system_roots().into_iter();
    roots.find_map(|root| ask(&Root { tree: tree.as_ref(), root }))
}

/// A folder that may be the root of a system.
struct Root<'a> {
    tree: &'a dyn FileTree,
    root: FileId,
}

impl Root<'_> {
    /// The file at a path.
    fn open(&self, path: &[&str]) -> Option<Box<dyn ReadAt + '_>> {
        let path: Vec<&[u8]> = path.iter().map(|name| name.as_bytes()).collect();
        let (file, _) = path::find(self.tree, self.root, &path).ok()??;
        self.tree.open(file).ok()
    }

    /// The start of a small file.
    fn start_of(&self, path: &[&str], most: u64) -> Option<Vec<u8>> {
        let file = self.open(path)?;
        let len = usize::try_from(file.size().min(most)).ok()?;
        file.read_vec(0, len).ok()
    }
}
