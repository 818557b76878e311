//! What a screen shows.

use std::io;

use crc::{CRC_32_ISO_HDLC, Crc};
use miniz_oxide::deflate::compress_to_vec_zlib;

/// Colours of a screen's points, three bytes each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    width: usize,
    height: usize,
    points: Vec<u8>,
}

/// The most points of either side.
const MOST: usize = 1 << 14;

impl Picture {
    /// Of a binary portable pixmap (`P6`, ppm(5)) with 255 as its largest value, as QEMU writes it.
    ///
    /// # Errors
    /// When it is another file, or cut short.
    pub fn from_pixmap(bytes: &[u8]) -> io::Result<Self> {
        let wrong = || io::Error::new(io::ErrorKind::InvalidData, "this is no pixmap of QEMU");
        let mut words = bytes.splitn(5, |byte| byte.is_ascii_whitespace());
        let mut word = || words.next().ok_or_else(wrong);
        let number = |word: &[u8]| std::str::from_utf8(word).ok()?.parse::<usize>().ok();
        if word()? != b"P6" {
            return Err(wrong());
        }
        let (width, height) = (number(word()?), number(word()?));
        let (Some(width @ 1..=MOST), Some(height @ 1..=MOST)) = (width, height) else {
            return Err(wrong());
        };
        let (largest, points) = (word()?, word()?);
        if largest != b"255" || points.len() < width * height * 3 {
            return Err(wrong());
        }
        let points = points.get(..width * height * 3).unwrap_or_default().to_vec();
        Ok(Self { width, height, points })
    }

    /// Whether it is as large as that of a screen with 80 by 25 characters.
    pub fn is_text(&self) -> bool {
        matches!((self.width, self.height), (720 | 640, 400))
    }

    /// Whether nearly all of it is the same: a cursor may blink, a clock go on.
    pub fn is_nearly(&self, other: &Self) -> bool {
        /// Of so many points one may differ.
        const PART: usize = 400;
        if (self.width, self.height) != (other.width, other.height) {
            return false;
        }
        let points = self.points.chunks(3).zip(other.points.chunks(3));
        points.filter(|(one, other)| one != other).count() <= self.width * self.height / PART
    }

    /// As a file that everything shows (PNG, W3C Recommendation, third edition): 8 bits of each colour, no filter.
    pub fn to_png(&self) -> Vec<u8> {
        /// Level of deflate.
        const LEVEL: u8 = 6;
        let crc = Crc::<u32>::new(&CRC_32_ISO_HDLC);
        let mut rows = Vec::with_capacity(self.points.len() + self.height);
        for row in self.points.chunks(self.width * 3) {
            rows.push(0);
            rows.extend_from_slice(row);
        }
        let side = |len: usize| u32::try_from(len).unwrap_or_default().to_be_bytes();
        let header = [&side(self.width)[..], &side(self.height), &[8, 2, 0, 0, 0]].concat();
        let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
        for (kind, bytes) in [
            (b"IHDR", header),
            (b"IDAT", compress_to_vec_zlib(&rows, LEVEL)),
            (b"IEND", Vec::new()),
        ] {
            let chunk = [&kind[..], &bytes].concat();
            png.extend_from_slice(&side(bytes.len()));
            png.extend_from_slice(&chunk);
            png.extend_from_slice(&crc.checksum(&chunk).to_be_bytes());
        }
        png
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixmaps_are_read_and_others_refused() {
        let bytes = b"P6\n2 1\n255\n\x0a\x20\x30\xff\x0d\x09";
        let picture = Picture::from_pixmap(bytes).unwrap();
        assert_eq!(picture.points, [10, 32, 48, 255, 13, 9]);
        assert!(!picture.is_text() && picture.is_nearly(&picture));
        for wrong in [&bytes[..bytes.len() - 1], b"P5\n2 1\n255\n123456", b"P6", b""] {
            assert!(Picture::from_pixmap(wrong).is_err());
        }
        assert!(Picture::from_pixmap(b"P6\n99999999 99999999\n255\n").is_err());
    }

    #[test]
    fn a_cursor_is_no_difference_and_a_line_of_text_is() {
        let blank = Picture { width: 720, height: 400, points: vec![0; 720 * 400 * 3] };
        let drawn = |points: usize| {
            let mut other = blank.clone();
            other.points[..points * 3].fill(255);
            other
        };
        assert!(blank.is_text());
        assert!(blank.is_nearly(&drawn(9 * 16)));
        assert!(!blank.is_nearly(&drawn(720 * 2)));
    }
}
