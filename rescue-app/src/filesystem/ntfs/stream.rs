//! Values that lie in clusters: mapping pairs and reads through them.
//!
//! Source: libfsntfs, "Data runs".

use std::io;

use super::record::{Attribute, made};
use crate::bytes::{Extent, ReadAt, slice};
use crate::volume::runs::read_in_places;

/// More runs than this in one of the few streams read here is not believed.
const MOST_RUNS: usize = 1 << 20;

/// A run of clusters: where it starts in the stream, where on the volume, and how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) vcn: u64,
    /// `None` in a hole.
    pub(super) lcn: Option<u64>,
    pub(super) len: u64,
}

/// What is stored of what is compressed together.
pub(super) enum Stored {
    /// Zeros take no room.
    Nothing,
    /// The bytes themselves.
    Plain(Vec<u8>),
    /// Compressed ones, and what follows them in their last cluster.
    Compressed(Vec<u8>),
}

/// A non-resident value.
#[derive(Clone, Debug, Default)]
pub(super) struct Stream {
    runs: Vec<Run>,
    /// Bytes.
    pub(super) size: u64,
    initialised: u64,
    cluster_size: u64,
    clusters: u64,
    /// Whether it may be sparse or compressed.
    of_file: bool,
    /// Clusters that are compressed together, where they are.
    unit: Option<u64>,
}

impl Stream {
    /// A stream without runs on a volume of that many clusters.
    pub(super) fn new(cluster_size: u32, clusters: u64) -> Self {
        Self { cluster_size: cluster_size.into(), clusters, ..Self::default() }
    }

    /// The same for the content of a file, which may be sparse or compressed.
    pub(super) fn of_file(cluster_size: u32, clusters: u64) -> Self {
        Self { of_file: true, ..Self::new(cluster_size, clusters) }
    }

    /// Appends the runs of one piece of the attribute. Pieces come in ascending order and leave no
    /// gap; `None` when this one does not, or points outside the volume.
    pub(super) fn extend(&mut self, attribute: Attribute<'_>) -> Option<()> {
        let vcn = attribute.first_vcn()?;
        if vcn != self.end_vcn() || attribute.is_transformed() && !self.of_file {
            return None;
        }
        if vcn == 0 {
            let is_compressed = attribute.made() & made::COMPRESSION != 0;
            if is_compressed {
                self.unit = Some(1u64.checked_shl(attribute.compression_unit()?.into())?);
            }
            self.size = attribute.data_size()?;
            self.initialised = attribute.initialised_size()?.min(self.size);
        }
        let pieces = runs(attribute, self.clusters)?;
        // Holes of files may be larger than the volume.
        let fits = |run: &Run| run.lcn.is_some() || self.of_file || run.len <= self.clusters;
        if !pieces.iter().all(fits) || self.runs.len().saturating_add(pieces.len()) > MOST_RUNS {
            return None;
        }
        self.runs.extend(pieces);
        Some(())
    }

    /// One past the last virtual cluster described so far.
    pub(super) fn end_vcn(&self) -> u64 {
        self.runs.last().map_or(0, |run| run.vcn.saturating_add(run.len))
    }

    /// Whether the runs cover the whole value.
    pub(super) fn is_complete(&self) -> bool {
        let bytes = self.end_vcn().checked_mul(self.cluster_size);
        bytes.is_some_and(|bytes| bytes >= self.size)
    }

    /// Byte ranges of the volume that hold the value.
    pub(super) fn places(&self) -> impl Iterator<Item = (u64, u64)> {
        let bytes = |clusters: u64| clusters.saturating_mul(self.cluster_size);
        self.runs.iter().filter_map(move |run| {
            run.lcn.map(|lcn| (bytes(lcn), bytes(lcn.saturating_add(run.len))))
        })
    }

    /// The bytes of the value that lie in clusters, the first of each run, and those of the volume.
    pub(super) fn content_places(&self) -> impl Iterator<Item = (u64, Extent)> {
        let bytes = |clusters: u64| clusters.saturating_mul(self.cluster_size);
        self.runs.iter().filter_map(move |run| {
            let lcn = run.lcn?;
            let end = bytes(lcn.saturating_add(run.len));
            Some((bytes(run.vcn), Extent { start: bytes(lcn), end }))
        })
    }

    /// Fills `buf` from byte `at` of the value.
    pub(super) fn read(&self, volume: &dyn ReadAt, at: u64, buf: &mut [u8]) -> io::Result<()> {
        read_in_places(volume, self.size, |at| self.place(at), at, buf)
    }

