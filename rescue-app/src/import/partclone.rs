//! Images of filesystems by partclone, format "0002" (its `src/partclone.h`, `checksum.c`, `main.c`; what partclone 0.3.36
//! writes was held against this byte by byte): a header, a map of the blocks that are there, and these blocks in their
//! order with a checksum behind every so many. All numbers are little-endian.

use std::hash::Hasher;
use std::io::Read;

use flate2::Crc;
use twox_hash::{XxHash3_128, XxHash64};

use super::error::ImportError;
use super::parts::Progress;
use crate::bytes::{Extents, le16, le32, le64, slice};

/// What an image begins with, and where its version stands.
pub(super) const MAGIC: &[u8] = b"partclone-image";
const VERSION: (usize, &[u8]) = (30, b"0002");
const ENDIAN: (usize, u16) = (34, 0xc0de);
/// Bytes of the header, and those that its checksum is of.
const HEADER: usize = 110;
const SUMMED: usize = 106;
/// Bytes of the options that the header ends with.
const OPTIONS: u32 = 18;
/// Bytes of a block at most (`main.c`).
const MOST_BLOCK: u32 = 64 << 20;
/// Bytes of the map at most: 16 TiB in blocks of 4 KiB.
const MOST_MAP: u64 = 512 << 20;
/// Bytes that are read at once.
const PIECE: u64 = 1 << 20;
/// What partclone's `--rescue` puts in front of a sector that could not be read.
const BAD_SECTOR: &[u8] = b"BADSECTOR\0";
const SECTOR: usize = 512;

/// What was restored.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Restored {
    /// Its filesystem, as partclone calls it: "EXTFS".
    pub(super) filesystem: String,
    /// Size of the filesystem in bytes.
    pub(super) size: u64,
    /// Sectors in it that could not be read when the image was made.
    pub(super) bad_sectors: u64,
}

struct Header {
    filesystem: String,
    size: u64,
    total: u64,
    block: u32,
    sum: Kind,
    /// Blocks that a checksum is of; 0 without any.
    per_sum: u64,
    /// Whether each begins anew.
    reseeds: bool,
    has_map: bool,
}

/// How blocks are summed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    None,
    Crc32,
    Xxh64,
    Xxh128,
}

impl Kind {
    /// "checksum_mode" and "checksum_size".
    fn of(mode: u16, size: u16) -> Option<Self> {
        Some(match (mode, size) {
            (0, 0) => Self::None,
            (0x20, 4) => Self::Crc32,
            (0x30, 8) => Self::Xxh64,
            (0x31, 16) => Self::Xxh128,
            _ => return None,
        })
    }
}

/// A checksum in the making.
enum Sum {
    None,
    Crc32(Crc),
    Xxh64(XxHash64),
    Xxh128(Box<XxHash3_128>),
}

impl Sum {
    /// One that nothing was added to yet.
    fn new(kind: Kind) -> Self {
        match kind {
            Kind::None => Self::None,
            Kind::Crc32 => Self::Crc32(Crc::new()),
            Kind::Xxh64 => Self::Xxh64(XxHash64::with_seed(0)),
            Kind::Xxh128 => Self::Xxh128(Box::new(XxHash3_128::new())),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::None => {}
            Self::Crc32(crc) => crc.update(bytes),
            Self::Xxh64(hash) => hash.write(bytes),
            Self::Xxh128(hash) => hash.write(bytes),
        }
    }

