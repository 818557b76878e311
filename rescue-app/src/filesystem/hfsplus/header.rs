//! The volume header, and where an HFS wrapper hides it.
//!
//! Source: Apple Technical Note TN1150, "Volume Header", "Fork Data Structure", "HFS Wrapper".

use md5::{Digest, Md5};

use crate::bytes::{ReadAt, Window, be16, be32, be64, slice};
use crate::volume::probe::has;
use crate::volume::{Doubt, Filesystem, Kind, LastUse, State, text, times};

/// Where the header is, and its length; the alternate header lies as far from the end.
pub(super) const AT: u64 = 1024;
pub(super) const LEN: usize = 512;
/// Extents of a fork that its owner holds; more are in the extents overflow file.
const EXTENTS: usize = 8;
/// Where the header has its five forks, that of the allocation file first, and their length.
const FORKS: usize = 112;
const FORK_LEN: usize = 80;
/// Bits of the volume attributes.
mod attribute {
    /// Unmounted properly.
    pub(super) const UNMOUNTED: u32 = 1 << 8;
    /// Boot volume inconsistent, and its later sibling: a check has to come first.
    pub(super) const INCONSISTENT: u32 = 1 << 11 | 1 << 14;
    /// Has a journal.
    pub(super) const JOURNALED: u32 = 1 << 13;
    /// Those that are defined: 7 to 15, and in Apple's later sources expanded times, content
    /// protection and the fix of unused nodes. None changes what the bitmap means.
    pub(super) const KNOWN: u32 = 0xe000_ff80;
}

/// A run of allocation blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// The first block.
    pub(super) start: u32,
    /// How many.
    pub(super) count: u32,
}

impl Run {
    /// The eight runs of an extent record, without the empty ones.
    pub(super) fn all(bytes: &[u8]) -> Option<Vec<Self>> {
        let run =
            |at| Some(Self { start: be32(bytes, at)?, count: be32(bytes, at.checked_add(4)?)? });
        let runs = (0..EXTENTS).map(|index| run(index.checked_mul(8)?));
        let mut runs = runs.collect::<Option<Vec<Self>>>()?;
        runs.retain(|run| run.count != 0);
        Some(runs)
    }
}

/// A file's content as the header describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fork {
    /// Bytes.
    pub(super) size: u64,
    /// Allocation blocks of it.
    pub(super) blocks: u32,
    /// Its first runs.
    pub(super) runs: Vec<Run>,
}

/// The volume header.
#[derive(Clone, Debug)]
pub(super) struct Header {
    attributes: u32,
    last_use: Option<LastUse>,
    uuid: Option<String>,
    /// Block of the journal info block.
    pub(super) journal_info: u32,
    /// Bytes of an allocation block.
    pub(super) block_size: u32,
    /// Allocation blocks of the volume.
    pub(super) blocks: u32,
    /// Those not in use.
    pub(super) free: u32,
    /// Allocation, extents overflow, catalog, attributes and startup file.
    forks: Vec<Fork>,
}