    /// Bytes that are compressed together; `None` where nothing is.
    pub(super) fn unit(&self) -> Option<u64> {
        self.unit?.checked_mul(self.cluster_size)
    }

    /// What is stored of the piece that begins at byte `at` and is compressed as one: the clusters
    /// that it has, which are all of them when it could not be made smaller, and none when it is
    /// zeros.
    pub(super) fn stored(&self, volume: &dyn ReadAt, at: u64) -> io::Result<Stored> {
        let unit = self.unit.unwrap_or(1);
        let first = at.checked_div(self.cluster_size).unwrap_or(0);
        let end = first.saturating_add(unit);
        let mut bytes = Vec::new();
        let from = self.runs.partition_point(|run| run.vcn.saturating_add(run.len) <= first);
        for run in self.runs.iter().skip(from).take_while(|run| run.vcn < end) {
            let Some(lcn) = run.lcn else { continue };
            let start = run.vcn.max(first);
            let len = run.vcn.saturating_add(run.len).min(end).saturating_sub(start);
            let place = lcn.saturating_add(start.saturating_sub(run.vcn));
            let [place, len] = [place, len].map(|count| count.saturating_mul(self.cluster_size));
            let len = usize::try_from(len).map_err(|_| io::ErrorKind::InvalidData)?;
            bytes.extend(volume.read_vec(place, len)?);
        }
        let whole = unit.saturating_mul(self.cluster_size);
        let is_all = bytes.len() as u64 == whole;
        Ok(match bytes.is_empty() {
            true => Stored::Nothing,
            false if is_all => Stored::Plain(bytes),
            false => Stored::Compressed(bytes),
        })
    }

    /// Puts runs in the place of those that told of the same part of the value.
    pub(super) fn replace(&mut self, runs: &[Run]) {
        let (Some(first), Some(last)) = (runs.first(), runs.last()) else { return };
        let end = last.vcn.saturating_add(last.len);
        let from = self.runs.partition_point(|run| run.vcn < first.vcn);
        let to = self.runs.partition_point(|run| run.vcn < end);
        self.runs.splice(from..to, runs.iter().copied());
    }

    /// Where byte `at` of the value lies on the volume; `None` in a hole or behind its end.
    pub(super) fn on_volume(&self, at: u64) -> Option<u64> {
        self.place(at)?.0
    }

    /// Bytes from byte `at` on that were ever written.
    pub(super) fn initialised_from(&self, at: u64) -> u64 {
        self.initialised.saturating_sub(at)
    }

    /// Where byte `at` lies on the volume (`None` where it reads as zero), and how many bytes
    /// follow it there.
    fn place(&self, at: u64) -> Option<(Option<u64>, u64)> {
        if at >= self.initialised {
            return Some((None, self.size.checked_sub(at)?));
        }
        let vcn = at.checked_div(self.cluster_size)?;
        let index = self.runs.partition_point(|run| run.vcn <= vcn).checked_sub(1)?;
        let run = self.runs.get(index)?;
        let inside = at.checked_sub(run.vcn.checked_mul(self.cluster_size)?)?;
        let left = run.len.checked_mul(self.cluster_size)?.checked_sub(inside)?;
        let most = left.min(self.initialised.checked_sub(at)?);
        let offset = match run.lcn {
            None => None,
            Some(lcn) => Some(lcn.checked_mul(self.cluster_size)?.checked_add(inside)?),
        };
        (most != 0).then_some((offset, most))
    }
}

/// Where the clusters of one piece of an attribute lie, whatever was made of its content: first
/// cluster and number of each run, as far as they make sense. Nothing for a resident value.
pub(super) fn places(attribute: Attribute<'_>, clusters: u64) -> Vec<(u64, u64)> {
    let mut places = Vec::new();
    let mut lcn = 0i64;
    let mut pairs = attribute.mapping_pairs().unwrap_or_default();
    while let Some(Some((step, len, rest))) = next_pair(pairs) {
        pairs = rest;
        let Some(step) = step else { continue };
        lcn = lcn.saturating_add(step);
        let Some(start) = u64::try_from(lcn).ok() else { break };
        if start.checked_add(len).is_none_or(|end| end > clusters) {
            break;
        }
        places.push((start, len));
    }
    places
}

