//! Linux swap space: only its header is worth storing, unless a hibernated system lies in it.
//!
//! Sources: Linux `include/linux/swap.h`, `union swap_header`; hibernation signatures from
//! `kernel/power/swap.c` and libblkid `superblocks/swap.c`.

use std::io;

use crate::bytes::{Extents, ReadAt, be32, le32, slice};
use crate::volume::probe::{has, piece, read};
use crate::volume::{Coverage, Doubt, Filesystem, Format, Kind, Map, State, text};

/// The signature ends a page, and the page size is the machine's that made it.
const PAGE_SIZES: [u32; 5] = [4096, 8192, 16384, 32768, 65536];

/// Where `union swap_header` has version, last page, count of bad pages, padding and their list.
const VERSION: usize = 1024;
const LAST_PAGE: usize = 1028;
const BAD_PAGES_COUNT: usize = 1032;
const PADDING: usize = 1068;
const BAD_PAGES: usize = 1536;

/// The signatures' length.
const SIGNATURE: usize = 10;

/// Signatures that stand in the place of swap's own while a system is hibernated.
const HIBERNATION: [&[u8]; 4] = [b"S1SUSPEND", b"S2SUSPEND", b"ULSUSPEND", b"LINHIB0001"];

/// TuxOnIce writes this at the very start.
const TUX_ON_ICE: &[u8] = &[0xed, 0xc3, 0x02, 0xe9, 0x98, 0x56, 0xe5, 0x0c];

/// The kernel refuses smaller ones (`mkswap`: "needs to be at least 10 pages").
const MINIMUM_PAGES: u64 = 10;

/// The reader.
pub(crate) struct Swap;

impl Format for Swap {
    fn probe(&self, volume: &dyn ReadAt) -> io::Result<Option<Filesystem>> {
        for page_size in PAGE_SIZES {
            let Some(page) = read(volume, 0, page_size as usize)? else { break };
            if let Some(found) = parse(&page, page_size, volume.size()) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn map(&self, volume: &dyn ReadAt, found: &mut Filesystem) -> Result<Map, Doubt> {
        let page = u64::from(found.block_size);
        match found.state {
            State::Hibernated(_) => {
                Err(Doubt::because("the swap space holds the memory of a hibernated system"))
            }
            _ => {
                let header = read(volume, 0, found.block_size as usize);
                let header = header.map_err(Doubt::reading("its header"))?;
                let header = Header { bytes: &header.unwrap_or_default(), page };
                let size = header.check(volume.size())?;
                let mut used = Extents::of(0, page);
                used.push(size, volume.size());
                Ok(Map {
                    coverage: Coverage::HeaderOnly,
                    used,
                    minimum_size: page.checked_mul(MINIMUM_PAGES),
                    warnings: Vec::new(),
                })
            }
        }
    }
}

/// The header of a swap space by which nothing but the header is stored. A signature alone says
/// little: it outlasts the swap space below filesystems that leave the first sectors to boot code.
struct Header<'a> {
    bytes: &'a [u8],
    page: u64,
}

impl Header<'_> {
    /// Bytes of the swap space, on a volume of `volume_size` bytes that it has to fit.
    fn check(&self, volume_size: u64) -> Result<u64, Doubt> {
        let number = order(self.bytes).ok_or_else(|| Doubt::because("its version is unknown"))?;
        let last = u64::from(number(self.bytes, LAST_PAGE).unwrap_or(0));
        let pages = last.saturating_add(1);
        let size = pages.saturating_mul(self.page);
        if size > volume_size {
            return Err(Doubt::larger(Kind::Swap, size, volume_size));
        }
        if pages < MINIMUM_PAGES {
            return Err(Doubt::because("it is smaller than a swap space can be"));
        }
        self.check_bad_pages(last, number)
            .ok_or_else(|| Doubt::because("its header holds what is not a swap space's"))?;
        Ok(size)
    }

    /// The list of bad pages holds as many as its count says, all behind the header and in the space,
    /// and nothing else stands in the header (`mkswap` writes zeros).
    fn check_bad_pages(&self, last: u64, number: Number) -> Option<()> {
        let count = usize::try_from(number(self.bytes, BAD_PAGES_COUNT)?).ok()?;
        let list = slice(self.bytes, BAD_PAGES, count.checked_mul(4)?)?;
        let is_page = |entry: &[u8]| {
            number(entry, 0).is_some_and(|page| (1..=last).contains(&u64::from(page)))
        };
        let end = self.bytes.len().checked_sub(SIGNATURE)?;
        let rest = self.bytes.get(BAD_PAGES.checked_add(list.len())?..end)?;
        let padding = self.bytes.get(PADDING..BAD_PAGES)?;
        let blank = rest.iter().chain(padding).all(|byte| *byte == 0);
        (blank && list.chunks(4).all(is_page)).then_some(())
    }
}

/// Reads a number of four bytes.
type Number = fn(&[u8], usize) -> Option<u32>;

/// The byte order of the machine that made the header, which is its own; `None` for an unknown
/// version.
fn order(header: &[u8]) -> Option<Number> {
    let orders: [Number; 2] = [le32, be32];
    orders.into_iter().find(|number| number(header, VERSION) == Some(1))
}

fn parse(page: &[u8], page_size: u32, volume_size: u64) -> Option<Filesystem> {
    let signature = slice(page, page.len().checked_sub(SIGNATURE)?, SIGNATURE)?;
    let hibernated =
        HIBERNATION.iter().any(|magic| signature.starts_with(magic)) || has(page, 0, TUX_ON_ICE);
    let version_1 = signature == b"SWAPSPACE2";
    if !hibernated && !version_1 && signature != b"SWAP-SPACE" {
        return None;
    }
    let pages = order(page).and_then(|number| number(page, LAST_PAGE)).map(u64::from);
    let size = pages.and_then(|last| last.checked_add(1)?.checked_mul(page_size.into()));
    let labelled = version_1 || hibernated;
    Some(Filesystem {
        kind: Kind::Swap,
        label: if labelled { text::label(slice(page, 1052, 16)?) } else { None },
        uuid: if labelled { text::uuid(piece(page, 1036)?) } else { None },
        size: size.unwrap_or(volume_size),
        block_size: page_size,
        used: None,
        last_use: None,
        state: if hibernated {
            State::Hibernated("its memory image lies in the swap space".into())
        } else {
            State::Clean
        },
    })
}
