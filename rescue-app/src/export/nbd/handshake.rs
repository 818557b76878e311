//! What client and server agree on before anything is read: the fixed newstyle handshake.

use std::io::{self, Read, Write};

use super::exports::Exports;
use super::wire::{
    ALLOCATION, ALLOCATION_ID, GREETING, OPTION, OPTION_REPLY, answer, handshake, info, nonsense,
    option, read_text, read_u16, read_u32, read_u64, transmission,
};
use super::{MOST_PAYLOAD, PREFERRED_BLOCK};

/// An option of more bytes is not looked at.
const MOST_OPTION: u32 = 64 << 10;
/// A client that sends more options wants nothing else.
const MOST_OPTIONS: u32 = 256;

/// What was agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Agreed {
    /// Number of the export.
    pub(super) export: usize,
    /// Answers come in pieces.
    pub(super) structured: bool,
    /// Block status may be asked for.
    pub(super) allocation: bool,
}

/// Comes to terms with a client; `None` when it goes.
///
/// # Errors
/// When the client keeps to no protocol, or is gone.
pub(super) fn negotiate(
    stream: &mut (impl Read + Write),
    exports: &Exports,
) -> io::Result<Option<Agreed>> {
    let flags = handshake::FIXED_NEWSTYLE | handshake::NO_ZEROES;
    let greeting = [&GREETING.to_be_bytes()[..], &OPTION.to_be_bytes(), &flags.to_be_bytes()];
    stream.write_all(&greeting.concat())?;
    let client = read_u32(stream)?;
    if client & !u32::from(flags) != 0 {
        return Err(nonsense());
    }
    let no_zeroes = client & u32::from(handshake::NO_ZEROES) != 0;
    let mut haggling =
        Haggling { stream, exports, no_zeroes, structured: false, allocation_of: None };
    for _ in 0..MOST_OPTIONS {
        match haggling.next()? {
            Next::Option => {}
            Next::Gone => return Ok(None),
            Next::Agreed(export) => {
                let allocation = haggling.allocation_of == Some(export);
                return Ok(Some(Agreed { export, structured: haggling.structured, allocation }));
            }
        }
    }
    Err(nonsense())
}

/// After an option.
enum Next {
    /// There is another.
    Option,
    /// The client goes.
    Gone,
    /// It chose this export.
    Agreed(usize),
}

struct Haggling<'a, S> {
    stream: &'a mut S,
    exports: &'a Exports,
    no_zeroes: bool,
    structured: bool,
    /// The export whose block status was chosen.
    allocation_of: Option<usize>,
}

