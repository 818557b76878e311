//! What there is on a volume, by its folders.

use super::super::LIST_READS;
use super::super::boot_region::{BootSector, Layout};
use super::super::directory::{self, END, ENTRY, FILE, Item, SECONDARY, is_strange};
use super::super::fat::{Fat, Length, Place, Run};
use super::FIRST_CLUSTER;
use crate::bytes::ReadAt;
use crate::filesystem::space::Bits;
use crate::volume::Doubt;
use crate::volume::probe::byte;

/// More folders, and more runs of what moves, are not remembered.
const MOST_FOLDERS: usize = 1 << 20;
const MOST_RUNS: usize = 1 << 22;

/// What an object is besides a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// The root directory: the boot sector tells where it is.
    Root,
    /// The allocation bitmap.
    Bitmap,
    /// A table, a file, or a folder.
    Other,
}

/// Something in clusters that moves, or changes its length.
pub(super) struct Object {
    pub(super) what: What,
    /// The folder with its entries, by its number.
    pub(super) parent: usize,
    /// Where in that the entry is that tells its place, and the first of the file's entries if it is a file's.
    pub(super) at: usize,
    pub(super) set: Option<usize>,
    /// Its own number where it is a folder.
    pub(super) folder: Option<usize>,
    /// Whether the FAT tells nothing of its clusters.
    pub(super) contiguous: bool,
    pub(super) runs: Vec<Run>,
}

/// All of a volume.
pub(super) struct Survey {
    /// Clusters before the new end that something has.
    pub(super) taken: Bits,
    /// Where each folder lies.
    pub(super) folders: Vec<Vec<Run>>,
    /// What has clusters behind the new end, and the allocation bitmap.
    pub(super) objects: Vec<Object>,
}

/// A survey that is made.
struct Surveyor<'a> {
    fat: Fat<'a>,
    cut: &'a Layout,
    /// All clusters, before and behind the new end.
    all: Bits,
    survey: Survey,
    /// Places of the folders.
    places: Vec<Place>,
    runs: usize,
}

impl Survey {
    pub(super) fn of(volume: &dyn ReadAt, boot: &BootSector, cut: &Layout) -> Result<Self, Doubt> {
        let bits = |count: u32| {
            let many = || Doubt::because("it has too many clusters");
            Bits::free(count.into()).ok_or_else(many)
        };
        let taken = bits(cut.clusters)?;
        let mut surveyor = Surveyor {
            fat: Fat::new(volume, boot, LIST_READS),
            cut,
            all: bits(boot.layout.clusters)?,
            survey: Self { taken, folders: Vec::new(), objects: Vec::new() },
            places: Vec::new(),
            runs: 0,
        };
        let root = directory::root(&boot.layout);
        surveyor.add(What::Root, 0, (0, None), root, true)?;
        let mut number = 0;
        while let Some(place) = surveyor.places.get(number).copied() {
            surveyor.look_into(number, place)?;
            number += 1;
        }
        let bitmaps = surveyor.survey.objects.iter().filter(|it| it.what == What::Bitmap).count();
        if bitmaps != 1 {
            return Err(Doubt::because("it has no allocation bitmap, or several"));
        }
        Ok(surveyor.survey)
    }
}

impl Surveyor<'_> {
    fn look_into(&mut self, number: usize, place: Place) -> Result<(), Doubt> {
        let (bytes, is_all) = directory::content(&mut self.fat, place);
        if !is_all {
            return Err(Doubt::because("a folder cannot all be read"));
        }
        let (mut attributes, mut set) = (None, None);
        for (at, entry) in (0..).step_by(ENTRY).zip(bytes.chunks_exact(ENTRY)) {
            match byte(entry, 0) {
                Some(END) => break,
                Some(FILE) => set = Some(at),
                _ if is_strange(entry) => {
                    let words =
                        "it has entries of a kind that is not known, which may have clusters";
                    return Err(Doubt::because(words));
                }
                _ => {}
            }
            let item = directory::item(&self.fat, entry, &mut attributes)?;
            let belongs = byte(entry, 0).is_some_and(|kind| kind & SECONDARY != 0);
            let found = (at, set.filter(|_| belongs && attributes.is_some()));
            match item {
                None | Some(Item::Label(_)) => {}
                Some(Item::Clusters(place)) => {
                    self.add(What::Other, number, found, place, false)?
                }
                Some(Item::Directory(place)) => {
                    self.add(What::Other, number, found, place, true)?
                }
                Some(Item::Bitmap { first, size, .. }) => {
                    let count = self.fat.boot.layout.clusters_of(size).unwrap_or(0).max(1);
                    let length = Length::Exactly(count);
                    let place = Place { first, length, contiguous: false };
                    self.add(What::Bitmap, number, found, place, false)?;
                }
            }
        }
        Ok(())
    }

    /// Marks the clusters of something, and keeps what has to be changed.
    fn add(
        &mut self,
        what: What,
        parent: usize,
        (at, set): (usize, Option<usize>),
        place: Place,
        is_folder: bool,
    ) -> Result<(), Doubt> {
        let (mut runs, mut is_alone) = (Vec::new(), true);
        let (all, taken) = (&mut self.all, &mut self.survey.taken);
        self.fat.runs(place, |_, run| {
            let first = u64::from(run.first - FIRST_CLUSTER);
            let end = first + u64::from(run.count);
            is_alone &= all.take(first, end);
            taken.take(first, end);
            runs.push(run);
            Ok(())
        })?;
        if !is_alone {
            let words = format!("clusters from {} on are another file's too", place.first);
            return Err(Doubt::because(words));
        }
        let end = self.cut.clusters + FIRST_CLUSTER;
        let is_behind = runs.iter().any(|run| run.first + run.count > end);
        let folder = is_folder.then_some(self.places.len());
        if is_folder {
            self.places.push(place);
            self.survey.folders.push(runs.clone());
            self.runs += runs.len();
        }
        if is_behind || what == What::Bitmap {
            self.runs += runs.len();
            let contiguous = place.contiguous;
            let object = Object { what, parent, at, set, folder, contiguous, runs };
            self.survey.objects.push(object);
        }
        if self.runs > MOST_RUNS || self.places.len() > MOST_FOLDERS {
            return Err(Doubt::because("its folders, or their pieces, are too many"));
        }
        Ok(())
    }
}
