//! Apple HFS+ and HFSX, also those in an HFS wrapper.
//!
//! Source: Apple Technical Note TN1150.

mod bitmap;
mod catalog;
mod files;
mod header;
mod journal;
mod record;
mod tree;

use std::io;

use self::catalog::Catalog;
use self::header::Header;
use self::journal::Journal;
use crate::bytes::{Extents, ReadAt, Window};
use crate::volume::owners::Tally;
use crate::volume::probe::read;
use crate::volume::{Coverage, Doubt, Filesystem, Format, Map, OpenFiles, Scrutiny, State, walk};

/// What makes changed bytes pass the comparison with the alternate header.
#[cfg(any(test, fuzzing))]
pub(crate) fn seal(volume: &dyn ReadAt) -> Vec<(u64, Vec<u8>)> {
    let header = volume.read_vec(header::AT, header::LEN);
    let at = volume.size().saturating_sub(header::AT);
    header.map(|header| (at, header)).into_iter().collect()
}

/// The reader.
pub(crate) struct HfsPlus;

impl Format for HfsPlus {
    fn probe(&self, volume: &dyn ReadAt) -> io::Result<Option<Filesystem>> {
        Ok(open(volume)?.map(|(_, inner, header)| {
            let label = Catalog::open(&inner, &header).and_then(|mut it| it.volume_name());
            Filesystem { label, ..header.describe() }
        }))
    }

    fn map(&self, volume: &dyn ReadAt, found: &mut Filesystem) -> Result<Map, Doubt> {
        let opened = open(volume).map_err(Doubt::reading("the volume header"))?;
        let (start, inner, header) =
            opened.ok_or_else(|| Doubt::because("the volume header has changed meanwhile"))?;
        header.check(inner.size())?;
        let warnings = header.check_alternate(&inner)?;
        let mut places = vec![(0, header::AT.saturating_add(header::LEN as u64))];
        if header.is_journaled() {
            let journal = Journal::read(&inner, &header)?;
            if journal.is_open {
                let words = "its journal holds changes that were not written back";
                found.state = State::Dirty(words.into());
            }
            places.extend(journal.places);
        }
        if found.state != State::Clean {
            let words = "the bitmap of a volume that was not closed may be out of date";
            return Err(Doubt::because(words));
        }
        let used = bitmap::used(&inner, &header)?;
        bitmap::check(&header, &used, &places)?;
        // The alternate header lies in the last blocks or, where the size is no multiple of a
        // block, behind them.
        let end = header.block(header.blocks);
        let tail = start.saturating_add(end.saturating_sub(header::AT));
        let mut edges = Extents::of(0, start);
        edges.push(tail, volume.size());
        let used = edges.union(&used.shifted(start));
        Ok(Map { coverage: Coverage::Used, used, minimum_size: None, warnings })
    }

    fn owners(&self, volume: &dyn ReadAt, tally: &mut Tally<'_>) -> Result<(), Doubt> {
        let files = files::Files::open(volume, Scrutiny::Lenient)?;
        let (own, is_all) = files.own();
        own.into_iter().for_each(|own| tally.metadata(own.start, own.end));
        walk::find(&files, tally)?;
        if is_all {
            return Ok(());
        }
        Err(Doubt::because("some of the records of its files could not be read"))
    }

    fn files<'a>(&self, volume: &'a dyn ReadAt, scrutiny: Scrutiny) -> OpenFiles<'a> {
        Ok(Box::new(files::Files::open(volume, scrutiny)?))
    }
}

/// Where the volume starts, the volume, and its header.
fn open(volume: &dyn ReadAt) -> io::Result<Option<(u64, Window<'_>, Header)>> {
    let Some(block) = read(volume, header::AT, header::LEN)? else { return Ok(None) };
    let Some((start, inner)) = header::embedded(volume, &block) else { return Ok(None) };
    let block = if start == 0 { Some(block) } else { read(&inner, header::AT, header::LEN)? };
    Ok(block.and_then(|block| Header::parse(&block)).map(|header| (start, inner, header)))
}
