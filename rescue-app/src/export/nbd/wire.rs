//! The numbers and fields of the protocol (NetworkBlockDevice, `doc/proto.md`); all are big-endian.

use std::io::{self, Read};

/// The server's first word, "NBDMAGIC".
pub(super) const GREETING: u64 = 0x4e42_444d_4147_4943;
/// In front of every option, "IHAVEOPT".
pub(super) const OPTION: u64 = 0x4948_4156_454f_5054;
/// In front of every answer to an option.
pub(super) const OPTION_REPLY: u64 = 0x0003_e889_0455_65a9;
/// In front of every request.
pub(super) const REQUEST: u32 = 0x2560_9513;
/// In front of an answer that is one piece.
pub(super) const SIMPLE_REPLY: u32 = 0x6744_6698;
/// In front of each piece of an answer.
pub(super) const CHUNK: u32 = 0x668e_33ef;

/// The name of the one kind of block status there is here: what is a hole, and what is zero.
pub(super) const ALLOCATION: &str = "base:allocation";
/// The number it goes by in answers.
pub(super) const ALLOCATION_ID: u32 = 1;

/// Handshake flags.
pub(super) mod handshake {
    pub(in super::super) const FIXED_NEWSTYLE: u16 = 1;
    pub(in super::super) const NO_ZEROES: u16 = 2;
}

/// Options of the handshake.
pub(super) mod option {
    pub(in super::super) const EXPORT_NAME: u32 = 1;
    pub(in super::super) const ABORT: u32 = 2;
    pub(in super::super) const LIST: u32 = 3;
    pub(in super::super) const INFO: u32 = 6;
    pub(in super::super) const GO: u32 = 7;
    pub(in super::super) const STRUCTURED_REPLY: u32 = 8;
    pub(in super::super) const LIST_META_CONTEXT: u32 = 9;
    pub(in super::super) const SET_META_CONTEXT: u32 = 10;
}

/// Answers to options.
pub(super) mod answer {
    pub(in super::super) const ACK: u32 = 1;
    pub(in super::super) const SERVER: u32 = 2;
    pub(in super::super) const INFO: u32 = 3;
    pub(in super::super) const META_CONTEXT: u32 = 4;
    pub(in super::super) const UNSUPPORTED: u32 = (1 << 31) + 1;
    pub(in super::super) const INVALID: u32 = (1 << 31) + 3;
    pub(in super::super) const UNKNOWN: u32 = (1 << 31) + 6;
}

/// What is said of an export.
pub(super) mod info {
    pub(in super::super) const EXPORT: u16 = 0;
    pub(in super::super) const NAME: u16 = 1;
    pub(in super::super) const BLOCK_SIZE: u16 = 3;
}

/// What can be done with an export.
pub(super) mod transmission {
    pub(in super::super) const HAS_FLAGS: u16 = 1;
    pub(in super::super) const READ_ONLY: u16 = 1 << 1;
    pub(in super::super) const SEND_FLUSH: u16 = 1 << 2;
    pub(in super::super) const SEND_FUA: u16 = 1 << 3;
    pub(in super::super) const SEND_TRIM: u16 = 1 << 5;
    pub(in super::super) const SEND_WRITE_ZEROES: u16 = 1 << 6;
    pub(in super::super) const SEND_DF: u16 = 1 << 7;
    pub(in super::super) const CAN_MULTI_CONN: u16 = 1 << 8;
    pub(in super::super) const SEND_FAST_ZERO: u16 = 1 << 11;
}

/// Requests.
pub(super) mod command {
    pub(in super::super) const READ: u16 = 0;
    pub(in super::super) const WRITE: u16 = 1;
    pub(in super::super) const DISCONNECT: u16 = 2;
    pub(in super::super) const FLUSH: u16 = 3;
    pub(in super::super) const TRIM: u16 = 4;
    pub(in super::super) const WRITE_ZEROES: u16 = 6;
    pub(in super::super) const BLOCK_STATUS: u16 = 7;

    /// The answer must be one piece.
    pub(in super::super) const ONE_PIECE: u16 = 1 << 2;
    /// One extent is enough.
    pub(in super::super) const ONE_EXTENT: u16 = 1 << 3;
}

/// Pieces of an answer.
pub(super) mod chunk {
    /// Flag: the last one.
    pub(in super::super) const DONE: u16 = 1;
    pub(in super::super) const NONE: u16 = 0;
    pub(in super::super) const OFFSET_DATA: u16 = 1;
    pub(in super::super) const OFFSET_HOLE: u16 = 2;
    pub(in super::super) const BLOCK_STATUS: u16 = 5;
    pub(in super::super) const ERROR: u16 = (1 << 15) + 1;
    /// State of an extent: a hole, which reads as zero.
    pub(in super::super) const HOLE_AND_ZERO: u32 = 3;
}

/// Why a request was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Failure {
    NotPermitted = 1,
    InputOutput = 5,
    Invalid = 22,
    NoSpace = 28,
    Overflow = 75,
}

impl Failure {
    pub(super) fn number(self) -> u32 {
        self as u32
    }
}

pub(super) fn read_u16(from: &mut impl Read) -> io::Result<u16> {
    let mut bytes = [0; 2];
    from.read_exact(&mut bytes)?;
    Ok(u16::from_be_bytes(bytes))
}

pub(super) fn read_u32(from: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    from.read_exact(&mut bytes)?;
    Ok(u32::from_be_bytes(bytes))
}

pub(super) fn read_u64(from: &mut impl Read) -> io::Result<u64> {
    let mut bytes = [0; 8];
    from.read_exact(&mut bytes)?;
    Ok(u64::from_be_bytes(bytes))
}

/// A text with its length, 32 bits, in front.
pub(super) fn read_text<'b>(from: &mut &'b [u8]) -> io::Result<&'b [u8]> {
    let len = usize::try_from(read_u32(from)?).unwrap_or(usize::MAX);
    let (text, rest) = from.split_at_checked(len).ok_or(io::ErrorKind::UnexpectedEof)?;
    *from = rest;
    Ok(text)
}

/// The client keeps to no protocol: there is nothing left to say to it.
pub(super) fn nonsense() -> io::Error {
    io::ErrorKind::InvalidData.into()
}
