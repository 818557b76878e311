//! The volumes of one disk, for what is spread over several of them.

use std::sync::OnceLock;

use super::layout::{self, Span};
use crate::bytes::{ReadAt, Window};
use crate::inspect;
use crate::table::{Purpose, Scheme, Table};
use crate::volume::{Companions, Kind};

/// The partitions of a disk that are volumes, or the disk as a whole when it has no table. What they
/// hold is read when it is first asked for.
pub struct DiskVolumes<D> {
    disk: D,
    spans: Vec<Span>,
    kinds: OnceLock<Vec<Option<Kind>>>,
}

impl<D: ReadAt> DiskVolumes<D> {
    /// The volumes of `disk` by its `table`.
    pub fn new(disk: D, table: &Table) -> Self {
        let mut spans = layout::spans(disk.size(), table);
        spans.retain(|span| span.partition.is_some() || table.scheme == Scheme::None);
        spans.retain(|span| span.purpose == Purpose::Volume);
        Self { disk, spans, kinds: OnceLock::new() }
    }

    fn window(&self, span: &Span) -> Window<'_> {
        Window::new(&self.disk, span.start, span.size)
    }

    fn kind(&self, span: &Span) -> Option<Kind> {
        inspect::recognise(&self.window(span)).ok().flatten().map(|found| found.kind)
    }
}

impl<D: ReadAt> Companions for DiskVolumes<D> {
    fn of_kind(&self, kind: Kind) -> Vec<Window<'_>> {
        let kinds =
            self.kinds.get_or_init(|| self.spans.iter().map(|span| self.kind(span)).collect());
        let wanted = self.spans.iter().zip(kinds).filter(|(_, found)| **found == Some(kind));
        wanted.map(|(span, _)| self.window(span)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table;

    #[test]
    fn only_volumes_of_the_kind_are_given() {
        let mut disk = vec![0; 1 << 20];
        // Two partitions in an MBR; swap space in the second and in the gap before the first.
        disk[446..462].copy_from_slice(&[0, 0, 0, 0, 0x83, 0, 0, 0, 64, 0, 0, 0, 64, 0, 0, 0]);
        disk[462..478].copy_from_slice(&[0, 0, 0, 0, 0x82, 0, 0, 0, 128, 0, 0, 0, 64, 0, 0, 0]);
        disk[510..512].copy_from_slice(&[0x55, 0xaa]);
        for start in [0, 128 * 512] {
            disk[start + 1024..start + 1028].copy_from_slice(&1u32.to_le_bytes());
            disk[start + 1028..start + 1032].copy_from_slice(&7u32.to_le_bytes());
            disk[start + 4086..start + 4096].copy_from_slice(b"SWAPSPACE2");
        }
        let table = table::read(&disk, 512).unwrap();
        let volumes = DiskVolumes::new(&disk, &table);
        let swap = volumes.of_kind(Kind::Swap);
        assert_eq!(swap.len(), 1);
        assert_eq!(swap[0].read_vec(0, 8192).unwrap(), disk[128 * 512..128 * 512 + 8192]);
        assert!(volumes.of_kind(Kind::Btrfs).is_empty());
    }
}
