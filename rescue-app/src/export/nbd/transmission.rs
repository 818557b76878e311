//! Requests of a client that chose an export, and the answers to them.

use std::io::{self, Read, Write};

use crate::bytes::{ReadAt, WriteAt};
use crate::console;
use crate::export::ExportedFile;

use super::MOST_PAYLOAD;
use super::handshake::Agreed;
use super::wire::{
    ALLOCATION_ID, CHUNK, Failure, REQUEST, SIMPLE_REPLY, chunk, command, nonsense, read_u16,
    read_u32, read_u64,
};

/// Bytes that are taken into memory at once.
const PIECE: u64 = 1 << 20;
/// Extents in one answer; a client asks again for more.
const MOST_EXTENTS: usize = 4096;

/// Answers requests until the client goes.
///
/// # Errors
/// When the client keeps to no protocol, or is gone.
pub(super) fn answer_all(
    stream: &mut (impl Read + Write),
    file: &ExportedFile,
    agreed: Agreed,
) -> io::Result<()> {
    let mut transmission = Transmission { stream, file, agreed };
    loop {
        let request = Request::read(transmission.stream)?;
        if request.kind == command::DISCONNECT {
            return Ok(());
        }
        transmission.answer(request)?;
    }
}

#[derive(Clone, Copy)]
struct Request {
    flags: u16,
    kind: u16,
    cookie: u64,
    offset: u64,
    len: u32,
}

impl Request {
    fn read(stream: &mut impl Read) -> io::Result<Self> {
        if read_u32(stream)? != REQUEST {
            return Err(nonsense());
        }
        Ok(Self {
            flags: read_u16(stream)?,
            kind: read_u16(stream)?,
            cookie: read_u64(stream)?,
            offset: read_u64(stream)?,
            len: read_u32(stream)?,
        })
    }

    fn end(&self) -> u64 {
        self.offset.saturating_add(self.len.into())
    }

    fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }
}

/// A stretch of the export.
#[derive(Clone, Copy)]
struct Stretch {
    start: u64,
    end: u64,
    /// Otherwise a hole.
    is_data: bool,
}

impl Stretch {
    fn len(self) -> u64 {
        self.end - self.start
    }
}

struct Transmission<'a, S> {
    stream: &'a mut S,
    file: &'a ExportedFile,
    agreed: Agreed,
}

