//! A repository in a folder of a mounted filesystem.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::filesystem_type::FilesystemType;
use super::{Claim, FileEntry, FileKind, Result, Store, StoreError, valid_name};
use crate::bytes::{DirectFile, free_space};
use crate::console;

/// What our unfinished files have in their names after the 64 digits. Neither restic nor
/// [`LocalStore::list`] takes a name for a repository file that is not 64 hex digits alone.
const UNFINISHED: &str = ".lifeboat-unfinished-";

/// What a file that is being removed has in its name.
const REMOVED: &str = ".lifeboat-unfinished-removal-";

/// Beside the repository while it is created.
const CLAIM: &str = "creation.lifeboat-unfinished-claim";

const NOT_A_FILE: &str = "it is not a regular file";

/// Counts the unfinished files of this process, for names that do not collide.
static SEQUENCE: AtomicU64 = AtomicU64::new(0);

/// A folder laid out as restic's local backend does: packs spread over `data/00` to `data/ff`.
#[derive(Debug)]
pub struct LocalStore {
    root: PathBuf,
}

impl LocalStore {
    /// The store in folder `root`; nothing is touched yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder a file of this name lies in.
    fn folder_of(&self, kind: FileKind, name: &str) -> PathBuf {
        match (kind, name.get(..2)) {
            (FileKind::Config, _) => self.root.clone(),
            (FileKind::Pack, Some(prefix)) => self.root.join(kind.folder()).join(prefix),
            _ => self.root.join(kind.folder()),
        }
    }

    fn path_of(&self, kind: FileKind, name: &str) -> Result<PathBuf> {
        if !valid_name(kind, name) {
            return Err(StoreError::InvalidName { kind, name: name.to_owned() });
        }
        Ok(self.folder_of(kind, name).join(name))
    }

    /// All folders that files of a kind lie in, existing or not.
    fn folders(&self, kind: FileKind) -> Vec<PathBuf> {
        let top = self.root.join(kind.folder());
        match kind {
            FileKind::Pack => (0..=u8::MAX).map(|n| top.join(format!("{n:02x}"))).collect(),
            _ => vec![top],
        }
    }

    /// Turns an I/O error of something that changes the store into the store's own.
    fn failed_to(&self, action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
        let (other, location) = (self.failed(action, path), self.location());
        move |source| match source.raw_os_error().map(Errno::from_raw) {
            _ if is_full(&source) => StoreError::Full { location },
            Some(Errno::EROFS | Errno::EACCES | Errno::EPERM) => StoreError::ReadOnly { location },
            _ => other(source),
        }
    }

    /// Turns an I/O error into the store's own.
    fn failed(&self, action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
        let path = console::path(path);
        move |source| StoreError::Io { action, path, source }
    }

    /// Turns an I/O error about a repository file that may be missing into the store's own.
    fn failed_on(
        &self,
        action: &'static str,
        kind: FileKind,
        name: &str,
        path: &Path,
    ) -> impl FnOnce(io::Error) -> StoreError {
        let other = self.failed(action, path);
        let (name, location) = (name.to_owned(), self.location());
        move |error| match error.kind() {
            io::ErrorKind::NotFound => StoreError::NotFound { kind, name, location },
            _ => other(error),
        }
    }

