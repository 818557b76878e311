//! What compressors write: several members one behind the other, of a length that nothing tells.
//!
//! Every decoder checks the sums that its format has; a stream that ends in the middle of a member is
//! an error.

use std::io::{self, BufRead, Read};

use bzip2::bufread::BzDecoder;
use flate2::bufread::GzDecoder;
use lz4_flex::frame::FrameDecoder;
use lzma_rust2::{LzmaReader, XzReader};
use zstd::stream::read::Decoder as ZstdDecoder;

use super::parts::Parts;

/// Memory that a stream may ask its decoder to take, KiB: of xz four times what its strongest usual
/// setting needs.
const MOST_MEMORY: u32 = 257 << 10;

/// How a stream is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    /// RFC 1952.
    Gzip,
    /// bzip2.
    Bzip2,
    /// The .xz file format.
    Xz,
    /// LZMA alone, which nothing tells from anything but its name.
    Lzma,
    /// RFC 8878.
    Zstd,
    /// LZ4 frames.
    Lz4,
}

impl Packing {
    /// The program that unpacks it with `-dc`.
    pub(super) fn program(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
            Self::Lzma => "xz --format=lzma",
            Self::Zstd => "zstd --long=31",
            Self::Lz4 => "lz4",
        }
    }
}

/// A stream, unpacked.
pub(super) struct Unpacker {
    packing: Packing,
    member: Member,
}

enum Member {
    Gzip(Box<GzDecoder<Parts>>),
    Bzip2(Box<BzDecoder<Parts>>),
    Lz4(Box<FrameDecoder<Parts>>),
    /// By a decoder that goes through all members by itself.
    All(Box<dyn Read + Send>),
    /// At the end, or after an error.
    None,
}

impl Unpacker {
    /// # Errors
    /// When there is no memory for it, or the start makes no sense.
    pub(super) fn new(packing: Packing, parts: Parts) -> io::Result<Self> {
        Ok(Self { packing, member: Member::new(packing, parts)? })
    }

    /// Goes on with what follows a member; whether there is something.
    fn next_member(&mut self) -> io::Result<bool> {
        let mut parts = match std::mem::replace(&mut self.member, Member::None) {
            Member::Gzip(decoder) => decoder.into_inner(),
            Member::Bzip2(decoder) => decoder.into_inner(),
            Member::Lz4(decoder) => {
                let parts = decoder.into_inner();
                // The decoder takes a file that ends between two blocks for one that is whole.
                if parts.was_past_end() {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                parts
            }
            Member::All(_) | Member::None => return Ok(false),
        };
        if self.packing == Packing::Gzip {
            skip_zeros(&mut parts)?;
        }
        if parts.fill_buf()?.is_empty() {
            return Ok(false);
        }
        self.member = Member::new(self.packing, parts)?;
        Ok(true)
    }
}

impl Member {
    fn new(packing: Packing, parts: Parts) -> io::Result<Self> {
        Ok(match packing {
            Packing::Gzip => Self::Gzip(Box::new(GzDecoder::new(parts))),
            Packing::Bzip2 => Self::Bzip2(Box::new(BzDecoder::new(parts))),
            Packing::Lz4 => {
                parts.was_past_end();
                Self::Lz4(Box::new(FrameDecoder::new(parts)))
            }
            Packing::Xz => Self::All(Box::new(XzReader::new_mem_limit(parts, true, MOST_MEMORY))),
            Packing::Lzma => {
                Self::All(Box::new(LzmaReader::new_mem_limit(parts, MOST_MEMORY, None)?))
            }
            Packing::Zstd => Self::All(Box::new(ZstdDecoder::with_buffer(parts)?)),
        })
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Gzip(decoder) => decoder.read(buf),
            Self::Bzip2(decoder) => decoder.read(buf),
            Self::Lz4(decoder) => decoder.read(buf),
            Self::All(decoder) => decoder.read(buf),
            Self::None => Ok(0),
        }
    }
}

impl Read for Unpacker {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while !buf.is_empty() {
            match self.member.read(buf) {
                Ok(0) if self.next_member()? => {}
                Ok(len) => return Ok(len),
                Err(error) => {
                    // Decoders need not stand being asked again.
                    self.member = Member::None;
                    return Err(error);
                }
            }
        }
        Ok(0)
    }
}

/// What tapes fill their blocks up with, which gzip passes over too.
fn skip_zeros(parts: &mut Parts) -> io::Result<()> {
    loop {
        let bytes = parts.fill_buf()?;
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        if zeros == 0 {
            return Ok(());
        }
        parts.consume(zeros);
    }
}
