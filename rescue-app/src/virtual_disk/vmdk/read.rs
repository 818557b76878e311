//! A VMDK read as the disk that is in it.

use std::io;
use std::sync::Arc;

use super::{
    AT_END, DEFLATE, GRAIN, HEADER_LEN, MAGIC, MARKER_LEN, MARKERS, PACKED, PER_TABLE, SECTOR,
};
use crate::bytes::{Extents, ReadAt, le16, le32, le64, slice};
use crate::virtual_disk::packing::inflate;
use crate::virtual_disk::tables::Tables;
use crate::virtual_disk::{Disk, by_block, ensure_inside, held, wrong};

/// Bytes of an entry of the directory, and of a table of grains.
const ENTRY: u64 = 4;
/// An entry of a table of grains: a grain that is zero.
const ZERO: u32 = 1;
/// Where the second header is that a stream ends with: in front of the last marker, bytes from the end.
const FOOTER: u64 = 1024;
/// Bytes of a grain, at most: 128 times those of any program.
const MOST_GRAIN: u64 = GRAIN * 128;

/// Bytes of the description in a file that are looked at; it has 10 KiB where VMware writes it.
const MOST_TEXT: u64 = 64 << 10;
/// The number of the file in front of one that stands alone.
const NO_PARENT: &str = "ffffffff";

/// The disk in a VMDK file.
pub(in crate::virtual_disk) struct Reader {
    tables: Tables,
    size: u64,
    grain: u64,
    is_packed: bool,
    /// First byte of the directory of tables.
    directory: u64,
}

impl Reader {
    pub(in crate::virtual_disk) fn open(file: Arc<dyn ReadAt>) -> io::Result<Self> {
        let mut head = file.read_vec(0, HEADER_LEN)?;
        if !head.starts_with(MAGIC) {
            return Err(wrong("this is no VMDK of one file"));
        }
        if le64(&head, 56) == Some(AT_END) {
            let at =
                file.size().checked_sub(FOOTER).ok_or_else(|| wrong("the VMDK is cut short"))?;
            head = file.read_vec(at, HEADER_LEN)?;
            if !head.starts_with(MAGIC) {
                return Err(wrong("the VMDK is cut short"));
            }
        }
        let flags = le32(&head, 8).unwrap_or_default();
        let long = |at| le64(&head, at).unwrap_or_default();
        let bytes = |at| long(at).checked_mul(SECTOR).ok_or_else(|| wrong("sectors past all ends"));
        let (size, grain, directory) = (bytes(12)?, bytes(20)?, bytes(56)?);
        if !grain.is_power_of_two() || grain > MOST_GRAIN {
            return Err(wrong(format!("grains of {grain} bytes are none of a VMDK")));
        }
        if le32(&head, 44).map(u64::from) != Some(PER_TABLE) {
            return Err(wrong("tables of that size are none of a VMDK"));
        }
        let is_packed = flags & PACKED != 0;
        if is_packed && (le16(&head, 77) != Some(DEFLATE) || flags & MARKERS == 0) {
            return Err(wrong("the VMDK is packed in an unknown way"));
        }
        refuse_parent(&*file, bytes(28)?, bytes(36)?)?;
        Ok(Self { tables: Tables::new(file), size, grain, is_packed, directory })
    }

    fn entry(&self, grain: u64) -> io::Result<u32> {
        match self.table_of(grain)? {
            0 => Ok(0),
            table => Ok(u32::from_le_bytes(self.tables.entry(place_of(table, grain))?)),
        }
    }

    /// The sector that the table for a grain begins at; 0 where there is none.
    fn table_of(&self, grain: u64) -> io::Result<u32> {
        Ok(u32::from_le_bytes(self.tables.entry(self.directory_entry(grain)?)?))
    }

    /// Where the directory's entry for the table of a grain begins.
    fn directory_entry(&self, grain: u64) -> io::Result<u64> {
        let at = self.directory.checked_add(grain / PER_TABLE * ENTRY);
        Ok(at.ok_or(io::ErrorKind::UnexpectedEof)?)
    }

    fn unpack(&self, at: u64, into: u64, part: &mut [u8]) -> io::Result<()> {
        let file = self.tables.file();
        let whole = usize::try_from(self.grain).unwrap_or_default();
        let len: u32 = le32(&file.read_vec(at + 8, 4)?, 0).unwrap_or_default();
        if u64::from(len) > 2 * self.grain {
            return Err(wrong("a packed grain is longer than it can be"));
        }
        let packed = file.read_vec(at + MARKER_LEN, usize::try_from(len).unwrap_or_default())?;
        if part.len() == whole {
            return unpack(&packed, part);
        }
        let mut grain = vec![0; whole];
        unpack(&packed, &mut grain)?;
        let bytes = slice(&grain, usize::try_from(into).unwrap_or(usize::MAX), part.len());
        part.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// Where the entry for a grain begins in the table at sector `table`.
fn place_of(table: u32, grain: u64) -> u64 {
    u64::from(table) * SECTOR + grain % PER_TABLE * ENTRY
}

/// The description in the file says whether what it does not hold is in another one ("parentCID").
fn refuse_parent(file: &dyn ReadAt, at: u64, len: u64) -> io::Result<()> {
    let text = file.read_vec(at, usize::try_from(len.min(MOST_TEXT)).unwrap_or_default())?;
    let text = String::from_utf8_lossy(&text);
    let mut fields = text.lines().filter_map(|line| line.split_once('='));
    let parent = fields.find(|(name, _)| name.trim().eq_ignore_ascii_case("parentCID"));
    match parent {
        Some((_, id)) if !id.trim_matches(['\0', ' ', '\r']).eq_ignore_ascii_case(NO_PARENT) => {
            Err(wrong("the VMDK is only what differs from another file"))
        }
        _ => Ok(()),
    }
}

/// Unpacks a grain. QEMU packs of the last one only what is on the disk.
fn unpack(packed: &[u8], grain: &mut [u8]) -> io::Result<()> {
    let len = inflate(packed, grain, true)?;
    grain.get_mut(len..).unwrap_or_default().fill(0);
    Ok(())
}

impl Disk for Reader {
    fn data(&self) -> io::Result<Extents> {
        held((self.size, self.grain), self.tables.most(ENTRY), |grain| {
            let into = grain % PER_TABLE;
            let tables = self.tables.run(self.directory_entry(grain)?, u64::MAX, |table| {
                u32::from_le_bytes(table) != 0
            })?;
            if !tables.is_held {
                return Ok(tables.of_tables(PER_TABLE, into));
            }
            let at = place_of(self.table_of(grain)?, grain);
            self.tables
                .run(at, PER_TABLE - into, |entry| !matches!(u32::from_le_bytes(entry), 0 | ZERO))
        })
    }
}

impl ReadAt for Reader {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        ensure_inside(self.size, offset, buf.len())?;
        by_block(offset, buf, self.grain, |grain, into, part| {
            match self.entry(grain)? {
                0 | ZERO => part.fill(0),
                sector if self.is_packed => {
                    self.unpack(u64::from(sector) * SECTOR, into, part)?;
                }
                sector => {
                    self.tables.file().read_at(u64::from(sector) * SECTOR + into, part)?;
                }
            }
            Ok(())
        })
    }
}
