//! A sparse disk as few bytes: its size, then pieces with their places.

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use crc::{CRC_32_ISO_HDLC, Crc};
use sha2::{Digest as _, Sha256};

use crate::bytes::{ReadAt, be64, le16, le32, le64, slice};
use crate::table::crc32;

/// Places are counted in these, so that four bytes reach anywhere; in bytes.
const UNIT: u64 = 16;

/// Largest disk, in bytes: the largest that examining must cope with within a test's time.
const LARGEST: u64 = 1 << 32;

/// Most that a parser may ask for at once, in bytes: the largest header of LUKS2.
const LARGEST_READ: usize = 4 << 20;

/// Most that a parser may read of one disk, in bytes.
const READ_LIMIT: u64 = 3 << 29;

/// A disk of zeros with pieces laid over it, later ones over earlier ones. Minds how it is read.
///
/// Layout, little endian: size in sectors of 512 bytes (4 bytes), then for each piece its place
/// in units of 16 bytes (4), its length (2) and its bytes.
pub(super) struct Pieces {
    size: u64,
    pieces: Vec<(u64, Vec<u8>)>,
    read: AtomicU64,
}

impl Pieces {
    /// Any bytes make a disk; a last piece that is cut short is as long as it is.
    pub(super) fn parse(data: &[u8]) -> Self {
        let size = (u64::from(le32(data, 0).unwrap_or(0)) * 512).min(LARGEST);
        let mut pieces = Vec::new();
        let mut at = 4;
        while let (Some(place), Some(len)) = (le32(data, at), le16(data, at + 4)) {
            let start = at + 6;
            let end = (start + usize::from(len)).min(data.len());
            let bytes = data.get(start..end).unwrap_or_default().to_vec();
            pieces.push((u64::from(place) * UNIT, bytes));
            at = end;
        }
        Self { size, pieces, read: AtomicU64::new(0) }
    }

    /// Lays bytes over the disk.
    pub(super) fn put(&mut self, at: u64, bytes: &[u8]) {
        self.pieces.push((at, bytes.to_vec()));
    }

    /// Ends the first sector with the signature of boot sectors.
    pub(super) fn sign(&mut self) {
        self.put(510, &[0x55, 0xaa]);
    }