impl<S: Read + Write> Haggling<'_, S> {
    /// Deals with one option.
    fn next(&mut self) -> io::Result<Next> {
        if read_u64(self.stream)? != OPTION {
            return Err(nonsense());
        }
        let kind = read_u32(self.stream)?;
        let len = read_u32(self.stream)?;
        if len > MOST_OPTION {
            return Err(nonsense());
        }
        let mut data = vec![0; usize::try_from(len).map_err(io::Error::other)?];
        self.stream.read_exact(&mut data)?;
        match kind {
            option::EXPORT_NAME => return self.export_name(&data),
            option::ABORT => {
                self.reply(kind, answer::ACK, &[])?;
                return Ok(Next::Gone);
            }
            option::LIST if data.is_empty() => self.list()?,
            option::INFO | option::GO => {
                if let Some(export) = self.inform(kind, &data)? {
                    return Ok(Next::Agreed(export));
                }
            }
            option::STRUCTURED_REPLY if data.is_empty() => {
                self.structured = true;
                self.reply(kind, answer::ACK, &[])?;
            }
            option::LIST_META_CONTEXT | option::SET_META_CONTEXT => self.contexts(kind, &data)?,
            option::LIST | option::STRUCTURED_REPLY => self.reply(kind, answer::INVALID, &[])?,
            _ => self.reply(kind, answer::UNSUPPORTED, &[])?,
        }
        Ok(Next::Option)
    }

    fn reply(&mut self, option: u32, kind: u32, data: &[u8]) -> io::Result<()> {
        let len = u32::try_from(data.len()).map_err(io::Error::other)?;
        let mut bytes = OPTION_REPLY.to_be_bytes().to_vec();
        [option, kind, len].iter().for_each(|it| bytes.extend(it.to_be_bytes()));
        bytes.extend(data);
        self.stream.write_all(&bytes)
    }

    /// The oldest way to choose an export, which knows no answer but the export itself.
    fn export_name(&mut self, name: &[u8]) -> io::Result<Next> {
        let export = self.exports.find(name).ok_or_else(nonsense)?;
        let mut bytes = self.size_and_flags(export);
        bytes.resize(bytes.len() + if self.no_zeroes { 0 } else { 124 }, 0);
        self.stream.write_all(&bytes)?;
        Ok(Next::Agreed(export))
    }

    fn size_and_flags(&self, export: usize) -> Vec<u8> {
        let mut flags = transmission::HAS_FLAGS | transmission::CAN_MULTI_CONN;
        let writable = transmission::SEND_FLUSH
            | transmission::SEND_FUA
            | transmission::SEND_TRIM
            | transmission::SEND_WRITE_ZEROES
            | transmission::SEND_FAST_ZERO;
        let is_writable = self.exports.is_writable(export);
        flags |= if is_writable { writable } else { transmission::READ_ONLY };
        flags |= if self.structured { transmission::SEND_DF } else { 0 };
        [&self.exports.size(export).to_be_bytes()[..], &flags.to_be_bytes()].concat()
    }

    fn list(&mut self) -> io::Result<()> {
        let exports = self.exports;
        for name in exports.names() {
            self.reply(option::LIST, answer::SERVER, &with_length(name.as_bytes()))?;
        }
        self.reply(option::LIST, answer::ACK, &[])
    }

    /// Answers INFO and GO; the export that was chosen by the latter.
    fn inform(&mut self, kind: u32, data: &[u8]) -> io::Result<Option<usize>> {
        let Ok((name, wanted)) = parse_information(data) else {
            self.reply(kind, answer::INVALID, &[])?;
            return Ok(None);
        };
        let Some(export) = self.exports.find(name) else {
            self.reply(kind, answer::UNKNOWN, b"no such export; NBD_OPT_LIST tells their names")?;
            return Ok(None);
        };
        let said = |kind: u16, data: &[u8]| [&kind.to_be_bytes()[..], data].concat();
        let size_and_flags = self.size_and_flags(export);
        self.reply(kind, answer::INFO, &said(info::EXPORT, &size_and_flags))?;
        let sizes = [1, PREFERRED_BLOCK, MOST_PAYLOAD].map(u32::to_be_bytes).concat();
        self.reply(kind, answer::INFO, &said(info::BLOCK_SIZE, &sizes))?;
        if wanted.contains(&info::NAME) {
            self.reply(kind, answer::INFO, &said(info::NAME, name))?;
        }
        self.reply(kind, answer::ACK, &[])?;
        Ok((kind == option::GO).then_some(export))
    }

    /// Tells, or chooses, the kinds of block status.
    fn contexts(&mut self, kind: u32, data: &[u8]) -> io::Result<()> {
        let Ok((name, queries)) = parse_queries(data) else {
            return self.reply(kind, answer::INVALID, &[]);
        };
        let is_choice = kind == option::SET_META_CONTEXT;
        if is_choice {
            self.allocation_of = None;
        }
        if !self.structured {
            return self.reply(kind, answer::INVALID, b"structured replies come first");
        }
        let Some(export) = self.exports.find(name) else {
            return self.reply(kind, answer::UNKNOWN, &[]);
        };
        let is_meant = |query: &&[u8]| match is_choice {
            true => *query == ALLOCATION.as_bytes(),
            false => [ALLOCATION.as_bytes(), b"base:"].contains(query),
        };
        if queries.iter().any(is_meant) || !is_choice && queries.is_empty() {
            let context = [&ALLOCATION_ID.to_be_bytes()[..], ALLOCATION.as_bytes()].concat();
            self.reply(kind, answer::META_CONTEXT, &context)?;
            self.allocation_of = is_choice.then_some(export).or(self.allocation_of);
        }
        self.reply(kind, answer::ACK, &[])
    }
}

fn with_length(text: &[u8]) -> Vec<u8> {
    let len = u32::try_from(text.len()).unwrap_or(u32::MAX);
    [&len.to_be_bytes()[..], text].concat()
}

/// A name, and what is asked of it.
fn parse_information(mut data: &[u8]) -> io::Result<(&[u8], Vec<u16>)> {
    let from = &mut data;
    let name = read_text(from)?;
    let count = read_u16(from)?;
    let wanted = (0..count).map(|_| read_u16(from)).collect::<io::Result<_>>()?;
    if from.is_empty() { Ok((name, wanted)) } else { Err(nonsense()) }
}

/// A name, and queries.
fn parse_queries(mut data: &[u8]) -> io::Result<(&[u8], Vec<&[u8]>)> {
    let from = &mut data;
    let name = read_text(from)?;
    let count = read_u32(from)?;
    let queries = (0..count).map(|_| read_text(from)).collect::<io::Result<_>>()?;
    if from.is_empty() { Ok((name, queries)) } else { Err(nonsense()) }
}