    /// As it stands in the image. Partclone's CRC-32 lacks the last step of the usual one.
    fn value(&self) -> Vec<u8> {
        match self {
            Self::None => Vec::new(),
            Self::Crc32(crc) => (!crc.sum()).to_le_bytes().to_vec(),
            Self::Xxh64(hash) => hash.finish().to_le_bytes().to_vec(),
            Self::Xxh128(hash) => hash.finish_128().to_le_bytes().to_vec(),
        }
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    !crc.sum()
}

impl Header {
    fn parse(bytes: &[u8]) -> Result<Self, String> {
        if slice(bytes, VERSION.0, 4) != Some(VERSION.1) || le16(bytes, ENDIAN.0) != Some(ENDIAN.1)
        {
            return Err("it is no partclone image of version 0002".into());
        }
        let whole = slice(bytes, 0, SUMMED).ok_or("its header is cut short")?;
        if le32(bytes, SUMMED) != Some(crc32(whole)) {
            return Err("the checksum of its header is wrong".into());
        }
        let long = |at| le64(bytes, at).unwrap_or_default();
        let short = |at| le16(bytes, at).unwrap_or_default();
        let field = |at| le32(bytes, at).unwrap_or_default();
        if (field(88), short(92)) != (OPTIONS, 2) {
            return Err("its options are of a version that is not known".into());
        }
        let (total, block) = (long(60), field(84));
        let size = total.checked_mul(block.into());
        if block == 0 || block > MOST_BLOCK || size.is_none() {
            return Err(format!("{total} blocks of {block} bytes are no filesystem"));
        }
        let sum = Kind::of(short(96), short(98)).ok_or_else(|| {
            format!("its checksums are of a kind that is not known ({:#x})", short(96))
        })?;
        let per_sum = u64::from(field(100));
        if per_sum == 0 && sum != Kind::None {
            return Err("its checksums are of no blocks".into());
        }
        let has_map = match bytes.get(105) {
            Some(0) => false,
            Some(1) => true,
            _ => return Err("its map is of a kind that is not known".into()),
        };
        let name = slice(bytes, 36, 16).unwrap_or_default();
        let name: Vec<u8> = name.iter().copied().take_while(|byte| *byte != 0).collect();
        Ok(Self {
            filesystem: String::from_utf8_lossy(&name).into_owned(),
            size: long(52),
            total,
            block,
            sum,
            per_sum,
            reseeds: bytes.get(104) == Some(&1),
            has_map,
        })
    }
}

/// Where the blocks of an image go: a byte of the filesystem, and what is there.
pub(super) type Put<'a> = dyn FnMut(u64, &[u8]) -> Result<(), ImportError> + 'a;

/// Reads an image to its end and hands its blocks to `put`.
///
/// # Errors
/// [`ImportError::Damaged`] for one that is not as it should be; those of `put`.
pub(super) fn restore(
    stream: &mut dyn Read,
    progress: &Progress,
    put: &mut Put<'_>,
) -> Result<Restored, ImportError> {
    let header = exactly(stream, HEADER as u64, progress)?;
    let header = Header::parse(&header).map_err(|why| progress.damaged(why))?;
    let present = blocks(stream, &header, progress)?;
    let mut reader = Blocks {
        stream,
        progress,
        sum: Sum::new(header.sum),
        header: &header,
        in_sum: 0,
        bad_sectors: 0,
    };
    let block = u64::from(header.block);
    let most = (PIECE / block).max(1);
    for run in present.iter() {
        let mut at = run.start;
        while at < run.end {
            let count = (run.end - at).min(most).min(reader.left_in_sum());
            let bytes = reader.take(count)?;
            put(at * block, &bytes)?;
            at += count;
        }
    }
    reader.finish()?;
    let bad_sectors = reader.bad_sectors;
    let mut behind = [0];
    match stream.read(&mut behind) {
        Ok(0) => {}
        Ok(_) => return Err(progress.damaged("something follows its last block")),
        Err(error) => return Err(progress.failed(error)),
    }
    let size = header.size.max(header.total * block);
    Ok(Restored { filesystem: header.filesystem, size, bad_sectors })
}

fn exactly(stream: &mut dyn Read, len: u64, progress: &Progress) -> Result<Vec<u8>, ImportError> {
    let mut bytes = Vec::new();
    stream.take(len).read_to_end(&mut bytes).map_err(|error| progress.failed(error))?;
    match bytes.len() as u64 == len {
        true => Ok(bytes),
        false => Err(progress.damaged("it ends too early")),
    }
}

/// The blocks that are in the image.
fn blocks(
    stream: &mut dyn Read,
    header: &Header,
    progress: &Progress,
) -> Result<Extents, ImportError> {
    if !header.has_map {
        return Ok(Extents::of(0, header.total));
    }
    let len = header.total.div_ceil(8);
    if len > MOST_MAP {
        return Err(progress.damaged(format!("its map of {len} bytes is larger than any")));
    }
    let map = exactly(stream, len, progress)?;
    let sum = exactly(stream, 4, progress)?;
    if le32(&sum, 0) != Some(crc32(&map)) {
        return Err(progress.damaged("the checksum of its map is wrong"));
    }
    let mut present = Extents::new();
    for (first, byte) in (0..).step_by(8).zip(&map) {
        match byte {
            0 => {}
            0xff if first + 8 <= header.total => present.push(first, first + 8),
            _ => {
                let bits = (0..8).filter(|bit| byte >> bit & 1 != 0).map(|bit| first + bit);
                bits.filter(|at| *at < header.total).for_each(|at| present.push(at, at + 1));
            }
        }
    }
    Ok(present)
}

/// The blocks of an image, with the checksums between them.
struct Blocks<'a> {
    stream: &'a mut dyn Read,
    progress: &'a Progress,
    header: &'a Header,
    sum: Sum,
    /// Blocks since the last checksum.
    in_sum: u64,
    bad_sectors: u64,
}

