//! Packets of the SSH File Transfer Protocol, version 3 (draft-ietf-secsh-filexfer-02), and OpenSSH's
//! extensions (OpenSSH `PROTOCOL`).

use std::io::{self, Read};

pub(super) const INIT: u8 = 1;
pub(super) const VERSION: u8 = 2;
pub(super) const OPEN: u8 = 3;
pub(super) const CLOSE: u8 = 4;
pub(super) const READ: u8 = 5;
pub(super) const WRITE: u8 = 6;
pub(super) const LSTAT: u8 = 7;
pub(super) const OPENDIR: u8 = 11;
pub(super) const READDIR: u8 = 12;
pub(super) const REMOVE: u8 = 13;
pub(super) const MKDIR: u8 = 14;
pub(super) const RENAME: u8 = 18;
pub(super) const EXTENDED: u8 = 200;

const STATUS: u8 = 101;
const HANDLE: u8 = 102;
const DATA: u8 = 103;
const NAME: u8 = 104;
const ATTRS: u8 = 105;
const EXTENDED_REPLY: u8 = 201;

/// The largest packet that is taken, bytes; OpenSSH sends none above this (`limits@openssh.com`).
const PACKET_LIMIT: u32 = 256 << 10;

/// What a status says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    Ok,
    Eof,
    NoSuchFile,
    Denied,
    Other(u32),
}

/// What is known of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Attributes {
    pub(super) size: Option<u64>,
    pub(super) mode: Option<u32>,
    /// Seconds since 1970.
    pub(super) modified: Option<u32>,
}

/// An answer.
#[derive(Debug)]
pub(super) enum Reply {
    Status(Code, String),
    Handle(Vec<u8>),
    Data(Vec<u8>),
    Names(Vec<(Vec<u8>, Attributes)>),
    Attributes(Attributes),
    Extended(Vec<u8>),
}

/// What follows a packet's type and number.
#[derive(Clone, Default)]
pub(super) struct Payload(pub(super) Vec<u8>);

impl Payload {
    pub(super) fn number(mut self, number: u32) -> Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    pub(super) fn long(mut self, number: u64) -> Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    pub(super) fn text(self, bytes: &[u8]) -> Self {
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let mut payload = self.number(len);
        payload.0.extend_from_slice(bytes);
        payload
    }
}

/// A packet as it is sent.
pub(super) fn packet(kind: u8, id: Option<u32>, payload: &[u8]) -> Vec<u8> {
    let len = 1 + id.map_or(0, |_| 4) + payload.len();
    let mut packet = Payload::default().number(u32::try_from(len).unwrap_or(u32::MAX)).0;
    packet.push(kind);
    packet.extend(id.into_iter().flat_map(u32::to_be_bytes));
    packet.extend_from_slice(payload);
    packet
}

/// Reads one packet: its type, and what follows.
pub(super) fn receive(from: &mut impl Read) -> io::Result<(u8, Vec<u8>)> {
    let mut len = [0; 4];
    from.read_exact(&mut len)?;
    let len = u32::from_be_bytes(len);
    if !(1..=PACKET_LIMIT).contains(&len) {
        return Err(broken("a packet of an impossible length"));
    }
    let mut bytes = vec![0; usize::try_from(len).unwrap_or_default()];
    from.read_exact(&mut bytes)?;
    let kind = bytes.remove(0);
    Ok((kind, bytes))
}

pub(super) fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the server sent {what}"))
}

/// The number and the content of an answer.
pub(super) fn reply(kind: u8, bytes: &[u8]) -> Option<(u32, Reply)> {
    let mut fields = Fields(bytes);
    let id = fields.number()?;
    let reply = match kind {
        STATUS => {
            let code = match fields.number()? {
                0 => Code::Ok,
                1 => Code::Eof,
                2 => Code::NoSuchFile,
                3 => Code::Denied,
                other => Code::Other(other),
            };
            // Old servers say no more than the number.
            let said = fields.text().unwrap_or_default();
            Reply::Status(code, String::from_utf8_lossy(said).into_owned())
        }
        HANDLE => Reply::Handle(fields.text()?.to_vec()),
        DATA => Reply::Data(fields.text()?.to_vec()),
        NAME => {
            let count = fields.number()?;
            let mut names = Vec::new();
            for _ in 0..count {
                let name = fields.text()?.to_vec();
                // The long form, for people.
                fields.text()?;
                names.push((name, fields.attributes()?));
            }
            Reply::Names(names)
        }
        ATTRS => Reply::Attributes(fields.attributes()?),
        EXTENDED_REPLY => Reply::Extended(fields.0.to_vec()),
        _ => return None,
    };
    Some((id, reply))
}

/// The names of the extensions in a server's first answer.
pub(super) fn extensions(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut fields = Fields(bytes);
    let mut names = Vec::new();
    if fields.number().is_some() {
        while let Some((name, _)) = fields.text().zip(fields.text()) {
            names.push(name.to_vec());
        }
    }
    names
}

/// A number of eight bytes at a place in an answer.
pub(super) fn long_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

/// Reads fields one after the other.
struct Fields<'b>(&'b [u8]);

impl<'b> Fields<'b> {
    fn take(&mut self, len: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn text(&mut self) -> Option<&'b [u8]> {
        let len = usize::try_from(self.number()?).ok()?;
        self.take(len)
    }

    fn attributes(&mut self) -> Option<Attributes> {
        let mut attributes = Attributes::default();
        let flags = self.number()?;
        if flags & 1 != 0 {
            attributes.size = Some(u64::from_be_bytes(self.take(8)?.try_into().ok()?));
        }
        if flags & 2 != 0 {
            self.take(8)?;
        }
        if flags & 4 != 0 {
            attributes.mode = Some(self.number()?);
        }
        if flags & 8 != 0 {
            self.number()?;
            attributes.modified = Some(self.number()?);
        }
        if flags & 0x8000_0000 != 0 {
            for _ in 0..self.number()? {
                self.text()?;
                self.text()?;
            }
        }
        Some(attributes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn answers_are_understood() {
        let attributes =
            Payload::default().number(13).long(77).number(0o100_600).number(1).number(9);
        let names = Payload::default().number(5).number(1).text(b"a").text(b"-rw a");
        let names = [names.0, attributes.0].concat();
        let Some((5, Reply::Names(names))) = reply(NAME, &names) else { panic!() };
        let known = Attributes { size: Some(77), mode: Some(0o100_600), modified: Some(9) };
        assert_eq!(names, [(b"a".to_vec(), known)]);
        let status = Payload::default().number(6).number(2);
        assert!(matches!(reply(STATUS, &status.0), Some((6, Reply::Status(Code::NoSuchFile, _)))));
        let sent = packet(STATUS, Some(6), &status.0);
        assert_eq!(receive(&mut sent.as_slice()).unwrap().0, STATUS);
        assert!(receive(&mut [0xff; 9].as_slice()).is_err());
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic(kind in 100u8..202, bytes in prop::collection::vec(0u8..4, 0..80)) {
            let _ = (reply(kind, &bytes), extensions(&bytes));
        }
    }
}
