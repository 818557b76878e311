//! zstd (RFC 8878) with bounds on everything that foreign bytes decide.

use std::io::{self, Read};

use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::CParameter;

use crate::bytes::AlignedBuffer;
use crate::repository::error::{RepositoryError, Result};

/// Level for the small JSON files and for trees: hex digits gain nothing from higher ones.
pub(in crate::repository) const TEXT_LEVEL: i32 = 3;

/// The largest window accepted from foreign frames: 128 MiB, zstd's own limit by default.
const WINDOW_LOG_MAX: u32 = 27;

/// Window at level 3, as a power of two (zstd.h, `ZSTD_c_windowLog`): a whole chunk of 4 MiB in view
/// where zstd's own choice sees half of it. Measured on program files, both cores busy: 0.6 % larger
/// than level 4 with the same window, for an eighth less of zstd's time.
const WINDOW_3: u32 = 22;

/// What a compressor is set up with until it is told a level: one of which nothing is changed.
const FIRST_LEVEL: i32 = 1;

/// One thread's compressor; keeps its tables between calls.
pub(in crate::repository) struct Packer {
    zstd: Compressor<'static>,
    level: i32,
}

impl Packer {
    pub(in crate::repository) fn new() -> Result<Self> {
        let zstd = Compressor::new(FIRST_LEVEL).map_err(out_of_memory)?;
        Ok(Self { zstd, level: FIRST_LEVEL })
    }

    /// Compresses `plain` into the start of `packed` and returns the length used; `None` when
    /// the result does not fit, which is how a caller says what is not worth it, and when a look
    /// at samples says that trying is a waste of time.
    pub(in crate::repository) fn pack(
        &mut self,
        plain: &[u8],
        packed: &mut [u8],
        level: i32,
    ) -> Option<usize> {
        if looks_random(plain) {
            return None;
        }
        if level != self.level {
            self.set_level(level).ok()?;
        }
        self.zstd.compress_to_buffer(plain, packed).ok()
    }

    fn set_level(&mut self, level: i32) -> io::Result<()> {
        // 0 is zstd's own choice.
        let window_log = if level == 3 { WINDOW_3 } else { 0 };
        self.zstd.set_compression_level(level)?;
        self.zstd.set_parameter(CParameter::WindowLog(window_log))?;
        self.level = level;
        Ok(())
    }
}

/// A sample is taken of every part of this many bytes …
const SAMPLED: usize = 64 << 10;
/// … and has this many bytes.
const SAMPLE: usize = 512;

/// Above this sum of squared byte counts a sample is not random: the sum of 512 random bytes is
/// 1534 on average (n + n (n - 1) / 256) with a standard deviation of 45; that of a text or a
/// program is above 4000.
const RANDOM_SUM: u32 = 1750;

/// Whether no part of a large blob has anything to compress, as with encrypted or compressed
/// data. Trying takes longer than hashing it, and samples tell at a hundredth of the cost.
fn looks_random(plain: &[u8]) -> bool {
    plain.len() >= SAMPLED
        && plain.chunks_exact(SAMPLED).all(|part| {
            let mut counts = [0u32; 256];
            for &byte in part.iter().skip((SAMPLED - SAMPLE) / 2).take(SAMPLE) {
                counts[usize::from(byte)] += 1;
            }
            counts.iter().map(|count| count * count).sum::<u32>() < RANDOM_SUM
        })
}

/// Compresses a text in one go.
pub(super) fn compress_text(text: &[u8]) -> Result<Vec<u8>> {
    zstd::bulk::compress(text, TEXT_LEVEL).map_err(out_of_memory)
}

/// Decompresses a frame that must have exactly `len` bytes of content into `plain`.
pub(in crate::repository) fn unpack(
    zstd: &mut Decompressor<'static>,
    frame: &[u8],
    len: usize,
    plain: &mut AlignedBuffer,
) -> io::Result<()> {
    plain.set_len(len);
    let written = zstd.decompress_to_buffer(frame, &mut **plain)?;
    if written != len {
        return Err(io::Error::other("its length is not the one the index gives"));
    }
    Ok(())
}

/// A decompressor with bounded memory.
pub(in crate::repository) fn decompressor() -> Result<Decompressor<'static>> {
    let mut zstd = Decompressor::new().map_err(out_of_memory)?;
    zstd.window_log_max(WINDOW_LOG_MAX).map_err(out_of_memory)?;
    Ok(zstd)
}

/// Reads the content of a frame whose length is not known beforehand.
pub(super) fn bounded_reader(frame: &[u8]) -> io::Result<impl Read + '_> {
    let mut reader = zstd::stream::read::Decoder::with_buffer(frame)?;
    reader.window_log_max(WINDOW_LOG_MAX)?;
    Ok(reader)
}

fn out_of_memory(_: io::Error) -> RepositoryError {
    RepositoryError::Internal("zstd could not be set up")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_shrink_is_refused() {
        let mut packer = Packer::new().unwrap();
        let mut noise = vec![0; 100_000];
        getrandom::fill(&mut noise).unwrap();
        let mut packed = vec![0; 90_000];
        assert_eq!(packer.pack(&noise, &mut packed, 1), None);
        let text = vec![b'a'; 100_000];
        for level in [1, 3, -3, 9, 3] {
            let len = packer.pack(&text, &mut packed, level).unwrap();
            let mut plain = AlignedBuffer::default();
            unpack(&mut decompressor().unwrap(), &packed[..len], text.len(), &mut plain).unwrap();
            assert_eq!(*plain, *text);
        }
    }

    #[test]
    fn only_blobs_that_are_random_all_over_are_not_tried() {
        let mut noise = vec![0; 4 << 20];
        getrandom::fill(&mut noise).unwrap();
        assert!(looks_random(&noise));
        assert!(!looks_random(&noise[..SAMPLED - 1]));
        let digits: Vec<u8> = noise.iter().map(|byte| b'0' + byte % 64).collect();
        assert!(!looks_random(&digits));
        noise[7 * SAMPLED..8 * SAMPLED].copy_from_slice(&digits[..SAMPLED]);
        assert!(!looks_random(&noise));
        assert!(!looks_random(&vec![0; 1 << 20]));
    }

    #[test]
    fn a_bomb_is_refused_within_its_declared_length() {
        let bomb = zstd::bulk::compress(&vec![0; 64 << 20], 3).unwrap();
        let mut plain = AlignedBuffer::default();
        let mut zstd = decompressor().unwrap();
        assert!(unpack(&mut zstd, &bomb, 1000, &mut plain).is_err());
        assert!(plain.capacity() < 10_000);
        assert!(unpack(&mut zstd, &bomb, (64 << 20) + 1, &mut plain).is_err());
    }
}
