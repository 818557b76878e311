//! Files and folders on a connection.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use super::packet::{self, Attributes, Code, Payload, Reply};
use super::session::{PIECE, Session};
use super::{Sftp, UNFINISHED};
use crate::store::StoreError;
use crate::store::network::remote::{Attempt, Failure};

/// Of `SSH_FXP_OPEN`.
const NEW_FOR_WRITING: u32 = 2 | 8 | 32;

/// The most files that a folder may be said to have.
const MOST_FILES: usize = 2 << 20;

/// Counts the unfinished files of this process, for names that do not collide.
static SEQUENCE: AtomicU64 = AtomicU64::new(0);

impl Sftp {
    /// Writes under a name of its own, syncs, and gives it its name; for `replaces` see [`Self::rename`].
    pub(super) fn write_whole(
        &self,
        session: &mut Session,
        (folder, name): (&str, &str),
        bytes: &[u8],
        replaces: bool,
    ) -> io::Result<Attempt<()>> {
        let number = SEQUENCE.fetch_add(1, Ordering::Relaxed);
        let pid = std::process::id();
        let host = nix::unistd::gethostname().unwrap_or_default();
        let unfinished =
            format!("{folder}/{name}{UNFINISHED}{}-{pid}-{number}", host.to_string_lossy());
        let open = Payload::default().text(unfinished.as_bytes());
        let open = open.number(NEW_FOR_WRITING).number(4).number(0o600);
        let mut opened = session.ask(packet::OPEN, &open)?;
        if matches!(opened, Reply::Status(Code::NoSuchFile, _)) {
            self.make_folders(session, &[folder.to_owned()])?;
            opened = session.ask(packet::OPEN, &open)?;
        }
        let handle = match opened {
            Reply::Handle(handle) => handle,
            other => return Ok(Err(self.status(other))),
        };
        let mut written = self.fill(session, &handle, bytes)?;
        let closed = session.ask(packet::CLOSE, &Payload::default().text(&handle))?;
        written = written.and_then(|()| self.done(closed));
        if written.is_ok() {
            written = self.rename(session, &unfinished, &format!("{folder}/{name}"), replaces)?;
        }
        if written.is_err() {
            session.ask(packet::REMOVE, &Payload::default().text(unfinished.as_bytes()))?;
        }
        Ok(written)
    }

    fn fill(&self, session: &mut Session, handle: &[u8], bytes: &[u8]) -> io::Result<Attempt<()>> {
        let mut written = Ok(());
        let pieces = bytes.chunks(PIECE).scan(0u64, |at, piece| {
            let payload = Payload::default().text(handle).long(*at).text(piece);
            *at += piece.len() as u64;
            Some((packet::WRITE, payload))
        });
        session.ask_all(pieces, |reply| {
            if written.is_ok() {
                written = self.done(reply);
            }
            written.is_ok()
        })?;
        if written.is_err() && self.free(session)?.is_some_and(|free| free < bytes.len() as u64) {
            return Ok(Err(StoreError::Full { location: self.location.clone() }.into()));
        }
        if written.is_ok() && session.has("fsync@openssh.com") {
            let fsync = Payload::default().text(b"fsync@openssh.com").text(handle);
            written = self.done(session.ask(packet::EXTENDED, &fsync)?);
        }
        Ok(written)
    }

    /// Gives a file its name. The protocol's own renaming replaces nothing; OpenSSH has one that does.
    pub(super) fn rename(
        &self,
        session: &mut Session,
        from: &str,
        to: &str,
        replaces: bool,
    ) -> io::Result<Attempt<()>> {
        let reply = if replaces && session.has("posix-rename@openssh.com") {
            let rename = Payload::default().text(b"posix-rename@openssh.com");
            let rename = rename.text(from.as_bytes()).text(to.as_bytes());
            session.ask(packet::EXTENDED, &rename)?
        } else {
            let rename = Payload::default().text(from.as_bytes()).text(to.as_bytes());
            session.ask(packet::RENAME, &rename)?
        };
        if matches!(reply, Reply::Status(Code::Other(_), _))
            && self.attributes(session, to)?.is_ok()
        {
            return Ok(Err(Failure::Exists));
        }
        Ok(self.done(reply))
    }

