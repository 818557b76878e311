//! Blocks that are packed, and unpacked.

use std::io;
use std::sync::{Mutex, PoisonError};

use miniz_oxide::deflate::compress_to_vec_zlib;
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};
use zstd::bulk::Compressor;
use zstd::stream::raw::{Decoder, InBuffer, Operation, OutBuffer};

use super::wrong;

/// Level of zstd, as `qemu-img` has it.
const ZSTD_LEVEL: i32 = 3;
/// Level of deflate: the next ones take twice the time for a fiftieth less.
const DEFLATE_LEVEL: u8 = 3;

/// Bytes of the sectors that a grain of a stream fills.
const SECTOR: usize = 512;

/// Packs one block after the other.
pub struct Packer(Kind);

enum Kind {
    /// Frames of zstd (RFC 8878).
    Zstd { compressor: Box<Compressor<'static>>, frame: Vec<u8> },
    /// Grains of a VMDK stream: their first sector, their length, and what zlib makes of them (RFC 1950).
    Grains,
}

impl Packer {
    pub(super) fn zstd() -> io::Result<Self> {
        let compressor = Box::new(Compressor::new(ZSTD_LEVEL)?);
        Ok(Self(Kind::Zstd { compressor, frame: Vec::new() }))
    }

    pub(super) fn grains() -> Self {
        Self(Kind::Grains)
    }

    /// Puts block `number` behind what is in `out`, packed unless that makes it no smaller; whether it did.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn pack(&mut self, number: u64, block: &[u8], out: &mut Vec<u8>) -> io::Result<bool> {
        match &mut self.0 {
            Kind::Zstd { compressor, frame } => {
                frame.clear();
                frame.reserve(zstd::zstd_safe::compress_bound(block.len()));
                compressor.compress_to_buffer(block, frame)?;
                let is_smaller = frame.len() < block.len();
                out.extend_from_slice(if is_smaller { frame } else { block });
                Ok(is_smaller)
            }
            Kind::Grains => {
                let packed = compress_to_vec_zlib(block, DEFLATE_LEVEL);
                let sector = number * (block.len() / SECTOR) as u64;
                out.extend_from_slice(&sector.to_le_bytes());
                out.extend_from_slice(&super::fit::<u32>(packed.len() as u64)?.to_le_bytes());
                out.extend_from_slice(&packed);
                out.resize(out.len().next_multiple_of(SECTOR), 0);
                Ok(true)
            }
        }
    }
}

/// Unpacks frames of zstd.
#[derive(Default)]
pub(super) struct ZstdFrames {
    /// Decoders that nobody uses at the moment.
    idle: Mutex<Vec<Decoder<'static>>>,
}

impl ZstdFrames {
    /// Fills `out` from the frame at the start of `packed`, behind which may be anything.
    pub(super) fn unpack(&self, packed: &[u8], out: &mut [u8]) -> io::Result<()> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = idle().pop();
        let mut decoder = taken.map_or_else(Decoder::new, Ok)?;
        decoder.reinit()?;
        let len = out.len();
        let mut from = InBuffer::around(packed);
        let mut to = OutBuffer::around(out);
        while to.pos() < len {
            let before = (from.pos(), to.pos());
            let left = decoder.run(&mut from, &mut to)?;
            if left == 0 || before == (from.pos(), to.pos()) {
                break;
            }
        }
        let unpacked = to.pos();
        idle().push(decoder);
        if unpacked == len { Ok(()) } else { Err(wrong("a packed block is cut short")) }
    }
}

/// Puts into `out` what deflate packed (RFC 1951), in a zlib frame or without one, at the start of `packed`, behind which
/// may be anything; how many bytes that were.
pub(super) fn inflate(packed: &[u8], out: &mut [u8], has_frame: bool) -> io::Result<usize> {
    let mut flags = inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
    if has_frame {
        flags |=
            inflate_flags::TINFL_FLAG_PARSE_ZLIB_HEADER | inflate_flags::TINFL_FLAG_COMPUTE_ADLER32;
    }
    let mut state = Box::<DecompressorOxide>::default();
    let (status, _, len) = decompress(&mut state, packed, out, 0, flags);
    match status {
        TINFLStatus::Done => Ok(len),
        _ => Err(wrong("a packed block is damaged")),
    }
}