impl Blocks<'_> {
    /// Blocks up to the next checksum.
    fn left_in_sum(&self) -> u64 {
        match self.header.per_sum {
            0 => u64::MAX,
            all => all - self.in_sum,
        }
    }

    fn take(&mut self, count: u64) -> Result<Vec<u8>, ImportError> {
        let bytes = exactly(self.stream, count * u64::from(self.header.block), self.progress)?;
        self.sum.update(&bytes);
        let bad = bytes.chunks(SECTOR).filter(|sector| sector.starts_with(BAD_SECTOR)).count();
        self.bad_sectors += bad as u64;
        self.in_sum += count;
        if self.left_in_sum() == 0 {
            self.check()?;
        }
        Ok(bytes)
    }

    /// Blocks behind the last checksum have one of their own.
    fn finish(&mut self) -> Result<(), ImportError> {
        if self.in_sum > 0 { self.check() } else { Ok(()) }
    }

    fn check(&mut self) -> Result<(), ImportError> {
        let expected = self.sum.value();
        let found = exactly(self.stream, expected.len() as u64, self.progress)?;
        if found != expected {
            return Err(self
                .progress
                .damaged("the checksum of the blocks in front of it is wrong"));
        }
        self.in_sum = 0;
        if self.header.reseeds {
            self.sum = Sum::new(self.header.sum);
        }
        Ok(())
    }
}

