//! From the operation layer's values to what the menu shows.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use time::OffsetDateTime;

use crate::disk;
use crate::disk::pci::Controller;
use crate::image::manifest::Stored;
use crate::operation::{
    self, CaptureReport, CheckReport, CloneReport, ImageSummary, OperationError, PruneReport,
    RestoreReport, Survey, TargetPlan, Timed, VerifyReport, format, safety,
};
use crate::table::Scheme;
use crate::tui::model::{
    ByItself, CapturePlan, Disk, DiskList, Failure, FoundRepository, Image, ImagePartition,
    Outcome, Place, Places, Planned, Volume, WritePlan,
};
use crate::volume::{LastUse, LogicalVolume, State};

/// The cause and the next step of an error.
pub(super) fn failure(error: OperationError) -> Failure {
    let (text, next_step) = match &error {
        OperationError::Refused { why, next } => (sentence(why), Some(sentence(next))),
        error => (sentence(&error.to_string()), None),
    };
    let (cancelled, needs_passphrase) = (error.is_cancelled(), error.needs_passphrase());
    Failure { text, next_step, cancelled, needs_passphrase }
}

/// `text` with a capital letter and a full stop.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    let end = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{}{end}", chars.as_str())
}

/// A number that changes whenever a disk appears, leaves or changes.
pub(super) fn signature(disks: &[disk::Disk]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for disk in disks {
        format!("{disk:?}").hash(&mut hasher);
    }
    hasher.finish()
}

/// All disks; the silent controllers explain missing ones.
pub(super) fn disk_list(signature: u64, surveys: &[Survey], silent: &[Controller]) -> DiskList {
    let mut hints: Vec<String> =
        silent.iter().filter_map(|controller| controller.hint).map(str::to_owned).collect();
    hints.dedup();
    DiskList {
        signature,
        disks: surveys.iter().map(self::disk).collect(),
        controllers: silent.iter().map(controller).collect(),
        hints,
    }
}

/// What a search found; disks are those it looked at.
pub(super) fn places(found: Vec<Place>, surveys: &[Survey]) -> Places {
    Places { found, disks: surveys.iter().map(disk).collect() }
}

fn controller(controller: &Controller) -> String {
    let Controller { address, vendor, device, class_name, hidden_nvme, .. } = controller;
    let hidden = match hidden_nvme {
        0 => String::new(),
        count => format!(", hides {count} NVMe disks"),
    };
    format!("{address}  {vendor:04x}:{device:04x}  {class_name}{hidden}")
}

fn disk(survey: &Survey) -> Disk {
    let disk = &survey.disk;
    let name = disk.path.file_name().unwrap_or(disk.path.as_os_str());
    Disk {
        path: disk.path.clone(),
        name: name.to_string_lossy().into_owned(),
        identity: disk.identity(),
        serial: disk.serial.clone().or_else(|| disk.wwn.clone()),
        erase: survey.erase().to_owned(),
        size: disk.size,
        transport: disk.transport.to_string(),
        table: table(survey),
        volumes: survey.volumes.iter().map(volume).collect(),
        note: survey.note.clone().or_else(|| survey.table.remarks().next().cloned()),
        source_refusal: safety::source_refusal(disk, false).map(|busy| busy.to_string()),
        target_refusal: safety::target_refusal(disk).map(|busy| busy.to_string()),
    }
}

fn table(survey: &Survey) -> String {
    let whole = survey.volumes.iter().find_map(|volume| volume.filesystem.as_ref());
    match (survey.table.scheme, whole) {
        (Scheme::None, Some(filesystem)) => format!("{} on the whole disk", filesystem.kind),
        (Scheme::None, None) => "no partition table".into(),
        (scheme, _) => scheme.to_string(),
    }
}

fn volume(volume: &operation::Volume) -> Volume {
    let filesystem = volume.filesystem.as_ref();
    Volume {
        number: volume.partition,
        start: volume.start,
        size: volume.size,
        kind: Some(volume.content.clone()),
        label: filesystem.and_then(|filesystem| filesystem.label.clone()),
        used: filesystem.and_then(|filesystem| filesystem.used),
        least: volume.minimum_size.filter(|least| *least < volume.size),
        note: note(
            filesystem.map(|filesystem| &filesystem.state),
            volume.system.as_deref(),
            filesystem.and_then(|filesystem| filesystem.last_use.as_ref()),
        ),
        inside: volume.logical_volumes.iter().map(logical_volume).collect(),
        containers: volume.containers.clone(),
        by_itself: ByItself::Never,
    }
}

