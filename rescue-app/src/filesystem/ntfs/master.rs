//! The master file table: file records by number, and the streams they describe.

use std::collections::BTreeSet;
use std::io;

use super::boot_sector::BootSector;
use super::record::{Attribute, REFERENCE_MASK, Record, kind};
use super::stream::Stream;
use crate::bytes::{ReadAt, le16, le32, le64, slice};
use crate::volume::Doubt;
use crate::volume::probe::byte;

/// An attribute list larger than this (Windows' own limit is 256 KiB) is not believed.
const LARGEST_LIST: u64 = 256 << 10;

/// Bytes of `$MFT` read at once; a multiple of the size of a record.
const PIECE: u64 = 1 << 20;

/// An open volume.
pub(super) struct Master<'a> {
    volume: &'a dyn ReadAt,
    /// The geometry.
    pub(super) boot: BootSector,
    /// `$MFT` itself.
    pub(super) table: Stream,
}

/// One entry of an attribute list.
struct Piece {
    kind: u32,
    /// In UTF-16; empty for none.
    name: Vec<u8>,
    vcn: u64,
    record: u64,
}

impl<'a> Master<'a> {
    /// Reads record 0, which says where all others are.
    pub(super) fn open(volume: &'a dyn ReadAt, boot: BootSector) -> Result<Self, Doubt> {
        let at = boot.mft.saturating_mul(boot.cluster_size.into());
        let bytes =
            volume.read_vec(at, boot.record_size as usize).map_err(Doubt::reading("$MFT"))?;
        let first = Record::new(bytes).ok_or_else(|| damaged(0))?;
        let empty = Stream::new(boot.cluster_size, boot.clusters());
        let mut master = Self { volume, boot, table: empty };
        // The records that continue the table's own runs lie in the part already known, so that
        // the table can be read while it is being put together.
        let data = first.find(kind::DATA, &[]).ok_or_else(|| damaged(0))?;
        master.table.extend(data).ok_or_else(|| damaged(0))?;
        for piece in master.pieces(&first, kind::DATA, &[])? {
            if piece.vcn != 0 {
                let record = master.extension(piece.record, 0)?;
                let attribute = part(&record, kind::DATA, &[], piece.vcn);
                let extended = attribute.and_then(|found| master.table.extend(found));
                extended.ok_or_else(|| damaged(piece.record))?;
            }
        }
        if !master.table.is_complete() {
            return Err(Doubt::because("the runs of $MFT are incomplete"));
        }
        Ok(master)
    }

    /// Record number `number`, without its fix-ups; zeros and free records are an error.
    pub(super) fn record(&self, number: u64) -> Result<Record, Doubt> {
        let size = self.boot.record_size;
        let at = number.saturating_mul(size.into());
        let mut bytes = vec![0; size as usize];
        self.table
            .read(self.volume, at, &mut bytes)
            .map_err(Doubt::reading("a file record of $MFT"))?;
        Record::new(bytes).ok_or_else(|| damaged(number))
    }

    fn extension(&self, number: u64, base: u64) -> Result<Record, Doubt> {
        let record = self.record(number)?;
        if number != base && record.base() != Some(base) {
            return Err(damaged(number));
        }
        Ok(record)
    }

    /// The non-resident value of a type and name of file `number`, put together from all of its
    /// records.
    pub(super) fn stream(&self, number: u64, kind: u32, name: &[u8]) -> Result<Stream, Doubt> {
        self.put_together(
            Stream::new(self.boot.cluster_size, self.boot.clusters()),
            number,
            kind,
            name,
        )
    }

    /// The non-resident content of file `number`, be it sparse or compressed.
    pub(super) fn content(&self, number: u64) -> Result<Stream, Doubt> {
        let stream = Stream::of_file(self.boot.cluster_size, self.boot.clusters());
        self.put_together(stream, number, kind::DATA, &[])
    }

    /// Adds all runs of a value to `stream`.
    fn put_together(
        &self,
        mut stream: Stream,
        number: u64,
        kind: u32,
        name: &[u8],
    ) -> Result<Stream, Doubt> {
        let base = self.record(number)?;
        let pieces = self.pieces(&base, kind, name)?;
        if pieces.is_empty() {
            let attribute = base.find(kind, name).ok_or_else(|| damaged(number))?;
            stream.extend(attribute).ok_or_else(|| damaged(number))?;
        }
        for piece in pieces {
            let record = self.extension(piece.record, number)?;
            let attribute = part(&record, kind, name, piece.vcn);
            let extended = attribute.and_then(|found| stream.extend(found));
            extended.ok_or_else(|| damaged(piece.record))?;
        }
        stream.is_complete().then_some(stream).ok_or_else(|| damaged(number))
    }

    /// The resident value of a type and name of file `number`, in whichever of its records it is.
    pub(super) fn value(&self, number: u64, kind: u32, name: &[u8]) -> Result<Vec<u8>, Doubt> {
        let base = self.record(number)?;
        let record = match self.pieces(&base, kind, name)?.first() {
            Some(piece) => self.extension(piece.record, number)?,
            None => base,
        };
        let value = record.find(kind, name).and_then(|found| found.value());
        value.map(<[u8]>::to_vec).ok_or_else(|| damaged(number))
    }

