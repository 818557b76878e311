//! Makes a seed of a filesystem's or a disk's image: the pieces of it that are read when it is
//! examined, and are not zero, in the form that `lifeboat::fuzzing` lays over a disk of zeros.
//!
//! usage: seed volume|owners|locked|disk|all IMAGE >SEED

use std::io::{self, Write};
use std::sync::Mutex;

use lifeboat::bytes::{Extents, ReadAt};
use lifeboat::image::layout::{self, Selection};
use lifeboat::image::neighbours::Neighbours;
use lifeboat::inspect;
use lifeboat::table;
use lifeboat::volume::Effort;

/// Pieces lie at multiples of this many bytes.
const UNIT: usize = 16;

/// Longest piece in bytes, a multiple of [`UNIT`].
const LONGEST: usize = 65_520;

/// An image that notes which units are read.
struct Watched {
    bytes: Vec<u8>,
    read: Mutex<Vec<bool>>,
}

impl ReadAt for Watched {
    fn size(&self) -> u64 {
        self.bytes.size()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.bytes.read_at(offset, buf)?;
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let units = start / UNIT..(start + buf.len()).div_ceil(UNIT);
        self.read.lock().map_err(|_| io::Error::other("poisoned"))?[units].fill(true);
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let (Some(kind), Some(path)) = (words.next(), words.next()) else {
        return Err("usage: seed volume|owners|locked|disk|all IMAGE >SEED".into());
    };
    let mut bytes = std::fs::read(path)?;
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    let read = Mutex::new(vec![false; bytes.len() / UNIT]);
    let image = Watched { bytes, read };
    if kind == "owners" {
        let size = image.size();
        let found = inspect::owners(&image, &Extents::of(0, size));
        let system = inspect::system(&image);
        eprintln!("{} files, {:?}, {system:?}", found.files.len(), found.note);
    } else if kind == "disk" {
        let table = table::read(&image, 512)?;
        let metadata = table::metadata_extents(&image, &table);
        let selection = Selection::default();
        let neighbours = Neighbours::new(&image, &table);
        for span in layout::spans(image.size(), &table) {
            layout::inspect(&image, span, Some(&metadata), &neighbours, &selection);
        }
    } else if kind == "locked" {
        // No key slot is tried: key material is noise, and much of it.
        let opened = inspect::unlock(&image, b"x", Effort { memory: 0, work: 0 });
        eprintln!("{}", opened.err().map(|error| error.to_string()).unwrap_or_default());
    } else if kind == "all" {
        // What would not be read as long as no checksum is right.
        image.read_vec(0, image.bytes.len())?;
    } else {
        let found = inspect::inspect(&image);
        eprintln!("{:?} {:?}", found.coverage, found.warnings);
    }
    let read = image.read.into_inner()?;
    io::stdout().write_all(&encode(&image.bytes, &read)?)?;
    Ok(())
}

fn encode(bytes: &[u8], read: &[bool]) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let mut seed = u32::try_from(bytes.len() / 512)?.to_le_bytes().to_vec();
    let units: Vec<&[u8]> = bytes.chunks(UNIT).collect();
    let wanted = |at: usize| read[at] && units[at].iter().any(|byte| *byte != 0);
    let mut at = 0;
    while at < units.len() {
        let start = at;
        while at < units.len() && wanted(at) && (at - start) * UNIT < LONGEST {
            at += 1;
        }
        if at == start {
            at += 1;
            continue;
        }
        let piece = &bytes[start * UNIT..at * UNIT];
        seed.extend(u32::try_from(start)?.to_le_bytes());
        seed.extend(u16::try_from(piece.len())?.to_le_bytes());
        seed.extend(piece);
    }
    Ok(seed)
}
