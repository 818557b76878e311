//! Images, and the scribble test.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use common::{Random, succeeds, tool};
use lifeboat::bytes::{Extents, ReadAt, Window};
use lifeboat::inspect;
use lifeboat::volume::{Companions, Kind};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// What an old medium holds where nothing was written: neither zeros nor a valid anything.
pub const OLD: u8 = 0xa5;

/// An image file as a volume.
pub struct Volume {
    file: File,
    size: u64,
}

impl Volume {
    pub fn open(path: &Path) -> Self {
        let file = File::open(path).unwrap();
        let size = file.metadata().unwrap().len();
        Self { file, size }
    }
}

impl ReadAt for Volume {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buf, offset)
    }
}

/// Volumes that belong together, or may.
pub struct Together<'a>(pub &'a [Volume]);

impl Companions for Together<'_> {
    fn of_kind(&self, kind: Kind) -> Vec<Window<'_>> {
        let all = self.0.iter().map(|volume| Window::new(volume, 0, volume.size()));
        let is_wanted = |volume: &Window<'_>| {
            let found = inspect::recognise(volume).unwrap();
            found.is_some_and(|found| found.kind == kind)
        };
        all.filter(is_wanted).collect()
    }
}

/// A file of `size` bytes, all of them [`OLD`].
pub fn old_medium(path: &Path, size: u64) {
    let mut file = File::create(path).unwrap();
    let piece = vec![OLD; 1 << 20];
    let mut left = size;
    while left > 0 {
        let len = left.min(piece.len() as u64);
        file.write_all(&piece[..usize::try_from(len).unwrap()]).unwrap();
        left -= len;
    }
}

/// A file of `size` bytes that takes no room.
pub fn sparse_medium(path: &Path, size: u64) {
    File::create(path).unwrap().set_len(size).unwrap();
}

/// Unmounts. A process that another test is just starting may still hold our open files for a
/// moment, so that "busy" is worth some patience.
pub fn unmount(folder: &Path) {
    for _ in 0..100 {
        if succeeds("umount", &[folder]) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("{} stays busy", folder.display());
}

/// An image mounted by the kernel until it is dropped.
pub struct Mount(TempDir);

impl Mount {
    pub fn new(image: &Path, kind: &str, options: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let options = format!("loop,{options}");
        let args = ["-t", kind, "-o", &options, image.to_str().unwrap()];
        tool("mount", &[&args[..], &[folder.path().to_str().unwrap()]].concat());
        Self(folder)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file and waits until it is safe, which puts its metadata into the journal.
    pub fn write(&self, name: &str, bytes: &[u8]) {
        let mut file = File::create(self.path().join(name)).unwrap();
        file.write_all(bytes).unwrap();
        file.sync_all().unwrap();
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        unmount(self.path());
    }
}

/// Overwrites everything outside `used` with `byte`: what a restore that left those bytes out
/// could find there.
pub fn scribble(path: &Path, used: &Extents, byte: u8) {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    let size = file.metadata().unwrap().len();
    let piece = vec![byte; 1 << 20];
    for gap in used.gaps_within(0, size).iter() {
        let mut at = gap.start;
        while at < gap.end {
            let len = usize::try_from((gap.end - at).min(piece.len() as u64)).unwrap();
            file.write_all_at(&piece[..len], at).unwrap();
            at += len as u64;
        }
    }
}

/// Copies an image and scribbles over what `used` leaves out.
pub fn scribbled_copy(image: &Path, used: &Extents, byte: u8) -> PathBuf {
    let copy = image.with_extension(format!("scribbled-{byte:02x}"));
    fs::copy(image, &copy).unwrap();
    scribble(&copy, used, byte);
    copy
}

/// How a filesystem is judged: its own checker, and every file's hash.
pub struct Judge {
    pub is_sound: fn(&Path) -> bool,
    pub contents: fn(&Path) -> BTreeMap<PathBuf, String>,
}

impl Judge {
    /// The scribble test: nothing that the map leaves out may matter to checker or content.
    pub fn accepts(&self, image: &Path, used: &Extents) -> bool {
        assert!((self.is_sound)(image), "{}: not sound to begin with", image.display());
        let expected = (self.contents)(image);
        assert!(!expected.is_empty(), "{}: empty", image.display());
        [0x00, 0x5a].into_iter().all(|byte| {
            let copy = scribbled_copy(image, used, byte);
            let same = (self.is_sound)(&copy) && (self.contents)(&copy) == expected;
            fs::remove_file(copy).unwrap();
            same
        })
    }
}

/// A map without some of its bytes.
pub fn without(used: &Extents, hole: &Extents, size: u64) -> Extents {
    used.gaps_within(0, size).union(hole).gaps_within(0, size)
}

/// Deletes half of the files, rewrites some with other sizes, and adds new ones.
pub fn churn(root: &Path, seed: u64, largest: u64) {
    let mut numbers = Random::new(seed);
    let names: Vec<PathBuf> = hashes(root).into_keys().map(|name| root.join(name)).collect();
    for (index, path) in names.iter().filter(|path| path.is_file()).enumerate() {
        let len = file_size(&mut numbers, largest);
        match index % 4 {
            0 | 2 => fs::remove_file(path).unwrap(),
            1 => fs::write(path, numbers.bytes(len)).unwrap(),
            _ => {}
        }
        if index % 5 == 0 {
            let fresh = path.with_extension(format!("new{index}"));
            fs::write(fresh, numbers.bytes(len / 2)).unwrap();
        }
    }
}

/// Every file below a folder with the hash of its content, every link with its target.
pub fn hashes(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_path_buf();
            let kind = fs::symlink_metadata(&path).unwrap().file_type();
            if kind.is_dir() {
                found.insert(name, "folder".into());
                folders.push(path);
            } else if kind.is_symlink() {
                found.insert(name, format!("link {}", fs::read_link(&path).unwrap().display()));
            } else {
                found.insert(name, hex::encode(Sha256::digest(fs::read(&path).unwrap())));
            }
        }
    }
    found
}

/// A size of a file: mostly small, sometimes large, up to `largest` bytes.
pub fn file_size(random: &mut Random, largest: u64) -> usize {
    let scale = [64, 4, 1][usize::try_from(random.below(3)).unwrap()];
    usize::try_from(random.below(largest / scale + 1)).unwrap()
}

/// Writes a tree of files and folders of about `total` bytes.
pub fn make_tree(root: &Path, seed: u64, total: u64) {
    let mut numbers = Random::new(seed);
    let mut written = 0;
    let mut count = 0;
    fs::create_dir_all(root).unwrap();
    while written < total {
        let folder = root.join(format!("folder {}", count % 7)).join(format!("sub{}", count % 3));
        fs::create_dir_all(&folder).unwrap();
        let bytes = file_size(&mut numbers, 400 << 10);
        fs::write(folder.join(format!("file-{count:04}.bin")), numbers.bytes(bytes)).unwrap();
        written += bytes as u64;
        count += 1;
    }
}
