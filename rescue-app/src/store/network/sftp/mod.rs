//! Folders on other machines, reached by this machine's own `ssh`, which knows hosts and keys; laid out
//! as restic does.

mod files;
mod packet;
mod session;

use std::io;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use super::options::NetworkOptions;
use super::remote::{Attempt, Failure, Remote};
use crate::console;
use crate::store::{FileEntry, FileKind, StoreError};
use packet::{Attributes, Code, Payload, Reply};
use session::{Process, Session};

/// What our unfinished files have in their names; neither restic nor a list takes them for a file.
const UNFINISHED: &str = ".lifeboat-unfinished-";

/// Of `SSH_FXP_OPEN`.
const FOR_READING: u32 = 1;

/// The part of a mode that says what something is, and that of a file (`stat.h`).
const FILE_TYPE: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;

/// A repository that `ssh` reaches.
pub(super) struct Sftp {
    command: Vec<String>,
    location: String,
    root: String,
    /// Connections that nobody uses.
    idle: Mutex<Vec<Session>>,
    /// All programs that were started.
    processes: Mutex<Vec<Weak<Process>>>,
}

impl Sftp {
    pub(super) fn new(
        location: String,
        (host, port): (&str, Option<u16>),
        folder: &str,
        options: &NetworkOptions,
    ) -> Self {
        let command = match &options.sftp_command {
            Some(command) => command.split_whitespace().map(str::to_owned).collect(),
            None => ssh(host, port),
        };
        let root = match folder.trim_end_matches('/') {
            "" => "/",
            folder => folder,
        };
        let (idle, processes) = (Mutex::default(), Mutex::default());
        Self { command, location, root: root.to_owned(), idle, processes }
    }

    fn folder(&self, kind: FileKind, name: &str) -> String {
        match (kind, name.get(..2)) {
            (FileKind::Config, _) => self.root.clone(),
            (FileKind::Pack, Some(first)) => format!("{}/data/{first}", self.root),
            _ => format!("{}/{}", self.root, kind.folder()),
        }
    }

    fn path(&self, kind: FileKind, name: &str) -> String {
        format!("{}/{name}", self.folder(kind, name))
    }

