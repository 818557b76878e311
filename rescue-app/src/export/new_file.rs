//! A file that is not there by its name until it is whole.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

use crate::bytes::{DirectFile, ReadAt};
use crate::virtual_disk::{PutAt, Seal};

/// What is put behind a name until the file is whole.
const ENDING: &str = ".lifeboat-unfinished";

/// What stands under the name that a new file is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing.
    Nothing,
    /// A file, which is replaced: its device, number, size and time of change.
    File([i128; 5]),
}

impl Standing {
    /// What stands there now.
    ///
    /// # Errors
    /// What is no plain file; and the system's.
    pub(crate) fn find(path: &Path) -> io::Result<Self> {
        let meta = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::Nothing),
            other => other?,
        };
        if !meta.is_file() {
            return Err(io::Error::other("this is no plain file"));
        }
        let (time, part) = (meta.mtime().into(), meta.mtime_nsec().into());
        Ok(Self::File([meta.dev().into(), meta.ino().into(), meta.len().into(), time, part]))
    }
}

/// A file that is being written, under another name beside its own; it is removed unless it is finished.
pub(crate) struct NewFile {
    path: PathBuf,
    unfinished: PathBuf,
    file: DirectFile,
    is_finished: bool,
}

impl NewFile {
    /// Begins the file that will be at `path`. One that a run before left unfinished is begun anew.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when another run writes it; and the system's.
    pub(crate) fn begin(path: &Path) -> io::Result<Self> {
        let mut name: OsString = path.as_os_str().to_owned();
        name.push(ENDING);
        let unfinished = PathBuf::from(name);
        let mut options = OpenOptions::new();
        // For its owner only: the disk that will be in it showed nothing to other users either.
        let options = options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(&unfinished)?;
        file.try_lock().map_err(|_| io::Error::from(io::ErrorKind::WouldBlock))?;
        file.set_len(0)?;
        Ok(Self {
            path: path.to_owned(),
            unfinished,
            file: DirectFile::new(file),
            is_finished: false,
        })
    }

    /// Where it is until it is finished.
    pub(crate) fn unfinished(&self) -> &Path {
        &self.unfinished
    }

    /// Puts what makes it whole, once all else is on its disk, and waits for that too. What is read from then on
    /// comes from there.
    ///
    /// # Errors
    /// Also write errors of before that the system noticed only now.
    pub(crate) fn seal(&self, seal: &Seal) -> io::Result<()> {
        let file = self.file.file();
        file.set_len(seal.size)?;
        file.sync_all()?;
        self.put_at(seal.at, &seal.bytes)?;
        file.sync_all()?;
        // Only a hint.
        let _ = posix_fadvise(file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
        Ok(())
    }

    /// Gives it its name, under which `standing` was before and must still be.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] when there is something else by now.
    pub(crate) fn finish(mut self, standing: Standing) -> io::Result<()> {
        let taken = || io::Error::from(io::ErrorKind::AlreadyExists);
        match standing {
            Standing::Nothing => rename_to_nothing(&self.unfinished, &self.path)?,
            file if Standing::find(&self.path)? == file => {
                fs::rename(&self.unfinished, &self.path)?
            }
            Standing::File(_) => return Err(taken()),
        }
        self.is_finished = true;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

/// Renames what must overwrite nothing; on filesystems without links (FAT) nothing may have been there a moment
/// before.
fn rename_to_nothing(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        Ok(()) => fs::remove_file(from),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        Err(_) if Standing::find(to)? == Standing::Nothing => fs::rename(from, to),
        Err(_) => Err(io::ErrorKind::AlreadyExists.into()),
    }
}

impl PutAt for NewFile {
    fn put_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.put_at(offset, bytes)
    }
}

impl ReadAt for NewFile {
    fn size(&self) -> u64 {
        self.file.file().metadata().map_or(0, |meta| meta.len())
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buf, offset)
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.is_finished {
            // What cannot be removed is no disk, and is begun anew by the next run.
            let _ = fs::remove_file(&self.unfinished);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal() -> Seal {
        Seal { at: 0, bytes: b"whole".to_vec(), size: 4096 }
    }

    #[test]
    fn it_is_there_when_it_is_whole_and_else_nothing_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk");
        let names = || fs::read_dir(folder.path()).unwrap().count();
        drop(NewFile::begin(&path).unwrap());
        assert_eq!(names(), 0);
        let file = NewFile::begin(&path).unwrap();
        assert_eq!(NewFile::begin(&path).err().unwrap().kind(), io::ErrorKind::WouldBlock);
        file.seal(&seal()).unwrap();
        assert!(!path.exists());
        file.finish(Standing::Nothing).unwrap();
        assert_eq!((names(), fs::read(&path).unwrap().len()), (1, 4096));
    }

    #[test]
    fn only_what_was_there_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk");
        fs::write(&path, b"before").unwrap();
        let before = Standing::find(&path).unwrap();
        let finish = |standing| {
            let file = NewFile::begin(&path).unwrap();
            file.seal(&seal()).unwrap();
            file.finish(standing)
        };
        let error = finish(Standing::Nothing).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        finish(before).unwrap();
        assert_eq!(finish(before).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert!(fs::read(&path).unwrap().starts_with(b"whole"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