    /// Shows `each` the first attribute of a type without a name of file `number`, in whichever of its
    /// records it is; `None` when there is none.
    pub(super) fn with_attribute<T>(
        &self,
        number: u64,
        kind: u32,
        each: impl FnOnce(Attribute<'_>) -> T,
    ) -> Result<Option<T>, Doubt> {
        let base = self.record(number)?;
        let record = match self.pieces(&base, kind, &[])?.first() {
            Some(piece) => self.extension(piece.record, number)?,
            None => base,
        };
        Ok(record.find(kind, &[]).map(each))
    }

    /// The records that file `number` has besides its own.
    pub(super) fn extensions(&self, base: &Record, number: u64) -> Result<Vec<Record>, Doubt> {
        let Some(list) = base.find(kind::ATTRIBUTE_LIST, &[]) else { return Ok(Vec::new()) };
        let entries = entries(&self.whole_value(list)?).ok_or_else(strange_list)?;
        let records: BTreeSet<u64> =
            entries.iter().map(|entry| entry.record).filter(|record| *record != number).collect();
        records.into_iter().map(|record| self.extension(record, number)).collect()
    }

    /// Shows `each` the numbers and bytes of all file records, in use or not; an error for each that cannot be read.
    pub(super) fn each_record(
        &self,
        mut each: impl FnMut(u64, io::Result<&[u8]>) -> Result<(), Doubt>,
    ) -> Result<(), Doubt> {
        let size = u64::from(self.boot.record_size);
        let len = self.table.size.min(self.boot.size);
        let mut piece = vec![0; usize::try_from(PIECE.min(len)).unwrap_or(0)];
        let mut at = 0u64;
        while at < len {
            let left = usize::try_from(len.saturating_sub(at)).unwrap_or(usize::MAX);
            let most = left.min(piece.len());
            let bytes = piece.get_mut(..most).unwrap_or_default();
            let read = self.read(&self.table, at, bytes);
            let numbers = at.checked_div(size).unwrap_or(0)..;
            let mut records = numbers.zip(bytes.chunks_exact(self.boot.record_size as usize));
            match read {
                Ok(()) => records.try_for_each(|(number, record)| each(number, Ok(record)))?,
                Err(error) => records.try_for_each(|(number, _)| {
                    each(number, Err(io::Error::new(error.kind(), error.to_string())))
                })?,
            }
            at = at.saturating_add(bytes.len().max(1) as u64);
        }
        Ok(())
    }

    /// What the volume lies on.
    pub(super) fn volume(&self) -> &'a dyn ReadAt {
        self.volume
    }

    /// Reads from a stream.
    pub(super) fn read(&self, stream: &Stream, at: u64, buf: &mut [u8]) -> io::Result<()> {
        stream.read(self.volume, at, buf)
    }

    /// Where the attribute list of a record, if it has one, says that pieces of an attribute are.
    fn pieces(&self, record: &Record, kind: u32, name: &[u8]) -> Result<Vec<Piece>, Doubt> {
        let Some(list) = record.find(kind::ATTRIBUTE_LIST, &[]) else { return Ok(Vec::new()) };
        let bytes = self.whole_value(list)?;
        let mut pieces = entries(&bytes).ok_or_else(strange_list)?;
        pieces.retain(|piece| piece.kind == kind && piece.name == name);
        pieces.sort_by_key(|piece| piece.vcn);
        Ok(pieces)
    }

    fn whole_value(&self, attribute: Attribute<'_>) -> Result<Vec<u8>, Doubt> {
        if let Some(value) = attribute.value() {
            return Ok(value.to_vec());
        }
        let mut stream = Stream::new(self.boot.cluster_size, self.boot.clusters());
        stream
            .extend(attribute)
            .filter(|()| stream.is_complete() && stream.size <= LARGEST_LIST)
            .ok_or_else(|| Doubt::because("the runs of an attribute list make no sense"))?;
        let mut bytes = vec![0; usize::try_from(stream.size).unwrap_or(0)];
        let read = stream.read(self.volume, 0, &mut bytes);
        read.map_err(Doubt::reading("an attribute list")).map(|()| bytes)
    }
}

/// The piece of an attribute that starts at virtual cluster `vcn`.
fn part<'a>(record: &'a Record, kind: u32, name: &[u8], vcn: u64) -> Option<Attribute<'a>> {
    let starts = |attribute: &Attribute<'_>| attribute.first_vcn() == Some(vcn);
    record.attributes().find(|attribute| attribute.is(kind, name) && starts(attribute))
}

/// `ATTR_LIST_ENTRY`: type, length, name, lowest VCN, file reference.
fn entries(mut list: &[u8]) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    while !list.is_empty() {
        let len = usize::from(le16(list, 4)?);
        let (entry, rest) = list.split_at_checked(len).filter(|_| len >= 26)?;
        let name_len = usize::from(byte(entry, 6)?).checked_mul(2)?;
        let name = slice(entry, byte(entry, 7)?.into(), name_len)?.to_vec();
        let record = le64(entry, 16)? & REFERENCE_MASK;
        pieces.push(Piece { kind: le32(entry, 0)?, name, vcn: le64(entry, 8)?, record });
        list = rest;
    }
    Some(pieces)
}

fn strange_list() -> Doubt {
    Doubt::because("an attribute list makes no sense")
}

pub(super) fn damaged(record: u64) -> Doubt {
    Doubt::because(format!("file record {record} of $MFT is damaged"))
}