impl Header {
    /// `None` when this is neither HFS+ nor HFSX.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let version = be16(bytes, 2)?;
        let block_size = be32(bytes, 40)?;
        let sane = (has(bytes, 0, b"H+") && version == 4 || has(bytes, 0, b"HX") && version == 5)
            && block_size.is_power_of_two()
            && block_size >= 512;
        if !sane {
            return None;
        }
        let forks = slice(bytes, FORKS, FORK_LEN.checked_mul(5)?)?;
        Some(Self {
            attributes: be32(bytes, 4)?,
            last_use: last_use(bytes),
            uuid: uuid(bytes),
            journal_info: be32(bytes, 12)?,
            block_size,
            blocks: be32(bytes, 44)?,
            free: be32(bytes, 48)?,
            forks: forks.chunks_exact(FORK_LEN).map(Fork::parse).collect::<Option<_>>()?,
        })
    }

    /// Bytes of the allocation blocks up to that one.
    pub(super) fn block(&self, number: u32) -> u64 {
        u64::from(number).saturating_mul(self.block_size.into())
    }

    /// Bytes of a run.
    pub(super) fn place(&self, run: Run) -> (u64, u64) {
        let start = self.block(run.start);
        (start, start.saturating_add(self.block(run.count)))
    }

    /// Whether it has a journal.
    pub(super) fn is_journaled(&self) -> bool {
        self.attributes & attribute::JOURNALED != 0
    }

    /// The common description.
    pub(super) fn describe(&self) -> Filesystem {
        let used = self.blocks.checked_sub(self.free);
        Filesystem {
            kind: Kind::HfsPlus,
            label: None,
            uuid: self.uuid.clone(),
            size: self.block(self.blocks),
            block_size: self.block_size,
            used: used.map(|used| self.block(used)),
            last_use: self.last_use.clone(),
            state: self.state(),
        }
    }

    fn state(&self) -> State {
        if self.attributes & attribute::INCONSISTENT != 0 {
            State::Dirty("marked inconsistent".into())
        } else if self.attributes & attribute::UNMOUNTED == 0 {
            State::Dirty("not marked as unmounted".into())
        } else {
            State::Clean
        }
    }

    /// Fails when an attribute is not understood or something lies outside the volume.
    pub(super) fn check(&self, volume_size: u64) -> Result<(), Doubt> {
        let unknown = self.attributes & !attribute::KNOWN;
        if unknown != 0 {
            return Err(Doubt::because(format!("it has unknown attributes {unknown:#x}")));
        }
        if self.block(self.blocks) > volume_size {
            return Err(Doubt::larger(Kind::HfsPlus, self.block(self.blocks), volume_size));
        }
        let inside =
            |run: &Run| run.start.checked_add(run.count).is_some_and(|end| end <= self.blocks);
        if self.free > self.blocks || !self.special_runs().all(|run| inside(&run)) {
            return Err(Doubt::because("its volume header makes no sense"));
        }
        Ok(())
    }

    /// The runs of the special files that the header tells.
    pub(super) fn special_runs(&self) -> impl Iterator<Item = Run> {
        self.forks.iter().flat_map(|fork| fork.runs.iter().copied())
    }

    /// The allocation file, when the header tells all of it.
    pub(super) fn allocation_file(&self) -> Result<&Fork, Doubt> {
        let fork =
            self.forks.first().filter(|fork| fork.size >= u64::from(self.blocks).div_ceil(8));
        let fork =
            fork.ok_or_else(|| Doubt::because("its allocation file is shorter than the volume"))?;
        if !fork.is_complete(self.block_size) {
            return Err(Doubt::because("its allocation file is in more than eight pieces"));
        }
        Ok(fork)
    }

    /// The catalog, when the header tells all of it.
    pub(super) fn catalog_file(&self) -> Option<&Fork> {
        self.forks.get(2).filter(|fork| fork.is_complete(self.block_size))
    }

    /// The list of further extents, when the header tells all of it.
    pub(super) fn extents_file(&self) -> Option<&Fork> {
        self.forks.get(1).filter(|fork| fork.is_complete(self.block_size))
    }

    /// The alternate header changes only with the size or the place of a special file.
    pub(super) fn check_alternate(&self, volume: &dyn ReadAt) -> Result<Vec<String>, Doubt> {
        let at = volume.size().saturating_sub(AT);
        let bytes = volume.read_vec(at, LEN).map_err(Doubt::reading("the alternate header"))?;
        let places =
            |header: &Self| (header.block_size, header.blocks, header.forks.first().cloned());
        match Self::parse(&bytes) {
            Some(other) if places(&other) != places(self) => Err(Doubt::because(
                "the volume header and the alternate one describe different layouts",
            )),
            Some(_) => Ok(Vec::new()),
            None => Ok(vec!["HFS+ has no alternate volume header at the end".into()]),
        }
    }
}

impl Fork {
    /// Bytes of its description.
    pub(super) const LEN: usize = FORK_LEN;

    /// `len` bytes from byte `at` of it; `None` where that is not all in the runs that are known.
    pub(super) fn read(
        &self,
        volume: &dyn ReadAt,
        header: &Header,
        at: u64,
        len: usize,
    ) -> Option<Vec<u8>> {
        let end = at.checked_add(len as u64)?;
        let (mut bytes, mut before) = (Vec::new(), 0u64);
        for &run in &self.runs {
            let (start, run_end) = header.place(run);
            let after = before.checked_add(run_end.checked_sub(start)?)?;
            let (from, to) = (before.max(at), after.min(end));
            if from < to {
                let place = start.checked_add(from.checked_sub(before)?)?;
                let len = usize::try_from(to.checked_sub(from)?).ok()?;
                bytes.extend(volume.read_vec(place, len).ok()?);
            }
            before = after;
        }
        (bytes.len() == len).then_some(bytes)
    }

