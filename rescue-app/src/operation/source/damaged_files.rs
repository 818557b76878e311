//! Which files bad sectors cost.

use std::io;

use crate::bytes::{Extent, Extents, ReadAt, Window};
use crate::image::damage::{BadRange, Damage, DamagedFile};
use crate::image::manifest::{Region, Stored};
use crate::inspect;

use crate::transfer::Medium;

/// Files named at most.
const MOST_FILES: usize = 1000;

/// Names the files that lie in what could not be read.
pub(in crate::operation) fn find(
    medium: &dyn Medium,
    regions: &[Region],
    ranges: Vec<BadRange>,
) -> Damage {
    let mut damage = Damage { ranges, ..Damage::default() };
    let bad = damage.bytes();
    let survivors = Survivors { medium, bad: &bad };
    for region in regions {
        let hit = bad.intersection(&region.used);
        if !hit.is_empty() {
            look_up(&survivors, region, &hit, &mut damage);
        }
    }
    damage
}

fn look_up(survivors: &Survivors<'_>, region: &Region, hit: &Extents, damage: &mut Damage) {
    let partition = region.partition;
    let place = partition.map_or_else(|| "disk".to_owned(), |n| format!("partition {n}"));
    if partition.is_none() && region.filesystem.is_none() {
        let bytes = hit.total();
        let note = format!("{bytes} bytes that could not be read lie outside all filesystems");
        damage.notes.push(note);
        return;
    }
    let hit: Vec<(u64, u64)> = hit.iter().map(|e| (e.start - region.start, e.len())).collect();
    let volume = Window::new(survivors, region.start, region.size);
    let owners = inspect::owners(&volume, &Extents::from(hit));
    let room = MOST_FILES.saturating_sub(damage.files.len());
    damage.more_files += owners.more + owners.files.len().saturating_sub(room) as u64;
    damage.files.extend(owners.files.into_iter().take(room).map(|owner| DamagedFile {
        partition,
        path: owner.path,
        bytes: owner.bytes,
    }));
    if owners.metadata > 0 {
        damage.notes.push(format!(
            "{place}: {} bytes of the filesystem's own records could not be read; after a restore \
             have it checked by its own tool before it is used",
            owners.metadata
        ));
    }
    if let Some(why) = owners.note.filter(|_| region.stored != Stored::Header) {
        damage.notes.push(format!("{place}: damaged files are not known: {why}"));
    }
}

/// The disk with zeros where it is known to be bad, which is not asked for again.
struct Survivors<'a> {
    medium: &'a dyn Medium,
    bad: &'a Extents,
}

/// The page cache reads whole pages, and fails for all of one.
const PAGE: u64 = 4096;

impl ReadAt for Survivors<'_> {
    fn size(&self) -> u64 {
        self.medium.size()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let end = offset.saturating_add(buf.len() as u64);
        let pages = Extent { start: offset / PAGE * PAGE, end: end.next_multiple_of(PAGE) };
        if self.bad.within(pages.start, pages.end).next().is_none() {
            return self.medium.read(offset, buf);
        }
        buf.fill(0);
        for good in self.bad.gaps_within(offset, end).iter() {
            let from = usize::try_from(good.start - offset).unwrap_or(usize::MAX);
            let to = usize::try_from(good.end - offset).unwrap_or(usize::MAX);
            let part = buf.get_mut(from..to).ok_or(io::ErrorKind::InvalidInput)?;
            self.medium.read_exactly(good.start, part)?;
        }
        Ok(())
    }
}