    /// All that lies in folders; those that are missing are empty.
    pub(super) fn entries(
        &self,
        session: &mut Session,
        folders: &[String],
    ) -> io::Result<Attempt<Vec<(String, Attributes)>>> {
        let mut handles = Vec::new();
        let mut failed = None;
        let path = |folder: &String| Payload::default().text(folder.as_bytes());
        let requests = folders.iter().map(|folder| (packet::OPENDIR, path(folder)));
        session.ask_all(requests, |reply| {
            match reply {
                Reply::Handle(handle) => handles.push(handle),
                Reply::Status(Code::NoSuchFile, _) => {}
                other => failed = Some(self.status(other)),
            }
            true
        })?;
        let (mut found, mut open) = (Vec::new(), handles.clone());
        while !open.is_empty() && found.len() < MOST_FILES {
            let mut ended = Vec::new();
            let requests = open.iter().map(|it| (packet::READDIR, Payload::default().text(it)));
            session.ask_all(requests, |reply| {
                ended.push(!matches!(reply, Reply::Names(_)));
                match reply {
                    Reply::Names(names) => {
                        found.extend(names.into_iter().filter_map(|(name, attributes)| {
                            Some((String::from_utf8(name).ok()?, attributes))
                        }))
                    }
                    Reply::Status(Code::Eof, _) => {}
                    other => failed = Some(self.status(other)),
                }
                true
            })?;
            let mut ended = ended.into_iter();
            open.retain(|_| ended.next() == Some(false));
        }
        let requests = handles.iter().map(|it| (packet::CLOSE, Payload::default().text(it)));
        session.ask_all(requests, |_| true)?;
        Ok(failed.map_or(Ok(found), Err))
    }

    /// Bytes that can still be written (OpenSSH `PROTOCOL`, 4.2).
    pub(super) fn free(&self, session: &mut Session) -> io::Result<Option<u64>> {
        if !session.has("statvfs@openssh.com") {
            return Ok(None);
        }
        let statvfs = Payload::default().text(b"statvfs@openssh.com").text(self.root.as_bytes());
        Ok(match session.ask(packet::EXTENDED, &statvfs)? {
            Reply::Extended(bytes) => {
                let (unit, blocks) = (packet::long_at(&bytes, 8), packet::long_at(&bytes, 32));
                unit.zip(blocks).and_then(|(unit, blocks)| unit.checked_mul(blocks))
            }
            _ => None,
        })
    }

    /// Reads into `buf` what is not there yet.
    pub(super) fn pieces(
        &self,
        session: &mut Session,
        handle: &[u8],
        offset: u64,
        buf: &mut [u8],
        filled: &mut usize,
    ) -> io::Result<Attempt<()>> {
        while *filled < buf.len() {
            let (before, len) = (*filled, buf.len());
            let mut failed = None;
            let requests = (before..len).step_by(PIECE).map(|at| {
                let piece = u32::try_from(PIECE.min(len - at)).unwrap_or_default();
                (
                    packet::READ,
                    Payload::default().text(handle).long(offset + at as u64).number(piece),
                )
            });
            session.ask_all(requests, |reply| match reply {
                Reply::Data(data) => {
                    let wanted = PIECE.min(len - *filled);
                    let got = data.len().min(wanted);
                    if let Some((to, from)) =
                        buf.get_mut(*filled..*filled + got).zip(data.get(..got))
                    {
                        to.copy_from_slice(from);
                    }
                    *filled += got;
                    // What was asked for behind a piece that is too short lies elsewhere.
                    got == wanted
                }
                other => {
                    failed = Some(self.status(other));
                    false
                }
            })?;
            match failed {
                Some(failure) if *filled == before => return Ok(Err(failure)),
                _ if *filled == before => return Ok(Err(Failure::TooShort)),
                _ => {}
            }
        }
        Ok(Ok(()))
    }
}
