//! The place of a repository as one client sees it: every step it takes there is answered as it
//! was told beforehand. When the answers are used up, the step it would take next is noted, and
//! nothing works any more.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::store::{FileEntry, FileKind, Result as StoreResult, Store, StoreError};

/// What one image needs, and the only pack there is.
pub(super) const PACK: &str = "00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff";

/// A file by who wrote it, and how many before it: names differ from run to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct File {
    pub(super) kind: FileKind,
    pub(super) author: usize,
    pub(super) number: usize,
}

impl File {
    /// The pack, whoever writes it.
    pub(super) const PACK: Self = Self { kind: FileKind::Pack, author: 0, number: 0 };
}

/// What a client does in the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step {
    List(FileKind),
    Read(File),
    /// Looks whether the file is old.
    Age(File),
    Write(File),
    Remove(File),
    /// Takes no step any more; whether all went well.
    End(bool),
}

/// What comes of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Answer {
    Done,
    NotFound,
    Old(bool),
    Files(Vec<File>),
}

/// A file's name and content.
type Content = (String, Vec<u8>);

/// Every file that some client wrote in some run. Another run of that client writes the same under
/// another name, which others cannot tell from it.
pub(super) type Contents = Arc<Mutex<BTreeMap<File, Content>>>;

/// How far a client is.
#[derive(Default)]
struct Progress {
    answered: usize,
    written: usize,
    /// What it wrote in this run; its names are the ones it remembers.
    own: BTreeMap<File, Content>,
    next: Option<Step>,
}

/// The place as one client sees it, in one run.
pub(super) struct Place {
    client: usize,
    answers: Vec<Answer>,
    contents: Contents,
    progress: Mutex<Progress>,
}

impl Place {
    pub(super) fn new(client: usize, answers: &[Answer], contents: &Contents) -> Self {
        let (answers, contents) = (answers.to_vec(), Arc::clone(contents));
        Self { client, answers, contents, progress: Mutex::default() }
    }

    /// The step for which there was no answer any more.
    pub(super) fn next(&self) -> Option<Step> {
        self.progress().next
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap()
    }

    fn take(&self, step: Step) -> StoreResult<Answer> {
        let mut progress = self.progress();
        if let Some(answer) = self.answers.get(progress.answered) {
            progress.answered += 1;
            return Ok(answer.clone());
        }
        progress.next.get_or_insert(step);
        let (action, path) = ("exploring", String::new());
        Err(StoreError::Io { action, path, source: std::io::Error::other("over") })
    }

    /// What stands for a file of that name.
    fn file(&self, name: &str) -> File {
        let named = |files: &BTreeMap<File, Content>| {
            files.iter().find(|(_, content)| content.0 == name).map(|(file, _)| *file)
        };
        let found = named(&self.progress().own).or_else(|| named(&self.contents.lock().unwrap()));
        found.unwrap_or(File::PACK)
    }

    fn content(&self, file: File) -> Content {
        if file == File::PACK {
            return (PACK.to_owned(), vec![1]);
        }
        let own = self.progress().own.get(&file).cloned();
        own.unwrap_or_else(|| self.contents.lock().unwrap()[&file].clone())
    }

    fn read_file(&self, kind: FileKind, name: &str) -> StoreResult<Vec<u8>> {
        let file = self.file(name);
        self.found(kind, name, &self.take(Step::Read(file))?)?;
        Ok(self.content(file).1)
    }

    fn found(&self, kind: FileKind, name: &str, answer: &Answer) -> StoreResult<()> {
        match answer {
            Answer::NotFound => {
                Err(StoreError::NotFound { kind, name: name.to_owned(), location: self.location() })
            }
            _ => Ok(()),
        }
    }
}

impl Store for Place {
    fn create_layout(&self) -> StoreResult<()> {
        Ok(())
    }

    fn list(&self, kind: FileKind) -> StoreResult<Vec<FileEntry>> {
        let Answer::Files(files) = self.take(Step::List(kind))? else { return Ok(Vec::new()) };
        let names = files.into_iter().map(|file| self.content(file).0);
        Ok(names.map(|name| FileEntry { name, size: 1 }).collect())
    }

    fn size(&self, kind: FileKind, name: &str) -> StoreResult<u64> {
        self.read_file(kind, name).map(|bytes| bytes.len() as u64)
    }

    fn read(&self, kind: FileKind, name: &str, _: u64) -> StoreResult<Vec<u8>> {
        self.read_file(kind, name)
    }

    fn read_range(&self, kind: FileKind, name: &str, at: u64, buf: &mut [u8]) -> StoreResult<()> {
        let (bytes, at) = (self.read_file(kind, name)?, usize::try_from(at).unwrap());
        buf.copy_from_slice(&bytes[at..at + buf.len()]);
        Ok(())
    }

    fn write(&self, kind: FileKind, name: &str, bytes: &[u8]) -> StoreResult<()> {
        let mut progress = self.progress();
        let number = progress.written;
        progress.written += 1;
        let file = match kind {
            FileKind::Pack => File::PACK,
            _ => File { kind, author: self.client, number },
        };
        let content = (name.to_owned(), bytes.to_vec());
        self.contents.lock().unwrap().entry(file).or_insert_with(|| content.clone());
        progress.own.insert(file, content);
        drop(progress);
        self.take(Step::Write(file)).map(drop)
    }

    fn remove(&self, kind: FileKind, name: &str) -> StoreResult<()> {
        self.found(kind, name, &self.take(Step::Remove(self.file(name)))?)
    }

    fn sync_names(&self, _: FileKind) -> StoreResult<()> {
        Ok(())
    }

    fn age(&self, kind: FileKind, name: &str) -> StoreResult<Option<Duration>> {
        let answer = self.take(Step::Age(self.file(name)))?;
        self.found(kind, name, &answer)?;
        let minutes = if answer == Answer::Old(true) { 31 } else { 0 };
        Ok(Some(Duration::from_secs(minutes * 60)))
    }

    fn remove_leftovers_older_than(&self, _: FileKind, _: &str) -> StoreResult<u64> {
        Ok(0)
    }

    fn write_note(&self, _: &str, _: &str) -> StoreResult<()> {
        Ok(())
    }

    fn settle_time(&self) -> Duration {
        Duration::ZERO
    }

    fn free_space(&self) -> Option<u64> {
        None
    }

    fn location(&self) -> String {
        "the place".to_owned()
    }
}