fn logical_volume(volume: &LogicalVolume) -> Volume {
    let filesystem = volume.filesystem.as_ref();
    Volume {
        size: volume.size,
        kind: filesystem.map(|filesystem| filesystem.kind.to_string()),
        label: Some(volume.to_string()),
        used: filesystem.and_then(|filesystem| filesystem.used),
        note: filesystem.and_then(|found| note(Some(&found.state), None, found.last_use.as_ref())),
        by_itself: match volume {
            LogicalVolume { plain: false, .. } => ByItself::Never,
            LogicalVolume { complete: true, .. } => ByItself::Alone,
            _ => ByItself::WithOthers,
        },
        ..Volume::default()
    }
}

/// What is worth knowing of a partition: how it was left, the system on it without its nickname, and
/// its last use.
fn note(state: Option<&State>, system: Option<&str>, last_use: Option<&LastUse>) -> Option<String> {
    let state = state.and_then(state_note);
    let system = system.map(|system| system.split(" (").next().unwrap_or(system).to_owned());
    let last_use = last_use.map(ToString::to_string);
    let notes: Vec<String> = [state, system, last_use].into_iter().flatten().collect();
    (!notes.is_empty()).then(|| notes.join(", "))
}

/// What a state means for a person; nothing when all is well.
fn state_note(state: &State) -> Option<String> {
    match state {
        State::Hibernated(_) => Some("hibernated".into()),
        State::Dirty(_) => Some("not closed properly".into()),
        State::Clean | State::Unknown => None,
    }
}

/// A place with the repositories found in it.
pub(super) fn place(place: &operation::Place) -> Place {
    let repositories = place
        .repositories
        .iter()
        .map(|found| FoundRepository { folder: found.folder.clone(), images: found.snapshots });
    Place {
        device: place.device.clone(),
        disk: place.disk.path.clone(),
        disk_title: place.disk.identity(),
        volume: volume(&place.volume),
        free: place.free,
        repositories: repositories.collect(),
        writable: place.writable,
        problem: place.problem.clone(),
    }
}

/// An image of a list.
pub(super) fn image(image: &ImageSummary) -> Image {
    Image {
        id: image.id.clone(),
        time: format::time_of(&image.time),
        disk: image.disk_name.clone(),
        size: image.size,
        used: image.used,
        partitions: image.partitions.iter().map(image_partition).collect(),
        warnings: image.warnings.clone(),
        marks: image.marks(),
    }
}

fn image_partition(partition: &operation::ImagePartition) -> ImagePartition {
    ImagePartition {
        volume: Volume {
            number: partition.number,
            start: partition.start,
            size: partition.size,
            kind: Some(partition.content.clone()),
            label: partition.label.clone(),
            used: partition.used,
            least: partition.minimum_size.filter(|least| *least < partition.size),
            note: note(
                Some(&partition.state),
                partition.system.as_deref(),
                partition.last_use.as_ref(),
            ),
            inside: partition.logical_volumes.iter().map(logical_volume).collect(),
            containers: Vec::new(),
            by_itself: ByItself::Never,
        },
        captured: partition.stored != Stored::Nothing,
    }
}

/// A capture's plan.
pub(super) fn capture_plan(plan: operation::CapturePlan) -> CapturePlan {
    let operation::CapturePlan { source, space, clock_is_doubted, warnings, .. } = &plan;
    let outside = source.unpartitioned.as_ref().filter(|found| found.left_out);
    let known = source.unused + outside.map_or(0, |found| found.bytes);
    CapturePlan {
        not_chosen: source.skipped.saturating_sub(known),
        wrong_clock: clock_is_doubted.then(|| format::time(OffsetDateTime::now_utc())),
        read: source.read,
        unused: source.unused,
        has_unclosed_ntfs: source.has_unclosed_ntfs(),
        unpartitioned: source.unpartitioned.clone(),
        space: space.clone(),
        warnings: warnings.clone(),
        planned: Some(Planned::new(plan)),
    }
}

/// The plan of a restore or clone, but for images that are taken along.
pub(super) fn write_plan(plan: &TargetPlan) -> WritePlan {
    WritePlan {
        with: Vec::new(),
        before: plan.before.clone(),
        after: plan.after.clone(),
        writes: plan.writes,
        lost: plan.lost.clone(),
        notices: plan.notices.clone(),
        planned: None,
    }
}

/// What a capture achieved.
pub(super) fn capture_outcome(report: &Timed<CaptureReport>) -> Outcome {
    let mut facts = vec![
        fact(
            "Image",
            format!("{}, {}", report.image.short_id(), format::time_of(&report.image.time)),
        ),
        fact("Read", format::size(report.read)),
        fact("Left out", format!("{} that no file uses", format::size(report.unused))),
        fact("Stored", format!("{} new", format::size(report.added))),
        fact("There already", format::size(report.reused)),
        fact("Checked", format!("{} read back, all right", format::size(report.verified))),
    ];
    if report.unreadable > 0 {
        facts.push(fact("Unreadable", format::size(report.unreadable)));
    }
    facts.push(time_taken(report.time));
    Outcome { facts, warnings: report.warnings.clone() }
}