    /// Puts a protective MBR at the start.
    pub(super) fn protect(&mut self) {
        self.put(446, &[0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
        self.sign();
    }

    /// Makes the checksums of the GPT header in a sector right, when it is one (UEFI
    /// specification, section 5.3.2).
    pub(super) fn with_gpt_checksums(mut self, lba: u64) -> Self {
        let Ok(mut header) = self.read_vec(lba * 512, 512) else { return self };
        if !header.starts_with(b"EFI PART") {
            return self;
        }
        let array = le64(&header, 72).unwrap_or(0).checked_mul(512);
        let len = le32(&header, 80).unwrap_or(0).checked_mul(le32(&header, 84).unwrap_or(0));
        let len = len.and_then(|len| usize::try_from(len).ok()).filter(|len| *len <= LARGEST_READ);
        if let (Some(array), Some(len)) = (array, len)
            && let Ok(entries) = self.read_vec(array, len)
        {
            let sum = crc32(&entries).to_le_bytes();
            header.splice(88..92, sum);
        }
        header.splice(16..20, [0; 4]);
        let len = le32(&header, 12).and_then(|len| usize::try_from(len).ok()).unwrap_or(0);
        if let Some(covered) = slice(&header, 0, len) {
            let sum = crc32(covered).to_le_bytes();
            header.splice(16..20, sum);
        }
        self.put(lba * 512, &header);
        self
    }

    /// Makes the checksum of a first LUKS2 header right, and its own place in it
    /// ("LUKS2 On-Disk Format Specification", section 2.1).
    pub(super) fn with_luks2_checksum(mut self) -> Self {
        let len = self.read_vec(8, 8).ok().and_then(|size| be64(&size, 0));
        let len = len.and_then(|len| usize::try_from(len).ok()).filter(|len| *len <= LARGEST_READ);
        let Some(mut header) = len.and_then(|len| self.read_vec(0, len).ok()) else { return self };
        if header.len() < 4096 {
            return self;
        }
        header.splice(72..80, *b"sha256\0\0");
        header.splice(256..264, [0; 8]);
        header.splice(448..512, [0; 64]);
        let sum = Sha256::digest(&header);
        header.splice(448..480, sum);
        self.put(0, header.get(..4096).unwrap_or_default());
        self
    }

    /// Makes the checksums of the copies of BitLocker's metadata right (dislocker,
    /// `bitlocker_validations_t`).
    pub(super) fn with_bitlocker_checksums(mut self) -> Self {
        let Ok(sector) = self.read_vec(0, 512) else { return self };
        for place in [176, 184, 192] {
            let at = le64(&sector, place).unwrap_or(u64::MAX);
            let Ok(copy) = self.read_vec(at, 64 << 10) else { continue };
            let len = usize::from(le16(&copy, 8).unwrap_or(0)) * 16;
            let Some(covered) = slice(&copy, 0, len) else { continue };
            self.put(at + len as u64 + 4, &crc32(covered).to_le_bytes());
        }
        self
    }

    /// Makes the checksums of a label of LVM in the second sector right, and those of the metadata
    /// areas that it names and of their texts (LVM2 `lib/format_text/layout.h`).
    pub(super) fn with_lvm_checksums(mut self) -> Self {
        self.put(512, b"LABELONE\x01\0\0\0\0\0\0\0");
        self.put(536, b"LVM2 001");
        let Ok(label) = self.read_vec(512, 512) else { return self };
        self.put_lvm_checksum(512 + 16, 532..1024);
        // Two lists of places begin behind the header and the volume's identity and size.
        for place in (72..200).step_by(16) {
            let Some(area) = le64(&label, place).filter(|at| *at != 0) else { continue };
            let Ok(header) = self.read_vec(area, 512) else { continue };
            let (offset, len) = (le64(&header, 40), le64(&header, 48));
            let text = offset.and_then(|offset| area.checked_add(offset));
            if let (Some(text), Some(len @ ..=0x1_0000)) = (text, len) {
                self.put_lvm_checksum(area + 56, text..text.saturating_add(len));
            }
            if header.get(4..20) == Some(b"\x20LVM2\x20x[5A%r0N*>") {
                self.put_lvm_checksum(area, area + 4..area + 512);
            }
        }
        self
    }

    /// Puts the checksum that LVM has of a range at byte `at`.
    fn put_lvm_checksum(&mut self, at: u64, range: Range<u64>) {
        let len = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
        let Ok(covered) = self.read_vec(range.start, len) else { return };
        let crc = Crc::<u32>::new(&CRC_32_ISO_HDLC);
        let mut digest = crc.digest_with_initial(0xf597_a6cf_u32.reverse_bits());
        digest.update(&covered);
        self.put(at, &(!digest.finalize()).to_le_bytes());
    }
}

impl ReadAt for Pieces {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        assert!(buf.len() <= LARGEST_READ, "{} bytes at once", buf.len());
        let len = buf.len() as u64;
        let end = offset.checked_add(len).filter(|end| *end <= self.size);
        let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
        let read = self.read.fetch_add(len, Ordering::Relaxed) + len;
        assert!(read <= READ_LIMIT, "{read} bytes read in all");
        buf.fill(0);
        for (start, bytes) in &self.pieces {
            let (from, to) = (offset.max(*start), end.min(start + bytes.len() as u64));
            let place = |at: u64, base: u64| usize::try_from(at.saturating_sub(base)).ok();
            let (Some(source), Some(target)) = (
                place(from, *start).zip(place(to, *start)),
                place(from, offset).zip(place(to, offset)),
            ) else {
                continue;
            };
            let source = bytes.get(source.0..source.1);
            if let Some((source, target)) = source.zip(buf.get_mut(target.0..target.1)) {
                target.copy_from_slice(source);
            }
        }
        Ok(())
    }
}