/// An image of partclone's: the checksums of the header and of the map are made right first.
#[cfg(any(test, fuzzing))]
pub fn fuzz_partclone(data: &[u8]) {
    let mut image = data.to_vec();
    let mut put = |at: usize, bytes: &[u8]| {
        let places = image.iter_mut().skip(at).zip(bytes);
        places.for_each(|(to, from)| *to = *from);
        image.clone()
    };
    put(0, MAGIC);
    put(VERSION.0, VERSION.1);
    let summed = put(ENDIAN.0, &ENDIAN.1.to_le_bytes());
    let with_header = put(SUMMED, &crc32(summed.get(..SUMMED).unwrap_or_default()).to_le_bytes());
    let len = le64(&with_header, 60).unwrap_or_default().div_ceil(8);
    if let Some(map) = usize::try_from(len).ok().and_then(|len| slice(&with_header, HEADER, len)) {
        put(HEADER + map.len(), &crc32(map).to_le_bytes());
    }
    let end = le64(&image, 60).unwrap_or_default();
    let end = end.saturating_mul(u64::from(le32(&image, 84).unwrap_or_default()));
    let progress = super::parts::Parts::new(Vec::new()).progress();
    let mut written = 0;
    let _ = restore(&mut image.as_slice(), &progress, &mut |at, bytes| {
        assert!(
            at >= written && at + bytes.len() as u64 <= end,
            "a block outside of the filesystem"
        );
        written = at + bytes.len() as u64;
        Ok(())
    });
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::import::parts::Parts;

    const BLOCK: usize = 512;

    /// An image of four blocks, of which the first and the third are there, with a checksum behind both.
    fn image(mode: u16, sum: &[u8]) -> Vec<u8> {
        let mut image = vec![0; SUMMED];
        image[..16].copy_from_slice(b"partclone-image\0");
        image[30..36].copy_from_slice(b"0002\xde\xc0");
        image[36..41].copy_from_slice(b"EXTFS");
        for (at, value) in [(52, 2048_u64), (60, 4), (68, 2), (76, 2)] {
            image[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        image[84..88].copy_from_slice(&512_u32.to_le_bytes());
        image[88..96].copy_from_slice(&[18, 0, 0, 0, 2, 0, 64, 0]);
        image[96..98].copy_from_slice(&mode.to_le_bytes());
        image[98] = u8::try_from(sum.len()).unwrap();
        image[100] = if sum.is_empty() { 0 } else { 2 };
        image[104..106].copy_from_slice(&[1, 1]);
        image.extend(crc32(&image).to_le_bytes());
        image.push(0b0101);
        image.extend(crc32(&[0b0101]).to_le_bytes());
        image.extend(content());
        image.extend(sum);
        image
    }

    fn content() -> Vec<u8> {
        (0..1024_u16).map(|at| u8::try_from(at % 251).unwrap()).collect()
    }

    fn restored(image: &[u8]) -> Result<(Restored, Vec<u8>), ImportError> {
        let mut disk = vec![0; 4 * BLOCK];
        let progress = Parts::new(vec!["image".into()]).progress();
        let found = restore(&mut Cursor::new(image), &progress, &mut |at, bytes| {
            let at = usize::try_from(at).unwrap();
            disk[at..at + bytes.len()].copy_from_slice(bytes);
            Ok(())
        })?;
        Ok((found, disk))
    }

    /// The checksums are those of `xxhsum` 0.8 and of `gzip` 1.13 (its CRC-32 turned round), of the same bytes.
    fn images() -> [Vec<u8>; 4] {
        let sum = |digits: &str| {
            let mut sum = hex::decode(digits).unwrap();
            sum.reverse();
            sum
        };
        [
            image(0, &[]),
            image(0x20, &sum("841b202f")),
            image(0x30, &sum("138e26c65048ce29")),
            image(0x31, &sum("d0ac1f7b93bf57b9e5d78bafa45b2aa5")),
        ]
    }

    #[test]
    fn blocks_go_where_they_belong_whatever_they_are_summed_by() {
        let (first, third) = (&content()[..BLOCK], &content()[BLOCK..]);
        for image in images() {
            let (found, disk) = restored(&image).unwrap();
            assert_eq!(
                (found.filesystem.as_str(), found.size, found.bad_sectors),
                ("EXTFS", 2048, 0)
            );
            assert!(&disk[..BLOCK] == first && &disk[2 * BLOCK..3 * BLOCK] == third);
            assert!(disk[BLOCK..2 * BLOCK].iter().chain(&disk[3 * BLOCK..]).all(|byte| *byte == 0));
        }
    }

    #[test]
    fn no_byte_can_be_changed_or_missing() {
        for (number, image) in images().into_iter().enumerate() {
            for cut in 0..image.len() {
                assert!(restored(&image[..cut]).is_err(), "{number} cut to {cut}");
            }
            let summed = if number == 0 { HEADER + 5 } else { image.len() };
            for at in VERSION.0..summed {
                let mut damaged = image.clone();
                damaged[at] ^= 1;
                assert!(restored(&damaged).is_err(), "{number} at {at}");
            }
            assert!(restored(&[&image[..], b"x"].concat()).is_err());
        }
    }

    #[test]
    fn sectors_that_were_bad_are_counted() {
        let mut image = image(0, &[]);
        let at = HEADER + 5 + BLOCK;
        image[at..at + 10].copy_from_slice(BAD_SECTOR);
        assert_eq!(restored(&image).unwrap().0.bad_sectors, 1);
    }
}