/// What a restore achieved.
pub(super) fn restore_outcome(report: &Timed<RestoreReport>) -> Outcome {
    let counts = (report.written, report.unchanged, report.read_back);
    let mut facts = written(counts, "in the image");
    facts.push(time_taken(report.time));
    Outcome { facts, warnings: report.warnings.clone() }
}

/// What a clone achieved.
pub(super) fn clone_outcome(report: &Timed<CloneReport>) -> Outcome {
    let mut facts = vec![fact("Read", format::size(report.read))];
    let counts = (report.written, report.unchanged, report.read_back);
    facts.extend(written(counts, "on the source"));
    if report.unreadable > 0 {
        facts.push(fact("Unreadable", format::size(report.unreadable)));
    }
    facts.push(time_taken(report.time));
    Outcome { facts, warnings: report.warnings.clone() }
}

fn written((written, unchanged, read_back): (u64, u64, u64), like: &str) -> Vec<(String, String)> {
    let read_back = match read_back {
        0 => "nothing".into(),
        bytes => format!("{}, all as {like}", format::size(bytes)),
    };
    vec![
        fact("Written", format::size(written)),
        fact("There already", format::size(unchanged)),
        fact("Read back", read_back),
    ]
}

/// What a verification achieved.
pub(super) fn verify_outcome(report: &Timed<VerifyReport>) -> Outcome {
    let facts = vec![
        fact("Images", report.images.to_string()),
        fact("Read", format!("{} in {} pieces", format::size(report.bytes), report.blobs)),
        time_taken(report.time),
    ];
    Outcome { facts, warnings: report.warnings.clone() }
}

/// What a check found; damage is a failure.
pub(super) fn check_outcome(report: &CheckReport) -> Result<Outcome, Failure> {
    if !report.is_sound() {
        let damage = report.findings.iter().filter(|finding| finding.is_damage);
        let texts: Vec<_> = damage.map(|finding| sentence(&finding.text)).collect();
        return Err(Failure {
            text: texts.join(" "),
            next_step: Some(
                "Run \"lifeboat repair index\" or \"lifeboat repair packs\" in the shell, then \
                 capture the disks again."
                    .into(),
            ),
            ..Failure::default()
        });
    }
    let facts = vec![
        fact("Images", report.snapshots.to_string()),
        fact("Packs", format!("{} with {} pieces", report.packs, report.blobs)),
    ];
    let warnings = report.findings.iter().map(|finding| sentence(&finding.text)).collect();
    Ok(Outcome { facts, warnings })
}

/// What freeing space achieved.
pub(super) fn free_outcome(forgotten: u64, report: &PruneReport) -> Outcome {
    let facts = vec![
        fact("Forgotten", format!("{forgotten} images")),
        fact("Freed", format::size(report.freed)),
        fact(
            "Remaining",
            format!("{} for {} images", format::size(report.remaining), report.images),
        ),
    ];
    Outcome { facts, warnings: report.warnings.clone() }
}

fn fact(name: &str, value: String) -> (String, String) {
    (name.into(), value)
}

fn time_taken(span: Duration) -> (String, String) {
    let text =
        if span.as_secs() == 0 { "less than a second".into() } else { format::duration(span) };
    fact("Time", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_read_as_sentences() {
        let error = OperationError::refused("/dev/sda is mounted", "unmount it");
        let failure = failure(error);
        assert_eq!(failure.text, "/dev/sda is mounted.");
        assert_eq!(failure.next_step.as_deref(), Some("Unmount it."));
        assert!(!failure.cancelled);
        assert_eq!(sentence("écrire"), "Écrire.");
        assert_eq!(sentence(""), ".");
    }

    #[test]
    fn notes_tell_state_and_system() {
        let asleep = State::Hibernated("why".into());
        let windows = note(Some(&asleep), Some("Windows 11 Pro 23H2"), None);
        assert_eq!(windows.as_deref(), Some("hibernated, Windows 11 Pro 23H2"));
        let home = LastUse { path: Some("/home".into()), ..LastUse::default() };
        let debian = note(Some(&State::Clean), Some("Debian GNU/Linux 12 (bookworm)"), Some(&home));
        assert_eq!(debian.as_deref(), Some("Debian GNU/Linux 12, last mounted at /home"));
        assert_eq!(note(None, None, None), None);
    }
}
