//! The chain of extended boot records.

use super::super::fit::Patch;
use super::super::gpt::set;
use super::super::{Partition, TableError};
use super::{ENTRIES, ENTRY, Edit, Position, TYPE};

/// Type of an entry that leads to the next extended boot record.
const LINK: u8 = 0x05;

impl Edit<'_> {
    /// The extended boot records, in the order of the partitions' numbers, which is that of the chain: the
    /// first one begins the extended partition, `frame`.
    pub(super) fn chain(
        &self,
        frame: &Position,
        logical: &[(&Partition, Option<&Position>)],
    ) -> Result<Vec<Patch>, TableError> {
        let kept: Vec<(&Partition, &Position)> =
            logical.iter().map_while(|(old, new)| Some((*old, (*new)?))).collect();
        if let Some((left, _)) = logical.iter().skip(kept.len()).find(|(_, new)| new.is_some()) {
            return Err(TableError::Unwritable(format!(
                "logical partition {} would get another number",
                left.number
            )));
        }
        let record_at = |at: usize, position: &Position| match at {
            0 => frame.start,
            _ => position.record,
        };
        let mut records: Vec<_> =
            kept.iter().enumerate().map(|(at, (_, new))| (record_at(at, new), new.start)).collect();
        records.sort_unstable();
        let no_room = records.iter().any(|(record, start)| record + self.sector > *start)
            || records.windows(2).any(|pair| matches!(pair, [(a, _), (b, _)] if a == b));
        if no_room {
            let why = "there is no room for an extended boot record before its partition";
            return Err(TableError::Unwritable(why.into()));
        }
        let mut patches = Vec::new();
        for (at, (old, new)) in kept.iter().enumerate() {
            let next = kept.get(at + 1).map(|(_, next)| (record_at(at + 1, next), next.end()));
            let place = record_at(at, new);
            patches.push(self.record(frame.start, place, old, new, next)?);
        }
        Ok(patches)
    }

    /// One extended boot record at the byte `place`: the partition as it lies from the record, and the
    /// `next` record, up to the end of its partition, as it lies from the start of the extended partition.
    fn record(
        &self,
        frame: u64,
        place: u64,
        old: &Partition,
        new: &Position,
        next: Option<(u64, u64)>,
    ) -> Result<Patch, TableError> {
        let mut bytes = vec![0; usize::try_from(self.sector).unwrap_or_default()];
        let mut entry = [0; ENTRY];
        set(&mut entry, 0, &[if old.bootable { 0x80 } else { 0 }]);
        set(&mut entry, TYPE, &[type_byte(old)]);
        self.set_place(&mut entry, place, new.start, new.size)?;
        set(&mut bytes, ENTRIES, &entry);
        if let Some((start, end)) = next {
            let mut link = [0; ENTRY];
            set(&mut link, TYPE, &[LINK]);
            self.set_place(&mut link, frame, start, end.saturating_sub(start))?;
            set(&mut bytes, ENTRIES + ENTRY, &link);
        }
        set(&mut bytes, 510, &[0x55, 0xaa]);
        Ok(Patch { offset: place, bytes, what: "extended boot records" })
    }
}

fn type_byte(partition: &Partition) -> u8 {
    let digits = partition.type_id.strip_prefix("0x").unwrap_or_default();
    u8::from_str_radix(digits, 16).unwrap_or_default()
}