    /// Makes one folder; existing is fine.
    fn make_folder(&self, path: &Path) -> Result<()> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(path).map_err(self.failed_to("creating folder", path))
    }

    /// Opens a new unfinished file, making its folder when it has gone missing.
    fn create_unfinished(&self, path: &Path, folder: &Path) -> Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        match options.open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.make_folder(folder)?;
                self.sync_folder(folder.parent().unwrap_or(folder))?;
                options.open(path)
            }
            opened => opened,
        }
        .map_err(self.failed_to("creating", path))
    }

    /// Writes `bytes` under a temporary name, syncs, renames, syncs the folder.
    ///
    /// On FAT a folder holds what elsewhere is the file's own: where it begins and how long it is.
    /// Renamed, it is a new entry of length zero until the file is synced (Linux
    /// `fs/fat/namei_vfat.c`, `vfat_rename`), for the folder's sync does not see to that.
    fn write_whole(&self, folder: &Path, name: &str, bytes: &[u8]) -> Result<()> {
        let unfinished = self.unfinished(folder, name);
        let file = DirectFile::new(self.create_unfinished(&unfinished, folder)?);
        let target = folder.join(name);
        let done = file
            .write_all_at(bytes, 0)
            .and_then(|()| file.file().sync_all())
            .and_then(|()| fs::rename(&unfinished, &target))
            .and_then(|()| {
                if FilesystemType::of(&self.root) == Some(FilesystemType::FAT) {
                    file.file().sync_all()
                } else {
                    Ok(())
                }
            });
        if let Err(error) = done {
            // The first error is the one to report; a leftover is removed by a later run.
            let _ = fs::remove_file(&unfinished);
            return Err(self.failed_to("writing", &target)(error));
        }
        self.sync_folder(folder)
    }

    /// Makes the names in a folder survive a power cut as they are now. Filesystems that cannot sync
    /// folders say so with EINVAL or ENOTSUP; there everything is synced.
    fn sync_folder(&self, folder: &Path) -> Result<()> {
        let cannot = |error: &io::Error| {
            let errno = error.raw_os_error().map(Errno::from_raw);
            matches!(errno, Some(Errno::EINVAL | Errno::ENOTSUP))
        };
        let synced = File::open(folder).and_then(|folder| match folder.sync_all() {
            Err(error) if cannot(&error) => Ok(nix::unistd::syncfs(&folder)?),
            synced => synced,
        });
        synced.map_err(self.failed("syncing folder", folder))
    }

    /// What time it is for the place: over a network that is the server's affair. A new file tells.
    fn now(&self, kind: FileKind, name: &str) -> Result<SystemTime> {
        let folder = self.folder_of(kind, name);
        let probe = self.unfinished(&folder, name);
        let file = self.create_unfinished(&probe, &folder)?;
        let told = file.metadata().and_then(|meta| meta.modified());
        // A leftover is removed by a later run.
        let _ = fs::remove_file(&probe);
        told.map_err(self.failed("looking at", &probe))
    }

    /// A new name for an unfinished file.
    fn unfinished(&self, folder: &Path, name: &str) -> PathBuf {
        Self::marked(folder, name, UNFINISHED)
    }

    fn marked(folder: &Path, name: &str, mark: &str) -> PathBuf {
        let (pid, number) = (std::process::id(), SEQUENCE.fetch_add(1, Ordering::Relaxed));
        folder.join(format!("{name}{mark}{pid}-{number}"))
    }

    /// Takes a file's name from it, and leaves the content to [`Self::sync_names`]. A filesystem
    /// without a journal may lose that a name went and keep that its blocks did: after a power cut
    /// the file is there, cut short or with another one's bytes. So the name goes first.
    fn set_aside(&self, path: &Path, name: &str) -> io::Result<()> {
        let folder = path.parent().unwrap_or(&self.root);
        let aside = Self::marked(folder, name, REMOVED);
        match fs::rename(path, aside) {
            // There is no room for the longer name.
            Err(error) if is_full(&error) => fs::remove_file(path),
            renamed => renamed,
        }
    }

    /// Syncs a folder, and removes what had been set aside before that.
    fn sync_removals(&self, folder: &Path) -> Result<()> {
        let is_aside = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().contains(REMOVED);
        let aside: Vec<_> = self.entries(folder)?.into_iter().filter(is_aside).collect();
        self.sync_folder(folder)?;
        for entry in aside {
            // A leftover is removed by a later run.
            let _ = fs::remove_file(entry.path());
        }
        Ok(())
    }

    /// Removes the unfinished files of one folder last written before `limit`, and index files that
    /// a power cut emptied, at which stock restic stops.
    fn clean_folder(&self, folder: &Path, limit: SystemTime) -> Result<u64> {
        let is_index = folder.ends_with(FileKind::Index.folder());
        let is_leftover = |entry: &fs::DirEntry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_emptied = || is_index && valid_name(FileKind::Index, &name) && is_emptied(entry);
            name.contains(UNFINISHED) || is_emptied()
        };
        let leftovers: Vec<_> = self.entries(folder)?.into_iter().filter(is_leftover).collect();
        if !leftovers.is_empty() {
            // Some may have been set aside, by somebody who did not come to this.
            self.sync_folder(folder)?;
        }
        let mut freed = 0;
        for entry in leftovers {
            let path = entry.path();
            let meta = entry.metadata().map_err(self.failed("looking at", &path))?;
            if meta.modified().is_ok_and(|time| time < limit) {
                fs::remove_file(&path).map_err(self.failed_to("removing", &path))?;
                freed += meta.len();
            }
        }
        Ok(freed)
    }

    /// What lies in a folder; a folder that does not exist is empty.
    fn entries(&self, folder: &Path) -> Result<Vec<fs::DirEntry>> {
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(self.failed("listing", folder))?,
        };
        entries.collect::<io::Result<_>>().map_err(self.failed("listing", folder))
    }

    /// Refuses links among the folders of the repository that lie in `parent`.
    fn refuse_links_in(&self, parent: &Path, names: &[String]) -> Result<()> {
        for entry in self.entries(parent)? {
            let path = entry.path();
            let kind = entry.file_type().map_err(self.failed("looking at", &path))?;
            if kind.is_symlink() && names.iter().any(|name| entry.file_name() == name.as_str()) {
                return Err(StoreError::Link { path: console::path(&path) });
            }
        }
        Ok(())
    }

    /// The repository files of one folder.
    fn list_folder(&self, kind: FileKind, folder: &Path) -> Result<Vec<FileEntry>> {
        let mut files = Vec::new();
        for entry in self.entries(folder)? {
            let name = entry.file_name().to_string_lossy().into_owned();
            if !valid_name(kind, &name) || (kind == FileKind::Pack && !folder.ends_with(&name[..2]))
            {
                continue;
            }
            match entry.metadata() {
                Ok(meta) if meta.is_file() => {
                    if kind != FileKind::Index || !is_emptied(&entry) {
                        files.push(FileEntry { name, size: meta.len() });
                    }
                }
                Ok(_) => {}
                // Removed by someone else between listing and looking: not there.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(self.failed("looking at", &entry.path())(error)),
            }
        }
        Ok(files)
    }
}