impl<S: Read + Write> Transmission<'_, S> {
    fn answer(&mut self, request: Request) -> io::Result<()> {
        match request.kind {
            command::READ => self.read(request),
            command::WRITE => {
                let result = self.write(request)?;
                self.simple(request, result)
            }
            command::FLUSH => self.simple(request, Ok(())),
            command::TRIM | command::WRITE_ZEROES => {
                let result = self.zero(request);
                self.simple(request, result)
            }
            command::BLOCK_STATUS => self.block_status(request),
            _ => self.simple(request, Err(Failure::Invalid)),
        }
    }

    fn failed(&self, doing: &str, error: &io::Error) -> Failure {
        console::tell(&format!("{doing} {}: {error}", self.file.name));
        match error.kind() {
            io::ErrorKind::StorageFull => Failure::NoSpace,
            _ => Failure::InputOutput,
        }
    }

    /// The answer to whatever asks for no bytes.
    fn simple(&mut self, request: Request, result: Result<(), Failure>) -> io::Result<()> {
        let failure = result.map_or_else(Failure::number, |()| 0);
        self.stream.write_all(&simple_header(request, failure))
    }

    /// A piece of an answer.
    fn chunk(&mut self, request: Request, done: bool, kind: u16, data: &[u8]) -> io::Result<()> {
        let mut bytes = chunk_header(request, done, kind, data.len())?;
        bytes.extend(data);
        self.stream.write_all(&bytes)
    }

    /// The end of an answer in pieces, for want of anything better.
    fn chunk_failure(&mut self, request: Request, failure: Failure) -> io::Result<()> {
        let no_message = 0u16.to_be_bytes();
        let data = [&failure.number().to_be_bytes()[..], &no_message].concat();
        self.chunk(request, true, chunk::ERROR, &data)
    }

    fn read(&mut self, request: Request) -> io::Result<()> {
        let in_one = request.has(command::ONE_PIECE);
        let failure = match request {
            _ if request.len > MOST_PAYLOAD => Some(Failure::Invalid),
            _ if request.end() > self.file.content.size() => Some(Failure::Invalid),
            _ if in_one && u64::from(request.len) > PIECE => Some(Failure::Overflow),
            _ => None,
        };
        match (failure, self.agreed.structured) {
            (Some(failure), true) => self.chunk_failure(request, failure),
            (Some(failure), false) => self.simple(request, Err(failure)),
            (None, true) if in_one => {
                self.read_stretches(request, &cut(request.offset, request.end()))
            }
            (None, true) => self.read_stretches(request, &self.stretches(request)),
            (None, false) => self.read_simple(request),
        }
    }

    /// Data and holes of what is asked for, data in pieces.
    fn stretches(&self, request: Request) -> Vec<Stretch> {
        let mut stretches = Vec::new();
        let mut at = request.offset;
        for data in self.file.data_within(request.offset, request.end()).iter() {
            if at < data.start {
                stretches.push(Stretch { start: at, end: data.start, is_data: false });
            }
            stretches.extend(cut(data.start, data.end));
            at = data.end;
        }
        if at < request.end() {
            stretches.push(Stretch { start: at, end: request.end(), is_data: false });
        }
        stretches
    }

    fn read_stretches(&mut self, request: Request, stretches: &[Stretch]) -> io::Result<()> {
        let Some(last) = stretches.len().checked_sub(1) else {
            return self.chunk(request, true, chunk::NONE, &[]);
        };
        for (number, stretch) in stretches.iter().enumerate() {
            let done = number == last;
            let start = stretch.start.to_be_bytes();
            if !stretch.is_data {
                let len = u32::try_from(stretch.len()).map_err(io::Error::other)?;
                let hole = [&start[..], &len.to_be_bytes()].concat();
                self.chunk(request, done, chunk::OFFSET_HOLE, &hole)?;
                continue;
            }
            let len = usize::try_from(stretch.len()).map_err(io::Error::other)?;
            let mut bytes = chunk_header(request, done, chunk::OFFSET_DATA, start.len() + len)?;
            bytes.extend(start);
            if let Err(error) = self.append(&mut bytes, stretch.start, len) {
                let failure = self.failed("reading", &error);
                return self.chunk_failure(request, failure);
            }
            self.stream.write_all(&bytes)?;
        }
        Ok(())
    }

    fn append(&self, bytes: &mut Vec<u8>, offset: u64, len: usize) -> io::Result<()> {
        let start = bytes.len();
        bytes.resize(start + len, 0);
        self.file.read_at(offset, bytes.get_mut(start..).unwrap_or_default())
    }

    /// An answer in one: after its head nothing can be said any more but the bytes.
    fn read_simple(&mut self, request: Request) -> io::Result<()> {
        let mut bytes = simple_header(request, 0);
        for (number, piece) in cut(request.offset, request.end()).iter().enumerate() {
            let len = usize::try_from(piece.len()).map_err(io::Error::other)?;
            if let Err(error) = self.append(&mut bytes, piece.start, len) {
                let failure = self.failed("reading", &error);
                return match number {
                    0 => self.simple(request, Err(failure)),
                    _ => Err(error),
                };
            }
            self.stream.write_all(&bytes)?;
            bytes.clear();
        }
        self.stream.write_all(&bytes)
    }

    /// Takes all bytes of the request, whatever becomes of them.
    fn write(&mut self, request: Request) -> io::Result<Result<(), Failure>> {
        if request.len > MOST_PAYLOAD {
            return Err(nonsense());
        }
        let mut result = self.may_change(request).map(|_| ());
        let mut bytes = Vec::new();
        for piece in cut(request.offset, request.end()) {
            bytes.resize(usize::try_from(piece.len()).map_err(io::Error::other)?, 0);
            self.stream.read_exact(&mut bytes)?;
            result = result.and_then(|()| {
                let layer = self.may_change(request)?;
                layer.write_at(piece.start, &bytes).map_err(|error| self.failed("writing", &error))
            });
        }
        Ok(result)
    }

    fn zero(&self, request: Request) -> Result<(), Failure> {
        let layer = self.may_change(request)?;
        let zeroed = layer.zero_at(request.offset, request.len.into());
        zeroed.map_err(|error| self.failed("writing", &error))
    }

    fn may_change(&self, request: Request) -> Result<&dyn WriteAt, Failure> {
        let layer = self.file.content.writable().ok_or(Failure::NotPermitted)?;
        match request.end() <= layer.size() {
            true => Ok(layer),
            false => Err(Failure::NoSpace),
        }
    }

    fn block_status(&mut self, request: Request) -> io::Result<()> {
        let is_inside = request.len > 0 && request.end() <= self.file.content.size();
        if !self.agreed.allocation || !is_inside {
            return match self.agreed.structured {
                true => self.chunk_failure(request, Failure::Invalid),
                false => self.simple(request, Err(Failure::Invalid)),
            };
        }
        let most = if request.has(command::ONE_EXTENT) { 1 } else { MOST_EXTENTS };
        let mut data = ALLOCATION_ID.to_be_bytes().to_vec();
        for (len, is_data) in extents(&self.stretches(request)).into_iter().take(most) {
            let state = if is_data { 0 } else { chunk::HOLE_AND_ZERO };
            data.extend(u32::try_from(len).map_err(io::Error::other)?.to_be_bytes());
            data.extend(state.to_be_bytes());
        }
        self.chunk(request, true, chunk::BLOCK_STATUS, &data)
    }
}

/// `start..end` in pieces that fit into memory.
fn cut(start: u64, end: u64) -> Vec<Stretch> {
    let mut pieces = Vec::new();
    let mut at = start;
    while at < end {
        let next = at.saturating_add(PIECE).min(end);
        pieces.push(Stretch { start: at, end: next, is_data: true });
        at = next;
    }
    pieces
}

/// Lengths of what is alike.
fn extents(stretches: &[Stretch]) -> Vec<(u64, bool)> {
    let alike = stretches.chunk_by(|one, next| one.is_data == next.is_data);
    let joined =
        alike.map(|run| (run.iter().map(|it| it.len()).sum(), run.iter().any(|it| it.is_data)));
    joined.collect()
}

fn simple_header(request: Request, failure: u32) -> Vec<u8> {
    let head = [SIMPLE_REPLY, failure].map(u32::to_be_bytes).concat();
    [&head[..], &request.cookie.to_be_bytes()].concat()
}

fn chunk_header(request: Request, done: bool, kind: u16, len: usize) -> io::Result<Vec<u8>> {
    let len = u32::try_from(len).map_err(io::Error::other)?;
    let flags = if done { chunk::DONE } else { 0 };
    let mut bytes = CHUNK.to_be_bytes().to_vec();
    bytes.extend(flags.to_be_bytes());
    bytes.extend(kind.to_be_bytes());
    bytes.extend(request.cookie.to_be_bytes());
    bytes.extend(len.to_be_bytes());
    Ok(bytes)
}