/// The runs of one piece of an attribute on a volume of so many clusters, those of `$Bad` aside; `None` when
/// they make no sense.
pub(super) fn runs(attribute: Attribute<'_>, clusters: u64) -> Option<Vec<Run>> {
    let mut vcn = attribute.first_vcn()?;
    let mut runs = Vec::new();
    let mut lcn = 0i64;
    let mut pairs = attribute.mapping_pairs()?;
    while let Some((step, len, rest)) = next_pair(pairs)? {
        pairs = rest;
        let start = match step {
            None => None,
            Some(step) => {
                lcn = lcn.checked_add(step)?;
                Some(u64::try_from(lcn).ok()?)
            }
        };
        let end = start.unwrap_or(0).checked_add(len)?;
        if len == 0 || start.is_some() && end > clusters {
            return None;
        }
        runs.push(Run { vcn, lcn: start, len });
        vcn = vcn.checked_add(len)?;
    }
    Some(runs)
}

/// The mapping pairs of runs.
pub(super) fn encode(runs: &[Run]) -> Vec<u8> {
    let mut pairs = Vec::new();
    let mut before = 0i64;
    for run in runs {
        let len = shortest(i64::try_from(run.len).unwrap_or(i64::MAX));
        let step = run.lcn.map(|lcn| {
            let lcn = i64::try_from(lcn).unwrap_or(i64::MAX);
            let step = lcn.wrapping_sub(before);
            before = lcn;
            shortest(step)
        });
        let step = step.unwrap_or_default();
        // Both are of one to eight bytes.
        pairs.push(u8::try_from(step.len() << 4 | len.len()).unwrap_or(0));
        pairs.extend_from_slice(&len);
        pairs.extend_from_slice(&step);
    }
    pairs.push(0);
    pairs
}

/// A number as the fewest bytes that [`signed`] reads as it.
fn shortest(number: i64) -> Vec<u8> {
    let bytes = number.to_le_bytes();
    let fits = |len: &usize| bytes.get(..*len).and_then(signed) == Some(number);
    let len = (1..8).find(fits).unwrap_or(8);
    bytes.get(..len).unwrap_or(&bytes).to_vec()
}

/// A step of the cluster number (`None` for a hole), a length, and what follows.
type Pair<'a> = (Option<i64>, u64, &'a [u8]);

/// The next mapping pair: `Some(None)` at the end, `None` when it makes no sense.
fn next_pair(pairs: &[u8]) -> Option<Option<Pair<'_>>> {
    let (&head, rest) = pairs.split_first()?;
    if head == 0 {
        return Some(None);
    }
    let (len_bytes, step_bytes) = (usize::from(head & 0xf), usize::from(head >> 4));
    let len = u64::try_from(signed(slice(rest, 0, len_bytes)?)?).ok()?;
    let step = match step_bytes {
        0 => None,
        _ => Some(signed(slice(rest, len_bytes, step_bytes)?)?),
    };
    let rest = rest.get(len_bytes.checked_add(step_bytes)?..)?;
    Some(Some((step, len, rest)))
}

/// A little-endian two's complement number of 1 to 8 bytes.
fn signed(bytes: &[u8]) -> Option<i64> {
    let last = bytes.last()?;
    let mut wide = if last & 0x80 == 0 { [0; 8] } else { [0xff; 8] };
    wide.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(i64::from_le_bytes(wide))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapping_pairs_are_as_short_as_windows_writes_them() {
        let run = |lcn, len| Run { vcn: 0, lcn, len };
        let runs = [run(Some(0x5634), 0x18), run(None, 5), run(Some(0x5633), 0x80)];
        let pairs = [0x21, 0x18, 0x34, 0x56, 0x01, 0x05, 0x12, 0x80, 0x00, 0xff, 0];
        assert_eq!(encode(&runs), pairs);
    }

    #[test]
    fn mapping_pairs_are_signed_and_variable() {
        assert_eq!(
            next_pair(&[0x21, 0x18, 0x34, 0x56, 0]),
            Some(Some((Some(0x5634), 0x18, &[0][..])))
        );
        assert_eq!(next_pair(&[0x11, 0x05, 0xff]), Some(Some((Some(-1), 5, &[][..]))));
        assert_eq!(next_pair(&[0x01, 0x05]), Some(Some((None, 5, &[][..]))));
        assert_eq!(next_pair(&[0]), Some(None));
        assert_eq!(next_pair(&[0x21, 0x18]), None);
        assert_eq!(next_pair(&[0x11, 0x80, 1]), None, "a negative length");
        assert_eq!(next_pair(&[0x9f, 1, 1]), None);
        assert_eq!(next_pair(&[]), None);
    }
}