    /// Does something on a connection that nobody else uses; one that failed is not used again.
    fn with<T>(&self, work: impl FnOnce(&mut Session) -> io::Result<Attempt<T>>) -> Attempt<T> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let started = idle.map_or_else(|| self.start(), Ok);
        let mut session = started.map_err(|error| self.failed(&error))?;
        match work(&mut session) {
            Ok(done) => {
                self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(session);
                done
            }
            Err(error) => Err(self.failed(&error)),
        }
    }

    fn start(&self) -> io::Result<Session> {
        Session::start(&self.command, |process| {
            let mut processes = self.processes.lock().unwrap_or_else(PoisonError::into_inner);
            processes.retain(|process| process.strong_count() > 0);
            processes.push(Arc::downgrade(process));
        })
    }

    /// What became of a connection. What no second try would better is told at once.
    fn failed(&self, error: &io::Error) -> Failure {
        const FOR_GOOD: [(&str, &str); 3] = [
            ("Permission denied", "give ssh a key that the server takes without being asked"),
            (
                "Host key verification failed",
                "connect once by 'ssh' and compare the key, or look why it changed",
            ),
            ("subsystem request failed", "let the server offer sftp"),
        ];
        let why: String = console::name(&error.to_string()).chars().take(300).collect();
        if let Some((_, next)) = FOR_GOOD.iter().find(|(said, _)| why.contains(said)) {
            return self.refused(why, next);
        }
        match error.kind() {
            io::ErrorKind::NotFound => {
                let program = self.command.first().map_or("", String::as_str);
                self.refused(format!("there is no {program}"), "install OpenSSH's client")
            }
            io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe => {
                Failure::temporary("the connection was cut")
            }
            _ => Failure::temporary(why),
        }
    }

    fn refused(&self, why: String, next: &str) -> Failure {
        let (location, next) = (self.location.clone(), next.to_owned());
        StoreError::Refused { location, why, next }.into()
    }

    /// What a status means that is not the wanted one.
    fn status(&self, reply: Reply) -> Failure {
        match reply {
            Reply::Status(Code::NoSuchFile, _) => Failure::Missing,
            Reply::Status(Code::Eof, _) => Failure::TooShort,
            Reply::Status(Code::Denied, _) => {
                StoreError::ReadOnly { location: self.location.clone() }.into()
            }
            Reply::Status(_, said) => self.refused(
                format!("the server says {}", console::name(&said)),
                "look at the folder on the server",
            ),
            _ => self.refused("it answers with something else".to_owned(), "look at the server"),
        }
    }

    fn done(&self, reply: Reply) -> Attempt<()> {
        match reply {
            Reply::Status(Code::Ok, _) => Ok(()),
            other => Err(self.status(other)),
        }
    }

    fn attributes(&self, session: &mut Session, path: &str) -> io::Result<Attempt<Attributes>> {
        let reply = session.ask(packet::LSTAT, &Payload::default().text(path.as_bytes()))?;
        Ok(match reply {
            Reply::Attributes(found) => Ok(found),
            other => Err(self.status(other)),
        })
    }

    /// Makes folders; those that are there are fine.
    fn make_folders(&self, session: &mut Session, folders: &[String]) -> io::Result<()> {
        let requests = folders.iter().map(|folder| {
            let path = Payload::default().text(folder.as_bytes());
            (packet::MKDIR, path.number(4).number(0o700))
        });
        session.ask_all(requests, |_| true)
    }

    /// The folders above the root and it.
    fn to_root(&self) -> Vec<String> {
        let ends = self.root.match_indices('/').map(|(at, _)| at).filter(|at| *at > 0);
        let above = ends.filter_map(|at| self.root.get(..at)).map(str::to_owned);
        above.chain([self.root.clone()]).collect()
    }

    fn folders(&self, kind: FileKind) -> Vec<String> {
        match kind {
            FileKind::Pack => {
                (0..=u8::MAX).map(|first| format!("{}/data/{first:02x}", self.root)).collect()
            }
            _ => vec![self.folder(kind, "")],
        }
    }
}

impl Remote for Sftp {
    fn create(&self) -> Attempt<()> {
        self.with(|session| {
            self.make_folders(session, &self.to_root())?;
            let kinds = FileKind::FOLDERS.map(|kind| format!("{}/{}", self.root, kind.folder()));
            self.make_folders(session, &kinds)?;
            self.make_folders(session, &self.folders(FileKind::Pack))?;
            let keys = self.folder(FileKind::Key, "");
            Ok(match self.attributes(session, &keys)? {
                Err(Failure::Missing) => Err(self.refused(
                    "the folder cannot be made".to_owned(),
                    "name one in a folder that you may write to",
                )),
                found => found.map(drop),
            })
        })
    }

    fn list(&self, kind: FileKind) -> Attempt<Vec<FileEntry>> {
        self.with(|session| {
            let found = self.entries(session, &self.folders(kind))?;
            Ok(found.map(|found| {
                let is_file = |mode: u32| mode & FILE_TYPE == REGULAR;
                let files = found.into_iter().filter(|(_, it)| it.mode.is_none_or(is_file));
                files.map(|(name, it)| FileEntry { name, size: it.size.unwrap_or(0) }).collect()
            }))
        })
    }

    fn size(&self, kind: FileKind, name: &str) -> Attempt<u64> {
        let found = self.with(|session| self.attributes(session, &self.path(kind, name)))?;
        found.size.ok_or_else(|| Failure::temporary("it does not tell the size of a file"))
    }

    fn read_range(
        &self,
        kind: FileKind,
        name: &str,
        offset: u64,
        buf: &mut [u8],
        filled: &mut usize,
    ) -> Attempt<()> {
        self.with(|session| {
            let open = Payload::default().text(self.path(kind, name).as_bytes());
            let handle = match session.ask(packet::OPEN, &open.number(FOR_READING).number(0))? {
                Reply::Handle(handle) => handle,
                other => return Ok(Err(self.status(other))),
            };
            let read = self.pieces(session, &handle, offset, buf, filled)?;
            session.ask(packet::CLOSE, &Payload::default().text(&handle))?;
            Ok(read)
        })
    }