    /// Reads its description.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let runs = Run::all(bytes.get(16..)?)?;
        Some(Self { size: be64(bytes, 0)?, blocks: be32(bytes, 12)?, runs })
    }

    fn is_complete(&self, block_size: u32) -> bool {
        let blocks = self.runs.iter().try_fold(0u32, |sum, run| sum.checked_add(run.count));
        let room = u64::from(self.blocks).saturating_mul(block_size.into());
        blocks == Some(self.blocks) && room >= self.size
    }
}

/// Last mounted version and modification date (GMT), of the sections "Volume Header" and "HFS Plus
/// Dates"; Linux signs as `HFSP_MOUNT_VERSION` (`fs/hfsplus/hfsplus_raw.h`).
fn last_use(bytes: &[u8]) -> Option<LastUse> {
    let by = match slice(bytes, 8, 4)? {
        b"8.10" => Some("Mac OS"),
        b"10.0" => Some("Mac OS X"),
        b"HFSJ" => Some("Mac OS X, with a journal"),
        b"H+Lx" => Some("Linux"),
        _ => None,
    };
    let seconds = be32(bytes, 20)?;
    let written = times::mac(seconds);
    LastUse { written, by: by.map(str::to_owned), ..LastUse::default() }.known()
}

/// What macOS and libblkid make of the last two words of `finderInfo`: a UUID of version 3, by the
/// MD5 of a name space (`kFSUUIDNamespaceSHA1` of Apple's `hfs.util`) and these eight bytes.
fn uuid(header: &[u8]) -> Option<String> {
    const NAME_SPACE: [u8; 16] = [
        0xb3, 0xe2, 0x0f, 0x39, 0xf2, 0x92, 0x11, 0xd6, 0x97, 0xa4, 0x00, 0x30, 0x65, 0x43, 0xec,
        0xac,
    ];
    let id = slice(header, 104, 8).filter(|id| id.iter().any(|byte| *byte != 0))?;
    let mut uuid: [u8; 16] = Md5::new().chain_update(NAME_SPACE).chain_update(id).finalize().into();
    let [_, _, _, _, _, _, version, _, variant, ..] = &mut uuid;
    *version = *version & 0x0f | 0x30;
    *variant = *variant & 0x3f | 0x80;
    text::uuid(uuid)
}

/// The HFS+ volume: all of it, or what an HFS volume around it embeds. `None` when there is none.
pub(super) fn embedded<'a>(volume: &'a dyn ReadAt, block: &[u8]) -> Option<(u64, Window<'a>)> {
    if !has(block, 0, b"BD") {
        return Some((0, Window::new(volume, 0, volume.size())));
    }
    if !has(block, 124, b"H+") {
        return None;
    }
    let unit = u64::from(be32(block, 20)?);
    let first = u64::from(be16(block, 28)?).checked_mul(512)?;
    let start = u64::from(be16(block, 126)?).checked_mul(unit)?.checked_add(first)?;
    let len = u64::from(be16(block, 128)?).checked_mul(unit)?;
    (start.checked_add(len)? <= volume.size()).then(|| (start, Window::new(volume, start, len)))
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapper_tells_where_the_volume_is() {
        let mut volume = vec![0u8; 100 << 10];
        let mut master = vec![0u8; LEN];
        assert_eq!(embedded(&volume, &master).unwrap().0, 0);
        master[..2].copy_from_slice(b"BD");
        assert!(embedded(&volume, &master).is_none(), "plain HFS");
        master[124..130].copy_from_slice(&[b'H', b'+', 0, 2, 0, 10]);
        master[20..24].copy_from_slice(&4096u32.to_be_bytes());
        master[29] = 4;
        let (start, window) = embedded(&volume, &master).unwrap();
        assert_eq!((start, window.size()), (2048 + 8192, 40960));
        volume.truncate(49 << 10);
        assert!(embedded(&volume, &master).is_none(), "reaches past the end");
    }

    #[test]
    fn forks_in_more_than_eight_pieces_are_not_complete() {
        let mut bytes = [0u8; FORK_LEN];
        bytes[6] = 0x20;
        bytes[15] = 3;
        bytes[19] = 7;
        bytes[23] = 3;
        let fork = Fork::parse(&bytes).unwrap();
        assert_eq!(fork.runs, [Run { start: 7, count: 3 }]);
        assert!(fork.is_complete(4096));
        assert!(!fork.is_complete(2048), "larger than its blocks");
        bytes[15] = 4;
        assert!(!Fork::parse(&bytes).unwrap().is_complete(4096));
    }
}
