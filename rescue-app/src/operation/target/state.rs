//! The target of a restore as it is: what is on it as far as any reading goes, and whether it was
//! looked at and found blank.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::bytes::{self, Extent, Extents, ReadAt, Window};
use crate::disk::{Agreement, Disk, DiskKind, Source, Transport};
use crate::image::chunks::MIB;
use crate::image::manifest::Manifest;
use crate::image::marker::{self, Marker};
use crate::operation::consent::Words;
use crate::operation::error::OperationError;
use crate::operation::format::size as human;
use crate::operation::survey::{Survey, survey_disk};
use crate::signature::{self, Signature};
use crate::table::{Scheme, Table};
use crate::virtual_disk::Format;
use crate::volume::Filesystem;

use super::request::TargetRequest;
use super::virtual_disk::{self, VirtualDisk};

/// How many places between the ends of a volume are looked at for whether it is blank, and how many
/// bytes of each.
const SAMPLES: u64 = 64;
const SAMPLE_LEN: usize = 4096;

/// What is said of a volume on which nothing was found.
pub(in crate::operation) const EMPTY: &str = "empty";

/// A stretch of the target that holds something.
pub(in crate::operation) struct Held {
    /// Partition number, if it is one.
    pub(in crate::operation) number: Option<u32>,
    /// Where it lies on the target.
    pub(in crate::operation) place: Extent,
    /// "ext4 root, 2.5 GiB used", "data of unknown kind".
    pub(in crate::operation) text: String,
}

/// The target as it is.
pub(in crate::operation) struct TargetState {
    /// The disk, its table and its volumes.
    pub(in crate::operation) survey: Survey,
    /// Open for reading; `None` for a file that does not exist yet.
    pub(in crate::operation) source: Option<Arc<Source>>,
    /// What a person agrees to with the plan.
    pub(in crate::operation) agreement: Agreement,
    /// What is on it.
    pub(in crate::operation) held: Vec<Held>,
    /// Whether it was looked at and nothing was found: no signature, no table, both ends and samples
    /// in between zero.
    pub(in crate::operation) blank: bool,
    /// The file that it will be, if that is no plain disk.
    pub(in crate::operation) virtual_disk: Option<VirtualDisk>,
}

impl TargetState {
    /// Looks at the target that a request names. A file that does not exist yet is as it will be
    /// created: for something of `size` bytes.
    pub(in crate::operation) fn find(
        request: &TargetRequest,
        manifest: &Manifest,
        size: u64,
    ) -> Result<Self, OperationError> {
        let path = &request.disk;
        if request.format != Format::Raw {
            return virtual_disk::find(request, manifest, size);
        }
        if request.creates_file() {
            return new_file(request, manifest, size);
        }
        let sector_size =
            request.sector_size.or_else(|| path.is_file().then_some(manifest.disk.logical_sector));
        let survey = survey_disk(path, sector_size)?;
        refuse_other_size(request, &survey.disk)?;
        let source = Source::open(&survey.disk.path)?;
        let agreement = Agreement::on(&survey.disk, &source)?;
        let (held, blank) = look(&survey, &source);
        let source = Some(Arc::new(source));
        Ok(Self { survey, source, agreement, held, blank, virtual_disk: None })
    }

    /// Whether the target is a file that does not exist yet.
    pub(in crate::operation) fn is_new(&self) -> bool {
        self.source.is_none()
    }

    /// Whether the note of a restore that did not finish is `own`: at the start of the disk, or of one
    /// of its partitions.
    pub(in crate::operation) fn begun(&self, own: impl Fn(&Marker) -> bool) -> bool {
        let Some(source) = self.source.as_deref() else { return false };
        let partitions = self.survey.table.data_partitions();
        let mut starts = std::iter::once(0).chain(partitions.map(|it| it.start));
        starts.any(|at| {
            let volume = Window::new(source, at, source.size());
            marker::read(&volume).is_some_and(|found| own(&found))
        })
    }