/// Whether there is no room, or none is granted any more.
fn is_full(error: &io::Error) -> bool {
    matches!(error.raw_os_error().map(Errno::from_raw), Some(Errno::ENOSPC | Errno::EDQUOT))
}

/// Whether a file has no byte. Of a file that was being renamed when the power went FAT may have both
/// names, and `fsck.fat` takes the content from one of them; nothing counts on it yet, for the name
/// was not synced. It is opened to be sure, for a network filesystem remembers lengths for a while.
fn is_emptied(entry: &fs::DirEntry) -> bool {
    let is_empty = |meta: fs::Metadata| meta.is_file() && meta.len() == 0;
    entry.metadata().is_ok_and(is_empty)
        && File::open(entry.path()).and_then(|file| file.metadata()).is_ok_and(is_empty)
}

/// A locked file beside the repository to be. The kernel drops the lock with the process; network
/// filesystems pass it on to the server (`flock(2)`, NFS and SMB).
struct CreationClaim {
    path: PathBuf,
    _locked: Option<Flock<File>>,
}

impl Drop for CreationClaim {
    fn drop(&mut self) {
        // A leftover is in nobody's way: whoever finds it locks it anew.
        let _ = fs::remove_file(&self.path);
    }
}

impl Store for LocalStore {
    fn claim(&self) -> Result<Claim> {
        self.make_folder(&self.root)?;
        let path = self.root.join(CLAIM);
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = file.map_err(self.failed_to("creating", &path))?;
        let taken = || StoreError::BeingCreated { location: self.location() };
        let locked = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(locked) => locked,
            Err((_, Errno::EWOULDBLOCK)) => return Err(taken()),
            // No locks here: then the order of the files has to do.
            Err(_) => return Ok(Box::new(CreationClaim { path, _locked: None })),
        };
        // The one before may have removed the file after it was opened here.
        let is_there = fs::metadata(&path).is_ok_and(|there| {
            locked
                .metadata()
                .is_ok_and(|ours| (ours.dev(), ours.ino()) == (there.dev(), there.ino()))
        });
        match is_there {
            true => Ok(Box::new(CreationClaim { path, _locked: Some(locked) })),
            false => Err(taken()),
        }
    }

    fn create_layout(&self) -> Result<()> {
        for kind in FileKind::FOLDERS {
            for folder in self.folders(kind) {
                self.make_folder(&folder)?;
            }
        }
        self.sync_folder(&self.root.join(FileKind::Pack.folder()))?;
        self.sync_folder(&self.root)
    }

    fn refuse_links(&self) -> Result<()> {
        let kinds = FileKind::FOLDERS.map(|kind| kind.folder().to_owned());
        self.refuse_links_in(&self.root, &kinds)?;
        let packs = (0..=u8::MAX).map(|n| format!("{n:02x}")).collect::<Vec<_>>();
        self.refuse_links_in(&self.root.join(FileKind::Pack.folder()), &packs)
    }

    fn list(&self, kind: FileKind) -> Result<Vec<FileEntry>> {
        let mut files = Vec::new();
        for folder in self.folders(kind) {
            files.append(&mut self.list_folder(kind, &folder)?);
        }
        files.sort_unstable();
        Ok(files)
    }

    fn size(&self, kind: FileKind, name: &str) -> Result<u64> {
        let path = self.path_of(kind, name)?;
        let meta = fs::symlink_metadata(&path);
        let meta = meta.map_err(self.failed_on("looking at", kind, name, &path))?;
        if meta.is_file() {
            return Ok(meta.len());
        }
        Err(self.failed("looking at", &path)(io::Error::other(NOT_A_FILE)))
    }

    fn read_range(&self, kind: FileKind, name: &str, offset: u64, buf: &mut [u8]) -> Result<()> {
        let path = self.path_of(kind, name)?;
        // A link would lead out of the store, and opening a pipe would wait for ever.
        let flags = (nix::fcntl::OFlag::O_NOFOLLOW | nix::fcntl::OFlag::O_NONBLOCK).bits();
        let file = OpenOptions::new().read(true).custom_flags(flags).open(&path);
        let file = file.map_err(self.failed_on("opening", kind, name, &path))?;
        if !file.metadata().is_ok_and(|meta| meta.is_file()) {
            return Err(self.failed("opening", &path)(io::Error::other(NOT_A_FILE)));
        }
        DirectFile::new(file).read_exact_at(buf, offset).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => StoreError::TooShort {
                kind,
                name: name.to_owned(),
                end: offset.saturating_add(buf.len() as u64),
            },
            _ => self.failed("reading", &path)(error),
        })
    }

    fn write(&self, kind: FileKind, name: &str, bytes: &[u8]) -> Result<()> {
        self.path_of(kind, name)?;
        self.write_whole(&self.folder_of(kind, name), name, bytes)
    }

    fn remove(&self, kind: FileKind, name: &str) -> Result<()> {
        let path = self.path_of(kind, name)?;
        let removed = match kind {
            FileKind::Snapshot | FileKind::Index => self.set_aside(&path, name),
            // Should a pack come back, nothing names it; should a lock, `unlock` removes it.
            _ => fs::remove_file(&path),
        };
        removed.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => self.failed_on("removing", kind, name, &path)(error),
            _ => self.failed_to("removing", &path)(error),
        })
    }

    fn sync_names(&self, kind: FileKind) -> Result<()> {
        let folders = self.folders(kind).into_iter().filter(|folder| folder.exists());
        folders.into_iter().try_for_each(|folder| self.sync_removals(&folder))
    }

    fn age(&self, kind: FileKind, name: &str) -> Result<Option<Duration>> {
        let path = self.path_of(kind, name)?;
        let written = fs::symlink_metadata(&path)
            .and_then(|meta| meta.modified())
            .map_err(self.failed_on("looking at", kind, name, &path))?;
        let now = match self.now(kind, name) {
            // Whoever cannot write there can do no harm with a wrong guess.
            Err(StoreError::ReadOnly { .. }) => SystemTime::now(),
            Err(StoreError::Full { .. }) => return Ok(None),
            now => now?,
        };
        Ok(Some(now.duration_since(written).unwrap_or_default()))
    }

    fn remove_leftovers_older_than(&self, kind: FileKind, name: &str) -> Result<u64> {
        let path = self.path_of(kind, name)?;
        let limit = fs::metadata(&path)
            .and_then(|meta| meta.modified())
            .map_err(self.failed_on("looking at", kind, name, &path))?;
        let mut freed = self.clean_folder(&self.root, limit)?;
        for kind in FileKind::FOLDERS {
            for folder in self.folders(kind) {
                freed += self.clean_folder(&folder, limit)?;
            }
        }
        Ok(freed)
    }

    fn write_note(&self, name: &str, text: &str) -> Result<()> {
        let (folder, file) = match name.split_once('/') {
            Some((folder, file)) => (Some(folder), file),
            None => (None, name),
        };
        let is_plain =
            |part: &str| !(part.is_empty() || part.contains('/') || part.starts_with('.'));
        let is_note_s = match folder {
            Some(folder) => {
                is_plain(folder) && FileKind::FOLDERS.iter().all(|kind| kind.folder() != folder)
            }
            None => !valid_name(FileKind::Config, file),
        };
        let folder = folder.map_or_else(|| self.root.clone(), |folder| self.root.join(folder));
        if !is_note_s || !is_plain(file) || folder.is_symlink() && folder != self.root {
            return Err(StoreError::InvalidName { kind: FileKind::Config, name: name.to_owned() });
        }
        self.write_whole(&folder, file, text.as_bytes())
    }

    fn settle_time(&self) -> Duration {
        FilesystemType::settle_time(FilesystemType::of(&self.root))
    }

    fn free_space(&self) -> Option<u64> {
        free_space(&self.root).ok()
    }

    fn location(&self) -> String {
        console::path(&self.root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff";

    fn store() -> (tempfile::TempDir, LocalStore) {
        let dir = tempfile::tempdir().unwrap();
        let store = LocalStore::new(dir.path().join("images"));
        store.create_layout().unwrap();
        (dir, store)
    }

    #[test]
    fn files_come_back_and_strangers_are_not_listed() {
        let (_dir, store) = store();
        store.write(FileKind::Pack, NAME, b"hello").unwrap();
        fs::write(store.root().join("data/00").join(format!("{NAME}-tmp-1")), b"x").unwrap();
        fs::write(store.root().join("data/01").join(NAME), b"in the wrong folder").unwrap();
        let listed = store.list(FileKind::Pack).unwrap();
        assert_eq!(listed, [FileEntry { name: NAME.to_owned(), size: 5 }]);
        let mut tail = [0; 3];
        store.read_range(FileKind::Pack, NAME, 2, &mut tail).unwrap();
        assert_eq!(&tail, b"llo");
        let past = store.read_range(FileKind::Pack, NAME, 3, &mut tail);
        assert!(matches!(past, Err(StoreError::TooShort { end: 6, .. })));
        assert!(matches!(
            store.read(FileKind::Pack, NAME, 4),
            Err(StoreError::TooLarge { size: 5, limit: 4, .. })
        ));
        store.remove(FileKind::Pack, NAME).unwrap();
        assert!(!store.exists(FileKind::Pack, NAME).unwrap());
    }

    #[test]
    fn an_index_file_loses_its_name_before_its_content() {
        let (_dir, store) = store();
        let files = || fs::read_dir(store.root().join("index")).unwrap().count();
        store.write(FileKind::Index, NAME, b"hello").unwrap();
        store.remove(FileKind::Index, NAME).unwrap();
        assert!(store.list(FileKind::Index).unwrap().is_empty());
        let again = store.remove(FileKind::Index, NAME);
        assert!(matches!(again, Err(StoreError::NotFound { .. })), "{again:?}");
        assert_eq!(files(), 1);
        store.sync_names(FileKind::Index).unwrap();
        assert_eq!(files(), 0);
    }

    #[test]
    fn an_emptied_index_file_is_not_there_and_goes_as_a_leftover() {
        let (_dir, store) = store();
        for kind in [FileKind::Index, FileKind::Snapshot] {
            store.write(kind, NAME, b"").unwrap();
        }
        let file = store.root().join("index").join(NAME);
        assert!(file.exists() && store.list(FileKind::Index).unwrap().is_empty());
        // Of a snapshot somebody has to be told.
        assert_eq!(store.list(FileKind::Snapshot).unwrap().len(), 1);
        std::thread::sleep(Duration::from_millis(20));
        store.write(FileKind::Lock, NAME, b"lock").unwrap();
        store.remove_leftovers_older_than(FileKind::Lock, NAME).unwrap();
        assert!(!file.exists());
        assert_eq!(store.list(FileKind::Snapshot).unwrap().len(), 1);
    }

    #[test]
    fn names_cannot_lead_out_of_the_store() {
        let (_dir, store) = store();
        for name in ["", "..", "../config", "/etc/passwd", &NAME[1..], &NAME.to_uppercase()] {
            let refused = store.write(FileKind::Index, name, b"x");
            assert!(matches!(refused, Err(StoreError::InvalidName { .. })), "{name}");
        }
        assert!(store.write_note("../note", "x").is_err());
        assert!(store.write_note("config", "x").is_err());
        store.write_note("logs/run", "what was done").unwrap();
        assert_eq!(fs::read(store.root().join("logs/run")).unwrap(), b"what was done");
        for name in ["snapshots/x", "logs/../x", "logs/a/b", ".hidden/x", "logs/", "/x"] {
            assert!(store.write_note(name, "x").is_err(), "{name}");
        }
    }

    #[test]
    fn links_and_pipes_are_not_followed() {
        let (dir, store) = store();
        fs::write(dir.path().join("secret"), b"secret").unwrap();
        let index = store.root().join("index");
        std::os::unix::fs::symlink(dir.path().join("secret"), index.join(NAME)).unwrap();
        let pipe = store.root().join("locks").join(NAME);
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        for kind in [FileKind::Index, FileKind::Lock] {
            assert!(store.list(kind).unwrap().is_empty());
            assert!(store.read(kind, NAME, 100).is_err() && store.size(kind, NAME).is_err());
            assert!(store.read_range(kind, NAME, 0, &mut [0; 3]).is_err());
        }
    }

    #[test]
    fn folders_that_are_links_are_refused() {
        for name in ["data", "keys", "locks", "snapshots", "index", "data/5f"] {
            let (dir, store) = store();
            store.refuse_links().unwrap();
            let (folder, elsewhere) = (store.root().join(name), dir.path().join("elsewhere"));
            fs::rename(&folder, &elsewhere).unwrap();
            std::os::unix::fs::symlink(&elsewhere, &folder).unwrap();
            let refused = store.refuse_links().unwrap_err().to_string();
            assert!(refused.contains(name) && refused.contains("is a link"), "{refused}");
            // The place itself may be reached through one.
            std::os::unix::fs::symlink(store.root(), dir.path().join("link")).unwrap();
            fs::remove_file(&folder).unwrap();
            LocalStore::new(dir.path().join("link")).refuse_links().unwrap();
        }
    }

    #[test]
    fn a_place_that_takes_no_files_says_so() {
        // Not even root creates files there.
        let store = LocalStore::new("/sys/kernel");
        let refused = store.write(FileKind::Lock, NAME, b"lock");
        assert!(matches!(refused, Err(StoreError::ReadOnly { .. })), "{refused:?}");
        assert!(!store.exists(FileKind::Config, "config").unwrap());
    }

    #[test]
    fn the_age_is_that_of_the_file_by_the_clock_of_the_place() {
        let (_dir, store) = store();
        store.write(FileKind::Lock, NAME, b"lock").unwrap();
        let file = File::options().write(true).open(store.root().join("locks").join(NAME)).unwrap();
        let hour = Duration::from_secs(3600);
        let age = || store.age(FileKind::Lock, NAME).unwrap().unwrap();
        assert!(age() < hour);
        file.set_modified(SystemTime::now() - hour).unwrap();
        assert!(age() >= hour - Duration::from_secs(10) && age() < 2 * hour);
        file.set_modified(SystemTime::now() + hour).unwrap();
        assert_eq!(age(), Duration::ZERO);
        assert_eq!(fs::read_dir(store.root().join("locks")).unwrap().count(), 1);
        let missing = store.age(FileKind::Lock, &NAME.replace('0', "1"));
        assert!(matches!(missing, Err(StoreError::NotFound { .. })), "{missing:?}");
    }

    #[test]
    fn only_older_leftovers_are_removed() {
        let (_dir, store) = store();
        let folder = store.root().join("data/00");
        let old = folder.join(format!("{NAME}{UNFINISHED}1-1"));
        let new = folder.join(format!("{NAME}{UNFINISHED}1-2"));
        fs::write(&old, b"1234").unwrap();
        store.write(FileKind::Lock, NAME, b"lock").unwrap();
        fs::write(&new, b"56").unwrap();
        let long_ago = SystemTime::now() - std::time::Duration::from_secs(60);
        File::options().write(true).open(&old).unwrap().set_modified(long_ago).unwrap();
        assert_eq!(store.remove_leftovers_older_than(FileKind::Lock, NAME).unwrap(), 4);
        assert!(!old.exists() && new.exists());
    }
}
