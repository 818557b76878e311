//! Linux swap space: only its header is worth storing, unless a hibernated system lies in it.
//!
//! Sources: Linux `include/linux/swap.h`, `union swap_header`; hibernation signatures from
//! `kernel/power/swap.c` and libblkid `superblocks/swap.c`.

use std::io;

use super::format::{Doubt, Format, Map};
use super::probe::{has, piece, read};
use super::{Coverage, Filesystem, Kind, State, text};
use crate::bytes::{Extents, ReadAt, le32, slice};

/// The signature ends a page, and the page size is the machine's that made it.
const PAGE_SIZES: [u32; 5] = [4096, 8192, 16384, 32768, 65536];

/// The signatures' length.
const SIGNATURE: usize = 10;

/// Signatures that stand in the place of swap's own while a system is hibernated.
const HIBERNATION: [&[u8]; 4] = [b"S1SUSPEND", b"S2SUSPEND", b"ULSUSPEND", b"LINHIB0001"];

/// TuxOnIce writes this at the very start.
const TUX_ON_ICE: &[u8] = &[0xed, 0xc3, 0x02, 0xe9, 0x98, 0x56, 0xe5, 0x0c];

/// The kernel refuses smaller ones (`mkswap`: "needs to be at least 10 pages").
const MINIMUM_PAGES: u64 = 10;

/// The reader.
pub(super) struct Swap;

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
            _ if page > volume.size() => Err(Doubt::because("smaller than its header")),
            _ => Ok(Map {
                coverage: Coverage::HeaderOnly,
                used: Extents::of(0, page),
                minimum_size: page.checked_mul(MINIMUM_PAGES),
                warnings: Vec::new(),
            }),
        }
    }
}

fn parse(page: &[u8], page_size: u32, volume_size: u64) -> Option<Filesystem> {
    let signature = slice(page, page.len().checked_sub(SIGNATURE)?, SIGNATURE)?;
    let hibernated =
        HIBERNATION.iter().any(|magic| signature.starts_with(magic)) || has(page, 0, TUX_ON_ICE);
    let version_1 = signature == b"SWAPSPACE2";
    if !hibernated && !version_1 && signature != b"SWAP-SPACE" {
        return None;
    }
    let pages = le32(page, 1028).filter(|_| le32(page, 1024) == Some(1)).map(u64::from);
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