    /// Whether nothing at all is in the stretch.
    pub(in crate::operation) fn is_blank_at(&self, place: Extent) -> bool {
        let source = self.source.as_deref();
        source.is_none_or(|source| is_blank(&Window::new(source, place.start, place.len())))
    }

    /// The signatures in a stretch, with their places on the target.
    ///
    /// # Errors
    /// When the places where they would be cannot be read.
    pub(in crate::operation) fn signatures_at(&self, place: Extent) -> io::Result<Vec<Signature>> {
        let Some(source) = self.source.as_deref() else { return Ok(Vec::new()) };
        let mut found = signature::find(&Window::new(source, place.start, place.len()))?;
        found.iter_mut().for_each(|signature| signature.offset += place.start);
        Ok(found)
    }
}

/// A file that does not exist yet, or not as it will be.
pub(super) fn new_file(
    request: &TargetRequest,
    manifest: &Manifest,
    size: u64,
) -> Result<TargetState, OperationError> {
    let path = &request.disk;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if !parent.unwrap_or(Path::new(".")).is_dir() {
        return Err(OperationError::refused(
            format!("the folder of {} does not exist", crate::console::path(path)),
            "create it, or name another file",
        ));
    }
    let sector = request.sector_size.unwrap_or(manifest.disk.logical_sector);
    let disk = Disk {
        path: std::path::absolute(path).map_err(|error| {
            OperationError::io(format!("naming {}", crate::console::path(path)), error)
        })?,
        kind: DiskKind::ImageFile,
        model: None,
        serial: None,
        wwn: None,
        size: request.size.unwrap_or(size),
        logical_sector: sector,
        physical_sector: sector,
        transport: Transport::File,
        removable: false,
        read_only: false,
        boot_medium: false,
        uses: Vec::new(),
    };
    let table = Table::none(sector, Vec::new());
    let words = Words::unread(&disk);
    let agreement = Agreement::to_make(&disk.path, disk.size);
    let survey = Survey { disk, table, volumes: Vec::new(), note: None, words };
    let held = Vec::new();
    Ok(TargetState { survey, source: None, agreement, held, blank: true, virtual_disk: None })
}

/// A size can be given to a new file only.
fn refuse_other_size(request: &TargetRequest, disk: &Disk) -> Result<(), OperationError> {
    let Some(asked) = request.size.filter(|asked| *asked != disk.size) else { return Ok(()) };
    let next = match disk.kind {
        DiskKind::ImageFile => "leave --size out, or name a file that does not exist yet",
        DiskKind::Device => "leave --size out",
    };
    Err(OperationError::refused(
        format!(
            "{} has {} bytes and keeps them; --size {asked} is for a new file",
            disk.identity(),
            disk.size
        ),
        next,
    ))
}

/// Whether both ends of a volume and samples in between are zero. What cannot be read is not.
fn is_blank(volume: &dyn ReadAt) -> bool {
    let size = volume.size();
    let edge = size.min(MIB);
    let is_zero =
        |at: u64, len: usize| volume.read_vec(at, len).is_ok_and(|bytes| bytes::is_zero(&bytes));
    let len = usize::try_from(edge).unwrap_or_default();
    let last = size.saturating_sub(SAMPLE_LEN as u64);
    let samples = (1..SAMPLES).map(|number| last / SAMPLES * number / 4096 * 4096);
    is_zero(0, len)
        && is_zero(size - edge, len)
        && samples.into_iter().all(|at| is_zero(at, SAMPLE_LEN.min(len)))
}

/// What is on a disk, and whether it was looked at and found blank.
pub(in crate::operation) fn look(survey: &Survey, source: &Source) -> (Vec<Held>, bool) {
    let unsigned = signature::find(source).is_ok_and(|found| found.is_empty());
    let blank = unsigned && is_blank(source) && survey.table.scheme == Scheme::None;
    (held(survey, source, blank), blank)
}