    fn write(&self, kind: FileKind, name: &str, bytes: &[u8]) -> Attempt<()> {
        let (folder, replaces) = (self.folder(kind, name), kind != FileKind::Config);
        self.with(|session| self.write_whole(session, (&folder, name), bytes, replaces))
    }

    fn remove(&self, kind: FileKind, name: &str) -> Attempt<()> {
        let path = Payload::default().text(self.path(kind, name).as_bytes());
        self.with(|session| Ok(self.done(session.ask(packet::REMOVE, &path)?)))
    }

    /// A file that is written now tells what time it is there.
    fn age(&self, kind: FileKind, name: &str) -> Attempt<Option<Duration>> {
        let probe = format!("{name}{UNFINISHED}probe-{}", std::process::id());
        let (folder, path) = (self.folder(kind, name), self.path(kind, name));
        self.with(|session| {
            let there = match self.attributes(session, &path)? {
                Ok(there) => there,
                Err(failure) => return Ok(Err(failure)),
            };
            if self.write_whole(session, (&folder, &probe), b"", true)?.is_err() {
                return Ok(Ok(None));
            }
            let probe = format!("{folder}/{probe}");
            let now = self.attributes(session, &probe)?;
            session.ask(packet::REMOVE, &Payload::default().text(probe.as_bytes()))?;
            let times = there.modified.zip(now.ok().and_then(|now| now.modified));
            let age =
                |(then, now): (u32, u32)| Duration::from_secs(now.saturating_sub(then).into());
            Ok(Ok(times.map(age)))
        })
    }

    fn remove_leftovers(&self, kind: FileKind, name: &str) -> Attempt<u64> {
        self.with(|session| {
            let limit = match self.attributes(session, &self.path(kind, name))? {
                Ok(found) => found.modified,
                Err(failure) => return Ok(Err(failure)),
            };
            let mut freed = 0;
            let kinds = FileKind::FOLDERS.into_iter().flat_map(|kind| self.folders(kind));
            for folder in kinds.chain([self.root.clone()]) {
                let found = match self.entries(session, std::slice::from_ref(&folder))? {
                    Ok(found) => found,
                    Err(failure) => return Ok(Err(failure)),
                };
                for (name, it) in found {
                    if name.contains(UNFINISHED) && it.modified < limit {
                        let path = format!("{folder}/{name}");
                        session.ask(packet::REMOVE, &Payload::default().text(path.as_bytes()))?;
                        freed += it.size.unwrap_or(0);
                    }
                }
            }
            Ok(Ok(freed))
        })
    }

    fn takes_notes(&self) -> bool {
        true
    }

    fn write_note(&self, name: &str, text: &str) -> Attempt<()> {
        let (folder, name) = match name.rsplit_once('/') {
            Some((folder, name)) => (format!("{}/{folder}", self.root), name),
            None => (self.root.clone(), name),
        };
        self.with(|session| self.write_whole(session, (&folder, name), text.as_bytes(), true))
    }

    fn free_space(&self) -> Option<u64> {
        self.with(|session| Ok(Ok(self.free(session)?))).ok().flatten()
    }

    fn stop(&self) {
        let processes = self.processes.lock().unwrap_or_else(PoisonError::into_inner);
        processes.iter().filter_map(Weak::upgrade).for_each(|process| process.kill());
    }

    fn location(&self) -> String {
        self.location.clone()
    }
}

/// The command that speaks to a host: it asks nobody anything, and ends when the host is silent for a
/// minute (`ssh_config(5)`).
fn ssh(host: &str, port: Option<u16>) -> Vec<String> {
    let mut words = vec!["ssh".to_owned()];
    for option in
        ["BatchMode=yes", "ConnectTimeout=20", "ServerAliveInterval=15", "ServerAliveCountMax=4"]
    {
        words.extend(["-o".to_owned(), option.to_owned()]);
    }
    words.extend(port.into_iter().flat_map(|port| ["-p".to_owned(), port.to_string()]));
    let host = host.replace(['[', ']'], "");
    words.extend(["-s".to_owned(), "--".to_owned(), host, "sftp".to_owned()]);
    words
}