/// The volumes of a disk, and what lies outside of them, or the whole of a disk on which no volume is
/// known.
fn held(survey: &Survey, source: &Source, blank: bool) -> Vec<Held> {
    let volumes = survey.volumes.iter().map(|volume| {
        let place = Extent { start: volume.start, end: volume.start + volume.size };
        let known = volume.filesystem.as_ref().map(|found| describe(Some(found), &volume.content));
        let text = known.unwrap_or_else(|| content(source, place));
        Held { number: volume.partition, place, text }
    });
    let mut held: Vec<Held> = volumes.collect();
    let size = survey.disk.size;
    if held.is_empty() && survey.table.scheme == Scheme::None {
        let place = Extent { start: 0, end: size };
        let whole = (!blank).then(|| Held { number: None, place, text: content(source, place) });
        held.extend(whole);
    } else if survey.table.scheme != Scheme::None {
        if held.is_empty() {
            let text = format!("a table ({}) without partitions", survey.table.scheme);
            held.push(Held { number: None, place: Extent { start: 0, end: size }, text });
        }
        // The table itself and boot loaders lie in the first mebibyte, a backup in the last.
        let inner = Extents::of(MIB.min(size), size.saturating_sub(MIB));
        let outside = survey.table.partitioned().gaps_within(0, size).intersection(&inner);
        let used =
            outside.iter().filter(|gap| !is_blank(&Window::new(source, gap.start, gap.len())));
        held.extend(used.map(|place| {
            let text = format!("outside of all partitions: {}", content(source, place));
            Held { number: None, place, text }
        }));
        held.sort_by_key(|held| held.place.start);
    }
    held
}

/// In words what is in a stretch that no reader knows.
fn content(source: &Source, place: Extent) -> String {
    let window = Window::new(source, place.start, place.len());
    if let Some(marker) = marker::read(&window) {
        return marker.to_string();
    }
    match signature::find(&window) {
        Ok(found) if found.is_empty() && is_blank(&window) => EMPTY.to_owned(),
        Ok(found) if found.is_empty() => "data of unknown kind".to_owned(),
        Ok(found) => names(&found),
        Err(error) => format!("unknown: it cannot be read ({error})"),
    }
}

/// `content` is what to call it without a filesystem.
pub(in crate::operation) fn describe(filesystem: Option<&Filesystem>, content: &str) -> String {
    let Some(filesystem) = filesystem else { return content.to_owned() };
    let mut text = filesystem.kind.to_string();
    if let Some(label) = &filesystem.label {
        text.push(' ');
        text.push_str(label);
    }
    if let Some(used) = filesystem.used {
        text.push_str(&format!(", {} used", human(used)));
    }
    text
}

/// The names of signatures, each once.
pub(in crate::operation) fn names(signatures: &[Signature]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for signature in signatures {
        if !names.contains(&signature.name) {
            names.push(signature.name);
        }
    }
    names.join(", ")
}

/// Refuses a target whose sectors are of another size than those of the captured disk.
pub(in crate::operation) fn check_sectors(
    target: &Disk,
    manifest: &Manifest,
) -> Result<(), OperationError> {
    let (has, needs) = (target.logical_sector, manifest.disk.logical_sector);
    if has == needs {
        return Ok(());
    }
    Err(OperationError::refused(
        format!(
            "what is to be written was on a disk with {needs}-byte sectors and {} has {has}-byte \
             sectors: its partition table and most filesystems would not be understood there",
            target.identity()
        ),
        format!("choose a disk with {needs}-byte sectors"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_at_either_end_is_not_blank() {
        let size = 3 << 20;
        let mut volume = vec![0; size];
        assert!(is_blank(&volume));
        for at in [0, (1 << 20) - 1, size - 1] {
            volume[at] = 1;
            assert!(!is_blank(&volume), "{at}");
            volume[at] = 0;
        }
        for small in [0, 1, 511, 5000] {
            assert!(is_blank(&vec![0; small]), "{small} bytes");
        }
    }

    #[test]
    fn a_filled_middle_is_not_blank() {
        let mut volume = vec![0; 16 << 20];
        volume[4 << 20..5 << 20].fill(7);
        assert!(!is_blank(&volume));
    }
}
